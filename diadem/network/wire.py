"""Connections to a listener that is known by the hash of its key: nothing is sent before that is compared.

A `Connection` goes to one address of a peer, a `Pool` has those to all of them, for many threads.
"""

from __future__ import annotations

import contextlib
import http.client
import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from diadem.errors import DocumentError, Unreachable
from diadem.model.peer_checks import require_url
from diadem.network.crew import waits_for, waits_no_more
from diadem.trust.tls_key import pin_of_certificate

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

T = TypeVar("T")

#: Seconds to connect (handshake included), and between two pieces of an answer.
CONNECT: Final = 10.0
READ: Final = 60.0
#: A peer whose machine or line is gone is noticed after some 25 seconds, however long its answer may take.
_ALIVE: Final = {"TCP_KEEPIDLE": 10, "TCP_KEEPALIVE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
#: Bytes a second that must move in the time that the other side is waited for, after `READ` seconds for a beginning.
SLOWEST: Final = 8 * 1024.0
#: Bytes that a call of TLS gives at most: a record (RFC 8446, 5.1); and of which heads are read at once. Seconds after
#: which what came is counted.
_RECORD: Final = 1 << 14
_HEAD: Final = 1 << 13
_COUNTED: Final = 1.0
#: Seconds after which a connection that was not used is not trusted to be open; the listener waits for 20.
_IDLE: Final = 15.0
#: Connections to a peer that are kept open at most while nobody uses them.
_KEPT: Final = 16
_SAID: Final = re.compile(r"[^:]* does not answer(?: at any of its addresses)?: ")


class PatientSocket(ssl.SSLSocket):
    """TLS that gives up a line which drips: a byte now and then is never silent for long, and never done.

    Only the time counts in which it waits for the other side: who reads slowly is not taken for who sends slowly.
    """

    _patience = _waited = 0.0
    _moved = 0

    def begin(self, patience: float) -> None:
        """From now on count what moves; at first nothing may move for so many seconds."""
        self._patience, self._waited, self._moved = patience, 0.0, 0
        self.settimeout(patience)

    def makefile(self, mode: str = "r", buffering: int | None = None, **more: Any) -> Any:
        """As of a socket, with a buffer below what is filled to its end: a head is read before all else is there."""
        return super().makefile(mode, _HEAD if buffering is None else buffering, **more)  # type: ignore[call-overload]

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        """As a socket does, but fill a large buffer while more comes; `TimeoutError` where all comes too slowly."""
        began = time.monotonic()
        size = nbytes or memoryview(buffer).nbytes
        if flags or size <= _RECORD:
            return self._counted(super().recv_into(buffer, nbytes, flags), began)
        return self._counted(self._fill(memoryview(buffer).cast("B")[:size], began + _COUNTED), began)

    def _fill(self, view: memoryview, until: float) -> int:
        """Read record by record up to a time; how many bytes came: all, or fewer where it is late or it ended."""
        read: Callable[[int, memoryview], int] = super().read  # type: ignore[assignment]  # a buffer: it counts
        at, clock = 0, time.monotonic
        while count := read(len(view) - at, view[at:]):
            at += count
            if at == len(view) or clock() > until:
                break
        return at

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        """As a socket does; `TimeoutError` where all is taken too slowly."""
        began = time.monotonic()
        return self._counted(super().send(data, flags), began)

    def _counted(self, moved: int, began: float) -> int:
        self._waited += time.monotonic() - began
        self._moved += moved
        if self._patience and self._waited > self._patience + self._moved / SLOWEST:
            raise TimeoutError("the other side is too slow")
        return moved


class WrongKey(Unreachable):
    """A listener that shows another TLS key than it should."""

    code = "tls-key"


class Connection(http.client.HTTPConnection):
    """An HTTPS connection to one of a peer's addresses, which may show a key of these SHA-256 and no other."""

    def __init__(self, url: str, pins: Collection[str]) -> None:
        parts = urlsplit(require_url(url))
        super().__init__(parts.hostname or "", parts.port or 443, timeout=CONNECT)
        #: What a gateway wants before the path; it takes it away again, so it is not signed.
        self.prefix = parts.path.rstrip("/")
        self.url, self._pins = url, pins
        #: Seconds that the other side's system took to answer, once it did.
        self.round_trip = math.inf
        self._broken_off = False

    def connect(self) -> None:
        """Connect, and compare the key.

        Raises
        ------
        WrongKey
            Somebody else answers there.
        Unreachable
            Nobody answers; says why.
        """
        try:
            self._reach()
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _ALIVE.items():
                if hasattr(socket, name):  # each system has some of them
                    self.sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
            # the socket is known before anything is waited for, so that `abort` finds it
            secured = _context().wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock = secured
            self._require_going()
            secured.do_handshake()
            self._require_pinned(secured.getpeercert(binary_form=True) or b"")
            secured.settimeout(READ)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError) and not isinstance(error, Unreachable):
                words, advice = reason_of(error)
                raise Unreachable(words, where=self.url, next=advice) from error
            raise

    def _reach(self) -> None:
        """Connect to the first address of the host that answers."""
        fault: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, 0, socket.SOCK_STREAM):
            try:
                self.sock = socket.socket(family, kind, protocol)
                self.sock.settimeout(self.timeout)
                self._require_going()
                began = time.monotonic()
                self.sock.connect(address)
                self.round_trip = time.monotonic() - began
            except OSError as error:
                self.close()
                fault = fault or error
            else:
                return
        raise fault or OSError("the name has no address")

    def _require_going(self) -> None:
        if self._broken_off:
            raise Unreachable("it was broken off", where=self.url)

    def be_patient(self, seconds: float) -> None:
        """Wait so many seconds for a beginning, of what is sent or of an answer, and then for what is not too slow."""
        if isinstance(self.sock, PatientSocket):
            self.sock.begin(seconds)

    def hold(self, most: int) -> None:
        """Let so many bytes wait unread at most."""
        if self.sock is not None:  # a peer that ends the connection has it closed here already
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, most)

    def abort(self) -> None:
        """Break it off, from any thread: who waits for it waits no longer; nor does who is about to connect."""
        self._broken_off = True
        if (sock := self.sock) is not None:
            with contextlib.suppress(OSError):  # it was closed meanwhile
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _require_pinned(self, certificate: bytes) -> None:
        try:
            pin = pin_of_certificate(certificate)
        except DocumentError as error:
            raise WrongKey(error.message, where=self.url, next="Ask its operator.") from None
        if pin not in self._pins:
            raise WrongKey(
                "another computer answers there: its TLS key is not the one that this node knows",
                where=self.url,
                next="Ask its operator whether the key was changed, or whether the address is somebody else's now.",
            )


