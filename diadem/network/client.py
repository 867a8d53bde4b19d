"""Asking another node: signed requests over connections that stay open, for many threads at once.

`PeerClient` sends a request and hands out its `Answer`; a `PeerLink` says the words of transfers by it.
"""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self
from urllib.parse import urlencode

from diadem.errors import DiademError, DocumentError, IntegrityError, NotFound, Refused, Unreachable, UsageError
from diadem.model import canonical
from diadem.model.carriers import CarrierFull
from diadem.model.peers import Unproven
from diadem.model.plain_text import one_line
from diadem.model.ports import Closing
from diadem.model.times import read_time
from diadem.network.crew import rest
from diadem.network.exchange import BASE, BYTES, JSON
from diadem.network.limits import MAX_ANSWER, MAX_CHECKPOINT, PORTION
from diadem.network.wire import READ, Connection, Pool, reason_of
from diadem.trust.http_signature import EMPTY_DIGEST, body_digest, length_and_digest, sign

if TYPE_CHECKING:
    from diadem.model.peers import Contact
    from diadem.network.link import Incoming
    from diadem.trust.keys import PrivateKey

__all__ = ["Answer", "Body", "Connect", "PeerClient", "PeerLink", "PeerRefused", "Poster", "dial"]

#: A body above this is not sent before a small request has shown that the peer takes us for who we are.
_LARGE: Final = 64 * 1024
#: How often a peer that is busy is asked again, and the seconds between at most.
_BUSY_TRIES, _BUSY_WAIT = 4, 5.0
#: Characters of a peer's words that are shown.
_TEXT: Final = 300
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/[0-9]{1,15}", re.ASCII)

Data = bytes | bytearray | memoryview
#: A body: its bytes, or what gives its pieces, again where it must be sent again.
Body = Data | Callable[[], Iterable[Data]]


class Poster(Protocol):
    """Of a client what peering needs, which tests give without sockets."""

    def post_line(self, path: str, line: bytes, *, introduce: bool = False) -> dict[str, Any]:
        """See `PeerClient.post_line`."""
        ...

    def close(self) -> None:
        """See `PeerClient.close`."""
        ...


#: Makes one: whom to call, and the key that signs the requests.
Connect = Callable[["Contact", "PrivateKey"], Poster]


def dial(contact: Contact, key: PrivateKey) -> PeerClient:
    """A node, called at its addresses over TLS with the keys that are known of it."""
    return PeerClient(contact.urls, contact.tls, contact.node, key, name=contact.name)


