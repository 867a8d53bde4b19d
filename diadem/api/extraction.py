"""`extract` and `extract_many`: extended metadata of files, without a package."""

from __future__ import annotations

import io
import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from diadem.api.places import StrPath
from diadem.api.planning import planned_with
from diadem.api.tools import Tools, tools
from diadem.errors import DiademError, UsageError
from diadem.model.ports import Listener, silent

if TYPE_CHECKING:
    from diadem.archive.many import Standing
    from diadem.extract.pool import Extractor
    from diadem.model.record import Record


def extract(path: StrPath, *, metadata: Mapping[str, Any] | None = None, listener: Listener = silent) -> Record:
    """Read the extended metadata of a file or folder, each reader in a worker process.

    Parameters
    ----------
    path : path
        One instrument file (what belongs to its dataset is found beside it), or a folder.
    metadata : mapping, optional
        As for `pack`: what is known of session, sample, people and instruments.

    Returns
    -------
    Record
        One dataset for each group of files; a file that cannot be read is a dataset with issues.
    """
    at_hand = tools()
    with at_hand.extractor() as extractor:
        return _extracted(path, at_hand, extractor, listener, metadata)


def _extracted(
    path: StrPath,
    at_hand: Tools,
    extractor: Extractor,
    listener: Listener,
    metadata: Mapping[str, Any] | None = None,
) -> Record:
    """See `extract`."""
    from diadem.archive.companions import with_companions
    from diadem.archive.describing import Describer
    from diadem.archive.ingest import Ingest
    from diadem.archive.vault import Vault
    from diadem.serialization.record_json import read_record
    from diadem.store.copying import Copier

    root = Path(path).absolute()  # the worker has a current folder of its own
    sources = with_companions(root, at_hand.readers) if root.is_file() else path
    planned = planned_with(at_hand, sources, metadata=metadata)
    extractor.expect(sum(bool(found.offers) for found in planned.datasets))
    wanted = [found for found in planned.datasets if planned.files[found.primary.path].name == os.fsencode(root.name)]
    sink = io.BytesIO()
    describer = Describer(sink, planned.metadata, title=planned.tree.title, files=planned.files)
    with Copier() as copier:
        ingest = Ingest(
            planned.files,
            place=lambda _: None,
            root=lambda _: root if root.is_dir() else root.parent,
            extractor=extractor,
            listener=listener,
        )
        chosen = [replace(found, id="d1") for found in wanted[:1]] if root.is_file() else planned.datasets
        with closing(ingest.run(chosen, copier)) as datasets:
            for ingested in datasets:
                describer.add(ingested)
    describer.finish(omissions=[], empty_folders=[])
    return read_record(sink.getvalue(), Vault(describer.vendor.close()))


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
        place of its record. A file that cannot be read is no error but a dataset with issues, as in `extract`.

    Returns
    -------
    iterator of Record
        One for each path. Its `close` cancels what has not begun.
    """
    from diadem.archive.many import InOrder, Standing

    if errors not in ("raise", "give"):
        raise UsageError(f"errors is 'raise' or 'give', not '{errors}'")
    places = (os.path.abspath(path) for path in paths)  # noqa: PTH100 - as the caller sees it, links left as they are
    if executor is not None:
        return InOrder(executor, _extract_there, places, give_errors=errors == "give")
    at_hand = tools()
    standing = Standing(at_hand.extractor, idle=0)
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
def standing() -> Standing:
    """What reads instrument files for all tasks of this process, made when it is first needed."""
    import atexit

    from diadem.archive.many import Standing

    made = Standing(partial(tools().extractor, workers=_tasks_at_once()))
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
    from diadem.archive.pool_member import POOL_MEMBER

    is_worker = multiprocessing.parent_process() is not None or POOL_MEMBER in os.environ
    return 1 if is_worker else cores
