"""A package from one node to another that cannot call it, over a real hub; only the sockets are left out."""

from __future__ import annotations

import io
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.errors import NotFound, Refused, Unreachable
from diadem.model.canonical import encode
from diadem.model.carriers import CarrierFull
from diadem.model.peers import PeerState
from diadem.model.policy import Hub as Rules
from diadem.model.transfers import State
from diadem.network.accepting import accept
from diadem.network.desk import desk_of
from diadem.network.hub.hub import Hub
from diadem.network.relay_book import relay_book
from diadem.network.rounds import tell
from diadem.network.routing import hub_for
from diadem.node.context import Context
from diadem.node.peers.book import peer_book
from diadem.trust.http_signature import body_digest
from tests.transfer.hub.harbour import Answer, Harbour, become_hub
from tests.transfer.star import HUB, SPOKES
from tests.transfer.test_messages_through_a_hub import archived
from tests.transfer.towns import Town

_FAULTS = {404: NotFound, 507: CarrierFull, 503: Unreachable}


class Bytes(io.BytesIO):
    """Bytes of an answer."""

    @property
    def length(self) -> int:
        return len(self.getvalue())


@dataclass
class Caller:
    """What `PeerClient` does, without a socket."""

    harbour: Harbour
    who: str

    def _said(self, answer: Answer) -> Answer:
        if answer.status >= 400:
            error = answer.said["error"]
            raise _FAULTS.get(answer.status, Refused)(error["message"])
        return answer

    def get_json(self, path: str, query: Mapping[str, str] | None = None, *, wait: float = 0.0) -> dict[str, Any]:
        assert wait < 100, "no hub lets anybody wait for so long"
        answer = self._said(self.harbour.ask(self.who, "GET", path, query=query))
        return {} if answer.status == 204 else answer.said

    def post_json(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        return self._said(self.harbour.ask(self.who, "POST", path, encode(dict(document), where=path))).said

    def put(
        self,
        path: str,
        body: bytes,
        query: Mapping[str, str] | None = None,
        *,
        digest: bytes | None = None,
        media: str = "",
    ) -> dict[str, Any]:
        assert digest in (None, body_digest(body))
        assert media in ("", "application/json", "application/octet-stream")
        return self._said(self.harbour.ask(self.who, "PUT", path, bytes(body), query=query)).said

    def stream(self, path: str) -> Bytes:
        return Bytes(self._said(self.harbour.ask(self.who, "GET", path)).body)

    def close(self) -> None:
        pass


class Oslo(Harbour):
    """The hub of the town."""

    @property
    def context(self) -> Context:
        return self.town.node(HUB).context


class Fjord(Town):
    """A town whose nodes call the hub's own handlers, and nobody else."""

    def opened(self, place: Path, name: str, key: str, before: Path | None = None) -> diadem.Node:
        return self.wired(super().opened(place, name, key, before), name)

    def wired(self, node: diadem.Node, name: str) -> diadem.Node:
        """The node, which asks the hub without a socket."""
        if name in SPOKES:
            (hub,) = [peer for peer in peer_book(node.context).ls() if peer.is_hub]
            assert hub.note is not None
            own = node.context.keys.open("online").public.key_id
            for kind in ("client of", "client of the hub"):
                called = f"{kind} {hub.id} at {hub.note.urls} by {hub.note.tls} for {own}"
                node.context.once(called, lambda: Caller(Oslo(self), name))
        return node


@pytest.fixture
def fjord(acquainted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fjord]:
    """hu-berlin and nmi, which have met, and a hub that has lost what they told it."""
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    made = Fjord(acquainted, tmp_path / "fjord")
    become_hub(made.node(HUB).context, Rules(free=0))
    for name in SPOKES:
        made.later(name, days=2)  # lists are told anew once a day
    yield made
    for node in made.nodes.values():
        node.close()


def test_a_package_goes_over_a_hub_that_learns_nothing_of_it(fjord: Fjord) -> None:
    berlin, nmi, oslo = fjord.node("hu-berlin"), fjord.node("nmi"), fjord.node(HUB)
    nmi.transfers.sync()  # its box has a list from now on
    sent = berlin.send(archived(fjord), "alice@nmi")
    assert berlin.transfers.show(sent.id).way.startswith("through the hub 'oslo'")
    assert [offer.id for offer in nmi.inbox()] == [sent.id]
    accepted = nmi.accept(sent.id)
    assert (accepted.state, accepted.route) == (State.TRANSFERRING, "hub")
    berlin.transfers.sync()
    files = [path for path in (oslo.path / "hub").rglob("*") if path.is_file()]
    for secret in (sent.id, sent.package, sent.payload_id, "scan.bin", "session"):
        assert not any(secret.encode() in path.read_bytes() or secret in path.name for path in files)
    desk = desk_of(berlin.context)
    relays = relay_book(desk.context)
    (counted,) = relays.relayed(sent.id)
    tally = relays.tally(sent.id, counted["hub"])
    tally.add(counted["relay"], [("2-9-1", "", 5)], sure=False)  # the hub had it already: an answer was lost
    assert relays.relayed(sent.id) == [], "what this side does not know it does not say"
    tally.forget(["2-9-1"])
    landed = nmi.transfers.sync()
    assert [one.state for one in landed.moved] == [State.RECEIVED]
    berlin.transfers.sync()
    nmi.transfers.sync()
    assert [node.transfers.show(sent.id).transfer.state for node in (berlin, nmi)] == [State.CLOSED] * 2
    assert nmi.get(sent.package).verify().ok
    assert Oslo(fjord).carried() == []
    hub = hub_for_both(fjord)
    kept = nmi.path / "network" / "chains" / sent.id / f"{hub}.json"
    assert json.loads(kept.read_bytes())["node"] == hub


def test_corrections_and_judgements_come_over_a_hub(fjord: Fjord) -> None:
    berlin, nmi = fjord.node("hu-berlin"), fjord.node("nmi")
    nmi.transfers.sync()
    package = archived(fjord)
    berlin.amend(package, {"sample.name": "EMSA-OLD"})
    berlin.amend(package, {"sample.name": "EMSA-REF"})
    berlin.assess(package, "reject", purpose="EELS", comment="too thick")
    sent = berlin.send(package, "alice@nmi")
    nmi.inbox()
    nmi.accept(sent.id)
    berlin.transfers.sync()
    nmi.transfers.sync()
    assert str(nmi.get(package).record.sample["name"]) == "EMSA-REF"
    assert [(one.by, one.verdict, one.comment) for one in nmi.assessments(package)] == [
        ("alice@hu-berlin", "reject", "too thick")
    ]


def test_what_is_accepted_for_later_can_be_put_down_at_once(fjord: Fjord) -> None:
    berlin, nmi = fjord.node("hu-berlin"), fjord.node("nmi")
    nmi.transfers.sync()
    sent = berlin.send(archived(fjord), "alice@nmi")
    nmi.inbox()
    nmi.accept(sent.id, wait=False)
    berlin.transfers.sync()
    assert berlin.transfers.show(sent.id).transfer.error == ""
    assert [one.state for one in nmi.transfers.sync().moved] == [State.RECEIVED]


def test_what_no_hub_was_told_of_is_put_down_later(fjord: Fjord) -> None:
    berlin, nmi = fjord.node("hu-berlin"), fjord.node("nmi")
    nmi.transfers.sync()
    sent = berlin.send(archived(fjord), "alice@nmi")
    nmi.inbox()
    desk = desk_of(nmi.context)
    tell(desk, accept(desk, sent.id, store=None))  # as where the hub was away just then
    berlin.transfers.sync()
    waiting = berlin.transfers.show(sent.id).transfer
    assert "its recipient has not permitted" in waiting.error
    assert "It will be tried again" in waiting.next
    nmi.transfers.sync()
    berlin.transfers.sync()
    assert [one.state for one in nmi.transfers.sync().moved] == [State.RECEIVED]


def forget_relays(fjord: Fjord) -> None:
    """Let the hub know nothing of any relay, as where its disk is an older one; and of hu-berlin not for sure."""
    with Oslo(fjord).hub.file.writing() as connection:
        connection.execute("DELETE FROM mailboxes WHERE permit <> ''")
    trust(fjord, PeerState.PENDING)


def trust(fjord: Fjord, state: PeerState) -> None:
    """How far the hub knows hu-berlin."""
    book = peer_book(fjord.node(HUB).context)
    book.put(replace(book.get(fjord.node("hu-berlin").id), state=state))


def test_a_permit_that_the_hub_takes_a_moment_later_is_no_error_and_one_that_it_refuses_is(
    fjord: Fjord, monkeypatch: pytest.MonkeyPatch
) -> None:
    berlin, nmi = fjord.node("hu-berlin"), fjord.node("nmi")
    nmi.transfers.sync()
    sent = berlin.send(archived(fjord), "alice@nmi")
    nmi.inbox()
    nmi.accept(sent.id, wait=False)
    forget_relays(fjord)
    (found,) = nmi.transfers.sync().moved
    assert "the hub 'oslo' keeps nothing from 'hu-berlin'" in found.error
    permit, refused = Hub.permit, list[NotFound]()

    def confirmed_meanwhile(self: Hub, *args: Any) -> str:
        try:
            return permit(self, *args)
        except NotFound as error:
            refused.append(error)
            trust(fjord, PeerState.CONFIRMED)
            raise

    monkeypatch.setattr(Hub, "permit", confirmed_meanwhile)
    (found,) = nmi.transfers.sync().moved
    assert (len(refused), found.error) == (1, "")
    berlin.transfers.sync()
    assert [one.state for one in nmi.transfers.sync().moved] == [State.RECEIVED]


def test_a_message_that_the_hub_lost_keeps_no_other_waiting(fjord: Fjord) -> None:
    berlin, nmi = fjord.node("hu-berlin"), fjord.node("nmi")
    nmi.transfers.sync()
    package, other = archived(fjord), archived(fjord, "another session", data=b"other")
    berlin.send(package, "alice@nmi")
    (lost,) = Oslo(fjord).carried()
    (Oslo(fjord).folder / lost).unlink()
    second = berlin.send(other, "alice@nmi")
    assert [offer.id for offer in nmi.inbox()] == [second.id]


def test_of_each_side_a_hub_is_asked_little(fjord: Fjord, monkeypatch: pytest.MonkeyPatch) -> None:
    berlin, nmi = fjord.node("hu-berlin"), fjord.node("nmi")
    for node in (nmi, berlin):
        node.transfers.sync()
    asked: Counter[str] = Counter()
    ask = Harbour.ask

    def counted(self: Harbour, who: str, method: str, path: str, body: bytes = b"", **more: Any) -> Answer:
        asked[who] += path.startswith("hub/")
        return ask(self, who, method, path, body, **more)

    monkeypatch.setattr(Harbour, "ask", counted)
    package = archived(fjord, data=random.Random(1).randbytes(33 << 20))
    sent = berlin.send(package, "alice@nmi")
    nmi.inbox()
    nmi.accept(sent.id, wait=False)
    for node in (berlin, nmi, berlin, nmi):
        node.transfers.sync()
    assert [node.transfers.show(sent.id).transfer.state for node in (berlin, nmi)] == [State.CLOSED] * 2
    windows = 3
    assert asked == {"hu-berlin": 12 + windows, "nmi": 16 + windows}


def hub_for_both(fjord: Fjord) -> str:
    """Both find the same hub."""
    found = set()
    for name, other in (SPOKES, SPOKES[::-1]):
        context = fjord.node(name).context
        found.add(hub_for(desk_of(context), fjord.node(other).id).id)
        assert desk_of(context).hub(fjord.node(HUB).id).ls(context.settings.id) == []
    (hub,) = found
    return hub
