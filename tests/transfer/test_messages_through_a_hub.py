"""What two nodes agree on though neither can call the other: messages lie sealed at a hub, which may be anybody's."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import pytest

from diadem.errors import NotFound, StoreError, Unreachable
from diadem.model.policy import Incoming
from diadem.model.transfers import State
from diadem.network.envelope import Mail, open_mail, seal_mail
from diadem.network.incoming import receive
from diadem.network.jobs import jobs
from diadem.network.link import Link
from diadem.network.mail import pickup
from diadem.network.mail.exchange import exchange
from diadem.network.messages import WANTED
from diadem.network.transfer_verbs import TransferVerbs
from diadem.node.peers.notes import age_recipient
from tests.transfer.folder_hub import FolderBoxes, FolderHub, Lying
from tests.transfer.pair import Wire, deliver_all
from tests.transfer.star import HUB, SPOKES, STRANGER, SpokeDesk, Star
from tests.transfer.towns import Town, noted, url


class BytesOnly(Wire):
    """A way by which packages come and no message."""

    def post_message(self, _: bytes) -> bytes:
        raise Unreachable("no address")


def archived(star: Town, name: str = "session", *, data: bytes = bytes(range(256)) * 20) -> str:
    """A package of hu-berlin."""
    folder = star.root / name
    folder.mkdir(parents=True)
    (folder / "scan.bin").write_bytes(data)
    return str(star.node("hu-berlin").archive(folder, now=True).package.id)


def offered(star: Star) -> str:
    """A package of hu-berlin that is offered to alice@nmi; the transfer's id."""
    package = archived(star)
    sent = star.node("hu-berlin").send(package, "alice@nmi")
    assert TransferVerbs(star.desk("hu-berlin")).show(sent.id).unsent == [
        "offer: it waits at the hub 'oslo', not answered yet"
    ]
    return sent.id


def state(star: Star, name: str, transfer: str) -> State:
    """How far a transfer is at a node."""
    return star.desk(name).book.get(transfer).state


def refusals(star: Star, name: str) -> list[str]:
    """What a node refused, the newest first."""
    return [one["reason"] for one in star.desk(name).book.refusals()]


@pytest.fixture
def sent(star: Star) -> tuple[Star, str]:
    """The star, and an offer that lies at the hub."""
    return star, offered(star)


def test_a_transfer_is_agreed_and_closed_through_the_hub(sent: tuple[Star, str]) -> None:
    star, transfer = sent
    star.settle()
    assert [offer.id for offer in star.node("nmi").inbox()] == [transfer]
    assert star.desk("hu-berlin").outbox.waiting() == []
    desk = star.desk("nmi")
    wire = BytesOnly(star.node("nmi").id, lambda: star.desk("hu-berlin"))
    desk.link, desk.brings = (lambda peer: wire), (lambda peer: False)  # type: ignore[method-assign]  # noqa: ARG005
    accepted = star.node("nmi").accept(transfer, wait=False)
    assert accepted.state is State.ACCEPTED
    star.settle()
    assert state(star, "hu-berlin", transfer) is State.ACCEPTED
    desk.book.change(transfer, route="direct")  # the messages alone are of interest
    star.node("nmi").transfers.resume(transfer)
    star.settle()
    assert [state(star, name, transfer) for name in SPOKES] == [State.CLOSED] * 2
    assert all(star.desk(name).outbox.waiting() == [] for name in SPOKES)
    said = b"".join(data for _, _, data in star.hub.log)
    for secret in (transfer, accepted.package, accepted.payload_id, "alice", "scan.bin"):
        assert secret.encode() not in said


def test_who_answers_has_confirmed_this_node(sent: tuple[Star, str]) -> None:
    star, _ = sent
    for name in (HUB, "nmi"):
        star.book("hu-berlin").put(replace(star.book("hu-berlin").named(name), seen_as="pending"))
    star.hub.down = True
    with pytest.raises(Unreachable):
        star.pick_up("hu-berlin")
    assert star.book("hu-berlin").named(HUB).seen_as == "pending"
    star.hub.down = False
    star.pick_up("hu-berlin")
    known = star.book("hu-berlin")
    assert (known.named(HUB).seen_as, known.named("nmi").seen_as) == ("confirmed", "pending")
    star.settle()
    assert known.named("nmi").seen_as == "confirmed"