class PeerClient(Closing):
    """One peer, as it is asked. Paths are below ``/diadem/v1/``; each request may raise what `Answer.refusal` knows.

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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._node, self._key, self._clock = node_id, sign_with, clock
        self._name = name or node_id[:16]
        self._pool = Pool(urls, tls_pins, name=self._name)
        self._offset, self._settled = 0.0, False

    @property
    def round_trip(self) -> float:
        """Seconds to it and back, as far as is known; infinite before it was reached."""
        return self._pool.round_trip

    def get_json(self, path: str, query: Mapping[str, str] | None = None, *, wait: float = 0.0) -> dict[str, Any]:
        """The JSON object at a path; {} where there is nothing (204).

        The peer may take `wait` seconds besides the usual ones, where it waits for news.
        """
        with self._ask("GET", path, query, wait=wait) as answer:
            return answer.json()

    def post_json(self, path: str, document: Mapping[str, Any], *, introduce: bool = False) -> dict[str, Any]:
        """Send a JSON object; the one that is answered. With `introduce` the public key goes along."""
        return self.post_line(path, canonical.encode(dict(document), where=path), introduce=introduce)

    def post_line(self, path: str, line: bytes, *, introduce: bool = False) -> dict[str, Any]:
        """The same with the canonical JSON object at hand, as an envelope is: what was signed is sent as it is."""
        more = {"Diadem-Key": self._key.public.to_text()} if introduce else {}
        headers, digest = {"Content-Type": JSON, **more}, body_digest(line)
        with self._ask("POST", path, body=line, length=len(line), digest=digest, headers=headers) as answer:
            return answer.json()

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
        """Send bytes, or what a callable gives of them, each time from the beginning; the JSON object that is answered.

        A callable needs the bytes and SHA-256 of the whole beside it.
        """
        if not callable(body):
            length = len(body) if length is None else length
            digest = body_digest(body) if digest is None else digest
        if length is None or digest is None:
            raise UsageError("a body in pieces needs its length and its digest")
        if length > _LARGE and not self._settled:
            self.get_json("whoami")
        headers = {"Content-Type": media}
        with self._ask("PUT", path, query, body=body, length=length, digest=digest, headers=headers) as answer:
            return answer.json()

    def stream(self, path: str, *, range: tuple[int, int | None] | None = None) -> Answer:  # noqa: A002
        """The bytes at a path, or of them a `range`: the first, and the end (exclusive; None: to the end).

        Raises
        ------
        Unreachable
            Also where the peer answers with other bytes than were asked for, or does not say how many.
        """
        headers = {}
        if range is not None:
            start, stop = range
            headers["Range"] = f"bytes={start}-{stop - 1 if stop is not None else ''}"
        answer = self._ask("GET", path, headers=headers)
        try:
            answer.require_range(range)
        except BaseException:
            answer.end(whole=False)
            raise
        return answer

    def close(self) -> None:
        """End the connections that nobody uses."""
        self._pool.close()

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Body = b"",
        length: int = 0,
        digest: bytes = EMPTY_DIGEST,
        headers: Mapping[str, str] | None = None,
        wait: float = 0.0,
    ) -> Answer:
        """Ask until there is an answer that is no refusal: the clock is corrected once, a busy peer asked again."""
        path, asked = BASE + path, urlencode(query or {})
        more = dict(headers or {}) | ({"Content-Length": str(length)} if length or method != "GET" else {})

        def send(connection: Connection) -> Answer:
            """Ask over this connection: each try has a signature of its own."""
            now = int(self._clock() + self._offset)
            signed = sign(method, path, asked, digest=digest, to=self._node, key=self._key, now=now)
            target = f"{path}?{asked}" if asked else path
            connection.putrequest(method, connection.prefix + target, skip_accept_encoding=True)
            for name, value in {**signed, **more}.items():
                connection.putheader(name, value)
            cut: OSError | None = None
            try:
                connection.endheaders()
                connection.be_patient(READ)
            except OSError as error:
                raise _broken(connection.url, error) from error
            for piece in _pieces(body):
                try:
                    connection.send(piece)
                except OSError as error:  # it may have answered before it had read all
                    cut = error
                    break
            if isinstance(cut, TimeoutError):
                raise _broken(connection.url, cut) from cut
            try:
                connection.be_patient(READ + wait)
                return Answer(connection.getresponse(), connection, self._pool)
            except (OSError, http.client.HTTPException) as error:
                raise _broken(connection.url, cut or error) from (cut or error)

        corrected, tries = False, 0
        while True:
            answer = self._pool.use(send)
            if answer.status < 300:
                self._settled = True
                return answer
            with answer:
                refusal = answer.refusal(self._name, now=self._clock())
            if isinstance(refusal, OtherTime) and not corrected:
                corrected = True
                self._offset = refusal.server_time - self._clock()
            elif answer.status == 429 and tries < _BUSY_TRIES:
                tries += 1
                rest(min(_BUSY_WAIT, 0.5 * 2**tries))
            else:
                raise refusal


def _pieces(body: Body) -> Iterator[Data]:
    if callable(body):
        yield from body()
        return
    view = memoryview(body)
    for at in range(0, len(view), PORTION):
        yield view[at : at + PORTION]


class Answer:
    """What a peer answers: bytes as they come, a JSON object, or the error that it is. Use it in a ``with`` block.

    Attributes
    ----------
    status : int
        HTTP's.
    length : int
        Bytes of the body; 0 where the peer does not say how many.
    headers : mapping of str to str
        Names in lower case.
    """

    def __init__(self, response: http.client.HTTPResponse, connection: Connection, pool: Pool) -> None:
        self._response, self._connection, self._pool = response, connection, pool
        self.status, self.length = response.status, response.length or 0
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        if response.length == 0:
            response.close()  # nothing is left to read, and the connection is free

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill a buffer from its beginning as far as bytes have come; how many, 0 at the end.

        Raises
        ------
        Unreachable
            The connection broke before the end.
        """
        if not self._response.length or not len(buffer):
            return 0
        try:
            found = self._response.readinto(buffer)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(self._connection.url, error) from error
        if not found:
            raise _broken(self._connection.url, None)
        return found

    def read(self, most: int) -> bytearray:
        """All that is left, once in memory.

        Raises
        ------
        Unreachable
            It is more than `most` bytes, or the connection broke before the end.
        """
        left = self._response.length or 0
        if left > most:
            message = f"the answer has {left:,} bytes; at most {most:,} are read"
            raise Unreachable(message, where=self._connection.url, next="Do not trust it; tell its operator.")
        data, at = bytearray(left), 0
        with memoryview(data) as view:
            while found := self.readinto(view[at:]):
                at += found
        return data

    def json(self) -> dict[str, Any]:
        """The JSON object of it; {} where there is none (204).

        Raises
        ------
        Unreachable
            What came is something else, or the connection broke before the end.
        """
        url = self._connection.url
        try:
            data = self._response.read(MAX_ANSWER + 1)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(url, error) from error
        if not data and self.status == 204:
            return {}
        try:
            found = canonical.decode(data, where=url, limit=MAX_ANSWER)
        except DocumentError as error:
            raise Unreachable(f"the answer is not JSON as DIADEM writes it: {error.message}", where=url) from None
        if not isinstance(found, dict):
            raise Unreachable("the answer is not a JSON object", where=url)
        return found

    def refusal(self, name: str, *, now: float) -> DiademError:
        """The error that it stands for; `now` is the time of a peer that says none."""
        try:
            told = self.json().get("error")
        except DiademError:
            told = None
        told = told if isinstance(told, dict) else {}
        # words of somebody else: short, and nothing that a terminal would obey.
        words = {key: one_line(value, _TEXT) for key, value in told.items() if isinstance(value, str)}
        code, after, url = words.get("code", ""), words.get("next"), self._connection.url
        message = f"{name}: {words.get('message') or one_line(self._response.reason, _TEXT)}"
        if self.status == 404:
            return NotFound(message, where=url, next=after)
        if self.status == 401 and code == OtherTime.code:
            try:
                moment = read_time(words.get("server_time", "")).timestamp()
            except DocumentError:
                moment = now
            return OtherTime(message, where=url, next=after, server_time=moment)
        if self.status == 507:
            return CarrierFull(message, where=url, next=after)
        seen = told.get("seen")  # a checkpoint of this node's log: lines, not words
        if code == Unproven.code and isinstance(seen, str) and len(seen) <= MAX_CHECKPOINT:
            return Unproven(message, seen, where=url, next=after)
        if self.status in (429, 500, 502, 503, 504):
            return Unreachable(message, where=url, next=after or "Try again later.")
        return PeerRefused(message, where=url, next=after, status=self.status, code=code or "refused")

    def require_range(self, asked: tuple[int, int | None] | None) -> None:
        """That it says how many bytes come, and that these are those that were asked for; None where all were.

        Raises
        ------
        Unreachable
            It is not so.
        """
        length, url = self._response.length, self._connection.url
        if length is None:
            raise Unreachable("the answer does not say how long it is", where=url, next="Tell its operator.")
        if asked is None:
            return
        start, stop = asked
        # the whole of it may be less than was asked for: a run of windows of which an earlier version gives the first.
        fine = start == 0 and (stop is None or length <= stop)
        if self.status != 200:
            found = _CONTENT_RANGE.fullmatch(self.headers.get("content-range", ""))
            first, end = (int(found[1]), int(found[2]) + 1) if found else (-1, -1)
            fine = first == start and length == end - start and (stop is None or end <= stop)
        if not fine:
            raise Unreachable(
                "the answer has different bytes than were asked for", where=url, next="Tell its operator."
            )

    def hold(self, most: int) -> None:
        """Let so many bytes wait unread at most."""
        self._connection.hold(most)

    def end(self, *, whole: bool) -> None:
        """Give the connection back, to be used again where the `whole` answer was read."""
        self._pool.give_back(self._connection, whole=whole and not self._response.will_close)

    def __enter__(self) -> Self:
        """The answer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the connection back where all was read; else end it."""
        self.end(whole=kind is None and self._response.isclosed() and not self._response.length)


