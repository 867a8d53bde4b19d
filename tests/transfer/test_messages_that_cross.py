"""Messages that cross: each shows that its log goes on from what the other side saw, and that sees more meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from diadem.errors import Unreachable
from diadem.model.transfers import State
from diadem.network.link import Link
from diadem.network.mail.pickup import collect
from diadem.network.messages import Message
from diadem.trust.note import Checkpoint, sign_checkpoint
from tests.transfer.folder_hub import FolderBoxes
from tests.transfer.pair import Pair, Side, Wire, deliver_all
from tests.transfer.star import SPOKES, SpokeDesk, Star
from tests.transfer.test_messages_through_a_hub import BytesOnly, archived, offered, state
from tests.transfer.towns import show_checkpoints

# -- directly --------------------------------------------------------------------------------------------------------


@dataclass
class Crossing(Wire):
    """A way by which something else happens before and after each message of a kind is told, or fetched."""

    kind: str = ""
    before: Callable[[], object] = lambda: None
    after: Callable[[], object] = lambda: None

    def post_message(self, data: bytes) -> bytes:
        if Message.from_bytes(data).kind != self.kind:
            return super().post_message(data)
        self.before()
        answer = super().post_message(data)
        self.after()
        return answer

    def waiting_messages(self) -> list[bytes]:
        found = super().waiting_messages()
        if not self.kind:
            self.after()
        return found


def by(wire: Wire) -> Callable[[str], Link]:
    """All ways are this one."""
    return lambda _: wire


def another_offer(pair: Pair) -> Callable[[], None]:
    """What makes hu-berlin's log go on, and nmi see more of it: another offer, each time."""
    number = 0

    def offer() -> None:
        nonlocal number
        number += 1
        known, pair.a.desk.ways = pair.a.desk.ways, by(Wire(pair.a.id, lambda: pair.b.desk))
        pair.a.node.send(pair.a.archived(f"other-{number}"), "marie@nmi")
        pair.a.desk.ways = known

    return offer


def in_turn(*deeds: Callable[[], object]) -> Callable[[], object]:
    """One deed each time, and then none."""
    left = list(deeds)
    return lambda: left.pop(0)() if left else None


def time_passes(*sides: Side) -> None:
    """A minute later each hands over what is due."""
    for side in sides:
        context = side.node.context
        moment = context.clock() + timedelta(minutes=1)
        context.clock = lambda moment=moment: moment  # type: ignore[misc]
        deliver_all(side.desk)


def test_another_offer_arrives_while_a_receipt_is_answered(pair: Pair) -> None:
    transfer = pair.a.node.send(pair.a.archived(), "marie@nmi").id
    pair.b.node.accept(transfer, wait=False)
    offer = another_offer(pair)
    pair.b.desk.ways = by(Crossing(pair.b.id, lambda: pair.a.desk, kind="receipt", after=in_turn(offer, offer)))
    pair.b.node.transfers.sync()
    time_passes(pair.b, pair.b)
    assert [side.desk.book.get(transfer).state for side in (pair.b, pair.a)] == [State.CLOSED] * 2
    assert pair.b.desk.outbox.waiting() == []


def test_another_offer_arrives_while_one_is_shown_how_the_log_goes_on(pair: Pair) -> None:
    pair.a.node.send(pair.a.archived(), "marie@nmi")
    offer = another_offer(pair)
    pair.a.desk.ways = by(Crossing(pair.a.id, lambda: pair.b.desk, kind="offer", before=in_turn(offer, offer, offer)))
    sent = pair.a.node.send(pair.a.archived("crossing"), "marie@nmi").id
    time_passes(pair.a, pair.a)
    assert [side.desk.book.get(sent).state for side in (pair.a, pair.b)] == [State.OFFERED] * 2
    assert not pair.a.desk.book.get(sent).error
    assert pair.a.desk.outbox.waiting() == []


def test_more_of_the_log_is_seen_whenever_an_offer_is_fetched(pair: Pair) -> None:
    pair.a.node.send(pair.a.archived(), "marie@nmi")
    pair.a.desk.ways = by(Wire(pair.a.id, lambda: pair.b.desk, down=True))
    sent = pair.a.node.send(pair.a.archived("crossing"), "marie@nmi").id

    def seen() -> None:
        show_checkpoints(pair.a.node, 1)
        pair.b.desk.book.see(pair.a.id, theirs=pair.a.node.context.ledger.checkpoint())

    pair.b.desk.ways = by(Crossing(pair.b.id, lambda: pair.a.desk, after=in_turn(seen, seen)))
    for _ in range(2):
        collect(pair.b.desk, pair.a.id)
    assert [side.desk.book.get(sent).state for side in (pair.a, pair.b)] == [State.OFFERED] * 2
    assert pair.b.desk.book.refusals() == []
    assert pair.a.desk.outbox.waiting() == []