def test_who_offers_something_has_confirmed_this_node(sent: tuple[Star, str]) -> None:
    star, _ = sent
    book = star.book("nmi")
    book.put(replace(book.named("hu-berlin"), seen_as="pending"))
    star.pick_up("nmi")
    assert book.named("hu-berlin").seen_as == "confirmed"


def test_what_the_hub_loses_is_put_down_again_and_twice_is_once(sent: tuple[Star, str]) -> None:
    star, transfer = sent
    nmi, outbox = star.node("nmi").id, star.desk("hu-berlin").outbox
    for lost in star.hub.lying(nmi):
        lost.unlink()
    deliver_all(star.desk("hu-berlin"), due=False)
    assert star.hub.lying(nmi) == []  # not at once
    star.pass_time("hu-berlin", minutes=6)
    deliver_all(star.desk("hu-berlin"))
    star.pass_time("hu-berlin", minutes=11)
    deliver_all(star.desk("hu-berlin"))
    assert len(star.hub.lying(nmi)) == 2
    star.settle()
    assert state(star, "nmi", transfer) is State.OFFERED
    assert outbox.waiting() == []
    assert len({name for _, name, _ in star.hub.log}) == len(star.hub.log)


def test_messages_that_come_in_another_order_are_agreed_on_in_the_end(sent: tuple[Star, str]) -> None:
    star, transfer = sent
    star.node("hu-berlin").transfers.cancel(transfer, reason="the wrong one")
    nmi = star.node("nmi").id
    kept = {path.name: path.read_bytes() for path in star.hub.lying(nmi)[:1]}
    for name in kept:
        (star.hub.box(nmi) / name).unlink()
    star.pick_up("nmi")  # the revocation of an offer that it does not know: like anything unknown, without an answer
    with pytest.raises(NotFound):
        star.desk("nmi").book.get(transfer)
    for name, data in kept.items():
        (star.hub.box(nmi) / name).write_bytes(data)
    star.pick_up("nmi")
    star.pass_time(hours=1)
    deliver_all(star.desk("hu-berlin"))
    star.settle()
    assert [state(star, name, transfer) for name in SPOKES] == [State.REVOKED] * 2


def test_a_chain_that_does_not_connect_is_asked_for_again(sent: tuple[Star, str]) -> None:
    star, transfer = sent
    star.settle()
    star.desk("hu-berlin").book.see(star.node("nmi").id, ours="a checkpoint of another log")
    star.node("hu-berlin").transfers.cancel(transfer)
    star.settle()
    assert [state(star, name, transfer) for name in SPOKES] == [State.REVOKED] * 2
    states = [one.state for one in star.desk("nmi").book.events(transfer)]
    assert states == [State.OFFERED, State.REVOKED]


def test_what_the_other_side_refuses_is_told_and_not_sent_again(star: Star) -> None:
    context = star.node("nmi").context
    context.__dict__["policy"] = replace(context.policy, incoming=Incoming(max_size=1000))
    transfer = offered(star)
    star.settle()
    failed = star.desk("hu-berlin").book.get(transfer)
    assert failed.state is State.FAILED
    assert "the other side refused the offer" in failed.error
    assert star.desk("hu-berlin").outbox.waiting() == []


def put_in(star: Star, to: str, said: Mail, by: str) -> None:
    """Lay something into a node's box, as a hub that lets everybody would, signed by the key of a node."""
    key, node = star.node(by).context.keys.open("online"), star.node(to)
    sealed = seal_mail(said, key, age_recipient(node.context))
    (star.hub.box(node.id) / said.id).write_bytes(sealed)


