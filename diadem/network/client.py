"""Asking another node: signed requests over connections that stay open, for many threads at once."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlencode

from diadem.errors import DiademError, Unreachable, UsageError
from diadem.model import canonical
from diadem.network.answers import OtherTime, PeerRefused, Stream, broken, is_range, json_of, refusal
from diadem.network.exchange import BASE, BYTES, JSON
from diadem.network.pool import Pool
from diadem.network.wire import READ, Connection
from diadem.trust.http_signature import EMPTY_DIGEST, body_digest, sign

if TYPE_CHECKING:
    from diadem.trust.keys import PrivateKey

__all__ = ["Body", "PeerClient", "PeerRefused", "Stream"]

#: Bytes that are handed to TLS at once; larger ones cost memory, smaller ones calls.
PIECE: Final = 1 << 20
#: A body above this is not sent before a small request has shown that the peer takes us for who we are.
_LARGE: Final = 64 * 1024
#: How often a peer that is busy is asked again, and the seconds between at most.
_BUSY_TRIES, _BUSY_WAIT = 4, 5.0

Data = bytes | bytearray | memoryview
#: A body: its bytes, or what gives its pieces, again where it must be sent again.
Body = Data | Callable[[], Iterable[Data]]


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
        self._node, self._key, self._clock = node_id, sign_with, clock
        self._name = name or node_id[:16]
        self._pool = Pool(urls, tls_pins, name=self._name, most=idle)
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
            return json_of(response, url)

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
        return self.post_line(path, canonical.encode(dict(document), where=path), introduce=introduce)

    def post_line(self, path: str, line: bytes, *, introduce: bool = False) -> dict[str, Any]:
        """The same with the canonical JSON object at hand, as an envelope is: what was signed is sent as it is."""
        more = {"Diadem-Key": self._key.public.to_text()} if introduce else {}
        with self._asked("POST", path, None, body=line, headers={"Content-Type": JSON, **more}) as (response, url):
            return json_of(response, url)

    def put(
        self,
        path: str,
        body: Body,
        query: Mapping[str, str] | None = None,
        *,
        length: int | None = None,
        digest: bytes | None = None,
        media: str = BYTES,
    ) -> dict[str, Any]:
        """Send bytes; the JSON object that is answered.

        Parameters
        ----------
        path : str
            Below ``/diadem/v1/``.
        body : bytes-like, or callable
            The bytes (an `mmap` in a `memoryview` is one); or what gives their pieces, each time from the beginning.
        query : mapping of str to str, optional
            What stands after the question mark.
        length, digest : int and bytes
            Bytes and SHA-256 of the body; needed with a callable.
        media : str
            What they are.
        """
        if callable(body) and (length is None or digest is None):
            raise UsageError("a body in pieces needs its length and its digest")
        size = length if length is not None else len(body)  # type: ignore[arg-type]
        if size > _LARGE and not self._settled:
            self.get_json("whoami")
        given = digest if digest is not None else body_digest(body)  # type: ignore[arg-type]
        headers = {"Content-Type": media}
        with self._asked("PUT", path, query, body=body, length=size, digest=given, headers=headers) as (response, url):
            return json_of(response, url)

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
            self._pool.give_back(connection, whole=whole and not response.will_close)

        found = Stream(response, connection, done)
        if range is not None and not is_range(response, range):
            done(False)
            raise Unreachable(
                "the answer has different bytes than were asked for", where=connection.url, next="Tell its operator."
            )
        return found

    def close(self) -> None:
        """End the connections that nobody uses."""
        self._pool.close()

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
            raise broken(connection.url, error) from error
        finally:
            self._pool.give_back(connection, whole=whole)

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
            error = refusal(response, name=self._name, url=connection.url, now=self._clock())
            self._pool.give_back(connection, whole=response.isclosed() and not response.will_close)
            if isinstance(error, OtherTime) and not corrected:
                corrected = True
                self._offset = error.server_time - self._clock()
            elif response.status == 429 and tries < _BUSY_TRIES:
                tries += 1
                time.sleep(min(_BUSY_WAIT, 0.5 * 2**tries))
            else:
                raise error

    def _sent(self, message: _Message, wait: float) -> tuple[Connection, http.client.HTTPResponse]:
        """Ask over a connection that is open; where it was closed in the meantime, once more over a new one."""
        if (connection := self._pool.take()) is not None:
            try:
                return connection, self._over(connection, message, wait)
            except Unreachable as error:
                connection.close()
                if isinstance(error.__cause__, TimeoutError):
                    raise
                self._pool.close()
        return self._pool.with_new(lambda new: self._over(new, message, wait))

    def _over(self, connection: Connection, message: _Message, wait: float) -> http.client.HTTPResponse:
        """Ask over this connection, signed anew."""
        now = int(self._clock() + self._offset)
        signed = sign(
            message.method, message.path, message.query, digest=message.digest, to=self._node, key=self._key, now=now
        )
        target = f"{message.path}?{message.query}" if message.query else message.path
        connection.putrequest(message.method, connection.prefix + target, skip_accept_encoding=True)
        for name, value in {**signed, **message.headers}.items():
            connection.putheader(name, value)
        if message.size or message.method != "GET":
            connection.putheader("Content-Length", str(message.size))
        cut: OSError | None = None
        try:
            connection.endheaders()
            connection.be_patient(READ)
        except OSError as error:
            raise broken(connection.url, error) from error
        for piece in _pieces(message.body):
            try:
                connection.send(piece)
            except OSError as error:  # it may have answered before it had read all
                cut = error
                break
        if isinstance(cut, TimeoutError):
            raise broken(connection.url, cut) from cut
        try:
            connection.be_patient(READ + wait)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise broken(connection.url, cut or error) from (cut or error)


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
