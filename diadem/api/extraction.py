"""`extract` and `extract_many`: extended metadata of files, without a package."""

from __future__ import annotations

import hashlib
import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from diadem.api.packages import StrPath, planned_with
from diadem.api.tools import Tools, tools
from diadem.errors import DiademError, UsageError
from diadem.model.display import Display
from diadem.model.ports import Listener, Progress, silent
from diadem.model.progress_bar import progress_bar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from diadem.extract.pool import Extractor
    from diadem.extract.survey import DatasetPlan
    from diadem.model.record import Record
    from diadem.node.tasks import Answer, Task
    from diadem.workers.extractor import SharedExtractor


def extract(path: StrPath, *, metadata: Mapping[str, Any] | None = None, listener: Listener = progress_bar) -> Record:
    """Read the extended metadata of a file or folder, each reader in a worker process.

    What it costs is what the headers cost: nobody takes digests of the files, and no picture is drawn.

    Parameters
    ----------
    path : path
        One instrument file (what belongs to its dataset is found beside it), or a folder. A symbolic link is what it
        leads to.
    metadata : mapping, optional
        As for `pack`: what is known of session, sample, people and instruments.

    Returns
    -------
    Record
        One dataset for each group of files; a file that cannot be read is a dataset with issues. It says the same as
        the record of a package, but it is not sealed: `Record.sealed` is False, and no file has a SHA-256.
    """
    at_hand = tools()
    with at_hand.extractor() as extractor:
        return _extracted(path, at_hand, extractor, listener, metadata)


def _extracted(
    path: StrPath, at_hand: Tools, extractor: Extractor, listener: Listener, metadata: Mapping[str, Any] | None = None
) -> Record:
    """See `extract`."""
    root = Path(path).absolute()  # the worker has a current folder of its own
    if root.is_symlink():  # who names a link means what it leads to; within a dataset none is followed
        root = root.resolve()
    if root.is_file():
        return _of_file(root, at_hand, extractor, metadata)
    return _of_folder(root, at_hand, extractor, listener, metadata)


def _of_file(path: Path, at_hand: Tools, extractor: Extractor, metadata: Mapping[str, Any] | None) -> Record:
    """The record of one dataset, kept as it is."""
    from diadem.extract.dataset import Siblings, Site, dataset_document, renamed
    from diadem.extract.survey import dataset_of
    from diadem.model.names import stored_names
    from diadem.model.record import Dataset, Datasets, Record
    from diadem.serialization.record_json import SCHEMA
    from diadem.serialization.record_writer import build_record
    from diadem.serialization.validation import validate_metadata
    from diadem.terms.fields import field_keys

    known = {} if metadata is None else validate_metadata(at_hand.judged(metadata))
    plan, blocks = dataset_of(path, at_hand.readers), _Blocks()
    stored = stored_names(os.fsencode(file.path) for file in plan.files)
    document = dataset_document(
        renamed(plan, {os.fsdecode(name): kept for name, kept in stored.items()}),
        extractor.extract(plan, path.parent, preview=False),
        keep=blocks.add,
        siblings=Siblings(),
        mtimes_ns=[(path.parent / file.path).stat().st_mtime_ns for file in plan.files],
        site=Site(known),
        place=path.parent / plan.primary.path,
    )
    if known:
        return build_record([document], metadata=known, sealed=False, vendor=blocks)
    return Record(SCHEMA, Datasets((Dataset(document, field_keys(), blocks),)), field_keys(), sealed=False)


def _of_folder(
    path: Path, at_hand: Tools, extractor: Extractor, listener: Listener, metadata: Mapping[str, Any] | None
) -> Record:
    """The record of many datasets, what repeats in them kept once."""
    from diadem.extract.dataset import Siblings, Site, dataset_document, renamed
    from diadem.serialization.record_writer import build_record

    planned = planned_with(at_hand, path, metadata=metadata)
    site = Site(planned.metadata)
    names = {stored: os.fsdecode(name) for stored, name in planned.mapped.items()}
    plans = {renamed(plan, names): plan for plan in planned.datasets}
    extractor.expect(sum(bool(plan.offers) for plan in plans))
    blocks, siblings = _Blocks(), Siblings()

    def documents() -> Iterator[dict[str, Any]]:
        read = extractor.extract_many(plans, path, preview=False)
        for number, (plan, found) in enumerate(read, 1):
            listener(Progress("read", number, len(plans), plan.primary.path, "datasets"))
            stored = plans[plan]
            yield dataset_document(
                stored,
                found,
                keep=blocks.add,
                siblings=siblings,
                mtimes_ns=[planned.files[file.path].mtime_ns for file in stored.files],
                site=site,
                place=path / plan.primary.path,
            )

    return build_record(documents(), metadata=planned.metadata, sealed=False, vendor=blocks)


