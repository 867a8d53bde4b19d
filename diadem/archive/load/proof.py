"""Proving whole datasets before a reader opens them, and remembering for the life of this process what was proven."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from diadem.errors import DigestMismatch, StoreError
from diadem.model.layout import ByteRange, joined
from diadem.model.ports import Listener, Meter, RangeReader, silent
from diadem.store.system import or_else
from diadem.work import in_order

#: Bytes proven by one task: several leaves, few enough that all threads have work.
_PIECE = 8 << 20
_WORKERS = min(4, os.cpu_count() or 1)
#: Kept free on the disk that takes a copy.
_SPARE = 64 << 20

#: What identifies a file on a disk as unchanged: path, size, mtime, device and file number.
_Identity = tuple[str, int, int, int, int]


#: What this process has proven, and the proven copies of remote datasets that it keeps, by package and path.
_PROVEN: dict[tuple[str, str], _Identity] = {}
_COPIES: dict[tuple[str, str], Path] = {}
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSource:
    """A dataset of a package, proven against its id. Paths are stored paths, relative to `data/`.

    `path` is the primary file, `files` are the bytes of each file, it first; `entry` is what the reader is given: the
    primary, or the folder that is the dataset. `open` gives random access to a file, proven; `local` its real path, or
    None where the package is not on a disk of this machine; `array_again` finds the array of a signal in another
    process, and gives None where the package has no address.
    """

    package: str
    path: str
    files: Mapping[str, int]
    entry: str
    open: Callable[[str], RangeReader]
    local: Callable[[str], Path | None]
    listener: Listener = silent
    array_again: Callable[[int, str], Callable[[], Any] | None] = lambda number, verify: None  # noqa: ARG005

    def prove(self, *, again: bool = False) -> Path:
        """Prove every file of the dataset, side files too; the entry, or its copy, which lives as long as this process.

        Raises `DigestMismatch` where a file is not what was archived, or changed meanwhile; `StoreError` where there is
        no room for the copy of a remote dataset.
        """
        here = self.local(self.entry)
        if here is None:
            return self._copied(again)
        with _LOCK:
            known = {name: _PROVEN.get((self.package, name)) for name in self.files}
        names = [name for name, before in known.items() if again or before != self._identity(name)]
        meter = Meter("prove", sum(self.files[name] for name in names), self.listener)
        for name in names:
            before = self._identity(name)
            with closing(self._pieces(name)) as pieces:
                for data in pieces:
                    meter.add(len(data), name)
            if self._identity(name) != before:
                raise DigestMismatch("the file changed while it was proven", where=name, next="Load it again.")
            with _LOCK:
                _PROVEN[self.package, name] = before
        return here

    def _pieces(self, name: str) -> Generator[bytes, None, None]:
        """A file from its beginning to its end, read on several threads.

        It is open for as long as that takes: a folder may hold more files than a process may have open.
        """
        with (
            self.open(name) as reader,
            closing(
                in_order(
                    lambda start: reader.read_at(start, _PIECE),
                    range(0, reader.size, _PIECE),
                    threads=_WORKERS,
                    ahead=_WORKERS,
                    name="diadem-prove",
                )
            ) as pieces,
        ):
            yield from pieces

    def _identity(self, name: str) -> _Identity:
        path = self.local(name)
        assert path is not None, "only files on a local disk have an identity"
        status = path.stat()
        return str(path), status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino

    def _copied(self, again: bool) -> Path:
        """The entry in a private, proven copy; one for each dataset."""
        key = (self.package, self.entry)
        base = common_folder((self.entry, *self.files))
        places = {name: PurePosixPath(name).relative_to(base) for name in self.files}
        with _LOCK:
            copy = _COPIES.get(key)
        if copy is None or again:
            new = self.copy(places)
            if copy is None or not _moved(new, copy, places.values()):
                copy = new
                atexit.register(shutil.rmtree, copy, ignore_errors=True)
            with _LOCK:
                _COPIES[key] = copy
        return copy / PurePosixPath(self.entry).relative_to(base)

    def copy(self, places: Mapping[str, PurePosixPath]) -> Path:
        """A new temporary folder with these files, proven, at their places in it; none where that fails."""
        total = sum(self.files[name] for name in places)
        meter = Meter("prove", total, self.listener)
        folder = Path(tempfile.mkdtemp(prefix="diadem-"))
        with or_else(lambda: shutil.rmtree(folder, ignore_errors=True)):
            if (free := shutil.disk_usage(folder).free) < total + _SPARE:
                raise StoreError(
                    f"a proven copy needs {total:,} bytes, the temporary folder has {free:,}",
                    where=str(folder),
                    next="Set TMPDIR (TEMP on Windows) to a disk with room, or restore the package first.",
                )
            for name, place in places.items():
                target = folder / place
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as sink, closing(self._pieces(name)) as pieces:
                    for data in pieces:
                        sink.write(data)
                        meter.add(len(data), name)
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


# -- headers -----------------------------------------------------------------------------------------------------------

#: Headers above this are no headers: prove the whole dataset instead.
MAX_BYTES = 256 << 20


class TooLarge(Exception):
    """The headers, or the holes, do not fit."""


@contextmanager
def header_copy(
    files: Mapping[str, RangeReader], primary: str, header: Mapping[str, Sequence[ByteRange]]
) -> Iterator[Path]:
    """The primary of a dataset in a private copy that holds its headers only, every byte proven, and is then deleted.

    The copy has the names and sizes of the files; where the arrays are it has holes. So the reader can see nothing that
    is not proven, it never learns where the package is, and a remote file of 100 GB costs some kilobytes. A file that
    `header` does not name is copied whole. Raises `TooLarge` for more than `MAX_BYTES`, or where there is no room;
    `DigestMismatch` where a header is damaged.
    """
    plan = {name: joined(header.get(name, [(0, reader.size)]), reader.size) for name, reader in files.items()}
    if sum(stop - start for ranges in plan.values() for start, stop in ranges) > MAX_BYTES:
        raise TooLarge
    base = common_folder(files)
    with tempfile.TemporaryDirectory(prefix="diadem-", ignore_cleanup_errors=True) as folder:
        for name, ranges in plan.items():
            target = Path(folder) / PurePosixPath(name).relative_to(base)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as sink:
                try:
                    sink.truncate(files[name].size)
                except OSError as error:
                    raise TooLarge from error
                for start, stop in ranges:
                    sink.seek(start)
                    for place in range(start, stop, _PIECE):
                        sink.write(files[name].read_at(place, min(_PIECE, stop - place)))
        yield Path(folder) / PurePosixPath(primary).relative_to(base)


def common_folder(names: Iterable[str]) -> PurePosixPath:
    """The deepest folder that holds all of the files."""
    parents = [PurePosixPath(name).parent for name in names]
    return next(
        folder
        for folder in (parents[0], *parents[0].parents)
        if all(folder == parent or folder in parent.parents for parent in parents)
    )
