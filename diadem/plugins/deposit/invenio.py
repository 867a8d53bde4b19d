"""InvenioRDM's REST interface, as much of it as a deposit needs: one request at a time, no answer without bounds.

It follows the reference of InvenioRDM 13 ("Drafts and records", "Multipart file transfer"), which is Zenodo's too.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

from diadem.errors import DiademError, Refused, Unreachable, UsageError
from diadem.model.plain_text import one_line

AGAIN: Final = "Give the same command again: it goes on where it was."
#: Bytes of an answer that are read: a draft with the most files that a repository takes has some 200 kB.
_LARGEST: Final = 8 << 20
#: Seconds that a service may be silent, and the longest that is waited between two tries.
_SILENCE, _LONGEST_WAIT = 60.0, 30.0
_TRIES: Final = 5
_BUSY: Final = {429, 500, 502, 503, 504}
#: What a request that must not be done twice is tried again for: it was not done.
_NOT_DONE: Final = {429, 503}
_FULL: Final = {413, 507}
#: What a server answers that has no such page, or does not take what is sent to it.
_NO_SUCH: Final = {404, 405, 410, 501}
_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered: its status, and the JSON object or list, ``{}`` where it is none."""

    status: int
    body: Any

    def text(self, *keys: str) -> str:
        """A text deep in it; "" where there is none."""
        return text_in(self.body, *keys)


