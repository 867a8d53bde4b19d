"""One file of a package in a folder store, reached without following a link, and opened for writing by nobody else.

Files and folders of a package are read-only. Whatever has to be writable for a moment is so only for that moment.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from diadem.errors import Refused, StoreError
from diadem.model.manifest import PackageId
from diadem.model.names import unsafe
from diadem.model.ports import Closing
from diadem.store.bags import STEPWISE, look_at_folders, open_folder
from diadem.store.system import (
    READ_FLAGS,
    SEALED,
    WINDOWS,
    allow,
    flush_folder,
    long_path,
    patiently,
    refuse_links,
    translated,
)
from diadem.trust.hashing import leaf_digest

_WRITE_FLAGS = (READ_FLAGS & ~os.O_RDONLY) | os.O_RDWR
_SEALED_FOLDER = 0o555
_MOST_TWINS = 1000


class OpenSlot(Closing):
    """Where a file of a package lies, or should lie: its folder, held open, and its name.

    With `make_folders` those that are missing on the way are made; `close` seals them. Raises `Refused` if a path would
    leave the bag, or a link or a file stands where a folder should be.
    """

    def __init__(self, bag: Path, file: str, *, make_folders: bool = False) -> None:
        if reason := unsafe(file):
            raise Refused(f"is not touched: {reason}", where=file, next="Do not trust this package.")
        *folders, self._name = file.split("/")
        self._file = file
        self._path = str(bag.joinpath(*folders))
        self._made: list[str] = []
        self._folder: int | None = None
        try:
            if make_folders:
                self._make(bag, folders)
            if STEPWISE:  # no step can be exchanged for a link
                self._folder = open_folder(str(bag), folders)
            else:
                look_at_folders(str(bag), folders)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError) and error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise Refused(
                    "there is a link or a file where a folder of the package should be",
                    where=file,
                    next="Move it away, then repair again.",
                ) from error
            raise

    def _make(self, bag: Path, folders: list[str]) -> None:
        """Make the folders that are missing; nothing is made behind a link."""
        for depth in range(1, len(folders) + 1):
            above = bag.joinpath(*folders[: depth - 1])
            look_at_folders(str(bag), folders[: depth - 1])
            folder = str(bag.joinpath(*folders[:depth]))
            if not os.path.lexists(long_path(folder)):
                with writable_folder(str(above)):
                    os.mkdir(long_path(folder))
                self._made.append(folder)

    @property
    def _at(self) -> str:
        """The name as the system wants it: relative to the open folder, or the whole path."""
        return self._name if self._folder is not None else long_path(os.path.join(self._path, self._name))

    def status(self) -> os.stat_result | None:
        """What lies there, a link not followed; None if nothing does."""
        try:
            return os.stat(self._at, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open_reading(self) -> int:
        return os.open(self._at, READ_FLAGS, dir_fd=self._folder)

    def digest(self, offset: int, length: int) -> bytes | None:
        """BLAKE3 of some bytes of the file; None where they cannot be read.

        Raises `OSError` where the file cannot even be opened, for another reason than its permissions.
        """
        try:
            descriptor = self.open_reading()
        except PermissionError:
            return None
        try:
            return leaf_digest(read_exactly(descriptor, offset, length))
        except OSError:  # a bad sector: writing may mend it
            return None
        finally:
            os.close(descriptor)

    def open_writing(self) -> int:
        """A descriptor to write in place; the file itself is read-only again when this returns."""
        try:
            return os.open(self._at, _WRITE_FLAGS, dir_fd=self._folder)
        except PermissionError:
            return self._open_windows() if WINDOWS else self._open_sealed()

    def _open_sealed(self) -> int:
        """Lift the seal of exactly the file that is open, open it again for writing, put the seal back."""
        reading = self.open_reading()
        try:
            before = os.fstat(reading)
            allow(reading, stat.S_IMODE(before.st_mode) | stat.S_IWUSR)
            try:
                writing = os.open(self._at, _WRITE_FLAGS, dir_fd=self._folder)
            finally:
                allow(reading, stat.S_IMODE(before.st_mode))
            if not os.path.samestat(before, os.fstat(writing)):
                os.close(writing)
                raise OSError(errno.EBUSY, "the file was replaced while it was opened")
            return writing
        finally:
            os.close(reading)

    def _open_windows(self) -> int:
        os.chmod(self._at, stat.S_IWRITE)
        try:
            return patiently(lambda: os.open(self._at, _WRITE_FLAGS))
        finally:
            os.chmod(self._at, stat.S_IREAD)

    def set_time(self, descriptor: int, mtime_ns: int) -> None:
        """Give the open file a modification time, where the file system can hold it."""
        with contextlib.suppress(OSError, OverflowError):
            if os.utime in os.supports_fd:
                os.utime(descriptor, ns=(mtime_ns, mtime_ns))
                return
            os.chmod(self._at, stat.S_IWRITE)
            try:
                os.utime(self._at, ns=(mtime_ns, mtime_ns))
            finally:
                os.chmod(self._at, stat.S_IREAD)

    def put(self, staged: str) -> None:
        """Give a finished file this name, over whatever file, link or empty folder has it; force the name to disk.

        Raises `Refused` if a folder with something in it has the name.
        """
        present = self.status()
        with writable_folder(self._path, self._folder):
            if present is not None and stat.S_ISDIR(present.st_mode):
                try:
                    os.rmdir(self._at, dir_fd=self._folder)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
                    message = "there is a folder that is not empty where a file should be"
                    raise Refused(message, where=self._file, next="Move it away.") from error
            elif WINDOWS and present is not None:
                os.chmod(self._at, stat.S_IWRITE)
            patiently(lambda: os.replace(long_path(staged), self._at, dst_dir_fd=self._folder))
        self.flush()

    def flush(self) -> None:
        """Force the names in the folder to disk."""
        flush_folder(long_path(self._path))

    def move(self, target: str) -> None:
        """Take whatever has this name out of the package, to another name on the same file system."""
        with writable_folder(self._path, self._folder):
            patiently(lambda: os.rename(self._at, long_path(target), src_dir_fd=self._folder))
        self.flush()

    def reseal(self, mtime_ns: int | None) -> None:
        """Take the write permission from the file and its folder, and give the file its time back."""
        status = self.status()
        if status is not None and stat.S_ISREG(status.st_mode):
            if mtime_ns is not None and status.st_mtime_ns != mtime_ns:
                descriptor = self.open_writing()
                try:
                    self.set_time(descriptor, mtime_ns)
                finally:
                    os.close(descriptor)
            if WINDOWS:
                os.chmod(self._at, stat.S_IREAD)
            elif status.st_mode & 0o222:
                descriptor = self.open_reading()
                try:
                    allow(descriptor, SEALED)
                finally:
                    os.close(descriptor)
        if self._folder is not None:
            allow(self._folder, _SEALED_FOLDER)

    def close(self) -> None:
        """Seal the folders that were made, and let go of the folder."""
        if not WINDOWS:
            for folder in reversed(self._made):
                allow(folder, _SEALED_FOLDER)
        self._made = []
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None


def package_folder(root: Path, path: str) -> Path:
    """The folder of a package in a store. Raises `Refused` for a path that leaves the store, if only by a link."""
    if reason := unsafe(path):
        raise Refused(f"is not touched: {reason}", where=path, next="Name a package of the store.")
    return refuse_links(root, root / path)


def read_exactly(descriptor: int, offset: int, length: int) -> bytes:
    """The `length` bytes at a place; fewer only at the end of the file."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    pieces = []
    while length > 0 and (piece := os.read(descriptor, length)):
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


