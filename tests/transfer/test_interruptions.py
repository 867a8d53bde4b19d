"""A transfer that is cut again and again, at any byte, by a process that ends at once: it comes to the same package."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.errors import DiademError, Interrupted, PackageError, Refused, Unreachable
from diadem.model.manifest import DERIVED_PATHS, TAGMANIFEST
from diadem.model.names import require_sound_names
from diadem.model.ports import silent
from diadem.network.arrival import Arrival, land
from diadem.network.crew import waits_for, waits_no_more
from diadem.network.fetching import Fetch, Wish, missing_bytes
from diadem.network.intake import Follower
from diadem.network.tag_parts import tag_files
from diadem.network.windows import WindowPlan
from diadem.package.examine import TagFiles, open_tag_files
from diadem.store.bags import LocalBundle
from diadem.store.folder import FolderStore
from diadem.store.system import flush_tree
from tests.transfer.pair import Bytes

LEAF = 1 << 20
T = "0123456789abcdef" * 2


class Cut(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with files of several leaves, and small ones."""
    folder = tmp_path_factory.mktemp("packed")
    source = random.Random(5)
    (folder / "session").mkdir()
    for name, size in (("a.bin", 5 * LEAF + 9), ("b.bin", LEAF), ("c.bin", 3 * LEAF), ("d.txt", 0), ("z.bin", 70_000)):
        (folder / "session" / name).write_bytes(source.randbytes(size))
    for number in range(30):
        (folder / "session" / f"m{number:02}.raw").write_bytes(source.randbytes(500))
    return Path(diadem.pack(folder / "session", str(folder / "store")).url)


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


def arrive(bag: Path, root: Path, opened: TagFiles) -> Arrival:
    arrival = Arrival.open(root / ".diadem" / "arriving", T)
    text = (bag / TAGMANIFEST).read_bytes()
    arrival.keep_tagmanifest(text)
    for _, path in tag_files(text):
        arrival.write_tag_file(path, [(bag / path).read_bytes()])
    arrival.begin(opened)
    return arrival


