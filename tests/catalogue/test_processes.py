"""Many threads and real processes at one catalogue; some are killed."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from diadem.catalogue import Catalogue
from tests import zygote
from tests.catalogue.conftest import is_file
from tests.catalogue.making import dataset, entry
from tests.catalogue.writer import add

ROOT = Path(__file__).resolve().parents[2]


def start(path: str, name: str, count: int, threads: int = 1) -> zygote.Process:
    command = [sys.executable, "-m", "tests.catalogue.writer", path, name, str(count), str(threads)]
    return zygote.start(command, cwd=ROOT, stdout=subprocess.PIPE)


def require_sound(catalogue: Catalogue) -> None:
    if not is_file(catalogue):
        return  # a server looks after its own files
    with closing(sqlite3.connect(catalogue.address)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.execute("INSERT INTO texts(texts) VALUES ('integrity-check')")


@pytest.mark.program("many processes at once")
def test_ten_threads_and_two_processes(catalogue: Catalogue) -> None:
    """All of what ten threads here and two processes with two threads each say they have written is there."""
    others = [start(catalogue.address, name, 15, threads=2) for name in ("first", "second")]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda number: add(catalogue, f"own{number}", 8), range(10)))
    said = [line for other in others for line in other.communicate(timeout=60)[0].split()]
    assert [other.returncode for other in others] == [0, 0]
    assert len(said) == 2 * 2 * 15
    result = catalogue.search("", limit=None)
    assert result.total == len(said) + 10 * 8
    assert set(said) <= {row.id for row in result}
    states = list(catalogue.package_states())
    assert all(state.replicas[0].proven for state in states)
    require_sound(catalogue)


@pytest.mark.parametrize("wait", [0.0, 0.02, 0.1])
def test_a_killed_writer_leaves_what_it_said_and_blocks_nobody(catalogue: Catalogue, wait: float) -> None:
    writer = start(catalogue.address, "killed", 10_000)
    assert writer.stdout is not None
    said = [writer.stdout.readline().strip()]
    time.sleep(wait)
    writer.kill()
    said += writer.communicate(timeout=60)[0].split()
    begin = time.monotonic()
    catalogue.add_package(entry("after"))
    assert time.monotonic() - begin < 10
    found = {row.id for row in catalogue.search("", limit=None)}
    assert set(said) <= found
    assert len(found) <= len(said) + 2, "at most one package that it had no time to tell of"
    assert catalogue.search('"killed0-0"').total == 1
    require_sound(catalogue)


def test_a_transaction_that_is_never_ended_is_undone(catalogue: Catalogue) -> None:
    """A writer that dies within its transaction leaves nothing."""
    script = (
        "import os, sys\nfrom diadem.catalogue import Catalogue\nfrom tests.catalogue.making import entry\n"
        "with Catalogue.open(sys.argv[1]) as catalogue, catalogue.together():\n"
        "    catalogue.add_package(entry('half'))\n    print(catalogue.count(), flush=True)\n    os._exit(1)\n"
    )
    command = [sys.executable, "-c", script, catalogue.address]
    done = zygote.run(command, cwd=ROOT)
    assert (done.returncode, done.stdout) == (1, "1\n")
    assert catalogue.count() == 0
    catalogue.add_package(entry("whole"))
    assert catalogue.search("half").total == 0


def test_many_make_a_catalogue_at_once(new_address: Callable[[], str]) -> None:
    """Whoever comes first makes the tables, and the others find them."""
    for _ in range(12):
        path, together = new_address(), threading.Barrier(8)

        def make(name: int, path: str = path, together: threading.Barrier = together) -> None:
            together.wait(30)
            with Catalogue.open(path, create=True) as made:
                made.add_package(entry(str(name)))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(make, range(8)))
        with Catalogue.open(path) as made:
            assert made.count() == 8


def test_readers_do_not_wait_for_a_writer(catalogue: Catalogue) -> None:
    """A search while another thread is in the midst of writing sees the state of before, at once."""
    catalogue.add_package(entry("before"))
    inside, done = threading.Event(), threading.Event()

    def write() -> None:
        with catalogue.together():
            catalogue.add_package(entry("during"))
            inside.set()
            done.wait(30)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        assert inside.wait(30)
        begin = time.monotonic()
        assert [row.title for row in catalogue.search("")] == ["before"]
        assert len(list(catalogue.package_states())) == 1
        assert time.monotonic() - begin < 5
        done.set()
        writing.result()
    assert catalogue.count() == 2


def test_a_reader_sees_one_state(catalogue: Catalogue) -> None:
    """States that are being read are those of one moment, whatever is written meanwhile."""
    for number in range(5):
        catalogue.add_package(entry(str(number)))
    states = catalogue.package_states()
    first = next(states)
    for number in range(5, 10):
        catalogue.add_package(entry(str(number)))
    assert len([first, *states]) == 5


def test_a_snapshot_while_others_write(catalogue: Catalogue, tmp_path: Path) -> None:
    writer = start(catalogue.address, "busy", 40)
    assert writer.stdout is not None
    writer.stdout.readline()
    taken = [tmp_path / f"snapshot-{number}.sqlite" for number in range(3)]
    for path in taken:
        catalogue.snapshot(path)
    catalogue.snapshot(taken[0])
    assert writer.wait(60) == 0
    writer.stdout.close()
    catalogue.snapshot(taken[2])
    counts = []
    for path in taken:
        assert not path.with_name(path.name + "-wal").exists()
        path.chmod(0o444)
        with Catalogue.open(path, read_only=True) as copy:
            counts.append(copy.count())
            assert copy.search("busy*").total == copy.search('stage.x>=0 "lab"').total + counts[-1] == counts[-1]
            assert sum(not state.replicas for state in copy.package_states()) <= 1
        require_sound_copy(path)
        path.chmod(0o644)
    assert counts[2] == 40
    assert sorted(tmp_path.glob(".*partial")) == []


def require_sound_copy(path: Path) -> None:
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_snapshot_is_a_catalogue(catalogue: Catalogue, tmp_path: Path) -> None:
    """It answers as the catalogue does; in a folder that nobody can write, too."""
    for number in range(20):
        catalogue.add_package(entry(str(number), [dataset(1, f"{number}.tif", {"stage.x": number * 1e-6})]))
    folder = tmp_path / "share with blank & sign"
    folder.mkdir()
    catalogue.snapshot(folder / "catalogue.sqlite")
    folder.chmod(0o555)
    try:
        with Catalogue.open(folder / "catalogue.sqlite", read_only=True) as copy:
            for query in ("", "7", "stage.x>=10um", "alice not 3"):
                assert copy.search(query).to_dict() == catalogue.search(query).to_dict()
    finally:
        folder.chmod(0o755)
