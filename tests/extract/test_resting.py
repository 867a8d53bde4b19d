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

from diadem.api import extract, extract_many, pack, trying
from diadem.errors import Interrupted
from diadem.extract import parent
from diadem.testing.samples import write_session
from tests.testing.kit_plugin import write, write_example

pytestmark = pytest.mark.skipif(os.name == "nt", reason="workers do not wait on Windows")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parking") / "session"
    write_session(folder)
    return folder


@pytest.fixture(scope="module")
def spectrum(session: Path) -> Path:
    """A file that is read in a moment."""
    return session / "eds_point.msa"


@pytest.fixture(autouse=True)
def _empty_places() -> Iterator[None]:
    parent.end_resting()
    yield
    parent.end_resting()


def waiting() -> list[int]:
    return [worker._process.pid for _, worker in parent._RESTING]


def test_the_next_call_takes_the_worker_of_the_last(session: Path, spectrum: Path) -> None:
    first = extract(spectrum)
    pids = waiting()
    assert len(pids) == 1
    again = extract(spectrum)
    assert waiting() == pids
    assert again.to_dict() == first.to_dict()
    extract(session)  # of several datasets, for which others may be started
    assert pids[0] in waiting()
    assert len(waiting()) <= parent.MOST_RESTING


def test_another_environment_gets_another_worker(
    spectrum: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(spectrum)
    pids = set(waiting())
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    extract(spectrum)
    assert set(waiting()) - pids


def test_who_tries_a_plugin_keeps_its_worker_until_the_plugin_may_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    example = write_example(tmp_path / "data")
    found = []
    for unit in ("kV", "V"):
        write(tmp_path, "kit_that_changes", ('"voltage", "kV"', f'"voltage", "{unit}"'))
        with trying("kit_that_changes"):
            extract(example)
            pids = waiting()
            found.append(extract(example).datasets[0].value("beam.acceleration_voltage"))
            assert waiting() == pids != []
            (record,) = extract_many([example])
            found.append(record.datasets[0].value("beam.acceleration_voltage"))
        assert waiting() == []
        sys.modules.pop("kit_that_changes")
    assert found == [200_000, 200_000, 200, 200]
    assert extract(example).datasets[0].primary.format == "unknown"


def test_a_worker_that_died_meanwhile_is_replaced(spectrum: Path) -> None:
    extract(spectrum)
    assert waiting()
    for _, worker in parent._RESTING:
        worker._process.kill()
        worker._process.wait()
    (dataset,) = extract(spectrum).datasets
    assert dataset.signals
    assert not dataset.issues


def test_nobody_waits_after_a_failure(session: Path, tmp_path: Path) -> None:

    def interrupt(progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Interrupted)):
        pack(session, tmp_path / "store", listener=interrupt)
    assert waiting() == []


def test_they_end_by_themselves_when_they_have_rested_long_enough(
    spectrum: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parent, "REST", 0.5)
    threads = threading.active_count()
    extract(spectrum)
    workers = [worker for _, worker in parent._RESTING]
    until = time.monotonic() + 20
    while any(worker._process.returncode is None for worker in workers):  # nobody asks for it
        assert time.monotonic() < until
        time.sleep(0.05)
    assert workers
    assert [worker._process.returncode for worker in workers] == [0] * len(workers)
    assert not any(worker._scratch.exists() for worker in workers)
    assert not any(worker.rests() for worker in workers)
    (dataset,) = extract(spectrum).datasets
    assert dataset.signals
    assert set(waiting()).isdisjoint(worker._process.pid for worker in workers)
    parent.end_resting()
    assert threading.active_count() <= threads + 1


def test_files_are_let_go(session: Path) -> None:
    """What a reader has left open would hold a disk that is to be taken out."""
    extract(session)
    assert waiting()
    until = time.monotonic() + 20
    while held := [path for path in open_files(waiting()) if path.startswith(str(session))]:
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


def test_the_end_of_the_program_ends_them(spectrum: Path) -> None:
    code = (
        "import sys; from diadem.api import extract; from diadem.extract import parent\n"
        "extract(sys.argv[1]); print(*[worker._process.pid for _, worker in parent._RESTING])"
    )
    done = subprocess.run([sys.executable, "-c", code, spectrum], capture_output=True, text=True, check=True)
    pids = [int(pid) for pid in done.stdout.split()]
    assert pids
    assert done.stderr == ""
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a process tells of itself alone")
@pytest.mark.program("a program of gigabytes")
def test_a_large_program_keeps_its_worker(spectrum: Path) -> None:
    """The most memory that a fresh process is said to have used is its parent's: of a notebook often gigabytes."""
    script = (
        "import sys, diadem\n"
        "from diadem.extract import parent\n"
        "large = b'x' * (5 << 28)\n"
        "for _ in range(3):\n"
        "    diadem.extract(sys.argv[1])\n"
        "    print([worker._process.pid for _, worker in parent._RESTING])\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(spectrum)], capture_output=True, text=True, check=True)
    first, *others = done.stdout.splitlines()
    assert first != "[]"
    assert others == [first, first]
