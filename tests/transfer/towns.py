"""Nodes that can call each other in this process: the real handlers, without sockets."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import diadem
from diadem.errors import Unreachable
from diadem.model.peers import NOTE_TYPE, Contact, Peer
from diadem.model.signers import INTRODUCED, Signer
from diadem.model.statements import Draft, Subject
from diadem.network.askers import find_asker
from diadem.network.exchange import Request, Services
from diadem.network.handlers import routes
from diadem.network.peer_verbs import PeerVerbs
from diadem.node.config import NodeSettings, ServerSettings
from diadem.node.peers.book import PeerBook, peer_book
from diadem.node.peers.cards import own_card
from diadem.trust.envelope import sign
from diadem.trust.keys import PrivateKey

NAMES = ("hu-berlin", "nmi", "oslo")


def url(name: str) -> str:
    """Where a node is found."""
    return f"https://{name}.example.org:8642"


def make_nodes(root: Path, names: Sequence[str] = NAMES) -> None:
    """The nodes that every test copies: making one takes longer than most tests."""
    for name in names:
        place = root / name
        node = diadem.Node.create(place / "node", name=name, user="alice", store=str(place / "store"))
        settings = ServerSettings("", (url(name),))
        node.context.change_settings(partial(_with_server, server=settings))
        node.close()


def _with_server(settings: NodeSettings, server: ServerSettings) -> NodeSettings:
    return replace(settings, server=server)


@dataclass
class Town:
    """Some nodes, each opened when it is first used."""

    templates: Path
    root: Path
    nodes: dict[str, diadem.Node] = field(default_factory=dict)

    def copy(self, name: str, to: str = "") -> diadem.Node:
        """A node as it was made; a second copy of one is a fork of it."""
        place = self.root / (to or name)
        shutil.copytree(self.templates / name, place)
        return self.opened(place, name, to or name)

    def fork(self, name: str, to: str) -> diadem.Node:
        """A second node of the same keys and the same past, as a thief of the machine would have."""
        shutil.copytree(self.root / name, self.root / to)
        return self.opened(self.root / to, name, to, before=self.root / name)

    def opened(self, place: Path, name: str, key: str, before: Path | None = None) -> diadem.Node:
        """The node in a copied folder, whose store was copied too."""
        settings = place / "node" / "node.toml"
        old = before or self.templates / name
        text = settings.read_text("utf-8").replace(json.dumps(str(old))[1:-1], json.dumps(str(place))[1:-1])
        settings.write_text(text, "utf-8")
        self.nodes[key] = diadem.open_node(place / "node")
        return self.nodes[key]

    def node(self, name: str) -> diadem.Node:
        """A node of this town."""
        return self.nodes[name] if name in self.nodes else self.copy(name)

    def recovery_file(self, name: str) -> Path:
        """The recovery file of a node."""
        return self.root / name / "node-recovery.txt"

    def peers(self, name: str) -> PeerVerbs:
        """The verbs of a node, that call the others here."""
        return PeerVerbs(self.node(name).context, self.connect)

    def book(self, name: str) -> PeerBook:
        """Its list of peers."""
        return peer_book(self.node(name).context)

    def connect(self, contact: Contact, key: PrivateKey) -> Direct:
        """A client of the node that is found at an address."""
        host = contact.urls[0].removeprefix("https://").partition(".")[0]
        if host not in self.nodes:
            raise Unreachable("nobody listens there", where=contact.urls[0])
        return Direct(self.nodes[host], key)

    def meet(self, one: str, two: str) -> None:
        """Let one invite two, and confirm it."""
        joined = self.peers(two).join(self.peers(one).invite().to_text())
        self.peers(one).confirm(self.book(one).get(self.node(two).id).name, joined.words)

    def said(self, name: str, kind: str) -> list[Mapping[str, Any]]:
        """What a node has stated of a kind."""
        return [entry.statement.predicate for entry in self.node(name).context.ledger.of_kind(kind)]

    def events(self, name: str) -> list[str]:
        """What happened with other nodes, as its log says."""
        return [str(said["event"]) for said in self.said(name, "peer")]

    def later(self, name: str, **time: float) -> None:
        """Put the clock of a node forward."""
        context, moment = self.node(name).context, datetime.datetime.now(datetime.UTC) + datetime.timedelta(**time)
        context.clock = lambda: moment


def noted(town: Town, of: str, at: str, **members: Any) -> Peer:
    """Let a peer have said something else of itself."""
    book = town.book(at)
    peer = book.named(of)
    assert peer.note is not None
    line = sign(replace(peer.note, **members).to_payload(), [PrivateKey.generate()], NOTE_TYPE).to_line()
    book.put(peer, note=line)
    return book.named(of)


@dataclass
class Direct:
    """A node that is asked without a network: what the listener does, then its own handlers."""

    node: diadem.Node
    key: PrivateKey

    def post_line(self, path: str, line: bytes, *, introduce: bool = False) -> dict[str, Any]:
        """Post."""
        assert introduce, "the other node does not know the key yet"
        asker = Signer(INTRODUCED, self.key.public.key_id, self.key.public.to_text())
        return self._answer(Request("POST", path, body=line, asker=asker))

    def get_json(self, path: str) -> dict[str, Any]:
        """Get."""
        return self._answer(Request("GET", path, asker=find_asker(self.node.context, self.key.public.key_id)))

    def _answer(self, request: Request) -> dict[str, Any]:
        route = next(one for one in routes() if (one.method, one.path) == (request.method, request.path))
        assert len(request.body) <= route.body
        services = Services(self.node.context, lambda key_id: find_asker(self.node.context, key_id), "test")
        body = route.handler(request, services).body
        assert isinstance(body, bytes)
        found = json.loads(body)
        assert isinstance(found, dict)
        return found

    def close(self) -> None:
        """Nothing is open."""


def show_checkpoints(node: diadem.Node, count: int) -> None:
    """Let so many checkpoints of a node's log be shown to others, as a busy day does."""
    said = {"action": "shown", "actor": "test", "outcome": "allowed"}
    for number in range(count):
        node.context.say([Draft("audit", (Subject.named(f"day:{number}"),), said)])
        own_card(node.context)
