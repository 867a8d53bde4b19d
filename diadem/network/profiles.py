"""What a laptop keeps of a node on which its person is a user: where it is, its pins, and the person's own key.

::

    <config>/profiles/bob@hu-berlin.toml    address, node, urls, tls, key
    <config>/profiles/bob@hu-berlin.pem     the private key, for its owner only; encrypted where a passphrase was given
"""

from __future__ import annotations

import datetime
import os
import tomllib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from diadem.errors import DocumentError, NotFound, Refused, UsageError
from diadem.model.display import Display
from diadem.model.peers import Contact
from diadem.model.tickets import Ticket
from diadem.network.client import Connect, dial
from diadem.network.logins import finish_login, login_request, require_open
from diadem.node.keys import PASSPHRASE_VARIABLE, AskPassphrase
from diadem.store.system import user_config
from diadem.store.whole import write_whole
from diadem.trust.keys import PrivateKey

FORMAT: Final = "diadem-profile/1"
LOGIN_PATH: Final = "peer/login"


@dataclass(frozen=True, slots=True)
class Profile(Display):
    """One user of one node, on this account.

    Attributes
    ----------
    address : str
        ``bob@hu-berlin``.
    node : str
        The node's id.
    urls, tls : sequence of str
        Where it is found, and SHA-256 of its TLS keys.
    key : str
        The file of the private key.
    protected : bool
        Whether a passphrase opens it.
    """

    address: str
    node: str
    urls: Sequence[str]
    tls: Sequence[str]
    key: str
    protected: bool = False

    @property
    def contact(self) -> Contact:
        """Whom a client calls."""
        return Contact(self.node, self.address.partition("@")[2], tuple(self.urls), tuple(self.tls))

    def to_dict(self) -> dict[str, Any]:
        """A JSON object; the private key is not in it."""
        return {
            "address": self.address,
            "node": self.node,
            "urls": list(self.urls),
            "tls": list(self.tls),
            "key": self.key,
            "protected": self.protected,
        }


def profiles_folder() -> Path:
    """Where this account keeps profiles. Raises `NotFound` where it has no home."""
    return user_config("profiles")


def login(text: str, *, connect: Connect = dial, full_name: str = "", passphrase: str = "") -> Profile:
    """Become a user of a node, by a ticket: makes a key that stays on this account, and a profile.

    Parameters
    ----------
    text : str
        The ticket.
    connect : callable
        Makes a client of the node; default one that calls over the network.
    full_name : str
        Your name, as you write it.
    passphrase : str
        Protects the key; "" leaves it to the permissions of the file.

    Raises
    ------
    UsageError
        It is no ticket, or one for a node.
    Refused
        It does not hold, or there is a profile of that name for another node.
    Unreachable
        The node does not answer. The same command goes on with the same key.
    """
    ticket = Ticket.from_text(text)
    require_open(ticket, datetime.datetime.now(datetime.UTC))
    address = f"{ticket.user}@{ticket.name}"
    _require_free(address, ticket)
    key, path = _key(address, passphrase)
    poster = connect(Contact(ticket.node, ticket.name, ticket.urls, ticket.tls), key)
    with closing(poster):
        answer = poster.post_line(LOGIN_PATH, login_request(ticket, key, full_name), introduce=True)
    known_as = finish_login(ticket, key, answer)
    profile = Profile(known_as, ticket.node, ticket.urls, ticket.tls, str(path), bool(passphrase))
    _write(address, profile)
    return profile


def _require_free(address: str, ticket: Ticket) -> None:
    try:
        known = read_profile(address)
    except NotFound:
        return
    if known.node != ticket.node:
        raise Refused(
            f"there is a profile '{address}' for another node, {known.node[:12]}…",
            where=str(profiles_folder()),
            next="Move its two files away if you no longer need it.",
        )


def _key(address: str, passphrase: str) -> tuple[PrivateKey, Path]:
    """The key of an earlier try, else a new one."""
    path = profiles_folder() / f"{address}.pem"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        return PrivateKey.from_pem(path.read_bytes(), passphrase or None), path
    key = PrivateKey.generate()
    write_whole(path, key.to_pem(passphrase or None), mode=0o600)
    return key, path


def _write(address: str, profile: Profile) -> None:
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment("You are a user of this node. The key beside this file is yours alone: keep a copy."))
    document["format"] = FORMAT
    for name, value in profile.to_dict().items():
        document[name] = value
    write_whole(profiles_folder() / f"{address}.toml", tomlkit.dumps(document).encode(), mode=0o600)


def read_profile(address: str) -> Profile:
    """The profile of an address.

    Raises
    ------
    NotFound
        There is none.
    DocumentError
        It cannot be understood.
    """
    path = profiles_folder() / f"{address}.toml"
    try:
        document = tomllib.loads(path.read_text("utf-8"))
        if document.pop("format", "") != FORMAT:
            raise DocumentError("this profile is of another version", where=str(path), next="Update DIADEM.")
        return Profile(**document | {name: tuple(document[name]) for name in ("urls", "tls")})
    except FileNotFoundError as error:
        raise NotFound(f"there is no profile '{address}'", next="Make one: diadem login TICKET") from error
    except (ValueError, TypeError, KeyError) as error:
        raise DocumentError(
            "the profile cannot be read", where=str(path), next="Log in again: diadem login TICKET"
        ) from error


def choose_profile(url: str, user: str) -> Profile:
    """The profile for a node and a user.

    Parameters
    ----------
    url : str
        One of the node's addresses; "" for any.
    user : str
        ``bob`` or ``bob@hu-berlin``; "" for any.

    Raises
    ------
    Refused
        There is none: no key of that node is known here.
    UsageError
        There are several.
    """
    names = sorted(path.stem for path in profiles_folder().glob("*.toml")) if profiles_folder().is_dir() else []
    meant = [name for name in names if not user or user in (name, name.partition("@")[0])]
    fitting = [one for one in map(read_profile, meant) if not url or url.rstrip("/") in one.urls]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        known = ", ".join(one.address for one in fitting)
        raise UsageError(f"several profiles fit: {known}", next="Name one: --user NAME@NODE, or user=.")
    asked = url or user or "a node"
    raise Refused(
        f"this account does not know the key of {asked}, so anybody might answer there",
        where=str(profiles_folder()),
        next="Ask the node's people for a ticket (diadem user invite NAME), then: diadem login TICKET",
    )


def open_key(profile: Profile, ask: AskPassphrase | None = None) -> PrivateKey:
    """The private key of a profile.

    Raises
    ------
    NotFound
        Its file is gone.
    Refused
        The passphrase is wrong, or nobody is there to give it.
    """
    try:
        data = Path(profile.key).read_bytes()
    except FileNotFoundError as error:
        raise NotFound(
            f"the key of {profile.address} is gone", where=profile.key, next="Put your copy of it back."
        ) from error
    secret = os.environ.get(PASSPHRASE_VARIABLE) if profile.protected else None
    if profile.protected and not secret:
        if ask is None:
            raise Refused(f"the key of {profile.address} needs its passphrase", next=f"Set {PASSPHRASE_VARIABLE}.")
        secret = ask(profile.address)
    return PrivateKey.from_pem(data, secret)
