"""Two nodes that have two hubs in common, of which one is down: packages go over the one that works."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

import diadem
from diadem.errors import Unreachable
from diadem.model.carriers import OBJECT
from diadem.model.policy import Hub as Rules
from diadem.model.transfers import State
from diadem.network.desk import desk_of
from diadem.network.notes_told import tell_notes
from diadem.network.relay_book import relay_book
from diadem.network.routing import common_hubs
from diadem.node.context import Context
from diadem.node.peers.book import peer_book
from tests.transfer.hub.harbour import Answer, Harbour, become_hub
from tests.transfer.star import SPOKES, STRANGER
from tests.transfer.test_messages_through_a_hub import archived
from tests.transfer.test_through_a_real_hub import Caller, Fjord, fjord
from tests.transfer.towns import url

__all__ = ["fjord"]


@dataclass
class Port(Harbour):
    """A hub of the town by its name, which may be down."""

    name: str
    down: set[str]

    @property
    def context(self) -> Context:
        return self.town.node(self.name).context

    def ask(self, who: str, method: str, path: str, body: bytes = b"", **more: object) -> Answer:
        if self.name in self.down:
            raise Unreachable("nobody listens there")
        return super().ask(who, method, path, body, **more)  # type: ignore[arg-type]


@dataclass
class Coast:
    """The nodes, and which of the hubs are down."""

    town: Fjord
    down: set[str]
    #: Names of the hubs; the first is the one at which both sides begin by themselves.
    hubs: list[str]

    def node(self, name: str) -> diadem.Node:
        return self.town.node(name)

    def wired(self, name: str) -> None:
        """Let a node call both hubs without a socket."""
        node = self.node(name)
        own = node.context.keys.open("online").public.key_id
        for hub in peer_book(node.context).ls():
            if hub.is_hub and hub.note is not None:
                for kind in ("client of", "client of the hub"):
                    called = f"{kind} {hub.id} at {hub.note.urls} by {hub.note.tls} for {own}"
                    caller = Caller(Port(self.town, hub.name, self.down), name)
                    node.context._kept[called] = caller

    def carried(self, name: str) -> list[str]:
        """What lies at a hub."""
        return Port(self.town, name, set()).carried()


def is_window(path: str) -> bool:
    """Whether an object is one of a relay."""
    return OBJECT.fullmatch(path.rpartition("/")[2]) is not None


@pytest.fixture
def coast(fjord: Fjord) -> Coast:
    """hu-berlin and nmi with the hubs oslo and eve."""
    eve = fjord.node(STRANGER).context
    server = replace(eve.settings.server, urls=(url(STRANGER),))
    eve.change_settings(lambda settings: replace(settings, server=server))
    become_hub(eve, Rules(free=0))
    for name in SPOKES:
        fjord.meet(STRANGER, name)
    made = Coast(fjord, set(), [])
    for name in SPOKES:
        made.wired(name)
    for name in SPOKES * 2:
        tell_notes(replace(fjord.peers(name), patience=0.0))
        fjord.node(name).transfers.sync()
    found = [
        [hub.name for hub in common_hubs(context, peer_book(context).named(other))]
        for name, other in (SPOKES, SPOKES[::-1])
        for context in [fjord.node(name).context]
    ]
    assert found[0] == found[1]
    made.hubs = found[0]
    assert len(made.hubs) == 2
    return made


def rounds(coast: Coast, *names: str) -> None:
    """One round of all that is due, at each of these in turn."""
    for name in names:
        coast.node(name).transfers.sync()


def test_a_package_goes_over_the_hub_that_works(coast: Coast) -> None:
    berlin, nmi = (coast.node(name) for name in SPOKES)
    coast.down.add(coast.hubs[0])
    sent = berlin.send(archived(coast.town), "alice@nmi")
    assert [offer.id for offer in nmi.inbox()] == [sent.id]
    nmi.accept(sent.id)
    rounds(coast, "hu-berlin", "nmi", "hu-berlin", "nmi")
    assert [node.transfers.show(sent.id).transfer.state for node in (berlin, nmi)] == [State.CLOSED] * 2
    for node, kind in ((nmi, "receipt"), (berlin, "closure")):
        (entry,) = node.context.ledger.of_kind(kind)
        (relayed,) = entry.statement.predicate["relayed"]
        assert relayed["hub"] == coast.node(coast.hubs[1]).id
        assert node.custody(sent.package).ok


def test_an_introduction_whose_hub_is_down_keeps_no_message_waiting_and_is_put_down_later(coast: Coast) -> None:
    berlin, nmi = (coast.node(name) for name in SPOKES)
    coast.down.add(coast.hubs[0])
    (refreshed,) = replace(coast.town.peers("hu-berlin"), patience=0.0).refresh("nmi")
    assert "nobody listens there" in refreshed.problem
    sent = berlin.send(archived(coast.town), "alice@nmi")
    assert [offer.id for offer in nmi.inbox()] == [sent.id]
    outbox = desk_of(berlin.context).outbox
    (pending,) = outbox.introductions()
    assert outbox.puts(pending.id) == []
    coast.down.clear()
    rounds(coast, "hu-berlin", "nmi", "hu-berlin")
    assert outbox.introductions() == []


def test_an_introduction_goes_to_no_hub_that_was_dropped(coast: Coast) -> None:
    berlin, hub = coast.node("hu-berlin"), coast.hubs[0]
    coast.down.add(hub)
    peers = replace(coast.town.peers("hu-berlin"), patience=0.0)
    peers.refresh("nmi")
    peers.drop(hub, "it is closed")
    coast.down.clear()
    rounds(coast, "hu-berlin")
    outbox = desk_of(berlin.context).outbox
    assert [outbox.puts(one.id) for one in outbox.introductions()] == [[]]


@pytest.mark.program("a hub that is away is waited for")
def test_what_lies_at_a_hub_that_is_away_for_long_is_put_down_at_the_other(coast: Coast) -> None:
    berlin, nmi = (coast.node(name) for name in SPOKES)
    sent = berlin.send(archived(coast.town), "alice@nmi")
    assert [offer.id for offer in nmi.inbox()] == [sent.id]
    nmi.accept(sent.id)
    rounds(coast, "hu-berlin")
    first = coast.hubs[0]
    assert any(is_window(path) for path in coast.carried(first))
    coast.down.add(first)
    rounds(coast, "nmi")
    desk = desk_of(nmi.context)
    waiting = relay_book(desk.context).get(sent.id)
    assert waiting is not None
    assert waiting.hub == coast.node(first).id, "it may be back in a moment"
    for name in SPOKES:
        coast.town.later(name, days=2, minutes=11)
    rounds(coast, "nmi", "hu-berlin", "nmi", "hu-berlin", "nmi")
    assert relay_book(desk.context).get(sent.id) is not None, "the hub that is away has to be told yet"
    assert [node.transfers.show(sent.id).transfer.state for node in (berlin, nmi)] == [State.CLOSED] * 2
    coast.down.clear()
    rounds(coast, "nmi", "hu-berlin")
    assert relay_book(desk.context).get(sent.id) is None
    assert not any(is_window(path) for name in coast.hubs for path in coast.carried(name))
    assert nmi.custody(sent.package).ok