def lying(star: Star) -> Mail:
    """What lies in the box of nmi, opened there."""
    (path,) = star.hub.lying(star.node("nmi").id)
    node = star.node("nmi")
    return open_mail(path.read_bytes(), node.context.keys.age_identity(), node.id, path.name)


def test_a_stranger_and_a_borrowed_name_say_nothing(sent: tuple[Star, str]) -> None:
    star, _ = sent
    said = lying(star)
    for path in star.hub.lying(star.node("nmi").id):
        path.unlink()
    put_in(star, "nmi", replace(said, id="01" * 16), STRANGER)  # what hu-berlin said, by somebody else
    put_in(star, "nmi", replace(said, id="02" * 16, sender=star.node(STRANGER).id), STRANGER)
    star.pick_up("nmi")
    assert star.desk("nmi").book.all() == []
    assert [text.split(": ", 1)[1] for text in refusals(star, "nmi")] == [
        f"the node {star.node(STRANGER).id[:12]}… is not a peer, or is not listened to",
        "it is not signed by the online key of 'hu-berlin'",
    ]


def test_a_hub_that_changes_swaps_or_repeats_is_found_out(sent: tuple[Star, str]) -> None:
    star, transfer = sent
    nmi, berlin = (star.hub.box(star.node(name).id) for name in ("nmi", "hu-berlin"))
    (path,) = star.hub.lying(star.node("nmi").id)
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    (nmi / ("0a" * 16)).write_bytes(good)
    (berlin / path.name).write_bytes(good)
    star.pick_up("nmi")
    star.pick_up("hu-berlin")
    assert star.desk("nmi").book.all() == []
    assert "changed" in " ".join(refusals(star, "nmi"))
    assert "stored it again" in " ".join(refusals(star, "nmi"))
    assert "for somebody else" in refusals(star, "hu-berlin")[0]
    star.pass_time(minutes=6)
    deliver_all(star.desk("hu-berlin"))
    (path,) = star.hub.lying(star.node("nmi").id)
    good = path.read_bytes()
    star.settle()
    answers, statements = len(star.hub.log), len(star.said("nmi", "audit"))
    path.write_bytes(good)
    star.settle()
    assert len(star.hub.log) == answers  # nothing is answered twice
    assert len(star.said("nmi", "audit")) == statements
    assert state(star, "nmi", transfer) is State.OFFERED


def test_what_is_very_old_is_not_taken(sent: tuple[Star, str]) -> None:
    star, _ = sent
    star.pass_time("nmi", days=61)
    star.pick_up("nmi")
    assert "held it back" in refusals(star, "nmi")[0]
    assert star.desk("nmi").book.all() == []


def test_a_stolen_key_that_was_replaced_says_nothing_more(star: Star) -> None:
    star.node(HUB), star.node("hu-berlin")
    thief = star.fork("hu-berlin", "thief").context.keys.open("online")
    star.node("hu-berlin").keys.rotate(star.recovery_file("hu-berlin"))
    transfer = offered(star)
    star.pick_up("nmi")
    assert "not signed by the online key" in refusals(star, "nmi")[0]  # the new key is not known there yet
    star.peers("hu-berlin").refresh()
    star.settle()
    star.pass_time(minutes=6)
    deliver_all(star.desk("hu-berlin"))
    said = lying(star)
    star.settle()
    assert state(star, "nmi", transfer) is State.OFFERED
    node = star.node("nmi")
    assert isinstance(said.content, Mapping)
    forged = replace(said, id="03" * 16, content={**said.content, "id": "04" * 16})
    (star.hub.box(node.id) / forged.id).write_bytes(seal_mail(forged, thief, age_recipient(node.context)))
    before = len(star.hub.log)
    star.pick_up("nmi")
    assert "not signed by the online key of 'hu-berlin'" in refusals(star, "nmi")[0]
    assert len(star.hub.log) == before