def test_an_offer_that_was_told_while_it_was_fetched_is_no_fault(pair: Pair) -> None:
    pair.a.node.send(pair.a.archived(), "marie@nmi")
    pair.a.desk.ways = by(Wire(pair.a.id, lambda: pair.b.desk, down=True))
    sent = pair.a.node.send(pair.a.archived("crossing"), "marie@nmi").id
    pair.b.desk.ways = by(Crossing(pair.b.id, lambda: pair.a.desk, after=another_offer(pair)))
    assert collect(pair.b.desk, pair.a.id) == 1
    assert [side.desk.book.get(sent).state for side in (pair.a, pair.b)] == [State.OFFERED] * 2


@pytest.mark.parametrize("by_a_new_offer", [False, True])
def test_what_is_taken_back_while_its_receipt_is_on_its_way_was_received(pair: Pair, by_a_new_offer: bool) -> None:
    package = pair.a.archived()
    transfer = pair.a.node.send(package, "marie@nmi")
    pair.b.node.accept(transfer.id, wait=False)

    def lost() -> None:
        raise Unreachable("the line is cut")

    pair.b.desk.ways = by(Crossing(pair.b.id, lambda: pair.a.desk, kind="receipt", before=lost))
    pair.b.node.transfers.sync()
    assert pair.b.desk.book.get(transfer.id).state is State.RECEIVED
    if by_a_new_offer:
        pair.a.node.revoke(transfer.grant)
        pair.a.node.send(package, "marie@nmi")
    else:
        pair.a.node.transfers.cancel(transfer.id)
    assert pair.a.desk.book.get(transfer.id).state is State.REVOKED
    assert pair.b.desk.book.get(transfer.id).state is State.RECEIVED
    pair.b.desk.ways = by(pair.b.wire)
    time_passes(pair.b)
    assert [side.desk.book.get(transfer.id).state for side in (pair.b, pair.a)] == [State.CLOSED] * 2
    assert pair.a.node.transfers.show(transfer.id).transfer.error == ""
    assert all(side.node.custody(package).ok for side in (pair.a, pair.b))


@pytest.mark.parametrize("ends", ["taken back", "expired"])
def test_what_ends_while_its_disk_is_in_the_post_was_received(pair: Pair, tmp_path: Path, ends: str) -> None:
    for side in (pair.a, pair.b):
        side.wire.down = True
    sent = pair.a.node.export_disk(pair.a.archived(), "marie@nmi", tmp_path / "disk").transfer
    assert sent is not None
    assert pair.b.node.import_(tmp_path / "disk").transfer.state is State.RECEIVED
    if ends == "expired":
        later = sent.expires + timedelta(days=1)
        pair.a.node.context.clock = lambda: later
        assert pair.a.node.transfers.ls()[0].state is State.EXPIRED
    else:
        pair.a.node.transfers.cancel(sent.id)
    for side in (pair.a, pair.b):
        side.wire.down = False
    time_passes(pair.b, pair.a)
    assert [side.desk.book.get(sent.id).state for side in (pair.b, pair.a)] == [State.CLOSED] * 2
    assert pair.b.node.transfers.show(sent.id).transfer.error == ""
    assert all(side.node.custody(sent.package).ok for side in (pair.a, pair.b))


def test_a_receipt_that_is_never_confirmed_keeps_no_other_message_waiting(pair: Pair) -> None:
    transfer = pair.a.node.send(pair.a.archived(), "marie@nmi")
    pair.b.node.accept(transfer.id, wait=False)
    origin, key = pair.a.node.context.ledger.checkpoint().partition("\n")[0], pair.a.node.context.keys.open("log")

    def of_a_fork() -> None:
        pair.b.desk.book.see(pair.a.id, theirs=sign_checkpoint(Checkpoint(origin, 10_000, bytes(32)), key))

    pair.b.desk.ways = by(Crossing(pair.b.id, lambda: pair.a.desk, kind="receipt", after=of_a_fork))
    pair.b.node.transfers.sync()
    assert pair.b.desk.book.get(transfer.id).state is State.RECEIVED
    time_passes(pair.b)
    sent = pair.b.node.send(pair.b.archived("back"), "alice@hu-berlin")
    deliver_all(pair.b.desk, due=False)
    assert pair.a.desk.book.get(sent.id).state is State.OFFERED
    (waiting,) = pair.b.desk.outbox.waiting()
    assert (waiting.kind, waiting.transfer) == ("receipt", transfer.id)


