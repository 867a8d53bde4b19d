"""Asking another node: signed requests over connections that stay open, for many threads at once."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlencode

from diadem.errors import DiademError, DocumentError, NotFound, Refused, Unreachable, UsageError
from diadem.model import canonical
from diadem.model.times import read_time
from diadem.transfer.exchange import BASE, BYTES, JSON
from diadem.transfer.wire import READ, Connection, WrongKey, why
from diadem.trust.http_signature import EMPTY_DIGEST, body_digest, sign

if TYPE_CHECKING:
    from diadem.trust.keys import PrivateKey

#: Bytes that are handed to TLS at once; larger ones cost memory, smaller ones calls.
PIECE: Final = 1 << 20
#: Bytes of a JSON answer that are read.
_MAX_JSON: Final = 8 << 20
#: Seconds after which a connection that was not used is not trusted to be open; the listener waits for 20.
_IDLE: Final = 15.0
#: A body above this is not sent before a small request has shown that the peer takes us for who we are.
_LARGE: Final = 64 * 1024
#: How often a peer that is busy is asked again, and the seconds between at most.
_BUSY_TRIES, _BUSY_WAIT = 4, 5.0
_TEXT: Final = 300

Data = bytes | bytearray | memoryview
#: A body: its bytes, or what gives its pieces, again where it must be sent again.
Body = Data | Callable[[], Iterable[Data]]


class PeerRefused(Refused):
    """What a peer answers to what it will not do.

    Attributes
    ----------
    status : int
        HTTP's.
    code : str
        The peer's word for it.
    """

    def __init__(self, message: str, *, where: str, next: str | None, status: int, code: str) -> None:  # noqa: A002
        super().__init__(message, where=where, next=next)
        self.status, self.code = status, code


class Stream:
    """The bytes of an answer, read as they come. Use it in a ``with`` block.

    Attributes
    ----------
    length : int
        Bytes of the body.
    headers : mapping of str to str
        Names in lower case.
    """

    def __init__(self, response: http.client.HTTPResponse, url: str, done: Callable[[bool], None]) -> None:
        self._response, self._url, self._done = response, url, done
        if response.length is None:
            done(False)
            raise Unreachable("the answer does not say how long it is", where=url, next="Tell its operator.")
        self.length = self._left = response.length
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill a buffer from its beginning as far as bytes have come; how many, 0 at the end.

        Raises
        ------
        Unreachable
            The connection broke before the end.
        """
        if not self._left or not len(buffer):
            return 0
        try:
            found = self._response.readinto(buffer)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(self._url, error) from error
        if not found:
            raise _broken(self._url, None)
        self._left -= found
        return found

    def read(self) -> bytes:
        """All that is left."""
        data = bytearray(self._left)
        view, at = memoryview(data), 0
        while found := self.readinto(view[at:]):
            at += found
        return bytes(data)

    def __enter__(self) -> Self:
        """The stream."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the connection back where all was read; else end it."""
        self._done(kind is None and not self._left)