def run(arrival: Arrival, source: Source) -> set[int]:
    follower = Follower(arrival)
    wish = Wish(silent, lambda: False, connections=2, waits=(0.0, 0.0))
    try:
        Fetch(T, "peer", arrival, follower, source, wish, 1 << 40).run()  # type: ignore[arg-type]
        return follower.finish()
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
def test_cut_anywhere_it_comes_to_the_same_package(
    packed: Path, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diadem.network.windows.WINDOW", 2 * LEAF)
    monkeypatch.setattr("diadem.network.arrival._SYNC_BYTES", LEAF)
    chance = random.Random(seed)
    opened = open_tag_files(LocalBundle(packed))
    source = Source(packed, chance)
    for _ in range(100):
        arrival = arrive(packed, tmp_path, opened)
        try:
            assert run(arrival, source) == set()
            break
        except (Cut, Unreachable):
            end_at_once(arrival, chance)
    assert missing_bytes(arrival) == 0
    arrival.finish()
    store = FolderStore(tmp_path)
    added = land(store, arrival, opened, "2026/20260314-session-0123456789ab", listener=silent)
    arrival.remove()
    assert added.created
    assert list(content(tmp_path / added.path)) == list(content(packed))
    assert source.given < 40 * LEAF
    assert os.listdir(tmp_path / ".diadem" / "arriving") == []


def test_what_is_marked_and_not_on_the_disk_is_hashed_again(packed: Path, tmp_path: Path) -> None:
    opened = open_tag_files(LocalBundle(packed))
    arrival = arrive(packed, tmp_path, opened)
    run(arrival, Source(packed, None))
    arrival.marks.close()
    arrival._lock.release()
    with open(arrival.bag / "data" / "a.bin", "r+b") as file:
        file.seek(2 * LEAF)
        file.write(bytes(100))  # what a power cut may leave of pages that were never written
    (arrival.bag / "data" / "m03.raw").unlink()
    again = arrive(packed, tmp_path, opened)
    assert missing_bytes(again) == LEAF + 500
    source = Source(packed, None)
    assert run(again, source) == set()
    assert source.given == LEAF + 500
    again.close()
    last = arrive(packed, tmp_path, opened)
    assert missing_bytes(last) == 0
    last.close()


def test_what_is_hashed_again_is_forced_to_disk_before_it_is_trusted(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_tag_files(LocalBundle(packed))
    arrival = arrive(packed, tmp_path, opened)
    run(arrival, Source(packed, None))
    arrival.marks.close()  # its process ends; the system has not written anything
    arrival._lock.release()
    again, forced = arrive(packed, tmp_path, opened), set[str]()

    def flush(root: str, files: Iterator[str], folders: Iterator[str]) -> None:
        found = [*files]
        forced.update(Path(path).name for path in found)
        flush_tree(root, iter(found), folders)

    monkeypatch.setattr("diadem.network.arrival.flush_tree", flush)
    again.close()
    assert {"a.bin", "m03.raw", "z.bin"} <= forced


def test_what_was_not_on_the_disk_stays_missing_though_others_are_synced(packed: Path, tmp_path: Path) -> None:
    opened = open_tag_files(LocalBundle(packed))
    arrival = arrive(packed, tmp_path, opened)
    run(arrival, Source(packed, None))
    arrival.marks.close()  # the power is cut
    arrival._lock.release()
    with open(arrival.bag / "data" / "a.bin", "r+b") as file:
        file.seek(2 * LEAF)
        file.write(bytes(100))
    (arrival.bag / "data" / "m03.raw").unlink()
    again = arrive(packed, tmp_path, opened)
    number = next(at for at, entry in enumerate(opened.manifest) if entry.name == "m03.raw")
    again.put(number, 0, memoryview((packed / "data" / "m03.raw").read_bytes()))
    again.close()
    last = arrive(packed, tmp_path, opened)
    assert missing_bytes(last) == LEAF
    source = Source(packed, None)
    assert run(last, source) == set()
    assert source.given == LEAF
    last.close()
    assert (last.bag / "data" / "a.bin").read_bytes() == (packed / "data" / "a.bin").read_bytes()


def test_what_was_synced_and_changed_since_is_found_by_the_whole_file(packed: Path, tmp_path: Path) -> None:
    opened = open_tag_files(LocalBundle(packed))
    arrival = arrive(packed, tmp_path, opened)
    number = next(at for at, entry in enumerate(opened.manifest) if entry.name == "a.bin")
    run(arrival, Source(packed, None))
    arrival.marks.hashed[number] = 0  # its process ended before the whole file was hashed
    with open(arrival.bag / "data" / "a.bin", "r+b") as file:
        file.write(b"\0\0\0")
    follower = Follower(arrival)
    assert follower.finish() == {number}
    arrival.forget(number)
    assert missing_bytes(arrival) == 5 * LEAF + 9
    arrival.close()
    again = arrive(packed, tmp_path, opened)
    assert missing_bytes(again) == 5 * LEAF + 9
    assert run(again, Source(packed, None)) == set()
    again.remove()


@pytest.mark.parametrize("name", ["m00.raw", "m13.raw", "m29.raw"])
@pytest.mark.parametrize("synced", [False, True])
def test_a_small_file_that_begins_anew_takes_none_with_it_that_came_with_it(
    packed: Path, tmp_path: Path, name: str, synced: bool
) -> None:
    opened = open_tag_files(LocalBundle(packed))
    arrival = arrive(packed, tmp_path, opened)
    run(arrival, Source(packed, None))
    arrival.forget(next(at for at, entry in enumerate(opened.manifest) if entry.name == name))
    if synced:
        arrival.sync()
    arrival.marks.close()  # its process ends
    arrival._lock.release()
    again = arrive(packed, tmp_path, opened)
    assert missing_bytes(again) == 500
    assert bool(again.marks.unsure()) is not synced
    source = Source(packed, None)
    assert run(again, source) == set()
    assert source.given == 500
    again.remove()


def test_two_processes_do_not_fetch_the_same(packed: Path, tmp_path: Path) -> None:
    arrival = arrive(packed, tmp_path, open_tag_files(LocalBundle(packed)))
    with pytest.raises(Refused, match="another process"):
        Arrival.open(tmp_path / ".diadem" / "arriving", T)
    FolderStore(tmp_path).sweep()
    assert missing_bytes(arrival), "it is there still: no sweep removes it"
    arrival.close()


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


def test_a_person_who_stops_it_waits_for_no_peer_that_says_nothing(packed: Path, tmp_path: Path) -> None:
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
    arrival = arrive(packed, tmp_path, open_tag_files(LocalBundle(packed)))
    follower = Follower(arrival)
    wish = Wish(silent, lambda: True, connections=2)
    with pytest.raises(Interrupted):
        Fetch(T, "peer", arrival, follower, Mute(packed, None), wish, 1 << 40).run()  # type: ignore[arg-type]
    assert waited.is_set(), "the connection was broken off, not waited for"
    follower.stop()
    arrival.close()
