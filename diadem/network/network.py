"""What transfers need of the rest of the network, as protocols: who the peers are, who may read, how one is reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from diadem.errors import Unreachable
from diadem.network.boxes import Boxes


class Peer(Protocol):
    """A node that this one knows."""

    @property
    def id(self) -> str:
        """64 hex digits: SHA-256 of its root key."""

    @property
    def name(self) -> str:
        """What this node calls it; unique here."""

    @property
    def confirmed(self) -> bool:
        """Whether both sides agreed that it is the one that was meant."""


class Peers(Protocol):
    """The nodes that this one knows."""

    def get(self, node_id: str) -> Peer | None:
        """The peer with this id."""

    def named(self, name: str) -> Peer | None:
        """The peer that is called so here."""


class Access(Protocol):
    """Who may read what."""

    def ensure_read(self, package: str, *, to: str, recipient: str, expires: datetime) -> str:
        """Id of a statement by which someone may read a package now; one is written where there is none.

        Parameters
        ----------
        package : str
            Its id.
        to : str
            ``marie@nmi``, by the name that this node gives to the peer.
        recipient : str
            Id of the node of that person.
        expires : datetime
            Until when it must hold at least.

        Raises
        ------
        Refused
            The user at work is not the owner.
        """

    def direct_only(self, package: str, *, to: str, recipient: str) -> bool:
        """Whether what lets somebody of a node read the package demands that its bytes go through no hub.

        Raises
        ------
        NotFound
            It may not be read at all.
        """

    def require_read(self, package: str, *, to: str, recipient: str) -> None:
        """Return if somebody of a node may read the package now.

        Raises
        ------
        NotFound
            It may not; the same whether there is no such package, no grant, or one that was revoked or has ended.
        """


class Reader(Protocol):
    """Bytes that come."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the beginning of a buffer; 0 at the end. Raises `Unreachable` where the connection breaks."""


class Incoming(Reader, Protocol):
    """Bytes that come over a connection."""

    def hold(self, most: int) -> None:
        """Let so many bytes wait unread at most: they are lost where this process ends."""

    def abort(self) -> None:
        """Let who reads, in another thread, wait no longer: the connection breaks."""

    def __enter__(self) -> Self:
        """Itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the connection."""


class Link(Protocol):
    """A way to one peer. Safe to use from many threads at once.

    Failures are `Unreachable` (may work later), `NotFound` (nothing there for us: revoked, ended, never there) and
    `Refused`.
    """

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


def no_hub(_: str) -> Boxes:
    """For a node that knows no hub."""
    raise Unreachable("this node knows no such hub", next="See: diadem peer ls")


@dataclass(frozen=True, slots=True)
class Network:
    """The network as one node sees it.

    Attributes
    ----------
    peers : Peers
        Whom it knows.
    access : Access
        Who may read.
    link : callable
        A way to the peer with this id. Raises `Unreachable` where it has no address.
    pushes : callable
        Whether this node pushes what the peer with this id accepted: because the peer cannot reach it.
    brings : callable
        Whether the peer with this id pushes what this node accepted: because this node cannot call it.
    polled : callable
        Ids of the peers that are asked for messages again and again: because they cannot reach this node.
    reachable : callable
        Ids of the peers that can be called: a person who looks into the inbox has them asked.
    hub : callable
        The boxes of the hub with this id. Raises `Unreachable` where there is no such hub.
    """

    peers: Peers
    access: Access
    link: Callable[[str], Link]
    pushes: Callable[[str], bool] = lambda _: False
    brings: Callable[[str], bool] = lambda _: False
    polled: Callable[[], Iterable[str]] = tuple
    reachable: Callable[[], Iterable[str]] = tuple
    hub: Callable[[str], Boxes] = no_hub