@pytest.mark.parametrize("declined", [False, True])
def test_what_a_peer_wants_too_early_or_too_late_keeps_no_other_waiting(star: Star, declined: bool) -> None:
    transfer = offered(star)
    star.settle()
    if declined:
        star.node("nmi").decline(transfer)
        star.settle()
    desk = star.desk("nmi")
    desk.post(desk.book.get(transfer), WANTED, {"route": "hub", "generation": 1, "parts": [0], "windows": ""})
    deliver_all(desk, due=False)
    star.settle()
    assert star.hub.lying(star.node("hu-berlin").id) == []


def test_what_cannot_be_answered_now_keeps_no_other_waiting(sent: tuple[Star, str]) -> None:
    star, transfer = sent
    star.node("hu-berlin").transfers.cancel(transfer)
    first, _ = star.hub.lying(star.node("nmi").id)

    def fails_once(*_: str) -> bool:
        star.hub.drops = lambda *_: False
        raise Unreachable("it starts anew")

    star.hub.drops = fails_once
    with pytest.raises(Unreachable, match="it starts anew"):
        star.pick_up("nmi")
    assert star.hub.lying(star.node("nmi").id) == [first]
    star.settle()
    assert star.hub.lying(star.node("nmi").id) == []


def test_what_lies_in_a_box_is_taken_as_it_follows_on_each_other(sent: tuple[Star, str]) -> None:
    star, transfer = sent
    star.node("hu-berlin").transfers.cancel(transfer)
    _, revocation = star.hub.lying(star.node("nmi").id)
    os.utime(revocation, ns=(0, 0))  # the hub lists it before the offer
    star.pick_up("nmi")
    assert state(star, "nmi", transfer) is State.REVOKED
    assert star.hub.lying(star.node("nmi").id) == []


@dataclass(frozen=True)
class ListedTooLong(FolderBoxes):
    """A hub that lists first what another process of the node has taken meanwhile."""

    def ls(self, node: str, *, wait: float = 0) -> list[Lying]:
        return [Lying("00" * 16), *super().ls(node, wait=wait)]


def test_what_another_process_of_the_node_took_first_is_no_fault(sent: tuple[Star, str]) -> None:
    star, transfer = sent
    nmi = star.node("nmi")
    desk = star.desk("nmi")
    assert isinstance(desk, SpokeDesk)
    desk.boxes = ListedTooLong(star.hub, nmi.id)
    assert nmi.transfers.sync().trouble == ()
    assert state(star, "nmi", transfer) is State.OFFERED
    assert star.hub.lying(nmi.id) == []


@dataclass(frozen=True)
class LosesTouch(FolderBoxes):
    """A hub that stops answering behind the first that was fetched from it."""

    def get(self, node: str, message: str) -> bytes:
        if message != self.hub.lying(node)[0].name:
            raise Unreachable("it answers no more")
        return super().get(node, message)


def test_what_was_taken_before_a_hub_stopped_answering_is_said_to_it(sent: tuple[Star, str]) -> None:
    star, transfer = sent
    star.node("hu-berlin").transfers.cancel(transfer)
    nmi, desk = star.node("nmi").id, star.desk("nmi")
    assert isinstance(desk, SpokeDesk)
    desk.boxes = LosesTouch(star.hub, nmi)
    _, revocation = star.hub.lying(nmi)
    with pytest.raises(Unreachable, match="it answers no more"):
        star.pick_up("nmi")
    assert star.hub.lying(nmi) == [revocation]


@dataclass(frozen=True)
class Silent(FolderBoxes):
    """A hub that takes every call and answers none, until somebody ends that."""

    end: threading.Event

    def _asked(self) -> FolderHub:
        self.end.wait(60)
        raise Unreachable("it does not answer")


@pytest.fixture
def silent(star: Star) -> Iterator[Star]:
    """hu-berlin can call nmi; what it has for it at the hub is due, and the hub says nothing at all."""
    end, desk, nmi = threading.Event(), star.desk("hu-berlin"), star.node("nmi").id
    assert isinstance(desk, SpokeDesk)
    assert "has not answered yet" in star.peers("hu-berlin").refresh("nmi")[0].problem
    noted(star, "nmi", "hu-berlin", urls=(url("nmi"),), tls=("ab" * 32,))
    wire = Wire(star.node("hu-berlin").id, lambda: star.desk("nmi"))
    desk.ways, desk.boxes = lambda _: wire, Silent(star.hub, star.node("hu-berlin").id, end)
    desk.reachable = lambda: [nmi]  # type: ignore[method-assign]
    star.pass_time("hu-berlin", minutes=6)
    yield star
    end.set()


