"""Nodes that nobody can call, and the hub where they pick up."""

from __future__ import annotations

import datetime
import shutil
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import diadem
from diadem.errors import Unreachable
from diadem.network.desk import Desk, desk_of
from diadem.network.mail.pickup import pick_up
from diadem.network.peer_verbs import PeerVerbs
from diadem.node.config import NodeSettings, ServerSettings
from diadem.node.peers.book import peer_book
from tests.transfer.folder_hub import FolderHub
from tests.transfer.pair import WiredDesk, deliver_all
from tests.transfer.towns import Town, make_nodes, url

SPOKES = ("hu-berlin", "nmi")
STRANGER = "eve"
HUB = "oslo"


@dataclass
class SpokeDesk(WiredDesk):
    """The desk of a node that calls nobody but its hub."""

    boxes: Any = None

    def hub(self, _: str) -> Any:
        return self.boxes

    def reachable(self) -> list[str]:
        return []


@dataclass
class Star(Town):
    """The nodes of a town, of which one alone has an address; what goes between them goes through the hub's folder."""

    hub: FolderHub = field(default_factory=lambda: FolderHub(Path()))

    def opened(self, place: Path, name: str, key: str, before: Path | None = None) -> diadem.Node:
        node = super().opened(place, name, key, before)
        context = node.context
        desk = SpokeDesk.open(context)
        desk.boxes = self.hub.of(context.settings.id)
        context.once("desk", lambda: desk)
        return node

    def desk(self, name: str) -> Desk:
        """The desk of a node."""
        return desk_of(self.node(name).context)

    def peers(self, name: str) -> PeerVerbs:
        """The verbs of a node that waits for nobody."""
        return PeerVerbs(self.node(name).context, self.connect, 0.0)

    def pick_up(self, name: str) -> int:
        """Have a node look into its box; how much came."""
        context = self.node(name).context
        hub = next(peer for peer in peer_book(context).ls() if peer.is_hub)
        return pick_up(self.desk(name), hub)

    def settle(self, rounds: int = 6) -> None:
        """Have both look until nothing comes any more."""
        for _ in range(rounds):
            for name in SPOKES:
                deliver_all(self.desk(name))  # what is due of what nobody has answered
            if not sum(self.pick_up(name) for name in SPOKES):
                return
        raise AssertionError("it does not come to rest")

    def pass_time(self, *names: str, **time: float) -> None:
        """Put the clocks of some nodes forward, or of both spokes."""
        for name in names or SPOKES:
            context = self.node(name).context
            moment = context.clock() + datetime.timedelta(**time)
            context.clock = partial(lambda known: known, moment)


def _with_server(settings: NodeSettings, server: ServerSettings) -> NodeSettings:
    return replace(settings, server=server)


def make_star(templates: Path, root: Path) -> None:
    """The nodes, of which all know the hub and nobody else."""
    (root / "hub").mkdir()
    star = Star(templates, root, hub=FolderHub(root / "hub"))
    make_nodes(root, (STRANGER,))
    star.opened(root / STRANGER, STRANGER, STRANGER)
    for name in (*SPOKES, STRANGER, HUB):
        settings = ServerSettings("", (url(name),), hub=True) if name == HUB else ServerSettings()
        star.node(name).context.change_settings(partial(_with_server, server=settings))
    for name in (*SPOKES, STRANGER):
        star.meet(HUB, name)
    for node in star.nodes.values():
        node.close()


def make_acquainted(strangers: Path, root: Path) -> None:
    """The same, where nmi has joined hu-berlin by a ticket, through the hub."""
    shutil.copytree(strangers / "hub", root / "hub")
    star = Star(strangers, root, hub=FolderHub(root / "hub"))
    ticket = star.peers("hu-berlin").invite(for_=star.node("nmi").id).to_text()
    try:
        star.peers("nmi").join(ticket)
    except Unreachable:
        star.settle()
    assert [peer.name for peer in star.book("nmi").ls()] == ["hu-berlin", HUB]
    for name in (STRANGER, HUB):
        star.node(name)
    for node in star.nodes.values():
        node.close()
