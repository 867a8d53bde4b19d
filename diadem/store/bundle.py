"""A bag in a folder of this machine: listed without following links, opened only inside itself."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from diadem.errors import NotFound, PackageError
from diadem.model.ports import Listing
from diadem.package.names import unsafe
from diadem.store.system import READ_FLAGS, long_path

_FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
#: Bit of a reparse tag that says "this stands for another place" (ntifs.h, IsReparseTagNameSurrogate): symbolic links
#: and junctions have it; placeholders of OneDrive and deduplicated files, which hold their own bytes, do not.
_NAME_SURROGATE = 0x20000000
#: Whether this system opens a file relative to an open folder, and reads at a place without seeking.
_STEPWISE = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_POSITIONED = hasattr(os, "preadv")


class LocalFile:
    """Random access to one file of a local bag; several threads may read at once."""

    __slots__ = ("_descriptor", "_lock", "_path", "_size", "is_sparse")

    def __init__(self, descriptor: int, path: str, size: int, *, is_sparse: bool = False) -> None:
        self._descriptor = descriptor
        self._path = path
        self._size = size
        #: Whether the file takes less of its disk than it has bytes.
        self.is_sparse = is_sparse
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes in the file when it was opened."""
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`; fewer only at the end of the file.

        Raises
        ------
        OSError
            If the disk cannot read them.
        """
        length = max(0, min(length, self._size - offset))
        if _POSITIONED and len(data := os.pread(self._descriptor, length, offset)) == length:
            return data  # made once: a buffer would be copied
        buffer = bytearray(length)
        got = self.readinto_at(offset, memoryview(buffer))
        return bytes(memoryview(buffer)[:got])

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`; return the bytes read, fewer than its length only at the end of the file.

        Raises
        ------
        OSError
            If the disk cannot read them.
        """
        done = self._fill(offset, buffer)
        while 0 < done < len(buffer):
            more = self._fill(offset + done, buffer[done:])
            if not more:
                break
            done += more
        return done

    def _fill(self, offset: int, buffer: memoryview) -> int:
        if _POSITIONED:
            return os.preadv(self._descriptor, (buffer,), offset)
        with self._lock:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            data = os.read(self._descriptor, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Release the file; a second time does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        """The file itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


class LocalBundle:
    """The files of a bag in a local folder.

    Parameters
    ----------
    path : str or os.PathLike
        The bag's folder.

    Raises
    ------
    NotFound
        If nothing is there.
    PackageError
        If it is not a folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._url = os.path.abspath(path)
        self._root = long_path(self._url)
        if not os.path.lexists(self._root):
            raise NotFound("nothing is there", where=self._url, next="Check the path.")
        if not os.path.isdir(self._root):
            raise PackageError("is not a folder", where=self._url, next="Give the folder that holds bagit.txt.")

    @property
    def url(self) -> str:
        """Absolute path of the bag's folder."""
        return self._url

    def listing(self) -> Listing:
        """Everything in the bag; no link is followed, and what cannot be listed is named as irregular.

        Raises
        ------
        NotFound
            The bag has gone away.
        """
        files: dict[str, int] = {}
        irregular: dict[str, str] = {}
        folders = [""]
        while folders:
            prefix = folders.pop()
            try:
                with os.scandir(os.path.join(self._root, *prefix.split("/"))) as entries:
                    for entry in entries:
                        _classify(entry, prefix + entry.name, files, irregular, folders)
            except OSError as error:
                if not os.path.lexists(self._root):
                    raise self._absent(prefix) from error
                irregular[prefix.rstrip("/") or "."] = "unreadable"
        return Listing(files, irregular)

    def exists(self, path: str) -> bool:
        """Whether a regular file is there."""
        try:
            self.open(path).close()
        except (NotFound, PackageError):
            return False
        return True

    def read(self, path: str, limit: int) -> bytes:
        """The whole of a small file.

        Raises
        ------
        NotFound
            If it is absent.
        PackageError
            If it has more than `limit` bytes, is no regular file, lies outside the bag or cannot be read.
        """
        with self.open(path) as file:
            if file.size > limit:
                raise PackageError(f"has {file.size} bytes, more than the {limit} allowed here", where=path)
            try:
                return file.read_at(0, limit)
            except OSError as error:
                raise _unreadable(path, error) from error

    def read_files(self, wanted: Iterable[tuple[str, memoryview]]) -> None:
        """Fill each buffer with the whole of its file; files of one folder that follow each other cost one look-up.

        Parameters
        ----------
        wanted : iterable of (str, memoryview)
            Paths, judged by the caller, and buffers of the size that each file must have.

        Raises
        ------
        NotFound, PackageError
            As `open`; also where a file has another size.
        """
        folder, descriptor = "", -1
        try:
            for path, buffer in wanted:
                above, _, name = path.rpartition("/")
                if _STEPWISE and (descriptor < 0 or above != folder):
                    descriptor = _replaced(descriptor, self._folder(above.split("/"), path))
                    folder = above
                with self._within(descriptor, name, path) if _STEPWISE else self.open(path) as file:
                    if file.size != len(buffer) or file.readinto_at(0, buffer) != len(buffer):
                        raise PackageError(f"does not have {len(buffer)} bytes", where=path, next="Run: diadem scrub")
        except OSError as error:
            raise _unreadable(path, error) from error
        finally:
            _replaced(descriptor, -1)

    def _folder(self, parts: list[str], path: str) -> int:
        try:
            return _descend(self._root, parts)
        except FileNotFoundError as error:
            raise self._absent(path) from error

    def _within(self, folder: int, name: str, path: str) -> LocalFile:
        try:
            return _regular(os.open(name, READ_FLAGS, dir_fd=folder), path)
        except FileNotFoundError as error:
            raise self._absent(path) from error

    def open(self, path: str) -> LocalFile:
        """Random access to a file.

        Raises
        ------
        NotFound
            If it is absent.
        PackageError
            If it is no regular file, if it or a folder above it is a link, if the path would leave the bag, or if the
            system refuses to open it.
        """
        if reason := unsafe(path):
            raise PackageError(f"is not opened: {reason}", where=path, next="Do not trust this bag.")
        try:
            return open_below(self._root, path.split("/"), path)
        except FileNotFoundError as error:
            raise self._absent(path) from error

    def _absent(self, path: str) -> NotFound:
        if os.path.lexists(self._root):
            return NotFound("is not in the bag", where=path, next="Fetch it from another copy.")
        return NotFound("the package is not there any more", where=self._url, next="Connect its store, or mount it.")


