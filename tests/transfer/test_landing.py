"""A package goes from one node to another: proven, the same in every file, receipted; and what must not land."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import diadem
from diadem.errors import (
    DiademError,
    DigestMismatch,
    DocumentError,
    IntegrityError,
    Interrupted,
    NotFound,
    PackageError,
    Refused,
    StoreError,
    Unreachable,
    UsageError,
)
from diadem.model import canonical
from diadem.model.manifest import DERIVED_PATHS, PackageId
from diadem.model.ports import Bundle, Progress, silent
from diadem.model.routes import DIRECT
from diadem.model.transfers import State, Transfer
from diadem.network.arrival import Arrival, _write_all
from diadem.network.handlers.transfers import pushed_of
from diadem.network.jobs import JobRunner, jobs
from diadem.network.landing import place_of
from diadem.network.mail.pickup import collect
from diadem.network.messages import PROGRESS
from diadem.network.pull import FetchOptions, receive_package
from diadem.network.push import push_package
from diadem.network.pushed import Pushed
from diadem.network.pushed_package import PushedPackage
from diadem.network.receiving import Receiving, missing_bytes
from diadem.network.rounds import fetch_all, tidy
from diadem.network.source import Source, Sources
from diadem.network.tag_parts import tag_files
from diadem.network.windows import RUN
from diadem.node.mirrors import KEPT_CHAINS, MIRRORED
from diadem.package.examine import TagFiles, open_tag_files
from diadem.store.system import flush_folder, flush_tree
from diadem.trust.base64_text import to_base64
from tests.transfer.pair import Pair, Side, Wire, body_of, deliver_all, make_pair, put_window, unreachable

MIB = 1 << 20
#: Where a node keeps what other nodes signed about transfers.
CHAINS = "network/chains/*/*.json"


def payload(seed: int = 1) -> dict[str, bytes]:
    """A file of several windows, some of a few leaves, many small ones, and an empty one."""
    source = random.Random(seed)
    small = {f"frames/{number:03}.raw": source.randbytes(900 + number) for number in range(60)}
    large = {"stack.bin": source.randbytes(4 * MIB + 77), "two.bin": source.randbytes(2 * MIB)}
    return {**large, "none.txt": b"", **small}


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of two leaves, asked for one by one, so that small packages have several."""
    monkeypatch.setattr("diadem.network.windows.WINDOW", 2 * MIB)
    monkeypatch.setattr("diadem.network.pull.RUN", 1)


def folder_of(side: Side, package: str) -> Path:
    replica = side.node.context.catalogue.replicas(package)[0]
    return Path(side.node.context.settings.store(replica.store).url) / replica.path


