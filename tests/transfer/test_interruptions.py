"""A transfer that is cut again and again, at any byte, by a process that ends at once: it comes to the same package."""

from __future__ import annotations

import errno
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from diadem.errors import DiademError, Interrupted, PackageError, Refused, StoreError, Unreachable
from diadem.model.manifest import DERIVED_PATHS, TAGMANIFEST
from diadem.model.names import require_sound_names
from diadem.model.ports import silent
from diadem.model.transfers import Transfer
from diadem.network.arrival import Arrival, land
from diadem.network.crew import waits_for, waits_no_more
from diadem.network.desk import Desk
from diadem.network.intake import Follower
from diadem.network.memory import Memory
from diadem.network.pull import Fetch, FetchOptions
from diadem.network.receiving import Receiving, missing_bytes
from diadem.network.tag_parts import tag_files
from diadem.network.windows import WindowPlan
from diadem.package.examine import open_tag_files
from diadem.store.bags import LocalBundle
from diadem.store.folder import FolderStore
from diadem.store.system import flush_tree
from tests.transfer.pair import Bytes, make_pair

LEAF = 1 << 20


class Cut(BaseException):
    """The process ends here."""


@dataclass
class Packed:
    """A package that its recipient has accepted, and where it lies at its sender."""

    bag: Path
    desk: Desk
    transfer: Transfer


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packed]:
    """A package with files of several leaves, and small ones."""
    source = random.Random(5)
    sizes = {"a.bin": 5 * LEAF + 9, "b.bin": LEAF, "c.bin": 3 * LEAF, "d.txt": 0, "z.bin": 70_000}
    sizes |= {f"m{number:02}.raw": 500 for number in range(30)}
    with pytest.MonkeyPatch.context() as patched:
        folder = tmp_path_factory.mktemp("pair")
        patched.setenv("DIADEM_CONFIG", str(folder / "config"))
        pair = make_pair(folder)
        package = pair.a.archived("session", {name: source.randbytes(size) for name, size in sizes.items()})
        sent = pair.a.node.send(package, "marie@nmi")
        transfer = pair.b.node.accept(sent.id, wait=False)
        (replica,) = pair.a.node.context.catalogue.replicas(package)
        bag = Path(pair.a.node.context.settings.store(replica.store).url) / replica.path
        pair.b.desk.book.change(transfer.id, ceiling=1 << 40)
        yield Packed(bag, pair.b.desk, pair.b.desk.book.get(transfer.id))
        pair.close()


class Source:
    """The sender, straight from a bag; cuts the line after so many bytes."""

    def __init__(self, bag: Path, cuts: random.Random | None) -> None:
        self._bundle = LocalBundle(bag)
        self._plan = WindowPlan(open_tag_files(self._bundle).manifest)
        self._cuts = cuts
        self.given = 0

    def open_window(self, _transfer: str, number: int, start: int, stop: int) -> Bytes:
        data = bytearray()
        for span in self._plan.spans(number):
            with self._bundle.open(span.entry.path) as reader:
                data += reader.read_at(span.offset, span.length)
        data = data[start:stop]
        self.given += len(data)
        if self._cuts is not None and self._cuts.random() < 0.3:
            return Broken(bytes(data[: self._cuts.randrange(len(data) + 1)]), self._cuts)
        return Bytes(bytes(data))


class Broken(Bytes):
    """Bytes that end in the middle: the line is cut, or the whole process."""

    def __init__(self, data: bytes, cuts: random.Random) -> None:
        super().__init__(data)
        self._ends: type[BaseException] = Cut if cuts.random() < 0.5 else Unreachable

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        if not count:
            raise self._ends("cut")
        return count


def arrive(packed: Packed, root: Path) -> Receiving:
    arrival = Arrival.open(root / ".diadem" / "arriving", packed.transfer.id)
    text = (packed.bag / TAGMANIFEST).read_bytes()
    arrival.keep_tagmanifest(text)
    for _, path in tag_files(text):
        arrival.write_tag_file(path, [(packed.bag / path).read_bytes()])
    receiving = Receiving(packed.desk, packed.transfer, arrival)
    assert receiving.open_tag_files()
    return receiving


