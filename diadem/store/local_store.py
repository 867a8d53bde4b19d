"""Packages on a file system: stage → seal → publish by one rename, and the hints that find what is already there.

::

    <store>/2026/20260314-zno-s12-1f0c9a77d2e4/     a package
    <store>/.diadem/stage/<random>/                 one being written, with its lock beside it
    <store>/.diadem/by-payload/<payload id>/<id>    hint: the path of the package with this payload
    <store>/.diadem/by-tree/<digest>/<payload id>   hint: a payload with these paths and sizes
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from diadem.errors import DiademError, StoreError
from diadem.model.ids import PackageId
from diadem.model.manifest import TAGMANIFEST
from diadem.package.paths import unsafe
from diadem.store.copying import SinkFailed
from diadem.store.system import CREATE_FLAGS, SEALED, FileLock, flush_folder, flush_tree, long_path, patiently

#: A stage on a file system without locks is swept after this many seconds of silence: 7 days.
SILENCE = 7 * 24 * 3600
_MAX_HINT = 4096
#: Room kept for what DIADEM derives, beside the payload: page, crate, record, tag files.
_RESERVE = 16 << 20


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
                os.makedirs(long_path(self.bag / folder), exist_ok=True)
            except OSError as error:
                raise SinkFailed(error) from error
            self._folders.add(folder)
        return str(self.bag / path)

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
            _restrict(folder)
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
        """Remove the stage and everything in it."""
        remove_tree(self.folder)
        self._lock.remove()


class LocalStore:
    """A folder that holds packages.

    Parameters
    ----------
    root : Path
        The folder; made when the first package is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))
        self.private = self.root / ".diadem"

    @property
    def url(self) -> str:
        """The folder as text."""
        return str(self.root)

    # -- writing ---------------------------------------------------------------------------------------------------

    def check_space(self, needed: int) -> None:
        """Raise `StoreError` if the store cannot be written, or its disk cannot hold `needed` more bytes."""
        folder = next(path for path in (self.root, *self.root.parents) if path.is_dir())
        if not os.access(folder, os.W_OK):
            raise store_error(OSError(errno.EROFS, ""), str(folder))
        free = shutil.disk_usage(folder).free
        if needed + _RESERVE > free:
            raise StoreError(
                f"the disk has {free:,} bytes free; the payload needs {needed:,}, all else up to {_RESERVE:,}",
                where=self.url,
                next="Free space, or choose another store.",
            )

    def stage(self) -> Stage:
        """Open a stage.

        Raises
        ------
        StoreError
            If the store cannot be written.
        """
        with translated(self.url):
            os.makedirs(long_path(self.private / "stage"), exist_ok=True)
            while True:
                folder = self.private / "stage" / uuid.uuid4().hex
                lock = FileLock(lock_path(folder))
                if lock.acquire():  # else a sweeper looked at the new lock in this very moment
                    break
            os.makedirs(long_path(folder / "bag"))
        return Stage(folder, lock)

    def publish(
        self, stage: Stage, name: str, package: PackageId, payload: str, tree: str, is_sound: Callable[[Path], bool]
    ) -> tuple[Path, bool]:
        """Give a sealed stage its final name, unless another writer was faster.

        Parameters
        ----------
        stage : Stage
            Sealed.
        name : str
            ``<yyyy>/<date>-<slug>-<12 hex>``.
        package, payload, tree : str
            Ids of the package, of its payload, and the digest of paths and sizes (see `tree_digest`).
        is_sound : callable
            Tells whether a package that is there already is whole; a damaged one does not stop this one.

        Returns
        -------
        (Path, bool)
            The folder, and whether this call made it. Where it is False the stage has been dropped.
        """
        with translated(self.url), FileLock(self.private / "publish.lock"):
            present = next((folder for _, folder in self.find_payload(payload) if is_sound(folder)), None)
            if present is None:
                target = self._free_name(name)
                os.makedirs(long_path(target.parent), exist_ok=True)
                self._write_hint("by-payload", payload, package.hex, target.relative_to(self.root).as_posix())
                self._write_hint("by-tree", tree, payload, "")
                flush_folder(long_path(self.root))
                patiently(lambda: os.rename(long_path(stage.bag), long_path(target)))
                _settle(target)
        # From the rename on the package is there: what is left to tidy must not look like a failure.
        with contextlib.suppress(OSError):
            stage.discard()
        return (target, True) if present is None else (present, False)

    def _free_name(self, name: str) -> Path:
        """The name, or the name with a number where a damaged package or a stranger has it."""
        for number in range(1, 1000):
            target = self.root / (name if number == 1 else f"{name}-{number}")
            if not os.path.lexists(long_path(target)):
                return target
        raise StoreError(f"every name like {name} is taken", where=self.url)

    def _write_hint(self, kind: str, key: str, name: str, content: str) -> None:
        folder = self.private / kind / key
        os.makedirs(long_path(folder), exist_ok=True)
        draft = folder / f".{uuid.uuid4().hex}"
        with open(long_path(draft), "w", encoding="utf-8") as sink:
            sink.write(content)
            sink.flush()
            os.fsync(sink.fileno())
        patiently(lambda: os.replace(long_path(draft), long_path(folder / name)))

    # -- finding ---------------------------------------------------------------------------------------------------

    def find_payload(self, payload: str) -> Iterator[tuple[PackageId, Path]]:
        """Packages that hold this payload, where the hint is true: it is there and has the id it is said to have."""
        for name, content in self._hints("by-payload", payload):
            if not content or unsafe(content):
                continue
            folder = self.root / content
            try:
                with open(long_path(folder / TAGMANIFEST), "rb") as source:
                    tagmanifest = source.read()
            except (OSError, ValueError):
                continue
            if hashlib.sha256(tagmanifest).hexdigest() == name:
                yield PackageId(name), folder

    def knows_tree(self, tree: str) -> bool:
        """Whether some package has these paths and sizes."""
        return any(True for _ in self._hints("by-tree", tree))

    def _hints(self, kind: str, key: str) -> Iterator[tuple[str, str]]:
        folder = self.private / kind / key
        try:
            names = sorted(os.listdir(long_path(folder)))
        except OSError:  # a hint that cannot be read is no hint
            return
        for name in names:
            if not name.startswith("."):
                with contextlib.suppress(OSError), open(long_path(folder / name), "rb") as source:
                    yield name, source.read(_MAX_HINT).decode("utf-8", "replace").strip()

    # -- cleaning --------------------------------------------------------------------------------------------------

    def sweep(self) -> list[Swept]:
        """Remove stages whose writer is dead, and say which.

        A living writer holds its lock; where the file system has no locks only a stage that was silent for
        `SILENCE` seconds is taken for dead.
        """
        swept = []
        try:
            names = sorted(os.listdir(long_path(self.private / "stage")))
        except OSError:
            return []
        for name in dict.fromkeys(name.removesuffix(".lock") for name in names):
            with contextlib.suppress(OSError):  # cleaning never stops an archive; the next run tries again
                if (removed := self._sweep_one(self.private / "stage" / name)) is not None:
                    swept.append(removed)
        return swept

    def _sweep_one(self, folder: Path) -> Swept | None:
        if not os.path.lexists(long_path(lock_path(folder))) and not os.path.lexists(long_path(folder)):
            return None
        lock = FileLock(lock_path(folder))
        if not lock.acquire():
            return None
        try:
            if not lock.supported and time.time() - _last_change(folder) < SILENCE:
                lock.release()
                return None
            existed = os.path.isdir(long_path(folder))
            files = remove_tree(folder)
            lock.remove()
        finally:
            lock.release()
        return Swept(str(folder), files) if existed else None


