"""Bags on this machine: in a folder, in an adopted folder, in memory; `diadem.store.remote` has those on servers.

What is listed follows no link; what is opened lies inside the bag.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterable, Mapping

from diadem.errors import NotFound, PackageError
from diadem.model.names import unsafe
from diadem.model.ports import Bundle, InMemory, Listing, RangeReader
from diadem.store.system import READ_FLAGS, is_sparse, kind_of, long_path

_FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
#: Whether this system opens a file relative to an open folder, and reads at a place without seeking.
STEPWISE = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_POSITIONED = hasattr(os, "preadv")
_RESCAN = "See what became of it: diadem rescan"


class LocalBundle(Bundle):
    """The files of a bag in a local folder. Raises `NotFound` if nothing is there, `PackageError` for no folder."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._url = os.path.abspath(path)
        self._root = long_path(self._url)
        if not os.path.lexists(self._root):
            raise NotFound("nothing is there", where=self._url, next="Check the path.")
        if not os.path.isdir(self._root):
            raise PackageError("is not a folder", where=self._url, next="Give the folder that holds bagit.txt.")

    @property
    def url(self) -> str:
        return self._url

    def listing(self) -> Listing:
        """Everything in the bag; no link is followed, and what cannot be listed is named as irregular."""
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

    def read_files(self, wanted: Iterable[tuple[str, memoryview]]) -> None:
        """Fill each buffer with the whole of its file; files of one folder that follow each other cost one look-up.

        The caller has judged the paths. Raises as `open` does, and `PackageError` where a file has another size.
        """
        folder, descriptor = "", -1
        try:
            for path, buffer in wanted:
                above, _, name = path.rpartition("/")
                if STEPWISE and (descriptor < 0 or above != folder):
                    descriptor = _replaced(descriptor, open_folder(self._root, above.split("/")))
                    folder = above
                with _at(descriptor, name, path) if STEPWISE else self.open(path) as file:
                    if file.size != len(buffer) or file.readinto_at(0, buffer) != len(buffer):
                        raise PackageError(f"does not have {len(buffer)} bytes", where=path, next="Run: diadem scrub")
        except NotFound:
            raise
        except FileNotFoundError as error:
            raise self._absent(path) from error
        except OSError as error:
            raise _unreadable(path, error) from error
        finally:
            _replaced(descriptor, -1)

    def open(self, path: str) -> LocalFile:
        """Random access to a file.

        Raises `NotFound`; `PackageError` if it is no regular file, if it or a folder above it is a link, if the path
        would leave the bag, or if the system refuses to open it.
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
    """Open a plain file below a folder, which `long_path` gives, by parts that the caller has judged.

    `path` is how errors name it. Raises `FileNotFoundError`, and `PackageError` if it or a step of the way is a link,
    if it is no plain file, or if the system refuses to open it.
    """
    try:
        if not STEPWISE:
            return _regular(_open_by_path(root, parts), path)
        folder = open_folder(root, parts[:-1])
        try:
            return _at(folder, parts[-1], path)
        finally:
            os.close(folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from error


class LocalFile(RangeReader):
    """Random access to one file of a local bag; several threads may read at once. Reads raise `OSError`."""

    __slots__ = ("_descriptor", "_lock", "_size", "is_sparse")

    def __init__(self, descriptor: int, size: int, *, is_sparse: bool = False) -> None:
        self._descriptor = descriptor
        self._size = size
        #: Whether the file takes less of its disk than it has bytes.
        self.is_sparse = is_sparse
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self._size - offset))
        if _POSITIONED and len(data := os.pread(self._descriptor, length, offset)) == length:
            return data  # made once: a buffer would be copied
        return super().read_at(offset, length)

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
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
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _classify(
    entry: os.DirEntry[str], path: str, files: dict[str, int], irregular: dict[str, str], folders: list[str]
) -> None:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        irregular[path] = "unreadable"
        return
    if (kind := kind_of(status)) == "file":
        files[path] = status.st_size
    elif kind == "folder":
        folders.append(path + "/")
    else:
        irregular[path] = kind


def _at(folder: int, name: str, path: str) -> LocalFile:
    return _regular(os.open(name, READ_FLAGS, dir_fd=folder), path)


def _regular(descriptor: int, path: str) -> LocalFile:
    """Take over a descriptor, if it is that of a plain file."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise PackageError("is not a regular file", where=path, next="Replace it from another copy.")
    return LocalFile(descriptor, status.st_size, is_sparse=is_sparse(status))