def open_below(root: str, parts: list[str], path: str) -> LocalFile:
    """Open a plain file below a folder, no step of the way being a link.

    Parameters
    ----------
    root : str
        The folder, as `long_path` gives it.
    parts : list of str
        The names on the way, judged by the caller.
    path : str
        How errors name the file.

    Raises
    ------
    FileNotFoundError
        If it is absent.
    PackageError
        If it or a step of the way is a link, if it is no plain file, or if the system refuses to open it.
    """
    try:
        return _regular(_open_below(root, parts), path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from error


def _classify(
    entry: os.DirEntry[str], path: str, files: dict[str, int], irregular: dict[str, str], folders: list[str]
) -> None:
    """Enter one directory entry where it belongs."""
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        irregular[path] = "unreadable"
        return
    if kind := _kind(status):
        irregular[path] = kind
    elif stat.S_ISDIR(status.st_mode):
        folders.append(path + "/")
    else:
        files[path] = status.st_size


def _kind(status: os.stat_result) -> str:
    """What is neither a plain file nor a folder, in one word; "" for those two."""
    if stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) & _NAME_SURROGATE:
        return "symlink"
    if stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode):
        return ""
    if stat.S_ISFIFO(status.st_mode):
        return "fifo"
    return "socket" if stat.S_ISSOCK(status.st_mode) else "device"


def _regular(descriptor: int, path: str) -> LocalFile:
    """Take over a descriptor, if it is that of a plain file."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise PackageError("is not a regular file", where=path, next="Replace it from another copy.")
    sparse = getattr(status, "st_blocks", status.st_size) * 512 < status.st_size
    return LocalFile(descriptor, path, status.st_size, is_sparse=sparse)


def _unreadable(path: str, error: OSError) -> PackageError:
    if error.errno in (errno.ELOOP, errno.ENOTDIR, getattr(errno, "EMLINK", errno.ELOOP)):
        return PackageError("it, or a folder above it, is a link or not a folder", where=path, next="Do not trust it.")
    return PackageError(f"cannot be read: {error.strerror or error}", where=path, next="Check the disk and the rights.")


def _open_below(root: str, parts: list[str]) -> int:
    """Open a file below the root, no step of the way being a link."""
    return _open_by_descriptors(root, parts) if _STEPWISE else _open_by_path(root, parts)


def _open_by_descriptors(root: str, parts: list[str]) -> int:
    folder = _descend(root, parts[:-1])
    try:
        return os.open(parts[-1], READ_FLAGS, dir_fd=folder)
    finally:
        os.close(folder)


def _descend(root: str, parts: list[str]) -> int:
    """Open a folder step by step, each step refusing links: nothing can change between the look and the step."""
    folder = os.open(root, _FOLDER_FLAGS & ~getattr(os, "O_NOFOLLOW", 0))
    try:
        for part in parts:
            folder = _replaced(folder, os.open(part, _FOLDER_FLAGS, dir_fd=folder))
    except BaseException:
        os.close(folder)
        raise
    return folder


def _replaced(old: int, new: int) -> int:
    """A descriptor in the place of another one, which is closed."""
    if old >= 0:
        os.close(old)
    return new


def _open_by_path(root: str, parts: list[str]) -> int:
    """After a look at every step, where the system cannot open relative to a folder (Windows)."""
    path = root
    for part in parts:
        if ":" in part:  # an alternate data stream of NTFS
            raise OSError(errno.EINVAL, "a colon is not allowed here")
        path = path + os.sep + part
        status = os.lstat(path)
        if _kind(status) == "symlink":
            raise OSError(errno.ELOOP, "is a link")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is not a regular file")
    return os.open(path, READ_FLAGS)
