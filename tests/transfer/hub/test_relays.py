"""Relays of a hub: who may put and take, what is there once, what ends, and what is said of it."""

from __future__ import annotations

import datetime
import errno
import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from diadem.errors import DocumentError, StoreError
from diadem.model.peers import PeerState
from diadem.model.statements import parse_time
from diadem.network.hub.notes import Note, open_note
from diadem.node.context import Context
from diadem.trust.envelope import sign
from tests.transfer.hub.harbour import HUB, A, Answer, B, C, Harbour, sha256


def note(harbour: Harbour, answer: Answer, said: str) -> Note:
    assert answer.status == 200, answer.body
    key = harbour.context.keys.open("online").public
    return open_note(answer.said[said], hub=harbour.id(HUB), key=key)


def test_from_one_node_to_another_and_gone(harbour: Harbour) -> None:
    relay = harbour.opened()
    data = b"sealed" * 100
    stored = note(harbour, harbour.put(relay, "2-0-1", data), "stored")
    assert (stored.mailbox, stored.names, stored.sha256, stored.size) == (relay, ("2-0-1",), (sha256(data),), 600)
    told = harbour.ask(B, "GET", f"hub/mailboxes/{relay}").said["objects"]
    assert [(one["name"], one["bytes"], one["sha256"]) for one in told] == [("2-0-1", 600, sha256(data))]
    assert harbour.names(relay, who=A) == ["2-0-1"]
    assert harbour.ask(B, "GET", f"hub/mailboxes/{relay}/2-0-1").body == data
    assert harbour.used() == {"bytes": 600, "objects": 1, "messages": 0}
    delivered = note(harbour, harbour.taken(relay, "2-0-1", "2-1-1"), "delivered")
    assert (delivered.names, delivered.size) == (("2-0-1",), 600)
    assert harbour.used() == {"bytes": 0, "objects": 0, "messages": 0}
    assert harbour.carried() == []
    assert harbour.ask(B, "GET", f"hub/mailboxes/{relay}").status == 204
    assert note(harbour, harbour.taken(relay, "2-0-1"), "delivered") == delivered  # the answer was lost, say


def test_a_name_is_given_once(harbour: Harbour) -> None:
    relay = harbour.opened()
    assert harbour.put(relay, "0-0-1", b"one").status == 200
    assert harbour.put(relay, "0-0-1", b"one").status == 200
    assert harbour.put(relay, "0-0-1", b"two").status == 409
    assert harbour.ask(B, "GET", f"hub/mailboxes/{relay}/0-0-1").body == b"one"
    harbour.taken(relay, "0-0-1")
    assert harbour.put(relay, "0-0-1", b"two").status == 409
    again = harbour.put(relay, "0-0-1", b"one")
    assert again.status == 200
    assert harbour.names(relay) == []
    assert harbour.carried() == []


@pytest.mark.parametrize("lost", [True, False])
def test_what_the_disk_lost_is_listed_no_more_and_may_be_put_again(harbour: Harbour, lost: bool) -> None:
    relay = harbour.opened()
    harbour.put(relay, "2-0-1", b"sealed")
    harbour.put(relay, "2-1-1", b"sealed too")
    path = harbour.context.folder / "hub" / "mailboxes" / relay / "2-0-1"
    path.unlink() if lost else path.write_bytes(b"seal")
    assert harbour.ask(B, "GET", f"hub/mailboxes/{relay}/2-0-1").status == 404
    assert harbour.names(relay) == ["2-1-1"]
    assert harbour.used() == {"bytes": 10, "objects": 1, "messages": 0}
    assert harbour.put(relay, "2-0-1", b"sealed").status == 200
    assert harbour.ask(B, "GET", f"hub/mailboxes/{relay}/2-0-1").body == b"sealed"


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="this system does not open files without following links")
def test_a_link_in_the_place_of_an_object_is_not_followed(harbour: Harbour, tmp_path: Path) -> None:
    relay = harbour.opened()
    harbour.put(relay, "2-0-1", b"sealed")
    path = harbour.context.folder / "hub" / "mailboxes" / relay / "2-0-1"
    (tmp_path / "secret").write_bytes(b"secret")
    path.unlink()
    path.symlink_to(tmp_path / "secret")
    assert harbour.ask(B, "GET", f"hub/mailboxes/{relay}/2-0-1").status == 404
    assert harbour.names(relay) == []
    assert (tmp_path / "secret").read_bytes() == b"secret"