def _broken(url: str, error: Exception | None) -> Unreachable:
    """The error of a connection that ended too early."""
    words = reason_of(error)[0] if isinstance(error, OSError) else "the connection broke before the answer was complete"
    return Unreachable(words, where=url, next="Try again; what has arrived is kept.")


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


class OtherTime(Refused):
    """The peer's clock shows another time."""

    code = "clock"

    def __init__(self, message: str, *, where: str, next: str | None, server_time: float) -> None:  # noqa: A002
        super().__init__(message, where=where, next=next)
        self.server_time = server_time


@dataclass(frozen=True, slots=True)
class PeerLink:
    """A way to a peer over HTTPS. Implements `diadem.network.link.Link`."""

    client: PeerClient

    @property
    def round_trip(self) -> float:
        """See `Link.round_trip`."""
        return self.client.round_trip

    def post_message(self, data: bytes) -> bytes:
        """See `Link.post_message`."""
        return canonical.encode(self.client.post_line("messages", data), where="answer")

    def waiting_messages(self) -> list[bytes]:
        """See `Link.waiting_messages`."""
        found = self.client.get_json("messages").get("messages", [])
        if not isinstance(found, list):
            raise Unreachable("this version does not understand what waits there", next="Update DIADEM on both sides.")
        return [canonical.encode(one, where="messages") for one in found if isinstance(one, dict)]

    def acknowledge(self, message: str) -> None:
        """See `Link.acknowledge`."""
        self.client.post_json(f"messages/{message}/ack", {})

    def open_part(self, transfer: str, number: int) -> Incoming:
        """See `Link.open_part`."""
        return self.client.stream(f"transfers/{transfer}/parts/{number}")

    def open_window(self, transfer: str, number: int, start: int, stop: int) -> Incoming:
        """See `Link.open_window`."""
        return self.client.stream(f"transfers/{transfer}/windows/{number}", range=(start, stop))

    def have(self, transfer: str) -> bytes:
        """See `Link.have`."""
        return canonical.encode(self.client.get_json(f"transfers/{transfer}/have"), where="have")

    def put_part(self, transfer: str, number: int, data: bytes) -> None:
        """See `Link.put_part`."""
        self.client.put(f"transfers/{transfer}/parts/{number}", data)

    def put_window(self, transfer: str, number: int, start: int, pieces: Callable[[], Iterable[bytes]]) -> None:
        """See `Link.put_window`."""
        length, digest = length_and_digest(pieces())
        query = {"from": str(start)} if start else None
        try:
            self.client.put(f"transfers/{transfer}/windows/{number}", pieces, query, length=length, digest=digest)
        except PeerRefused as error:
            if error.status != 422:
                raise
            raise IntegrityError(error.message, where=error.where, next=error.next) from error
