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
from diadem.transfer.desk import Desk
from diadem.transfer.incoming import receive
from diadem.transfer.log_access import LogAccess
from diadem.transfer.network import Network
from diadem.transfer.postman import acknowledged, waiting_for


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
