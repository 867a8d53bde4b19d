"""A store's own files below `.diadem/`: each is there whole, or not at all, also after a loss of power.

::

    <store>/.diadem/parity/<64 hex of the package id>.pq   parity, in a folder store; beside it the `.part` of a writer
    <store>/.diadem/drafts/<random>                        any other file before it has its name
    <store>/.diadem/nodes/<16 hex of the node id>/         what the store keeps of its node: `diadem.node.mirrors`
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

from diadem.errors import NotFound, PackageError, StoreError, UsageError
from diadem.model.manifest import PackageId
from diadem.model.names import unsafe
from diadem.model.ports import RangeReader
from diadem.store.bags import LocalBundle, LocalFile, open_below
from diadem.store.contract import Swept
from diadem.store.stage import abandoned, lock_path
from diadem.store.system import (
    PATIENCE,
    SEALED,
    WINDOWS,
    FileLock,
    discard,
    flush_folder,
    long_path,
    move,
    patiently,
    read_plain,
    refuse_links,
    through_link,
    translated,
)
from diadem.store.whole import give_name, make_folders, write_draft, write_whole

#: Folders below `.diadem/` that stores manage themselves.
RESERVED = frozenset({"by-payload", "by-tree", "claims", "drafts", "mending", "probe", "removals", "stage"})
#: Bytes of the largest own file that is read into memory. What is larger, like a snapshot, goes to a file.
LARGEST = 256 << 20
_BLOCK = 8 << 20
#: Seconds after which a draft has no writer any more.
_OLD_DRAFT = 24 * 3600
#: Tries to write into a folder that others remove when it is empty.
_TRIES = 4


class OwnFiles(ABC):
    """Files by their keys: what is promised of them, on whatever they lie. See `Store.get` and its neighbours."""

    def get(self, key: str) -> bytes | None:
        refuse_key(key)
        return self.read(key)

    def put(self, key: str, data: bytes, *, create: bool = False) -> bool:
        """Write a file; with `create`, only if it is not there. False: it is there with other content."""
        refuse_key(key)
        return self.write(key, (data,), len(data), create=create) or self.read(key) == data

    def put_file(self, key: str, source: Path) -> None:
        refuse_key(key)
        with open(long_path(source), "rb") as content:
            self.write(key, iter(lambda: content.read(_BLOCK), b""), os.fstat(content.fileno()).st_size)

    def get_file(self, key: str, target: Path) -> bool:
        refuse_key(key)
        if (reader := self.open(key)) is None:
            return False
        with reader:
            folder = next((path for path in target.parents if path.is_dir()), target.parent)
            if reader.size > shutil.disk_usage(folder).free:
                advice = "Free space on this machine."
                raise StoreError(f"there is no room for {reader.size:,} bytes", where=str(folder), next=advice)
            write_whole(target, (reader.read_at(start, _BLOCK) for start in range(0, reader.size, _BLOCK)))
        return True

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys of the files below a folder, sorted."""
        folder = prefix.rstrip("/")
        if prefix:
            refuse_key(folder)
        yield from sorted(key for key in self.below(folder) if is_own(key))

    def delete(self, key: str) -> None:
        """Remove a file if it is there, and the folders above it that are empty then."""
        refuse_key(key)
        self.remove(key)

    # -- the same without rules for keys: for what stores keep themselves ------------------------------------------

    @abstractmethod
    def read(self, key: str) -> bytes | None:
        """A file whole; None where there is none. Raises `StoreError` above `LARGEST` bytes."""

    @abstractmethod
    def write(self, key: str, blocks: Iterable[bytes], size: int, *, create: bool = False, hint: bool = False) -> bool:
        """Write a file of `size` bytes; with `create` False where it is there already.

        A `hint` may be lost with the power: it is never half there, but its name is not forced to the disk.
        """

    @abstractmethod
    def open(self, key: str) -> RangeReader | None:
        """A file to be read in pieces; None where there is none."""

    @abstractmethod
    def contents(self, folder: str, limit: int) -> Iterator[tuple[str, bytes]]:
        """Names and contents of the files directly in a folder, by name; those above `limit` bytes are left out."""

    @abstractmethod
    def folders(self, folder: str) -> Iterable[str]:
        """Names of the folders directly in a folder."""

    @abstractmethod
    def below(self, folder: str) -> Iterable[str]:
        """Keys at all levels below a folder; of what stores manage themselves as few as may be."""

    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove a file if it is there, and the folders above it that are empty then."""


class FolderFiles(OwnFiles):
    """Files below a folder of this machine's file systems; no link in it is followed, nor it if it is one."""

    def __init__(self, private: Path) -> None:
        self._private = private
        self._drafts = private / "drafts"

    def read(self, key: str) -> bytes | None:
        target = self._path(key)
        with translated(str(target), "it was not read"):
            try:
                data = read_plain(target, LARGEST + 1)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError:
                if os.path.isdir(long_path(target)):
                    return None
                raise
        refuse_size(len(data), str(target))
        return data

    def write(
        self,
        key: str,
        blocks: Iterable[bytes],
        size: int,  # noqa: ARG002  the disk counts
        *,
        create: bool = False,
        hint: bool = False,
    ) -> bool:
        """Under a name that nobody looks for, on the disk, then its own."""
        target = self._path(key)
        with translated(str(target), "it was not written"):
            os.makedirs(long_path(refuse_links(self._private.parent, self._drafts)), exist_ok=True)
            draft = self._drafts / uuid.uuid4().hex
            try:
                write_draft(draft, blocks)
                if not self._name(draft, target, create=create, hint=hint):
                    return False
                if not hint:
                    flush_folder(long_path(target.parent))
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(long_path(draft))
        return True

    def _name(self, draft: Path, target: Path, *, create: bool, hint: bool) -> bool:
        for attempt in range(_TRIES):
            try:
                if hint:
                    os.makedirs(long_path(target.parent), exist_ok=True)
                else:
                    make_folders(target.parent)
                if create:
                    return give_name(draft, target, lock=self._private / "publish.lock")
                move(draft, target)
            except FileNotFoundError:  # its folder was removed in this moment, as an empty one
                if attempt == _TRIES - 1 or not os.path.lexists(long_path(draft)):
                    raise
            else:
                return True
        raise AssertionError

    def open(self, key: str) -> RangeReader | None:
        path = self._path(key)
        try:
            return open_below(long_path(path.parent), [path.name], key)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PackageError:
            if os.path.isdir(long_path(path)):
                return None
            raise

    def contents(self, folder: str, limit: int) -> Iterator[tuple[str, bytes]]:
        """What cannot be read is not there."""
        top = self._private.joinpath(*folder.split("/"))
        if through_link(self._private.parent, top) is not None:
            return
        for name in sorted(_names(top)):
            with contextlib.suppress(OSError):
                data = read_plain(top / name, limit + 1)
                if not name.startswith(".") and len(data) <= limit:
                    yield name, data

    def folders(self, folder: str) -> Iterable[str]:
        return _names(self._private / folder)

    def below(self, folder: str) -> Iterable[str]:
        top = refuse_links(self._private.parent, self._private.joinpath(*folder.split("/")))
        for inner, folders, files in os.walk(long_path(top)):
            below = os.path.relpath(inner, long_path(self._private)).replace(os.sep, "/")
            start = "" if below == "." else below + "/"
            folders[:] = [name for name in folders if is_own(start + name)]
            yield from (start + name for name in files)

    def remove(self, key: str) -> None:
        target = self._path(key)
        with translated(str(target), "it was not removed"):
            if not os.path.lexists(long_path(target)):
                return
            patiently(lambda: discard(str(target)))
            flush_folder(long_path(target.parent))
        with contextlib.suppress(OSError):
            for folder in target.parents:
                if folder == self._private:
                    break
                os.rmdir(long_path(folder))

    def sweep(self) -> None:
        """Remove drafts of dead writers."""
        if through_link(self._private.parent, self._drafts) is not None:
            return
        with contextlib.suppress(OSError), os.scandir(long_path(self._drafts)) as entries:
            for entry in entries:
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD_DRAFT:
                    os.unlink(entry.path)

    def _path(self, key: str) -> Path:
        """Where a file is; raises `StoreError` where a link leads there. The file itself may be one, to be replaced."""
        path = self._private.joinpath(*key.split("/"))
        refuse_links(self._private.parent, path.parent)
        return path