def _unreadable(path: str, error: OSError) -> PackageError:
    if error.errno in (errno.ELOOP, errno.ENOTDIR, getattr(errno, "EMLINK", errno.ELOOP)):
        return PackageError("it, or a folder above it, is a link or not a folder", where=path, next="Do not trust it.")
    return PackageError(f"cannot be read: {error.strerror or error}", where=path, next="Check the disk and the rights.")


def open_folder(root: str, parts: list[str]) -> int:
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


def look_at_folders(root: str, folders: list[str]) -> str:
    """The path of a folder, after a look at every step, where the system cannot open relative to one (Windows).

    Raises `OSError` where a step is a link, a junction or no folder.
    """
    path = root
    for part in folders:
        path = os.path.join(path, part)
        if kind_of(os.lstat(long_path(path))) != "folder":
            raise OSError(errno.ENOTDIR, "is a link or not a folder", path)
    return path


def _open_by_path(root: str, parts: list[str]) -> int:
    if any(":" in part for part in parts):  # an alternate data stream of NTFS
        raise OSError(errno.EINVAL, "a colon is not allowed here")
    path = os.path.join(look_at_folders(root, parts[:-1]), parts[-1])
    if (kind := kind_of(os.lstat(path))) != "file":
        raise OSError(errno.ELOOP if kind == "symlink" else errno.EINVAL, "is not a regular file")
    return os.open(path, READ_FLAGS)


# -- adopted folders ---------------------------------------------------------------------------------------------------


class AdoptedBundle(Bundle):
    """An adopted package as a bag: sealed files from the node, the payload from the folder in which people keep it.

    It is a package like any other: it can be verified, opened, restored, and copied into a store, where it has the
    same id. What else lies in the folder is not part of it.
    """

    def __init__(
        self,
        sealed_folder: str | os.PathLike[str],
        source_root: str | os.PathLike[str],
        mapping: Mapping[str, bytes],
    ) -> None:
        """`mapping`: bag path of every file of the payload to its path in the folder, as the file system's bytes."""
        self._sealed = LocalBundle(sealed_folder)
        self._root = os.path.abspath(source_root)
        self._mapping = mapping

    @property
    def url(self) -> str:
        return self._root

    @property
    def sealed(self) -> LocalBundle:
        """What the node keeps of it."""
        return self._sealed

    def listing(self) -> Listing:
        """The sealed files, and those of the payload that are there."""
        sealed = self._sealed.listing()
        files, irregular = dict(sealed.files), dict(sealed.irregular)
        for path, name in self._mapping.items():
            try:
                status = os.lstat(path_below(self._root, name))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError):
                irregular[path] = "unreadable"
                continue
            if (kind := kind_of(status)) == "file":
                files[path] = status.st_size
            else:
                irregular[path] = kind
        return Listing(files, irregular)

    def read(self, path: str, limit: int) -> bytes:
        return super().read(path, limit) if path in self._mapping else self._sealed.read(path, limit)

    def open(self, path: str) -> RangeReader:
        """Random access to a file.

        `NotFound` says that it was moved, renamed or deleted by its people, or that the folder's disk is not there.
        """
        name = self._mapping.get(path)
        if name is None:
            return self._sealed.open(path)
        parts = os.fsdecode(name).split("/")
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise PackageError("is not opened: its path leads out of the folder", where=path, next=_RESCAN)
        try:
            return open_below(long_path(self._root), parts, path)
        except FileNotFoundError as error:
            missing = (
                "is not in the adopted folder" if os.path.isdir(long_path(self._root)) else "the folder is not there"
            )
            raise NotFound(missing, where=os.path.join(self._root, *parts), next=_RESCAN) from error


def path_below(root: str, name: bytes) -> str:
    """Where a file of an adopted folder is, as the system's functions take it."""
    return long_path(os.path.join(root, *os.fsdecode(name).split("/")))


# -- memory ------------------------------------------------------------------------------------------------------------


class MemoryBundle(Bundle):
    """Tag files held in memory, by bag path: to open a package whose own are lost. `url` is for messages."""

    url = ""

    def __init__(self, files: Mapping[str, bytes], url: str = "the catalogue") -> None:
        self._files = dict(files)
        self.url = url

    def listing(self) -> Listing:
        return Listing({path: len(data) for path, data in self._files.items()}, {})

    def open(self, path: str) -> RangeReader:
        if path not in self._files:
            raise NotFound("is not in the bag", where=path)

        return InMemory(self._files[path])
