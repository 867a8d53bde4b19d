"""The files of a plan, hashed (and copied) and read for metadata, dataset by dataset, in order.

Copying and extraction overlap: while one dataset is copied, the worker reads the ones before it from their copies.
"""

from __future__ import annotations

import shutil
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from diadem.errors import Interrupted, UsageError
from diadem.extract.extraction import Extraction
from diadem.extract.pool import Extractor
from diadem.extract.survey import DatasetPlan, PlannedFile
from diadem.model.facts import MAX_PICTURED
from diadem.model.manifest import FileEntry
from diadem.model.ports import Listener, Meter, Progress
from diadem.pack.plan import PackPlan, omitted_dict
from diadem.package.tags import MAX_TIME_NS, HashedFile
from diadem.store.contract import Draft
from diadem.store.copy import Changed, Copied, Copier, NotPlain, SourceFailed
from diadem.store.source import Omission, SourceFile

COPIERS = 2
CHUNK_FILES = 64
CHUNK_BYTES = 16 << 20
LOOKAHEAD = 6
TRIES = 3
_PAUSE = 0.1
#: Bytes of a dataset whose names were mapped, above which it is not copied for its reader.
_MAX_SHOWN = 256 << 20


@dataclass(frozen=True, slots=True)
class Ingested:
    """A dataset that has been hashed and read: the files that could be archived, and those that could not."""

    plan: DatasetPlan
    files: Sequence[HashedFile]
    extraction: Extraction | None = None
    omissions: Sequence[Omission] = ()
    heads: Mapping[str, bytes] = field(default_factory=dict)