def reason_of(error: OSError) -> tuple[str, str]:
    """What went wrong with a connection, in plain words: the name, the port, the network, or TLS; and what to do."""
    ask = "Ask whether `diadem serve` runs there."
    if isinstance(error, socket.gaierror):
        return "this host name is not known", "Check the address, and this machine's network."
    if isinstance(error, ssl.SSLError):
        return f"what answers there does not speak TLS 1.3 ({error.reason or 'no reason given'})", ask
    if isinstance(error, TimeoutError):
        return "nothing answers in time", "A firewall may be in between: ask for the port to be opened."
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens on this port", ask
    return f"the connection failed: {error.strerror or error}", ask


def _context() -> ssl.SSLContext:
    """TLS 1.3; who answers is judged by the key alone, for no authority vouches for it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = PatientSocket
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def no_answer(name: str, reason: str) -> str:
    """Say that a node does not answer, and why; a reason that says so itself is not repeated."""
    return f"{name} does not answer: {_SAID.sub('', reason, count=1)}"


class Pool:
    """Connections to one peer, for many threads: its addresses are tried in turn, the last good one first."""

    def __init__(self, urls: Sequence[str], pins: Collection[str], *, name: str) -> None:
        if not urls:
            raise Unreachable(f"{name} has given no address", next="It must ask this node, or go through a hub.")
        self._urls, self._pins, self._name = list(urls), frozenset(pins), name
        self._idle: list[tuple[Connection, float]] = []
        #: Seconds to the peer and back, by the quickest of the connections that were made.
        self.round_trip = math.inf
        self._lock = threading.Lock()

    def use(self, action: Callable[[Connection], T]) -> T:
        """Do something over a connection that is open; where it was closed in the meantime, once more over a new one.

        Raises
        ------
        Unreachable
            It succeeds at none of the addresses; says why for each.
        """
        if (connection := self._unused()) is not None:
            waits_for(connection)
            try:
                return action(connection)
            except BaseException as error:
                self._end(connection)
                if not isinstance(error, Unreachable) or isinstance(error.__cause__, TimeoutError):
                    raise
                self.close()
        return self._with_new(action)

    def _unused(self) -> Connection | None:
        """A connection that is open and unused, as far as one can know."""
        now = time.monotonic()
        with self._lock:
            while self._idle:
                connection, since = self._idle.pop()
                if now - since < _IDLE:
                    return connection
                connection.close()
        return None

    def _with_new(self, action: Callable[[Connection], T]) -> T:
        """Do something over a new connection, to the first address at which it succeeds."""
        failures: list[Unreachable] = []
        with self._lock:
            urls = list(self._urls)
        for url in urls:
            connection = Connection(url, self._pins)
            waits_for(connection)
            try:
                connection.connect()
                done = action(connection)
            except BaseException as error:
                self._end(connection)
                if not isinstance(error, Unreachable):
                    raise
                failures.append(error)
                continue
            with self._lock:
                self._urls.sort(key=lambda known: known != url)
                self.round_trip = min(self.round_trip, connection.round_trip)
            return done
        worst = next((one for one in failures if isinstance(one, WrongKey)), failures[0])
        if len(failures) == 1 or isinstance(worst, WrongKey):
            message = no_answer(self._name, worst.message)
            raise type(worst)(message, where=worst.where, next=worst.next)
        each = "; ".join(f"{one.where}: {one.message}" for one in failures)
        raise Unreachable(f"{self._name} does not answer at any of its addresses: {each}", next=failures[0].next)

    def give_back(self, connection: Connection, *, whole: bool) -> None:
        """Keep a connection whose answer was read as a `whole`; end another, and try its address last next time."""
        waits_no_more(connection)
        with self._lock:
            if whole and len(self._idle) < _KEPT:
                self._idle.append((connection, time.monotonic()))
                return
            if not whole:
                self._urls.sort(key=lambda known: known == connection.url)
        connection.close()

    def _end(self, connection: Connection) -> None:
        waits_no_more(connection)
        connection.close()

    def close(self) -> None:
        """End the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()
