"""Stages: packages being written, invisible until they are published, and swept when their writer is dead."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from diadem.errors import StoreError
from diadem.store.system import (
    CREATE_FLAGS,
    SEALED,
    FileLock,
    SinkFailed,
    allow,
    flush_tree,
    is_link,
    long_path,
    make_deep,
    patiently,
    through_link,
)

#: A stage on a file system without locks is swept after this many seconds of silence: 7 days.
SILENCE = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Swept:
    """A stage left by a writer that died, and removed."""

    path: str
    files: int


class Stage:
    """A package being written, in the store's own file system, invisible until it is published."""

    def __init__(self, folder: Path, lock: FileLock) -> None:
        self.folder = folder
        self.bag = folder / "bag"
        self._lock = lock
        self._folders: set[str] = set()

    def target(self, path: str) -> str:
        """Where the file with this bag path goes; its folder exists afterwards."""
        folder, _, _ = path.rpartition("/")
        if folder not in self._folders:
            try:
                make_deep(self.bag / folder)
            except OSError as error:
                raise SinkFailed(error) from error
            self._folders.add(folder)
        return os.path.join(self.bag, *path.split("/"))

    def write(self, path: str, data: bytes) -> None:
        """Create a small read-only file."""
        descriptor = os.open(long_path(self.target(path)), CREATE_FLAGS, SEALED)
        with open(descriptor, "wb") as sink:
            sink.write(data)

    def seal(self, files: Sequence[str]) -> None:
        """Make inner folders read-only and force everything to disk. The top folder follows after the rename.

        A file that was begun and dropped may have left an empty folder behind; such folders go.
        """
        self._drop_empty_folders(files)
        folders = [str(self.bag / folder) for folder in _with_parents(self._folders) if folder]
        for folder in folders:
            restrict(folder)
        flush_tree(
            long_path(self.bag),
            (long_path(self.bag / path) for path in files),
            (long_path(folder) for folder in [*folders, str(self.bag)]),
        )

    def _drop_empty_folders(self, files: Sequence[str]) -> None:
        used = set(_with_parents({path.rpartition("/")[0] for path in files}))
        for folder in _with_parents(self._folders):
            if folder and folder not in used:
                os.rmdir(long_path(self.bag / folder))
        self._folders &= used | {""}

    def discard(self) -> None:
        """Remove the stage and everything in it; what cannot be removed is swept later, for its lock is free then."""
        try:
            remove_tree(self.folder)
        except OSError:
            self._lock.release()
            raise
        self._lock.remove()


def sweep(stages: Path) -> list[Swept]:
    """Remove stages whose writer is dead, and say which."""
    swept = []
    for left in abandoned(stages.parent.parent, stages):
        for folder in left:
            with contextlib.suppress(OSError):  # cleaning never stops an archive; the next run tries again
                existed, files = os.path.isdir(long_path(folder)), remove_tree(folder)
                if existed:
                    swept.append(Swept(str(folder), files))
    return swept


def abandoned(
    root: Path, folder: Path, writer: Callable[[str], str] = lambda name: name.removesuffix(".lock")
) -> Iterator[list[Path]]:
    """What dead writers left in a folder of a store: all of one at a time, locked while the caller looks or removes.

    A living writer holds ``<its name>.lock``; where the file system has no locks only what was silent for `SILENCE`
    seconds counts as left. `writer` gives the name in that of a file, or "" where the file is nobody's. Nothing is
    looked for behind a link.
    """

    def names() -> list[str]:
        try:
            return sorted(os.listdir(long_path(folder)))
        except OSError:
            return []

    if through_link(root, folder) is not None:
        return
    for each in dict.fromkeys(filter(None, map(writer, names()))):
        lock = FileLock(folder / f"{each}.lock")
        with contextlib.suppress(OSError, StoreError):
            if each not in map(writer, names()) or not lock.acquire():  # else it ended in this moment
                continue
            try:
                left = [folder / name for name in names() if writer(name) == each and not name.endswith(".lock")]
                if lock.supported or time.time() - _last_change(left) >= SILENCE:
                    yield left
                    lock.remove()
            finally:
                lock.release()


def lock_path(folder: Path) -> Path:
    """The lock file of a stage."""
    return folder.with_name(folder.name + ".lock")


def remove_tree(folder: Path) -> int:
    """Remove a folder of ours with all that is in it, read-only or not, behind no link. Returns the number of files."""
    files = 0
    if is_link(folder):  # what it points to is not ours
        _remove_link(long_path(folder))
        return 1
    pending: list[tuple[str, bool]] = [(long_path(folder), False)]
    while pending:
        path, emptied = pending.pop()
        if emptied:
            patiently(partial(os.rmdir, path))
            continue
        if not os.path.isdir(path):
            continue
        allow(path, stat.S_IRWXU)
        pending.append((path, True))
        with os.scandir(path) as entries:
            for entry in entries:
                if is_link(entry.path):
                    files += 1
                    _remove_link(entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    pending.append((entry.path, False))
                else:
                    files += 1
                    _remove_file(entry.path)
    return files


def _remove_file(path: str) -> None:
    if os.name == "nt":
        os.chmod(path, stat.S_IWRITE)
    patiently(lambda: os.unlink(path))


def _remove_link(path: str) -> None:
    """Remove a link, not what it points to; on Windows one to a folder is removed as a folder is."""
    try:
        patiently(partial(os.unlink, path))
    except OSError:
        if os.name != "nt":
            raise
        patiently(partial(os.rmdir, path))


def restrict(folder: str) -> None:
    """Take the write permission from a folder; Windows has no such bit."""
    if os.name != "nt":
        allow(folder, 0o555)  # readable for all, writable for none


def _with_parents(folders: Iterable[str]) -> Sequence[str]:
    """The folders and all folders above them, deepest first."""
    every: set[str] = set()
    for folder in folders:
        parts = folder.split("/")
        every.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return sorted(every, key=lambda folder: -folder.count("/"))


def _last_change(tops: Iterable[Path]) -> float:
    newest = 0.0
    for top in tops:
        inner = (
            os.path.join(root, name) for root, folders, files in os.walk(long_path(top)) for name in folders + files
        )
        for path in (long_path(top), *inner):
            with contextlib.suppress(OSError):  # its writer may remove it while we look
                newest = max(newest, os.lstat(path).st_mtime)
    return newest
