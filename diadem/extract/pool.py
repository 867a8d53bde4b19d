"""Extraction for the rest of DIADEM: plans in, extractions out, whatever the files do to their readers."""

from __future__ import annotations

import base64
import itertools
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from diadem.errors import UsageError
from diadem.extract.extraction import Extraction, empty_files, issue, unread
from diadem.extract.preflight import preflight
from diadem.extract.process import WorkerProcess, WorkerStopped
from diadem.extract.sniff import HEAD_SIZE, rank
from diadem.extract.survey import DatasetPlan, missing_parts
from diadem.hooks.offers import ReaderOffer

#: Processor seconds that any file may take, and bytes for each further one.
BASE_SECONDS = 10.0
BYTES_A_SECOND = 20e6
#: A worker that has used more memory than this is replaced after its job.
RETIRE_ABOVE = 1 << 30
#: What nearly every reader imports.
COMMON_MODULES = ("numpy", "PIL.Image", "dask.array", "h5py", "diadem.extract.reading", "diadem.extract.preview")
BUNDLED = "rosettasciio"


class Extractor:
    """Reads datasets in worker processes that are started when first needed, reused, and replaced when they die.

    Parameters
    ----------
    readers : sequence of ReaderOffer
        What the plugins offer.
    workers : int
        Processes at most.
    timeout : float
        Seconds that one dataset may take at most; small files get less.
    memory : int
        Bytes of address space for each worker, where the system has such a limit.
    previews : bool
        Whether pictures are drawn.
    """

    def __init__(
        self,
        readers: Sequence[ReaderOffer],
        *,
        workers: int = 1,
        timeout: float = 60.0,
        memory: int = 4 << 30,
        previews: bool = True,
    ) -> None:
        self._readers = tuple(readers)
        self._table = {offer.name: offer for offer in self._readers}
        self._workers = max(1, workers)
        self._timeout = timeout
        self._memory = memory
        self._previews = previews
        self._idle: list[WorkerProcess] = []
        self._all: set[WorkerProcess] = set()
        self._free = threading.Condition()
        self._starting = 0
        self._closed = False
        self._numbers = itertools.count(1)

    @property
    def workers(self) -> int:
        """Processes at most."""
        return self._workers

    def __enter__(self) -> Self:
        """The extractor itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers."""
        self.close()

    def warm(self) -> None:
        """Start a worker now, so that its imports overlap with something else."""
        with self._free:
            if self._closed or self._all or self._starting:
                return
            self._starting += 1
        self._give_back(self._start())

    def extract(self, plan: DatasetPlan, root: Path, *, heads: Mapping[str, bytes] | None = None) -> Extraction:
        """Read one dataset. Safe to call from several threads; waits for a free worker.

        Parameters
        ----------
        plan : DatasetPlan
            What to read.
        root : Path
            Folder that the plan's paths are relative to.
        heads : mapping of str to bytes, optional
            First bytes of files by path, where the caller has read them already.

        Returns
        -------
        Extraction
            A file that is empty, wrong, damaged or hostile, or whose reader hangs or dies, has issues.

        Raises
        ------
        UsageError
            The extractor is closed.
        """
        issues = empty_files(plan)
        if not plan.offers or (not plan.primary.size and plan.entry == plan.primary.path):
            known = plan.offers[0] if len(plan.offers) == 1 else "unknown"
            return unread(known, ("suffix",) if known != "unknown" else (), issues)
        try:
            head = self._head(plan, root, heads)
        except OSError as error:
            found = issue("unreadable", f"'{plan.primary.path}' cannot be opened: {error.strerror}", file="f1")
            return unread("unknown", (), [*issues, found])
        names, evidence, doubts = rank(plan, head, self._readers)
        if not names:
            return unread("unknown", evidence, [*issues, *doubts])
        checked = preflight(plan, root, names, head)
        issues += [*doubts, *checked.issues]
        if not checked.may_read:
            return unread(names[0], evidence, issues)
        return self._read(plan, root, names, evidence, issues)

    def extract_many(
        self, plans: Iterable[DatasetPlan], root: Path, *, heads: Mapping[str, bytes] | None = None
    ) -> Iterator[tuple[DatasetPlan, Extraction]]:
        """Read many datasets on all workers; results in the order of the plans, a few ahead of the caller."""
        waiting: deque[tuple[DatasetPlan, Future[Extraction]]] = deque()
        with ThreadPoolExecutor(self._workers + 1, thread_name_prefix="extract") as threads:
            for plan in plans:
                waiting.append((plan, threads.submit(self.extract, plan, root, heads=heads)))
                if len(waiting) > 8 * self._workers:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()

    def close(self) -> None:
        """End all workers, also busy ones."""
        with self._free:
            self._closed = True
            workers = list(self._all)
            self._idle.clear()
            self._all.clear()
            self._free.notify_all()
        for worker in workers:
            worker.end()

    @staticmethod
    def _head(plan: DatasetPlan, root: Path, heads: Mapping[str, bytes] | None) -> bytes:
        """First bytes of the primary; from the caller where they are enough."""
        head = (heads or {}).get(plan.primary.path, b"")
        if len(head) >= min(HEAD_SIZE, plan.primary.size):
            return head[:HEAD_SIZE]
        with (root / plan.primary.path).open("rb") as stream:
            return stream.read(HEAD_SIZE)

    def _read(
        self, plan: DatasetPlan, root: Path, names: Sequence[str], evidence: list[str], issues: list[dict[str, Any]]
    ) -> Extraction:
        """Have a worker read the dataset, and put together what came of it."""
        size = sum(file.size for file in plan.files)
        processor = min(self._timeout, BASE_SECONDS + size / BYTES_A_SECOND)
        job = {
            "job": next(self._numbers),
            "root": str(root),
            "entry": plan.entry or plan.primary.path,
            "files": [file.path for file in plan.files],
            "size": size,
            "offers": [_described(self._table[name]) for name in names],
            "lazy_only": any(found["code"] == "truncated" for found in issues),
            "preview": self._previews,
            "seconds": processor,
            "by": _by(self._table[names[0]]),
        }
        try:
            answer, about = self._ask(job, min(self._timeout, 3 * processor))
        except WorkerStopped as stopped:
            issues.append(issue(stopped.code, stopped.message, file="f1", reader=names[0]))
            return unread(names[0], evidence, issues, self._how({}, {}))
        if "failed" in answer:
            issues.append(issue("reader-failed", f"the reader's answer is of no known form: {answer['failed']}"))
            return unread(names[0], evidence, issues, self._how(answer, about))
        return self._assembled(plan, answer, about, evidence, issues)

    def _assembled(
        self,
        plan: DatasetPlan,
        answer: Mapping[str, Any],
        about: Mapping[str, Any],
        evidence: list[str],
        issues: list[dict[str, Any]],
    ) -> Extraction:
        """An extraction from a worker's answer."""
        format_ = answer.get("format") or "unknown"
        picture = answer.get("preview")
        offer = self._table.get(format_)
        if offer is not None and (pattern := missing_parts(plan, offer)):
            message = f"the data file '{pattern}' is not beside '{plan.primary.path}'"
            issues.append(issue("missing-part", message, file="f1", next="Archive the files of one dataset together."))
        return Extraction(
            format=format_,
            evidence=tuple([*evidence, *answer.get("evidence", ())] if format_ != "unknown" else ()),
            signals=list(answer.get("signals", ())),
            fields=dict(answer.get("fields", {})),
            issues=[*issues, *_news(answer.get("issues", ()), issues)],
            extraction=self._how(answer, about) if format_ != "unknown" else {},
            preview=base64.b64decode(picture) if picture else None,
            vendor=[],
        )

    def _how(self, answer: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
        """How the values were come by; equal for equal files, so that records can share it."""
        how: dict[str, Any] = {"tool": f"diadem-em {_version('diadem-em')}", "tz": "UTC"}
        if about.get("reader"):
            how["reader"] = about["reader"]
        if answer.get("mode") in ("lazy", "eager"):
            how["lazy"] = answer["mode"] == "lazy"
        how["isolation"] = {
            "network": {"none": "none", "refused": "unrestricted, Python's own refused"}.get(
                about.get("network", ""), "unknown"
            ),
            "memory": self._memory if about.get("limited") else "unlimited",
            "seconds": self._timeout,
        }
        if "preview_failed" in answer:
            how["preview"] = f"failed: {answer['preview_failed']}"
        return how

    def _ask(self, job: Mapping[str, Any], seconds: float) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """Ask a free worker; one that was lost before it got the job is replaced once."""
        for attempt in (1, 2):
            worker = self._take()
            try:
                answer = worker.ask(job, seconds)
            except WorkerStopped as stopped:
                self._drop(worker)
                if stopped.code == "worker-lost" and attempt == 1:
                    continue
                raise
            except BaseException:
                self._drop(worker)
                raise
            about = worker.about or {}
            if worker.peak > RETIRE_ABOVE:
                self._drop(worker)
            else:
                self._give_back(worker)
            return answer, about
        raise AssertionError("unreachable")

    def _take(self) -> WorkerProcess:
        """A free worker, a new one, or the next to become free."""
        with self._free:
            while True:
                if self._closed:
                    raise UsageError("the extractor is closed", next="Make a new one.")
                if self._idle:
                    return self._idle.pop()
                if len(self._all) + self._starting < self._workers:
                    self._starting += 1
                    break
                self._free.wait()
        return self._start()

    def _start(self) -> WorkerProcess:
        """Start a process that has been counted in `_starting`."""
        try:
            worker = WorkerProcess(self._memory, COMMON_MODULES)
        finally:
            with self._free:
                self._starting -= 1
        with self._free:
            if not self._closed:
                self._all.add(worker)
                return worker
        worker.end()
        raise UsageError("the extractor is closed", next="Make a new one.")

    def _give_back(self, worker: WorkerProcess) -> None:
        """Let the next caller have the worker."""
        with self._free:
            if worker in self._all:
                self._idle.append(worker)
                self._free.notify()

    def _drop(self, worker: WorkerProcess) -> None:
        """End a worker; the next caller starts another."""
        worker.end()
        with self._free:
            self._all.discard(worker)
            self._free.notify()


def _described(offer: ReaderOffer) -> dict[str, Any]:
    """What the worker needs of an offer."""
    return {"name": offer.name, "load": offer.load, "probe": offer.probe, "options": dict(offer.options)}


def _by(offer: ReaderOffer) -> dict[str, str]:
    """Who makes the assertions."""
    package = offer.load.partition(":")[0].partition(".")[0]
    if package in ("rsciio", "diadem"):
        reader = f"rosettasciio {_version('rosettasciio')}"
        return {"plugin": BUNDLED, "version": _version("diadem-em"), "reader": reader}
    return {"plugin": package, "version": _version(package), "reader": offer.name}


def _version(distribution: str) -> str:
    """Version of an installed distribution, or ``unknown``."""
    if distribution not in _VERSIONS:
        try:
            _VERSIONS[distribution] = version(distribution)
        except PackageNotFoundError:
            _VERSIONS[distribution] = "unknown"
    return _VERSIONS[distribution]


_VERSIONS: dict[str, str] = {}


def _news(found: Iterable[dict[str, Any]], known: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Issues whose code is not among those that pre-flight has named already, and that add something to them."""
    codes = {item["code"] for item in known}
    seen: set[tuple[str, str]] = set()
    for item in found:
        key = (item["code"], item["message"])
        if item["code"] not in codes and key not in seen:
            seen.add(key)
            yield item
