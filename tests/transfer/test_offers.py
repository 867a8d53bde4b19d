"""Offers between two nodes, and within one: stated, proven, answered; and everything that must not pass."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import pytest

import diadem
from diadem.custody.statements import transfer_subject
from diadem.errors import DiademError, DocumentError, NotFound, Refused, StoreError
from diadem.model import canonical
from diadem.model.policy import AllowedTransfer, Incoming, Transfers
from diadem.model.transfers import State, new_id
from diadem.network.evidence import Contradicted
from diadem.network.incoming import receive
from diadem.network.mail.pickup import collect
from diadem.network.messages import Message
from diadem.trust.note import Checkpoint, sign_checkpoint
from tests.cli.inside import said, said_json
from tests.transfer.pair import Pair, Side, WiredDesk, deliver_all
from tests.transfer.towns import show_checkpoints

DAY = datetime.timedelta(days=1)


def with_policy(side: Side, **sections: Any) -> None:
    side.node.context.__dict__["policy"] = replace(side.node.context.policy, **sections)


def kinds_of(side: Side, transfer: str) -> list[str]:
    return [entry.statement.kind for entry in side.node.context.ledger.of_subject(transfer_subject(transfer).sha256)]


def forged(data: bytes, **members: object) -> bytes:
    """A message with other members, in canonical form."""
    return canonical.encode({**canonical.decode(data, where="", limit=1 << 30), **members}, where="")


def test_an_offer_arrives_with_what_a_person_decides_by(pair: Pair) -> None:
    package = pair.a.archived()
    sent = pair.a.node.send(package, "marie@nmi", comment="the ZnO series")
    assert (sent.state, sent.direction, sent.missing) == (State.OFFERED, "out", ())
    (offer,) = pair.b.node.inbox()
    came = offer.transfer
    assert (came.id, came.package, came.offer) == (sent.id, package, sent.offer)
    assert (came.sender, came.recipient, came.comment) == ("alice@hu-berlin", "marie@nmi", "the ZnO series")
    assert came.bytes == sent.bytes > 5000
    assert offer.record["title"] == "session"
    assert kinds_of(pair.a, sent.id) == ["offer"]
    assert pair.a.node.send(package, "marie@nmi").id == sent.id, "the same offer is not made twice"
    assert not pair.a.desk.outbox.waiting()


def test_declined_with_a_reason(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    assert pair.b.node.decline(sent.id[:8], reason="wrong sample").state is State.DECLINED
    details = pair.a.node.transfers.show(sent.id)
    assert details.transfer.state is State.DECLINED
    assert details.events[-1].words == "wrong sample"
    assert kinds_of(pair.b, sent.id) == ["decline"]
    with pytest.raises(Refused, match="declined"):
        pair.b.node.accept(sent.id, wait=False)


def test_accepted_with_a_ceiling_and_room(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    accepted = pair.b.node.accept(sent.id, wait=False)
    assert accepted.state is State.ACCEPTED
    assert accepted.store
    assert accepted.ceiling == sent.bytes + int(sent.bytes * 0.02) + (64 << 20) + 8 * sent.bytes
    assert pair.b.desk.book.reserved(accepted.store) == sent.bytes
    known = pair.a.node.transfers.show(sent.id).transfer
    assert (known.state, known.acceptance, known.missing) == (State.ACCEPTED, accepted.acceptance, ("receipt",))
    assert "1 package sent without a receipt" in pair.a.node.transfers.look()["text"]
    assert pair.b.node.accept(sent.id, wait=False).acceptance == accepted.acceptance


@pytest.mark.parametrize("side", ["sender", "recipient"])
def test_cancelled_by_either_side(pair: Pair, side: str) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    pair.b.node.accept(sent.id, wait=False)
    cancelling = pair.a if side == "sender" else pair.b
    state = State.REVOKED if side == "sender" else State.CANCELLED
    assert cancelling.node.transfers.cancel(sent.id, reason="a mistake").state is state
    for one in (pair.a, pair.b):
        assert one.node.transfers.show(sent.id).transfer.state is state
    assert not pair.b.desk.book.reserved("main")


def test_nobody_answers_until_the_offer_ends(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi", expires=DAY)
    for side in (pair.a, pair.b):
        side.node.context.clock = lambda: datetime.datetime.now(datetime.UTC) + 2 * DAY
        assert side.node.transfers.ls()[0].state is State.EXPIRED
    with pytest.raises(Refused, match="expired"):
        pair.b.node.accept(sent.id, wait=False)


def test_a_peer_that_is_away_gets_it_later_or_fetches_it(pair: Pair) -> None:
    pair.a.wire.down = True
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    assert "does not answer" in pair.a.node.transfers.show(sent.id).unsent[0]
    assert deliver_all(pair.a.desk) == 0, "it is not tried again at once"
    assert collect(pair.b.desk, pair.a.id) == 1
    assert pair.b.node.inbox()[0].id == sent.id
    assert not pair.a.desk.outbox.waiting()
    pair.b.wire.down = True
    pair.b.node.accept(sent.id, wait=False)
    pair.b.wire.down = False
    assert deliver_all(pair.b.desk, due=False) == 0
    assert pair.a.node.transfers.show(sent.id).transfer.state is State.ACCEPTED


def test_who_fetches_says_what_it_saw_of_a_log_and_takes_nothing_that_does_not_go_on_from_there(pair: Pair) -> None:
    sides = pair.a, pair.b
    pair.a.wire.down = True
    for side in sides:
        show_checkpoints(side.node, 1)
    kept = pair.a.node.context.ledger.checkpoint()
    pair.b.desk.book.see(pair.a.id, theirs=kept)
    show_checkpoints(pair.a.node, 70)
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    assert collect(pair.b.desk, pair.a.id) == 1
    assert [offer.id for offer in pair.b.node.inbox()] == [sent.id]
    assert not pair.a.desk.outbox.waiting()

    with_policy(pair.b, incoming=Incoming(max_per_day=1))
    third = pair.a.node.send(pair.a.archived("third"), "marie@nmi")
    collect(pair.b.desk, pair.a.id)
    refused = pair.a.node.transfers.show(third.id).transfer
    assert refused.state is State.FAILED, "what is refused is told, as to a caller"
    assert "more than 1 offers came in a day" in refused.error
    with_policy(pair.b, incoming=Incoming())

    origin, key = kept.partition("\n")[0], pair.a.node.context.keys.open("log")
    pair.b.desk.book.see(pair.a.id, theirs=sign_checkpoint(Checkpoint(origin, 10_000, bytes(32)), key))  # of a fork
    other = pair.a.node.send(pair.a.archived("other"), "marie@nmi")
    assert collect(pair.b.desk, pair.a.id) == 1
    refused = pair.a.node.transfers.show(other.id).transfer
    assert refused.state is State.FAILED
    assert "holds a checkpoint that this log does not continue" in refused.error
    assert collect(pair.b.desk, pair.a.id) == 0, "it is not fetched for ever"


def test_within_a_node_nothing_is_copied_and_the_statements_are_the_same(pair: Pair) -> None:
    node, package = pair.a.node, pair.a.archived()
    node.users.add("bob")
    sent = node.send(package, "bob@hu-berlin")
    assert sent.direction == "local"
    bob = diadem.open_node(node.path, user="bob")
    bob.context.once("desk", lambda: desk_for(pair.a, bob))
    assert [offer.id for offer in bob.inbox()] == [sent.id]
    assert node.inbox() == []
    done = bob.accept(sent.id)
    assert (done.state, done.route, done.counts.received) == (State.CLOSED, "local", 0)
    assert kinds_of(pair.a, sent.id) == ["offer", "acceptance", "receipt", "closure"]
    assert node.custody(package).ok
    assert bob.context.catalogue.get(package).owner == "alice@hu-berlin"
    assert len(bob.context.catalogue.replicas(package)) == 1
    bob.close()


def desk_for(side: Side, node: diadem.Node) -> WiredDesk:
    """A desk of the same node, opened anew, or of a copy of it."""
    desk = WiredDesk.open(node.context)
    desk.ways = side.desk.ways
    return desk


def test_a_rule_accepts_and_is_cited(pair: Pair) -> None:
    rule = pair.b.node.rules.add("alice@hu-berlin", max_bytes=10**6)
    small = pair.a.node.send(pair.a.archived("small"), "marie@nmi")
    assert small.state is State.OFFERED
    taken = pair.b.node.transfers.show(small.id).transfer
    assert (taken.state, taken.rule) == (State.ACCEPTED, rule.id)
    deliver_all(pair.b.desk, due=False)
    assert pair.a.node.transfers.show(small.id).transfer.state is State.ACCEPTED
    large = pair.a.node.send(pair.a.archived("large", {"a.bin": bytes(2_000_000)}), "marie@nmi")
    assert pair.b.node.transfers.show(large.id).transfer.state is State.OFFERED
    pair.b.node.rules.rm(rule.id[:10])
    assert list(pair.b.node.rules) == []
    other = pair.a.node.send(pair.a.archived("other"), "marie@nmi")
    assert pair.b.node.transfers.show(other.id).transfer.state is State.OFFERED


# -- what the rules of both sides forbid -----------------------------------------------------------------------------


def test_the_senders_policy_decides_who_sends_where(pair: Pair) -> None:
    package = pair.a.archived()
    with_policy(pair.a, transfer=Transfers(allow=(AllowedTransfer("owner", "*@nmi", "hub"), AllowedTransfer())))
    with pytest.raises(Refused, match="only the route 'hub'"):
        pair.a.node.send(package, "marie@nmi", route="direct")
    with_policy(pair.a, transfer=Transfers(allow=(AllowedTransfer("carol", "*"),)))
    with pytest.raises(Refused, match="policy does not let"):
        pair.a.node.send(package, "marie@nmi")
    with pytest.raises(NotFound, match="no node is called"):
        pair.a.node.send(package, "marie@oxford")
    pair.a.doubts(pair.b)
    with pytest.raises(Refused, match="not confirmed"):
        pair.a.node.send(package, "marie@nmi")
    assert pair.a.node.transfers.ls() == []


def test_only_the_owner_lets_others_read(pair: Pair) -> None:
    package = pair.a.archived()
    pair.a.node.users.add("bob")
    bob = diadem.open_node(pair.a.node.path, user="bob")
    bob.context.once("desk", lambda: desk_for(pair.a, bob))
    with_policy(replace(pair.a, node=bob), transfer=Transfers(allow=(AllowedTransfer("*"),)))
    with pytest.raises(Refused, match="cannot grant it"):
        bob.send(package, "marie@nmi")
    bob.close()


def test_the_receivers_policy_refuses_what_is_too_large_or_too_much(pair: Pair) -> None:
    with_policy(pair.b, incoming=Incoming(max_size=1000))
    sent = pair.a.node.send(pair.a.archived("one"), "marie@nmi")
    assert sent.state is State.FAILED
    assert "more than the 1 kB allowed" in sent.error
    with_policy(pair.b, incoming=Incoming(max_per_day=1))
    assert pair.a.node.send(pair.a.archived("two"), "marie@nmi").state is State.OFFERED
    assert "more than 1 offers" in pair.a.node.send(pair.a.archived("three"), "marie@nmi").error
    with_policy(pair.b, incoming=Incoming(max_waiting=1000))
    with pytest.raises(Refused, match="on the way"):
        pair.b.node.accept(pair.b.node.inbox()[0].id, wait=False)
    assert pair.b.desk.book.refusals()


def test_a_store_without_room_beside_what_is_promised(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    store = pair.b.node.context.stores.open("main")
    monkeypatch.setattr(store, "free", lambda: sent.bytes + (64 << 20) - 1)
    with pytest.raises(StoreError, match="no store has room"):
        pair.b.node.accept(sent.id, wait=False)


# -- enemies ---------------------------------------------------------------------------------------------------------


def test_a_message_again_and_an_offer_again_change_nothing(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    (message,) = pair.a.wire.sent
    first = receive(pair.b.desk, pair.a.id, message)
    assert receive(pair.b.desk, pair.a.id, message) == first
    assert receive(pair.b.desk, pair.a.id, forged(message, id=new_id())) == first
    pair.b.node.decline(sent.id)
    again = receive(pair.b.desk, pair.a.id, forged(message, id=new_id()))
    assert b"declined" in again, "a replayed offer does not come to life again"
    assert len(pair.b.node.transfers.show(sent.id).events) == 2


def test_only_a_confirmed_peer_is_heard_and_only_for_this_node(pair: Pair) -> None:
    pair.a.node.send(pair.a.archived(), "marie@nmi")
    (message,) = pair.a.wire.sent
    with pytest.raises(NotFound):
        receive(pair.b.desk, "ab" * 32, message)
    stranger = replace(pair.b.peers.get(pair.a.id), id="cd" * 32, name="stranger")
    pair.b.peers.put(stranger)
    with pytest.raises(Refused, match="not from the node"):
        receive(pair.b.desk, stranger.id, message)
    with pytest.raises(Refused, match="not for this one"):
        receive(pair.b.desk, pair.a.id, forged(message, to="ef" * 32))
    with pytest.raises(DocumentError, match="another node's log"):
        receive(
            pair.b.desk, stranger.id, forged(message, **{"from": stranger.id, "id": new_id(), "transfer": new_id()})
        )
    pair.b.doubts(pair.a)
    with pytest.raises(NotFound):
        receive(pair.b.desk, pair.a.id, forged(message, id=new_id()))


def test_statements_of_another_transfer_prove_nothing(pair: Pair) -> None:
    one = pair.a.node.send(pair.a.archived("one"), "marie@nmi")
    two = pair.a.node.send(pair.a.archived("two"), "marie@nmi")
    first, second = pair.a.wire.sent
    chain = Message.from_bytes(second).chain
    with pytest.raises(DocumentError, match="about something else"):
        receive(pair.b.desk, pair.a.id, forged(first, id=new_id(), chain=chain))
    assert {offer.id for offer in pair.b.node.inbox()} == {one.id, two.id}


def test_a_changed_chain_is_contradicted_stated_and_stops_the_transfer(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    pair.b.node.accept(sent.id, wait=False)
    (message,) = pair.a.wire.sent
    chain = Message.from_bytes(message).chain
    bent = chain.replace('"epoch":', '"epoch": ', 1)
    with pytest.raises(DiademError):
        receive(pair.b.desk, pair.a.id, forged(message, id=new_id(), chain=bent))
    index = chain.index('"inclusion":["') + 14
    other = chain[:index] + ("0" if chain[index] != "0" else "1") + chain[index + 1 :]
    with pytest.raises(Contradicted):
        receive(pair.b.desk, pair.a.id, forged(message, id=new_id(), chain=other))
    stopped = pair.b.node.transfers.show(sent.id).transfer
    assert stopped.state is State.FAILED
    assert "audit" in kinds_of(pair.b, sent.id)
    for _ in range(3):
        with pytest.raises(Contradicted):
            receive(pair.b.desk, pair.a.id, forged(message, id=new_id(), chain=other))
    assert kinds_of(pair.b, sent.id).count("audit") == 1, "nobody fills the log"


def test_a_log_that_was_set_back_is_noticed(pair: Pair) -> None:
    """The sender's node is put back to a copy of its log and says something else: two branches meet at the receiver."""
    import shutil

    package, other = pair.a.archived("one"), pair.a.archived("two")
    pair.a.node.context.ledger.mirrors.push()
    shutil.copytree(pair.a.root, pair.a.root.parent / "copy")
    pair.a.node.send(package, "marie@nmi")
    twin = diadem.open_node(pair.a.root.parent / "copy" / "node")
    twin.stores.move("main", str(pair.a.root.parent / "copy" / "store"))

    twin.context.once("desk", lambda: desk_for(pair.a, twin))
    sent = twin.send(other, "marie@nmi")
    assert sent.state is State.FAILED
    assert "rewritten or forked" in sent.error or "does not continue" in sent.error
    assert [offer.transfer.package for offer in pair.b.node.inbox()] == [package]
    twin.close()


