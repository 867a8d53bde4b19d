"""Workers that wait for the next call, and those that must not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from diadem.api import extract, pack
from diadem.errors import Interrupted
from diadem.extract import parking
from diadem.testing.samples import write_session

pytestmark = pytest.mark.skipif(os.name == "nt", reason="workers do not wait on Windows")


@pytest.fixture(autouse=True)
def _empty_places() -> Iterator[None]:
    parking.empty()
    yield
    parking.empty()


def waiting() -> list[int]:
    return [one.worker._process.pid for one in parking._PARKED]


def test_the_next_call_takes_the_worker_of_the_last(tmp_path: Path) -> None:
    write_session(tmp_path / "a")
    first = extract(tmp_path / "a")
    pids = waiting()
    assert 1 <= len(pids) <= parking.PLACES
    again = extract(tmp_path / "a")
    assert set(waiting()) <= set(pids)
    assert again.to_dict() == first.to_dict()


def test_another_environment_gets_another_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_session(tmp_path / "a")
    extract(tmp_path / "a")
    pids = set(waiting())
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    extract(tmp_path / "a")
    assert set(waiting()) - pids


def test_a_worker_that_died_meanwhile_is_replaced(tmp_path: Path) -> None:
    write_session(tmp_path / "a")
    extract(tmp_path / "a")
    for one in parking._PARKED:
        one.worker._process.kill()
        one.worker._process.wait()
    assert all(dataset.extraction for dataset in extract(tmp_path / "a").datasets if dataset.signals)


def test_nobody_waits_after_a_failure(tmp_path: Path) -> None:
    write_session(tmp_path / "a")

    def interrupt(progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Interrupted)):
        pack(tmp_path / "a", tmp_path / "store", listener=interrupt)
    assert waiting() == []


def test_they_go_home_when_they_have_waited_long_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "PATIENCE", 0.2)
    write_session(tmp_path / "a")
    extract(tmp_path / "a")
    workers = [one.worker for one in parking._PARKED]
    until = time.monotonic() + 20
    while any(worker.lives() for worker in workers):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert workers
    assert waiting() == []
    assert sum(thread.name == parking._WATCHER for thread in threading.enumerate()) <= 1


def test_files_are_let_go(tmp_path: Path) -> None:
    """What a reader has left open would hold a disk that is to be taken out."""
    write_session(tmp_path / "a")
    extract(tmp_path / "a")
    until = time.monotonic() + 20
    while held := [path for path in open_files(waiting()) if path.startswith(str(tmp_path))]:
        assert time.monotonic() < until, held
        time.sleep(0.05)


def open_files(pids: list[int]) -> list[str]:
    """Paths of the files that processes have open, where the system tells."""
    found = []
    for pid in pids:
        folder = Path("/proc") / str(pid) / "fd"
        if not folder.exists():
            pytest.skip("this system does not tell which files are open")
        found += [str(link.readlink()) for link in folder.iterdir() if link.is_symlink()]
    return found


def test_the_end_of_the_program_ends_them(tmp_path: Path) -> None:
    write_session(tmp_path / "a")
    code = (
        "import sys; from diadem.api import extract; from diadem.extract import parking\n"
        "extract(sys.argv[1]); print(*[one.worker._process.pid for one in parking._PARKED])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a"], capture_output=True, text=True, check=True)
    pids = [int(pid) for pid in done.stdout.split()]
    assert pids
    assert done.stderr == ""
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