def text_in(document: Any, *keys: str) -> str:
    """A text deep in a document of somebody else's; "" where there is none."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, str) else ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token goes to the address that the user gave, and to no other."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Invenio:
    """A repository with an account's token.

    Parameters
    ----------
    url : str
        ``https://zenodo.org``.
    token : str
        Never shown, and sent to this address alone.

    Raises
    ------
    UsageError
        The address is none, or would let the token be read on the way.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self._require_safe(self.url)
        parts = urlsplit(self.url)
        if not token.isascii() or not token.isprintable() or " " in token:
            raise UsageError(
                "the token is not one: it has blanks, line ends or letters with accents", next="Copy it anew."
            )
        if parts.path.endswith("/api"):
            raise UsageError("the address is that of the page, without /api", where=self.url, next="https://zenodo.org")
        if parts.username or parts.query or parts.fragment:
            raise UsageError("the address has more than host and path", where=parts.hostname, next="https://zenodo.org")
        self.host = str(parts.hostname)
        self._origin = (parts.scheme, parts.netloc)
        self._token = token
        self._opener = urllib.request.build_opener(_NoRedirect)

    def ask(self, method: str, path: str, document: Any = None, *, missing: bool = False) -> Answer:
        """Ask below ``/api/records``. With `missing` a 404 or 410 is an answer, not an error.

        Raises
        ------
        Refused
            The service does not want it; in its words.
        Unreachable
            It does not answer, or is busy for long.
        """
        body = None if document is None else json.dumps(document).encode()
        headers = {"Content-Type": "application/json"} if body is not None else {}
        answer = self._tried(method, f"{self.url}/api/records{path}", headers, lambda: body)
        if answer.status < 300 or (missing and answer.status in (404, 410)):
            return answer
        raise self._refusal(answer, method)

    def new_draft(self) -> str:
        """Make an empty draft; its id. Errors as of `ask`, and `Refused` where no such interface answers."""
        place = f"{self.url}/api/records"
        body = json.dumps({"files": {"enabled": True}, "metadata": {}}).encode()
        answer = self._tried("POST", place, {"Content-Type": "application/json"}, lambda: body)
        made = answer.text("id")
        if answer.status < 300 and _ID.match(made):
            return made
        spoken = bool(answer.body) or answer.status in (401, 403, *_FULL, *_BUSY)  # what stands before it says no JSON
        if answer.status < 300 or answer.status in _NO_SUCH or not spoken:
            raise Refused(
                f"no InvenioRDM answers at this address (Zenodo is one): it answers POST with {answer.status}"
                f"{'' if answer.body else ', and no JSON'}",
                where=place,
                next="Give the root of a repository's pages, with nothing behind it: https://zenodo.org; to try it: "
                "https://sandbox.zenodo.org",
            )
        raise self._refusal(answer, "POST")

    def lists_affiliation(self, ror: str) -> bool:
        """Whether an organisation, ``01ggx4157``, is in its list: a description with another is not taken at all."""
        answer = self._tried("GET", f"{self.url}/api/affiliations/{ror}", {}, lambda: None)
        return answer.status == 200 and answer.text("id") == ror

    def send(self, place: str, size: int, blocks: Callable[[], Iterator[bytes]], *, tries: int = _TRIES) -> None:
        """PUT bytes to a path below ``/api/records``, or to an address that the service named; errors as of `ask`.

        `blocks` is called for each try.
        """
        url = place if "://" in place else f"{self.url}/api/records{place}"
        self._require_safe(url)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        answer = self._tried("PUT", url, headers, blocks, tries)
        if answer.status in (401, 403) and urlsplit(url)[:2] != self._origin:  # such addresses end after some hours
            raise Unreachable(f"{self.host} takes this piece there no more", where=one_line(url, 120), next=AGAIN)
        if answer.status >= 300:
            raise self._refusal(answer, "PUT")
        if isinstance(answer.body, dict) and answer.body.get("errors"):  # InvenioRDM says so with a status of success
            raise Unreachable(f"{self.host} could not keep what was sent", where=self.url, next=AGAIN)

    def _tried(
        self, method: str, url: str, headers: Mapping[str, str], body: Callable[[], Any], tries: int = _TRIES
    ) -> Answer:
        """Try it until there is an answer to go by. A POST that may have been done is not done again."""
        wait = 0.2
        for left in reversed(range(tries)):
            pause = wait
            try:
                answer, after = self._once(method, url, headers, body())
            except (OSError, http.client.HTTPException) as error:
                cause = error.reason if isinstance(error, urllib.error.URLError) else error
                if isinstance(cause, DiademError):  # of the bytes that were to be sent
                    raise cause from None
                if not left or method == "POST":
                    words = f"{self.host} does not answer: {one_line(str(cause) or type(cause).__name__)}"
                    raise Unreachable(words, where=self.url, next=AGAIN) from error
            else:
                if answer.status not in (_NOT_DONE if method == "POST" else _BUSY) or not left:
                    return answer
                pause = max(wait, after)
            time.sleep(min(pause, _LONGEST_WAIT))
            wait *= 2
        raise AssertionError("the last try returns or raises")

    def _once(self, method: str, url: str, headers: Mapping[str, str], body: Any) -> tuple[Answer, float]:
        """One request: the answer, and the seconds after which the service wants to be asked again."""
        request = urllib.request.Request(url, data=body, method=method, headers={"Accept": "application/json"})  # noqa: S310
        for name, value in headers.items():
            request.add_header(name, value)
        if urlsplit(url)[:2] == self._origin:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        try:
            response = self._opener.open(request, timeout=_SILENCE)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            raw = response.read(_LARGEST + 1)
            after = response.headers.get("Retry-After", "")
            where = response.headers.get("Location", "")
        if len(raw) > _LARGEST:
            raise Refused(f"{self.host} answers with more than {_LARGEST >> 20} MiB", where=self.url, next=AGAIN)
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError):  # a page of a proxy, or nothing
            found = {}
        if 300 <= response.status < 400:
            found = {"location": where}
        return Answer(response.status, found), float(after) if re.fullmatch(r"\d{1,4}", after) else 0.0

    def _refusal(self, answer: Answer, method: str) -> DiademError:
        said = one_line(answer.text("message"), 300) or "it says no more"
        if faults := self.faults_of(answer):
            said = f"{said} ({faults})"
        said = self._without_token(said)
        if answer.status in (401, 403):
            page = f"{self.url}/account/settings/applications/tokens/new/"
            make = f"Make a token with the rights deposit:write and deposit:actions: {page}"
            return Refused(f"{self.host} does not accept the token: {said}", where=self.url, next=make)
        if 300 <= answer.status < 400:
            place = one_line(answer.text("location"), 200)
            return Refused(f"{self.host} sends elsewhere: {place}", where=self.url, next="Give that address.")
        if answer.status in _FULL:
            more = "Ask the repository for more space, then give the same command again."
            return Refused(f"{self.host} has no room for it: {said}", where=self.url, next=more)
        kind = Unreachable if answer.status in _BUSY else Refused
        return kind(f"{self.host} answers {method} with {answer.status}: {said}", where=self.url, next=AGAIN)

    def faults_of(self, answer: Answer) -> str:
        """What the service finds wrong with a description, as it lists it: field and reason; "" where nothing is."""
        found = []
        for one in listed_in(answer.body, "errors"):
            messages = one.get("messages")
            words = ", ".join(str(each) for each in messages) if isinstance(messages, list) else ""
            if not text_in(one, "field").startswith("files"):  # these come afterwards
                found.append(one_line(f"{text_in(one, 'field')}: {words}"))
        return self._without_token("; ".join(found[:8]))

    def _without_token(self, text: str) -> str:
        """A service may say again what it was told."""
        return text.replace(self._token, "(the token)")

    def _require_safe(self, url: str) -> None:
        """Raise `UsageError` for an address whose bytes others can read, unless it is this machine."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
            url.encode("ascii")
        except ValueError:
            host, parts = None, urlsplit("")
        here = parts.scheme == "http" and host and _is_here(host) and _is_here(str(urlsplit(self.url).hostname))
        if here or (host and parts.scheme == "https"):
            return
        raise UsageError("a deposit goes to an address with https://", where=one_line(url), next="https://zenodo.org")


def listed_in(document: Any, key: str) -> list[dict[str, Any]]:
    """A list of objects in a document of somebody else's; none where there is none."""
    found = document.get(key) if isinstance(document, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def key_path(key: str) -> str:
    """A file's name as a part of a path."""
    return quote(key)


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
