"""Stages, locks, hints and publishing."""

from __future__ import annotations

import contextlib
import hashlib
import ntpath
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from diadem.errors import StoreError
from diadem.model.manifest import TAGMANIFEST, PackageId
from diadem.store import system
from diadem.store.folder import FolderStore
from diadem.store.stage import remove_tree
from diadem.store.system import FileLock, make_deep, patiently
from diadem.trust.hashing import tree_digest

PAYLOAD = "ab" * 32
TREE = tree_digest([("x", 1)])


def staged(store: FolderStore, text: bytes = b"tags") -> tuple[object, PackageId]:
    stage = store.stage()
    stage.write("data/sub/x", b"1")
    stage.write(TAGMANIFEST, text)
    stage.seal(["data/sub/x", TAGMANIFEST])
    return stage, PackageId(hashlib.sha256(text).hexdigest())


def publish(store: FolderStore, text: bytes = b"tags", *, sound: bool = True) -> tuple[str, bool]:
    stage, package = staged(store, text)
    added = store.publish(stage, "2026/20260101-x-abababababab", package, PAYLOAD, TREE, lambda _: sound)  # type: ignore[arg-type]
    return added.path, added.created


def test_publishing_makes_one_read_only_folder_and_hints(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    path, created = publish(store)
    folder = store.root / path
    assert created
    assert (folder / "data" / "sub" / "x").read_bytes() == b"1"
    assert not (folder / "data" / "sub" / "x").stat().st_mode & 0o222
    assert list(store.find(PAYLOAD)) == [(PackageId(hashlib.sha256(b"tags").hexdigest()), path)]
    assert store.knows_tree(TREE)
    assert list((store.private / "stage").iterdir()) == []


def test_a_second_writer_finds_the_first(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    path, _ = publish(store)
    assert publish(store, b"other tags") == (path, False)


def test_a_damaged_package_does_not_stop_a_new_one(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    first, _ = publish(store)
    second, created = publish(store, b"other tags", sound=False)
    assert created
    assert second != first


def test_nobody_waits_while_a_package_that_may_be_damaged_is_read(tmp_path: Path) -> None:
    """It may have a terabyte; it is read once, and the store is locked only to give the new one its name."""
    store, read = FolderStore(tmp_path), []
    publish(store)

    def is_sound(path: str) -> bool:
        read.append(path)
        other = FileLock(store.private / "publish.lock")
        assert other.acquire(), "another writer would wait"
        other.release()
        return False

    stage, package = staged(store, b"other tags")
    assert store.publish(stage, "2026/20260101-x-abababababab", package, PAYLOAD, TREE, is_sound).created  # type: ignore[arg-type]
    assert len(read) == 1


def test_a_hint_that_lies_is_not_believed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    path, _ = publish(store)
    folder = store.root / path
    os.chmod(folder / TAGMANIFEST, 0o600)
    (folder / TAGMANIFEST).write_bytes(b"changed")
    assert list(store.find(PAYLOAD)) == []


def test_a_dead_writers_stage_is_swept_and_a_living_ones_is_not(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    code = (
        "import sys, time; from diadem.store.folder import FolderStore\n"
        "stage = FolderStore(sys.argv[1]).stage(); stage.write('data/x', b'1')\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        assert store.sweep() == []
        writer.kill()
        writer.wait()
    for _ in range(50):
        if swept := store.sweep():
            break
        time.sleep(0.05)
    assert [item.files for item in swept] == [1]
    assert list((store.private / "stage").iterdir()) == []


def test_a_store_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="not a folder"):
        FolderStore(tmp_path / "file").stage()


def test_space_is_checked_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="bytes free"):
        FolderStore(tmp_path / "new").check_space(1 << 60)
    assert not (tmp_path / "new").exists()


def test_remove_tree_counts_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "keep").write_bytes(b"1")
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "x").write_bytes(b"1")
    if os.name != "nt":
        (folder / "link").symlink_to(tmp_path / "keep")
        os.chmod(folder / "sub", 0o555)
    assert remove_tree(folder) == (2 if os.name != "nt" else 1)
    assert not folder.exists()
    assert (tmp_path / "keep").exists()


def test_a_folder_on_a_disk_of_windows_that_is_gone_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the root of a disk lies that root."""
    made: list[str] = []

    def mkdir(path: str) -> None:
        made.append(path)
        raise FileNotFoundError(path)

    monkeypatch.setattr(system, "os", SimpleNamespace(fspath=os.fspath, path=ntpath, mkdir=mkdir))
    with pytest.raises(FileNotFoundError):
        make_deep("X:\\data\\archive")
    assert made == ["X:\\"]


@pytest.mark.parametrize(("refusals", "windows", "ends_well"), [(3, True, True), (9, True, False), (1, False, False)])
def test_a_file_that_a_scanner_holds_for_a_moment_is_waited_for_on_windows(
    refusals: int, windows: bool, ends_well: bool
) -> None:
    """Where rights are rights, as on Linux, an error is told at once."""
    tried: list[None] = []

    def action() -> str:
        tried.append(None)
        if len(tried) <= refusals:
            raise PermissionError(13, "The process cannot access the file")
        return "done"

    with contextlib.nullcontext() if ends_well else pytest.raises(PermissionError):
        assert patiently(action, first_wait=0.001, windows=windows) == "done"
    assert len(tried) == (4 if ends_well else 8 if windows else 1)


def test_a_folder_below_the_present_one_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_deep("a/b/c")
    assert (tmp_path / "a/b/c").is_dir()
