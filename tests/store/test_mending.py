"""Mending in a folder store: the old damage or the right bytes, nothing else, and nothing beside it."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diadem.errors import DigestMismatch, Refused, StoreError, UsageError
from diadem.model.manifest import FileEntry, PackageId
from diadem.store.folder import FolderStore
from diadem.store.mend import Intent, Intents
from diadem.store.slot import set_aside
from diadem.testing import faults
from diadem.trust.hashing import leaf_digest
from tests import zygote
from tests.store.mending_samples import (
    FILE,
    LEAF,
    MTIME,
    PACKAGE,
    SHA256,
    SIZE,
    bad_leaf,
    damaged_package,
    good,
    good_leaf,
    unprivileged_folder,
)

if sys.platform != "win32":
    import resource

CASES = 20
ENTRY = FileEntry(FILE, SIZE, SHA256, MTIME)
POSIX = pytest.mark.skipif(os.name == "nt", reason="links and pipes as on POSIX")


def spoilt(*leaves: int) -> bytes:
    return b"".join(bad_leaf(leaf) if leaf in leaves else good_leaf(leaf) for leaf in range(SIZE // LEAF))


@pytest.fixture(params=["as this system can", "as on Windows"])
def root(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store, for both ways of reaching a file in it; the second is the only one on Windows."""
    if request.param == "as on Windows":
        monkeypatch.setattr("diadem.store.bags.STEPWISE", False)
        monkeypatch.setattr("diadem.store.slot.STEPWISE", False)
    with unprivileged_folder() as folder:
        yield folder / "store"


def replace_leaf(root: Path, leaf: int, data: bytes | None = None, entry: FileEntry = ENTRY) -> None:
    content = good_leaf(leaf) if data is None else data
    FolderStore(root).replace_leaf(PACKAGE, entry, leaf, content, leaf_size=LEAF)


def replace_file(root: Path, blocks: Iterable[bytes], mtime_ns: int | None = None) -> None:
    FolderStore(root).replace_file(PACKAGE, FILE, blocks, SIZE, mtime_ns)


def sweep(root: Path) -> None:
    FolderStore(root).sweep()


def announced(root: Path) -> list[int | None]:
    """Leaves, or the whole file (None), of which the store knows that somebody began to write them."""
    return [json.loads(path.read_bytes())["leaf"] for path in sorted((root / ".diadem" / "mending").glob("*.json"))]


def state(path: Path) -> tuple[int, int, int, int]:
    status = path.lstat()
    return status.st_ino, status.st_mode, status.st_mtime_ns, status.st_size


def sealed(root: Path) -> bool:
    """Whether nothing in the package may be written and nothing is left on the mender's desk."""
    bag = root / PACKAGE
    desk = root / ".diadem" / "mending"
    modes = [path.lstat().st_mode for path in (bag, *bag.rglob("*"))]
    return not any(mode & 0o222 for mode in modes if not stat.S_ISLNK(mode)) and not list(desk.iterdir())


# -- one leaf ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaf", [0, 7, SIZE // LEAF - 1])
def test_a_leaf_is_written_in_place_and_nothing_else_changes(root: Path, leaf: int) -> None:
    file = damaged_package(root, spoilt(leaf))
    before, folder = state(file), state(file.parent)
    replace_leaf(root, leaf)
    assert file.read_bytes() == good()
    assert state(file) == before
    assert state(file.parent) == folder
    assert sealed(root)
    changed = file.lstat().st_ctime_ns
    replace_leaf(root, leaf)
    assert file.lstat().st_ctime_ns == changed


def test_a_short_last_leaf(root: Path) -> None:
    size = 5 * LEAF + 3
    file = damaged_package(root, spoilt(5)[:size])
    entry = FileEntry(FILE, size, "", MTIME)
    replace_leaf(root, 5, good()[5 * LEAF : size], entry)
    assert file.read_bytes() == good()[:size]