def test_another_user_does_not_answer_an_offer(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    pair.b.node.users.add("bob")
    bob = diadem.open_node(pair.b.node.path, user="bob")
    bob.context.once("desk", lambda: desk_for(pair.b, bob))
    assert bob.inbox() == []
    for answer in (bob.accept, bob.decline, bob.transfers.cancel):
        with pytest.raises(Refused):
            answer(sent.id)
    bob.close()
    assert pair.a.node.send(pair.a.archived("two"), "carol@nmi").state is State.FAILED


def test_a_receipt_of_somebody_else_closes_nothing(pair: Pair) -> None:
    """What was not accepted cannot be received, whatever a chain says."""
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    pair.b.node.accept(sent.id, wait=False)
    message = forged(pair.b.wire.sent[-1], id=new_id(), kind="receipt")
    with pytest.raises(Refused, match="proves no receipt"):
        receive(pair.a.desk, pair.b.id, message)
    closure = forged(pair.a.wire.sent[-1], id=new_id(), kind="closure", about={})
    with pytest.raises(Refused, match="proves no closure"):
        receive(pair.b.desk, pair.a.id, closure)
    known = pair.a.node.transfers.show(sent.id).transfer
    assert (known.state, known.receipt, known.missing) == (State.ACCEPTED, "", ("receipt",))


@pytest.mark.parametrize("before", ["waiting", "accepted"])
def test_what_is_sent_after_its_grant_was_revoked_is_a_new_offer_that_works(pair: Pair, before: str) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    if before == "accepted":
        pair.b.node.accept(sent.id, wait=False)
    pair.a.node.revoke(sent.grant)
    again = pair.a.node.send(sent.package, "marie@nmi")
    assert again.id != sent.id
    assert pair.a.node.send(sent.package, "marie@nmi").id == again.id, "the new one is not made twice"
    for side in (pair.a, pair.b):
        details = side.node.transfers.show(sent.id)
        assert details.transfer.state is State.REVOKED
        assert "grant" in details.events[-1].words
    assert [offer.id for offer in pair.b.node.inbox()] == [again.id]
    assert pair.b.node.accept(again.id).state is State.CLOSED
    assert pair.b.node.get(sent.package).verify().ok


def test_within_a_node_what_is_sent_after_its_grant_was_revoked_can_be_accepted(pair: Pair) -> None:
    node = pair.a.node
    node.users.add("bob")
    sent = node.send(pair.a.archived(), "bob@hu-berlin")
    node.revoke(sent.grant)
    again = node.send(sent.package, "bob@hu-berlin")
    assert node.transfers.show(sent.id).transfer.state is State.REVOKED
    with diadem.open_node(pair.a.root / "node", user="bob") as bobs:
        assert bobs.accept(again.id).state is State.CLOSED


def test_another_grant_in_the_place_of_the_revoked_one_keeps_the_offer(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    pair.a.node.revoke(sent.grant)
    pair.a.node.grant(sent.package, to="marie@nmi")
    assert pair.a.node.send(sent.package, "marie@nmi").id == sent.id
    assert pair.b.node.accept(sent.id).state is State.CLOSED


def test_both_sides_are_told_what_a_revocation_stops_and_what_to_do(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    other = pair.a.node.send(pair.a.archived("other"), "marie@nmi")
    assert list(pair.a.node.transfers.stopped()) == []
    pair.a.node.revoke(sent.grant)
    assert [one.id for one in pair.a.node.transfers.stopped()] == [sent.id]
    assert "1 offer whose recipient may no longer read the package" in pair.a.node.transfers.look()["text"]
    listed = {one.id: one for one in pair.a.node.transfers}
    for known in (pair.a.node.transfers.show(sent.id).transfer, listed[sent.id]):
        assert "marie@nmi may not read" in known.error
        assert f"diadem send {sent.package[7:19]} marie@nmi" in known.next
        assert f"diadem transfer cancel {sent.id[:8]}" in known.next
    assert pair.a.node.transfers.show(other.id).transfer.error == ""
    with pytest.raises(NotFound, match="revoked or has ended, or the offer was withdrawn") as refused:
        pair.b.node.accept(sent.id)
    assert "ask alice@hu-berlin to send it again" in (refused.value.next or "")
    assert "revoked" in pair.b.node.transfers.show(sent.id).transfer.error


def test_a_grant_is_revoked_where_the_book_of_transfers_cannot_be_read(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    pair.a.node.close()
    (pair.a.node.path / "network" / "network.sqlite").write_bytes(b"of a failing disk" * 1000)
    assert "revoked" in said("revoke", sent.grant[:12], "--node", pair.a.node.path)
    (grant,) = said_json("grant", "ls", "--node", pair.a.node.path)["grants"]
    assert grant["state"] == "revoked"


def test_what_is_here_already_is_said_to_be_here(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    pair.b.node.accept(sent.id)
    for answer in (pair.b.node.accept, pair.b.node.decline):
        with pytest.raises(
            Refused, match=r"the package was received on \d{4}-\d\d-\d\d, into the store '\w+'"
        ) as refused:
            answer(sent.id)
        assert f"diadem show {sent.package[7:19]}" in (refused.value.next or "")


def test_an_answer_to_what_was_withdrawn_says_so(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi")
    pair.b.node.inbox()
    pair.a.node.transfers.cancel(sent.id)
    for answer in (pair.b.node.accept, pair.b.node.decline):
        with pytest.raises(Refused, match="the offer is withdrawn") as refused:
            answer(sent.id)
        assert "cancel" not in (refused.value.next or ""), "that would be refused too"
    with pytest.raises(Refused, match="the transfer is withdrawn"):
        pair.b.node.transfers.pause(sent.id)
