"""A store in which somebody else put links and pipes: none is followed, nothing behind one is touched or waited for."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import diadem
from diadem.errors import DiademError, StoreError
from diadem.package.examine import open_tag_files
from diadem.store.bags import LocalBundle
from diadem.store.folder import FolderStore
from diadem.store.own_files import FolderFiles, sweep_parity
from diadem.store.stage import remove_tree
from diadem.store.system import is_link, read_plain, through_link

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need a right there that few accounts have")
_LONG_AGO = 30 * 24 * 3600


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """Somebody's folder: whatever a test does, all of it is still there afterwards, and nothing else."""
    folder = tmp_path / "outside"
    (folder / "thesis").mkdir(parents=True)
    (folder / "thesis" / "chapter.txt").write_text("words")
    (folder / "0123.part").write_text("not a leftover")
    (folder / "letter.json").write_text("{}")
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - _LONG_AGO,) * 2)
    before = sorted(folder.rglob("*"))
    modes = [path.stat().st_mode for path in before]
    yield folder
    assert sorted(folder.rglob("*")) == before
    assert [path.stat().st_mode for path in before] == modes


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A store with one package in it."""
    source = tmp_path / "session"
    source.mkdir()
    (source / "a.bin").write_bytes(b"a" * 5000)
    diadem.pack(source, tmp_path / "store")
    return FolderStore(tmp_path / "store")


def _swap(link: Path, target: Path) -> None:
    """Put a link in the place of a folder, which goes aside."""
    if link.exists():
        link.rename(link.with_name(f"old-{link.name}"))
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


@pytest.mark.parametrize("name", ["stage", "drafts", "mending", "parity", "removals"])
def test_no_sweep_looks_behind_a_link(store: FolderStore, outside: Path, name: str) -> None:
    _swap(store.root / ".diadem" / name, outside)
    store.sweep()
    sweep_parity(store.root)


def test_no_sweep_looks_behind_a_store_folder_that_is_a_link(store: FolderStore, outside: Path) -> None:
    _swap(store.root / ".diadem", outside.parent)
    (outside.parent / "stage").symlink_to(outside)
    store.sweep()


def test_a_link_among_the_stages_goes_and_what_it_points_to_stays(store: FolderStore, outside: Path) -> None:
    link = store.root / ".diadem" / "stage" / "abc"
    _swap(link, outside / "thesis")
    store.sweep()
    assert not is_link(link)


def test_a_link_in_a_stage_goes_and_what_it_points_to_stays(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "inner").symlink_to(outside)
    assert remove_tree(tmp_path / "stage") == 1
    assert not (tmp_path / "stage").exists()


@pytest.mark.parametrize("key", ["nodes/ab/node.toml", "incoming/x.json"])
def test_own_files_are_neither_read_nor_written_nor_removed_behind_a_link(
    store: FolderStore, outside: Path, key: str
) -> None:
    own = FolderFiles(store.root / ".diadem")
    folder, _, name = key.rpartition("/")
    _swap(store.root / ".diadem" / folder, outside)
    for action in (
        lambda: own.get(f"{folder}/letter.json"),
        lambda: own.put(key, b"new"),
        lambda: own.put(key, b"new", create=True),
        lambda: own.put_file(f"{folder}/{name}", outside / "letter.json"),
        lambda: own.delete(f"{folder}/letter.json"),
        lambda: list(own.keys(folder)),
    ):
        with pytest.raises(StoreError, match="there is a link"):
            action()


def test_an_own_file_that_is_a_link_is_not_read_and_is_replaced(store: FolderStore, outside: Path) -> None:
    key = store.root / ".diadem" / "store.json"
    _swap(key, outside / "letter.json")
    with pytest.raises(DiademError):
        store.get("store.json")
    with pytest.raises(DiademError):
        store.get_file("store.json", store.root / "copy")
    store.put("store.json", b"mine")
    assert store.get("store.json") == b"mine"


def test_a_pipe_among_the_own_files_makes_nobody_wait(store: FolderStore) -> None:
    os.mkfifo(store.root / ".diadem" / "store.json")
    with pytest.raises(StoreError):
        store.get("store.json")
    with pytest.raises(DiademError):
        store.get_file("store.json", store.root / "copy")


def test_an_own_file_that_would_fill_memory_or_disk_is_refused(store: FolderStore, tmp_path: Path) -> None:
    with (store.root / ".diadem" / "store.json").open("wb") as file:
        file.truncate(shutil.disk_usage(tmp_path).free + (1 << 36))  # a hole
    with pytest.raises(StoreError, match="MiB"):
        store.get("store.json")
    with pytest.raises(StoreError, match="no room"):
        store.get_file("store.json", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_package_folder_that_is_a_link_is_no_copy(store: FolderStore, tmp_path: Path) -> None:
    """What looks like a second copy would be gone with the first."""
    (stored,) = store.packages()
    twin = FolderStore(tmp_path / "twin")
    opened = open_tag_files(store.bundle(stored.path))
    twin.add(store.bundle(stored.path), opened, stored.path)
    _swap(twin.root / stored.path, store.root / stored.path)
    with pytest.raises(StoreError, match="there is a link"):
        twin.bundle(stored.path)
    with pytest.raises(StoreError, match="there is a link"):
        twin.remove(stored.path)
    with pytest.raises(StoreError, match="there is a link"):
        twin.replace_file(stored.path, "bagit.txt", [b"x"], 1, None)
    assert list(twin.find(opened.payload_id)) == []
    added = twin.add(store.bundle(stored.path), opened, stored.path)
    assert (added.created, added.path) == (True, f"{stored.path}-2")
    assert open_tag_files(LocalBundle(store.root / stored.path)).id == opened.id


def test_a_year_that_is_a_link_takes_no_package(store: FolderStore, outside: Path, tmp_path: Path) -> None:
    (stored,) = store.packages()
    twin = FolderStore(tmp_path / "twin")
    _swap(twin.root / stored.path.partition("/")[0], outside)
    with pytest.raises(StoreError, match="there is a link"):
        twin.add(store.bundle(stored.path), open_tag_files(store.bundle(stored.path)), stored.path)


def test_pipes_in_the_place_of_hints_and_tag_manifests_make_nobody_wait(store: FolderStore) -> None:
    (stored,) = store.packages()
    payload = open_tag_files(store.bundle(stored.path)).payload_id
    os.mkfifo(store.root / ".diadem" / "by-payload" / payload / ("0" * 64))
    folder = store.root / stored.path
    folder.chmod(0o755)
    (folder / "tagmanifest-sha256.txt").unlink()
    os.mkfifo(folder / "tagmanifest-sha256.txt")
    assert list(store.find(payload)) == []
    assert list(store.packages()) == []


def test_a_link_is_found_wherever_it_stands(tmp_path: Path, outside: Path) -> None:
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    assert through_link(root, root / "a" / "b" / "not there") is None
    (root / "a" / "b" / "c").symlink_to(outside)
    assert through_link(root, root / "a" / "b" / "c" / "thesis") == root / "a" / "b" / "c"
    with pytest.raises(OSError, match="link"):
        read_plain(root / "a" / "b" / "c", 10)


def test_the_root_itself_may_be_a_link(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "mounted").symlink_to(store.root)
    seen = FolderStore(tmp_path / "mounted")
    seen.check()
    (stored,) = seen.packages()
    assert open_tag_files(seen.bundle(stored.path)).id == stored.id