class PeerClient:
    """One peer, as it is asked.

    Parameters
    ----------
    urls : sequence of str
        Its addresses, ``https://host:port``; tried in turn, the last good one first.
    tls_pins : collection of str
        SHA-256 of the public keys of its listeners.
    node_id : str
        Its id.
    sign_with : PrivateKey
        The key of who asks.
    name : str
        What people call it, for messages.
    idle : int
        Connections that are kept open while nobody uses them.
    clock : callable
        Seconds since 1970, by this machine.
    """

    def __init__(
        self,
        urls: Sequence[str],
        tls_pins: Collection[str],
        node_id: str,
        sign_with: PrivateKey,
        *,
        name: str = "",
        idle: int = 16,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not urls:
            raise Unreachable(
                f"{name or 'the node'} has told no address", next="It must ask this node, or go through a hub."
            )
        self._urls, self._pins, self._node, self._key = list(urls), frozenset(tls_pins), node_id, sign_with
        self._name, self._most, self._clock = name or node_id[:16], idle, clock
        self._idle: list[tuple[Connection, float]] = []
        self._lock = threading.Lock()
        self._offset, self._settled = 0.0, False

    # -- asking ----------------------------------------------------------------------------------------------------

    def get_json(self, path: str, query: Mapping[str, str] | None = None, *, wait: float = 0.0) -> dict[str, Any]:
        """The JSON object at a path; {} where there is nothing (204).

        Parameters
        ----------
        path : str
            Below ``/diadem/v1/``.
        query : mapping of str to str, optional
            What stands after the question mark.
        wait : float
            Seconds that the peer may take besides the usual ones, where it waits for news.

        Raises
        ------
        NotFound, PeerRefused, Unreachable
            As for every request.
        """
        with self._asked("GET", path, query, wait=wait) as (response, url):
            return _document(response, url)

    def post_json(self, path: str, document: Mapping[str, Any], *, introduce: bool = False) -> dict[str, Any]:
        """Send a JSON object; the one that is answered.

        Parameters
        ----------
        path : str
            Below ``/diadem/v1/``.
        document : mapping
            What is sent, in canonical form.
        introduce : bool
            Send the public key along: to who does not know it yet.
        """
        body = canonical.encode(dict(document), where=path)
        more = {"Diadem-Key": self._key.public.to_text()} if introduce else {}
        with self._asked("POST", path, None, body=body, headers={"Content-Type": JSON, **more}) as (response, url):
            return _document(response, url)

    def put(self, path: str, body: Body, *, length: int | None = None, digest: bytes | None = None) -> dict[str, Any]:
        """Send bytes; the JSON object that is answered.

        Parameters
        ----------
        path : str
            Below ``/diadem/v1/``.
        body : bytes-like, or callable
            The bytes (an `mmap` in a `memoryview` is one); or what gives their pieces, each time from the beginning.
        length, digest : int and bytes
            Bytes and SHA-256 of the body; needed with a callable.
        """
        if callable(body) and (length is None or digest is None):
            raise UsageError("a body in pieces needs its length and its digest")
        size = length if length is not None else len(body)  # type: ignore[arg-type]
        if size > _LARGE and not self._settled:
            self.get_json("whoami")
        given = digest if digest is not None else body_digest(body)  # type: ignore[arg-type]
        headers = {"Content-Type": BYTES}
        with self._asked("PUT", path, None, body=body, length=size, digest=given, headers=headers) as (response, url):
            return _document(response, url)

    def stream(self, path: str, *, range: tuple[int, int | None] | None = None) -> Stream:  # noqa: A002
        """The bytes at a path.

        Parameters
        ----------
        path : str
            Below ``/diadem/v1/``.
        range : (int, int or None), optional
            First byte and end (exclusive; None: to the end).

        Raises
        ------
        Unreachable
            Also where the peer answers with other bytes than were asked for.
        """
        headers = {}
        if range is not None:
            start, stop = range
            headers["Range"] = f"bytes={start}-{stop - 1 if stop is not None else ''}"
        connection, response = self._request("GET", path, None, headers=headers)

        def done(whole: bool) -> None:
            self._give_back(connection, whole=whole and not response.will_close)

        found = Stream(response, connection.url, done)
        if range is not None and not _is_range(response, range):
            done(False)
            raise Unreachable("other bytes came than were asked for", where=connection.url, next="Tell its operator.")
        return found

    def close(self) -> None:
        """End the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

    def __enter__(self) -> Self:
        """The client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    # -- one request -----------------------------------------------------------------------------------------------

    @contextmanager
    def _asked(
        self, method: str, path: str, query: Mapping[str, str] | None, **more: Any
    ) -> Iterator[tuple[http.client.HTTPResponse, str]]:
        connection, response = self._request(method, path, query, **more)
        whole = False
        try:
            yield response, connection.url
            whole = response.isclosed() and not response.will_close
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, DiademError):
                raise
            raise _broken(connection.url, error) from error
        finally:
            self._give_back(connection, whole=whole)

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        *,
        body: Body = b"",
        length: int | None = None,
        digest: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        wait: float = 0.0,
    ) -> tuple[Connection, http.client.HTTPResponse]:
        """Ask until there is an answer that is no refusal: the clock is corrected once, a busy peer asked again."""
        size = length if length is not None else len(body)  # type: ignore[arg-type]
        hashed = digest or (body_digest(body) if size else EMPTY_DIGEST)  # type: ignore[arg-type]
        message = _Message(method, BASE + path, urlencode(query or {}), body, size, hashed, dict(headers or {}))
        corrected, tries = False, 0
        while True:
            connection, response = self._sent(message, wait)
            if response.status < 300:
                self._settled = True
                return connection, response
            error = self._refusal(connection, response)
            if isinstance(error, _OtherTime) and not corrected:
                corrected = True
                self._offset = error.server_time - self._clock()
            elif response.status == 429 and tries < _BUSY_TRIES:
                tries += 1
                time.sleep(min(_BUSY_WAIT, 0.5 * 2**tries))
            else:
                raise error

    def _sent(self, message: _Message, wait: float) -> tuple[Connection, http.client.HTTPResponse]:
        """Ask over a connection that is open, or else over new ones, address by address."""
        while (connection := self._take()) is not None:
            try:
                return connection, self._over(connection, message, wait)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if isinstance(error, TimeoutError):
                    raise _broken(connection.url, error) from error
        failures: list[Unreachable] = []
        for url in list(self._urls):
            connection = Connection(url, self._pins)
            try:
                connection.connect()
            except Unreachable as error:
                failures.append(error)
                continue
            try:
                response = self._over(connection, message, wait)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                failures.append(_broken(url, error))
                continue
            self._prefer(url)
            return connection, response
        raise self._nowhere(failures)

    def _over(self, connection: Connection, message: _Message, wait: float) -> http.client.HTTPResponse:
        now = int(self._clock() + self._offset)
        signed = sign(
            message.method, message.path, message.query, digest=message.digest, to=self._node, key=self._key, now=now
        )
        target = f"{message.path}?{message.query}" if message.query else message.path
        connection.putrequest(message.method, target, skip_accept_encoding=True)
        for name, value in {**signed, **message.headers}.items():
            connection.putheader(name, value)
        if message.size or message.method != "GET":
            connection.putheader("Content-Length", str(message.size))
        connection.endheaders()
        connection.sock.settimeout(READ + wait)
        broken: OSError | None = None
        try:
            for piece in _pieces(message.body):
                connection.send(piece)
        except OSError as error:  # it may have answered before it had read all
            broken = error
        try:
            response = connection.getresponse()
        except (OSError, http.client.HTTPException):
            if broken is not None:
                raise broken from None
            raise
        connection.used = True
        return response

    def _refusal(self, connection: Connection, response: http.client.HTTPResponse) -> DiademError:
        """The error that an answer stands for."""
        url = connection.url
        try:
            error = _error_of(_document(response, url).get("error"))
        except (DiademError, OSError, http.client.HTTPException):
            error = {}
        self._give_back(connection, whole=response.isclosed() and not response.will_close)
        code, message = error.get("code", ""), f"{self._name}: {error.get('message') or response.reason}"
        if response.status == 404:
            return NotFound(message, where=url, next=error.get("next"))
        if response.status == 401 and code == "clock" and error.get("server_time"):
            try:
                moment = read_time(error["server_time"]).timestamp()
            except DocumentError:
                moment = self._clock()
            return _OtherTime(message, where=url, next=error.get("next"), server_time=moment)
        if response.status in (429, 500, 502, 503, 504):
            return Unreachable(message, where=url, next=error.get("next") or "Try again later.")
        return PeerRefused(message, where=url, next=error.get("next"), status=response.status, code=code or "refused")

    # -- connections -----------------------------------------------------------------------------------------------

    def _take(self) -> Connection | None:
        now = time.monotonic()
        with self._lock:
            while self._idle:
                connection, since = self._idle.pop()
                if now - since < _IDLE:
                    return connection
                connection.close()
        return None

    def _give_back(self, connection: Connection, *, whole: bool) -> None:
        with self._lock:
            if whole and len(self._idle) < self._most:
                self._idle.append((connection, time.monotonic()))
                return
        connection.close()

    def _prefer(self, url: str) -> None:
        with self._lock:
            self._urls.remove(url)
            self._urls.insert(0, url)

    def _nowhere(self, failures: list[Unreachable]) -> Unreachable:
        worst = next((one for one in failures if isinstance(one, WrongKey)), failures[0])
        if len(failures) == 1 or isinstance(worst, WrongKey):
            kind = WrongKey if isinstance(worst, WrongKey) else Unreachable
            return kind(f"{self._name} does not answer: {worst.message}", where=worst.where, next=worst.next)
        each = "; ".join(f"{one.where}: {one.message}" for one in failures)
        return Unreachable(f"{self._name} does not answer at any of its addresses: {each}", next=failures[0].next)


