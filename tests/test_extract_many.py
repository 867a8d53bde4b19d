"""`extract_many`: in order, on real pools and a real cluster, an error no end for the others, workers started once."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

import diadem
from diadem.errors import DigestMismatch, NotFound, UsageError
from diadem.extract.pool import Extractor
from diadem.model.record import Record
from diadem.terms.fields import UnknownField
from diadem.workers.executors import AHEAD, InOrder
from diadem.workers.extractor import SharedExtractor

FILES = (
    "msa/example2.msa",
    "dm/test-EELS_spectrum.dm3",
    "msa/example1.msa",
    "mib/002_4x2_6bit_roi128.mib",
    "tif-zeiss/test_tiff_Zeiss_SEM_512pix.tif",
    "mrc/HAADFscan.mrc",
)


@pytest.fixture(scope="module")
def paths(unpacked_data: Path) -> list[str]:
    return [str(unpacked_data / name) for name in FILES]


@pytest.fixture(scope="module")
def expected(paths: list[str]) -> list[dict[str, object]]:
    """What `extract` says of each."""
    return [diadem.extract(path).to_dict() for path in paths]


def test_in_this_process(paths: list[str], expected: list[dict[str, object]]) -> None:
    assert [record.to_dict() for record in diadem.extract_many(paths)] == expected
    assert list(diadem.extract_many([])) == []


def test_on_a_pool_of_processes(paths: list[str], expected: list[dict[str, object]]) -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        records = list(diadem.extract_many([*paths, *paths], executor=pool))
    assert [record.to_dict() for record in records] == [*expected, *expected]
    assert records[0].vendor(0)[0].data.startswith(b"#FORMAT")


def test_on_a_worker_pool(paths: list[str], expected: list[dict[str, object]]) -> None:
    with diadem.WorkerPool(2) as pool:
        found = list(diadem.extract_many([paths[0], "/nowhere/at-all.dm4", *paths[1:]], executor=pool, errors="give"))
    assert isinstance(found.pop(1), NotFound)
    assert [one.to_dict() for one in found] == expected


@pytest.fixture(scope="module")
def cluster() -> Iterator[Executor]:
    """A real scheduler and two real workers on loopback."""
    distributed = pytest.importorskip("distributed")
    dask = pytest.importorskip("dask")
    patience = {"distributed.comm.timeouts.connect": "180s", "distributed.comm.timeouts.tcp": "180s"}
    with (
        dask.config.set(patience),  # on a busy machine
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local,
        distributed.Client(local) as client,
    ):
        yield client.get_executor()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_on_a_dask_cluster(paths: list[str], expected: list[dict[str, object]], cluster: Executor) -> None:
    wanted = [paths[0], "/nowhere/at-all.dm4", *paths[1:]]
    found = list(diadem.extract_many(wanted, executor=cluster, errors="give"))
    assert isinstance(found[1], NotFound)
    assert found[1].where
    records = [one for one in found if isinstance(one, Record)]
    assert [record.to_dict() for record in records] == expected


def test_an_error_is_raised_at_its_turn_and_the_others_are_read(paths: list[str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    records = diadem.extract_many([paths[0], str(tmp_path / "empty"), str(tmp_path / "gone.dm4"), paths[2]])
    assert next(records).datasets[0].path == "example2.msa"
    with pytest.raises(UsageError):
        next(records)
    with pytest.raises(NotFound):
        next(records)
    assert next(records).datasets[0].path == "example1.msa"
    with pytest.raises(StopIteration):
        next(records)


def test_a_damaged_file_is_no_error(unpacked_data: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.dm3").write_bytes((unpacked_data / "dm/test_STEM_image.dm3").read_bytes()[:3000])
    (record,) = diadem.extract_many([tmp_path / "cut.dm3"])
    assert record.datasets[0].issues


def test_an_unknown_way_to_treat_errors_is_refused() -> None:
    with pytest.raises(UsageError, match="'ignore'"):
        diadem.extract_many([], errors="ignore")  # type: ignore[call-overload]


def test_relative_paths_are_those_of_the_caller(
    unpacked_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(os.chdir, tmp_path).result()
        monkeypatch.chdir(unpacked_data)
        (record,) = diadem.extract_many(["msa/example1.msa"], executor=pool)
    assert record.value("beam.acceleration_voltage") == 120_000.0


def test_workers_are_started_once_and_end(unpacked_data: Path) -> None:
    code = (
        "import sys, diadem\n"
        "from diadem.extract import parent\n"
        "started = []\n"
        "class Counted(parent.WorkerProcess):\n"
        "    def __init__(self, *a, **k):\n"
        "        started.append(self)\n"
        "        super().__init__(*a, **k)\n"
        "parent.WorkerProcess = Counted\n"
        "records = list(diadem.extract_many([sys.argv[1]] * 12))\n"
        "print(len(records), len(started), sum(one._process.poll() is None for one in started))\n"
    )
    command = [sys.executable, "-c", code, str(unpacked_data / "msa/example1.msa")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert told[0] == "12"
    assert 1 <= int(told[1]) <= (os.cpu_count() or 1)
    assert told[2] == "0"


def test_a_record_is_pickled_whole(unpacked_data: Path) -> None:
    record = diadem.extract(unpacked_data / "tia")
    again: Record = pickle.loads(pickle.dumps(record))
    assert again.to_dict() == record.to_dict()
    assert again.datasets[3].vendor()[0].data == record.datasets[3].vendor()[0].data
    assert pickle.loads(pickle.dumps(record.datasets[0])) == record.datasets[0]


@pytest.mark.parametrize(
    "error",
    [
        NotFound("gone", where="/a", next="Look."),
        DigestMismatch("damaged", where="a", leaf=3, range=(0, 5)),
        UnknownField("no field 'x'", next="Did you mean y?"),
    ],
)
def test_errors_are_pickled_whole(error: diadem.DiademError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert again.to_dict() == error.to_dict()
    assert str(again) == str(error)


# -- order and look-ahead, without files -----------------------------------------------------------------------------


def test_order_is_kept_and_items_are_taken_little_by_little() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(5 * AHEAD):
            taken.append(number)
            yield number

    def late(number: int) -> int:
        time.sleep(0.001 * (number % 3))
        return number

    with ThreadPoolExecutor(8) as pool:
        results = InOrder(pool, late, items())
        assert next(results) == 0
        assert len(taken) <= AHEAD + 1
        assert list(results) == list(range(1, 5 * AHEAD))


def test_what_has_not_begun_is_cancelled() -> None:
    begun = threading.Event()
    going = threading.Event()
    done: list[int] = []
    ended: list[bool] = []

    def wait(number: int) -> int:
        begun.set()
        going.wait(10)
        time.sleep(0.05)
        done.append(number)
        return number

    with ThreadPoolExecutor(1) as pool:
        first: Future[int] = pool.submit(wait, -1)
        begun.wait(10)
        results = InOrder(pool, wait, range(50), at_end=lambda: ended.append(True))
        threading.Timer(0.2, going.set).start()
        assert next(results) == 0
        results.close()
        assert first.result() == -1
        with pytest.raises(StopIteration):
            next(results)
    assert len(done) <= 4
    assert ended == [True]


def test_an_extractor_goes_when_it_is_idle() -> None:
    made: list[Extractor] = []

    def make() -> Extractor:
        made.append(Extractor(()))
        return made[-1]

    standing = SharedExtractor(make, idle=0.2)
    with standing.lend() as one, standing.lend() as other:
        one.close()  # of one that is only lent
        assert other.workers == one.workers
        time.sleep(0.4)
    assert len(made) == 1
    with standing.lend():
        assert len(made) == 1
    time.sleep(0.6)
    with standing.lend():
        assert len(made) == 2
    standing.close()
