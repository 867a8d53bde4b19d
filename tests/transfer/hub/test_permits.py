"""Permits: who may let a hub keep what for whom."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace

import pytest

from diadem.custody.statements import permit
from diadem.model.statements import Draft, Subject
from diadem.model.times import read_time
from diadem.network.hub import mailboxes
from diadem.node.peers.book import PeerBook
from diadem.trust.envelope import Envelope, sign
from tests.transfer.hub.harbour import HUB, RULES, A, Answer, B, C, Harbour

UNTIL = datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC)


def bring(harbour: Harbour, relay: str, line: bytes, who: str = B) -> Answer:
    return harbour.ask(who, "PUT", f"hub/mailboxes/{relay}", line)


def test_a_permit_opens_a_relay_and_the_same_again_changes_nothing(harbour: Harbour) -> None:
    relay, line = harbour.permit_line()
    first = bring(harbour, relay, line)
    assert first.status == 200
    harbour.put(relay, "0-0-1", b"one")
    assert bring(harbour, relay, line).said == first.said
    assert harbour.names(relay) == ["0-0-1"]


def test_nothing_is_kept_longer_than_the_hub_keeps_anything(harbour: Harbour) -> None:
    relay, line = harbour.permit_line(expires=UNTIL)
    ends = read_time(bring(harbour, relay, line).said["expires"])
    assert ends - datetime.datetime.now(datetime.UTC) <= RULES.keep


def test_another_permit_for_the_same_relay(harbour: Harbour) -> None:
    relay = harbour.opened()
    _, more = harbour.permit_line(relay=relay, ceiling=900_000)
    assert bring(harbour, relay, more).status == 409
    _, thief = harbour.permit_line(B, C, relay=relay)
    assert bring(harbour, relay, thief, who=C).nothing
    harbour.end(relay)
    _, again = harbour.permit_line(relay=relay)
    assert bring(harbour, relay, again).status == 409


def test_permits_that_do_not_hold(harbour: Harbour) -> None:
    relay, line = harbour.permit_line()
    other, _ = harbour.permit_line()
    assert bring(harbour, other, line).status == 409  # for another relay
    assert bring(harbour, relay, line, who=A).status == 409  # of another node
    assert bring(harbour, relay, line, who=C).status == 409
    assert bring(harbour, relay, b"{}").status == 400
    envelope = Envelope.from_line(line)
    key = harbour.node(A).context.keys.open("online")
    assert bring(harbour, relay, sign(envelope.payload, [key]).to_line()).status == 409  # signed by another
    as_other_type = sign(envelope.payload, [harbour.node(B).context.keys.open("online")], "application/other")
    assert bring(harbour, relay, as_other_type.to_line()).status == 409
    for changes in (
        {"hub": harbour.id(A)},
        {"recipient": harbour.id(C)},
        {"sender": harbour.id(B)},
        {"sender": harbour.id(HUB)},
    ):
        name, wrong = harbour.permit_line(ids=changes)
        assert bring(harbour, name, wrong).status == 409, changes
    name, expired = harbour.permit_line(expires=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    assert bring(harbour, name, expired).status == 409
    name, large = harbour.permit_line(ceiling=RULES.max_per_spoke + 1)
    refused = bring(harbour, name, large)
    assert refused.status == 409
    assert "[hub] in policy.toml" in refused.said["error"]["next"]
    with harbour.hub.file.reading() as connection:
        assert connection.execute("SELECT count(*) FROM mailboxes").fetchone() == (0,)


def test_a_sender_that_the_hub_does_not_know(harbour: Harbour) -> None:
    context = harbour.node(B).context
    relay = "ab" * 16
    ids = {"hub": harbour.id(HUB), "sender": "cd" * 32, "recipient": harbour.id(B)}
    (entry,) = context.say([permit(relay, **ids, ceiling=1, expires=UNTIL)])
    assert bring(harbour, relay, entry.line).nothing


def test_a_statement_that_names_more_than_the_relay(harbour: Harbour) -> None:
    context = harbour.node(B).context
    relay = "ef" * 16
    ids = {"hub": harbour.id(HUB), "sender": harbour.id(A), "recipient": harbour.id(B)}
    plain = permit(relay, **ids, ceiling=1, expires=UNTIL)
    more = Draft("permit", (*plain.subjects, Subject.named("transfer:" + "12" * 16)), plain.predicate)
    other = Draft("permit", plain.subjects, {**plain.predicate, "relay": "00" * 16})
    for entry in context.say([more, other]):
        assert bring(harbour, relay, entry.line).status == 409


@pytest.mark.parametrize("hub", [A, B])
def test_two_hubs_in_a_row(harbour: Harbour, hub: str) -> None:
    book: PeerBook = harbour.town.book("hub")
    peer = book.get(harbour.id(hub))
    assert peer.note is not None
    before = book.note(peer.id)
    note = sign(
        replace(peer.note, hub=True, urls=("https://a.example.org",), tls=("ab" * 32,)).to_payload(),
        [harbour.node(hub).context.keys.open("online")],
    )
    book.put(peer, note=note.to_line())
    try:
        relay, line = harbour.permit_line()
        answer = bring(harbour, relay, line)
        assert answer.status == 409
        assert "one hub at most" in answer.said["error"]["message"]
    finally:
        book.put(peer, note=before)


def test_one_recipient_opens_so_many_relays_and_no_more(harbour: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "MAX_RELAYS", 2)
    opened = [harbour.opened() for _ in range(2)]
    harbour.end(opened[0])
    relay, line = harbour.permit_line()
    assert bring(harbour, relay, line).status == 507
    assert harbour.opened(A, C)
    harbour.later(days=2, seconds=5)
    harbour.hub.sweep()
    assert bring(harbour, relay, line).status == 409  # expired meanwhile
    assert harbour.opened(expires=UNTIL)


def test_what_the_hub_says_of_itself(harbour: Harbour) -> None:
    told = harbour.ask(B, "GET", "hub").said
    assert told["limits"]["bytes"] == RULES.max_per_spoke
    assert told["limits"]["keep"] == 2 * 86400
    assert json.dumps(told["used"]) == '{"bytes": 0, "messages": 0, "objects": 0}'
