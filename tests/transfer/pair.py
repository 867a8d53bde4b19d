"""Two nodes that know each other; what one sends is handed to the other's own code, without a socket between."""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import diadem
from diadem.errors import Unreachable
from diadem.model import canonical
from diadem.model.peers import Peer, PeerState
from diadem.model.signers import PEER, Signer
from diadem.network.desk import Desk
from diadem.network.exchange import Request, Response, Services
from diadem.network.handlers import routes
from diadem.network.link import Link
from diadem.network.mail import delivery
from diadem.network.pushed import Pushed
from diadem.network.route_book import route_book
from diadem.node.config import ServerSettings
from diadem.node.peers.book import PeerBook, peer_book
from diadem.node.peers.notes import endpoint_note
from diadem.trust.hashing import sha256_hex


def unreachable(_: str) -> Link:
    """No way to anybody."""
    raise Unreachable("no address")


@dataclass
class WiredDesk(Desk):
    """A desk whose ways to peers lead where a test wants."""

    ways: Callable[[str], Link] = unreachable

    def link(self, peer: str) -> Link:
        return self.ways(peer)


def with_address(node: diadem.Node, name: str) -> None:
    """Let others find a node at an address of its name."""
    server = ServerSettings("", (f"https://{name}.example.org:8642",))
    node.context.change_settings(lambda known: replace(known, server=server))


def acquaint(node: diadem.Node, other: diadem.Node, name: str) -> None:
    """Let a node know another one, as if somebody had confirmed it."""
    key = other.context.keys.open("online").public
    peer = Peer(other.id, name, PeerState.CONFIRMED, name, key.to_text(), "", key.key_id, 1)
    note = endpoint_note(other.context, peer_book(other.context))
    peer_book(node.context).put(peer, chain=b"", note=note)
    own = endpoint_note(node.context, peer_book(node.context))
    route_book(node.context).tell_note(other.id, sha256_hex(own), node.context.clock())


def body_of(response: Response) -> bytes:
    """The bytes of an answer."""
    body = response.body
    return body if isinstance(body, bytes) else b"".join(body)


def deliver_all(desk: Desk, *, due: bool = True) -> int:
    """Deliver what a node has for everybody; how many messages were not taken."""
    left = sum(delivery.deliver_all(desk, peer, due=due) for peer in desk.outbox.peers())
    delivery.introduce_all(desk)
    return left


def put_window(pushed: Pushed, peer: str, transfer: str, number: int, data: bytes, start: int = 0) -> object:
    """What a node answers to leaves of a window that came whole."""
    intake = pushed.window(peer, transfer, number, start, len(data))
    intake.take(data)
    return json.loads(body_of(intake.end()))


class Bytes(io.BytesIO):
    """Bytes on their way."""

    def hold(self, most: int) -> None:
        pass

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
    round_trip: float = math.inf
    #: Every message that went, as it was sent.
    sent: list[bytes] = field(default_factory=list)
    #: Windows that were asked for, and from which byte on; bytes that were given.
    windows: list[tuple[int, int]] = field(default_factory=list)
    moved: int = 0
    #: What becomes of bytes on their way: window or part, its number, the first byte, and the bytes.
    spoil: Callable[[str, int, int, bytes], bytes] = lambda _kind, _number, _start, data: data

    def _ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        span: str = "",
        query: Mapping[str, str] | None = None,
        **params: str,
    ) -> Response:
        """Have a request answered by the other node's own handler."""
        if self.down:
            raise Unreachable("it does not answer")
        context = self.desk().context
        route = next(one for one in routes() if (one.method, one.path) == (method, path))
        assert len(body) <= route.body
        asker = Signer(PEER, "0" * 64, "", self.own)
        headers = {"range": span} if span else {}
        services = Services(context, lambda _: asker, "test")
        return route.handler(Request(method, path, params, query or {}, headers, body, asker), services)

    def post_message(self, data: bytes) -> bytes:
        self.sent.append(data)
        return body_of(self._ask("POST", "messages", body=data))

    def waiting_messages(self) -> list[bytes]:
        found = self._ask("GET", "messages")
        waiting = [] if found.status == 204 else json.loads(body_of(found))["messages"]
        return [canonical.encode(document, where="") for document in waiting]

    def acknowledge(self, message: str) -> None:
        self._ask("POST", "messages/{message}/ack", message=message)

    def open_part(self, transfer: str, number: int) -> Bytes:
        found = self._ask("GET", "transfers/{transfer}/parts/{part}", transfer=transfer, part=str(number))
        return self._bytes("part", number, 0, found)

    def open_window(self, transfer: str, number: int, start: int, stop: int) -> Bytes:
        self.windows.append((number, start))
        path, span = "transfers/{transfer}/windows/{number}", f"bytes={start}-{stop - 1}"
        return self._bytes(
            "window", number, start, self._ask("GET", path, span=span, transfer=transfer, number=str(number))
        )

    def _bytes(self, kind: str, number: int, start: int, response: Response) -> Bytes:
        data = body_of(response)
        assert response.status in (200, 206)
        self.moved += len(data)
        return Bytes(self.spoil(kind, number, start, data))

    def have(self, transfer: str) -> bytes:
        return body_of(self._ask("GET", "transfers/{transfer}/have", transfer=transfer))

    def put_part(self, transfer: str, number: int, data: bytes) -> None:
        spoilt = self.spoil("part", number, 0, data)
        self._ask("PUT", "transfers/{transfer}/parts/{part}", body=spoilt, transfer=transfer, part=str(number))

    def put_window(self, transfer: str, number: int, start: int, pieces: Callable[[], Iterable[bytes]]) -> None:
        self.windows.append((number, start))
        path = "transfers/{transfer}/windows/{number}"
        spoilt = self.spoil("window", number, start, b"".join(pieces()))
        self._ask("PUT", path, body=spoilt, query={"from": str(start)}, transfer=transfer, number=str(number))


@dataclass
class Side:
    """One of the two nodes."""

    node: diadem.Node
    desk: WiredDesk
    wire: Wire
    root: Path

    @property
    def id(self) -> str:
        return self.node.id

    @property
    def peers(self) -> PeerBook:
        """Whom this node knows."""
        return peer_book(self.node.context)

    def doubts(self, other: Side) -> None:
        """Somebody here has to confirm another node anew."""
        self.peers.put(replace(self.peers.get(other.id), state=PeerState.PENDING))

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
        with_address(nodes[name], name)
    sides: dict[str, Side] = {}
    for name, other in (("hu-berlin", "nmi"), ("nmi", "hu-berlin")):
        sides[name] = _side(nodes[name], nodes[other], other, sides, wire, root / name)
    return Pair(sides["hu-berlin"], sides["nmi"])


def _side(
    node: diadem.Node, other: diadem.Node, name: str, sides: dict[str, Side], wire: type[Wire], root: Path
) -> Side:
    way = wire(node.id, lambda: sides[name].desk)
    acquaint(node, other, name)
    desk = WiredDesk.open(node.context)
    desk.ways = lambda _: way
    node.context.once("desk", lambda: desk)
    return Side(node, desk, way, root)