def test_a_hub_that_says_nothing_holds_up_no_message_that_goes_directly(silent: Star) -> None:
    began = time.monotonic()
    sent = silent.node("hu-berlin").send(archived(silent), "alice@nmi")
    assert silent.desk("nmi").book.find(sent.id) is not None
    assert time.monotonic() - began < 20, "the hub has nothing to do with it"


@pytest.mark.parametrize("by", ["inbox", "service"])
@pytest.mark.program("a hub that says nothing is waited for")
def test_a_hub_that_says_nothing_holds_up_no_message_that_is_fetched(silent: Star, by: str) -> None:
    folder = silent.root / "theirs"
    folder.mkdir()
    (folder / "scan.bin").write_bytes(b"theirs")
    nmi, desk = silent.node("nmi"), silent.desk("hu-berlin")
    sent = nmi.send(nmi.archive(folder, now=True).package.id, "alice@hu-berlin")
    if by == "inbox":
        assert [offer.id for offer in silent.node("hu-berlin").inbox()] == [sent.id]
        return
    (mail,) = (job for job in jobs(desk.context) if job.name == "messages")
    stop, until = threading.Event(), time.monotonic() + 10
    mail.run(stop)
    while desk.book.find(sent.id) is None and time.monotonic() < until:
        time.sleep(0.02)
    stop.set()
    assert desk.book.get(sent.id).state is State.OFFERED


def full(*_: object) -> NoReturn:
    """What a disk without room answers."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_here_is_told_as_that_and_the_message_comes_later(
    sent: tuple[Star, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    star, transfer = sent
    with monkeypatch.context() as now:
        now.setattr(pickup, "receive", full)
        _, trouble = exchange(star.desk("nmi"), 5.0)
        with pytest.raises(StoreError, match="disk is full") as caught:
            star.pick_up("nmi")
    assert caught.value.next
    assert "fault of this program" not in str(trouble)
    assert "disk is full" in str(trouble)
    star.pick_up("nmi")
    assert state(star, "nmi", transfer) is State.OFFERED


def test_a_hub_that_fails_afterwards_does_not_hide_what_failed_here(
    sent: tuple[Star, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    star, _ = sent
    star.node("hu-berlin").send(archived(star, "another", data=bytes(3000)), "alice@nmi")
    whole, times = receive, list[int]()

    def second_fails(*given: Any) -> bytes:
        times.append(1)
        if len(times) == 2:
            star.hub.down = True
            full()
        return whole(*given)

    monkeypatch.setattr(pickup, "receive", second_fails)
    with pytest.raises(StoreError, match="disk is full"):
        star.pick_up("nmi")


def test_peers_that_are_gone_do_not_keep_an_inbox_from_hearing_its_hub(sent: tuple[Star, str]) -> None:
    star, transfer = sent
    end, desk, book = threading.Event(), star.desk("nmi"), star.book("nmi")
    peer = book.named("hu-berlin")
    gone = [f"{number:064x}" for number in range(1, 25)]
    for number, one in enumerate(gone):
        book.put(replace(peer, id=one, name=f"gone-{number}"))

    def called(_: str) -> Link:
        end.wait(60)
        raise Unreachable("nobody listens there")

    assert isinstance(desk, SpokeDesk)
    desk.ways, desk.reachable = called, lambda: gone  # type: ignore[method-assign]
    try:
        came, trouble = exchange(desk, 2.0)
    finally:
        end.set()
    assert came == 1
    assert state(star, "nmi", transfer) is State.OFFERED
    assert {words.partition("' ")[2] for words in trouble} == {
        "does not answer: it took longer than 2 s",
        "was not asked in time: others took longer than 2 s",
    }


def calls(work: Callable[[], object]) -> int:
    """How many calls of functions some work takes in this thread: what no other load changes."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_an_inbox_with_ten_times_as_many_peers_costs_ten_times_as_much(star: Star) -> None:
    desk, book = star.desk("nmi"), star.book("nmi")
    peer, took = book.named("hu-berlin"), list[int]()
    for first, last in ((0, 20), (20, 200)):
        for number in range(first, last):
            book.put(replace(peer, id=f"{number:064x}", name=f"peer-{number}"), note=book.note(peer.id))
        exchange(desk)
        took.append(calls(lambda: exchange(desk)))
    assert took[1] < 15 * took[0]


