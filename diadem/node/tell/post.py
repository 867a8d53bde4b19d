"""The post: a letter goes to a mail server or a web address, figures into a file. Nothing here waits without end."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import json
import os
import re
import smtplib
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from diadem.errors import Refused, Unreachable, UsageError
from diadem.model.plain_text import one_line
from diadem.node.config import TellSettings
from diadem.node.tell.news import Letter
from diadem.store.whole import write_whole

#: Seconds that a server may be silent, and that the whole of one letter may take.
SILENCE: Final = 15.0
LONGEST: Final = 60.0
#: Bytes of an answer that are read; characters of one that are shown; how many who were refused are named.
_READ, _SHOWN, _NAMED = 4096, 200, 3
_PORTS: Final = {"smtp": 587, "smtps": 465}
#: Names under which the system's keyring has secrets.
KEYRING: Final = "diadem-tell"
#: What every file of ours begins with.
_OURS: Final = b"# HELP diadem_"


class NotAll(Exception):
    """A letter that some got, and others did not: `refused` are their addresses.

    `later` are those of them that the server does not take for now (4xx, RFC 5321), to whom it is sent again.
    """

    def __init__(self, answers: Mapping[str, tuple[int, bytes]]) -> None:
        self.refused = list(answers)
        self.later = [address for address, (code, _) in answers.items() if code < 500]
        said = "; ".join(_refusal(address, *answers[address]) for address in self.refused[:_NAMED])
        more = f" and {len(answers) - _NAMED} more" if len(answers) > _NAMED else ""
        super().__init__(f"not to {said}{more}; to the others it went")


def checked(settings: TellSettings) -> TellSettings:
    """The settings, whole and possible. Raises `UsageError` that says what would be."""
    if settings.kind == "file":
        return _checked_file(settings)
    parts = _parts(settings)
    if settings.kind == "webhook":
        if settings.to or settings.sender or settings.login:
            raise UsageError("--to, --from and --login are for a mail server", next="Leave them out.")
        if parts.scheme == "http" and not settings.plain:
            raise UsageError(
                "what goes over http:// can be read and changed on the way",
                where=settings.url,
                next="Use https://. For this machine alone, or a net that you trust: --plain",
            )
        return settings
    if not settings.to:
        plain = " --plain" if settings.plain else ""
        again = f"diadem tell add {settings.name} {settings.url} --to ADDRESS{plain}"
        raise UsageError("a mail needs an address", next=again)
    if settings.plain and settings.login and parts.scheme != "smtps" and not _is_here(str(parts.hostname)):
        raise UsageError("a password does not go over a net without TLS", next="Leave out --plain, or --login.")
    if settings.signed:
        raise UsageError("--signed is for a web address", next="Leave it out.")
    for address in filter(None, (*settings.to, settings.sender)):
        _require_address(address)
    return settings


def _checked_file(settings: TellSettings) -> TellSettings:
    place = Path(settings.url)
    if not place.is_absolute() or place.suffix != ".prom":
        raise UsageError(
            "this is no mail server, web address or file for Prometheus",
            where=settings.url,
            next="As in smtp://mail.example.org, https://chat.example.org/hook, or /var/lib/node_exporter/diadem.prom "
            "(a whole path that ends in .prom)",
        )
    if settings.to or settings.sender or settings.login or settings.signed or settings.plain or settings.about:
        raise UsageError("a file for Prometheus has no options", next="Leave them out.")
    return settings


def _parts(settings: TellSettings) -> SplitResult:
    try:
        parts = urlsplit(settings.url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named or not settings.url.isascii() or not settings.url.isprintable() or " " in settings.url:
        raise UsageError(
            "this is not the address of a server", where=settings.url, next="As in smtp://mail.example.org:587"
        )
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "an address that is kept in node.toml has no user and no password in it: every store has a copy",
            next=f"Name the user with --login, and set {variable(settings.name)} where DIADEM runs.",
        )
    return parts


def _is_here(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _require_address(address: str) -> None:
    try:
        parsed = Address(addr_spec=address)
        sound = bool(parsed.username and parsed.domain) and address.isascii() and address.isprintable()
    except (MessageError, ValueError, IndexError, AttributeError):
        sound = False
    if not sound or len(address) > 254:
        raise UsageError(f"'{one_line(address, 80)}' is not an address of a mail", next="As in alice@example.org")


def send(settings: TellSettings, letter: Letter, *, sender_name: str, at: datetime, only: str = "") -> None:
    """Send a letter by mail or to a web address; a mail `only` to one of its addresses, which others got before.

    Raises
    ------
    NotAll
        Some did not get it; or that one address.
    Unreachable
        The server does not answer, takes it not, or takes too long.
    Refused
        The secret is missing, or a connection would not be safe.
    """
    settings = checked(settings)

    def deliver() -> None:
        if settings.kind == "mail":
            _mail(settings, letter, sender_name, at, only)
        else:
            _post(settings, letter)

    try:
        within(LONGEST, deliver)
    except ssl.SSLCertVerificationError as error:
        raise Refused(
            f"the certificate of the server does not hold: {error.verify_message}",
            where=settings.url,
            next="Use the name that stands in it; for a certificate of the house, name its root in SSL_CERT_FILE.",
        ) from error
    except (OSError, ValueError, smtplib.SMTPException, http.client.HTTPException) as error:
        raise Unreachable(
            f"it could not be told: {_words(error)}", where=settings.url, next=f"diadem tell test {settings.name}"
        ) from error


def write_figures(place: str, text: str) -> None:
    """Write figures for Prometheus whole, in place of what was written before; nobody else's file is touched.

    Raises
    ------
    Refused
        Another program's file is there.
    StoreError, Unreachable
        It cannot be written; its disk does not answer.
    """

    def write() -> None:
        path = Path(place)
        if os.path.lexists(path) and (path.is_symlink() or not _begins_as_ours(path)):
            raise Refused("this is not a file of DIADEM", where=place, next="Remove it, or name another file.")
        write_whole(path, text.encode())

    try:
        within(LONGEST, write)
    except OSError as error:
        raise Unreachable(f"it cannot be written: {_words(error)}", where=place, next="Look at its folder.") from error


def _begins_as_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_OURS)) in (_OURS, b"")


def within(seconds: float, do: Callable[[], object]) -> None:
    """Do something in a thread of its own and wait for it so long at most. Raises what it raises, or `Unreachable`."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            do()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="post", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise Unreachable(
            f"it took longer than {seconds:.0f} seconds and was given up",
            next="Look whether a share hangs: diadem doctor",
        )
    if failed:
        raise failed[0]


