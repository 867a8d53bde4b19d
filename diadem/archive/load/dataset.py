"""`Package.load`: which files make the dataset, and who reads it."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from diadem.archive.load.files import Trial, Verify, arrays, load, stored_arrays
from diadem.archive.load.proof import DatasetSource
from diadem.errors import DigestMismatch, NotFound, PackageError, QualityWarning, ReaderError
from diadem.extract.survey import HEAD_SIZE, DatasetPlan, rank, survey
from diadem.hooks.offers import ReaderOffer
from diadem.model.manifest import FileEntry, PackageId
from diadem.model.ports import Listener, Progress, silent
from diadem.model.record import Dataset
from diadem.store.bags import LocalBundle
from diadem.store.system import discard, long_path, make_deep, or_else, patiently, translated, user_cache

if TYPE_CHECKING:
    from diadem.archive.package import Package


_BYTES = "`open` gives its bytes."
_SAME = "Install the same versions of DIADEM, RosettaSciIO and plugins in both."
#: Doubts that are told in full when a signal is loaded; its metadata has all of them.
_TOLD = 5
#: Bytes of a file that are copied at once.
_BLOCK = 4 << 20
#: Datasets that are kept open for lazy arrays that came from another process.
_KEPT = 16


def load_from_package(
    package: Package,
    path: str,
    *,
    lazy: bool = True,
    signal: int | str | None = None,
    verify: str = "proof",
) -> Any:
    """See `Package.load`; `path` may be a file of the dataset that can be read alone.

    Raises `NotFound`; `ReaderError` where no reader knows it, or reading it failed when it was archived.
    """
    read = partial(load, lazy=lazy, signal=signal, verify=cast("Verify", verify))
    found, primary = _by_readers(package, path, verify, read)
    if doubts := _doubts_about(package, primary, stacklevel=4):
        for one in found if isinstance(found, list) else [found]:
            one.metadata.set_item("General.diadem.warnings", list(doubts))
    return found


@contextmanager
def arrays_of(package: Package, path: str) -> Iterator[Sequence[Mapping[str, Any]]]:
    """The arrays of a dataset with their axes, proven as they are read; what `load_from_package` makes signals of.

    They can be read inside the ``with``, at the end of which their files are closed.
    """
    with ExitStack() as until:
        found, primary = _by_readers(package, path, "proof", partial(arrays, until=until))
        _doubts_about(package, primary, stacklevel=7)
        yield found


def _by_readers(package: Package, path: str, verify: str, read: Callable[..., Any]) -> tuple[Any, str]:
    """What the first reader that can gives of a dataset, and the path of its primary file."""
    catalogue = _catalogue_of(package)
    plan = catalogue.plan(path)
    dataset = catalogue.datasets.get(plan.primary.path)
    source = source_of(package, plan)
    errors: list[ReaderError] = []
    for offer in _readers(package, plan, dataset, verify):
        trial = catalogue.trial(plan, offer)
        try:
            return read(source, offer=offer, dataset=dataset, trial=trial), plan.primary.path
        except ReaderError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    raise ReaderError("no reader knows this file", where=plan.entry, next=_BYTES)


def _doubts_about(package: Package, path: str, *, stacklevel: int) -> list[str]:
    """What whoever uses a dataset should know, and is told: doubts about it, and what the package was made from."""
    doubts = [one.sentence for one in package.warnings() if one.way or one.path in ("", path)]
    if doubts:
        more = f"; and {len(doubts) - _TOLD} more" if len(doubts) > _TOLD else ""
        warnings.warn("; ".join(doubts[:_TOLD]) + more, QualityWarning, stacklevel=stacklevel)
    return doubts


class _Catalogue:
    """The datasets of a package by path, worked out once: a session may have 20,000 files, each loaded in turn."""

    def __init__(self, package: Package) -> None:
        self._package = weakref.ref(package)
        self._plans: dict[str, DatasetPlan] = {}
        for plan in survey([(entry.name, entry.size) for entry in package.files], package.readers):
            self._plans[plan.primary.path] = plan
            self._plans.setdefault(plan.entry, plan)
        self.datasets: dict[str, Dataset] = {}
        with suppress(NotFound):  # a package without a record; loose datasets, for others hold the package
            self.datasets = {dataset.path: dataset for dataset in package.record.datasets.loose}
        self._tried: set[tuple[str, str]] = set()

    def plan(self, path: str) -> DatasetPlan:
        """The dataset that a path stands for; a member of another dataset stands for itself."""
        path = path.rstrip("/")
        if found := self._plans.get(path) or self._plans.get(path.removeprefix("data/")):
            return found
        package = self._package()
        if package is None:
            raise AssertionError("the catalogue outlived its package")
        entry = package.find(path)
        return self._plans.get(entry.name) or survey([(entry.name, entry.size)], package.readers)[0]

    def trial(self, plan: DatasetPlan, offer: ReaderOffer) -> Trial | None:
        """Has a worker read a dataset once, under its limits; None where one has, or there are no workers."""
        package = self._package()
        if package is None or package.extractor is None or (plan.entry, offer.name) in self._tried:
            return None
        make = package.extractor

        def read(folder: Path, base: PurePosixPath) -> None:
            def place(path: str) -> str:
                return PurePosixPath(path).relative_to(base).as_posix()

            files = tuple(replace(file, path=place(file.path)) for file in plan.files)
            here = replace(plan, files=files, entry=place(plan.entry), offers=(offer.name,))
            with make() as extractor:
                found = extractor.extract(here, folder, preview=False, quick=False)
            if not found.signals:
                said = found.issues[-1]["message"] if found.issues else f"'{offer.name}' does not recognise it"
                raise ReaderError(said, where=plan.entry, next=_BYTES)
            self._tried.add((plan.entry, offer.name))

        return read


_CATALOGUES: weakref.WeakKeyDictionary[Package, _Catalogue] = weakref.WeakKeyDictionary()


def _catalogue_of(package: Package) -> _Catalogue:
    if (known := _CATALOGUES.get(package)) is None:
        known = _CATALOGUES[package] = _Catalogue(package)
    return known


def _readers(package: Package, plan: DatasetPlan, dataset: Dataset | None, verify: str) -> Sequence[ReaderOffer]:
    """The readers that fit a file's name and content; of these the one that the record names, if it is there.

    A record may come from anybody: it chooses among what the file itself allows. A file on which every reader failed
    when it was archived is not tried again.
    """
    table = {offer.name: offer for offer in package.readers}
    missing = [item["message"] for item in dataset.issues if item["code"] == "missing-part"] if dataset else []
    if missing:  # the reader would look for it elsewhere, where nothing is proven
        raise ReaderError(missing[0], where=plan.entry, next="`open` gives the bytes that are there.")
    if dataset is not None and dataset.issues and not dataset.signals:
        raise ReaderError(
            f"it could not be read when it was archived: {dataset.issues[0]['message']}", where=plan.entry, next=_BYTES
        )
    names, _, issues = rank(plan, _head(package, plan.primary.path, verify), package.readers)
    if issues:
        raise ReaderError(issues[0]["message"], where=plan.entry, next=_BYTES)
    if dataset is not None and dataset.signals and dataset.primary.format in names:
        return [table[dataset.primary.format]]
    return [table[name] for name in names]


def _head(package: Package, path: str, verify: str) -> bytes:
    """The beginning of a file, proven unless nothing is to be."""
    if verify == "never" and (place := _local(package, path)) is not None:
        with place.open("rb") as file:
            return file.read(HEAD_SIZE)
    with package.open(path) as stream:
        return stream.read_at(0, HEAD_SIZE)


def array_again(again: Callable[[], Package], package: str, path: str, verify: Verify, number: int) -> Any:
    """An array of a dataset of a package that another process had opened; its dataset is opened once in this one.

    No worker tries the file first, and nobody is told of doubts about it: both was done where it was loaded.
    """
    key = (package, path, verify)
    with _GUARD:
        kept = _ARRAYS.setdefault(key, _Arrays())
        _ARRAYS.move_to_end(key)
        while len(_ARRAYS) > _KEPT:
            _ARRAYS.popitem(last=False)
    with kept.turn:
        if not kept.found:
            kept.found, _ = _by_readers(again(), path, verify, partial(stored_arrays, verify=verify))
    if number >= len(kept.found):
        what = f"this process finds {len(kept.found)} signals in it, and is asked for number {number + 1}"
        raise ReaderError(what, where=path, next=_SAME)
    return kept.found[number]


class _Arrays:
    """The arrays of a dataset that is opened by one thread, for all."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.found: list[Any] = []