# -- keys --------------------------------------------------------------------------------------------------------------


def home_of(node: str) -> str:
    """The folder below `.diadem/` in which a store keeps what it has of a node."""
    return f"nodes/{node[:16]}"


def refuse_key(key: str) -> None:
    """Raise `UsageError` for a key under which nothing may be written: it must not meet what stores keep there."""
    reason = unsafe(key)
    if reason is None and any(part.startswith(".") for part in key.split("/")):
        reason = "a name begins with a dot"
    if reason is None and key.split("/", 1)[0] in RESERVED | {"publish.lock"}:
        reason = "the store keeps its own files there"
    if reason:
        raise UsageError(f"the key is refused: {reason}", where=key, next="Choose another key.")


def is_own(key: str) -> bool:
    """Whether a key is one that `put` could have written."""
    try:
        refuse_key(key)
    except UsageError:
        return False
    return True


def refuse_size(size: int, where: str) -> None:
    """Raise `StoreError` for an own file that is too large to be one: anybody may have put it there."""
    if size > LARGEST:
        raise StoreError(
            f"it has more than {LARGEST >> 20} MiB, which no file of its kind has",
            where=where,
            next="Find out who put it there, and move it away.",
        )


# -- files of this machine ---------------------------------------------------------------------------------------------


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(long_path(folder))
    except OSError:
        return []


