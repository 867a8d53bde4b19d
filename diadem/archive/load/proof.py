"""Proving whole datasets before a reader opens them, and remembering for the life of this process what was proven."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from diadem.errors import DigestMismatch, StoreError
from diadem.model.layout import ByteRange
from diadem.model.ports import Listener, Progress, RangeReader, silent
from diadem.work import in_order

#: Bytes proven by one task: several leaves, few enough that all threads have work.
_PIECE = 8 << 20
_WORKERS = min(4, os.cpu_count() or 1)
#: Kept free on the disk that takes a copy.
_SPARE = 64 << 20

#: What identifies a file on a disk as unchanged: path, size, mtime, device and file number.
_Identity = tuple[str, int, int, int, int]


class LoadSource(Protocol):
    """A dataset of a package, as `load` needs it. Paths are stored paths, relative to `data/`."""

    @property
    def package(self) -> str:
        """Id of the package."""

    @property
    def path(self) -> str:
        """The primary file."""

    @property
    def sidecars(self) -> Sequence[str]:
        """The other files of the dataset."""

    @property
    def entry(self) -> str:
        """What the reader is given: the primary file, or the folder that is the dataset."""

    def open(self, path: str) -> RangeReader:
        """Random access to one of the files; a read raises `DigestMismatch` rather than return an unproven byte."""

    def local_path(self) -> Path | None:
        """The entry itself, where the package lies on a disk of this machine."""

    def prove(self, *, again: bool = False) -> Path:
        """Prove every file of the dataset and give a path to the entry; `again` also where it was proven before."""

    def array_again(self, number: int, verify: str) -> Callable[[], Any] | None:
        """Finds the array of a signal in another process; None where the package has no address."""


@dataclass(slots=True)
class _Memory:
    """What this process has proven, and the proven copies that it keeps of remote datasets."""

    proven: dict[tuple[str, str], _Identity] = field(default_factory=dict)
    copies: dict[tuple[str, str], Path] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


_MEMORY = _Memory()


class DatasetSource:
    """A `LoadSource` on top of a package's files, proven against the package's id.

    `opener` opens a stored path for proven reading; `local` gives its real path, or None where the package is not on a
    disk of this machine; `entry` is the folder that is the dataset, where it is one; `arrays` is `array_again`.
    """

    def __init__(
        self,
        *,
        package: str,
        path: str,
        opener: Callable[[str], RangeReader],
        local: Callable[[str], Path | None],
        sidecars: Sequence[str] = (),
        entry: str = "",
        listener: Listener = silent,
        arrays: Callable[[int, str], Callable[[], Any] | None] = lambda number, verify: None,  # noqa: ARG005
    ) -> None:
        self.package = package
        self.path = path
        self.sidecars = tuple(sidecars)
        self.entry = entry or path
        self._opener = opener
        self._local = local
        self._listener = listener
        self.array_again = arrays

    def open(self, path: str) -> RangeReader:
        """Random access to one of the files, proven."""
        return self._opener(path)

    def local_path(self) -> Path | None:
        """The entry itself, where the package lies on a disk of this machine."""
        return self._local(self.entry)

    def prove(self, *, again: bool = False) -> Path:
        """Prove every file of the dataset, side files too; the entry, or its copy, which lives as long as this process.

        Raises `DigestMismatch` where a file is not what was archived, or changed meanwhile; `StoreError` where there is
        no room for the copy of a remote dataset.
        """
        here = self.local_path()
        if here is None:
            return self._copied(again)
        names = [name for name in (self.path, *self.sidecars) if again or not self._remembered(name)]
        with self._tally(names) as tally:
            for name, reader in tally.readers.items():
                before = self._identity(name)
                tally.prove(name, reader, None)
                if self._identity(name) != before:
                    raise DigestMismatch("the file changed while it was proven", where=name, next="Load it again.")
                with _MEMORY.lock:
                    _MEMORY.proven[self.package, name] = before
        return here

    @contextmanager
    def _tally(self, names: Sequence[str]) -> Iterator[_Tally]:
        """The files, open for as long as they are proven."""
        with ExitStack() as stack:
            yield _Tally({name: stack.enter_context(self._opener(name)) for name in names}, self._listener)

    def _identity(self, name: str) -> _Identity:
        path = self._local(name)
        if path is None:
            raise AssertionError("only files on a local disk have an identity")
        status = path.stat()
        return str(path), status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino

    def _remembered(self, name: str) -> bool:
        with _MEMORY.lock:
            known = _MEMORY.proven.get((self.package, name))
        return known is not None and known == self._identity(name)

    def _copied(self, again: bool) -> Path:
        """The entry in a private, proven copy; one for each dataset."""
        key = (self.package, self.entry)
        base = common_folder((self.entry, self.path, *self.sidecars))
        places = {name: PurePosixPath(name).relative_to(base) for name in (self.path, *self.sidecars)}
        with _MEMORY.lock:
            copy = _MEMORY.copies.get(key)
        if copy is None or again:
            new = self._copy(places)
            if copy is None or not _moved(new, copy, places.values()):
                copy = new
                atexit.register(shutil.rmtree, copy, ignore_errors=True)
            with _MEMORY.lock:
                _MEMORY.copies[key] = copy
        return copy / PurePosixPath(self.entry).relative_to(base)

    def _copy(self, places: Mapping[str, PurePosixPath]) -> Path:
        """A new folder with the files, proven; none where that fails."""
        folder = Path(tempfile.mkdtemp(prefix="diadem-"))
        try:
            with self._tally([*places]) as tally:
                _require_room(folder, tally.total)
                for name, reader in tally.readers.items():
                    tally.prove(name, reader, folder / places[name])
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder


def _moved(new: Path, old: Path, places: Collection[PurePosixPath]) -> bool:
    """Put a new copy in the place of an old one, which signals may still read; False where the system forbids it."""
    try:
        for place in places:
            (new / place).replace(old / place)
    except OSError:  # Windows, where a file is mapped that is in use
        for place in places:
            if not (new / place).exists():
                shutil.copyfile(old / place, new / place)
        return False
    shutil.rmtree(new, ignore_errors=True)
    return True


class _Tally:
    """Reads files through to the end on several threads, and tells how far it is."""

    def __init__(self, readers: dict[str, RangeReader], listener: Listener) -> None:
        self.readers = readers
        self.total = sum(reader.size for reader in readers.values())
        self._listener = listener
        self._done = 0
        self._lock = threading.Lock()

    def prove(self, name: str, reader: RangeReader, target: Path | None) -> None:
        """Read one file, and keep its bytes where a target is given."""
        if target is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
        pieces = in_order(
            lambda start: reader.read_at(start, _PIECE),
            range(0, reader.size, _PIECE),
            threads=_WORKERS,
            ahead=_WORKERS,
            name="diadem-prove",
        )
        with _sink(target) as sink, closing(pieces):
            for data in pieces:
                if sink is not None:
                    sink.write(data)
                self._advance(len(data), name)

    def _advance(self, count: int, name: str) -> None:
        with self._lock:
            self._done += count
            done = self._done
        self._listener(Progress("prove", done, self.total, name))


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object:
        """Append."""


def _sink(target: Path | None) -> AbstractContextManager[_Sink | None]:
    return nullcontext() if target is None else target.open("xb")


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE:
        raise StoreError(
            f"a proven copy needs {needed:,} bytes, the temporary folder has {free:,}",
            where=str(folder),
            next="Set TMPDIR (TEMP on Windows) to a disk with room, or restore the package first.",
        )


# -- A private copy of a dataset that holds its headers only, every byte proven, for a reader to take the metadata from.

#: Headers above this are no headers: prove the whole dataset instead.
MAX_BYTES = 256 << 20


class TooLarge(Exception):
    """The headers, or the holes, do not fit."""


@contextmanager
def header_copy(
    files: Mapping[str, RangeReader], primary: str, header: Mapping[str, Sequence[ByteRange]]
) -> Iterator[Path]:
    """The primary in a copy that is deleted afterwards; a file that `header` does not name is copied whole.

    Raises `TooLarge` for more than `MAX_BYTES`, or where there is no room; `DigestMismatch` where a header is damaged.
    """
    plan = {name: merged(header.get(name, [(0, reader.size)]), reader.size) for name, reader in files.items()}
    if sum(stop - start for ranges in plan.values() for start, stop in ranges) > MAX_BYTES:
        raise TooLarge
    base = common_folder(files)
    with tempfile.TemporaryDirectory(prefix="diadem-", ignore_cleanup_errors=True) as folder:
        for name, ranges in plan.items():
            _copy(files[name], ranges, Path(folder) / PurePosixPath(name).relative_to(base))
        yield Path(folder) / PurePosixPath(primary).relative_to(base)


def common_folder(names: Iterable[str]) -> PurePosixPath:
    """The deepest folder that holds all of the files."""
    parents = [PurePosixPath(name).parent for name in names]
    return next(
        folder
        for folder in (parents[0], *parents[0].parents)
        if all(folder == parent or folder in parent.parents for parent in parents)
    )


def _copy(reader: RangeReader, ranges: Iterable[ByteRange], target: Path) -> None:
    """Write a sparse file of the same size."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as sink:
        try:
            sink.truncate(reader.size)
        except OSError as error:
            raise TooLarge from error
        for start, stop in ranges:
            sink.seek(start)
            for place in range(start, stop, _PIECE):
                sink.write(reader.read_at(place, min(_PIECE, stop - place)))


def merged(ranges: Iterable[ByteRange], size: int) -> list[ByteRange]:
    """The same bytes in order, without overlaps, within the file."""
    result: list[ByteRange] = []
    for first, last in sorted(ranges):
        start, stop = max(0, first), min(last, size)
        if start >= stop:
            continue
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(stop, result[-1][1]))
        else:
            result.append((start, stop))
    return result
