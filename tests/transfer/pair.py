"""Two nodes that know each other; what one sends is handed to the other's own code, without a socket between."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import diadem
from diadem.errors import Unreachable
from diadem.model import canonical
from diadem.transfer.desk import Desk
from diadem.transfer.exchange import FileRange, Response
from diadem.transfer.incoming import receive
from diadem.transfer.log_access import LogAccess
from diadem.transfer.network import Network
from diadem.transfer.postman import acknowledged, waiting_for
from diadem.transfer.pushed import Pushed
from diadem.transfer.serving import Serving


@dataclass(frozen=True)
class Known:
    """A peer."""

    id: str
    name: str
    confirmed: bool = True


@dataclass
class Roster:
    """The peers of a node."""

    known: list[Known] = field(default_factory=list)

    def get(self, node_id: str) -> Known | None:
        return next((one for one in self.known if one.id == node_id), None)

    def named(self, name: str) -> Known | None:
        return next((one for one in self.known if one.name == name), None)


def body_of(response: Response) -> bytes:
    """The bytes of an answer."""
    body = response.body
    if isinstance(body, FileRange):
        return body.path.read_bytes()[body.start : body.stop]
    return body if isinstance(body, bytes) else b"".join(body)


class Bytes(io.BytesIO):
    """Bytes on their way."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass
class Wire:
    """The way from one node to another."""

    own: str
    desk: Callable[[], Desk]
    down: bool = False
    #: Every message that went, as it was sent.
    sent: list[bytes] = field(default_factory=list)
    #: Windows that were asked for, and from which byte on; bytes that were given.
    windows: list[tuple[int, int]] = field(default_factory=list)
    moved: int = 0
    served: Serving | None = None
    taken: Pushed | None = None
    #: What becomes of bytes on their way: window or part, its number, the first byte, and the bytes.
    spoil: Callable[[str, int, int, bytes], bytes] = lambda _kind, _number, _start, data: data

    def _answering(self) -> Desk:
        if self.down:
            raise Unreachable("it does not answer")
        return self.desk()

    def post_message(self, data: bytes) -> bytes:
        desk = self._answering()
        self.sent.append(data)
        return receive(desk, self.own, data)

    def waiting_messages(self) -> list[bytes]:
        return waiting_for(self._answering(), self.own)

    def acknowledge(self, message: str) -> None:
        acknowledged(self._answering(), self.own, message)

    def open_part(self, transfer: str, number: int) -> Bytes:
        return self._bytes(number, 0, self._serving().part(self.own, transfer, number), "part")

    def open_window(self, transfer: str, number: int, start: int, stop: int) -> Bytes:
        self.windows.append((number, start))
        return self._bytes(number, start, self._serving().window(self.own, transfer, number, start, stop), "window")

    def have(self, transfer: str) -> bytes:
        return canonical.encode(self._pushed().have(self.own, transfer), where="")

    def put_part(self, transfer: str, number: int, data: bytes) -> None:
        self._pushed().put_part(self.own, transfer, number, self.spoil("part", number, 0, data))

    def put_window(self, transfer: str, number: int, data: bytes) -> None:
        self.windows.append((number, 0))
        self._pushed().put_window(self.own, transfer, number, self.spoil("window", number, 0, data))

    def _pushed(self) -> Pushed:
        desk = self._answering()
        if self.taken is None:
            self.taken = Pushed(desk)
        return self.taken

    def _serving(self) -> Serving:
        desk = self._answering()
        if self.served is None:
            self.served = Serving(desk)
        return self.served

    def _bytes(self, number: int, start: int, response: Response, kind: str) -> Bytes:
        data = body_of(response)
        self.moved += len(data)
        return Bytes(self.spoil(kind, number, start, data))


@dataclass
class Side:
    """One of the two nodes."""

    node: diadem.Node
    desk: Desk
    wire: Wire
    roster: Roster
    root: Path

    @property
    def id(self) -> str:
        return self.node.id

    def archived(self, name: str = "session", files: Mapping[str, bytes] | None = None, seed: int = 0) -> str:
        """Archive a folder; its package id."""
        folder = self.root / name
        folder.mkdir()
        source = random.Random(f"{name}{seed}")
        for path, data in (files or {"scan.bin": source.randbytes(5000), "notes.txt": b"notes"}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return str(self.node.archive(folder, now=True).package.id)


@dataclass
class Pair:
    """alice@hu-berlin, and marie@nmi."""

    a: Side
    b: Side

    def close(self) -> None:
        self.a.node.close()
        self.b.node.close()


def make_pair(root: Path, wire: type[Wire] = Wire) -> Pair:
    """Two nodes with a store each; node ids are pinned on both sides."""
    nodes = {}
    for name, user in (("hu-berlin", "alice"), ("nmi", "marie")):
        place = root / name
        place.mkdir()
        nodes[name] = diadem.Node.create(place / "node", name=name, user=user, store=str(place / "store"))
    sides: dict[str, Side] = {}
    for name, other in (("hu-berlin", "nmi"), ("nmi", "hu-berlin")):
        sides[name] = _side(nodes[name], nodes[other], other, sides, wire, root / name)
    return Pair(sides["hu-berlin"], sides["nmi"])


def _side(
    node: diadem.Node, other: diadem.Node, name: str, sides: dict[str, Side], wire: type[Wire], root: Path
) -> Side:
    way = wire(node.id, lambda: sides[name].desk)
    roster = Roster([Known(other.id, name)])
    desk = Desk.open(node.context, Network(roster, LogAccess(node.context), lambda _: way))
    node.context.kept.append(desk)
    return Side(node, desk, way, roster, root)
