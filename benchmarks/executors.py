"""`archive_all` on one and on two Dask workers: the same sessions, interleaved, into a fresh node each time.

Each session holds three small instrument files, taken in turn from the real ones beside the checkout where these are
there, and an image that is made here, so that no two sessions are alike; without the real files, four such images. All
runs archive at the same moment by the node's clock, so that their package ids must be equal. Two times are given: that
of the workers, from the first session that a worker begins to the last that one ends, and that of the whole call, in
which this process also lists the sessions, signs, and enters.
"""

from __future__ import annotations

import datetime
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
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
from diadem.model.scan import PlannedSession
from diadem.node.tasks import PackTask
from diadem.testing.faults import remove

#: Sessions at a scale of 1, and how much faster two workers should be.
COUNT, AIM = 400, 1.7
#: Real files that sessions are made of.
REAL = (
    "dm/test-EELS_spectrum.dm3",
    "dm/test_STEM_image.dm3",
    "dm/test_diffraction_pattern.dm3",
    "tif-fei/FEI-Helios-Ebeam-8bits.tif",
    "tif-zeiss/test_tiff_Zeiss_SEM_512pix.tif",
    "emd-velox/fei_example_tem_stack.emd",
    "msa/example1.msa",
)
#: Pixels along an edge of the images that are made; 16 bits each.
EDGE = 640
_FIRST = 1_700_000_000
_MOMENT = datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Run:
    """One run: workers, seconds of the workers' part and of the whole, seconds that this process was on a processor."""

    workers: int
    parallel: float
    whole: float
    busy: float
    own: float


class Timed(Executor):
    """Passes tasks on, and keeps when each session was begun and ended in its worker."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner
        self._client = getattr(inner, "_client", None)
        self.workers = getattr(inner, "workers", None)
        self.spans: list[tuple[float, float]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As the other."""
        future = self._inner.submit(fn, *args, **kwargs)
        if isinstance(args[0], PackTask):
            future.add_done_callback(self._note)
        return future

    def _note(self, future: Future[Any]) -> None:
        if not future.cancelled() and future.exception() is None:
            self.spans.append((future.result().began, future.result().ended))


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
    for image in range(1 if real else 4):
        pixels = source.integers(0, 4096, (EDGE, EDGE), dtype=np.uint16)
        Image.fromarray(pixels).save(folder / f"image {image}.tif")
    for turn in range(3 if real else 0):
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
        distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        yield client.get_executor()


def archive(
    folder: Path, sessions: Sequence[PlannedSession], executor: Executor, workers: int
) -> tuple[Run, list[str]]:
    """Archive all sessions into a new node; how long it took, and the ids of the packages."""
    os.sync()
    timed = Timed(executor)
    with diadem.Node.create(folder / "node", name="bench", user="alice", store=str(folder / "store")) as node:
        node.context.clock = lambda: _MOMENT
        began, own = time.perf_counter(), time.process_time()
        results = list(node.archive_all(sessions, now=True, executor=timed))
        whole, own = time.perf_counter() - began, time.process_time() - own
        failed = [result for result in results if result.archived is None]
        if failed:
            raise SystemExit(f"{len(failed)} sessions failed: {failed[0].error}")
        ids = sorted(str(result.archived.package.id) for result in results if result.archived)
    remove(folder)
    parallel = max(end for _, end in timed.spans) - min(begin for begin, _ in timed.spans)
    return Run(workers, parallel, whole, sum(end - begin for begin, end in timed.spans), own), ids


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
    runs, found = [], set()
    with ExitStack() as stack:
        executors = {workers: stack.enter_context(cluster(workers, engine)) for workers in (1, 2)}
        for workers, executor in executors.items():
            archive(work / "warm", sessions[:4], executor, workers)
        for number in range(rounds):
            for workers in (1, 2) if number % 2 == 0 else (2, 1):
                run, ids = archive(work / "run", sessions, executors[workers], workers)
                runs.append(run)
                found.add(tuple(ids))
                told = f"{run.parallel:.1f} s in workers, {run.busy:.1f} s of work, whole {run.whole:.1f} s"
                print(f"{workers} workers: {told}, own processor {run.own:.1f} s", file=sys.stderr)
    return runs, len(found) == 1


def report(runs: Sequence[Run], same: bool, count: int, size: int, *, real: bool) -> list[dict[str, Any]]:
    """Print the table; its rows as a document."""
    one, two = ([run for run in runs if run.workers == workers] for workers in (1, 2))
    print(
        f"\n{count} sessions, {size / 1e6:.0f} MB, {'real files and one made image' if real else 'made images'} each\n"
    )
    print("| what | 1 worker s | 2 workers s | ratio | aim | met |\n|---|---|---|---|---|---|")
    rows = []
    for what, seconds, aim in (
        ("in the workers", lambda run: run.parallel, AIM),
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
