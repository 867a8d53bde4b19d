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
from diadem.store.system import CREATE_FLAGS, SEALED, FileLock, flush_folder, flush_tree, long_path, patiently

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
            os.makedirs(long_path(self.bag / folder), exist_ok=True)
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
        self._lock.release()
        patiently(lambda: _unlink(lock_path(self.folder)))


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
        """Raise `StoreError` if the disk cannot hold `needed` more bytes."""
        folder = next(path for path in (self.root, *self.root.parents) if path.is_dir())
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise StoreError(
                f"the disk has {free:,} bytes free and the package needs {needed:,}",
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
            folder = self.private / "stage" / uuid.uuid4().hex
            os.makedirs(long_path(folder.parent), exist_ok=True)
            lock = FileLock(lock_path(folder))
            lock.acquire()
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
            present = self.find_payload(payload)
            if present is not None and is_sound(present[1]):
                stage.discard()
                return present[1], False
            target = self._free_name(name)
            os.makedirs(long_path(target.parent), exist_ok=True)
            self._write_hint("by-payload", payload, package.hex, target.relative_to(self.root).as_posix())
            self._write_hint("by-tree", tree, payload, "")
            patiently(lambda: os.rename(long_path(stage.bag), long_path(target)))
            _restrict(str(target))
            flush_folder(long_path(target.parent))
            flush_folder(long_path(target.parent.parent))
        stage.discard()
        return target, True

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

    def find_payload(self, payload: str) -> tuple[PackageId, Path] | None:
        """The package that holds this payload, if its hint is true: it is there and has the id it is said to have."""
        for name, content in self._hints("by-payload", payload):
            folder = self.root / content
            try:
                tagmanifest = (folder / TAGMANIFEST).read_bytes()
            except OSError:
                continue
            if hashlib.sha256(tagmanifest).hexdigest() == name:
                return PackageId(name), folder
        return None

    def knows_tree(self, tree: str) -> bool:
        """Whether some package has these paths and sizes."""
        return any(True for _ in self._hints("by-tree", tree))

    def _hints(self, kind: str, key: str) -> Iterator[tuple[str, str]]:
        folder = self.private / kind / key
        try:
            names = sorted(os.listdir(long_path(folder)))
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            if not name.startswith("."):
                yield name, (folder / name).read_text(encoding="utf-8").strip()

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
        for name in names:
            folder = self.private / "stage" / name.removesuffix(".lock")
            if (swept_now := self._sweep_one(folder)) is not None:
                swept.append(swept_now)
        return swept

    def _sweep_one(self, folder: Path) -> Swept | None:
        if not os.path.lexists(long_path(lock_path(folder))) and not os.path.lexists(long_path(folder)):
            return None
        lock = FileLock(lock_path(folder))
        try:
            if not lock.acquire():
                return None
        except OSError:  # a read-only store: nothing can be removed, and nothing needs to be
            return None
        try:
            if not lock.supported and time.time() - _last_change(folder) < SILENCE:
                return None
            existed = os.path.isdir(long_path(folder))
            files = remove_tree(folder)
        finally:
            lock.release()
        patiently(lambda: _unlink(lock_path(folder)))
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
    errno.EROFS: ("the store is read-only", "Choose a store that can be written."),
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


def _unlink(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(long_path(path))


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
        newest = max(newest, *(os.lstat(os.path.join(root, name)).st_mtime for name in files), os.lstat(root).st_mtime)
    return newest
