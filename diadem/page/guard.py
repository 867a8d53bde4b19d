"""Who may see the page: whoever opened it on this machine, and nobody whom a browser can be made to speak for.

The enemies are other sites in the same browser, names that are made to lead to this machine, and other users of it. The
address that `diadem page` opens holds a token that counts once; it is exchanged for a cookie that no script reads and
that is sent to no other site. Every form carries a word that only pages of this run know.

A cookie of 127.0.0.1 goes to every port of it: a server of another user that this browser is made to visit is told it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
import threading
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from diadem.page.html import environment, error_page, page

#: Where the one-time address leads.
ENTRANCE: Final = "/enter"
#: Field of a form with the word that only our pages know.
FORM_WORD: Final = "form_word"
#: Where files are sent. Their form is not held in memory: the view reads it as it comes, and asks for its word first.
UPLOAD: Final = "/take-in/upload"
#: Seconds for which a browser has time to start, and to read the file with the address.
_STAYS: Final = 60.0
#: Methods that change nothing.
_SAFE: Final = frozenset({"GET", "HEAD"})
#: Bytes of a form without files.
MOST_FORM: Final = 1 << 20
#: What every answer says. Pages load nothing but our own files and stand in nobody's frame.
_ANSWERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",  # with no-referrer a browser says of our own forms that they come from nowhere
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Keys:
    """The secrets of one run of the page.

    Parameters
    ----------
    port : int
        Where it listens: cookies of one host are shared by its ports, so the cookie's name has it.
    """

    def __init__(self, port: int) -> None:
        self.cookie: Final = f"diadem-page-{port}"
        self.origins: Final = tuple(f"http://{host}:{port}" for host in ("127.0.0.1", "localhost"))
        self._session = secrets.token_urlsafe(32)
        self._tokens: set[str] = set()
        self._lock = threading.Lock()

    @property
    def hosts(self) -> Sequence[str]:
        """Names under which the page answers; a name of somebody else's that leads here is none of them."""
        return [origin.partition("//")[2] for origin in self.origins]

    @property
    def form_word(self) -> str:
        """What every form of ours sends along."""
        return hmac.new(self._session.encode(), b"form", hashlib.sha256).hexdigest()

    def new_address(self) -> str:
        """An address that lets one browser in, once."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._tokens.add(token)
        return f"{self.origins[0]}{ENTRANCE}?token={token}"

    def admit(self, token: str) -> str | None:
        """The cookie's value for a token that was not used; None for any other."""
        with self._lock:
            if token not in self._tokens:
                return None
            self._tokens.remove(token)
        return self._session

    def knows(self, cookie: str) -> bool:
        """Whether this is the cookie that was given out."""
        return hmac.compare_digest(cookie.encode("utf-8", "surrogatepass"), self._session.encode())

    def is_form(self, word: str) -> bool:
        """Whether a form is one of ours."""
        return hmac.compare_digest(word.encode("utf-8", "surrogatepass"), self.form_word.encode())


@contextlib.contextmanager
def opened_entrance(address: str) -> Iterator[None]:
    """Have the browser open a file that leads to the address: others who use the machine read command lines.

    This account alone can read it, for a minute.
    """
    # a browser that came as a snap sees no temporary folder, and of the home what is not hidden
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - an account may have none
    place = home if Path("/snap").is_dir() and home.is_absolute() else None
    with tempfile.TemporaryDirectory(prefix="diadem-page-", dir=place, ignore_cleanup_errors=True) as folder:
        door = Path(folder, "open.html")
        door.touch(0o600)
        door.write_text(environment().get_template("entrance.html").render(address=address), "utf-8")
        closing = threading.Timer(_STAYS, door.unlink, kwargs={"missing_ok": True})
        closing.daemon = True
        closing.start()
        webbrowser.open(door.as_uri())
        yield
        closing.cancel()


class Guard:
    """Let requests through that come from the person who opened the page.

    Parameters
    ----------
    app : ASGI application
        The pages.
    keys : Keys
        Of this run.
    read_only : bool
        Whether nothing may be changed.
    """

    def __init__(self, app: ASGIApp, keys: Keys, *, read_only: bool = False) -> None:
        self._app, self._keys, self._read_only = app, keys, read_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or have it answered."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        answer = self._refusal(request)
        if answer is None and request.method not in _SAFE:
            answer = await self._unjudged_form(request)
        if answer is not None:
            await answer(scope, receive, _stamped(send))
            return
        await self._app(scope, receive, _stamped(send))

    def _refusal(self, request: Request) -> Response | None:
        """Why a request is not answered; None for one that is."""
        keys = self._keys
        if request.headers.get("host", "").lower() not in keys.hosts:
            return error_page(421, "This is not the address of this page.", f"Open {keys.origins[0]} in its place.")
        if request.url.path == ENTRANCE and request.method == "GET":
            cookie = keys.admit(request.query_params.get("token", ""))
            if cookie is None:
                return error_page(403, "This address was used already, or belongs to another run.", _AGAIN)
            entered = page("entered.html", {})  # a redirect of a chain that began in a file gets no strict cookie
            entered.set_cookie(keys.cookie, cookie, httponly=True, samesite="strict")
            entered.headers["cache-control"] = "no-store"
            return entered
        if not keys.knows(request.cookies.get(keys.cookie, "")):
            return error_page(403, "This browser may not use the page.", _AGAIN)
        if request.method not in _SAFE:
            if self._read_only:
                return error_page(403, "This page is read-only.", "Start diadem page without --read-only.")
            if not self._is_ours(request.headers):
                return error_page(403, "This came from another site.", "Use the buttons of this page.")
        return None

    def _is_ours(self, headers: Headers) -> bool:
        """Whether a page of ours sent the request, by what the browser says of it."""
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site") == "same-origin"
        return origin.lower() in self._keys.origins

    async def _unjudged_form(self, request: Request) -> Response | None:
        """A refusal for a form that is none of ours; else its fields are handed on as ``scope["form"]``.

        An upload is judged where it is read, by ``scope["is_form"]``.
        """
        if request.url.path == UPLOAD and request.headers.get("content-type", "").startswith("multipart/form-data"):
            request.scope["is_form"] = self._keys.is_form
            return None
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > MOST_FORM:
                return error_page(413, "The form is too large.", "Send less at once.")
        try:
            fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10_000)
        except ValueError:
            return error_page(400, "The form has too many fields.", "Send less at once.")
        if not self._keys.is_form(fields.pop(FORM_WORD, [""])[0]):
            return error_page(
                403, "This form belongs to another run of the page.", "Go back, reload the page, and try again."
            )
        request.scope["form"] = fields
        return None


#: What a person does to be let in.
_AGAIN: Final = "Run it again, and it opens the page in your browser: diadem page"


def _stamped(send: Send) -> Send:
    """Add to every answer what keeps other sites out."""

    async def stamped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _ANSWERS.items():
                headers[name] = value
            if "cache-control" not in headers:
                headers["cache-control"] = "no-store"
        await send(message)

    return stamped
