"""Archiving on one and on two Dask workers: the same sessions, interleaved, into a fresh node each time.

Each session holds nine small instrument files, taken in turn from the real ones beside the checkout where these are
there, and an image that is made here, so that no two sessions are alike; without the real files, ten such images. Two
things are measured: packing alone, which is what workers do (read, hash, extract, write the sealed package), given to
them as `archive_all` gives it; and the whole `archive_all`, in which this process also lists the sessions, signs and
enters, on the same processors. All runs archive at one moment by the node's clock, so their package ids must be equal.
"""

from __future__ import annotations

import datetime
import os
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import machine
import numpy as np
import real_files
from PIL import Image
from tables import parser, workplace, write

import diadem
from diadem.api.extraction import work as task_work
from diadem.model.agenda import Agenda
from diadem.model.scan import PlannedSession
from diadem.node.node import Node
from diadem.node.tasks import Task
from diadem.pack.compose import Options
from diadem.pack.plan import plan_session
from diadem.testing.faults import remove
from diadem.workers.executors import run_agenda, worker_count

#: Sessions at a scale of 1, and how much faster two workers should be.
COUNT, AIM = 400, 1.7
#: Real files that sessions are made of.
REAL = (
    "bruker/test_TEM.bcf",
    "dm/EELS_SI.dm4",
    "dm/test-EELS_spectrum.dm3",
    "dm/test-MonarcCL_spectrum-ccd.dm4",
    "dm/test_fft_packed_complex8.dm4",
    "dm/test_STEM_image.dm3",
    "dm/test_diffraction_pattern.dm3",
    "tif-fei/FEI-Helios-Ebeam-8bits.tif",
    "tif-zeiss/test_tiff_Zeiss_SEM_512pix.tif",
    "emd-ncem/Si100_3D.emd",
    "emd-velox/fei_example_tem_stack.emd",
    "msa/example1.msa",
    "msa/leo_edax_test.msa",
)
#: Pixels along an edge of the images that are made; 16 bits each.
EDGE = 640
_FIRST = 1_700_000_000
_MOMENT = datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Run:
    """One run: workers, seconds of packing alone and of the whole call, processor time of this process in the call."""

    workers: int
    packing: float
    whole: float
    own: float


def make_sessions(folder: Path, data: Path | None, count: int) -> list[PlannedSession]:
    """Write the sessions, once."""
    real = [] if data is None else [path for name in REAL if (path := data / name).is_file()]
    sessions = []
    for number in range(count):
        session = folder / f"session {number:04}"
        if not session.exists():
            _write_session(folder / "unfinished", number, real)
            (folder / "unfinished").rename(session)
        sessions.append(PlannedSession(f"{number}", True, session.name, "2026-11-01", str(session)))
    return sessions