class Ingest:
    """One run over a plan: hashed only without a `draft`, into which the files go; not read without an `extractor`."""

    def __init__(
        self,
        plan: PackPlan,
        *,
        draft: Draft | None = None,
        extractor: Extractor | None = None,
        listener: Listener,
    ) -> None:
        self._plan = plan
        self._draft = draft
        self._extractor = extractor
        self._listener = listener
        self._meter = Meter("copy", sum(file.size for file in plan.files.values()), listener)
        self._stopped = threading.Event()

    def run(
        self, copier: Copier, add: Callable[[Ingested], object] = lambda _: None
    ) -> tuple[list[HashedFile], list[Omission]]:
        """The hashed files, and what is left out; `add` is given every dataset, in order.

        Raises `UsageError` where no file could be had: a package of nothing would look like an archive.
        """
        files: list[HashedFile] = []
        omissions = list(self._plan.tree.omissions)
        with closing(self._datasets(copier)) as datasets:
            for ingested in datasets:
                files.extend(ingested.files)
                omissions.extend(ingested.omissions)
                add(ingested)
        if not files:
            first = omitted_dict(omissions[0])
            raise UsageError(
                f"no file can be archived; the first of {len(omissions)} is {first['kind']}: {first['reason']}",
                where=first["path"],
                next="Make the files readable.",
            )
        return files, omissions

    def _datasets(self, copier: Copier) -> Generator[Ingested, None, None]:
        datasets = self._plan.datasets
        workers = self._extractor.workers if self._extractor else 1
        with (
            ThreadPoolExecutor(COPIERS, "diadem-copy") as copying,
            ThreadPoolExecutor(workers, "diadem-read") as reading,
        ):
            try:
                read = self._read_all(self._take_all(copier, copying), reading)
                for number, ingested in enumerate(read, 1):
                    self._listener(Progress("read", number, len(datasets), ingested.plan.files[0].path, "datasets"))
                    yield ingested
            except BaseException:
                self._stopped.set()
                if self._extractor is not None:
                    self._extractor.close()
                for pool in (copying, reading):
                    pool.shutdown(wait=False, cancel_futures=True)
                raise

    # -- copying ---------------------------------------------------------------------------------------------------

    def _take_all(self, copier: Copier, pool: ThreadPoolExecutor) -> Iterator[Ingested]:
        def take(chunk: Sequence[DatasetPlan]) -> list[Ingested]:
            return [self._take(plan, copier) for plan in chunk]

        pending: deque[Future[list[Ingested]]] = deque()
        for chunk in _chunks(self._plan.datasets):
            pending.append(pool.submit(take, chunk))
            if len(pending) >= LOOKAHEAD:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()

    def _take(self, plan: DatasetPlan, copier: Copier) -> Ingested:
        files: list[HashedFile] = []
        kept: list[PlannedFile] = []
        heads: dict[str, bytes] = {}
        omissions: list[Omission] = []
        for planned in plan.files:
            source = self._plan.files[planned.path]
            copied = self._take_file(planned.path, source, copier)
            if isinstance(copied, Omission):
                omissions.append(copied)
                continue
            # A broken clock may have set a time that the index cannot hold, beyond the year 33000.
            moment = max(-MAX_TIME_NS, min(copied.mtime_ns, MAX_TIME_NS))
            original = None if source.name == planned.path.encode() else source.name
            entry = FileEntry("data/" + planned.path, copied.size, copied.sha256, moment, original)
            files.append(HashedFile(entry, copied.leaves))
            kept.append(replace(planned, size=copied.size))
            heads[planned.path] = copied.head
        if omissions and kept:  # where the primary is lost the next one stands for it
            plan = replace(plan, files=(replace(kept[0], role="primary"), *kept[1:]))
        return Ingested(plan, files, omissions=omissions, heads=heads)

    def _take_file(self, path: str, source: SourceFile, copier: Copier) -> Copied | Omission:
        """Copy one file; a file that cannot be had is an omission, not a failure."""
        for attempt in range(1, TRIES + 1):
            counted = 0

            def advance(count: int) -> None:
                nonlocal counted
                counted += count
                self._advance(count, source)

            target = None if self._draft is None else self._draft.place("data/" + path)
            try:
                return copier.copy(source.path, target, advance)
            except Changed:
                if attempt == TRIES:
                    return Omission(source.name, "changing", f"it changed while it was read, {TRIES} times")
            except NotPlain:
                return Omission(source.name, "replaced", "it is no longer a plain file")
            except SourceFailed as error:
                if isinstance(error.cause, FileNotFoundError):
                    return Omission(source.name, "vanished", "it was there when the folder was listed, but is gone now")
                return Omission(source.name, "unreadable", error.cause.strerror or type(error.cause).__name__)
            self._advance(-counted, source)
            if self._stopped.wait(_PAUSE * attempt):
                break
        raise Interrupted("packing was stopped", where=source.path)

    def _advance(self, count: int, source: SourceFile) -> None:
        if self._stopped.is_set():
            raise Interrupted("packing was stopped", where=source.path)
        self._meter.add(count, source.path)

    # -- reading ---------------------------------------------------------------------------------------------------

    def _read_all(self, taken: Iterable[Ingested], pool: ThreadPoolExecutor) -> Iterator[Ingested]:
        pending: deque[Future[Ingested]] = deque()
        for number, item in enumerate(taken):
            # Only the first datasets have a picture on the page; drawing the others would be for nothing.
            preview = number < MAX_PICTURED
            if item.plan.offers and self._extractor is not None:
                pending.append(pool.submit(self._read, item, preview=preview))
            else:
                pending.append(Future())
                pending[-1].set_result(self._read(item, preview=preview))
            while pending and (pending[0].done() or len(pending) > 4 * CHUNK_FILES):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def _read(self, taken: Ingested, *, preview: bool) -> Ingested:
        if self._extractor is None or not taken.files:
            return taken
        root = self._root(taken.plan)
        extraction = self._extractor.extract(taken.plan, root, heads=taken.heads, preview=preview)
        return replace(taken, extraction=extraction, heads={})

    def _root(self, dataset: DatasetPlan) -> Path:
        """The folder under which a dataset's files lie by their stored names: what was placed, or the source itself.

        A reader goes by names and by what lies beside a file, so files whose names were mapped are shown to it under
        their stored names in a scratch folder. Of larger ones it is shown nothing: they are archived unread.
        """
        assert self._draft is not None, "what is only hashed is not read"
        if (placed := self._draft.payload) is not None:
            return placed
        sources = {file.path: Path(self._plan.files[file.path].path) for file in dataset.files}
        unmapped = all(source.as_posix().endswith("/" + stored) for stored, source in sources.items())
        roots = {source.as_posix()[: -len(stored) - 1] for stored, source in sources.items()}
        if unmapped and len(roots) == 1:
            return Path(roots.pop())
        folder = self._draft.scratch / dataset.id
        folder.mkdir()
        if sum(file.size for file in dataset.files) <= _MAX_SHOWN:
            for stored, source in sources.items():
                target = folder / stored
                with suppress(OSError):  # what its reader does not find is an issue of the dataset
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, target)
        return folder


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
