"""Packages that go by a folder between two nodes whose messages go directly: every enemy who can write there, too."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import os
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

import diadem
from diadem.errors import DiademError, IntegrityError, Interrupted, NotFound, Refused, Unreachable, UsageError
from diadem.hooks.offers import CarrierOffer
from diadem.model.carriers import Carried, Carrier, ObjectName
from diadem.model.ports import silent
from diadem.model.routes import DISK
from diadem.model.transfers import State, Transfer
from diadem.network.book_file import network_book
from diadem.network.desk import Desk
from diadem.network.jobs import Movers
from diadem.network.memory import Memory
from diadem.network.messages import WANTED, Message
from diadem.network.pull import FetchOptions
from diadem.network.relay.carriers import carrier_for, clear
from diadem.network.relay.collect import Collecting, collect_package
from diadem.network.relay.deposit import deposit_package
from diadem.network.relay.guarded import Guarded
from diadem.network.relay.pieces import PIECE, pieces_of, whole_part
from diadem.network.relay.requesting import request
from diadem.network.relay_book import relay_book
from diadem.network.rounds import fetch, fetch_all, fetch_carried, push_all
from diadem.network.source import Sources
from diadem.node.config import CarrierSettings
from diadem.trust.base64_text import to_base64
from diadem.trust.sealing import OneTime, SealHeader, seal_window
from tests.transfer.pair import Pair, Side, deliver_all
from tests.transfer.test_killed import killed_at, kinds_of

ROUTE = "via:drive"
MIB = 1 << 20


@dataclass
class Drive:
    """A folder that both nodes can reach, and what its enemies do there."""

    root: Path
    pair: Pair
    sources: Sources

    def send(self, package: str, route: str = ROUTE) -> Transfer:
        """Offer a package of a to b, and let b accept it."""
        sent = self.pair.a.node.send(package, "marie@nmi", route=route)
        self.pair.b.node.accept(sent.id, wait=False)
        return self.at(self.pair.a, sent.id)

    def at(self, side: Side, transfer: str) -> Transfer:
        """A transfer as a side knows it."""
        return side.desk.book.get(transfer)

    def put(self) -> list[str]:
        """Let the sender put down what is wanted; what lies there then."""
        push_all(self.pair.a.desk, self.sources)
        return self.names()

    def names(self) -> list[str]:
        """What lies there."""
        return sorted(path.name for path in self.root.rglob("*.age"))

    def folder(self) -> Path:
        """The folder of the one relay."""
        (found,) = self.root.iterdir()
        return found

    def take(self, transfer: str) -> Transfer:
        """Let the receiver pick up what lies there, and tell the sender."""
        desk = self.pair.b.desk
        try:
            fetch_carried(desk, self.at(self.pair.b, transfer), silent, wait=0)
        finally:
            deliver_all(desk, due=False)
        return self.at(self.pair.b, transfer)


@pytest.fixture
def drive(pair: Pair, tmp_path: Path) -> Drive:
    """A folder that both nodes have configured."""
    root = tmp_path / "drive"
    root.mkdir()
    for side in (pair.a, pair.b):
        side.node.peers.carriers.add("drive", root.as_uri().replace("file:", "drop:"))
    return Drive(root, pair, Sources(pair.a.desk))


@pytest.fixture
def package(pair: Pair) -> str:
    """A package of two windows."""
    return pair.a.archived(files={"big.raw": os.urandom(17 << 20), "notes.txt": b"notes"})


@pytest.fixture
def large(pair: Pair) -> str:
    """A package of three windows."""
    return pair.a.archived(files={"big.raw": os.urandom(33 << 20)})


@pytest.fixture
def small(pair: Pair) -> str:
    """A package of one window."""
    return pair.a.archived()


def _books_of_relays(side: Side) -> bytes:
    """All bytes of the file, and of those that SQLite puts beside it."""
    folder = side.node.path / "network"
    return b"".join(path.read_bytes() for path in folder.glob("network.sqlite*"))


def test_corrections_and_judgements_come_with_a_package_by_a_folder(drive: Drive, small: str) -> None:
    sender, receiver = drive.pair.a.node, drive.pair.b.node
    sender.amend(small, {"sample.name": "EMSA-REF"})
    sender.assess(small, "reject", purpose="EELS")
    sent = drive.send(small)
    drive.put()
    assert drive.take(sent.id).state is State.CLOSED
    assert str(receiver.get(small).record.sample["name"]) == "EMSA-REF"
    assert [(one.by, one.verdict) for one in receiver.assessments(small)] == [("alice@hu-berlin", "reject")]


def test_a_package_goes_by_a_folder_and_nothing_stays_there(drive: Drive, package: str) -> None:
    sent = drive.send(package)
    assert drive.put() == ["0-0-1.age", "1-0-1.age", "2-0-1.age", "2-1-1.age"]
    secret = relay_book(drive.pair.b.node.context).get(sent.id)
    assert secret is not None
    assert secret.identity.startswith("AGE-SECRET-KEY-1")
    assert secret.identity.encode() in _books_of_relays(drive.pair.b)
    every = b"".join(path.read_bytes() for path in drive.folder().iterdir())
    assert b"notes" not in every
    assert package.encode() not in every
    assert sent.id not in str(drive.folder())
    assert drive.take(sent.id).state is State.CLOSED
    assert diadem.verify(drive.pair.b.node.get(package)).ok
    assert list(drive.root.iterdir()) == []
    assert relay_book(drive.pair.b.node.context).get(sent.id) is None, "the key that opens it is forgotten"
    assert secret.identity.encode() not in _books_of_relays(drive.pair.b), "in the file and beside it"
    clear(drive.pair.a.desk)
    assert relay_book(drive.pair.a.node.context).all() == []
    receipt = next(entry.statement.predicate for entry in drive.pair.b.node.context.ledger.of_kind("receipt"))
    assert receipt["route"] == ROUTE
    assert drive.pair.b.wire.windows == [], "no byte of it came directly"


@pytest.mark.parametrize("killed", ["a", "b"])
def test_killed_before_any_transaction_it_comes_by_the_folder_once(
    drive: Drive, killed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = drive.pair.a, drive.pair.b

    def go_on(sent: str) -> None:
        with contextlib.suppress(Refused):  # it was accepted
            b.node.accept(sent, wait=False)
        deliver_all(a.desk, due=False)
        deliver_all(b.desk, due=False)
        drive.put()
        with contextlib.suppress(Refused):  # it was taken
            drive.take(sent)

    for number in range(60):
        sent = a.node.send(a.archived(f"session-{number}", {"a.txt": b"a%d" % number}), "marie@nmi", route=ROUTE).id
        with killed_at(getattr(drive.pair, killed), number, monkeypatch) as written:
            go_on(sent)
        whole = written[0] <= number
        for _ in range(2):
            go_on(sent)
        for side in (a, b):
            assert drive.at(side, sent).state is State.CLOSED, number
            assert side.desk.outbox.waiting() == [], number
            clear(side.desk)
            assert relay_book(side.node.context).all() == [], number
        kinds = kinds_of(a, sent) + kinds_of(b, sent)
        assert len(kinds) == len(set(kinds)), number
        assert list(drive.root.iterdir()) == [], number
        if whole:
            return
    pytest.fail("it never came to its end")


def test_a_key_goes_from_the_files_as_soon_as_nobody_reads_them(drive: Drive, small: str) -> None:
    sent = drive.send(small)
    book = relay_book(drive.pair.b.node.context)
    secret = book.get(sent.id)
    assert secret is not None
    with contextlib.closing(sqlite3.connect(drive.pair.b.node.path / "network" / "network.sqlite")) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM relays").fetchall()
        began = time.monotonic()
        book.lose_key(sent.id)
        assert time.monotonic() - began < 10, "who reads is not waited for"
        assert secret.identity.encode() in _books_of_relays(drive.pair.b), "somebody may still read what was"
        other.execute("COMMIT")
        book.use(sent.id, ROUTE)
    assert secret.identity.encode() not in _books_of_relays(drive.pair.b)


def test_objects_come_in_any_order_twice_and_with_strange_things_between(drive: Drive, package: str) -> None:
    sent = drive.send(package)
    drive.put()
    folder, aside = drive.folder(), drive.root.parent / "aside"
    shutil.copytree(folder, aside)
    for name in ("0-0-1.age", "1-0-1.age", "2-1-1.age"):
        (folder / name).unlink()
    assert drive.take(sent.id).state is State.TRANSFERRING, "windows wait for the tag files"
    shutil.copy(aside / "1-0-1.age", folder)
    assert drive.take(sent.id).done == 0
    shutil.copy(aside / "0-0-1.age", folder)
    part = drive.take(sent.id)
    assert 0 < part.done < part.bytes
    assert drive.names() == [], "what was taken is removed"
    (folder / "2-99-1.age").write_bytes(b"no such window")
    (folder / "README").write_bytes(b"who wrote this?")
    (folder / "../../evil").resolve().touch()
    (folder / "2-1-1").mkdir()
    shutil.copy(aside / "2-0-1.age", folder)
    assert "put there: README" in drive.take(sent.id).error
    shutil.copy(aside / "2-1-1.age", folder)
    assert drive.take(sent.id).state is State.CLOSED
    assert (folder / "README").exists(), "what is nobody's is left alone"


def test_what_is_put_down_is_remembered(drive: Drive, package: str) -> None:
    sent = drive.send(package)
    names = drive.put()
    before = {path.name: path.stat().st_mtime_ns for path in drive.folder().iterdir()}
    moved = drive.at(drive.pair.a, sent.id).moved
    network_book(drive.pair.a.node.context)._connection.execute("DELETE FROM lying")  # it stopped before it noted that
    assert drive.put() == names
    assert {path.name: path.stat().st_mtime_ns for path in drive.folder().iterdir()} == before
    assert drive.at(drive.pair.a, sent.id).moved == moved


def spoilt(enemy: str, victim: Path, other: Path, header: SealHeader, recipient: str) -> bytes:
    """What an enemy writes in the place of a window."""
    data = victim.read_bytes()
    if enemy in ("stranger", "forged"):  # the recipient stands in a signed statement: it is no secret
        to = recipient if enemy == "forged" else OneTime.generate().recipient
        return bytes(seal_window(header, bytes(header.length), to))
    return {
        "altered": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        "truncated": data[: 1 << 20],
        "swapped": other.read_bytes() if other.exists() else b"",
        "huge": bytes(18 << 20),
    }[enemy]


@pytest.mark.parametrize("enemies", [("forged", "truncated", "altered"), ("swapped", "stranger", "huge")])
@pytest.mark.sweep(1)
def test_what_an_enemy_puts_there_is_asked_for_again(drive: Drive, large: str, enemies: tuple[str, ...]) -> None:
    sent = drive.send(large)
    drive.put()
    relay = relay_book(drive.pair.a.node.context).get(sent.id)
    assert relay is not None
    recipient = relay.recipient
    for window, enemy in enumerate(enemies):
        victim, other = drive.folder() / f"2-{window}-1.age", drive.folder() / f"2-{window + 1}-1.age"
        header = SealHeader(sent.id, large, 2, window, 16 << 20)
        victim.write_bytes(spoilt(enemy, victim, other, header, recipient))
    came = drive.take(sent.id)
    assert came.done < 1 << 20
    if "huge" in enemies:  # larger than any object: no node put it there, and it is not even read
        assert "2-2-1" in came.error
        assert drive.put()[:2] == ["2-0-2.age", "2-1-2.age"]
        (drive.folder() / "2-2-1.age").unlink()
        request(drive.pair.b.desk, came, ROUTE)
        deliver_all(drive.pair.b.desk, due=False)
    assert len(drive.put()) >= 3
    assert drive.take(sent.id).state is State.CLOSED
    assert diadem.verify(drive.pair.b.node.get(large)).ok


def test_what_nobody_asked_for_is_left_alone_and_spoils_nothing(drive: Drive, package: str) -> None:
    sent = drive.send(package)
    drive.put()
    for name in ("0-0-2", "1-0-98", "2-1-99"):
        (drive.folder() / f"{name}.age").write_bytes(b"no node put it here")
    assert drive.take(sent.id).state is State.CLOSED
    assert list(drive.root.iterdir()) == []


def test_rubbish_counts_no_more_than_what_it_stands_for(drive: Drive, small: str) -> None:
    sent = drive.send(small)
    drive.put()
    for generation in (1, 2):
        (drive.folder() / f"2-0-{generation}.age").write_bytes(bytes(16 << 20))
        assert drive.take(sent.id).state is State.TRANSFERRING
        assert drive.put() == [f"2-0-{generation + 1}.age"]
    done = drive.take(sent.id)
    assert done.state is State.CLOSED
    assert done.counts.received < 4 * sent.bytes


class WhenSpoilt(threading.Event):
    """A stop that comes as soon as something was found damaged."""

    def __init__(self, drive: Drive, transfer: str) -> None:
        super().__init__()
        self._relays, self._transfer = relay_book(drive.pair.b.node.context), transfer

    def is_set(self) -> bool:
        return bool(self._relays.spoilt(self._transfer))


def test_what_was_damaged_is_asked_for_again_though_the_node_stopped_at_that_moment(drive: Drive) -> None:
    sent, desk = drive.send(drive.pair.a.archived(files={"big.raw": os.urandom(65 << 20)})), drive.pair.b.desk
    drive.put()
    victim = drive.folder() / "2-0-1.age"
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(Interrupted):
        fetch_carried(desk, drive.at(drive.pair.b, sent.id), silent, WhenSpoilt(drive, sent.id))
    drive.take(sent.id)
    assert drive.put() == ["2-0-2.age"]
    assert drive.take(sent.id).state is State.CLOSED


def test_a_window_of_another_transfer_is_none(drive: Drive, package: str) -> None:
    first = drive.send(package)
    drive.put()
    kept = {path.name: path.read_bytes() for path in drive.folder().iterdir()}
    relay = relay_book(drive.pair.b.node.context).get(first.id)
    assert relay is not None
    drive.pair.b.node.transfers.cancel(first.id)
    drive.pair.a.node.transfers.show(first.id)
    assert drive.names() == [], "what was put down for a transfer that is over is removed"
    second = drive.send(package)
    drive.put()
    mine = relay_book(drive.pair.b.node.context).get(second.id)
    assert mine is not None
    assert mine.relay != relay.relay
    assert mine.recipient != relay.recipient
    sealed_for_me = seal_window(SealHeader(first.id, package, 2, 1, 5), b"12345", mine.recipient)
    (drive.folder() / "2-0-1.age").write_bytes(kept["2-0-1.age"])
    (drive.folder() / "2-1-1.age").write_bytes(sealed_for_me)
    drive.take(second.id)
    assert drive.put()[:2] == ["2-0-2.age", "2-1-2.age"]
    assert drive.take(second.id).state is State.CLOSED


def test_what_comes_damaged_three_times_fails_and_names_the_carrier(drive: Drive, package: str) -> None:
    sent = drive.send(package)
    drive.put()
    for generation in (1, 2, 3):
        old = drive.folder() / f"2-1-{generation}.age"
        old.write_bytes(old.read_bytes()[:-1])
        if generation < 3:
            assert drive.take(sent.id).state is State.TRANSFERRING
            (drive.folder() / "2-1-1.age").write_bytes(b"an old generation, put there again")
            drive.put()
    with pytest.raises(IntegrityError, match=r"the carrier 'drive' returned window 1 damaged three times"):
        drive.take(sent.id)
    failed = drive.at(drive.pair.b, sent.id)
    assert failed.state is State.FAILED
    assert "the carrier 'drive'" in failed.error
    drive.pair.b.node.transfers.resume(sent.id)  # a person looked after the folder
    drive.put()
    drive.pair.b.node.transfers.resume(sent.id)
    assert drive.at(drive.pair.b, sent.id).state is State.CLOSED


def test_damaged_tag_files_are_asked_for_again(drive: Drive, small: str) -> None:
    sent = drive.send(small)
    drive.put()
    for name in ("0-0-1.age", "1-0-1.age"):
        (drive.folder() / name).write_bytes(b"age-encryption.org/v1\n")
    drive.take(sent.id)
    drive.put()
    drive.take(sent.id)
    drive.put()
    assert drive.take(sent.id).state is State.CLOSED


@pytest.mark.parametrize("size", [PIECE, PIECE - 1, PIECE - 1000, PIECE - 4600, PIECE - 70_000])
def test_the_pieces_of_a_part_are_known_to_be_all_of_it_whatever_its_size(size: int) -> None:
    recipient, data = OneTime.generate().recipient, bytes(size)
    listed: list[Carried] = []
    at = 0
    for number, piece in enumerate(pieces_of([data])):
        sealed = seal_window(SealHeader("0" * 32, "diadem:" + "1" * 64, 1, number, len(piece)), piece, recipient)
        assert whole_part(listed, 1, after=0) == [] or at == size
        listed.append(Carried(str(ObjectName(1, number, 1)), len(sealed)))
        at += len(piece)
    assert at == size
    assert whole_part(listed, 1, after=0)


def test_a_route_changes_in_the_middle_and_proven_leaves_stay(drive: Drive, large: str) -> None:
    a, b = drive.pair.a, drive.pair.b
    sent = drive.send(large, route="auto")
    assert sent.routes == ("direct", "hub", ROUTE)
    assert drive.put() == [], "nothing is put down while it goes directly"
    a.wire.moved = b.wire.moved = 0
    # three windows are asked for at once, and the line is cut in the second
    b.wire.spoil = lambda kind, number, _start, data: data if (kind, number) != ("window", 0) else data[: 17 << 20]
    with pytest.raises(DiademError):
        fetch(b.desk, drive.at(b, sent.id), FetchOptions(connections=1, waits=()), silent)
    b.wire.spoil = lambda _kind, _number, _start, data: data
    done, moved = drive.at(b, sent.id).done, b.wire.moved
    assert done > 0
    request(b.desk, drive.at(b, sent.id), ROUTE)
    deliver_all(b.desk, due=False)
    assert "2-0-1.age" not in drive.put(), "only what is missing is put down"
    (drive.folder() / "2-2-1.age").unlink()
    drive.take(sent.id)
    assert drive.at(b, sent.id).done > done
    assert b.wire.moved == moved
    request(b.desk, drive.at(b, sent.id), "direct")
    deliver_all(b.desk, due=False)
    assert drive.at(a, sent.id).route == "direct"
    b.wire.windows.clear()
    done_at_last = fetch(b.desk, drive.at(b, sent.id), FetchOptions(), silent)
    assert done_at_last.state is State.CLOSED
    assert {number for number, _ in b.wire.windows} == {2}
    assert list(drive.root.iterdir()) == []


def test_what_is_wanted_last_counts_whatever_the_clock_says(drive: Drive, small: str) -> None:
    a, b = drive.pair.a, drive.pair.b
    sent = drive.send(small, route="auto")
    clock = itertools.count()
    begin = b.desk.now
    b.node.context.clock = lambda: begin - datetime.timedelta(minutes=next(clock))
    for route in (ROUTE, "direct", ROUTE):
        request(b.desk, drive.at(b, sent.id), route)
        deliver_all(b.desk, due=False)
        assert drive.at(a, sent.id).route == route
    early = b"".join(b.wire.sent[-3:-2])
    b.wire.post_message(early.replace(Message.from_bytes(early).id.encode(), b"0" * 32))
    assert drive.put()[-1] == "2-0-3.age"


def test_what_is_not_offered_or_not_accepted_is_not_put_down(drive: Drive, small: str) -> None:
    a, b = drive.pair.a, drive.pair.b
    sent = a.node.send(small, "marie@nmi", route=ROUTE)
    assert drive.put() == []
    b.node.accept(sent.id, wait=False)
    with pytest.raises(Refused, match="was not offered"):
        request(b.desk, drive.at(b, sent.id), "direct")
    a.node.transfers.pause(sent.id)
    assert drive.put() == []
    a.node.transfers.resume(sent.id)
    assert drive.put() != []
    a.node.transfers.cancel(sent.id)
    assert drive.names() == [], "what was taken back does not lie there any more"
    assert drive.put() == []
    with pytest.raises(Refused, match="is withdrawn"):
        fetch_carried(b.desk, drive.at(b, sent.id), silent, wait=0)


def test_a_folder_that_is_away_is_tried_again(drive: Drive, small: str) -> None:
    sent = drive.send(small)
    drive.root.rename(drive.root.with_name("away"))
    push_all(drive.pair.a.desk, drive.sources)
    assert "the folder is not there" in drive.at(drive.pair.a, sent.id).error
    (waiting,) = fetch_all(drive.pair.b.desk, FetchOptions())
    assert "the folder is not there" in waiting.error
    assert waiting.state is State.TRANSFERRING
    drive.root.with_name("away").rename(drive.root)
    drive.put()
    assert drive.at(drive.pair.a, sent.id).error == ""
    assert drive.take(sent.id).state is State.CLOSED
    assert clear(drive.pair.a.desk) == 1


def test_the_services_of_both_nodes_do_it_by_themselves(drive: Drive) -> None:
    a, b, stop = drive.pair.a, drive.pair.b, threading.Event()
    sent = drive.send(a.archived())
    movers = [Movers(a.desk, drive.sources), Movers(b.desk, Sources(b.desk))]
    until = time.monotonic() + 60
    while (drive.at(a, sent.id).state is not State.CLOSED or any(drive.root.iterdir())) and time.monotonic() < until:
        for one in movers:
            one.run(stop)
        deliver_all(b.desk)
        time.sleep(0.05)
    stop.set()
    assert drive.at(a, sent.id).state is State.CLOSED
    for mover in movers:
        for thread in mover._threads.values():
            thread.join()
    assert list(drive.root.iterdir()) == [], "what is over is cleared by a later run"


def test_a_full_folder_is_waited_for_and_costs_nothing_of_the_ceiling(drive: Drive, package: str) -> None:
    if sys.platform == "win32":  # pragma: no cover  it is made full by a limit of POSIX's
        return
    import resource

    sent = drive.send(package)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, limits[1]))
    try:
        assert drive.put()[:2] == ["0-0-1.age", "1-0-1.age"]
        moved = drive.at(drive.pair.a, sent.id).moved
        assert "the folder is full" in drive.at(drive.pair.a, sent.id).error
        drive.put()
        assert drive.at(drive.pair.a, sent.id).moved <= moved + (3 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    drive.put()
    assert drive.at(drive.pair.a, sent.id).error == ""
    assert drive.take(sent.id).state is State.CLOSED


def test_a_sender_that_may_put_down_no_more_fails_and_names_the_carrier(drive: Drive, package: str) -> None:
    sent, a = drive.send(package), drive.pair.a
    drive.put()
    (drive.folder() / "2-1-1.age").unlink()
    a.desk.book.change(sent.id, ceiling=drive.at(a, sent.id).moved + (1 << 10))
    drive.take(sent.id)
    drive.pair.b.node.transfers.resume(sent.id, anew=True)
    drive.put()
    ended = drive.at(a, sent.id)
    assert ended.state is State.FAILED
    words = "the carrier 'drive' lost or damaged so much that no more may be sent"
    assert ended.error.startswith(words)
    deliver_all(a.desk, due=False)
    told = drive.at(drive.pair.b, sent.id)
    assert told.state is State.FAILED
    assert words in told.error
    drive.pair.b.node.transfers.resume(sent.id, anew=True)  # the sender says it again
    deliver_all(drive.pair.b.desk, due=False)
    deliver_all(a.desk, due=False)
    assert words in drive.at(drive.pair.b, sent.id).error


def test_nothing_beyond_what_was_accepted_lies_at_a_carrier(drive: Drive, large: str) -> None:
    sent, a = drive.send(large), drive.pair.a
    a.desk.book.change(sent.id, ceiling=(16 << 20) + (1 << 20))  # one of its windows, and its tag files
    drive.put()
    assert drive.at(a, sent.id).state is State.FAILED
    assert len([name for name in drive.names() if name.startswith("2-")]) == 1, "three are put down at once"


def test_what_a_carrier_lost_without_a_word_is_put_down_anew(drive: Drive, package: str) -> None:
    sent = drive.send(package)
    drive.put()
    (drive.folder() / "2-1-1.age").unlink()
    drive.take(sent.id)
    assert drive.put() == []
    (waiting,) = drive.pair.b.node.transfers.resume(sent.id, anew=True)
    assert waiting.state is State.TRANSFERRING
    assert drive.put() == ["2-1-2.age"], "what is here is not asked for"
    assert drive.take(sent.id).state is State.CLOSED
    with pytest.raises(UsageError, match="which transfer"):
        drive.pair.b.node.transfers.resume(anew=True)


def test_a_wish_for_windows_that_no_such_package_has_is_refused(drive: Drive, small: str) -> None:
    a, b, sent = drive.pair.a, drive.pair.b, drive.send(small)
    before = relay_book(a.node.context).asked(sent.id)
    about = {"route": ROUTE, "generation": 1, "parts": [0], "windows": to_base64(b"\xff" * 2)}
    b.desk.post(drive.at(b, sent.id), WANTED, about)
    deliver_all(b.desk, due=False)
    assert relay_book(a.node.context).asked(sent.id) == before
    assert "windows are wanted of a package that has 2 at most" in a.desk.book.refusals()[0]["reason"]


@dataclass
class Losing:
    """A carrier that lists an object which it has lost."""

    carrier: Guarded
    lost: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.carrier, name)

    def get(self, relay: str, name: str) -> bytes | bytearray:
        if name == self.lost:
            raise NotFound("it is not there")
        return self.carrier.get(relay, name)


def test_what_a_carrier_lists_and_has_lost_is_asked_for_again(drive: Drive, package: str) -> None:
    sent = drive.send(package)
    drive.put()
    desk, transfer = drive.pair.b.desk, drive.at(drive.pair.b, sent.id)
    relay = relay_book(desk.context).get(sent.id)
    assert relay is not None
    carrier = Guarded(cast(Carrier, Losing(carrier_for(desk, transfer), "2-0-1")), "the drive")
    collect_package(desk, sent.id, Collecting(carrier, relay, [relay.identity]), listener=silent)
    deliver_all(desk, due=False)
    assert drive.put() == ["2-0-2.age"], "the other window is here"
    assert drive.take(sent.id).state is State.CLOSED


class Hanging(Losing):
    """A carrier that gives nothing for a minute, as a drive that went away."""

    def __init__(self, carrier: Guarded) -> None:
        super().__init__(carrier, "")
        self.asked, self.back = threading.Event(), threading.Event()

    def get(self, relay: str, name: str) -> bytes | bytearray:
        if name.startswith("2-"):
            self.asked.set()
            self.back.wait(60)
        return super().get(relay, name)


@pytest.mark.program("a carrier that hangs is waited for")
def test_who_picks_up_waits_for_no_carrier_that_hangs_where_it_is_to_end(drive: Drive, package: str) -> None:
    sent = drive.send(package)
    drive.put()
    desk, transfer = drive.pair.b.desk, drive.at(drive.pair.b, sent.id)
    relay, stop = relay_book(desk.context).get(sent.id), threading.Event()
    assert relay is not None
    hanging = Hanging(carrier_for(desk, transfer))
    way = Collecting(Guarded(cast(Carrier, hanging), "the drive"), relay, [relay.identity])
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(collect_package, desk, sent.id, way, listener=silent, stop=stop)
        assert hanging.asked.wait(30)
        stop.set()
        try:
            with pytest.raises(Interrupted):
                work.result(20)
        finally:
            hanging.back.set()
    assert drive.at(drive.pair.b, sent.id).error == ""
    assert drive.take(sent.id).state is State.CLOSED


class Stuck(Losing):
    """A carrier that takes no window for a minute."""

    def __init__(self, carrier: Guarded, back: threading.Event) -> None:
        super().__init__(carrier, "")
        self.back, self.asked = back, threading.Event()

    def put(self, relay: str, name: str, data: bytes | bytearray) -> None:
        if name.startswith("2-"):
            self.asked.set()
            self.back.wait(60)
        self.carrier.put(relay, name, data)


def test_what_waits_for_room_beside_carriers_that_take_nothing_stops_no_package_that_is_fetched(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, memory, back = drive.pair.a, drive.pair.b, Memory(11 * MIB // 2, portions=MIB), threading.Event()
    monkeypatch.setattr("diadem.network.relay.deposit.TRANSFERS", memory)
    monkeypatch.setattr("diadem.network.pull.TRANSFERS", memory)
    deposits, stuck = list[Transfer](), list[Stuck]()
    for number in range(3):
        (tmp_path / f"drive{number}").mkdir()
        for side in (a, b):
            side.node.peers.carriers.add(
                f"drive{number}", (tmp_path / f"drive{number}").as_uri().replace("file", "drop")
            )
        package = a.archived(f"by drive {number}", {"scan.bin": os.urandom(MIB)})
        deposits.append(drive.send(package, f"via:drive{number}"))
        stuck.append(Stuck(carrier_for(a.desk, deposits[-1]), back))
    sent = a.node.send(a.archived("direct", {"scan.bin": os.urandom(3 * MIB)}), "marie@nmi")

    def deposit(number: int) -> Transfer:
        carrier = Guarded(cast(Carrier, stuck[number]), f"drive {number}")
        transfer = deposits[number]
        return deposit_package(a.desk, drive.sources, transfer.id, carrier, route=transfer.route, listener=silent)

    with ThreadPoolExecutor(4) as pool:
        try:
            running = [pool.submit(deposit, number) for number in range(3)]
            time.sleep(2)
            assert [one.asked.is_set() for one in stuck].count(True) == 2, "the third one waits for room"
            assert pool.submit(b.node.accept, sent.id).result(15).state is State.CLOSED
        finally:
            back.set()
        assert [one.result(30).error for one in running] == [""] * 3


def test_where_more_was_damaged_than_may_come_again_the_carrier_is_named(drive: Drive, package: str) -> None:
    sent = drive.send(package)
    drive.put()
    old = drive.folder() / "2-0-1.age"
    old.write_bytes(old.read_bytes()[:-1] + b"?")
    drive.pair.b.desk.book.change(sent.id, ceiling=sent.bytes + (1 << 20))
    with pytest.raises(IntegrityError, match="the carrier 'drive' returned 16,777,216 bytes damaged or twice"):
        drive.take(sent.id)
    assert drive.at(drive.pair.b, sent.id).state is State.FAILED


def test_what_was_lost_without_a_word_is_asked_for_within_the_hour_or_sooner_by_hand(
    drive: Drive, package: str
) -> None:
    b, sent = drive.pair.b, drive.send(package)
    drive.put()
    begin = b.desk.now

    def after(minutes: int) -> None:
        b.node.context.clock = lambda: begin + datetime.timedelta(minutes=minutes)

    (drive.folder() / "2-0-1.age").unlink()
    drive.take(sent.id)
    drive.take(sent.id)
    b.node.transfers.resume(sent.id)
    after(minutes=59)
    drive.take(sent.id)
    assert drive.put() == [], "its sender may be slow"
    after(minutes=61)
    drive.take(sent.id)
    assert drive.put() == ["2-0-2.age"]
    (drive.folder() / "2-0-2.age").unlink()
    after(minutes=67)
    b.node.transfers.resume(sent.id)
    assert drive.put() == ["2-0-3.age"]
    assert drive.take(sent.id).state is State.CLOSED


def test_a_carrier_that_gives_nothing_for_days_is_noticed_asked_anew_and_named(drive: Drive, small: str) -> None:
    b, sent = drive.pair.b, drive.send(small)
    begin, hours = b.desk.now, itertools.count(step=25)

    def a_day_later() -> Transfer:
        moment = begin + datetime.timedelta(hours=next(hours))
        b.node.context.clock = lambda: moment
        return drive.take(sent.id)

    a_day_later()
    b.desk.post(drive.at(b, sent.id), WANTED, {"route": ROUTE, "generation": 1, "parts": [0, 1], "windows": ""})
    drive.pair.b.wire.down = True
    for _ in range(5):
        a_day_later()
    assert drive.at(b, sent.id).state is State.TRANSFERRING, "the sender has not heard what is wanted"
    drive.pair.b.wire.down = False
    a_day_later()
    for generation in (2, 3, 4):
        assert a_day_later().state is State.TRANSFERRING
        assert drive.put()[-1] == f"2-0-{generation}.age"
        for path in drive.folder().iterdir():
            path.unlink()
    failed = a_day_later()
    assert failed.state is State.FAILED
    assert failed.error.startswith("the carrier 'drive' gives nothing more, although the sender was asked 3 times")
    b.node.transfers.resume(sent.id, anew=True)
    drive.put()
    assert drive.take(sent.id).state is State.CLOSED


@pytest.mark.parametrize("harm", ["shorter", "gone"])
def test_small_files_that_one_copy_lacks_are_put_down_from_another(drive: Drive, harm: str) -> None:
    a = drive.pair.a
    a.node.stores.add(str(a.root / "second"), name="second", place="another disk")
    sent = drive.send(a.archived())
    (path,) = (a.root / "store").glob("20*/*/data/notes.txt")
    path.parent.chmod(0o755)
    path.unlink()
    if harm == "shorter":
        path.write_bytes(b"not")
    assert "2-0-1.age" in drive.put(), drive.at(a, sent.id).error
    assert drive.take(sent.id).state is State.CLOSED


class Unanswered(Losing):
    """A carrier that takes an object, and the line is cut before it says so."""

    def put(self, relay: str, name: str, data: bytes | bytearray) -> None:
        self.carrier.put(relay, name, data)
        if name == self.lost:
            raise Unreachable("the line is cut")


def test_what_was_put_down_without_an_answer_counts_all_the_same_and_once(
    drive: Drive, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, a = drive.send(package), drive.pair.a
    for lost in ("2-0-1", "2-1-1"):
        with monkeypatch.context() as cut:
            cut.setattr(
                "diadem.network.rounds.carrier_for",
                lambda *args, lost=lost: Guarded(cast(Carrier, Unanswered(carrier_for(*args), lost)), "the drive"),
            )
            drive.put()
    drive.put()
    assert len(drive.names()) == 4
    moved = drive.at(a, sent.id).moved
    assert sent.bytes <= moved <= sent.bytes + 3 * MIB
    drive.put()
    assert drive.at(a, sent.id).moved == moved
    assert drive.take(sent.id).state is State.CLOSED


class Meanwhile(Losing):
    """A carrier with which something happens to the transfer as soon as an object lies there."""

    def __init__(self, carrier: Guarded, happens: Callable[[], object]) -> None:
        super().__init__(carrier, "")
        self.happens = happens

    def put(self, relay: str, name: str, data: bytes | bytearray) -> None:
        self.carrier.put(relay, name, data)
        self.happens()


@pytest.mark.parametrize("event", ["another route", "paused", "over"])
def test_what_halts_in_the_middle_counts_is_no_error_and_keeps_no_other_waiting(
    drive: Drive, package: str, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = drive.pair.a.desk
    sent, other = drive.send(package), drive.send(drive.pair.a.archived("another"))
    events: dict[str, Callable[[], object]] = {
        "another route": lambda: desk.book.change(sent.id, route=DISK),
        "paused": lambda: drive.pair.a.node.transfers.pause(sent.id),
        "over": lambda: desk.book.step(sent.id, State.REVOKED, desk.now),
    }
    happened: list[object] = []

    def happens() -> None:
        if not happened:
            happened.append(events[event]())

    def carrier(desk: Desk, transfer: Transfer) -> Guarded:
        found = carrier_for(desk, transfer)
        return found if transfer.id != sent.id else Guarded(cast(Carrier, Meanwhile(found, happens)), "the drive")

    monkeypatch.setattr("diadem.network.rounds.carrier_for", carrier)
    assert drive.put() == ["0-0-1.age", "0-0-1.age", "1-0-1.age", "2-0-1.age"], "of the other one there is all"
    assert [drive.at(drive.pair.a, one.id).error for one in (sent, other)] == ["", ""]
    assert 0 < drive.at(drive.pair.a, sent.id).moved < 100_000


def test_what_has_just_been_put_down_is_counted_once(drive: Drive, small: str) -> None:
    sent, desk = drive.send(small), drive.pair.a.desk
    size, spend, first = sent.ceiling // 2, desk.book.spend, threading.Event()

    def spent(*args: Any) -> None:
        spend(*args)
        first.set()
        time.sleep(0.3)

    source = drive.sources.of(sent.peer, sent.id, sent.route)

    def give(number: int) -> None:
        with source.giving(ObjectName(2, number, 1), size):
            pass

    with ThreadPoolExecutor(1) as pool, pytest.MonkeyPatch.context() as patched:
        patched.setattr(desk.book, "spend", spent)
        one = pool.submit(give, 0)
        assert first.wait(10)
        give(1)
        one.result()
    assert drive.at(drive.pair.a, sent.id).moved == 2 * size


#: Ends the waiting of `connect_slowly`, and says that it has begun.
CONNECTED, CONNECTING = threading.Event(), threading.Event()


def connect_slowly(url: str) -> Carrier:
    """A carrier on a share that does not answer for long."""
    CONNECTING.set()
    CONNECTED.wait(60)
    raise Unreachable("it is gone", where=url)


def test_a_carrier_that_cannot_be_connected_for_long_keeps_no_other_waiting_nor_the_node_from_its_end(
    drive: Drive, small: str
) -> None:
    sent, desk = drive.send(small), drive.pair.a.desk
    offer = CarrierOffer("gone", f"{__name__}:connect_slowly")
    tools = replace(desk.context.tools, transports=[*desk.context.tools.transports, offer])
    desk.context.gather = lambda: tools
    gone = CarrierSettings("gone", "gone:share", ())
    desk.context.change_settings(lambda known: replace(known, carriers=(*known.carriers, gone)))
    with ThreadPoolExecutor(3) as pool:
        try:
            slow = pool.submit(carrier_for, desk, sent, "via:gone")
            assert CONNECTING.wait(10)
            assert pool.submit(carrier_for, desk, sent).result(5).label == "the carrier 'drive'"
            pool.submit(desk.context.close_kept).result(5)
        finally:
            CONNECTED.set()
        with pytest.raises(Unreachable, match="it is gone"):
            slow.result(10)


class Silent(Losing):
    """A carrier that does not say for a minute what lies there, nor removes anything."""

    def __init__(self, carrier: Guarded, back: threading.Event) -> None:
        super().__init__(carrier, "")
        self.back, self.asked = back, list[str]()

    def ls(self, relay: str, *, wait: float = 0) -> Sequence[Carried]:
        self.asked.append("ls")
        self.back.wait(60)
        return self.carrier.ls(relay, wait=wait)

    def end(self, relay: str) -> None:
        self.asked.append("end")
        self.back.wait(60)
        self.carrier.end(relay)


def test_what_goes_directly_and_what_is_told_of_it_waits_for_no_carrier_that_hangs(
    drive: Drive, small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, back = drive.pair.a, drive.pair.b, threading.Event()
    carried, stop = drive.send(small), threading.Event()
    ended = drive.send(a.archived("ended"))
    a.node.transfers.cancel(ended.id)
    sent = a.node.send(a.archived("direct"), "marie@nmi")
    b.node.accept(sent.id, wait=False)
    silent_one = Silent(carrier_for(b.desk, carried), back)
    hanging = Guarded(cast(Carrier, silent_one), "the drive")
    for module in ("rounds", "relay.carriers"):
        monkeypatch.setattr(f"diadem.network.{module}.carrier_for", lambda *_, **__: hanging)
    mover, until = Movers(b.desk, Sources(b.desk)), time.monotonic() + 10
    try:
        while drive.at(a, sent.id).state is not State.CLOSED:
            assert time.monotonic() < until, "it waits for the drive"
            mover.run(stop)
            time.sleep(0.1)
        assert sorted(silent_one.asked) == ["end", "ls"]
    finally:
        stop.set()
        back.set()
        mover.settle(10)


def test_who_puts_down_waits_for_what_is_on_its_way_but_not_for_ever(
    drive: Drive, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, desk, back, stop = drive.send(package), drive.pair.a.desk, threading.Event(), threading.Event()
    stuck = Stuck(carrier_for(desk, sent), back)
    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as patched:
        patched.setattr("diadem.network.relay.deposit._PATIENCE", 0.5)
        patched.setattr("diadem.network.rounds.carrier_for", lambda *_: Guarded(cast(Carrier, stuck), "the drive"))
        try:
            work = pool.submit(push_all, desk, drive.sources, stop=stop)
            assert stuck.asked.wait(10)
            stop.set()
            with pytest.raises(Interrupted):
                work.result(5)
        finally:
            back.set()
    for thread in threading.enumerate():
        if thread.name.startswith("deposit"):
            thread.join(10)
    assert drive.put()[-2:] == ["2-0-1.age", "2-1-1.age"]
    assert drive.take(sent.id).state is State.CLOSED