def run(receiving: Receiving, source: Source, *, connections: int = 2) -> set[int]:
    follower = receiving.follow()
    try:
        Fetch(receiving, source, FetchOptions(connections, waits=(0.0, 0.0))).run()  # type: ignore[arg-type]
        return receiving.judged()
    except BaseException:
        follower.stop()
        raise


def end_at_once(arrival: Arrival, chance: random.Random) -> None:
    """What is left where a process ends: nothing is forced to disk, the lock is free, the journal may be torn."""
    arrival.marks.close()
    arrival._lock.release()
    if chance.random() < 0.5:
        path = arrival.folder / "journal"
        os.truncate(path, max(0, path.stat().st_size - chance.randrange(60)))


def content(bag: Path) -> Iterator[tuple[str, bytes, int, int]]:
    for path in sorted(bag.rglob("*")):
        name = path.relative_to(bag).as_posix()
        dated = name.startswith("data/") and name not in DERIVED_PATHS and path.is_file()
        data = path.read_bytes() if path.is_file() else b""
        yield name, data, path.stat().st_mode, path.stat().st_mtime_ns if dated else 0


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.sweep(6)
def test_cut_anywhere_it_comes_to_the_same_package(
    packed: Packed, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diadem.network.windows.WINDOW", 2 * LEAF)
    monkeypatch.setattr("diadem.network.arrival._SYNC_BYTES", LEAF)
    chance = random.Random(seed)
    opened = open_tag_files(LocalBundle(packed.bag))
    source = Source(packed.bag, chance)
    for _ in range(100):
        here = arrive(packed, tmp_path)
        try:
            assert run(here, source) == set()
            break
        except (Cut, Unreachable):
            end_at_once(here.arrival, chance)
    assert missing_bytes(here.arrival) == 0
    here.arrival.finish()
    store = FolderStore(tmp_path)
    added = land(store, here.arrival, opened, "2026/20260314-session-0123456789ab", listener=silent)
    here.arrival.remove()
    assert added.created
    assert list(content(tmp_path / added.path)) == list(content(packed.bag))
    assert source.given < 40 * LEAF
    assert os.listdir(tmp_path / ".diadem" / "arriving") == []


def test_what_is_marked_and_not_on_the_disk_is_hashed_again(packed: Packed, tmp_path: Path) -> None:
    here = arrive(packed, tmp_path)
    run(here, Source(packed.bag, None))
    here.arrival.marks.close()
    here.arrival._lock.release()
    with open(here.arrival.bag / "data" / "a.bin", "r+b") as file:
        file.seek(2 * LEAF)
        file.write(bytes(100))  # what a power cut may leave of pages that were never written
    (here.arrival.bag / "data" / "m03.raw").unlink()
    again = arrive(packed, tmp_path)
    assert missing_bytes(again.arrival) == LEAF + 500
    source = Source(packed.bag, None)
    assert run(again, source) == set()
    assert source.given == LEAF + 500
    again.arrival.close()
    last = arrive(packed, tmp_path)
    assert missing_bytes(last.arrival) == 0
    last.arrival.close()


def test_what_is_hashed_again_is_forced_to_disk_before_it_is_trusted(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = arrive(packed, tmp_path)
    run(here, Source(packed.bag, None))
    here.arrival.marks.close()  # its process ends; the system has not written anything
    here.arrival._lock.release()
    again, forced = arrive(packed, tmp_path), set[str]()

    def flush(root: str, files: Iterator[str], folders: Iterator[str]) -> None:
        found = [*files]
        forced.update(Path(path).name for path in found)
        flush_tree(root, iter(found), folders)

    monkeypatch.setattr("diadem.network.arrival.flush_tree", flush)
    again.arrival.close()
    assert {"a.bin", "m03.raw", "z.bin"} <= forced


def test_what_was_not_on_the_disk_stays_missing_though_others_are_synced(packed: Packed, tmp_path: Path) -> None:
    opened = open_tag_files(LocalBundle(packed.bag))
    here = arrive(packed, tmp_path)
    run(here, Source(packed.bag, None))
    here.arrival.marks.close()  # the power is cut
    here.arrival._lock.release()
    with open(here.arrival.bag / "data" / "a.bin", "r+b") as file:
        file.seek(2 * LEAF)
        file.write(bytes(100))
    (here.arrival.bag / "data" / "m03.raw").unlink()
    again = arrive(packed, tmp_path)
    number = next(at for at, entry in enumerate(opened.manifest) if entry.name == "m03.raw")
    again.arrival.put(number, 0, memoryview((packed.bag / "data" / "m03.raw").read_bytes()))
    again.arrival.close()
    last = arrive(packed, tmp_path)
    assert missing_bytes(last.arrival) == LEAF
    source = Source(packed.bag, None)
    assert run(last, source) == set()
    assert source.given == LEAF
    last.arrival.close()
    assert (last.arrival.bag / "data" / "a.bin").read_bytes() == (packed.bag / "data" / "a.bin").read_bytes()


class _LosesOnce:
    """A disk that says once that it did not keep what was written, and drops it: what the system says then."""

    def __init__(self, bag: Path) -> None:
        self._bag, self.times = bag, 0

    def __call__(self, root: str, files: Iterator[str], folders: Iterator[str]) -> None:
        if self.times:
            flush_tree(root, files, folders)
            return
        self.times += 1
        for path in self._bag.rglob("*"):
            if path.is_file() and path.stat().st_size:
                path.chmod(0o600)
                path.write_bytes(bytes(path.stat().st_size))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("where", ["arrival", "stage"])
def test_what_the_disk_lost_once_is_not_vouched_for_later(
    packed: Packed, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_tag_files(LocalBundle(packed.bag))
    here = arrive(packed, tmp_path)
    run(here, Source(packed.bag, None))
    room = {"arrival": "network", "stage": "store"}[where]
    monkeypatch.setattr(f"diadem.{room}.{where}.flush_tree", _LosesOnce(here.arrival.bag))
    with pytest.raises(StoreError, match="disk is full"):
        (here.arrival.sync if where == "arrival" else here.arrival.finish)()
    assert here.arrival.marks.unsure() == []
    assert here.arrival.marks.count == 0, "hashed again, it may be right in memory, and nowhere else"
    here.close()
    again = arrive(packed, tmp_path)
    assert again.arrival.marks.count == 0
    assert run(again, Source(packed.bag, None)) == set()
    again.arrival.finish()
    added = land(FolderStore(tmp_path), again.arrival, opened, "2026/20260314-session-0123456789ab", listener=silent)
    again.arrival.remove()
    assert list(content(tmp_path / added.path)) == list(content(packed.bag))


def test_what_the_disk_kept_before_it_lost_something_stays(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_tag_files(LocalBundle(packed.bag))
    numbers = {entry.name: at for at, entry in enumerate(opened.manifest)}
    data = {name: memoryview((packed.bag / "data" / name).read_bytes()) for name in ("a.bin", "c.bin", "m03.raw")}
    here = arrive(packed, tmp_path)
    here.arrival.put(numbers["a.bin"], 0, data["a.bin"][: 2 * LEAF])
    here.arrival.put(numbers["m03.raw"], 0, data["m03.raw"])
    here.arrival.sync()
    here.arrival.put(numbers["a.bin"], 3, data["a.bin"][3 * LEAF : 4 * LEAF])
    here.arrival.put(numbers["c.bin"], 0, data["c.bin"][:LEAF])
    with monkeypatch.context() as patched:
        patched.setattr("diadem.network.arrival.flush_tree", _LosesOnce(tmp_path / "nothing"))
        with pytest.raises(StoreError, match="disk is full"):
            here.arrival.sync()
    here.arrival.put(numbers["c.bin"], 1, data["c.bin"][LEAF : 2 * LEAF])
    here.arrival.close()
    again = arrive(packed, tmp_path)
    a, c = (opened.manifest.entries[numbers[name]].first_leaf for name in ("a.bin", "c.bin"))
    assert again.arrival.marks.unsure() == []
    assert list(again.arrival.marks.proven[a : a + 6]) == [1, 1, 0, 0, 0, 0]
    assert list(again.arrival.marks.proven[c : c + 3]) == [0, 1, 0]
    assert again.arrival.marks.count == 4
    again.arrival.close()


def test_what_was_synced_and_changed_since_is_found_by_the_whole_file(packed: Packed, tmp_path: Path) -> None:
    opened = open_tag_files(LocalBundle(packed.bag))
    here = arrive(packed, tmp_path)
    number = next(at for at, entry in enumerate(opened.manifest) if entry.name == "a.bin")
    run(here, Source(packed.bag, None))
    here.arrival.marks.hashed[number] = 0  # its process ended before the whole file was hashed
    with open(here.arrival.bag / "data" / "a.bin", "r+b") as file:
        file.write(b"\0\0\0")
    follower = Follower(here.arrival)
    assert follower.finish() == {number}
    here.arrival.forget(number)
    assert missing_bytes(here.arrival) == 5 * LEAF + 9
    here.arrival.close()
    again = arrive(packed, tmp_path)
    assert missing_bytes(again.arrival) == 5 * LEAF + 9
    assert run(again, Source(packed.bag, None)) == set()
    again.arrival.remove()


def read_again(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of files that the disk gives back from now on, as they are read."""
    counted, read = list[int](), Arrival.read_into

    def counting(self: Arrival, number: int, offset: int, buffer: memoryview) -> int:
        counted.append(read(self, number, offset, buffer))
        return counted[-1]

    monkeypatch.setattr(Arrival, "read_into", counting)
    return counted


@pytest.mark.parametrize("room", [1 << 30, 0])
def test_what_comes_in_order_is_hashed_in_memory_and_read_again_without_room(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    memory, read = Memory(room), read_again(monkeypatch)
    monkeypatch.setattr("diadem.network.receiving.Follower", partial(Follower, memory=memory))
    here = arrive(packed, tmp_path)
    assert run(here, Source(packed.bag, None), connections=1) == set()
    assert sum(read) == (0 if room else 8 * LEAF + 9), "of a.bin and c.bin; the others came whole"
    assert memory.take(room // 2), "all of it was given back"
    here.arrival.remove()


def test_what_an_earlier_run_wrote_is_hashed_as_the_disk_gives_it_back(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrival, data = arrive(packed, tmp_path).arrival, (packed.bag / "data" / "a.bin").read_bytes()
    number = next(at for at, entry in enumerate(arrival.manifest) if entry.name == "a.bin")
    arrival.put(number, 0, memoryview(data)[: 2 * LEAF])
    arrival.close()  # synced: it is trusted
    with open(arrival.bag / "data" / "a.bin", "r+b") as file:
        file.write(b"\0\0\0")
    again, read = arrive(packed, tmp_path), read_again(monkeypatch)
    assert run(again, Source(packed.bag, None), connections=1) == {number}
    assert sum(read) >= 2 * LEAF + 5 * LEAF + 9, "the beginning, and all of it before it was called wrong"
    assert run(again, Source(packed.bag, None)) == set()
    again.arrival.remove()


def test_what_is_marked_before_who_lent_it_comes_back_is_not_read_again(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrival, data = arrive(packed, tmp_path).arrival, (packed.bag / "data" / "c.bin").read_bytes()
    number = next(at for at, entry in enumerate(arrival.manifest) if entry.name == "c.bin")
    follower, read = Follower(arrival, Memory(1 << 30)), read_again(monkeypatch)
    for leaf in range(3):  # who lends it flushes the disk at the end of its put, and is not back yet
        held = [bytearray(data[leaf * LEAF : (leaf + 1) * LEAF])]
        part = memoryview(held[0])
        assert follower.lend(number, leaf, part, held) is not None
        arrival.put(number, leaf, part)
        follower.written(number, part)
    assert follower.finish() == set()
    assert arrival.marks.hashed[number]
    assert sum(read) == 0
    arrival.remove()


def test_a_buffer_is_used_again_only_when_who_lent_it_has_written_it(packed: Packed, tmp_path: Path) -> None:
    arrival, data = arrive(packed, tmp_path).arrival, (packed.bag / "data" / "a.bin").read_bytes()
    number = next(at for at, entry in enumerate(arrival.manifest) if entry.name == "a.bin")
    memory = Memory(1 << 30)
    follower = Follower(arrival, memory)
    held = [bytearray(data[:LEAF])]
    slow = held[0]
    lent = follower.lend(number, 0, memoryview(slow), held)
    assert lent is not None
    assert held[0] is not slow
    for leaf in range(6):  # another connection brings the same
        part = memoryview(data)[leaf * LEAF : (leaf + 1) * LEAF]
        arrival.put(number, leaf, part)
        follower.written(number, part)
    until = time.monotonic() + 30
    while not arrival.marks.hashed[number]:
        assert time.monotonic() < until
        time.sleep(0.01)
    third = next(at for at, entry in enumerate(arrival.manifest) if entry.name == "c.bin")
    others = [[bytearray(LEAF)] for _ in range(3)]
    for leaf, other in enumerate(others):
        assert follower.lend(third, leaf, memoryview(other[0]), other) is not None
    assert not any(other[0] is slow for other in others)
    follower.stop()
    assert memory.take(1 << 29), "all of it was given back"
    arrival.remove()


def test_who_receives_does_not_wait_while_another_file_is_hashed(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrival = arrive(packed, tmp_path).arrival
    first, second = (
        next(at for at, entry in enumerate(arrival.manifest) if entry.name == name) for name in ("a.bin", "c.bin")
    )
    at_it, goes_on, read = threading.Event(), threading.Event(), Arrival.read_into

    def slow(self: Arrival, number: int, offset: int, buffer: memoryview) -> int:
        at_it.set()
        assert goes_on.wait(30)
        return read(self, number, offset, buffer)

    monkeypatch.setattr(Arrival, "read_into", slow)
    follower = Follower(arrival, Memory(0))
    for number, name in ((first, "a.bin"), (second, "c.bin")):
        part = memoryview((packed.bag / "data" / name).read_bytes())[:LEAF]
        arrival.put(number, 0, part)
        follower.written(number, part)
    assert at_it.wait(30)
    began = time.monotonic()
    for _ in range(8):
        held = [bytearray(LEAF)]
        assert follower.lend(second, 1, memoryview(held[0]), held) is None
    assert time.monotonic() - began < 0.25
    goes_on.set()
    follower.stop()
    arrival.remove()


def test_buffers_that_are_hashed_are_given_back_but_for_a_few(packed: Packed, tmp_path: Path) -> None:
    arrival = arrive(packed, tmp_path).arrival
    number = next(at for at, entry in enumerate(arrival.manifest) if entry.name == "a.bin")
    data, memory = (packed.bag / "data" / "a.bin").read_bytes(), Memory(16 * LEAF)
    follower = Follower(arrival, memory, of="hu-berlin")
    for leaf in (4, 3, 2, 1, 0):
        held = [bytearray(data[leaf * LEAF : (leaf + 1) * LEAF])]
        part = memoryview(held[0])
        lent = follower.lend(number, leaf, part, held)
        assert lent is not None
        arrival.put(number, leaf, part)
        lent.written = True
        follower.written(number, part)
    until = time.monotonic() + 30
    while not memory.take(6 * LEAF):  # of the half that may be taken two stay with who hashes
        assert time.monotonic() < until
        time.sleep(0.01)
    memory.give(6 * LEAF)
    follower.stop()
    assert memory.take(8 * LEAF), "all of it was given back"
    arrival.remove()


def test_what_was_hashed_is_not_hashed_again_in_the_next_run(packed: Packed, tmp_path: Path) -> None:
    here = arrive(packed, tmp_path)
    arrival = here.arrival
    assert run(here, Source(packed.bag, None)) == set()
    arrival.forget(len(arrival.manifest) // 2)
    hashed = bytes(arrival.marks.hashed)
    assert hashed.count(0) == 1
    end_at_once(arrival, random.Random(0))
    again = arrive(packed, tmp_path).arrival
    assert bytes(again.marks.hashed) == hashed
    again.remove()


def test_a_file_is_wrong_only_where_the_disk_gives_it_back_wrong(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Arrival.put
    put_files = Arrival.put_files

    def forgetful(self: Arrival, number: int, leaf: int, data: memoryview) -> None:
        kept = data[0]
        data[0] ^= 1  # memory that does not keep what it was given: what is hashed is not what is written
        written = memoryview(bytes([kept]) + bytes(data[1:]))
        put(self, number, leaf, written)

    def forgetful_of_files(self: Arrival, files: Sequence[tuple[int, memoryview]]) -> None:
        put_files(self, [(number, memoryview(bytes(data))) for number, data in files])
        for _, data in files:
            data[0] ^= 1

    monkeypatch.setattr(Arrival, "put", forgetful)
    monkeypatch.setattr(Arrival, "put_files", forgetful_of_files)
    here = arrive(packed, tmp_path)
    assert run(here, Source(packed.bag, None), connections=1) == set()
    assert all(here.arrival.marks.hashed)
    here.arrival.remove()


@pytest.mark.parametrize("name", ["m00.raw", "m13.raw", "m29.raw"])
@pytest.mark.parametrize("synced", [False, True])
def test_a_small_file_that_begins_anew_takes_none_with_it_that_came_with_it(
    packed: Packed, tmp_path: Path, name: str, synced: bool
) -> None:
    opened = open_tag_files(LocalBundle(packed.bag))
    here = arrive(packed, tmp_path)
    run(here, Source(packed.bag, None))
    here.arrival.forget(next(at for at, entry in enumerate(opened.manifest) if entry.name == name))
    if synced:
        here.arrival.sync()
    here.arrival.marks.close()  # its process ends
    here.arrival._lock.release()
    again = arrive(packed, tmp_path)
    assert missing_bytes(again.arrival) == 500
    assert bool(again.arrival.marks.unsure()) is not synced
    source = Source(packed.bag, None)
    assert run(again, source) == set()
    assert source.given == 500
    again.arrival.remove()


def test_two_processes_do_not_fetch_the_same(packed: Packed, tmp_path: Path) -> None:
    here = arrive(packed, tmp_path)
    with pytest.raises(Refused, match="another process"):
        Arrival.open(tmp_path / ".diadem" / "arriving", packed.transfer.id)
    FolderStore(tmp_path).sweep()
    assert missing_bytes(here.arrival), "it is there still: no sweep removes it"
    here.arrival.close()


@pytest.mark.parametrize(
    "paths",
    [
        ["data/../../evil"],
        ["/etc/passwd"],
        ["data/a\\b"],
        ["data/C:x"],
        ["data/file.txt:stream"],
        ["data/nul.txt"],
        ["data/a", "data/A"],
        ["data/é", "data/e\u0301"],
        ["data/a", "data/a/b"],
        ["data/a/b", "data/A"],
        ["data/a/x", "data/A/y"],
        ["data/trailing."],
        ["data/new\nline"],
        ["~/x"],
    ],
)
def test_names_that_lead_astray_are_refused_before_anything_is_made(paths: list[str]) -> None:
    require_sound_names(["data/scan 1.dm4", "data/b/scan 1.dm4"])
    with pytest.raises(PackageError):
        require_sound_names(paths)


def test_a_transfer_has_no_other_name(tmp_path: Path) -> None:
    for name in ("../x", "A" * 32, "", "0" * 31):
        with pytest.raises(DiademError):
            Arrival.open(tmp_path, name)
    assert os.listdir(tmp_path) == []


def test_a_person_who_stops_it_waits_for_no_peer_that_says_nothing(packed: Packed, tmp_path: Path) -> None:
    class Silent(Bytes):
        def readinto(self, _: memoryview) -> int:  # type: ignore[override]
            waits_for(self)
            waited.wait(60)
            waits_no_more(self)
            raise Unreachable("the connection broke")

        def abort(self) -> None:
            waited.set()

    class Mute(Source):
        def open_window(self, _transfer: str, *_: int) -> Bytes:
            return Silent(b"")

    waited = threading.Event()
    here = arrive(packed, tmp_path)
    follower = here.follow()

    def stopped() -> None:
        raise Interrupted("a person stopped it")

    with pytest.raises(Interrupted):
        Fetch(here, Mute(packed.bag, None), FetchOptions(2), check=stopped).run()  # type: ignore[arg-type]
    assert waited.is_set(), "the connection was broken off, not waited for"
    follower.stop()
    here.arrival.close()