def _words(error: BaseException) -> str:
    """What a server or the system says, on one line."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        address, (code, answer) = next(iter(error.recipients.items()))
        return _refusal(f"{address} was refused", code, answer)
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        return one_line(f"{error.smtp_code} {text}", _SHOWN)
    strerror = getattr(error, "strerror", None)
    return one_line(str(strerror or error) or type(error).__name__, _SHOWN)


def _refusal(whom: str, code: int, answer: bytes) -> str:
    return one_line(f"{whom}: {code} {answer.decode('utf-8', 'replace')}", _SHOWN)


# -- mail ------------------------------------------------------------------------------------------------------------


def _mail(settings: TellSettings, letter: Letter, sender_name: str, at: datetime, only: str) -> None:
    parts, tls = _parts(settings), ssl.create_default_context()
    host, scheme = str(parts.hostname), parts.scheme.lower()
    port = parts.port or (25 if settings.plain and scheme == "smtp" else _PORTS[scheme])
    sender = settings.sender or (settings.login if "@" in settings.login else settings.to[0])
    secret = secret_of(settings) if settings.login else ""
    message = EmailMessage()
    message["Subject"] = letter.subject
    message["From"] = Address(one_line(f"DIADEM {sender_name}", 80), addr_spec=sender)
    message["To"] = tuple(Address(addr_spec=one) for one in settings.to)
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{letter.id}@{sender_name}.diadem.invalid>"  # tried again, it is the same letter
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    with ExitStack() as ending:
        if scheme == "smtps":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=SILENCE, context=tls)
        else:
            smtp = smtplib.SMTP(host, port, timeout=SILENCE)
        ending.callback(smtp.close)
        if scheme == "smtp" and not settings.plain:
            smtp.ehlo_or_helo_if_needed()
            if not smtp.has_extn("starttls"):
                raise Refused(
                    "the mail server offers no STARTTLS, so that everybody on the way could read what is told",
                    where=settings.url,
                    next="Use smtps://, or for a server on this machine or in a net that you trust: --plain",
                )
            smtp.starttls(context=tls)
        if secret:
            smtp.login(settings.login, secret)
        try:
            refused = smtp.send_message(message, from_addr=sender, to_addrs=[only] if only else list(settings.to))
        except smtplib.SMTPRecipientsRefused as error:
            if not only:
                raise
            refused = error.recipients
        with suppress(smtplib.SMTPException, OSError):  # the server has it, whatever becomes of the farewell
            smtp.quit()
    if refused:
        raise NotAll(refused)


# -- web addresses ---------------------------------------------------------------------------------------------------


class _NoOtherPlace(urllib.request.HTTPRedirectHandler):
    """Goes nowhere but where a person wrote: what a web address answers could lead into a net behind it."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Never."""


def _post(settings: TellSettings, letter: Letter) -> None:
    body = json.dumps(letter.document, ensure_ascii=False).encode()
    headers = {"content-type": "application/json", "user-agent": "diadem", "x-diadem-id": letter.id}
    if settings.signed:
        digest = hmac.new(secret_of(settings).encode(), body, hashlib.sha256).hexdigest()
        headers["x-diadem-signature-256"] = f"sha256={digest}"
    request = urllib.request.Request(settings.url, body, headers, method="POST")  # noqa: S310 - http and https alone
    tls = urllib.request.HTTPSHandler(context=ssl.create_default_context())
    opener = urllib.request.build_opener(_NoOtherPlace, tls)
    try:
        with opener.open(request, timeout=SILENCE) as answer:
            answer.read(_READ)
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(_READ).decode("utf-8", "replace")
        moved = f" and names another address, {error.headers.get('location', '')}" if 300 <= error.code < 400 else ""
        raise OSError(f"the server answers {error.code}{moved} {said}") from error
    except urllib.error.URLError as error:
        raise error.reason if isinstance(error.reason, OSError) else OSError(str(error.reason)) from error


# -- secrets: never in node.toml -------------------------------------------------------------------------------------


def variable(name: str) -> str:
    """Of whose secret it is, the name of its variable in the environment: ``DIADEM_TELL_BOSS``."""
    return f"DIADEM_TELL_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"


def secret_of(settings: TellSettings) -> str:
    """A password, or the secret of signatures: from the environment, else from the system's keyring.

    Raises
    ------
    Refused
        Neither has it.
    """
    if found := os.environ.get(variable(settings.name)):
        return found
    with suppress(ImportError):
        import keyring
        from keyring.errors import KeyringError

        with suppress(KeyringError):
            if found := keyring.get_password(KEYRING, settings.name):
                return str(found)
    what = f"the password of '{settings.login}'" if settings.login else "the secret of the signatures"
    raise Refused(
        f"{what} is not here",
        where=settings.url,
        next=f"Set {variable(settings.name)} where DIADEM runs, or keep it in the system's keyring: "
        f"keyring set {KEYRING} {settings.name}",
    )