_ARRAYS: OrderedDict[tuple[str, str, str], _Arrays] = OrderedDict()
_GUARD = threading.Lock()


def source_of(package: Package, plan: DatasetPlan, listener: Listener = silent) -> DatasetSource:
    """The files of a dataset, each provable."""
    again = package.bare

    def find(number: int, verify: str) -> Callable[[], Any] | None:
        if again is None:
            return None
        return partial(array_again, again, package.id, plan.primary.path, cast("Verify", verify), number)

    return DatasetSource(
        package=package.id,
        path=plan.primary.path,
        files={file.path: file.size for file in plan.files},
        entry=plan.entry,
        open=package.open,
        local=lambda path: _local(package, path),
        listener=listener,
        array_again=find,
    )


def _local(package: Package, path: str) -> Path | None:
    """The real path of a stored path, where the package is a folder of this machine.

    Not in a ZIP; nor in an adopted folder: what was proven there may be edited before a reader looks, or a signal is
    computed.
    """
    return None if package.path is None else package.path.joinpath("data", *path.split("/"))


# -- as a path, for programs that know nothing of packages ------------------------------------------------------------


def local_path(package: Package, path: str, *, folder: Path | None, listener: Listener) -> Path:
    """See `Package.local`: proven where it lies in a folder of this machine, else copied, proven on the way, and kept.

    The next call proves the copy and fetches again only what was changed.
    """
    plan = _catalogue_of(package).plan(path)
    source = source_of(package, plan, listener)
    if folder is None and source.local(plan.entry) is not None:
        return source.prove(again=True)
    top = (folder or user_cache("files") / PackageId(package.id).hex[:16]).absolute()
    entries = [package.find(file.path) for file in plan.files]
    total, done = sum(entry.size for entry in entries), 0
    for entry in entries:
        if not _is_whole(package, entry, top):
            for count in _fetched(package, entry, top.joinpath(*entry.name.split("/"))):
                listener(Progress("fetch", done + count, total, entry.name))
        done += entry.size
    return top.joinpath(*plan.entry.split("/"))


def _is_whole(package: Package, entry: FileEntry, top: Path) -> bool:
    """Whether a copy lies there and is, byte for byte, what was archived."""
    if not os.path.isfile(long_path(top.joinpath(*entry.name.split("/")))):  # noqa: PTH113
        return False
    try:
        with closing(package.stored_as(entry, LocalBundle(top).open(entry.name))) as copy:
            while copy.read(_BLOCK):
                pass
    except (DigestMismatch, PackageError):
        return False
    return True


def _fetched(package: Package, entry: FileEntry, target: Path) -> Iterator[int]:
    """A proven copy, which appears whole or not at all; how much of it is there."""
    make_deep(str(target.parent))
    draft = target.with_name(f".diadem-{uuid4().hex[:8]}.part")
    with translated(str(target), "nothing was copied"), or_else(lambda: discard(str(draft))):
        with package.open(entry.path) as source, open(long_path(draft), "xb") as copy:  # noqa: PTH123
            while block := source.read(_BLOCK):
                copy.write(block)
                yield source.tell()
        patiently(lambda: os.replace(long_path(draft), long_path(target)))  # noqa: PTH105