@contextlib.contextmanager
def writable_folder(path: str, descriptor: int | None = None) -> Iterator[None]:
    """A folder in which names can be changed, until the block ends. Windows has no such permission."""
    if WINDOWS:
        yield
        return
    target: int | str = path if descriptor is None else descriptor
    mode = stat.S_IMODE(os.stat(target).st_mode)
    if mode & stat.S_IWUSR:
        yield
        return
    allow(target, mode | stat.S_IWUSR)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # what was changed is changed; `reseal` tries again
            allow(target, mode)


def set_aside(root: Path, path: str, file: str, package: PackageId) -> str:
    """Move a file, link or folder out of a package, never deleting it; where it lies now, relative to the store.

    It goes to ``.diadem/quarantine/<64 hex of the package id>/<path in the bag>``. Raises `Refused` if it is not there,
    or lies behind a link.
    """
    if reason := unsafe(path) or unsafe(file):
        raise Refused(f"is not touched: {reason}", where=file, next="Move it away by hand.")
    with translated(str(root), "it stays where it is"), OpenSlot(root / path, file) as slot:
        if slot.status() is None:
            raise Refused("is no longer there", where=file, next="Verify the package again.")
        package_folder(root, path)
        refuse_links(root, root / ".diadem" / "quarantine" / package.hex)
        target = _free(root / ".diadem" / "quarantine" / package.hex / file)
        os.makedirs(long_path(target.parent), exist_ok=True)
        slot.move(str(target))
        flush_folder(long_path(target.parent))
    return target.relative_to(root).as_posix()


def _free(target: Path) -> Path:
    """The path, or the path with a number where something has been set aside under it before."""
    for number in range(1, _MOST_TWINS):
        candidate = target if number == 1 else target.with_name(f"{target.name}~{number}")
        if not os.path.lexists(long_path(candidate)):
            return candidate
    raise StoreError("too much has been set aside under this name", where=str(target), next="Clear it up.")