def look(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Every file with its bytes, mode and, below data/, its time."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status, name = path.stat(), path.relative_to(folder).as_posix()
        if path.is_dir():
            found[name + "/"] = (b"", status.st_mode, 0)
        else:
            time = status.st_mtime_ns if name.startswith("data/") and name not in DERIVED_PATHS else 0
            found[name] = (path.read_bytes(), status.st_mode, time)
    return found


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows are asked for as they are in earnest."""
    monkeypatch.setattr("diadem.network.pull.RUN", RUN)


def accepted(pair: Pair, files: dict[str, bytes] | None = None, name: str = "session") -> Transfer:
    sent = pair.a.node.send(pair.a.archived(name, files or payload()), "marie@nmi")
    return pair.b.node.accept(sent.id, wait=False)


def source_of(pair: Pair, transfer: Transfer) -> Source:
    """What the sender gives of it."""
    return Sources(pair.a.desk).of(pair.b.id, transfer.id, DIRECT)


def fetch(pair: Pair, transfer: Transfer, *, connections: int = 3) -> Transfer:
    return receive_package(pair.b.desk, transfer.id, FetchOptions(connections, waits=(0.0,)), listener=silent)


def test_a_package_lands_as_it_is_and_is_receipted_and_closed(pair: Pair) -> None:
    package = pair.a.archived("session", payload())
    sent = pair.a.node.send(package, "marie@nmi")
    done = pair.b.node.accept(sent.id)
    assert (done.state, done.missing, done.error) == (State.CLOSED, (), "")
    assert pair.a.node.transfers.show(sent.id).transfer.state is State.CLOSED
    assert look(folder_of(pair.b, package)) == look(folder_of(pair.a, package))
    assert (done.counts.received, done.counts.again, done.counts.retries) == (pair.b.wire.moved, 0, 0)
    assert done.done == done.bytes
    assert not list((pair.b.root / "store" / ".diadem" / "arriving").iterdir())
    row = pair.b.node.context.catalogue.get(package)
    assert (row.owner, row.title) == ("marie@nmi", "session")
    assert row.ingested_at is not None
    assert pair.b.node.custody(package).ok
    assert pair.b.node.get(package).verify().ok
    assert pair.b.node.search("session").total == 1
    copies = next(line for line in pair.b.node.status().rules if line.rule == "copies.minimum")
    assert copies.mark == "broken", "the other copies that the policy wants are owed"
    sentences = "\n".join(step.sentence for step in pair.b.node.custody(package).steps)
    assert "from the node hu-berlin to the store" in sentences
    built = pair.b.node.reindex()
    assert (built.packages, built.notes) == (1, ())
    fresh = pair.b.node.context.catalogue.get(package)
    assert (fresh.owner, fresh.ingested_at) == (row.owner, row.ingested_at)
    assert not [line for line in pair.b.node.status().rules if line.rule == "package.unsigned" and line.mark != "holds"]


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="this system does not open files without following links")
def test_a_window_is_sent_from_the_file_that_was_looked_at(pair: Pair) -> None:
    transfer = accepted(pair, {"scan.bin": random.Random(1).randbytes(6 * MIB)})
    path = folder_of(pair.a, transfer.package) / "data" / "scan.bin"
    data = path.read_bytes()
    wanted = "GET", "transfers/{transfer}/windows/{number}"
    response = pair.b.wire._ask(*wanted, span="bytes=0-99", transfer=transfer.id, number="1")
    path.unlink()
    path.symlink_to(pair.a.root / "node" / "keys" / "online.pem")
    assert body_of(response) in data


def test_who_accepts_waits_while_the_service_fetches_it(pair: Pair) -> None:
    transfer = accepted(pair, {"scan.bin": b"scan"})
    begun, seen, again, go = (threading.Event() for _ in range(4))

    def held(_kind: str, _number: int, _start: int, data: bytes) -> bytes:
        begun.set()
        assert go.wait(30)
        return data

    pair.b.wire.spoil = held
    with ThreadPoolExecutor() as pool:
        service = pool.submit(fetch, pair, transfer)
        assert begun.wait(30)
        person = pool.submit(pair.b.node.accept, transfer.id, listener=lambda _: seen.set())
        other = pool.submit(pair.b.node.transfers.resume, transfer.id, listener=lambda _: again.set())
        told = seen.wait(30) and again.wait(30)
        go.set()
        assert service.result(30).state is State.RECEIVED
        for one in (person.result(30), *other.result(30)):
            assert one.state in (State.RECEIVED, State.CLOSED)
    assert told, "who waits sees how far it is"
    assert pair.b.desk.book.get(transfer.id).state is State.CLOSED
    assert len(pair.b.node.context.ledger.of_kind("receipt")) == 1


@pytest.mark.parametrize(("round_trip", "most"), [(0.0001, 2), (0.05, 8)])
def test_a_peer_that_is_near_needs_few_connections(pair: Pair, round_trip: float, most: int) -> None:
    transfer = accepted(pair, {"scan.bin": random.Random(1).randbytes(40 * MIB)})
    asking, waited, lock = set[str](), threading.Event(), threading.Lock()

    def together(kind: str, _number: int, _start: int, data: bytes) -> bytes:
        if kind == "window":
            with lock:
                asking.add(threading.current_thread().name)
                if len(asking) == most:
                    waited.set()
            assert waited.wait(30)
        return data

    pair.b.wire.spoil, pair.b.wire.round_trip = together, round_trip
    done = receive_package(pair.b.desk, transfer.id, FetchOptions(waits=(0.0,)), listener=silent)
    assert (done.state, len(asking)) == (State.RECEIVED, most)


def test_wrong_leaves_come_again_and_too_often_stop_it(pair: Pair) -> None:
    transfer = accepted(pair)
    times = {"count": 2}

    def flip(kind: str, number: int, start: int, data: bytes) -> bytes:
        if kind == "window" and number == 1 and times["count"]:
            times["count"] -= 1
            return data[:5] + bytes([data[5] ^ 1]) + data[6:]
        return data

    pair.b.wire.spoil = flip
    times["count"] = 100
    with pytest.raises(DigestMismatch, match="came wrong 4 times from hu-berlin") as caught:
        fetch(pair, transfer, connections=1)
    assert caught.value.where == "data/stack.bin"
    assert caught.value.leaf is not None
    failed = pair.b.node.transfers.show(transfer.id).transfer
    assert failed.state is State.FAILED
    assert "data/stack.bin" in failed.error
    assert not pair.b.node.context.catalogue.has(transfer.package)
    times["count"] = 2
    done = pair.b.node.transfers.resume(transfer.id)[0]
    assert done.state is State.CLOSED
    assert done.counts.again == 6 * MIB
    assert pair.b.wire.windows.count((0, 0)) == 1, "only what is missing came"
    assert look(folder_of(pair.b, transfer.package)) == look(folder_of(pair.a, transfer.package))


@pytest.mark.usefixtures("runs")
def test_windows_are_asked_for_several_at_once_and_only_what_is_missing_of_them_comes_again(pair: Pair) -> None:
    size = 16 * MIB + 77
    transfer = accepted(pair, {"stack.bin": random.Random(3).randbytes(size), "notes.txt": b"notes"})
    times = [0]

    def spoil(kind: str, number: int, _start: int, data: bytes) -> bytes:
        if kind == "window" and number == 0 and not times[0]:
            times[0] = len(data)
            return data[: 5 * MIB + 5] + bytes([data[5 * MIB + 5] ^ 1]) + data[5 * MIB + 6 : 7 * MIB + 9]
        return data

    pair.b.wire.spoil = spoil
    done = fetch(pair, transfer, connections=1)
    assert 7 * MIB < times[0] <= 8 * MIB, "four windows of two leaves"
    asked = pair.b.wire.windows
    assert asked[0] == (0, 0)
    assert asked[1][0] == 2, "the wrong leaf, and what did not come"
    assert len(asked) < 9
    assert done.counts.again == MIB
    assert look(folder_of(pair.b, transfer.package)) == look(folder_of(pair.a, transfer.package))


@pytest.mark.usefixtures("runs")
def test_a_revocation_stops_the_next_window_of_several_that_were_asked_for_at_once(pair: Pair) -> None:
    transfer = accepted(pair, {"stack.bin": random.Random(3).randbytes(16 * MIB)})
    wanted = "GET", "transfers/{transfer}/windows/{number}"
    whole = pair.b.wire._ask(*wanted, span=f"bytes=0-{8 * MIB - 1}", transfer=transfer.id, number="1")
    assert len(body_of(whole)) == 8 * MIB
    response = pair.b.wire._ask(*wanted, span=f"bytes=5-{8 * MIB - 1}", transfer=transfer.id, number="4")
    assert response.headers["content-range"] == f"bytes 5-{8 * MIB - 1}/{8 * MIB}"
    assert not isinstance(response.body, bytes)
    given, blocks = 0, iter(response.body)
    while given < 2 * MIB - 5:
        given += len(next(blocks))
    pair.a.node.transfers.cancel(transfer.id)
    with pytest.raises(NotFound):
        next(blocks)
    assert given == 2 * MIB - 5


@pytest.mark.skipif(sys.platform == "win32", reason="this system puts nothing in the place of a file that is open")
def test_of_a_file_that_gets_shorter_the_rest_comes_from_the_one_in_its_place(pair: Pair) -> None:
    transfer = accepted(pair, {"stack.bin": random.Random(3).randbytes(16 * MIB)})
    path = folder_of(pair.a, transfer.package) / "data" / "stack.bin"
    wanted = "GET", "transfers/{transfer}/windows/{number}"
    response = pair.b.wire._ask(*wanted, span=f"bytes=0-{8 * MIB - 1}", transfer=transfer.id, number="1")
    assert not isinstance(response.body, bytes)
    blocks, whole = iter(response.body), path.read_bytes()
    given = [next(blocks)]
    begin = whole.index(given[0])
    # the file that is open gets shorter; whoever opens it next finds another one, which is whole
    os.truncate(path, begin + MIB + 5)
    (path.parent / "other").write_bytes(whole)
    os.replace(path.parent / "other", path)
    given.extend(blocks)
    assert b"".join(given) == whole[begin : begin + 8 * MIB]


@pytest.mark.parametrize("span", ["", "bytes=0-"])
@pytest.mark.usefixtures("runs")
def test_who_names_no_end_gets_one_window(pair: Pair, span: str) -> None:
    transfer = accepted(pair, {"stack.bin": random.Random(3).randbytes(7 * MIB)})
    wanted = "GET", "transfers/{transfer}/windows/{number}"
    assert len(body_of(pair.b.wire._ask(*wanted, span=span, transfer=transfer.id, number="1"))) == 2 * MIB
    for number, first in ((1, 2 * MIB), (2, 9 * MIB), (9, 0)):
        with pytest.raises((NotFound, UsageError)):
            pair.b.wire._ask(*wanted, span=f"bytes={first}-{20 * MIB}", transfer=transfer.id, number=str(number))


@pytest.mark.parametrize("change", ["short", "long", "none"])
def test_windows_of_a_wrong_length(pair: Pair, change: str) -> None:
    transfer = accepted(pair, {"a.bin": bytes(range(256)) * 9000})
    changes: dict[str, Callable[[bytes], bytes]] = {
        "short": lambda data: data[:-1],
        "long": lambda data: data + b"x",
        "none": lambda _: b"",
    }
    pair.b.wire.spoil = lambda kind, _n, _s, data: changes[change](data) if kind == "window" else data
    with pytest.raises((Unreachable, IntegrityError)):
        fetch(pair, transfer)
    assert not pair.b.node.context.catalogue.has(transfer.package)
    pair.b.wire.spoil = lambda _k, _n, _s, data: data
    assert fetch(pair, transfer).state is State.RECEIVED


def test_tag_files_that_are_not_the_packages(pair: Pair) -> None:
    transfer = accepted(pair, {"a.bin": b"a" * 3000})
    wire = pair.b.wire
    wire.spoil = lambda kind, number, _s, data: data.replace(b"a", b"b", 1) if (kind, number) == ("part", 0) else data
    with pytest.raises(IntegrityError, match="another package"):
        fetch(pair, transfer)
    huge = (1 << 40).to_bytes(8, "big")
    wire.spoil = lambda kind, number, _s, data: huge + data[8:] if (kind, number) == ("part", 1) else data
    with pytest.raises(PackageError, match="more than a tag file may have"):
        fetch(pair, transfer)
    wire.spoil = lambda kind, number, _s, data: data + b"x" if (kind, number) == ("part", 1) else data
    with pytest.raises(PackageError, match="more bytes came"):
        fetch(pair, transfer)
    assert wire.windows == [], "no byte of the payload was asked for"


def test_a_package_that_is_larger_than_offered(pair: Pair) -> None:
    transfer = accepted(pair, {"a.bin": b"a" * 3000})
    book = pair.b.desk.book
    with book._file.writing() as connection:
        connection.execute("UPDATE transfers SET bytes = bytes - 1")
    with pytest.raises(IntegrityError, match="is not what it offered"):
        fetch(pair, transfer)
    assert pair.b.wire.windows == []


def test_bytes_end_at_the_ceiling_on_both_sides(pair: Pair) -> None:
    transfer = accepted(pair, {"a.bin": random.Random(3).randbytes(5 * MIB)})
    for side in (pair.a, pair.b):
        side.desk.book.change(transfer.id, ceiling=2 * MIB)
    with pytest.raises(Refused, match="more bytes would move than were accepted"):
        fetch(pair, transfer)
    pair.a.desk.book.change(transfer.id, ceiling=100 * MIB)
    with pytest.raises(Refused, match="more bytes came than were accepted"):
        fetch(pair, transfer)


def test_a_package_is_opened_once_for_all_who_ask_at_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = accepted(pair)
    source, opened, turn = source_of(pair, sent), [], threading.Barrier(6)

    def opening(bundle: Bundle, *, expected_id: str | None = None) -> TagFiles:
        opened.append(expected_id)
        time.sleep(0.05)
        return open_tag_files(bundle, expected_id=expected_id)

    monkeypatch.setattr("diadem.network.source.open_tag_files", opening)

    def ask(number: int) -> int:
        turn.wait()
        return len(b"".join(source.window(number % 2)()))

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, range(6))) == [source.size(0), source.size(1)] * 3
    assert opened == [sent.package]


def test_only_the_other_side_of_an_acceptance_gets_bytes(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived("session", {"a.bin": b"a" * 3000}), "marie@nmi")
    sources = Sources(pair.a.desk)
    with pytest.raises(NotFound):
        sources.of(pair.b.id, sent.id, DIRECT)  # not accepted
    pair.b.node.accept(sent.id, wait=False)
    source = sources.of(pair.b.id, sent.id, DIRECT)
    size, blocks = source.part(0)
    assert size == len(b"".join(blocks)) > 0
    for peer, transfer in (("ab" * 32, sent.id), (pair.b.id, "0" * 32)):
        with pytest.raises(NotFound):
            sources.of(peer, transfer, DIRECT)
    with pytest.raises(NotFound):
        source.read(1, 0, 1)
    for start, stop in ((0, 0), (5, 4), (0, 1 << 30), (-1, 5)):
        with pytest.raises(NotFound):
            source.read(0, start, stop)
    pair.a.node.transfers.pause(sent.id)
    with pytest.raises(Refused, match="paused"):
        source.read(0, 0, 9)
    pair.a.desk.book.change(sent.id, paused=0)
    later = pair.a.node.context.clock().replace(year=2100)
    pair.a.node.context.clock = lambda: later
    with pytest.raises(NotFound):
        source.read(0, 0, 9)  # the grant has ended


def test_a_revocation_stops_the_next_window_and_what_came_is_removed(pair: Pair) -> None:
    transfer = accepted(pair)

    def revoke(kind: str, number: int, start: int, data: bytes) -> bytes:
        if kind == "window" and number == 0:
            pair.a.wire.down = True  # the receiver hears of it by the next window alone, not at any moment between
            pair.a.node.transfers.cancel(transfer.id, reason="the wrong one")
            pair.a.wire.down = False
        return data

    pair.b.wire.spoil = revoke
    with pytest.raises(NotFound):
        fetch(pair, transfer, connections=1)
    deliver_all(pair.a.desk, due=False)
    assert pair.b.node.transfers.show(transfer.id).transfer.state is State.REVOKED
    assert len(pair.b.wire.windows) <= 2
    pair.b.node.transfers.resume()
    assert not list((pair.b.root / "store" / ".diadem" / "arriving").iterdir())


_REVOKER = """
import sys, diadem
with diadem.open_node(sys.argv[1]) as node:
    print("open", flush=True)
    node.revoke(input())
    print("revoked", flush=True)
"""


def test_a_revocation_by_another_process_stops_the_next_window(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived("session", {"a.bin": b"a" * 3000}), "marie@nmi")
    pair.b.node.accept(sent.id, wait=False)
    source = source_of(pair, sent)
    command = [sys.executable, "-c", _REVOKER, str(pair.a.root / "node")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        revoked, said = threading.Event(), other.stdout

        def wait_for_it() -> None:
            if said.readline() == "revoked\n":
                revoked.set()

        reader = threading.Thread(target=wait_for_it)
        reader.start()
        assert len(b"".join(source.read(0, 0, 9))) == 9
        other.stdin.write(pair.a.node.grants()[0].grant.id + "\n")
        other.stdin.flush()
        while not revoked.is_set():  # so that what was allowed last is as fresh as can be
            with contextlib.suppress(NotFound):
                source.read(0, 0, 9)
        with pytest.raises(NotFound):
            source.read(0, 0, 9)
        reader.join()


def test_another_copy_is_read_where_one_is_damaged(pair: Pair) -> None:
    pair.a.node.stores.add(str(pair.a.root / "second"), name="second", place="another disk")
    package = pair.a.archived("session", payload())
    sent = pair.a.node.send(package, "marie@nmi")
    path = folder_of(pair.a, package) / "data" / "stack.bin"
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(2 * MIB)
        file.write(b"damage")
    done = pair.b.node.accept(sent.id)
    assert done.state is State.CLOSED
    assert done.counts.again == MIB


@pytest.mark.parametrize("harm", ["shorter", "gone"])
def test_small_files_that_one_copy_lacks_come_from_another(pair: Pair, harm: str) -> None:
    pair.a.node.stores.add(str(pair.a.root / "second"), name="second", place="another disk")
    package = pair.a.archived()
    sent = pair.a.node.send(package, "marie@nmi")
    path = folder_of(pair.a, package) / "data" / "notes.txt"
    path.parent.chmod(0o755)
    path.unlink()
    if harm == "shorter":
        path.write_bytes(b"not")
    assert pair.b.node.accept(sent.id).state is State.CLOSED


def test_what_a_third_party_gave_is_not_reused_and_what_the_peer_gave_is(pair: Pair) -> None:
    files = payload()
    pair.b.archived("own", files)
    first = accepted(pair, files, "one")
    assert fetch(pair, first).counts.reused == 0
    second = accepted(pair, {"renamed.bin": files["stack.bin"], "more.bin": b"more" * 1000}, "two")
    before = pair.b.wire.moved
    done = fetch(pair, second)
    assert done.counts.reused == len(files["stack.bin"])
    assert pair.b.wire.moved - before < MIB
    assert done.state is State.RECEIVED


def test_a_stopped_transfer_goes_on_and_the_receipt_is_told_until_it_is_heard(pair: Pair) -> None:
    transfer = accepted(pair)

    def stop(kind: str, number: int, start: int, data: bytes) -> bytes:
        if kind == "window" and number == 1:
            raise Unreachable("the line is cut")
        return data

    pair.b.wire.spoil = stop
    with pytest.raises(Unreachable, match="cut"):
        fetch(pair, transfer, connections=1)
    halted = pair.b.node.transfers.show(transfer.id).transfer
    assert (halted.state, halted.error) == (State.TRANSFERRING, "the line is cut")
    assert halted.done >= MIB
    pair.b.node.transfers.pause(transfer.id)
    with pytest.raises(Refused, match="paused"):
        fetch(pair, transfer)
    pair.b.desk.book.change(transfer.id, paused=0)
    pair.b.wire.spoil = lambda _k, _n, _s, data: data
    assert fetch(pair, transfer).state is State.RECEIVED
    assert pair.b.wire.windows.count((0, 0)) == 1
    waiting = pair.b.node.transfers
    assert waiting.show(transfer.id).transfer.missing == ("closure",)
    assert "not confirmed by the other side" in waiting.look()["text"]
    assert pair.a.node.transfers.show(transfer.id).transfer.missing == ("receipt",)
    waiting.resume()
    assert waiting.show(transfer.id).transfer.state is State.CLOSED


def test_a_process_that_ended_between_landing_and_stating_it(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    transfer = accepted(pair, {"a.bin": b"a" * 3000})
    with monkeypatch.context() as patched:
        patched.setattr("diadem.network.landing.say_received", lambda *_, **__: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            fetch(pair, transfer)
    before = len(pair.b.wire.windows)
    assert fetch(pair, transfer).state is State.RECEIVED
    assert len(pair.b.wire.windows) == before
    assert pair.b.node.context.catalogue.get(transfer.package).owner == "marie@nmi"
    assert os.listdir(pair.b.root / "store" / ".diadem" / "arriving") == []


def test_a_package_that_is_here_already_lands_where_it_is(pair: Pair) -> None:
    transfer = accepted(pair, {"a.bin": b"a" * 3000})
    fetch(pair, transfer)
    pair.b.node.transfers.resume()
    again = pair.a.node.send(transfer.package, "marie@nmi")
    assert again.id != transfer.id
    done = pair.b.node.accept(again.id)
    assert done.state is State.CLOSED
    assert len(pair.b.node.context.catalogue.replicas(transfer.package)) == 1


class Greedy(Wire):
    """A receiver that wants what there is not."""

    def have(self, _: str) -> bytes:
        every = {"windows": 1 << 20, "wanted": to_base64(b"\xff" * (1 << 17))}
        return canonical.encode({"state": "transferring", "parts": True, "begun": [], **every}, where="have")


@pytest.mark.parametrize("way", ["fetched", "pushed"])
@pytest.mark.parametrize("number", range(4), ids=lambda number: f"tag file {number}")
@pytest.mark.sweep(3)
def test_a_tag_file_that_the_disk_gives_back_changed_does_not_land_and_comes_again(
    pair: Pair, way: str, number: int
) -> None:
    """It was right when it came: what is sealed is proven once more, from the disk."""
    transfer, changed, turn = accepted(pair), list[Path](), threading.Lock()

    def change(kind: str, _number: int, _start: int, data: bytes) -> bytes:
        with turn:  # windows come side by side
            if kind != "window" or changed:
                return data
            place = place_of(pair.b.desk, transfer) / transfer.id
            path = place / "bag" / tag_files((place / "tagmanifest").read_bytes())[number][1]
            there = path.read_bytes()
            path.chmod(0o600)
            path.write_bytes(bytes([there[0] ^ 1]) + there[1:])
            changed.append(path)
        return data

    pair.b.wire.spoil = pair.a.wire.spoil = change
    with pytest.raises(IntegrityError, match="the tag file is not what the tag manifest lists") as caught:
        fetch(pair, transfer, connections=1) if way == "fetched" else push(pair, transfer)
    assert changed[0].as_posix().endswith(caught.value.where or "no place")
    assert "diadem transfer resume" in (pair.b.desk.book.get(transfer.id).next or "")
    store = pair.b.desk.context.stores.open(transfer.store)
    assert list(store.packages()) == []
    assert not pair.b.node.context.catalogue.has(transfer.package)
    if way == "fetched":
        fetch(pair, transfer)
    else:
        with pytest.raises(IntegrityError):
            push(pair, transfer)
        go_on(pair, transfer)
        push(pair, transfer)
    assert look(folder_of(pair.b, transfer.package)) == look(folder_of(pair.a, transfer.package))


# -- pushed ----------------------------------------------------------------------------------------------------------


def push(pair: Pair, transfer: Transfer) -> Transfer:
    return push_package(pair.a.desk, Sources(pair.a.desk), transfer.id, listener=silent)


def go_on(pair: Pair, transfer: Transfer) -> None:
    """The receiver goes on with what is pushed to it; the bytes are left to whoever serves."""

    def leave(_: Progress) -> None:
        raise Interrupted("whoever serves is at it")

    with pytest.raises(Interrupted):
        pair.b.node.transfers.resume(transfer.id, listener=leave)


def test_a_package_is_pushed_where_only_the_receiver_can_be_reached(pair: Pair) -> None:
    transfer = accepted(pair)
    push(pair, transfer)
    received = pair.b.node.transfers.show(transfer.id).transfer
    assert received.state is State.RECEIVED
    assert look(folder_of(pair.b, transfer.package)) == look(folder_of(pair.a, transfer.package))
    pair.b.node.transfers.resume()
    assert pair.a.node.transfers.show(transfer.id).transfer.state is State.CLOSED
    with pytest.raises(Refused):
        push(pair, transfer)


def test_a_receiver_that_wants_more_windows_than_there_are_gets_none(pair: Pair) -> None:
    transfer, wire = accepted(pair), Greedy(pair.a.id, lambda: pair.b.desk)
    pair.a.desk.ways = lambda _: wire
    with pytest.raises(DocumentError, match="asks for one of 1,048,576 windows"):
        push(pair, transfer)
    assert wire.windows == []


def test_a_push_that_is_cut_goes_on_and_a_wrong_window_comes_again(pair: Pair) -> None:
    transfer = accepted(pair)
    wire, turns = pair.a.wire, {"cut": 1, "wrong": 1}

    def spoil(kind: str, number: int, _start: int, data: bytes) -> bytes:
        if kind == "window" and number == 2 and turns["cut"]:
            turns["cut"] -= 1
            raise Unreachable("the line is cut")
        if kind == "window" and number == 1 and turns["wrong"]:
            turns["wrong"] -= 1
            return data[:-1] + bytes([data[-1] ^ 1])
        return data

    wire.spoil = spoil
    with pytest.raises(Unreachable):
        push(pair, transfer)
    pair.b.node.context._kept.pop("pushed").close()  # the receiver's process ends, and another takes its place
    push(pair, transfer)
    assert pair.b.node.transfers.show(transfer.id).transfer.state is State.RECEIVED
    assert look(folder_of(pair.b, transfer.package)) == look(folder_of(pair.a, transfer.package))


class CutWire(Wire):
    """A line that is cut in the middle of what is pushed; the receiver's process may end then."""

    cuts: Iterator[int] = iter(())
    pushed = 0

    def put_window(self, transfer: str, number: int, start: int, pieces: Callable[[], Iterable[bytes]]) -> None:
        data = b"".join(pieces())
        intake = pushed_of(self.desk().context).window(self.own, transfer, number, start, len(data))
        size = next(self.cuts, len(data))
        for at in range(0, min(size, len(data)), 300_000):
            intake.take(data[at : min(at + 300_000, size)])
        self.pushed += min(size, len(data))
        if size < len(data):
            raise Unreachable("the line is cut")
        intake.end()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.sweep(1)
def test_of_a_push_that_is_cut_at_any_byte_little_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("diadem.network.windows.WINDOW", 16 * MIB)
    monkeypatch.setattr("diadem.network.push.CONNECTIONS", 1)
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    chance = random.Random(seed)
    pair = make_pair(tmp_path, CutWire)
    wire, cuts = pair.a.wire, [chance.randrange(7 * MIB) for _ in range(8)]
    assert isinstance(wire, CutWire)
    try:
        transfer = accepted(pair, {"long.bin": chance.randbytes(12 * MIB + 5), **payload(seed)})
        wire.cuts = iter(cuts)
        times = 0
        while pair.b.node.transfers.show(transfer.id).transfer.state is not State.RECEIVED:
            times += 1
            with contextlib.suppress(Unreachable):
                push(pair, transfer)
            if chance.random() < 0.3:  # the receiver's process ends, and another takes its place
                pushed_of(pair.b.node.context).close()
                pair.b.node.context._kept.pop("pushed")
        size = sum(len(data) for data in payload(seed).values()) + 12 * MIB + 5
        assert 2 < times <= len(cuts) + 1
        assert size <= wire.pushed < size + (times - 1) * MIB
        assert look(folder_of(pair.b, transfer.package)) == look(folder_of(pair.a, transfer.package))
    finally:
        pair.close()


def test_of_a_window_with_wrong_leaves_those_come_again_alone(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diadem.network.windows.WINDOW", 16 * MIB)
    transfer = accepted(pair, {"long.bin": random.Random(3).randbytes(5 * MIB + 7)})
    first = iter((True,))

    def spoil(kind: str, _number: int, _start: int, data: bytes) -> bytes:
        if kind == "window" and next(first, False):
            data = data[: 2 * MIB] + b"wrong" + data[2 * MIB + 5 : -1] + bytes([data[-1] ^ 1])
        return data

    pair.a.wire.spoil = spoil
    push(pair, transfer)
    starts = [start for _, start in pair.a.wire.windows]
    assert len(starts) == 3
    assert starts[0] == 0
    low, high = sorted(starts[1:])  # they go by two connections
    assert high - low > 2 * MIB, "two runs, and not what lies between them"
    assert look(folder_of(pair.b, transfer.package)) == look(folder_of(pair.a, transfer.package))


def test_what_was_kept_before_the_disk_was_full_counts_as_here(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diadem.network.windows.WINDOW", 16 * MIB)
    monkeypatch.setattr("diadem.network.push.CONNECTIONS", 1)
    chance = random.Random(3)
    transfer = accepted(pair, {"long.bin": chance.randbytes(MIB + 500_000), "short.bin": chance.randbytes(400_000)})
    full = [True]

    def write(descriptor: int, data: memoryview) -> None:
        if full[0] and len(data) == 400_000:
            raise OSError(errno.ENOSPC, "the disk is full")
        _write_all(descriptor, data)

    monkeypatch.setattr("diadem.network.arrival._write_all", write)
    with pytest.raises(DiademError):
        push(pair, transfer)
    landing = pushed_of(pair.b.node.context)._places[transfer.id].receiving
    assert pair.b.desk.book.get(transfer.id).done == transfer.bytes - missing_bytes(landing.arrival)
    full[0] = False
    push(pair, transfer)
    assert look(folder_of(pair.b, transfer.package)) == look(folder_of(pair.a, transfer.package))


@pytest.mark.parametrize("way", ["fetch", "push"])
def test_what_the_disk_lost_as_a_package_was_sealed_comes_again(
    pair: Pair, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer, lost = accepted(pair), list[Path]()

    def flush(root: str, files: Iterable[str], folders: Iterable[str]) -> None:
        if not lost and "arriving" in root:
            lost.extend(path for path in Path(root).rglob("*") if path.is_file() and path.stat().st_size)
            for path in lost:
                path.chmod(0o600)
                if "data" in path.relative_to(root).parts:
                    path.write_bytes(bytes(path.stat().st_size))
            raise OSError(errno.ENOSPC, "the disk is full")
        flush_tree(root, files, folders)

    monkeypatch.setattr("diadem.store.stage.flush_tree", flush)
    move = fetch if way == "fetch" else push
    with pytest.raises(StoreError, match="the disk is full"):
        move(pair, transfer)
    if way == "push":  # a landing that failed is told once, and begun again after a rest
        with contextlib.suppress(StoreError):
            push(pair, transfer)
        time.sleep(0.5)
    move(pair, transfer)
    assert pair.b.desk.book.get(transfer.id).state in (State.RECEIVED, State.CLOSED)
    assert look(folder_of(pair.b, transfer.package)) == look(folder_of(pair.a, transfer.package))


def test_a_leaf_that_is_asked_for_again_counts_for_itself_alone(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diadem.network.windows.WINDOW", 16 * MIB)
    transfer = accepted(pair, {"long.bin": random.Random(3).randbytes(5 * MIB + 7)})
    first = iter((True,))

    def spoil(kind: str, _number: int, _start: int, data: bytes) -> bytes:
        return data[: 2 * MIB] + b"wrong" + data[2 * MIB + 5 :] if kind == "window" and next(first, False) else data

    pair.b.wire.spoil = spoil
    fetch(pair, transfer)
    assert len(pair.b.wire.windows) == 2
    assert pair.a.desk.book.get(transfer.id).moved == pair.b.wire.moved, "what the closure says, which is signed"


def test_a_fetch_ends_soon_when_the_service_does_and_goes_on_later(pair: Pair) -> None:
    transfer = accepted(pair, {"long.bin": random.Random(3).randbytes(8 * MIB)})
    stop = threading.Event()

    def spoil(kind: str, number: int, _start: int, data: bytes) -> bytes:
        if kind == "window" and number == 1:
            stop.set()
            time.sleep(1.0)
        return data

    pair.b.wire.spoil = spoil
    with pytest.raises(Interrupted):
        fetch_all(pair.b.desk, FetchOptions(connections=1, waits=(0.0,)), stop=stop)
    assert [number for number, _ in pair.b.wire.windows] == [0, 1]
    halted = pair.b.desk.book.get(transfer.id)
    assert (halted.state, halted.error) == (State.TRANSFERRING, "")
    pair.b.node.transfers.resume()
    assert 0 not in [number for number, _ in pair.b.wire.windows][2:], "what has arrived is kept"
    assert pair.b.desk.book.get(transfer.id).state is State.CLOSED


def test_a_transfer_that_is_paused_meanwhile_keeps_no_other_from_being_fetched(pair: Pair) -> None:
    for name in ("one", "two"):
        accepted(pair, {"a.bin": random.Random(name).randbytes(6 * MIB)}, name)
    first, other = reversed(pair.b.desk.book.all())  # of two of the same second either may come first

    def pause(kind: str, number: int, _start: int, data: bytes) -> bytes:
        if (kind, number) == ("window", 1) and not pair.b.desk.book.get(first.id).paused:
            pair.b.node.transfers.pause(first.id)
            time.sleep(1.5)
        return data

    pair.b.wire.spoil = pause
    done = {one.id: one for one in fetch_all(pair.b.desk, FetchOptions(connections=1, waits=(0.0,)))}
    halted = done[first.id]
    assert (halted.state, halted.paused, halted.error) == (State.TRANSFERRING, True, "")
    assert done[other.id].state is State.CLOSED


def until_received(pair: Pair, transfer: Transfer) -> None:
    until = time.monotonic() + 30
    while pair.b.desk.book.get(transfer.id).state is not State.RECEIVED:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_while_a_pushed_package_lands_nobody_waits_for_that(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diadem.network.pushed._WAIT", 0.2)
    transfer, other = (accepted(pair, {"a.bin": name.encode() * 3000}, name) for name in ("one", "other"))
    while other.id[:2] == transfer.id[:2]:  # these share a turn
        other = accepted(pair, {"a.bin": other.id.encode() * 100}, other.id)
    pushed, context = pushed_of(pair.b.node.context), pair.b.node.context
    with context.locked(f"package-{PackageId(transfer.package).hex[:32]}"):  # it is being entered elsewhere
        push(pair, transfer)
        for _ in range(3):
            found = pushed.have(pair.a.id, transfer.id)
            assert (found["state"], found["wanted"]) == ("verifying", "")
        pushed.let_go()
        push(pair, other)
        until_received(pair, other)
    until_received(pair, transfer)
    assert pushed.have(pair.a.id, transfer.id)["state"] == "received"
    assert look(folder_of(pair.b, transfer.package)) == look(folder_of(pair.a, transfer.package))


def test_what_comes_while_a_pushed_package_lands_holds_no_thread_until_it_has_landed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diadem.network.pushed._WAIT", 0.2)
    transfer, context = accepted(pair, {"a.bin": b"a" * 3000}), pair.b.node.context
    pushed = pushed_of(context)
    with ThreadPoolExecutor(2) as pool, context.locked(f"package-{PackageId(transfer.package).hex[:32]}"):
        push(pair, transfer)
        late = [pool.submit(pushed.put_part, pair.a.id, transfer.id, number, b"late") for number in range(2)]
        for one in late:
            with pytest.raises(NotFound):
                one.result(5)
        assert pair.b.desk.book.get(transfer.id).error == ""
    until_received(pair, transfer)


@pytest.mark.parametrize("error", [StoreError("the store is full"), IntegrityError("it is another one")])
def test_a_sender_hears_why_a_long_landing_failed_and_it_is_not_begun_again_at_once(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, error: DiademError
) -> None:
    monkeypatch.setattr("diadem.network.pushed._WAIT", 0.1)
    transfer, pushed, begun = accepted(pair, {"a.bin": b"a" * 3000}), pushed_of(pair.b.node.context), []

    def fail(*_: object, **__: object) -> None:
        begun.append(time.monotonic())
        time.sleep(0.4)
        raise error

    def told() -> str:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                assert pushed.have(pair.a.id, transfer.id)["state"] == "verifying"
            except type(error) as caught:
                return caught.message
            time.sleep(0.02)
        return "nothing"

    with monkeypatch.context() as patched:
        patched.setattr("diadem.network.landing.land", fail)
        push(pair, transfer)
        assert [told(), told()] == [error.message] * 2
        assert len(begun) == 1
        time.sleep(0.6)
        assert told() == error.message
        again = isinstance(error, StoreError)
        assert len(begun) == 1 + again
        pushed.let_go()
        assert told() == error.message
        assert len(begun) == 1 + again
    pair.b.desk.brings = lambda peer: True  # type: ignore[method-assign]  # noqa: ARG005
    pair.b.node.transfers.resume(transfer.id)
    while pushed.have(pair.a.id, transfer.id)["state"] == "verifying":
        time.sleep(0.02)
    assert pair.b.desk.book.get(transfer.id).state is State.RECEIVED


def test_a_place_that_cannot_be_opened_anew_after_wrong_bytes_is_tried_again(pair: Pair) -> None:
    """Its receiver goes on while the store is away: who asks hears that, and once it is back the package lands."""
    transfer, pushed = accepted(pair), pushed_of(pair.b.node.context)
    arriving, away = place_of(pair.b.desk, transfer), pair.b.root / "away"
    changed = list[Path]()

    def change(kind: str, _number: int, _start: int, data: bytes) -> bytes:
        if kind == "window" and not changed:
            place = arriving / transfer.id
            changed.append(place / "bag" / tag_files((place / "tagmanifest").read_bytes())[0][1])
            changed[0].chmod(0o600)
            changed[0].write_bytes(b"?" + changed[0].read_bytes()[1:])
        return data

    pair.a.wire.spoil = change
    with pytest.raises(IntegrityError):
        push(pair, transfer)
    go_on(pair, transfer)
    arriving.rename(away)
    arriving.write_text("the store is away")
    for _ in range(2):
        told = list[BaseException]()

        def ask(told: list[BaseException]) -> None:
            try:
                pushed.put_part(pair.a.id, transfer.id, 1, b"late")
            except DiademError as error:
                told.append(error)

        asks = threading.Thread(target=ask, args=(told,), daemon=True)
        asks.start()
        asks.join(10)
        assert not asks.is_alive(), "it goes round for ever"
        assert isinstance(told[0], StoreError)
    arriving.unlink()
    away.rename(arriving)
    go_on(pair, transfer)
    push(pair, transfer)
    assert look(folder_of(pair.b, transfer.package)) == look(folder_of(pair.a, transfer.package))


@pytest.mark.parametrize("way", ["fetched", "pushed"])
def test_a_package_whose_name_the_disk_did_not_take_lands_when_it_does(
    pair: Pair, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in its place, and is not said to be there before its name was forced to disk."""
    transfer, forced = accepted(pair), list[str]()

    def flush(path: str) -> None:
        if Path(path).name.isdigit():  # the folder of its year
            forced.append(path)
            if len(forced) == 1:
                raise OSError(errno.EIO, "the disk fails")
        flush_folder(path)

    monkeypatch.setattr("diadem.store.folder.flush_folder", flush)
    move = fetch if way == "fetched" else push
    with pytest.raises(StoreError, match="may be gone after a power cut"):
        move(pair, transfer)
    if way == "pushed":  # told once, and begun again after a rest
        with contextlib.suppress(StoreError):
            push(pair, transfer)
        time.sleep(0.5)
    if pair.b.desk.book.get(transfer.id).state not in (State.RECEIVED, State.CLOSED):
        move(pair, transfer)
    assert pair.b.desk.book.get(transfer.id).state in (State.RECEIVED, State.CLOSED)
    assert len(forced) > 1
    assert look(folder_of(pair.b, transfer.package)) == look(folder_of(pair.a, transfer.package))


def test_who_asks_in_the_moment_in_which_a_landing_ends_is_answered(pair: Pair) -> None:
    """It ends on a thread of its own: between two steps of who asks."""
    transfer = accepted(pair, {"a.bin": b"a" * 3000})
    arrival = Arrival.open(place_of(pair.b.desk, transfer), transfer.id)
    place = PushedPackage(Receiving(pair.b.desk, transfer, arrival))
    interval, ends = sys.getswitchinterval(), time.monotonic() + 0.5
    sys.setswitchinterval(1e-6)
    try:
        while time.monotonic() < ends:
            assert place.land(lambda: transfer) is not None
    finally:
        sys.setswitchinterval(interval)
        arrival.close()


def test_while_the_place_of_one_transfer_is_opened_others_go_on(pair: Pair) -> None:
    one, other = (accepted(pair, {"a.bin": name.encode() * 3000}, name) for name in ("one", "other"))
    while other.id[:2] == one.id[:2]:  # these share a turn
        other = accepted(pair, {"a.bin": other.id.encode() * 100}, other.id)
    waits, goes_on = (threading.Thread(target=push, args=(pair, transfer)) for transfer in (one, other))
    with pair.b.desk.turn(one.id):
        waits.start()
        time.sleep(0.2)
        goes_on.start()
        goes_on.join(10)
        assert pair.b.desk.book.get(other.id).state is State.RECEIVED
        pushed_of(pair.b.node.context).let_go()
        assert waits.is_alive()
    waits.join(30)
    assert pair.b.desk.book.get(one.id).state is State.RECEIVED


def test_a_place_that_cannot_be_let_go_leaves_no_other_behind(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    transfers = [accepted(pair, {"a.bin": name.encode() * 3000}, name) for name in ("one", "other")]
    pushed = pushed_of(pair.b.node.context)
    for transfer in transfers:
        pushed.have(pair.a.id, transfer.id)
    close, tried = Arrival.close, list[str]()

    def fail(self: Arrival) -> None:
        close(self)
        tried.append(self.folder.name)
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Arrival, "close", fail)
        with pytest.raises(StoreError):
            pushed.close()
    assert sorted(tried) == sorted(transfer.id for transfer in transfers)


def test_tag_files_that_come_again_begin_nothing_anew(pair: Pair) -> None:
    transfer, pushed = accepted(pair), pushed_of(pair.b.node.context)
    source, peer = source_of(pair, transfer), pair.a.id
    parts = [b"".join(source.part(number)[1]) for number in (0, 1)]
    before = threading.active_count()
    for number in (0, *[1] * 20):
        pushed.put_part(peer, transfer.id, number, parts[number])
    assert threading.active_count() <= before + 1
    push(pair, transfer)
    assert look(folder_of(pair.b, transfer.package)) == look(folder_of(pair.a, transfer.package))


def test_leaves_that_are_none_of_the_window_are_refused(pair: Pair) -> None:
    transfer = accepted(pair, {"long.bin": random.Random(3).randbytes(2 * MIB)})
    pair.a.wire.spoil = lambda kind, _number, _start, data: b"" if kind == "window" else data
    with pytest.raises(Refused, match="not whole leaves"):
        push(pair, transfer)
    pushed = pushed_of(pair.b.node.context)
    for start, length in ((1, MIB), (MIB, MIB + 1), (MIB, MIB - 1), (2 * MIB, MIB), (0, 3 * MIB), (MIB // 2, MIB // 2)):
        with pytest.raises(Refused, match="not whole leaves"):
            pushed.window(pair.a.id, transfer.id, 0, start, length)


def test_only_the_sender_pushes_and_only_what_was_accepted(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived("session", {"a.bin": b"a" * 3000}), "marie@nmi")
    pushed = Pushed(pair.b.desk)
    with pytest.raises(NotFound):
        pushed.have(pair.a.id, sent.id)
    pair.b.node.accept(sent.id, wait=False)
    with pytest.raises(NotFound):
        put_window(pushed, "ab" * 32, sent.id, 0, b"x")
    with pytest.raises(Refused, match="tag files come first"):
        put_window(pushed, pair.a.id, sent.id, 0, b"x")
    with pytest.raises(IntegrityError, match="another package"):
        pushed.put_part(pair.a.id, sent.id, 0, b"x")
    pushed.close()


def test_a_store_that_is_no_folder_gets_it_when_it_is_whole(pair: Pair) -> None:
    pair.b.node.stores.add("memory://nmi", name="memory", kind="object")
    sent = pair.a.node.send(pair.a.archived("session", {"a.bin": random.Random(9).randbytes(3 * MIB)}), "marie@nmi")
    done = pair.b.node.accept(sent.id, store="memory")
    assert (done.state, done.store) == (State.CLOSED, "memory")
    assert pair.b.node.get(sent.package).verify().ok
    assert os.listdir(pair.b.node.path / "arriving") == []


def test_stopped_by_a_person_it_can_be_gone_on_with(pair: Pair) -> None:
    transfer = accepted(pair)

    def press(kind: str, number: int, start: int, data: bytes) -> bytes:
        if kind == "window" and number == 1:
            raise KeyboardInterrupt
        return data

    pair.b.wire.spoil = press
    with pytest.raises(Interrupted, match="what has arrived is kept") as caught:
        fetch(pair, transfer, connections=1)
    assert caught.value.exit_code == 6
    assert f"diadem transfer resume {transfer.id[:8]}" in str(caught.value.next)
    pair.b.wire.spoil = lambda _k, _n, _s, data: data
    began = time.monotonic()
    done = pair.b.node.transfers.resume(transfer.id, max_rate=10 * MIB)[0]
    assert done.state is State.CLOSED
    assert time.monotonic() - began > 0.15, "four mebibytes at ten a second, after a quarter second at once"
    assert pair.b.wire.windows.count((0, 0)) == 1


def test_a_line_that_is_cut_again_and_again_uses_up_no_ceiling_and_who_asks_for_ever_is_stopped(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived("session", {"a.bin": random.Random(4).randbytes(12 * MIB)}), "marie@nmi")
    pair.b.node.accept(sent.id, wait=False)
    source = source_of(pair, sent)
    for number in range(100):  # each time some bytes came, and the rest was lost on the way
        source.read(0, number << 14, source.size(0))
    pair.a.desk.book.change(sent.id, ceiling=24 * MIB)

    def ask_for_ever() -> None:
        for _ in range(1000):
            source.read(0, 0, source.size(0))

    with pytest.raises(Refused, match="more bytes would move than were accepted"):
        ask_for_ever()


def test_a_part_of_a_window_is_told_by_its_place_in_the_window(pair: Pair) -> None:
    sent = pair.a.node.send(pair.a.archived("session", {"a.bin": random.Random(5).randbytes(12 * MIB)}), "marie@nmi")
    pair.b.node.accept(sent.id, wait=False)
    wanted = "GET", "transfers/{transfer}/windows/{number}"
    for _ in range(2):  # straight from the file; and with every leaf proven
        found = pair.b.wire._ask(*wanted, span=f"bytes={MIB}-", transfer=sent.id, number="2")
        assert found.headers["content-range"].startswith(f"bytes {MIB}-")
        assert found.status == 206


def test_what_its_sender_takes_back_when_every_byte_was_given_does_not_land(pair: Pair) -> None:
    transfer = accepted(pair, {"a.bin": b"a" * 3000})

    def revoke(kind: str, number: int, start: int, data: bytes) -> bytes:
        if kind == "window":
            pair.b.wire.down = pair.a.wire.down = True  # the revocation cannot be delivered: it waits
            pair.a.node.transfers.cancel(transfer.id, reason="the wrong one")
            pair.b.wire.down = pair.a.wire.down = False
        return data

    pair.b.wire.spoil = revoke
    with pytest.raises(Refused, match="the transfer is withdrawn"):
        fetch(pair, transfer, connections=1)
    assert pair.b.node.transfers.show(transfer.id).transfer.state is State.REVOKED
    assert not pair.b.node.context.catalogue.has(transfer.package)


@pytest.mark.parametrize("told", [True, False], ids=["told", "asked for"])
def test_a_receipt_that_comes_while_the_senders_store_is_away_is_answered_when_it_is_back(
    pair: Pair, told: bool
) -> None:
    transfer = accepted(pair, {"a.bin": b"a" * 3000})
    fetch(pair, transfer)

    def meet() -> None:
        if told:
            deliver_all(pair.b.desk, due=False)
        else:
            collect(pair.a.desk, pair.b.id)
            deliver_all(pair.a.desk, due=False)

    store = pair.a.root / "store"
    away = store.rename(store.with_name("away"))
    meet()
    assert [message.kind for message in pair.b.desk.outbox.waiting()] == ["receipt"]
    assert pair.b.desk.book.get(transfer.id).error == ""
    away.rename(store)
    meet()
    assert [side.desk.book.get(transfer.id).state for side in (pair.a, pair.b)] == [State.CLOSED, State.CLOSED]
    assert not pair.b.desk.outbox.waiting()


def test_what_a_receiver_tells_of_its_progress_is_shown_and_lets_no_book_grow(pair: Pair) -> None:
    transfer = accepted(pair, {"a.bin": b"a" * 3000})
    deliver_all(pair.b.desk, due=False)
    book = pair.a.desk.book
    before = book.events(transfer.id)
    for done, state in enumerate(["transferring", "verifying"] * 3):
        pair.b.desk.post(transfer, PROGRESS, {"state": state, "done": done})
        assert deliver_all(pair.b.desk, due=False) == 0
        assert (book.get(transfer.id).state, book.get(transfer.id).done) == (state, done)
    assert book.events(transfer.id) == before


@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("kind", ["folder", "object"])
def test_what_is_taken_back_while_it_lands_is_taken_out_again(pair: Pair, side: str, kind: str) -> None:
    if kind == "object":
        pair.b.node.stores.add("memory://landing-" + side, name="memory", kind="object")
    sent = pair.a.node.send(pair.a.archived("session", {"a.bin": b"a" * 3000}), "marie@nmi")
    transfer = pair.b.node.accept(sent.id, store="memory" if kind == "object" else None, wait=False)

    def take_back(progress: Progress) -> None:
        if progress.stage == "land" and progress.unit == "packages":
            getattr(pair, side).node.transfers.cancel(transfer.id)

    with pytest.raises(Refused, match=r"the transfer is (withdrawn|cancelled)"):
        receive_package(pair.b.desk, transfer.id, FetchOptions(waits=(0.0,)), listener=take_back)
    there = pair.b.desk.context
    assert not there.catalogue.has(transfer.package)
    assert not list(there.stores.open(transfer.store).packages())
    assert not there.ledger.of_kind("receipt")
    assert not there.ledger.of_kind("replicate")
    tidy(pair.b.desk)
    assert os.listdir(place_of(pair.b.desk, transfer)) == []


def test_what_is_taken_back_after_its_process_ended_while_it_landed_is_taken_out(pair: Pair) -> None:
    transfer = accepted(pair, {"a.bin": b"a" * 3000})

    def end(progress: Progress) -> None:
        if progress.stage == "land" and progress.unit == "packages":
            raise MemoryError

    with pytest.raises(MemoryError):
        receive_package(pair.b.desk, transfer.id, FetchOptions(waits=(0.0,)), listener=end)
    store = pair.b.desk.context.stores.open(transfer.store)
    assert [one.id for one in store.packages()] == [transfer.package]
    pair.b.node.transfers.cancel(transfer.id)
    tidy(pair.b.desk)
    assert not list(store.packages())
    assert os.listdir(place_of(pair.b.desk, transfer)) == []


@pytest.fixture
def unkept(pair: Pair) -> Transfer:
    """What came and is not receipted yet; what its sender answers to the receipt finds no place on this disk."""
    transfer = accepted(pair, {"a.bin": b"a" * 3000})
    landed = receive_package(pair.b.desk, transfer.id, FetchOptions(waits=(0.0,)), listener=silent)
    (place,) = pair.b.node.path.glob(f"network/chains/{transfer.id}")
    shutil.rmtree(place)
    place.write_bytes(b"no folder")
    return landed


def test_whoever_resumes_all_is_told_that_this_disk_fails(pair: Pair, unkept: Transfer) -> None:
    with pytest.raises(StoreError):
        pair.b.node.transfers.resume()
    assert pair.b.desk.outbox.waiting(), unkept.id


def test_whoever_resumes_all_is_told_of_a_fault_of_this_program(pair: Pair, unkept: Transfer) -> None:
    def called(_: str) -> Wire:
        raise KeyError(unkept.id)

    pair.b.desk.ways = called
    with pytest.raises(KeyError):
        pair.b.node.transfers.resume()


def test_a_peer_whose_answer_cannot_be_taken_is_still_asked_in_a_round(pair: Pair, unkept: Transfer) -> None:
    way, pair.a.desk.ways = pair.a.desk.ways, unreachable
    sent = pair.a.node.send(pair.a.archived("another", {"b.bin": b"b"}), "marie@nmi")
    pair.a.desk.ways = way
    synced = pair.b.node.transfers.sync()
    assert pair.b.desk.book.get(sent.id).state is State.OFFERED
    assert any("'hu-berlin'" in words for words in synced.trouble), unkept.id


@pytest.mark.skipif(os.name == "nt", reason="symbolic links")
def test_a_stale_store_of_a_cancelled_transfer_stops_no_message(pair: Pair) -> None:
    transfer = accepted(pair, {"a.bin": b"a" * 3000})
    pair.b.wire.down = True
    stale = place_of(pair.b.desk, transfer)
    stale.symlink_to("x" * 300)  # to look at what is there fails, as on a share whose server is gone
    assert pair.b.node.transfers.cancel(transfer.id).state is State.CANCELLED
    assert pair.b.desk.outbox.waiting()
    pair.b.wire.down, clock = False, pair.b.node.context.clock
    pair.b.node.context.clock = lambda: clock() + datetime.timedelta(minutes=5)
    (mail,) = (job for job in jobs(pair.b.node.context) if job.name == "messages")
    mail.run(threading.Event())
    mail.settle(10)
    assert not pair.b.desk.outbox.waiting()
    assert pair.a.desk.book.get(transfer.id).state is State.CANCELLED


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a pipe stands for a file of a share whose server is gone")
def test_a_store_that_hangs_keeps_no_message_waiting(pair: Pair) -> None:
    """Whoever looks at what arrived there waits for ever, as on a share whose server is gone; mail goes on."""
    hanging = accepted(pair, {"a.bin": b"a" * 3000})
    pair.b.node.transfers.cancel(hanging.id)
    place = place_of(pair.b.desk, hanging) / hanging.id
    place.mkdir(parents=True)
    os.mkfifo(place / "tagmanifest")
    running = JobRunner([replace(job, every=0.1) for job in jobs(pair.b.node.context)], lambda *_: None)
    running.start()
    try:
        time.sleep(1)
        pair.b.wire.down = True
        sent = pair.a.node.send(pair.a.archived("other"), "marie@nmi")
        pair.b.node.decline(sent.id)
        assert pair.b.desk.outbox.waiting()
        pair.b.wire.down, clock = False, pair.b.node.context.clock
        pair.b.node.context.clock = lambda: clock() + datetime.timedelta(minutes=5)
        end = time.monotonic() + 20
        while pair.b.desk.outbox.waiting() and time.monotonic() < end:
            time.sleep(0.05)
        assert not pair.b.desk.outbox.waiting()
        assert pair.a.desk.book.get(sent.id).state is State.DECLINED
        assert place.is_dir(), "nothing hung"
    finally:
        with contextlib.suppress(OSError):  # whoever hangs goes on, and does not hang again
            end = os.open(place / "tagmanifest", os.O_WRONLY | os.O_NONBLOCK)
            (place / "tagmanifest").unlink()
            os.close(end)
        running.stop(30)


def test_what_the_other_side_signed_comes_back_with_a_lost_node(tmp_path: Path) -> None:
    """The receipt is what proves who had the package: it lies in the stores, too, as it grew."""
    pair = make_pair(tmp_path)
    mirrored = pair.a.root / "store" / ".diadem" / "nodes"
    try:
        package = pair.a.archived("session", {"a.bin": b"a" * 1000})
        sent = pair.a.node.send(package, "marie@nmi")
        pair.b.node.accept(sent.id)
        deliver_all(pair.b.desk)
        deliver_all(pair.a.desk)
        kept = {path.relative_to(pair.a.node.path): path.read_bytes() for path in pair.a.node.path.glob(CHAINS)}
        assert kept
        assert not list(mirrored.glob("*/chains/*/*.json"))
        (job,) = (job for job in jobs(pair.a.node.context) if job.name == "mirrors")
        job.run(threading.Event())  # as a service does while it goes on
        assert len(list(mirrored.glob("*/chains/*/*.json"))) == 1
    finally:
        pair.close()
    assert len(list(mirrored.glob("*/chains/*/*.json"))) == 1, "of a chain that grew, only the whole is kept"
    shutil.rmtree(pair.a.node.path)
    recovery = Path(f"{pair.a.node.path}-recovery.txt")
    with diadem.Node.recover(pair.a.node.path, pair.a.root / "store", recovery_file=recovery) as again:
        assert {path.relative_to(again.path): path.read_bytes() for path in again.path.glob(CHAINS)} == kept
        assert all(path.stat().st_mode & 0o077 == 0 for path in again.path.glob(CHAINS)) or os.name == "nt"
        assert "nmi" in str(again.custody(package).to_dict())


def kept_chain(folder: Path, text: bytes) -> Path:
    """A chain of another node as a node keeps it."""
    path = folder / KEPT_CHAINS / "0123456789abcdef" / f"{'ab' * 32}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    (folder / KEPT_CHAINS / MIRRORED).unlink(missing_ok=True)
    return path


def mirrored_chains(store: Path) -> list[int]:
    return sorted(path.stat().st_size for path in store.glob(".diadem/nodes/*/chains/*/*.json"))


def test_a_longer_chain_replaces_a_shorter_one_and_never_the_other_way_round(tmp_path: Path) -> None:
    """As where a node comes back from an old backup: what the stores know is more."""
    node = diadem.Node.create(tmp_path / "node", name="lab", user="anna", store=str(tmp_path / "store"))
    recovery = Path(f"{tmp_path / 'node'}-recovery.txt")
    for size in (9, 30):
        path = kept_chain(node.path, b"c" * size)
        node.close()
        assert mirrored_chains(tmp_path / "store") == [size], "a chain came, and nothing was said"
        node = diadem.open_node(tmp_path / "node")
    node.close()
    kept_chain(tmp_path / "node", b"o" * 9)
    diadem.open_node(tmp_path / "node").close()
    assert mirrored_chains(tmp_path / "store") == [30]
    with diadem.Node.recover(tmp_path / "node", tmp_path / "store", recovery_file=recovery):
        assert path.read_bytes() == b"c" * 30
        assert [one.read_bytes() for one in path.parent.glob("*.9")] == [b"o" * 9], "the other is kept beside it"


@pytest.mark.skipif(os.name == "nt", reason="links need a right on Windows")
def test_a_chain_that_cannot_be_read_stops_no_recovery(tmp_path: Path) -> None:
    node = diadem.Node.create(tmp_path / "node", name="lab", user="anna", store=str(tmp_path / "store"))
    kept_chain(node.path, b"c" * 9)
    node.close()
    (chain,) = (tmp_path / "store").glob(".diadem/nodes/*/chains/*/*.json")
    chain.with_name(f"{'ab' * 32}-999.json").symlink_to("/dev/zero")
    shutil.rmtree(tmp_path / "node")
    recovery = Path(f"{tmp_path / 'node'}-recovery.txt")
    with diadem.Node.recover(tmp_path / "node", tmp_path / "store", recovery_file=recovery) as again:
        assert [path.read_bytes() for path in again.path.glob(CHAINS)] == [b"c" * 9]
        assert again.recovered is not None
        assert any("was not brought back" in note for note in again.recovered.notes)