def _write_session(folder: Path, number: int, real: Sequence[Path]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    source = np.random.default_rng(number)
    for image in range(1 if real else 10):
        pixels = source.integers(0, 4096, (EDGE, EDGE), dtype=np.uint16)
        Image.fromarray(pixels).save(folder / f"image {image}.tif")
    for turn in range(9 if real else 0):
        path = real[(number + turn) % len(real)]
        shutil.copyfile(path, folder / path.name)
    for path in folder.iterdir():  # as if there were an hour between two sessions
        os.utime(path, (_FIRST + number * 3600, _FIRST + number * 3600))


@contextmanager
def cluster(workers: int, engine: str) -> Iterator[Executor]:
    """So many workers with one thread each."""
    if engine == "pool":
        with diadem.WorkerPool(workers) as pool:
            yield pool
        return
    import distributed

    with (
        distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        yield client.get_executor()


@contextmanager
def fresh_node(folder: Path) -> Iterator[Node]:
    """A new node with one store, at the moment at which all runs archive; removed at the end."""
    os.sync()
    try:
        with diadem.Node.create(folder / "node", name="bench", user="alice", store=str(folder / "store")) as node:
            node.context.clock = lambda: _MOMENT
            yield node
    finally:
        remove(folder)


def pack(folder: Path, sessions: Sequence[PlannedSession], executor: Executor) -> tuple[float, list[str]]:
    """Have all sessions packed and nothing entered; seconds, and the ids of the packages."""
    with fresh_node(folder) as node:
        readers, store = tuple(node.context.tools.readers), node.context.settings.store("main")
        when, software = _MOMENT.astimezone(), node.context.tools.software
        license_text = node.context.policy.archive.license
        plans = [plan_session(session, store=None, readers=readers) for session in sessions]
        options = Options(archived=when, license=license_text, software=software)
        tasks = [Task("pack", {"store": store, "plan": plan, "options": options}) for plan in plans]
        agenda = Agenda([plan.tree.size for plan in plans])
        began = time.perf_counter()
        ended = run_agenda(
            agenda, lambda number: executor.submit(task_work, tasks[number]), ahead=2 * worker_count(executor)
        )
        ids = sorted(future.result().value.package for _, future in ended)
        return time.perf_counter() - began, ids


def archive(folder: Path, sessions: Sequence[PlannedSession], executor: Executor) -> tuple[float, float, list[str]]:
    """Archive all sessions; seconds, processor seconds of this process, and the ids of the packages."""
    with fresh_node(folder) as node:
        began, own = time.perf_counter(), time.process_time()
        results = list(node.archive_all(sessions, now=True, executor=executor))
        whole, own = time.perf_counter() - began, time.process_time() - own
        ids = sorted(str(result.archived.package.id) for result in results if result.archived)
        if len(ids) < len(sessions):
            raise SystemExit(f"a session failed: {next(result.error for result in results if result.error)}")
        return whole, own, ids


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    options = parser(__doc__ or "")
    options.add_argument("--count", type=int, help=f"sessions (default {COUNT} × scale)")
    options.add_argument("--engine", choices=("dask", "pool"), default="dask", help="a Dask cluster, or a WorkerPool")
    options.add_argument("--data", type=Path, default=real_files.SHARED, help="the real instrument files")
    options.set_defaults(rounds=3)
    chosen = options.parse_args(arguments)
    count = chosen.count or max(4, round(COUNT * chosen.scale))
    with workplace(chosen.work) as work:
        data = real_files.unpack(chosen.data, work / "real") if chosen.data.is_dir() else None
        sessions = make_sessions(work / "sessions", data, count)
        runs, same = measure(work, sessions, chosen.engine, chosen.rounds)
        size = sum(path.stat().st_size for path in (work / "sessions").rglob("*") if path.is_file())
        rows = report(runs, same, count, size, real=data is not None)
        write(chosen.report, {"machine": machine.describe(work), "rows": rows, "runs": [asdict(run) for run in runs]})
    return 0


def measure(work: Path, sessions: Sequence[PlannedSession], engine: str, rounds: int) -> tuple[list[Run], bool]:
    """Every round once with one worker and once with two, every other round the other way round."""
    runs: list[Run] = []
    found: set[tuple[str, ...]] = set()
    with ExitStack() as stack:
        executors = {workers: stack.enter_context(cluster(workers, engine)) for workers in (1, 2)}
        for executor in executors.values():  # readers and their imports are there when it counts
            pack(work / "warm", sessions[:16], executor)
        for number in range(rounds):
            for workers in (1, 2) if number % 2 == 0 else (2, 1):
                packing, packed = pack(work / "run", sessions, executors[workers])
                whole, own, archived = archive(work / "run", sessions, executors[workers])
                runs.append(Run(workers, packing, whole, own))
                found |= {tuple(packed), tuple(archived)}
                told = f"packing {packing:.1f} s, the whole {whole:.1f} s, own processor {own:.1f} s"
                print(f"{workers} workers: {told}", file=sys.stderr)
    return runs, len(found) == 1


def report(runs: Sequence[Run], same: bool, count: int, size: int, *, real: bool) -> list[dict[str, Any]]:
    """Print the table; its rows as a document."""
    one, two = ([run for run in runs if run.workers == workers] for workers in (1, 2))
    content = "nine real files and a made image" if real else "ten made images"
    print(f"\n{count} sessions, {size / 1e6:.0f} MB, {content} each\n")
    print("| what | 1 worker s | 2 workers s | ratio | aim | met |\n|---|---|---|---|---|---|")
    rows = []
    for what, seconds, aim in (
        ("packing, the workers' part", lambda run: run.packing, AIM),
        ("the whole call", lambda run: run.whole, None),
    ):
        ratio = statistics.median(seconds(first) / seconds(second) for first, second in zip(one, two, strict=True))
        met = None if aim is None else ratio >= aim
        rows.append({"what": what, "ours": ratio, "aim": aim, "met": met})
        times = [statistics.median(map(seconds, series)) for series in (one, two)]
        words = {True: "yes", False: "**no**", None: "–"}[met]
        print(
            f"| {what} | {times[0]:.1f} | {times[1]:.1f} | {ratio:.2f} × | {f'≥ {aim} ×' if aim else '–'} | {words} |"
        )
    print(f"\nPackage ids: {'equal in all runs' if same else '**not equal**'}.")
    own = statistics.median(run.own for run in two) / count
    print(f"This process took {own * 1e3:.0f} ms of a processor for each session.")
    return [*rows, {"what": "package ids are equal", "ours": float(same), "aim": 1.0, "met": same}]


if __name__ == "__main__":
    sys.exit(main())
