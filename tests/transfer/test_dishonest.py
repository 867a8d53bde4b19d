"""A node that signs what is not so: its statements are proven to be its own, and change nothing here."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from diadem.custody import statements
from diadem.custody.statements import transfer_subject
from diadem.errors import DiademError
from diadem.model import canonical
from diadem.model.ports import silent
from diadem.model.statements import Draft
from diadem.model.transfers import Counts, State, Transfer, new_id
from diadem.network import messages
from diadem.network.incoming import receive
from diadem.network.mail.delivery import message_of
from diadem.network.outbox import Outgoing
from diadem.network.pull import FetchOptions, receive_package
from tests.transfer.pair import Pair, Side

NOW = datetime.datetime(2026, 3, 14, tzinfo=datetime.UTC)


def told(sender: Side, receiver: Side, transfer: str, kind: str) -> dict[str, Any]:
    """Tell the other side what the log of one says of a transfer now; its answer."""
    message = message_of(sender.desk, Outgoing(new_id(), receiver.id, transfer, kind, {}))
    answer = receive(receiver.desk, sender.id, message.to_bytes())
    return dict(canonical.decode(answer, where="", limit=1 << 24))


def refused(sender: Side, receiver: Side, transfer: Transfer, kind: str, draft: Draft, *, user: bool = False) -> str:
    """State something and tell it; the reason for which it is refused."""
    sender.node.context.say([draft], as_user=user)
    with pytest.raises(DiademError) as caught:
        told(sender, receiver, transfer.id, kind)
    return caught.value.message


def count(side: Side, transfer: str, kind: str) -> int:
    said: Sequence[Any] = side.node.context.ledger.of_subject(transfer_subject(transfer).sha256)
    return sum(entry.statement.kind == kind for entry in said)


def test_offers_that_are_not_what_they_seem(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    a, b = pair.a, pair.b
    grant, by = sent.grant, "alice@hu-berlin"
    new = replace(sent, id=new_id())
    draft = statements.offer(new, to="marie@nmi", grant=grant, by="carol@hu-berlin")
    assert "not signed by carol" in refused(a, b, new, messages.OFFER, draft, user=True)
    new = replace(sent, id=new_id(), peer="ab" * 32)
    draft = statements.offer(new, to="marie@nmi", grant=grant, by=by)
    assert "for another node" in refused(a, b, new, messages.OFFER, draft, user=True)
    new = replace(sent, id=new_id(), expires=NOW - datetime.timedelta(days=500))
    draft = statements.offer(new, to="marie@nmi", grant=grant, by=by)
    assert "has expired" in refused(a, b, new, messages.OFFER, draft, user=True)
    new = replace(sent, id=new_id())
    draft = statements.offer(new, to="marie@nmi", grant=grant, by=by)
    other = Draft(draft.kind, draft.subjects, {**draft.predicate, "package": "diadem:" + "ab" * 32})
    assert "of another package" in refused(a, b, new, messages.OFFER, other, user=True)
    new = replace(sent, id=new_id(), files=10**40)
    draft = statements.offer(new, to="marie@nmi", grant=grant, by=by)
    assert "so many files" in refused(a, b, new, messages.OFFER, draft, user=True)
    larger = statements.offer(replace(sent, bytes=1), to="marie@nmi", grant=grant, by=by)
    assert "another offer was made" in refused(a, b, sent, messages.OFFER, larger, user=True)
    assert [offer.id for offer in b.node.inbox()] == [sent.id]
    assert b.desk.book.refusals()


def test_acceptances_that_are_not_the_recipients(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    a, b, came = pair.a, pair.b, pair.b.node.inbox()[0].transfer
    good = statements.acceptance(came, ceiling=10**9, route="direct", rule="", by="marie@nmi")
    assert "not signed by marie" in refused(b, a, came, messages.ACCEPTANCE, good), "the node alone, and no rule"
    for member, value, why in (
        ("offer", "ab" * 32, "another offer"),
        ("package", "diadem:" + "ab" * 32, "another package"),
        ("sender", "ab" * 32, "another node"),
        ("route", "disk", "not offered"),
        ("ceiling", 10**40, "no limit can be so high"),
        ("by", "bob@nmi", "not signed by bob"),
    ):
        bad = Draft(good.kind, good.subjects, {**good.predicate, member: value})
        assert why in refused(b, a, came, messages.ACCEPTANCE, bad, user=True)
    b.node.users.add("bob")
    by_bob = Draft(good.kind, good.subjects, {**good.predicate, "by": "bob@nmi", "rule": "ab" * 32})
    assert "was offered to marie@nmi" in refused(b, a, came, messages.ACCEPTANCE, by_bob)
    assert a.node.transfers.show(sent.id).transfer.state is State.OFFERED


def test_a_receipt_of_other_bytes_and_a_closure_by_a_foreign_checkpoint(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    a, b = pair.a, pair.b
    accepted = b.node.accept(sent.id)
    wrong = replace(accepted, bytes=1)
    draft = statements.receipt(wrong, Counts(), stores=["main"], started=NOW, ended=NOW, software="x")
    assert "other bytes" in refused(b, a, accepted, messages.RECEIPT, draft)
    foreign = a.node.context.ledger.checkpoint()
    draft = statements.closure(sent, receipt=accepted.receipt, recipient=b.id, checkpoint=foreign)
    assert "foreign checkpoint" in refused(a, b, sent, messages.CLOSURE, draft)


@pytest.mark.parametrize("state", [[], {}, 5, None])
def test_what_a_sender_answers_to_progress_stops_nothing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, state: object
) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    post = pair.b.wire.post_message

    def answered(data: bytes) -> bytes:
        answer = post(data)
        told = messages.Message.from_bytes(data).kind == messages.PROGRESS
        return canonical.encode({"state": state}, where="answer") if told else answer

    monkeypatch.setattr(pair.b.wire, "post_message", answered)
    assert pair.b.node.accept(sent.id).state is State.CLOSED


def test_receipts_and_closures_that_do_not_fit_and_those_that_come_again(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    a, b = pair.a, pair.b
    accepted = b.node.accept(sent.id, wait=False)
    for wrong, why in (
        (replace(accepted, payload_id="ab" * 32), "another payload"),
        (replace(accepted, acceptance="ab" * 32), "another acceptance"),
        (replace(accepted, offer="ab" * 32), "another offer"),
        (replace(accepted, peer="ab" * 32), "another sender"),
    ):
        draft = statements.receipt(wrong, Counts(), stores=["main"], started=NOW, ended=NOW, software="x")
        assert why in refused(b, a, accepted, messages.RECEIPT, draft)
    received = receive_package(b.desk, sent.id, FetchOptions(), listener=silent)
    own = b.node.context.ledger.checkpoint()
    for receipt, recipient, why in (
        ("ab" * 32, b.id, "another receipt"),
        (received.receipt, "ab" * 32, "another node"),
    ):
        draft = statements.closure(sent, receipt=receipt, recipient=recipient, checkpoint=own)
        assert why in refused(a, b, sent, messages.CLOSURE, draft)
    assert b.node.transfers.show(sent.id).transfer.state is State.RECEIVED
    b.node.transfers.resume()
    assert b.node.transfers.show(sent.id).transfer.state is State.CLOSED
    closures = count(a, sent.id, "closure")
    for _ in range(2):  # a receipt that comes again is answered with the same closure
        answer = told(b, a, sent.id, messages.RECEIPT)
        assert (answer["state"], answer["messages"][0]["kind"]) == ("closed", "closure")
    assert told(b, a, sent.id, messages.ACCEPTANCE)["state"] == "closed"
    assert count(a, sent.id, "closure") == closures
    again = statements.receipt(accepted, Counts(), stores=["main"], started=NOW, ended=NOW, software="x")
    assert "another receipt came before" in refused(b, a, accepted, messages.RECEIPT, again)


def test_what_was_stated_before_a_process_ended_is_not_stated_again(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    received = pair.b.node.accept(sent.id)
    again = statements.receipt(received, Counts(), stores=["main"], started=NOW, ended=NOW, software="x")
    assert pair.b.desk.say_once(sent.id, again) == received.receipt
    assert count(pair.b, sent.id, "receipt") == 1
    other = statements.receipt(
        replace(received, acceptance="ab" * 32), Counts(), stores=["main"], started=NOW, ended=NOW, software="x"
    )
    assert pair.b.desk.say_once(sent.id, other) != received.receipt
