"""What is kept between scans is used when it is true, and only then."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import diadem
from diadem.model.ports import silent
from diadem.model.scan import Effort
from diadem.scan.cache import ScanCache, cache_folder, state_of
from diadem.testing.samples import write_small_images
from tests.archive.scan_trees import Scanner, image


def counts(effort: Effort) -> tuple[int, int]:
    return effort.read, effort.cached


def cache_of(tmp_path: Path) -> Path:
    return tmp_path.with_name(tmp_path.name + "-cache") / "scan-1.sqlite"


def test_the_second_scan_reads_nothing(scan: Scanner, tmp_path: Path) -> None:
    write_small_images(tmp_path, 12)
    (tmp_path / "broken.mrc").write_bytes(b"\0" * 2000)
    shutil.copyfile(tmp_path / "frame_00000.tif", tmp_path / "copy.tif")
    first, second = scan(tmp_path), scan(tmp_path)
    assert counts(first.effort) == (14, 0)
    assert counts(second.effort) == (0, 14)
    assert second.effort.hashed_bytes == 0 < first.effort.hashed_bytes
    assert second.datasets == first.datasets
    assert second.duplicates == first.duplicates
    assert second.sessions == first.sessions


def test_a_changed_file_is_read_again_and_only_that(scan: Scanner, tmp_path: Path) -> None:
    image(tmp_path / "a.hspy", sample="old")
    image(tmp_path / "b.hspy")
    scan(tmp_path)
    image(tmp_path / "new.hspy", sample="new").replace(tmp_path / "a.hspy")
    after = scan(tmp_path)
    assert counts(after.effort) == (1, 1)
    assert {dataset.path: dataset.facts.sample for dataset in after.datasets}["a.hspy"] == "new"


def test_an_edit_of_the_same_size_with_the_old_time(scan: Scanner, tmp_path: Path) -> None:
    """Windows keeps no time of change that programs cannot set: there such an edit is seen by `cache=False` only."""
    path = image(tmp_path / "a.hspy")
    before = path.stat()
    scan(tmp_path)
    with path.open("r+b") as file:
        file.write(b"\0" * 64)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_size == before.st_size
    assert scan(tmp_path, cache=False).totals.readable == 0
    assert scan(tmp_path).totals.readable == (1 if sys.platform == "win32" else 0)


def test_a_side_file_that_comes_later_counts(scan: Scanner, tmp_path: Path, shared_data: Path) -> None:
    for name in ("128x128_TEM_acquire-sum1.emi", "128x128_TEM_acquire-sum1_1.ser"):
        shutil.copyfile(shared_data / "tia" / name, tmp_path / name)
    (tmp_path / "128x128_TEM_acquire-sum1_1.ser").rename(tmp_path / "elsewhere.ser")
    assert any(issue.code == "missing-part" for issue in scan(tmp_path).issues)
    (tmp_path / "elsewhere.ser").rename(tmp_path / "128x128_TEM_acquire-sum1_1.ser")
    whole = scan(tmp_path)
    assert not whole.issues
    assert [dataset.files for dataset in whole.datasets] == [2]


def test_other_readers_read_again(scan: Scanner, tmp_path: Path) -> None:
    image(tmp_path / "a.hspy")
    assert counts(scan(tmp_path, software="1").effort) == (1, 0)
    assert counts(scan(tmp_path, software="1").effort) == (0, 1)
    assert counts(scan(tmp_path, software="2").effort) == (1, 0)


@pytest.mark.parametrize("damage", ["garbage", "cut", "other", "words"])
@pytest.mark.sweep(2)
def test_a_damaged_cache_is_thrown_away_and_said(scan: Scanner, tmp_path: Path, damage: str) -> None:
    write_small_images(tmp_path, 40)
    first = scan(tmp_path)
    path = cache_of(tmp_path)
    if damage == "garbage":
        path.write_bytes(b"this is no database" * 1000)
    elif damage == "cut":
        with path.open("r+b") as file:
            file.truncate(5000)
    elif damage == "words":  # SQLite quotes them in its error, and Python cannot read that as text
        path.write_bytes(path.read_bytes().replace(b"CREATE TABLE entry", b"CREATE\xa0TABLE entry"))
    else:
        path.unlink()
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE entry (something INTEGER)")
        database.close()
    second = scan(tmp_path)
    assert counts(second.effort) == (40, 0)
    assert any("thrown away" in notice for notice in second.notices)
    assert second.datasets == first.datasets
    third = scan(tmp_path)
    assert counts(third.effort) == (0, 40)
    assert not third.notices


def test_flipped_bytes_in_the_cache_never_become_facts(scan: Scanner, tmp_path: Path) -> None:
    for number in range(6):
        image(tmp_path / f"{number}.hspy", sample="S-12")
    truth = scan(tmp_path).datasets
    path = cache_of(tmp_path)
    clean = path.read_bytes()
    places = [index for index in range(len(clean)) if clean[index : index + 4] == b"S-12"]
    assert places
    for place in places:
        damaged = bytearray(clean)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        assert scan(tmp_path).datasets == truth


def test_a_cache_that_cannot_be_written_is_done_without(scan: Scanner, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    image(tmp_path / "data" / "a.hspy")
    cache_of(tmp_path).parent.write_bytes(b"a file where the folder should be")
    found = scan(tmp_path / "data")
    assert found.totals.readable == 1
    assert "cannot be used" in found.notices[0]


def test_two_writers_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from diadem.scan.cache import ScanCache\n"
        "cache = ScanCache(Path(sys.argv[1]))\n"
        "for number in range(3000): cache.put(b'%d' % (number % 2000), sys.argv[2], b'state', b'content')\n"
        "cache.close(); print(cache.notices)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    writers = [subprocess.Popen([*command, kind], stdout=subprocess.PIPE, text=True) for kind in ("a", "b")]
    assert [writer.communicate(timeout=120)[0].strip() for writer in writers] == ["[]", "[]"]
    cache = ScanCache(tmp_path)
    assert all(cache.get(b"%d" % number, kind, b"state") == b"content" for number in range(2000) for kind in "ab")
    cache.close()


def test_the_cache_of_a_scanned_home_is_not_scanned(scan: Scanner, tmp_path: Path) -> None:
    home = tmp_path.parent
    image(tmp_path / "a.hspy")
    scan(tmp_path)
    again = scan(tmp_path, cache_of(tmp_path).parent)
    assert [dataset.name for dataset in again.datasets] == ["a.hspy"]
    assert home.is_dir()


def test_entries_are_for_their_owner_only(tmp_path: Path) -> None:
    cache = ScanCache(tmp_path / "cache")
    cache.put(b"path", "dataset", b"1", b"content")
    assert cache.get(b"path", "dataset", b"1") is None  # it is written with others
    cache.flush()
    assert cache.get(b"path", "dataset", b"1") == b"content"
    assert cache.get(b"path", "dataset", b"2") is None
    assert cache.get(b"path", "whole", b"1") is None
    cache.close()
    if sys.platform != "win32":
        assert cache.path is not None
        assert cache.path.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the folder is another here")
def test_where_caches_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIADEM_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "chosen"))
    assert cache_folder() == tmp_path / "chosen" / "diadem" / "scan"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "diadem" / "scan"
    monkeypatch.setenv("DIADEM_CACHE", "mine")
    assert cache_folder() == tmp_path / "mine" / "scan"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become anybody")
def test_an_account_without_a_home_has_no_cache() -> None:
    """As in a container that is run under a number of its own."""
    program = (
        "import os; from diadem.scan.cache import cache_folder; from diadem.store.claim import _lock_paths\n"
        "import platformdirs.unix\n"
        "os.setuid(54321)\n"
        "[os.environ.pop(name, None) for name in ('HOME', 'XDG_CACHE_HOME', 'DIADEM_CACHE')]\n"
        "print(cache_folder(), len({*_lock_paths('1')}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["None", "1"], done.stderr


def test_the_cache_is_where_the_others_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("a")
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    diadem.scan(tmp_path / "data", listener=silent)
    assert list((tmp_path / "cache" / "scan").glob("scan-*.sqlite"))


def test_states_differ() -> None:
    assert state_of("a", "b") != state_of("ab", "")
    assert state_of("\udcff") != state_of("\udcfe")


@pytest.mark.parametrize("way", ["relative", "through a link"])
def test_a_cache_inside_what_is_scanned_is_no_data(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("notes")
    monkeypatch.chdir(tmp_path)
    if way == "through a link":
        try:
            (tmp_path / "linked").symlink_to("data", target_is_directory=True)
        except OSError as error:
            pytest.skip(str(error))
    monkeypatch.setenv("DIADEM_CACHE", "data/cache" if way == "relative" else str(tmp_path / "linked" / "cache"))
    for _ in range(2):
        assert [dataset.path for dataset in diadem.scan("data").datasets] == ["notes.txt"]