def test_the_ceiling_counts_all_that_was_ever_put(harbour: Harbour) -> None:
    relay = harbour.opened(ceiling=1000)
    assert harbour.put(relay, "2-0-1", bytes(600)).status == 200
    harbour.taken(relay, "2-0-1")
    answer = harbour.put(relay, "2-0-2", bytes(401))
    assert answer.status == 409
    assert "exceeds what its recipient permitted" in answer.said["error"]["message"]
    assert harbour.put(relay, "2-0-2", bytes(400)).status == 200
    assert harbour.put(relay, "2-0-3", b"1").status == 409
    assert harbour.put(relay, "2-0-2", bytes(400)).status == 200


@pytest.mark.parametrize("who", [A, C])
def test_whoever_has_no_part_in_a_relay_learns_nothing(harbour: Harbour, who: str) -> None:
    relay = harbour.opened()
    harbour.put(relay, "0-0-1", b"one")
    unknown = "0" * 32
    asked = [("GET", "/0-0-1", b""), ("POST", "/taken", b'{"names":["0-0-1"]}')]
    if who == C:
        asked += [("GET", "", b""), ("POST", "/end", b"{}"), ("PUT", "/0-1-1", b"x")]
    for method, path, body in asked:
        assert harbour.ask(who, method, f"hub/mailboxes/{relay}{path}", body).nothing, (method, path)
        assert harbour.ask(who, method, f"hub/mailboxes/{unknown}{path}", body).nothing, (method, path)
    assert harbour.names(relay) == ["0-0-1"]


def test_the_recipient_puts_nothing_and_a_user_asks_for_nothing(harbour: Harbour) -> None:
    relay = harbour.opened()
    assert harbour.put(relay, "0-0-1", b"one", who=B).nothing


def test_a_node_that_is_no_hub_answers_nothing(harbour: Harbour) -> None:
    relay = harbour.opened()
    harbour.context.change_settings(lambda known: replace(known, server=replace(known.server, hub=False)))
    for who in (A, B):
        assert harbour.ask(who, "GET", "hub").nothing
    assert harbour.put(relay, "0-0-1", b"one").nothing


def test_an_expired_relay_is_one_that_never_was(harbour: Harbour) -> None:
    relay = harbour.opened()
    harbour.put(relay, "0-0-1", b"one")
    harbour.later(days=1, seconds=5)
    assert harbour.put(relay, "0-1-1", b"two").nothing
    assert harbour.ask(B, "GET", f"hub/mailboxes/{relay}/0-0-1").nothing
    swept = harbour.hub.sweep()
    assert (swept.relays, str(swept)) == (1, "relays 1, messages 0, half-written 0")
    assert harbour.carried() == []
    assert harbour.used() == {"bytes": 0, "objects": 0, "messages": 0}
    assert [said["event"] for said in said_of(harbour, relay)] == ["expired"]
    assert not harbour.hub.sweep()


def said_of(harbour: Harbour, relay: str) -> list[dict[str, object]]:
    entries = harbour.context.ledger.of_kind("relay")
    return [dict(entry.statement.predicate) for entry in entries if entry.statement.predicate["relay"] == relay]


def test_the_end_is_stated_once_with_what_was_taken_and_what_was_not(harbour: Harbour) -> None:
    relay, line = harbour.permit_line()
    harbour.ask(B, "PUT", f"hub/mailboxes/{relay}", line)
    for number in range(4):
        harbour.put(relay, f"2-{number}-1", bytes(100 + number))
    harbour.taken(relay, "2-0-1", "2-2-1", "2-3-1")
    ended = note(harbour, harbour.end(relay, who=A), "deleted")
    assert (ended.names, ended.size) == (("2-1-1",), 101)
    assert note(harbour, harbour.end(relay, who=B), "deleted").names == ()
    assert harbour.carried() == []
    delivered, deleted = said_of(harbour, relay)
    assert (delivered["event"], delivered["objects"], delivered["bytes"]) == ("delivered", 3, 305)
    lines = "".join(f"2-{number}-1 {sha256(bytes(100 + number))} {100 + number}\n" for number in (0, 2, 3))
    assert delivered["sha256"] == sha256(lines.encode())
    assert (deleted["event"], deleted["objects"], deleted["bytes"]) == ("deleted", 1, 101)
    assert (delivered["sender"], delivered["recipient"]) == (harbour.id(A), harbour.id(B))
    harbour.hub.sweep()
    assert len(said_of(harbour, relay)) == 2
    assert harbour.put(relay, "2-9-1", b"late").nothing
    for who in (A, B):
        assert json.loads(harbour.end(relay, who=who).said["chain"])["node"] == harbour.id(HUB)
    assert harbour.end(relay, who=C).nothing
    with harbour.hub.file.writing() as connection:  # it is months ago
        connection.execute("DELETE FROM mailboxes")
    assert json.loads(harbour.end(relay, who=A).said["chain"])
    assert harbour.end(relay, who=C).nothing