def lock_path(folder: Path) -> Path:
    """The lock file of a stage."""
    return folder.with_name(folder.name + ".lock")


def tree_digest(files: Iterable[tuple[str, int]]) -> str:
    """SHA-256 of the sorted lines ``<size> <stored path>``: what a tree looks like before anything is read."""
    digest = hashlib.sha256()
    for name, size in sorted(files):
        digest.update(f"{size} {name}\n".encode())
    return digest.hexdigest()


class translated:  # noqa: N801  reads as a phrase: `with translated(url):`
    """Turns the operating system's errors into `StoreError`s that say what to do."""

    def __init__(self, url: str, consequence: str = "nothing was archived") -> None:
        self._url = url
        self._consequence = consequence

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Translate."""
        if isinstance(error, OSError) and not isinstance(error, DiademError):
            raise store_error(error, self._url, self._consequence) from error


_CAUSES = {
    errno.ENOSPC: ("the disk is full", "Free space, or choose another store."),
    errno.EDQUOT: ("the quota is used up", "Free space, or ask for more."),
    errno.EROFS: ("the store is read-only or may not be written", "Choose a store that can be written."),
    errno.EACCES: ("the store may not be written", "Check the permissions, or choose another store."),
    errno.EPERM: ("the store may not be written", "Check the permissions, or choose another store."),
    errno.ENOTDIR: ("the store is not a folder", "Name a folder."),
    errno.EEXIST: ("the store is not a folder", "Name a folder."),
    errno.ENAMETOOLONG: ("a path is too long for this file system", "Choose a store with a shorter path."),
    errno.EIO: ("the disk reports an input/output error", "Check the disk; choose another store."),
}


def store_error(error: OSError, url: str, consequence: str = "nothing was archived") -> StoreError:
    """The `StoreError` for an error of the operating system while writing to a store."""
    code = error.errno or 0
    message, advice = _CAUSES.get(code, (error.strerror or str(error), "See the operating system's message."))
    return StoreError(f"{message}; {consequence}", where=url, next=advice)


def remove_tree(folder: Path) -> int:
    """Remove a folder of ours with everything in it, read-only or not. Returns the number of files."""
    files = 0
    pending: list[tuple[str, bool]] = [(long_path(folder), False)]
    while pending:
        path, emptied = pending.pop()
        if emptied:
            patiently(partial(os.rmdir, path))
            continue
        if not os.path.isdir(path):
            continue
        os.chmod(path, stat.S_IRWXU)
        pending.append((path, True))
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append((entry.path, False))
                else:
                    files += 1
                    _remove_file(entry.path)
    return files


def _remove_file(path: str) -> None:
    if os.name == "nt":
        os.chmod(path, stat.S_IWRITE)
    patiently(lambda: os.unlink(path))


def _settle(target: Path) -> None:
    """Seal a package that has just got its name and force the name to disk, as far as the system lets us."""
    with contextlib.suppress(OSError):
        _restrict(str(target))
    for folder in (target.parent, target.parent.parent):
        with contextlib.suppress(OSError):
            flush_folder(long_path(folder))


def _restrict(folder: str) -> None:
    """Take the write permission from a folder; Windows has no such bit."""
    if os.name != "nt":
        os.chmod(folder, 0o555)  # noqa: S103  readable for all, writable for none


def _with_parents(folders: Iterable[str]) -> Sequence[str]:
    """The folders and all folders above them, deepest first."""
    every: set[str] = set()
    for folder in folders:
        parts = folder.split("/")
        every.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return sorted(every, key=lambda folder: -folder.count("/"))


def _last_change(folder: Path) -> float:
    newest = 0.0
    for root, _, files in os.walk(long_path(folder)):
        for path in (root, *(os.path.join(root, name) for name in files)):
            with contextlib.suppress(OSError):  # its writer may remove it while we look
                newest = max(newest, os.lstat(path).st_mtime)
    return newest
