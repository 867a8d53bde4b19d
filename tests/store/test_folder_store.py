"""What is special about folders: processes that die, disks that are full or read-only, files as they were."""

from __future__ import annotations

import _thread
import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import diadem
from diadem.errors import DigestMismatch, NotFound, Refused, StoreError
from diadem.model.manifest import INDEX_PATH, LEAVES_PATH, TAGMANIFEST, Manifest
from diadem.model.ports import Progress
from diadem.model.report import Level
from diadem.package.examine import open_tag_files
from diadem.package.tags import index_text, manifest_text, parse_manifest
from diadem.package.verify import verify
from diadem.store import open_store
from diadem.store.bags import LocalBundle
from diadem.store.contract import Pace
from diadem.store.folder import FolderStore
from diadem.testing.stores import SamplePackage, make_package
from diadem.trust.hashing import LeafHasher
from tests.store.adder import sample
from tests.store.killing import killed

SMALL = {"data/a b/ä.raw": 2_500_000, "data/b.txt": 100, "data/empty": 0}
is_linux_root = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounting a small disk needs root"
)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """An empty store."""
    return FolderStore(tmp_path / "store")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 20 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("this system does not let the test mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def add(store: FolderStore, package: SamplePackage) -> Path:
    """The folder of a package that was added."""
    return store.root / store.add(package.bundle, package.opened, package.path).path


# -- processes that die ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_killed_while_it_adds(store: FolderStore, seed: int) -> None:
    """Nothing or a whole package; the stage of the dead is swept."""
    package = sample()
    done = killed("add", store.url, None, random.Random(seed).uniform(0.0, 0.4))
    present = [item.path for item in store.packages()]
    assert present in ([], [package.path])
    assert present or not done
    swept = _sweep_patiently(store)
    assert len(swept) <= 1
    added = store.add(package.bundle, package.opened, package.path)
    assert (added.path, added.created) == (package.path, not present)
    assert verify(store.bundle(package.path), level=Level.FULL).ok
    assert list((store.private / "stage").iterdir()) == []


@pytest.mark.parametrize("moment", [0.0, 0.004, 0.01])
def test_killed_while_it_removes(store: FolderStore, moment: float) -> None:
    package = sample()
    folder = add(store, package)
    killed("remove", store.url, None, moment)
    if folder.exists():
        assert verify(LocalBundle(folder), level=Level.FULL).ok
    _sweep_patiently(store)
    assert list((store.private / "stage").iterdir()) == []
    assert store.add(package.bundle, package.opened, package.path).path == package.path


def _sweep_patiently(store: FolderStore) -> list[object]:
    """What is swept once the kernel has given the locks of the dead back."""
    swept: list[object] = []
    stage = store.private / "stage"
    for _ in range(100):
        swept += store.sweep()
        if not stage.is_dir() or not any(stage.iterdir()):
            break
        time.sleep(0.02)
    return swept


def test_own_files_are_whole_at_any_moment(store: FolderStore) -> None:
    """Who reads while another writes, or is killed, sees one content or the other."""
    killed_at = [0.05, 0.1]
    seen: set[bytes | None] = set()
    for moment in killed_at:
        worker = threading.Thread(target=killed, args=("put", store.url, None, moment))
        worker.start()
        while worker.is_alive():
            seen.add(store.get("head.json"))
        worker.join()
    contents = {data for data in seen if data is not None}
    assert len(contents) > 2
    assert all(len(set(data.split(b" "))) == 1 and data == data[: len(data) // 1000] * 1000 for data in contents)


def test_a_removal_in_place_is_finished_later(store: FolderStore) -> None:
    """Where a package cannot be moved away (an open file on Windows), a note lets the next sweep go on."""
    package, other = make_package(SMALL), make_package({"data/x": 10}, seed=2)
    folder, whole = add(store, package), add(store, other)
    for each in (folder, whole):
        os.chmod(each, 0o755)
        path = each.relative_to(store.root).as_posix()
        note = store.private / "removals" / f"{hashlib.sha256(path.encode()).hexdigest()}.json"
        note.parent.mkdir(exist_ok=True)
        note.write_text(f'{{"path": "{path}"}}')
    (folder / TAGMANIFEST).unlink()
    assert [item.path for item in store.sweep()] == [str(folder)]
    assert not folder.exists()
    assert verify(LocalBundle(whole), level=Level.FULL).ok, "a removal that never began was carried out"
    assert list((store.private / "removals").iterdir()) == []
    store.erase_in_place(other.path)
    assert not whole.exists()
    assert list((store.private / "removals").iterdir()) == []


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C is heard: a shell starts what runs in the background without it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_stops_in_the_middle_of_a_file(store: FolderStore, tmp_path: Path) -> None:
    """Ctrl-C while other threads copy: nothing visible, and nobody waits for the rest."""
    package = make_package({"data/large.raw": 80_000_000})
    first = FolderStore(tmp_path / "first")
    add(first, package)
    seen: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        if not seen:
            _thread.interrupt_main()
        seen.append(progress)
        time.sleep(0.05)  # the main thread looks up now and then

    with pytest.raises(KeyboardInterrupt):
        store.add(first.bundle(package.path), package.opened, package.path, listener=interrupt)
    assert max(progress.done for progress in seen) < 60_000_000
    assert list(store.packages()) == []
    assert list((store.private / "stage").iterdir()) == []


# -- disks -------------------------------------------------------------------------------------------------------------


@is_linux_root
def test_a_full_disk(small_disk: Path) -> None:
    store, package = FolderStore(small_disk / "store"), make_package({"data/x": 2_000_000})
    store.put("head", b"one")
    (small_disk / "filler").write_bytes(bytes(18_500_000))
    with pytest.raises(StoreError, match="bytes free"):
        store.add(package.bundle, package.opened, package.path)
    with pytest.raises(StoreError, match="full"):
        store.put("head", bytes(3_000_000))
    assert store.get("head") == b"one"
    assert list(store.packages()) == []
    assert not any((store.private / "drafts").iterdir())
    free, total = store.free(), store.total()
    assert free is not None
    assert total is not None
    assert free < 3_000_000 < total


@is_linux_root
def test_a_disk_that_runs_full_in_the_middle(small_disk: Path) -> None:
    """The space was there when it was asked for."""
    store, package = FolderStore(small_disk), make_package({"data/a": 100, "data/x": 1_500_000, "data/y": 1_500_000})
    filler = small_disk / "filler"

    def fill(_: Progress) -> None:
        if not filler.exists():
            filler.write_bytes(bytes(19_500_000))

    with pytest.raises(StoreError, match="full"):
        store.add(package.bundle, package.opened, package.path, listener=fill)
    assert not any((store.private / "stage").iterdir())
    assert list(store.packages()) == []
    filler.unlink()
    assert store.add(package.bundle, package.opened, package.path).created


@is_linux_root
def test_a_read_only_disk(small_disk: Path) -> None:
    """May be read; says that it cannot be written."""
    store, package = FolderStore(small_disk), make_package({"data/x": 1000})
    add(store, package)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    store = FolderStore(small_disk)
    store.check()
    assert not store.capabilities().writes
    assert store.add(package.bundle, package.opened, package.path).created is False
    assert store.sweep() == []
    for write in (
        lambda: store.put("x", b"1"),
        lambda: store.remove(package.path),
        lambda: add(store, make_package(SMALL)),
        lambda: store.put_readme("x"),
    ):
        with pytest.raises(StoreError, match="read-only"):
            write()
    assert verify(store.bundle(package.path), level=Level.FULL).ok


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Is told, and not made by looking."""
    store = FolderStore(tmp_path / "none")
    with pytest.raises(NotFound, match="not there"):
        store.check()
    with pytest.raises(NotFound):
        list(store.packages())
    assert (store.free(), store.place(), store.get("x"), list(store.keys(""))) == (None, None, None, [])
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="not a folder"):
        FolderStore(tmp_path / "file").check()


def test_file_systems_without_second_names(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT and some shares have no hard links: creating stays exclusive."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert store.put("a", b"1", create=True)
    assert store.put("a", b"1", create=True)
    assert not store.put("a", b"2", create=True)
    assert store.get("a") == b"1"
    won = []
    start = threading.Barrier(4)

    def race(number: int) -> None:
        start.wait()
        if FolderStore(store.root).put("race", b"%d" % number, create=True):
            won.append(number)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.get("race")] == [b"%d" % number for number in won]


# -- packages as they were ---------------------------------------------------------------------------------------------


def test_copies_between_folders_are_as_packed(tmp_path: Path) -> None:
    """Times, permissions and holes of a packed session, hints as packing writes them."""
    session = tmp_path / "session"
    session.mkdir()
    (session / "a.txt").write_bytes(b"x" * 5000)
    os.utime(session / "a.txt", ns=(10**18, 10**18 + 123_456_700))
    with (session / "sparse.raw").open("wb") as file:
        file.write(b"begin")
        file.truncate(20_000_000)
        file.seek(15_000_000)
        file.write(b"middle")
    packed = diadem.pack(session, tmp_path / "first")
    first, second = FolderStore(tmp_path / "first"), FolderStore(tmp_path / "second")
    (stored,) = first.packages()
    source = first.bundle(stored.path)
    added = second.add(source, open_tag_files(source), stored.path)
    assert (added.created, added.proof) == (True, "written")
    folder = second.root / added.path
    assert verify(LocalBundle(folder), level=Level.FULL, expected_id=packed.id).ok
    copied, original = (folder / "data" / "a.txt").stat(), (first.root / stored.path / "data" / "a.txt").stat()
    assert (copied.st_mtime_ns, copied.st_mode) == (original.st_mtime_ns, original.st_mode)
    if os.name != "nt":
        assert not folder.stat().st_mode & 0o222
        before = (first.root / stored.path / "data" / "sparse.raw").stat().st_blocks
        assert (folder / "data" / "sparse.raw").stat().st_blocks <= before
    assert _hints(second) == _hints(first)
    again = diadem.pack(session, second.root)
    assert again.outcome is not None
    assert not again.outcome.created, "packing does not find what was copied here"
    second.remove(added.path)
    assert _hints(second) == set()


def _hints(store: FolderStore) -> set[str]:
    private = store.private
    return {
        path.relative_to(private).as_posix()
        for kind in ("by-payload", "by-tree")
        for path in (private / kind).rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("leaf_size", [1 << 12, 1 << 22])
def test_packages_with_other_leaves(store: FolderStore, leaf_size: int) -> None:
    """The size of a leaf is the package's own; damage is named in its terms."""
    package = _with_leaves(make_package({"data/a.raw": 9_000_001, "data/b": 10}), leaf_size)
    add(store, package)
    assert verify(store.bundle(package.path), level=Level.FULL, expected_id=package.opened.id).ok
    memory = open_store(f"memory://{os.urandom(8).hex()}")
    bundle = store.bundle(package.path)
    assert memory.add(bundle, package.opened, package.path).created
    assert verify(memory.bundle(package.path), level=Level.FULL, expected_id=package.opened.id).ok
    entry, data = package.entry("data/a.raw"), package.files["data/a.raw"]
    at = 2 * leaf_size + 5
    for target in (store, memory):
        target.replace_file(package.path, entry.path, [data[:at] + b"\0\1\2" + data[at + 3 :]], len(data), None)
        empty = FolderStore(store.root.with_name(f"empty-{target.is_folder}"))
        with pytest.raises(DigestMismatch) as caught:
            empty.add(target.bundle(package.path), package.opened, package.path)
        assert (caught.value.leaf, caught.value.range) == (2, (2 * leaf_size, min(3 * leaf_size, len(data))))
        leaf = data[2 * leaf_size : 3 * leaf_size]
        target.replace_leaf(package.path, entry, 2, leaf, leaf_size=leaf_size)
        assert verify(target.bundle(package.path), level=Level.FULL).ok


def _with_leaves(package: SamplePackage, leaf_size: int) -> SamplePackage:
    """The same package sealed with leaves of another size."""
    entries, leaves = [], bytearray()
    for entry in package.opened.manifest:
        hasher = LeafHasher(leaf_size)
        hasher.update(package.files[entry.path])
        entries.append(replace(entry, first_leaf=len(leaves) // 32))
        leaves += hasher.digest()
    files = {**package.files, LEAVES_PATH: bytes(leaves), INDEX_PATH: index_text(Manifest(tuple(entries), leaf_size))}
    tags = [path for _, path in parse_manifest(package.files[TAGMANIFEST], TAGMANIFEST)]
    files[TAGMANIFEST] = manifest_text((hashlib.sha256(files[path]).hexdigest(), path) for path in tags)
    sealed = SamplePackage(package.path, files, package.opened)
    return replace(sealed, opened=open_tag_files(sealed.bundle))


@pytest.mark.skipif(os.name == "nt", reason="Windows makes links for administrators only")
def test_links_in_a_source_are_damage(store: FolderStore, tmp_path: Path) -> None:
    """Even where they lead to the right bytes."""
    package = make_package(SMALL)
    folder = add(store, package)
    for inner in (folder, folder / "data", folder / "data" / "a b"):
        os.chmod(inner, 0o755)
    outside = tmp_path / "outside"
    (folder / "data" / "a b").rename(outside)
    (folder / "data" / "a b").symlink_to(outside)
    with pytest.raises(DigestMismatch) as caught:
        FolderStore(tmp_path / "other").add(store.bundle(package.path), package.opened, package.path)
    assert caught.value.where == "data/a b/ä.raw"


@pytest.mark.skipif(os.name == "nt", reason="Windows makes links for administrators only")
def test_what_is_no_package_is_not_listed_nor_removed(store: FolderStore, tmp_path: Path) -> None:
    package = make_package({"data/x": 10})
    folder = add(store, package)
    (store.root / "notes.txt").write_text("x")
    (store.root / "incoming" / "2026").mkdir(parents=True)
    (store.root / "incoming" / TAGMANIFEST).write_text("x")
    (store.root / "2026" / "link").symlink_to(folder)
    (store.root / "linked").symlink_to(store.root / "2026")
    (store.root / "2026" / "thesis").mkdir()
    (store.root / "2026" / "huge").mkdir()
    (store.root / "2026" / "huge" / TAGMANIFEST).write_bytes(bytes(2 << 20))
    (store.root / "moved by hand").mkdir()
    (store.root / "moved by hand" / TAGMANIFEST).write_bytes(package.files[TAGMANIFEST])
    assert sorted(item.path for item in store.packages()) == [package.path, "moved by hand"]
    assert {item.id for item in store.packages()} == {package.opened.id}
    with pytest.raises(Refused, match="not a package"):
        store.remove("2026/thesis")
    store.remove(package.path)
    assert (store.root / "2026" / "thesis").is_dir()


def test_lost_hints_do_not_make_second_copies(store: FolderStore) -> None:
    package = make_package(SMALL)
    add(store, package)
    for path in [path for path in store.private.rglob("*") if path.is_file()]:
        path.unlink()
    assert store.add(package.bundle, package.opened, package.path).created is False
    store.write_hints(package.opened, package.path)
    assert len(_hints(store)) == 2


def test_a_pace_is_kept_by_all_threads_together() -> None:
    pace = Pace(1_000_000)
    started = time.monotonic()

    def move() -> None:
        for _ in range(5):
            pace.wait(20_000)

    threads = [threading.Thread(target=move) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started >= 0.3  # 600 kB at 1 MB/s, a quarter of a second at once
    with pytest.raises(ValueError, match="never end"):
        Pace(0)