def test_bytes_of_another_length_are_not_written(root: Path) -> None:
    file = damaged_package(root, spoilt(3))
    before = state(file), file.lstat().st_ctime_ns
    for data in (good_leaf(3)[:-1], good_leaf(3) + b"x", b""):
        with pytest.raises(DigestMismatch) as refused:
            replace_leaf(root, 3, data)
        assert (refused.value.where, refused.value.leaf) == (FILE, 3)
    for leaf in (-1, SIZE // LEAF):
        with pytest.raises(UsageError):
            replace_leaf(root, leaf, good_leaf(3))
    assert file.read_bytes() == spoilt(3)
    assert (state(file), file.lstat().st_ctime_ns) == before


def test_a_good_leaf_is_not_touched(root: Path) -> None:
    file = damaged_package(root, good())
    before = file.lstat().st_ctime_ns
    replace_leaf(root, 3)
    assert file.lstat().st_ctime_ns == before


@POSIX
def test_another_name_of_the_file_keeps_its_bytes(root: Path) -> None:
    file = damaged_package(root, spoilt(3, 5))
    other = root / "other.dat"
    os.link(file, other)
    replace_leaf(root, 3)
    assert file.read_bytes() == spoilt(5)
    assert other.read_bytes() == spoilt(3, 5)
    assert file.lstat().st_mtime_ns == MTIME
    assert sealed(root)


def test_a_file_of_another_size_is_not_mended_by_the_leaf(root: Path) -> None:
    file = damaged_package(root, spoilt(3)[:-1])
    with pytest.raises(Refused, match="bytes, not"):
        replace_leaf(root, 3)
    assert file.read_bytes() == spoilt(3)[:-1]
    faults.remove(file)
    with pytest.raises(Refused, match="not there"):
        replace_leaf(root, 3)


@POSIX
def test_no_link_is_followed(root: Path) -> None:
    file = damaged_package(root, spoilt(3))
    outside = root / "outside"
    shutil.copytree(file.parent, outside)
    faults.remove(file)
    with unsealed(file.parent):
        file.symlink_to(outside / file.name)
    with pytest.raises(Refused, match="not a plain file"):
        replace_leaf(root, 3)
    faults.remove(file.parent)
    with unsealed(file.parent.parent):
        file.parent.symlink_to(outside)
    with pytest.raises(Refused, match="link"):
        replace_leaf(root, 3)
    with pytest.raises(Refused, match="link"):
        replace_file(root, [good()])
    with pytest.raises(Refused, match="link"):
        FolderStore(root).replace_file(PACKAGE, FILE + "/deeper/file", [good()], SIZE, None)
    assert (outside / file.name).read_bytes() == spoilt(3)
    assert sorted(path.name for path in outside.iterdir()) == ["neighbour.dat", file.name]


def test_paths_that_leave_the_store_are_refused(root: Path) -> None:
    damaged_package(root, spoilt(3))
    for package, file in ((PACKAGE, "../../x"), ("../x", FILE), (PACKAGE, "/etc/passwd"), ("/etc", "passwd")):
        with pytest.raises(Refused):
            FolderStore(root).replace_file(package, file, [b"x"], 1, None)
        with pytest.raises(Refused):
            FolderStore(root).replace_leaf(package, FileEntry(file, 1, "", 0), 0, b"x", leaf_size=LEAF)


def disk_that_opens_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of this name can be looked at, and opening them is an error of the disk."""
    opened = os.open

    def refuse(path: str, *arguments: int, **options: Any) -> int:
        if os.path.basename(path) == name:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return opened(path, *arguments, **options)

    monkeypatch.setattr("os.open", refuse)


class unsealed:  # noqa: N801
    """A folder that can be written for a while."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        self._folder.chmod(0o755)

    def __exit__(self, *exception: object) -> None:
        self._folder.chmod(0o555)


@POSIX
def test_a_leaf_that_a_failing_disk_does_not_open_is_not_announced(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = damaged_package(root, spoilt(3))
    disk_that_opens_nothing(file.name, monkeypatch)
    with pytest.raises(StoreError, match="still damaged"):
        replace_leaf(root, 3)
    assert announced(root) == []


# -- a whole file ------------------------------------------------------------------------------------------------------


def pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 100_000):
        yield data[start : start + 100_000]


def test_a_file_is_exchanged_whatever_its_size(root: Path) -> None:
    file = damaged_package(root, b"short")
    replace_file(root, pieces(good()), MTIME)
    assert file.read_bytes() == good()
    assert file.lstat().st_mtime_ns == MTIME
    assert sealed(root)
    FolderStore(root).replace_file(PACKAGE, FILE, [], 0, None)
    assert file.read_bytes() == b""
    assert sealed(root)


def test_a_missing_folder_is_made_and_sealed(root: Path) -> None:
    file = damaged_package(root, b"")
    faults.remove(root / PACKAGE / "data")
    replace_file(root, pieces(good()), MTIME)
    assert file.read_bytes() == good()
    assert sealed(root)


@POSIX
@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "empty folder"])
def test_what_is_no_file_gives_way(root: Path, kind: str) -> None:
    file = damaged_package(root, b"")
    faults.remove(file)
    outside = root / "outside"
    outside.write_bytes(b"outside")
    with unsealed(file.parent):
        if kind == "link":
            file.symlink_to(outside)
        elif kind == "dangling link":
            file.symlink_to(root / "nowhere")
        elif kind == "pipe":
            os.mkfifo(file)
        else:
            file.mkdir()
    replace_file(root, pieces(good()), MTIME)
    assert not file.is_symlink()
    assert file.read_bytes() == good()
    assert outside.read_bytes() == b"outside"
    assert not (root / "nowhere").exists()
    assert sealed(root)