def test_what_a_process_left_unsaid_is_said_by_the_next_sweep(harbour: Harbour) -> None:
    relay = harbour.opened()
    harbour.put(relay, "2-0-1", b"one")
    harbour.hub.mailboxes.end(relay, "deleted")  # and it was killed
    assert said_of(harbour, relay) == []
    with harbour.hub.file.reading() as connection:
        objects = connection.execute("SELECT * FROM objects").fetchall()
    harbour.hub.sweep()
    assert [said["event"] for said in said_of(harbour, relay)] == ["deleted"]
    with harbour.hub.file.writing() as connection:  # as if it had been killed before it could note that
        connection.execute("UPDATE mailboxes SET stated = 0")
        connection.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", objects)
    harbour.hub.sweep()
    assert len(said_of(harbour, relay)) == 1


def test_who_ends_what_cannot_be_stated_now_has_the_note_and_the_chain_later(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = harbour.opened()
    harbour.put(relay, "2-0-1", b"one")

    def away(*_: object, **__: object) -> None:
        raise StoreError("the log cannot be written")

    with monkeypatch.context() as patch:
        patch.setattr(Context, "say", away)
        ended = harbour.end(relay, who=A)
        assert note(harbour, ended, "deleted").names == ("2-0-1",)
        assert (ended.said["chain"], ended.said["owed"]) == ("", True)
        assert harbour.end(relay, who=A).status == 503, "there is nothing to say that was not said"
    assert harbour.carried() == []
    assert harbour.put(relay, "2-1-1", b"two").nothing
    later = harbour.end(relay, who=A)
    assert json.loads(later.said["chain"])
    assert not later.said["owed"]
    assert [said["event"] for said in said_of(harbour, relay)] == ["deleted"]


@pytest.mark.parametrize("broken", ["mailboxes", "one"])
def test_a_folder_that_cannot_be_read_stops_no_statement(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    # a listener that began in this process keeps its lines to itself, and may have been told to be quiet
    monkeypatch.setattr(logging.getLogger("diadem.network.http"), "propagate", True)
    caplog.set_level(logging.WARNING, "diadem.network.http.hub")
    relay, other = harbour.opened(), harbour.opened()
    for one in (relay, other):
        harbour.put(one, "2-0-1", b"one")
    stray = harbour.folder / "mailboxes" / other / "2-9-1"
    stray.write_bytes(b"of nothing")
    harbour.hub.mailboxes.end(relay, "deleted")  # and it was killed
    scandir, bad = os.scandir, harbour.folder / "mailboxes" / (relay if broken == "one" else "")

    def scanned(path: str) -> object:
        if Path(path) == bad:
            raise OSError(errno.EIO, "Input/output error")
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scanned)
        harbour.hub.sweep()
    assert [said["event"] for said in said_of(harbour, relay)] == ["deleted"]
    assert stray.exists() is (broken == "mailboxes")
    assert "cannot be read" in caplog.text
    assert relay not in caplog.text


def test_of_a_relay_that_nobody_used_nothing_is_said(harbour: Harbour) -> None:
    relay = harbour.opened()
    assert harbour.end(relay).said["chain"] == ""
    assert said_of(harbour, relay) == []


def test_relays_of_a_node_that_is_no_peer_any_more_go(harbour: Harbour) -> None:
    relay = harbour.opened(C, B)
    harbour.put(relay, "2-0-1", b"one", who=C)
    book = harbour.town.book(HUB)
    peer = book.get(harbour.id(C))
    book.put(replace(peer, state=PeerState.PENDING))
    try:
        assert harbour.put(relay, "2-1-1", b"two", who=C).nothing
        assert harbour.hub.sweep().relays == 1
        assert harbour.carried() == []
    finally:
        book.put(peer)


def test_notes_are_the_hubs_or_nothing(harbour: Harbour) -> None:
    relay = harbour.opened()
    line = harbour.put(relay, "2-0-1", b"one").said["stored"]
    other = harbour.node(A).context.keys.open("online").public
    own = harbour.context.keys.open("online").public
    with pytest.raises(DocumentError, match="did not sign"):
        open_note(line, hub=harbour.id(HUB), key=other)
    with pytest.raises(DocumentError, match="another hub"):
        open_note(line, hub=harbour.id(A), key=own)
    found = open_note(line, hub=harbour.id(HUB), key=own)
    assert abs(parse_time(found.at) - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(seconds=5)
    payload = found.to_bytes()
    as_other = sign(payload, [harbour.context.keys.open("online")], "application/other").to_line().decode()
    with pytest.raises(DocumentError, match="did not sign"):
        open_note(as_other, hub=harbour.id(HUB), key=own)
    for wrong in (b"{}", payload.replace(b"stored", b"burned"), payload[:-1], payload.replace(b'"2-0-1"', b"")):
        with pytest.raises(DocumentError):
            Note.from_bytes(wrong)
