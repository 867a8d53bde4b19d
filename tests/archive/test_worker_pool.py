"""`WorkerPool`: an executor whose dead process costs one task, and which a script without a main guard can use."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path

import pytest

import diadem
from diadem.errors import NotFound, UsageError
from diadem.model.agenda import Agenda
from diadem.workers.executors import run_agenda, submit_everywhere, worker_count
from diadem.workers.pool import WorkerPool
from tests.archive import pool_tasks


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(2) as made:
        yield made


def test_results_and_errors_come_back_whole(pool: WorkerPool) -> None:
    assert pool.submit(pool_tasks.process).result() != os.getpid()
    assert pool.submit(pool_tasks.shout).result() == "said"
    with pytest.raises(NotFound) as found:
        pool.submit(pool_tasks.fail, "/a").result()
    assert found.value.to_dict() == NotFound("nothing is there", where="/a", next="Look elsewhere.").to_dict()
    with pytest.raises(RuntimeError, match="cannot be sent"):
        pool.submit(pool_tasks.unsendable).result()
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        pool.submit(lambda: None)
    assert list(pool.map(abs, [-1, -2, -3])) == [1, 2, 3]
    assert (worker_count(pool), len(submit_everywhere(pool, pool_tasks.process, None))) == (2, 1)


def test_a_killed_process_costs_its_task_and_is_replaced(pool: WorkerPool) -> None:
    futures = [pool.submit(pool_tasks.die if number % 4 == 1 else abs, number) for number in range(8)]
    found = [future.exception() or future.result() for future in futures]
    assert [one if isinstance(one, int) else type(one) for one in found] == [
        0, BrokenExecutor, 2, 3, 4, BrokenExecutor, 6, 7,
    ]  # fmt: skip


def test_what_has_not_begun_is_cancelled_and_what_runs_is_waited_for() -> None:
    pool = WorkerPool(1)
    pool.submit(pool_tasks.process).result()
    futures = [pool.submit(pool_tasks.sleep, 0.3) for _ in range(5)]
    while not futures[0].running():
        time.sleep(0.01)
    pool.shutdown(cancel_futures=True)
    assert futures[0].result() == 0.3
    assert all(future.cancelled() for future in futures[1:])
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(abs, 1)
    with pytest.raises(UsageError):
        WorkerPool(0)


def test_its_processes_end_with_a_parent_that_is_killed() -> None:
    code = (
        "import os, signal, diadem\n"
        "from tests.archive import pool_tasks\n"
        "pool = diadem.WorkerPool(1)\n"
        "print(pool.submit(pool_tasks.process).result(), flush=True)\n"
        "pool.submit(pool_tasks.sleep, 60)\n"
        "os.kill(os.getpid(), getattr(signal, 'SIGKILL', signal.SIGTERM))\n"
    )
    root = Path(__file__).resolve().parents[2]
    told = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    member, until = int(told.stdout), time.monotonic() + 10
    while _lives(member):
        assert time.monotonic() < until
        time.sleep(0.05)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    (tmp_path / "notes.dat").write_text("nothing known")
    (tmp_path / "json.py").write_text("raise SystemExit('the data folder is on the path')")
    script = tmp_path / "script.py"
    script.write_text(
        "import diadem\n"
        "print('begun')\n"
        "with diadem.WorkerPool(2) as pool:\n"
        "    print(len(list(diadem.extract_many(['notes.dat'] * 3, executor=pool))))\n"
    )
    command = [sys.executable, "-P", str(script)]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (told.stdout.split(), told.stderr) == (["begun", "3"], "")


# -- carrying out, without processes ---------------------------------------------------------------------------------


def test_only_so_many_are_begun_and_the_rest_is_left_where_the_caller_stops(pool: WorkerPool) -> None:
    begun: list[int] = []

    def begin(number: int) -> Future[int]:
        begun.append(number)
        return pool.submit(abs, number)

    stopped: list[bool] = []
    ended = run_agenda(Agenda([1] * 50), begin, ahead=3, stop=lambda: stopped.append(True))
    next(ended)
    assert len(begun) == 3
    ended.close()
    assert len(begun) <= 4
    assert stopped == [True]


def test_diadem_names_it() -> None:
    assert diadem.WorkerPool is WorkerPool