def test_a_folder_with_something_in_it_stays(root: Path) -> None:
    file = damaged_package(root, b"")
    faults.remove(file)
    with unsealed(file.parent):
        file.mkdir()
        (file / "precious").write_bytes(b"precious")
    with pytest.raises(Refused, match="folder"):
        replace_file(root, pieces(good()))
    assert (file / "precious").read_bytes() == b"precious"


def test_what_is_not_proven_leaves_the_old_file(root: Path) -> None:
    file = damaged_package(root, spoilt(1))
    before = state(file)

    def failing() -> Iterator[bytes]:
        yield good_leaf(0)
        raise Refused("the source fails")

    for blocks in ([good()[:-1]], [good(), b"x"]):
        with pytest.raises(DigestMismatch):
            replace_file(root, blocks)
    with pytest.raises(Refused, match="source fails"):
        replace_file(root, failing())
    assert state(file) == before
    assert sealed(root)
    with pytest.raises(Refused, match="package is not there"):
        FolderStore(root).replace_file("2026/other", FILE, [good()], SIZE, None)
    assert not (root / "2026" / "other").exists()


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounting a small disk needs root"
)
def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    size = f"size={SIZE + (4 << 20)}"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("this system does not let the test mount a small disk")
    try:
        file = damaged_package(disk, spoilt(1))
        with pytest.raises(StoreError, match="full; the file stays as it was"):
            replace_file(disk, pieces(good()))
        assert file.read_bytes() == spoilt(1)
        assert sealed(disk)
        replace_leaf(disk, 1)
        assert file.read_bytes() == good()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@POSIX