def test_who_is_weighed_last_does_not_hide_what_was_seen_before(pair: Pair) -> None:
    pair.a.node.send(pair.a.archived(), "marie@nmi")
    older, book = pair.b.desk.book.checkpoints(pair.a.id)[0], pair.b.desk.book
    show_checkpoints(pair.a.node, 1)
    newer = pair.a.node.context.ledger.checkpoint()
    book.see(pair.a.id, theirs=newer)
    book.see(pair.a.id, theirs=older)
    assert book.checkpoints(pair.a.id)[0] == newer


# -- through a hub ---------------------------------------------------------------------------------------------------


def last_first(star: Star, name: str) -> None:
    """Let the hub list what came last first: it tells no order."""
    os.utime(star.hub.lying(star.node(name).id)[-1], ns=(0, 0))


def test_another_offer_overtakes_the_answer_to_a_receipt(star: Star) -> None:
    transfer = offered(star)
    star.settle()
    desk = star.desk("nmi")
    wire = BytesOnly(star.node("nmi").id, lambda: star.desk("hu-berlin"))
    desk.link, desk.brings = (lambda peer: wire), (lambda peer: False)  # type: ignore[method-assign]  # noqa: ARG005
    star.node("nmi").accept(transfer, wait=False)
    star.settle()
    desk.book.change(transfer, route="direct")  # the messages alone are of interest
    star.node("nmi").transfers.resume(transfer)
    assert state(star, "nmi", transfer) is State.RECEIVED
    for number in range(2):
        star.pick_up("hu-berlin")  # the receipt, whose answer lies in the box then
        star.node("hu-berlin").send(archived(star, f"other-{number}", data=bytes([number]) * 3000), "alice@nmi")
        last_first(star, "nmi")
        star.pick_up("nmi")
        assert state(star, "nmi", transfer) is State.RECEIVED
        star.pass_time(hours=1)
        deliver_all(desk)
    star.settle()
    assert [state(star, name, transfer) for name in SPOKES] == [State.CLOSED] * 2
    assert all(star.desk(name).outbox.waiting() == [] for name in SPOKES)


def test_other_offers_overtake_a_message_again_and_again(star: Star) -> None:
    transfer = offered(star)
    star.settle()
    star.node("hu-berlin").transfers.cancel(transfer)
    for number in range(3):
        star.node("hu-berlin").send(archived(star, f"other-{number}", data=bytes([number]) * 3000), "alice@nmi")
        last_first(star, "nmi")
        star.pick_up("nmi")
        assert state(star, "nmi", transfer) is State.OFFERED
        star.pick_up("hu-berlin")  # it is to show how its log goes on
    star.settle()
    assert [state(star, name, transfer) for name in SPOKES] == [State.REVOKED] * 2
    assert not star.desk("hu-berlin").book.get(transfer).error


@dataclass(frozen=True)
class AnsweredAtOnce(FolderBoxes):
    """A hub at which the other side has answered before the own program goes on."""

    meanwhile: Callable[[], object]

    def put(self, node: str, message: str, data: bytes, *, invitation: str = "") -> None:
        super().put(node, message, data, invitation=invitation)
        self.meanwhile()


def test_what_is_answered_at_once_waits_no_longer(star: Star) -> None:
    desk, node = star.desk("hu-berlin"), star.node("hu-berlin").id
    assert isinstance(desk, SpokeDesk)

    def answered() -> None:
        desk.boxes = FolderBoxes(star.hub, node)
        star.pick_up("nmi")
        star.pick_up("hu-berlin")

    desk.boxes = AnsweredAtOnce(star.hub, node, answered)
    transfer = star.node("hu-berlin").send(archived(star), "alice@nmi").id
    assert state(star, "nmi", transfer) is State.OFFERED
    assert desk.outbox.waiting() == []
