"""The files of a plan, hashed (and copied) and read for metadata, dataset by dataset, in order.

Copying and extraction overlap: while one dataset is copied, the worker reads the ones before it from their copies.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from diadem.errors import Interrupted
from diadem.extract.extraction import Extraction
from diadem.extract.pool import Extractor
from diadem.extract.survey import DatasetPlan, PlannedFile
from diadem.model.facts import MAX_PICTURED
from diadem.model.manifest import FileEntry
from diadem.model.ports import Listener, Progress
from diadem.package.seal import HashedFile
from diadem.package.tags import MAX_TIME_NS
from diadem.store.copying import Changed, Copied, Copier, NotPlain, SourceFailed
from diadem.store.source import Omission, SourceFile

COPIERS = 2
CHUNK_FILES = 64
CHUNK_BYTES = 16 << 20
LOOKAHEAD = 6
TRIES = 3
_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Ingested:
    """A dataset that has been hashed and read.

    Attributes
    ----------
    plan : DatasetPlan
        With the files that could be archived.
    files : sequence of HashedFile
        In the order of the plan.
    extraction : Extraction or None
        What the reader found; None where no file was left.
    omissions : sequence of Omission
        Files that could not be archived.
    """

    plan: DatasetPlan
    files: Sequence[HashedFile]
    extraction: Extraction | None
    omissions: Sequence[Omission]


@dataclass(frozen=True, slots=True)
class _Taken:
    plan: DatasetPlan
    files: list[HashedFile]
    heads: dict[str, bytes]
    omissions: list[Omission]


class Ingest:
    """One run over a plan.

    Parameters
    ----------
    sources : mapping of str to SourceFile
        Stored path to file.
    place : callable
        Where the copy of a stored path goes, or None to hash only. Called again for a second try.
    root : callable
        The folder under which a taken dataset's files lie by their stored paths, for the reader.
    extractor : Extractor
        Reads the datasets.
    listener : Listener
        Told of bytes copied and datasets read.
    """

    def __init__(
        self,
        sources: Mapping[str, SourceFile],
        *,
        place: Callable[[str], str | None],
        root: Callable[[DatasetPlan], Path],
        extractor: Extractor | None,
        listener: Listener,
    ) -> None:
        self._sources = sources
        self._place = place
        self._root = root
        self._extractor = extractor
        self._listener = listener
        self._total = sum(file.size for file in sources.values())
        self._done = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def run(self, datasets: Sequence[DatasetPlan], copier: Copier) -> Generator[Ingested, None, None]:
        """Yield every dataset, in order. Close the generator to stop early."""
        workers = self._extractor.workers if self._extractor else 1
        with (
            ThreadPoolExecutor(COPIERS, "diadem-copy") as copying,
            ThreadPoolExecutor(workers, "diadem-read") as reading,
        ):
            try:
                read = self._reading(self._copying(datasets, copier, copying), reading)
                for number, ingested in enumerate(read, 1):
                    self._listener(Progress("read", number, len(datasets), ingested.plan.files[0].path, "datasets"))
                    yield ingested
            except BaseException:
                self._stop(copying, reading)
                raise

    def _stop(self, *pools: ThreadPoolExecutor) -> None:
        self._stopped.set()
        if self._extractor is not None:
            self._extractor.close()
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)

    def _copying(self, datasets: Sequence[DatasetPlan], copier: Copier, pool: ThreadPoolExecutor) -> Iterator[_Taken]:
        pending: deque[Future[list[_Taken]]] = deque()
        for chunk in _chunks(datasets):
            pending.append(pool.submit(self._take, chunk, copier))
            if len(pending) >= LOOKAHEAD:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()

    def _reading(self, taken: Iterable[_Taken], pool: ThreadPoolExecutor) -> Iterator[Ingested]:
        pending: deque[Future[Ingested] | Ingested] = deque()
        for number, item in enumerate(taken):
            # Only the first datasets have a picture on the page; drawing the others would be for nothing.
            preview = number < MAX_PICTURED
            if item.plan.offers and self._extractor is not None:
                pending.append(pool.submit(self._read, item, preview=preview))
            else:
                pending.append(self._read(item, preview=preview))
            while pending and (isinstance(pending[0], Ingested) or pending[0].done() or len(pending) > 4 * CHUNK_FILES):
                yield _result(pending.popleft())
        while pending:
            yield _result(pending.popleft())

    # -- copying ---------------------------------------------------------------------------------------------------

    def _take(self, chunk: Sequence[DatasetPlan], copier: Copier) -> list[_Taken]:
        return [self._take_dataset(plan, copier) for plan in chunk]

    def _take_dataset(self, plan: DatasetPlan, copier: Copier) -> _Taken:
        files, kept, heads, omissions = [], [], {}, []
        for planned in plan.files:
            source = self._sources[planned.path]
            copied = self._take_file(planned.path, source, copier)
            if isinstance(copied, Omission):
                omissions.append(copied)
                continue
            original = None if source.name == planned.path.encode() else source.name
            entry = FileEntry("data/" + planned.path, copied.size, copied.sha256, copied.mtime_ns, original)
            files.append(HashedFile(entry, copied.leaves))
            kept.append(replace(planned, size=copied.size))
            heads[planned.path] = copied.head
        return _Taken(_without_lost(plan, kept), files, heads, omissions)

    def _take_file(self, path: str, source: SourceFile, copier: Copier) -> Copied | Omission:
        """Copy one file; a file that cannot be had is an omission, not a failure."""
        for attempt in range(1, TRIES + 1):
            counted = self._counter(source)
            target = self._place(path)
            try:
                return _with_time(copier.copy(source.path, target, counted))
            except Changed:
                if attempt == TRIES:
                    return Omission(source.name, "changing", f"it changed while it was read, {TRIES} times")
            except NotPlain:
                return Omission(source.name, "replaced", "it is no longer a plain file")
            except SourceFailed as error:
                if isinstance(error.cause, FileNotFoundError):
                    return Omission(source.name, "vanished", "it was there when the folder was listed, but is gone now")
                return Omission(source.name, "unreadable", error.cause.strerror or type(error.cause).__name__)
            self._advance(-counted.bytes, source)
            if self._stopped.wait(_PAUSE * attempt):
                break
        raise Interrupted("packing was stopped", where=source.path)

    def _counter(self, source: SourceFile) -> _Counter:
        return _Counter(lambda count: self._advance(count, source))

    def _advance(self, count: int, source: SourceFile) -> None:
        if self._stopped.is_set():
            raise Interrupted("packing was stopped", where=source.path)
        with self._lock:
            self._done += count
            done = self._done
        self._listener(Progress("copy", done, self._total, source.path))

    # -- reading ---------------------------------------------------------------------------------------------------

    def _read(self, taken: _Taken, *, preview: bool) -> Ingested:
        extraction = None
        if self._extractor is not None and taken.files:
            root = self._root(taken.plan)
            extraction = self._extractor.extract(taken.plan, root, heads=taken.heads, preview=preview)
        return Ingested(taken.plan, taken.files, extraction, taken.omissions)


class _Counter:
    """Counts what it passes on, so that a second try can take it back."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance = advance
        self.bytes = 0

    def __call__(self, count: int) -> None:
        self.bytes += count
        self._advance(count)