class _Blocks:
    """The makers' metadata of a record that no package holds, compressed."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def add(self, data: bytes) -> str:
        """Keep a block; tells its SHA-256."""
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self._kept:
            self._kept[digest] = zlib.compress(data, 1)
        return digest

    def read(self, digest: str) -> bytes:
        """The block with this SHA-256."""
        return zlib.decompress(self._kept[digest])

    def parsed(self, data: bytes) -> Any:
        """The tree that typed JSON stands for."""
        from diadem.serialization import typed_json

        return typed_json.decode(data)


@overload
def extract_many(
    paths: Iterable[StrPath], *, executor: Executor | None = None, errors: Literal["raise"] = "raise"
) -> Iterator[Record]: ...


@overload
def extract_many(
    paths: Iterable[StrPath], *, executor: Executor | None = None, errors: Literal["give"]
) -> Iterator[Record | DiademError]: ...


def extract_many(
    paths: Iterable[StrPath], *, executor: Executor | None = None, errors: Literal["raise", "give"] = "raise"
) -> Iterator[Record] | Iterator[Record | DiademError]:
    """Read many files or folders; the records come in the order of the paths.

    Reading runs ahead of the caller by some hundred paths, and the workers are started once, not for each path.

    Parameters
    ----------
    paths : iterable of paths
        As for `extract`; taken little by little.
    executor : concurrent.futures.Executor, optional
        Where to read: a process pool, a Dask cluster (`distributed.Client.get_executor()`) … The paths must mean the
        same there. By default in this process, on all cores.
    errors : {"raise", "give"}
        What becomes of a path that is not there or holds no file. With ``raise`` its error is raised when its turn
        comes; the others are read nevertheless, and `next` goes on with them. With ``give`` the error stands in the
        place of its record. A file that cannot be read is not an error but a dataset with issues, as in `extract`.

    Returns
    -------
    iterator of Record
        One for each path. Its `close` cancels what has not begun.
    """
    from diadem.workers.executors import InOrder
    from diadem.workers.extractor import SharedExtractor

    if errors not in ("raise", "give"):
        raise UsageError(f"errors is 'raise' or 'give', not '{errors}'")
    places = (os.path.abspath(path) for path in paths)  # noqa: PTH100 - as the caller sees it, links left as they are
    if executor is not None:
        return InOrder(executor, _extract_there, places, give_errors=errors == "give")
    at_hand = tools()
    standing = SharedExtractor(at_hand.extractor, idle=0)
    threads = ThreadPoolExecutor(os.cpu_count() or 1, "diadem-extract")

    def extract_here(path: str) -> Record:
        with standing.lend() as extractor:
            return _extracted(path, at_hand, extractor, silent)

    def end() -> None:
        threads.shutdown(wait=False, cancel_futures=True)
        standing.close()

    return InOrder(threads, extract_here, places, give_errors=errors == "give", at_end=end)


def _extract_there(path: str) -> Record:
    """Read one path in another process, or thread, whose workers stay for the next path."""
    with standing().lend() as extractor:
        return _extracted(path, tools(), extractor, silent)


@lru_cache(maxsize=1)
def standing() -> SharedExtractor:
    """What reads instrument files for all tasks of this process, made when it is first needed."""
    import atexit

    from diadem.workers.extractor import SharedExtractor

    made = SharedExtractor(partial(tools().extractor, workers=_tasks_at_once()))
    atexit.register(made.close)
    return made


def _tasks_at_once() -> int:
    """Tasks that this process does at once: each needs one process that reads for it, and more would be in the way."""
    cores = os.cpu_count() or 1
    if (distributed := sys.modules.get("distributed")) is not None:
        try:
            return min(cores, int(distributed.get_worker().state.nthreads))
        except ValueError:  # this process is no worker of Dask
            pass
    from multiprocessing import parent_process

    from diadem.workers.pool import POOL_MEMBER

    is_worker = parent_process() is not None or POOL_MEMBER in os.environ
    return 1 if is_worker else cores


# -- for those who write tables, or miss a value ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Explanation(Display):
    """How the fields of a dataset come about: as what it was read (`format`), and what became of each rule.

    A rule has ``table, block, place, rule, keys, verdict, why``; its verdict is ``found``, ``nothing there``,
    ``dropped`` or ``raised``. An issue has ``code`` and ``message``, as in the record.
    """

    format: str
    rules: Sequence[Mapping[str, str]]
    issues: Sequence[Mapping[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {"format": self.format, "rules": list(self.rules), "issues": list(self.issues)}


def explain(path: StrPath) -> Explanation:
    """Read a file as `extract` does, and say of each rule what it has found, or why not. Raises `UsageError`."""
    root, at_hand = Path(path).absolute(), tools()
    plan = _planned(root, at_hand)
    with at_hand.extractor(previews=False, explain=True) as extractor:
        found = extractor.extract(replace(plan, id="d1"), root.parent)
    return Explanation(found.format, found.outcomes, found.issues)


def _planned(root: Path, at_hand: Tools) -> DatasetPlan:
    """The dataset that begins with a file, or is a folder."""
    from diadem.extract.survey import dataset_of, survey

    if not root.exists():
        raise UsageError(f"there is no file '{root}'", next="Name one instrument file.")
    if root.is_file():
        return dataset_of(root, at_hand.readers)
    inside = (path for path in sorted(root.rglob("*")) if path.is_file())
    files = [(path.relative_to(root.parent).as_posix(), path.stat().st_size) for path in inside]
    for plan in survey(files, at_hand.readers):
        if root.name == plan.entry:
            return plan
    raise UsageError(f"'{root}' is not a dataset that is a folder", next="Name one instrument file.")


# -- what a worker of an executor calls -------------------------------------------------------------------------------


def work(task: Task) -> Answer:
    """Do a task (`diadem.node.tasks`) in this process. Workers of an executor import this function by its name."""
    from diadem.node.tasks import WorkerTools, perform

    return perform(task, WorkerTools(standing().lend, tools().identity))
