"""The wire between two nodes, as what moves packages sees it: HTTPS (`diadem.network.client.PeerLink`) or any other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Protocol, Self


class Reader(Protocol):
    """Bytes that come."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the beginning of a buffer; 0 at the end. Raises `Unreachable` where the connection breaks."""


class Incoming(Reader, Protocol):
    """Bytes that come over a connection."""

    def hold(self, most: int) -> None:
        """Let so many bytes wait unread at most: they are lost where this process ends."""

    def __enter__(self) -> Self:
        """Itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the connection."""


class Link(Protocol):
    """A way to one peer. Safe to use from many threads at once; what waits is broken off where its crew ends.

    Failures are `Unreachable` (may work later), `NotFound` (nothing there for us: revoked, ended, never there) and
    `Refused`.
    """

    @property
    def round_trip(self) -> float:
        """Seconds to the peer and back, as far as is known; infinite where nothing is."""

    def post_message(self, data: bytes) -> bytes:
        """Hand over a control message; its answer."""

    def waiting_messages(self) -> list[bytes]:
        """Messages that wait at the peer for this node."""

    def acknowledge(self, message: str) -> None:
        """Tell that a message was taken from there."""

    def open_part(self, transfer: str, number: int) -> Incoming:
        """Part 0 (the tag manifest) or 1 (the other tag files)."""

    def open_window(self, transfer: str, number: int, start: int, stop: int) -> Incoming:
        """Bytes of a payload window: the first, and the end (exclusive)."""

    def have(self, transfer: str) -> bytes:
        """What the peer has of a package that is pushed to it."""

    def put_part(self, transfer: str, number: int, data: bytes) -> None:
        """Hand over a part."""

    def put_window(self, transfer: str, number: int, start: int, pieces: Callable[[], Iterable[bytes]]) -> None:
        """Hand over whole leaves of a window, from a byte on; `pieces` gives them, each time from the beginning.

        Raises `IntegrityError` where the peer finds one wrong.
        """