class _OtherTime(Refused):
    """The peer's clock shows another time."""

    code = "clock"

    def __init__(self, message: str, *, where: str, next: str | None, server_time: float) -> None:  # noqa: A002
        super().__init__(message, where=where, next=next)
        self.server_time = server_time


class _Message:
    """What is asked, before it is signed: each try has a signature of its own."""

    __slots__ = ("body", "digest", "headers", "method", "path", "query", "size")

    def __init__(
        self, method: str, path: str, query: str, body: Body, size: int, digest: bytes, headers: dict[str, str]
    ) -> None:
        self.method, self.path, self.query = method, path, query
        self.body, self.size, self.digest, self.headers = body, size, digest, headers


def _pieces(body: Body) -> Iterator[Data]:
    if callable(body):
        yield from body()
        return
    view = memoryview(body)
    for at in range(0, len(view), PIECE):
        yield view[at : at + PIECE]


def _document(response: http.client.HTTPResponse, url: str) -> dict[str, Any]:
    data = response.read(_MAX_JSON + 1)
    if not data and response.status == 204:
        return {}
    try:
        found = canonical.decode(data, where=url, limit=_MAX_JSON)
    except DocumentError as error:
        raise Unreachable(f"the answer is not JSON as DIADEM writes it: {error.message}", where=url) from None
    if not isinstance(found, dict):
        raise Unreachable("the answer is no JSON object", where=url)
    return found


def _error_of(found: object) -> dict[str, str]:
    """Words of somebody else: short, and nothing that a terminal would obey."""
    if not isinstance(found, dict):
        return {}
    texts = {key: value for key, value in found.items() if isinstance(value, str)}
    return {
        key: "".join(letter if letter.isprintable() else " " for letter in value[:_TEXT])
        for key, value in texts.items()
    }


_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/[0-9]{1,15}", re.ASCII)


def _is_range(response: http.client.HTTPResponse, asked: tuple[int, int | None]) -> bool:
    start, stop = asked
    if response.status == 200:
        return start == 0 and (stop is None or response.length == stop)
    found = _CONTENT_RANGE.fullmatch(response.getheader("content-range") or "")
    if found is None or int(found[1]) != start or response.length != int(found[2]) + 1 - start:
        return False
    return stop is None or int(found[2]) + 1 <= stop


def _broken(url: str, error: Exception | None) -> Unreachable:
    words = why(error) if isinstance(error, OSError) else "the connection broke before the answer was complete"
    return Unreachable(words, where=url, next="Try again; what has arrived is kept.")