def test_a_fault_at_one_hub_ends_no_inbox_and_is_raised_by_a_round(sent: tuple[Star, str]) -> None:
    star, _ = sent
    desk = star.desk("nmi")

    def strange(_: str) -> NoReturn:
        raise UnicodeEncodeError("ascii", "\u00fc", 0, 1, "a fault of this program")

    desk.hub = strange  # type: ignore[method-assign, assignment]
    assert list(star.node("nmi").inbox()) == []
    star.node("nmi").transfers.ask()
    with pytest.raises(UnicodeEncodeError):
        star.node("nmi").transfers.sync()


def test_a_message_that_nobody_foresaw_keeps_no_other_waiting(
    sent: tuple[Star, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    star, transfer = sent
    nmi = star.node("nmi").id
    (star.hub.box(nmi) / ("00" * 16)).write_bytes(b"?")

    def opened(data: bytes, identity: str, node: str, name: str) -> Mail:
        if data == b"?":
            raise ValueError("a fault of this program")
        return open_mail(data, identity, node, name)

    monkeypatch.setattr(pickup, "open_mail", opened)
    star.pick_up("nmi")
    assert state(star, "nmi", transfer) is State.OFFERED
    assert "cannot be read (ValueError)" in " ".join(refusals(star, "nmi"))
    assert star.hub.lying(nmi) == []


def test_a_hub_that_is_down_is_named_and_nothing_is_lost(star: Star) -> None:
    star.hub.down = True
    sent, node = star.node("hu-berlin").send(archived(star), "alice@nmi"), star.node("hu-berlin")
    unsent = node.transfers.show(sent.id).unsent
    assert unsent == ["offer: the hub 'oslo' does not answer: nobody listens there"]
    routes = {one.peer: one for one in node.peers.routes()}
    assert "the hub 'oslo' does not answer" in routes["nmi"].trouble
    star.hub.down = False
    synced = node.transfers.sync()
    assert (synced.waiting, synced.trouble) == (1, ())
    assert [offer.id for offer in star.node("nmi").inbox()] == [sent.id]
    assert node.transfers.sync().waiting == 0
    assert routes["nmi"].chosen.startswith("through the hub 'oslo'")


def stranger(peer: str = "", hub: str = "") -> NoReturn:
    """A hub, or any other node, that has not confirmed who asks."""
    raise NotFound("there is nothing here that you may see")


def test_a_hub_that_has_not_confirmed_this_node_is_told_once_and_so(star: Star) -> None:
    desk, hub = star.desk("hu-berlin"), star.node(HUB).id
    desk.hub, desk.link, desk.reachable = stranger, stranger, (lambda: [hub])  # type: ignore[method-assign, assignment]
    trouble = star.node("hu-berlin").transfers.sync().trouble
    assert trouble == ("the hub 'oslo' has not confirmed this node, or no longer does: ask its people",)


def test_a_round_names_who_is_to_be_confirmed(strange: Star) -> None:
    with pytest.raises(Unreachable):
        strange.peers("nmi").join(strange.peers("hu-berlin").invite().to_text())
    for name in ("hu-berlin", "nmi"):  # the words take two rounds
        assert strange.node(name).transfers.sync().pending == []
    synced = strange.node("hu-berlin").transfers.sync()
    assert (synced.came, synced.pending) == (1, ["nmi"])