# -- parity files of a folder store ------------------------------------------------------------------------------------

_NAME = re.compile(r"([0-9a-f]{64})\.pq\Z")


def _parity(root: Path) -> Path:
    return root / ".diadem" / "parity"


def write_parity(root: Path, package: PackageId, blocks: Iterable[bytes | memoryview]) -> int:
    """Write the parity file of a package (`diadem.package.parity.build`), over an older one. How many bytes it has.

    The older one is there until the new one is on the disk; an exception that `blocks` raises leaves it so.
    """
    folder = _parity(root)
    with translated(str(root), "no parity was written"):
        os.makedirs(long_path(refuse_links(root, folder)), exist_ok=True)
        part = folder / f"{package.hex}.{uuid.uuid4().hex}.part"
        lock = FileLock(lock_path(part))
        lock.acquire(wait=PATIENCE)
        try:
            size = write_draft(part, blocks, mode=SEALED)
            target = folder / f"{package.hex}.pq"
            if WINDOWS and os.path.lexists(long_path(target)):
                os.chmod(long_path(target), stat.S_IWRITE)
            move(part, target)
            flush_folder(long_path(folder))
        finally:
            with contextlib.suppress(OSError):
                discard(str(part))
            lock.remove()
    return size


def open_parity(root: Path, package: PackageId) -> LocalFile | None:
    """The parity file of a package, open for reading; None if there is none. Raises `PackageError` if it is no file."""
    try:
        return LocalBundle(_parity(root)).open(f"{package.hex}.pq")
    except NotFound:
        return None


def parity_packages(root: Path) -> Iterator[PackageId]:
    """The packages that have a parity file, whatever its state."""
    try:
        names = sorted(os.listdir(long_path(_parity(root))))
    except OSError:
        return
    yield from (PackageId(match[1]) for name in names if (match := _NAME.match(name)))


def remove_parity(root: Path, package: PackageId) -> bool:
    """Remove the parity file of a package that has left the store; whether there was one."""
    target = _parity(root) / f"{package.hex}.pq"
    if not os.path.lexists(long_path(target)):
        return False
    with translated(str(root), "the parity stays"):
        discard(str(target))
    return True


def sweep_parity(root: Path) -> list[Swept]:
    """Remove parity files whose writer died, and say which."""
    swept = []
    for left in abandoned(root, _parity(root), _writer):
        for part in left:
            with contextlib.suppress(OSError):  # the next sweep tries again
                discard(str(part))
                swept.append(Swept(str(part), 1))
    return swept


def _writer(name: str) -> str:
    return name.removesuffix(".lock") if name.removesuffix(".lock").endswith(".part") else ""