def _with_time(copied: Copied) -> Copied:
    """With a time that the index can hold: a broken clock may have set one beyond the year 33000."""
    clamped = max(-MAX_TIME_NS, min(copied.mtime_ns, MAX_TIME_NS))
    return copied if clamped == copied.mtime_ns else replace(copied, mtime_ns=clamped)


def _result(item: Future[Ingested] | Ingested) -> Ingested:
    return item if isinstance(item, Ingested) else item.result()


def _without_lost(plan: DatasetPlan, kept: Sequence[PlannedFile]) -> DatasetPlan:
    """The plan with the files that are there; where the primary is lost the next one stands for it."""
    if len(kept) == len(plan.files) or not kept:
        return plan
    return replace(plan, files=(replace(kept[0], role="primary"), *kept[1:]))


def _chunks(datasets: Sequence[DatasetPlan]) -> Iterator[list[DatasetPlan]]:
    """Datasets in portions that are worth a task: some files, or one large dataset."""
    chunk: list[DatasetPlan] = []
    files = size = 0
    for plan in datasets:
        bytes_of_plan = sum(file.size for file in plan.files)
        if chunk and (files + len(plan.files) > CHUNK_FILES or size + bytes_of_plan > CHUNK_BYTES):
            yield chunk
            chunk, files, size = [], 0, 0
        chunk.append(plan)
        files += len(plan.files)
        size += bytes_of_plan
    if chunk:
        yield chunk