@pytest.mark.parametrize("swept", [True, False])
def test_a_leaf_that_a_full_disk_cuts_short_is_told_as_damaged_and_mended_later(root: Path, swept: bool) -> None:
    file = damaged_package(root, spoilt(1, 2))
    kept, reached = resource.getrlimit(resource.RLIMIT_FSIZE), LEAF + LEAF // 2
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (reached, kept[1]))  # as where a quota ends
        with pytest.raises(StoreError, match="the leaf is still damaged"):
            replace_leaf(root, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
    assert file.read_bytes() == good()[:reached] + spoilt(1, 2)[reached:]
    replace_leaf(root, 2)  # the next is tried all the same
    if swept:
        sweep(root)
    assert announced(root) == [1]
    replace_leaf(root, 1)
    assert file.read_bytes() == good()
    assert file.lstat().st_mtime_ns == MTIME
    assert sealed(root)


def test_a_leaf_that_is_right_already_gets_the_time_that_was_noted(root: Path) -> None:
    """Its mender died between the last byte and the time."""
    file = damaged_package(root, good())
    intents = Intents(root, PACKAGE, FILE)
    with intents.locked():
        intents.announce(Intent(PACKAGE, FILE, 1, leaf_digest(good_leaf(1)).hex(), LEAF, SIZE, MTIME))
    os.utime(file, ns=(1, 1))
    replace_leaf(root, 1)
    assert file.lstat().st_mtime_ns == MTIME
    assert sealed(root)


# -- moving aside ------------------------------------------------------------------------------------------------------


def test_a_stranger_is_moved_aside_and_the_next_of_its_name_too(root: Path) -> None:
    file = damaged_package(root, good())
    package = PackageId("ab" * 32)
    for number, content in enumerate((b"one", b"two")):
        faults.plant(file.parent / "notes.txt", content)
        place = set_aside(root, PACKAGE, "data/sub/notes.txt", package)
        tail = "notes.txt" if number == 0 else "notes.txt~2"
        assert place == f".diadem/quarantine/{'ab' * 32}/data/sub/{tail}"
        assert (root / place).read_bytes() == content
    assert sorted(path.name for path in file.parent.iterdir()) == ["neighbour.dat", file.name]
    assert not any(path.stat().st_mode & 0o222 for path in (root / PACKAGE).rglob("*"))
    with pytest.raises(Refused, match="no longer there"):
        set_aside(root, PACKAGE, "data/sub/notes.txt", package)


# -- deep folders ------------------------------------------------------------------------------------------------------


@pytest.fixture
def short_paths() -> Iterator[None]:
    """A system that does not look at plain paths of 260 characters and more, as Windows; `/proc` gives the long ones.

    On Windows this is how it is.
    """
    if os.name == "nt":
        yield
        return
    look, prefix = os.stat, "/proc/self/root"
    if not os.path.isdir(prefix):
        pytest.skip("no second way to a path")

    def stat_of(path: str | int | Path, **options: Any) -> os.stat_result:
        if not isinstance(path, int) and not os.fspath(path).startswith(prefix) and len(os.fspath(path)) >= 260:
            raise FileNotFoundError(errno.ENOENT, "as on Windows", path)
        return look(path, **options)

    with pytest.MonkeyPatch.context() as patch:
        for room in ("bags", "slot"):
            patch.setattr(f"diadem.store.{room}.STEPWISE", False)
            patch.setattr(f"diadem.store.{room}.long_path", lambda path: prefix + os.path.abspath(path))
        patch.setattr("diadem.store.slot.WINDOWS", True)
        patch.setattr("os.stat", stat_of)
        yield


def test_a_package_is_mended_however_deep_its_folders_are(root: Path, short_paths: None) -> None:
    (root / PACKAGE / "data").mkdir(parents=True)
    deep = "data/" + "/".join(["d" * 60] * 5) + "/scan.dat"
    store = FolderStore(root)
    for content in (b"made", b"and exchanged"):
        store.replace_file(PACKAGE, deep, [content], len(content), None)
        assert store.bundle(PACKAGE).read(deep, 99) == content
    place = set_aside(root, PACKAGE, deep, PackageId("ab" * 32))
    assert not store.bundle(PACKAGE).listing().files
    assert place.endswith(deep)


# -- kill --------------------------------------------------------------------------------------------------------------


def start(root: Path, mode: str) -> zygote.Process:
    command = [sys.executable, "-m", "tests.store.mending_writer", str(root), mode]
    process = zygote.start(command, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent.parent)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def is_between(found: bytes, leaf: int) -> bool:
    """Whether every byte is the old one or the right one."""
    old, new, now = (np.frombuffer(data, np.uint8) for data in (bad_leaf(leaf), good_leaf(leaf), found))
    return bool(((now == old) | (now == new)).all())


@pytest.mark.parametrize("seed", range(CASES))
@pytest.mark.sweep(5)
def test_killed_while_leaves_are_mended(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    kept = set(source.sample(range(SIZE // LEAF), 5))
    file = damaged_package(tmp_path, spoilt(*(leaf for leaf in range(SIZE // LEAF) if leaf not in kept)))
    process = start(tmp_path, "leaves")
    time.sleep(source.uniform(0, 0.15))
    process.kill()
    process.communicate()
    found = file.read_bytes()
    assert len(found) == SIZE
    torn = []
    for leaf in range(SIZE // LEAF):
        part = found[leaf * LEAF : (leaf + 1) * LEAF]
        if part not in (good_leaf(leaf), bad_leaf(leaf)):
            assert is_between(part, leaf)
            torn.append(leaf)
    assert len(torn) <= 1
    told = announced(tmp_path)
    assert len(told) <= 1
    assert set(torn) <= set(told)
    sweep(tmp_path)
    assert announced(tmp_path) == [
        leaf for leaf in told if leaf is None or found[leaf * LEAF : (leaf + 1) * LEAF] != good_leaf(leaf)
    ]
    assert file.lstat().st_mtime_ns == MTIME
    for leaf in range(SIZE // LEAF):
        replace_leaf(tmp_path, leaf)
    assert file.read_bytes() == good()
    assert (file.parent / "neighbour.dat").read_bytes() == b"neighbour"
    assert sealed(tmp_path)


def test_a_torn_leaf_is_told_until_it_is_mended(tmp_path: Path) -> None:
    file = damaged_package(tmp_path, spoilt(2))
    process = start(tmp_path, "in-place")
    assert process.wait() == 9
    process.communicate()
    assert announced(tmp_path) == [2]
    for _ in range(2):
        sweep(tmp_path)
        assert announced(tmp_path) == [2]
    assert file.lstat().st_mtime_ns == MTIME
    assert stat.S_IMODE(file.lstat().st_mode) == 0o444
    assert is_between(file.read_bytes()[2 * LEAF : 3 * LEAF], 2)
    replace_leaf(tmp_path, 2)
    assert sealed(tmp_path)


@POSIX
def test_a_torn_leaf_that_a_failing_disk_does_not_open_is_told_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = damaged_package(tmp_path, spoilt(2))
    start(tmp_path, "in-place").communicate()
    disk_that_opens_nothing(file.name, monkeypatch)
    sweep(tmp_path)
    assert announced(tmp_path) == [2]


def test_a_record_ends_with_the_package_or_a_new_file(tmp_path: Path) -> None:
    file = damaged_package(tmp_path, spoilt(2))
    process = start(tmp_path, "in-place")
    process.communicate()
    replace_file(tmp_path, pieces(good()), MTIME)
    assert file.read_bytes() == good()
    assert announced(tmp_path) == []
    faults.remove(tmp_path / "2026")
    damaged_package(tmp_path, spoilt(2))
    start(tmp_path, "in-place").communicate()
    faults.remove(tmp_path / "2026")
    assert announced(tmp_path) == [2]
    sweep(tmp_path)
    assert announced(tmp_path) == []


def test_half_a_file_beside_the_package_is_swept(tmp_path: Path) -> None:
    file = damaged_package(tmp_path, spoilt(2))
    process = start(tmp_path, "beside")
    assert process.wait() == 9
    process.communicate()
    assert file.read_bytes() == spoilt(2)
    assert [path.suffix for path in sorted((tmp_path / ".diadem/mending").iterdir())] == [".lock", ".part"]
    sweep(tmp_path)
    assert sealed(tmp_path)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b'{"format": "diadem-mending/1"}', b'{"format": "diadem-mending/2"}', b"\xff", b"[" * 5000],
)
def test_a_record_that_cannot_be_read_is_swept(tmp_path: Path, text: bytes) -> None:
    damaged_package(tmp_path, spoilt(2))
    desk = tmp_path / ".diadem" / "mending"
    desk.mkdir(parents=True)
    (desk / "0b3c.2.json").write_bytes(text)
    (desk / ".0b3c.2.json.5e6f7a8b").write_bytes(text)
    (desk / "0b3c.2.json.draft").write_bytes(text)
    sweep(tmp_path)
    assert list(desk.iterdir()) == []


def test_a_living_mender_is_left_alone(tmp_path: Path) -> None:
    damaged_package(tmp_path, spoilt(2))

    def blocks() -> Iterator[bytes]:
        yield good_leaf(0)
        left = sorted((tmp_path / ".diadem" / "mending").iterdir())
        sweep(tmp_path)
        assert sorted((tmp_path / ".diadem" / "mending").iterdir()) == left != []
        yield good()[LEAF:]

    replace_file(tmp_path, blocks())
    assert sealed(tmp_path)
