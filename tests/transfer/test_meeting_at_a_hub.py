"""Two nodes that cannot call each other meet through a hub, and follow each other's keys there."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

import diadem
from diadem.errors import Refused, Unreachable
from diadem.model.canonical import encode
from diadem.model.peers import PeerState
from diadem.model.tickets import Ticket
from diadem.model.times import time_text
from diadem.network.book_file import FILE, FOLDER
from diadem.network.mail.introductions import NotYet
from diadem.network.outbox import outbox_of
from diadem.trust.envelope import sign
from tests.transfer.star import HUB, STRANGER, Star
from tests.transfer.towns import show_checkpoints


def test_nodes_know_their_hub_and_tell_it_in_note_and_ticket(strange: Star) -> None:
    assert strange.peers("hu-berlin").get(HUB).seen_as == "pending"
    ticket = Ticket.from_text(strange.peers("hu-berlin").invite().to_text())
    assert strange.peers("hu-berlin").get(HUB).seen_as == "confirmed"  # it has taken the list of who may come
    assert (ticket.urls, ticket.tls) == ((), ())
    assert [(hub.node, hub.name) for hub in ticket.hubs] == [(strange.node(HUB).id, HUB)]
    note = strange.book(HUB).named("nmi").note
    assert note is not None
    assert (note.hub, note.hubs) == (False, ())  # when it came it knew no hub yet
    strange.peers("nmi").refresh(HUB)
    note = strange.book(HUB).named("nmi").note
    assert note is not None
    assert note.hubs == (strange.node(HUB).id,)


def test_two_nodes_meet_by_words_though_neither_can_be_called(strange: Star) -> None:
    ticket = strange.peers("hu-berlin").invite().to_text()
    with pytest.raises(NotYet, match="through the hub 'oslo'"):
        strange.peers("nmi").join(ticket)
    with pytest.raises(NotYet):  # once more, before anybody has answered: the same lies there, once
        strange.peers("nmi").join(ticket)
    assert len(strange.hub.lying(strange.node("hu-berlin").id)) == 1
    strange.settle()
    seen, joined = strange.book("hu-berlin").named("nmi"), strange.book("nmi").named("hu-berlin")
    assert (seen.state, joined.state, joined.seen_as) == (PeerState.PENDING, PeerState.CONFIRMED, "pending")
    assert seen.words == joined.words
    strange.peers("hu-berlin").confirm("nmi", joined.words)
    assert "has not answered yet" in strange.peers("nmi").refresh("hu-berlin")[0].problem
    strange.settle()
    assert strange.book("nmi").named("hu-berlin").seen_as == "confirmed"
    secret = Ticket.from_text(ticket).token.encode()
    assert not any(secret in data for _, _, data in strange.hub.log)


def as_before(node: diadem.Node) -> None:
    """Have the book of a node's network as it was when introductions, already signed, had a table of their own."""
    pending = outbox_of(node.context).introductions()
    key, path = node.context.keys.open("online"), node.path / FOLDER / FILE
    node.close()
    with closing(sqlite3.connect(path)) as file:
        file.execute(
            "CREATE TABLE meetings (nonce TEXT PRIMARY KEY, peer TEXT NOT NULL, hub TEXT NOT NULL, seen TEXT NOT NULL,"
            " body BLOB NOT NULL, ticket TEXT NOT NULL, name TEXT NOT NULL, ends TEXT NOT NULL, error TEXT NOT NULL)"
            " WITHOUT ROWID"
        )
        for one in pending:
            said = one.said.to_dict() | {"format": "diadem-introduction/2", "to": one.peer}
            line = sign(encode(said, where="test"), [key], "application/vnd.diadem.introduction+json").to_line()
            row = (one.id, one.peer, one.hub, one.said.seen, line, one.ticket, one.name, time_text(one.ends), "")
            file.execute("INSERT INTO meetings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        file.execute("DELETE FROM outbox")
        file.execute("PRAGMA user_version = 1")
        file.commit()


@pytest.mark.parametrize("round_", [0, 1])
def test_a_join_that_waits_goes_on_with_the_same_words_after_an_update(strange: Star, round_: int) -> None:
    ticket = strange.peers("hu-berlin").invite().to_text()
    with pytest.raises(NotYet):
        strange.peers("nmi").join(ticket)
    for _ in range(round_):
        strange.pick_up("hu-berlin")
        strange.pick_up("nmi")
    said = outbox_of(strange.node("nmi").context).introductions()
    as_before(strange.nodes.pop("nmi"))
    strange.opened(strange.root / "nmi", "nmi", "nmi")
    assert outbox_of(strange.node("nmi").context).introductions() == said
    for path in strange.hub.lying(strange.node("hu-berlin").id):  # whatever form it has, it is put down again
        path.unlink()
    strange.pass_time("nmi", minutes=6)
    strange.settle()
    seen, joined = strange.book("hu-berlin").named("nmi"), strange.book("nmi").named("hu-berlin")
    assert (seen.state, joined.state) == (PeerState.PENDING, PeerState.CONFIRMED)
    assert seen.words == joined.words


def test_a_program_of_before_that_still_serves_keeps_its_book_until_it_is_stopped(strange: Star) -> None:
    ticket = strange.peers("hu-berlin").invite().to_text()
    with pytest.raises(NotYet):
        strange.peers("nmi").join(ticket)
    said = outbox_of(strange.node("nmi").context).introductions()
    node = strange.nodes.pop("nmi")
    as_before(node)
    with closing(sqlite3.connect(node.path / FOLDER / FILE)) as other:
        assert other.execute("SELECT count(*) FROM meetings").fetchone() == (1,)
        with diadem.open_node(node.path) as later, pytest.raises(Unreachable, match="earlier version") as told:
            outbox_of(later.context)
        assert "diadem serve" in (told.value.next or "")
        assert other.execute("PRAGMA user_version").fetchone() == (1,)
        assert other.execute("SELECT count(*) FROM meetings").fetchone() == (1,)
    strange.opened(strange.root / "nmi", "nmi", "nmi")
    assert outbox_of(strange.node("nmi").context).introductions() == said


def test_a_second_bearer_of_a_ticket_is_refused_and_told(strange: Star) -> None:
    ticket = strange.peers("hu-berlin").invite().to_text()
    for name in ("nmi", STRANGER):
        with pytest.raises(NotYet):
            strange.peers(name).join(ticket)
    strange.pick_up("hu-berlin")
    with pytest.raises(Refused, match=r"(?s)used already.*by 'nmi'"):
        strange.peers(STRANGER).join(ticket)
    assert [peer.name for peer in strange.book("hu-berlin").ls()] == [HUB]
    given = strange.peers("hu-berlin").tickets()[0]
    assert (given.used_name, given.refused_name) == ("nmi", STRANGER)
    for _ in range(2):  # who was let in comes again, as often as it likes
        with pytest.raises(NotYet):
            strange.peers("nmi").join(ticket)
        strange.settle()
    assert [peer.name for peer in strange.book("hu-berlin").ls()] == ["nmi", HUB]
    assert strange.book("nmi").named("hu-berlin").state is PeerState.CONFIRMED


def test_nobody_without_a_ticket_or_with_a_made_up_one_gets_in(strange: Star) -> None:
    good = strange.peers("hu-berlin").invite()
    made_up = replace(good, token="ab" * 16).to_text()
    with pytest.raises(NotYet, match="the hub accepts nothing for 'hu-berlin' with this ticket"):
        strange.peers(STRANGER).join(made_up)  # the hub does not even take it
    box = strange.hub.box(strange.node("hu-berlin").id) / "list.json"
    box.write_text(json.dumps([strange.node(STRANGER).id]), "utf-8")  # a hub that lets everybody
    with pytest.raises(NotYet):
        strange.peers(STRANGER).join(made_up)
    strange.pick_up("hu-berlin")
    with pytest.raises(Refused, match="no such ticket"):
        strange.peers(STRANGER).join(made_up)
    assert [peer.name for peer in strange.book("hu-berlin").ls()] == [HUB]


def test_a_hub_that_loses_what_is_put_down_only_delays(strange: Star) -> None:
    ticket = strange.peers("hu-berlin").invite(for_=strange.node("nmi").id).to_text()
    strange.hub.drops = lambda _node, _message: True
    with pytest.raises(NotYet):
        strange.peers("nmi").join(ticket)
    strange.settle()
    strange.hub.drops = lambda node, _message: node == strange.node("nmi").id  # now the answer
    strange.pass_time("nmi", minutes=6)
    strange.settle()
    strange.hub.drops = lambda _node, _message: False
    strange.pass_time("nmi", minutes=11)
    strange.settle()
    assert strange.book("nmi").named("hu-berlin").seen_as == "confirmed"
    bodies = [message for node, message, _ in strange.hub.log if node == strange.node("hu-berlin").id]
    assert len(bodies) == len(set(bodies)) == 4  # each time under another name


def test_no_common_hub_is_said_with_both_names(strange: Star) -> None:
    ticket = strange.peers("hu-berlin").invite()
    strange.peers("nmi").drop(HUB, "it is closed")
    with pytest.raises(Refused, match="'hu-berlin' picks up at 'oslo', this node at none"):
        strange.peers("nmi").join(ticket.to_text())


def test_a_new_key_is_followed_through_the_hub(star: Star) -> None:
    old = star.book("nmi").named("hu-berlin").key_id
    star.node(HUB)
    star.node("hu-berlin").keys.rotate(star.recovery_file("hu-berlin"), stolen_since="2026-01-01")
    problems = [one.problem for one in star.peers("hu-berlin").refresh()]
    assert problems[0] == ""  # the hub comes first
    star.settle()
    peer = star.book("nmi").named("hu-berlin")
    assert peer.key_id != old
    assert old in peer.stolen
    assert star.events("nmi")[-2:] == ["rotated", "compromised"]
    assert star.book("hu-berlin").named("nmi").seen_as == "confirmed"


def test_a_peer_that_holds_an_old_checkpoint_is_shown_the_way_from_there(star: Star) -> None:
    berlin, nmi = star.node("hu-berlin"), star.node("nmi")
    show_checkpoints(berlin, 70)
    assert "has not answered yet" in star.peers("hu-berlin").refresh("nmi")[0].problem
    star.settle()
    pending = outbox_of(berlin.context).introduction(nmi.id)
    assert pending is None, pending.refused
    assert star.book("nmi").named("hu-berlin").state is PeerState.CONFIRMED


def test_who_joins_again_by_a_new_ticket_shows_the_way_from_an_old_checkpoint(star: Star) -> None:
    berlin, nmi = star.node("hu-berlin"), star.node("nmi")
    show_checkpoints(berlin, 70)
    ticket = star.peers("nmi").invite().to_text()
    with pytest.raises(NotYet):
        star.peers("hu-berlin").join(ticket)
    star.settle()
    pending = outbox_of(berlin.context).introduction(nmi.id)
    assert pending is None, pending.refused
    assert star.peers("nmi").tickets()[0].used_name == "hu-berlin"
