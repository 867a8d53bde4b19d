"""The commands on other nodes and on keys: what they print, exit codes, and what they ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, cast

import pytest
from msgspec import structs

from diadem.errors import Refused
from diadem.model.peers import NOTE_TYPE, Contact
from diadem.model.tickets import Ticket
from diadem.network.envelope import BEGUN, Introduction, Mail, Welcome
from diadem.network.peer_verbs import PeerVerbs
from diadem.network.peering import answer_join, join_request, signed
from diadem.node.config import ServerSettings
from diadem.node.peers import joins as words
from diadem.node.peers.book import peer_book
from diadem.node.peers.cards import own_card
from diadem.node.peers.joins import Join, commitment
from diadem.node.peers.notes import endpoint_note
from diadem.trust.envelope import sign
from diadem.trust.keys import PrivateKey
from tests.cli.inside import said, said_json
from tests.transfer.towns import Town, make_nodes


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nodes that are copied for each test."""
    root = tmp_path_factory.mktemp("towns")
    make_nodes(root, ("hu-berlin", "nmi", "oslo"))
    return root


@pytest.fixture
def town(templates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    """Some nodes."""
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    made = Town(templates, tmp_path / "town")
    try:
        yield made
    finally:
        for node in made.nodes.values():
            node.close()


def test_peers_are_invited_confirmed_renamed_and_dropped(town: Town) -> None:
    hu, nmi = town.node("hu-berlin").path, town.node("nmi").path
    assert "no peer yet" in said("peer", "ls", "--node", hu)
    ticket = said_json("peer", "invite", "--node", hu)["ticket"]
    assert Ticket.from_text(ticket).node == town.node("hu-berlin").id
    printed = said("peer", "invite", "colleagues", "--url", "https://archive.example.org", "--node", hu)
    assert Ticket.from_text(printed.splitlines()[0]).urls[0] == "https://archive.example.org"
    assert "diadem peer join TICKET" in printed
    words = town.peers("nmi").join(ticket).words

    listed = said("peer", "ls", "--node", hu)
    assert f"words: {words}   then: diadem peer confirm --node {hu} nmi" in listed
    assert "was used by nmi" in listed
    assert f"nmi is to be confirmed: diadem peer confirm --node {hu} nmi" in said("transfer", "sync", "--node", hu)
    assert "not used yet" in listed
    assert "has not confirmed this node yet" in said("peer", "ls", "--node", nmi)
    asked = said("peer", "confirm", "nmi", "--node", hu, code=2)
    assert "what are the words" in asked
    assert "diadem peer ls" in asked, "where the words of this side are"
    assert "somebody may be between you" in said("peer", "confirm", "nmi", "--words", "a b", "--node", hu, code=4)
    peer = said_json("peer", "confirm", "nmi", "--words", words, "--node", hu)["peer"]
    assert (peer["state"], peer["id"]) == ("confirmed", town.node("nmi").id)

    assert "metrology" in said("peer", "rename", "nmi", "metrology", "--node", hu)
    since = ("--since", "2026-03-14", "--reason", "stolen laptop")
    assert "not trusted" in said("peer", "compromised", "metrology", *since, "--node", hu)
    assert "STOLEN KEY" in said("peer", "ls", "--node", hu)
    assert "a reason is needed" in said("peer", "drop", "metrology", "--node", hu, code=2)
    said("peer", "drop", "metrology", "--reason", "the project has ended", "--node", hu)
    known = said_json("peer", "ls", "--node", hu)
    assert [(one["name"], one["state"], one["own_name"]) for one in known["peers"]] == [("metrology", "dropped", "nmi")]
    assert len(known["tickets"]) == 2
    assert "no peer 'nmi'" in said("peer", "drop", "nmi", "--reason", "x", "--node", hu, code=3)


@dataclass
class Middle:
    """Oslo stands between: it has caught hu-berlin's ticket, and nmi joins by one of its own."""

    town: Town
    caught: Ticket
    #: What nmi's node asked, each time.
    asked: list[Introduction] = field(default_factory=list)
    number: str = "00" * 16

    @property
    def key(self) -> PrivateKey:
        return self.town.node("oslo").context.keys.open("online")

    def joined(self, number: str, *, by: str = "", revealed: bool) -> Welcome:
        """What hu-berlin answers to oslo that commits itself to a number, and reveals that one or another."""
        context, hu = self.town.node("oslo").context, self.town.node("hu-berlin")
        own = (context.settings.id, self.key.public.to_text())
        bound = commitment(inviter=hu.id, joiner=own, token_hash=self.caught.token_hash, number=by or number)
        asked = join_request(context, self.caught)
        said = structs.replace(asked, commitment=bound, number=number if revealed else "")
        answer = Mail.from_line(answer_join(hu.context, signed(context, hu.id, said), self.key.public.key_id)).content
        assert isinstance(answer, Welcome)
        return answer

    def connect(self, _contact: Contact, _key: PrivateKey) -> Self:
        return self

    def post_line(self, path: str, line: bytes, *, introduce: bool = False) -> dict[str, Any]:
        """Answer nmi as the node that invites, with the number that oslo likes to have just now."""
        assert (path, introduce) == ("peer/join", True)
        mail = Mail.from_line(line)
        said = mail.content
        assert isinstance(said, Introduction)
        self.asked.append(said)
        context, state = self.town.node("oslo").context, "pending" if said.number else BEGUN
        note = endpoint_note(context, peer_book(context))
        answer = Welcome(said.nonce, own_card(context).decode(), note.decode(), state=state, number=self.number)
        return cast("dict[str, Any]", json.loads(signed(context, mail.sender, answer)))

    def close(self) -> None:
        """Nothing is open."""


def test_a_middle_that_searches_for_equal_words_finds_none(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words of 16 bits: a birthday search needs some 300 numbers a side. It makes 700, and can use none of them."""
    monkeypatch.setattr(words, "COUNT", 2)
    hu, nmi, oslo = (town.node(name) for name in ("hu-berlin", "nmi", "oslo"))
    middle = Middle(town, Ticket.from_text(said_json("peer", "invite", "--node", hu.path)["ticket"]))
    ticket = said_json("peer", "invite", "--node", oslo.path)["ticket"]
    joining = PeerVerbs(nmi.context, middle.connect)
    numbers = [f"{number:032x}" for number in range(700)]

    # It commits to one number at hu-berlin, and hears hu-berlin's: the words there are fixed, and it can take no other.
    first = middle.joined(numbers[0], revealed=False).number
    for number in numbers[1:8]:
        with pytest.raises(Refused, match="with another number for the words"):
            middle.joined(number, revealed=False)
    for number in numbers[1:8]:
        with pytest.raises(Refused, match="not the number for the words to which the node had committed itself"):
            middle.joined(number, by=numbers[0], revealed=True)
    assert middle.joined(numbers[0], revealed=False).number == first
    middle.joined(numbers[0], revealed=True)
    shown = peer_book(hu.context).named("oslo").words

    # nmi has answered with its number only after the middle's was fixed; now it would know which one to have said.
    here = joining.join(ticket).words
    begun, revealed = middle.asked
    assert begun.number == ""
    join = Join(
        Ticket.from_text(ticket).token_hash, oslo.id, nmi.id, middle.key.public.to_text(),
        nmi.context.keys.open("online").public.to_text(), begun.commitment, "", revealed.number,
    )  # fmt: skip
    assert join.commits(revealed.number)
    assert replace(join, inviter_number=middle.number).words == here
    wished = [number for number in numbers if replace(join, inviter_number=number).words == shown] or numbers[1:5]
    for middle.number in wished:
        with pytest.raises(Refused, match="sent a different number for the words before"):
            joining.join(ticket)
    assert {one.commitment for one in middle.asked} == {begun.commitment}

    assert here != shown
    assert f"words: {shown} " in said("peer", "ls", "--node", hu.path)
    assert f"words: {here}\n" in said("peer", "ls", "--node", nmi.path)
    refused = said("peer", "confirm", "oslo", "--words", here, "--node", hu.path, code=4)
    assert "somebody may be between you" in refused


def test_a_hub_that_has_not_confirmed_this_node_is_named(town: Town) -> None:
    town.peers("nmi").join(town.peers("hu-berlin").invite().to_text())
    nmi, book = town.node("nmi").path, town.book("nmi")
    known = book.named("hu-berlin")
    assert known.note is not None
    hub = replace(known.note, hub=True, urls=("https://127.0.0.1:1",)).to_payload()
    book.put(known, note=sign(hub, [PrivateKey.generate()], NOTE_TYPE).to_line())
    warning = "WARNING          the hub 'hu-berlin' has not confirmed this node"
    assert warning in said("peer", "invite", "--node", nmi)
    book.seen_confirmed(known.id)
    assert "WARNING" not in said("peer", "invite", "--node", nmi)


def test_a_ticket_is_taken_from_the_other_side_or_it_says_why_not(town: Town, tmp_path: Path) -> None:
    hu, nmi = town.node("hu-berlin").path, town.node("nmi").path
    nowhere = ("--url", "https://127.0.0.1:1")
    ticket = said_json("peer", "invite", *nowhere, "--node", hu)["ticket"]
    assert "nothing listens" in said("peer", "join", ticket, "--node", nmi, code=5)
    assert "a ticket begins with diadem1:" in said("peer", "join", "hello", "--node", nmi, code=2)
    for_bob = said_json("user", "invite", "bob", "--guest", "--node", hu)
    assert for_bob["kind"] == "user"
    assert "nothing listens" in said("login", for_bob["ticket"], code=5)
    assert "diadem login TICKET" in said("user", "invite", "eve", "--node", hu)
    assert "for a node, not for a person" in said("login", ticket, code=2)
    town.node("nmi").context.change_settings(lambda settings: replace(settings, server=ServerSettings()))
    town.meet("hu-berlin", "nmi")
    assert "it has no address" in said("peer", "refresh", "nmi", "--node", hu, code=1)


def test_a_key_is_changed_with_the_recovery_file(town: Town) -> None:
    hu = town.node("hu-berlin")
    file = town.recovery_file("hu-berlin")
    stolen = ("--stolen-since", "2026-03-14", "--reason", "break-in")
    printed = said("key", "rotate", "--recovery-file", file, *stolen, "--node", hu.path)
    assert "card of version 2" in printed
    assert "not trusted from 2026-03-14T00:00:00Z on" in printed
    again = said_json("key", "rotate", "--recovery-file", file, "--node", hu.path)["key"]
    assert (again["version"], again["stolen_since"]) == (3, "")
    said("key", "rotate", "--recovery-file", town.root / "none.txt", "--node", hu.path, code=3)
