"""Mending a package in a folder store: one leaf in place, or one file exchanged whole.

A leaf is written in place after a record of the intent has reached the disk: a crash, or a disk that is full, leaves a
leaf that was known to be bad before and is known to be bad now. Each byte of it is then the old one or the right one. A
whole file is written beside the package and takes its name in one step. Nothing is ever written through a link, nor
into a file that has a second name elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from diadem.errors import DigestMismatch, IntegrityError, Refused, StoreError, UsageError
from diadem.model.manifest import FileEntry, leaf_count
from diadem.store.copy import Sink, write_all
from diadem.store.mending_place import Place, package_folder, read_exactly
from diadem.store.mending_record import Desk, Intent
from diadem.store.mending_settling import Unfinished, settle, unfinished
from diadem.store.system import discard, long_path, translated
from diadem.trust.hashing import leaf_digest

__all__ = ["Unfinished", "replace_file", "replace_leaf", "settle", "unfinished"]

_BLOCK = 1 << 20
_WHOLE = "Replace the whole file."


def replace_leaf(
    root: Path, path: str, entry: FileEntry, leaf: int, leaf_size: int, data: bytes, *, digest: bytes | None = None
) -> bool:
    """Write one leaf of a file in place.

    Parameters
    ----------
    root : Path
        The store.
    path : str
        Path of the package in the store.
    entry : FileEntry
        The file.
    leaf : int
        Index of the leaf within the file, from 0.
    leaf_size : int
        Bytes in a leaf.
    data : bytes
        What the leaf must be, proven by the caller.
    digest : bytes, optional
        BLAKE3 of the leaf, from the package's tag files; the data is proven against it once more.

    Returns
    -------
    bool
        Whether anything was written; False where the leaf is already what it must be.

    Raises
    ------
    DigestMismatch
        If the data is not the leaf's; nothing was touched.
    Refused
        If the file is missing, no plain file, or of another size: it has to be replaced whole.
    StoreError
        If the store cannot be written.
    """
    wanted = _proven_leaf(entry, leaf, leaf_size, data, digest)
    bag = package_folder(root, path)
    desk = Desk(root, path, entry.path)
    with translated(str(bag), "the leaf is still damaged"), desk.locked(), Place(bag, entry.path) as place:
        status = _whole_file(place, entry)
        if place.digest(leaf * leaf_size, len(data)) == wanted:
            desk.done(leaf)
            return False
        intent = Intent(path, entry.path, leaf, wanted.hex(), leaf_size, entry.size, status.st_mtime_ns)
        if status.st_nlink > 1:
            _exchange(desk, place, intent, _patched(place, entry.size, leaf * leaf_size, data))
        else:
            _write_in_place(desk, place, intent, data)
    return True


def replace_file(
    root: Path,
    path: str,
    file: str,
    blocks: Iterable[bytes],
    size: int,
    mtime_ns: int | None,
    *,
    sha256: str | None = None,
) -> None:
    """Exchange a file, whatever stands in its place, for one that is written beside the package first.

    Parameters
    ----------
    root : Path
        The store.
    path : str
        Path of the package in the store.
    file : str
        Path of the file in the bag.
    blocks : iterable of bytes
        The file's content, proven by the caller; an exception that it raises leaves everything as it was.
    size : int
        Bytes of the file.
    mtime_ns : int or None
        Modification time that the file gets.
    sha256 : str, optional
        64 hex digits: the content is proven against it before the file gets its name.

    Raises
    ------
    DigestMismatch
        If the blocks are not `size` bytes, or do not have the digest.
    Refused
        If a folder stands in the file's place, or a link where a folder should be.
    StoreError
        If the store cannot be written.
    """
    bag = package_folder(root, path)
    desk = Desk(root, path, file)
    intent = Intent(path, file, None, sha256 or "", 0, size, mtime_ns)
    with translated(str(bag), "the file stays as it was"), desk.locked():
        if not os.path.isdir(long_path(bag)):
            raise Refused("the package is not there", where=str(bag), next="Copy it from another store.")
        with Place(bag, file, make_folders=True) as place:
            _exchange(desk, place, intent, blocks)


# -- one leaf ----------------------------------------------------------------------------------------------------------


def _proven_leaf(entry: FileEntry, leaf: int, leaf_size: int, data: bytes, digest: bytes | None) -> bytes:
    """The leaf's digest, once the data has been held against it."""
    if not 0 <= leaf < leaf_count(entry.size, leaf_size):
        raise UsageError(f"the file has no leaf {leaf}", where=entry.path)
    first = leaf * leaf_size
    length = min(leaf_size, entry.size - first)
    found = leaf_digest(data)
    if len(data) != length or (digest is not None and digest != found):
        raise DigestMismatch(
            f"what was found for leaf {leaf} is not what was archived; nothing was written",
            where=entry.path,
            leaf=leaf,
            range=(first, first + length),
            next="Look for another copy.",
        )
    return found


def _whole_file(place: Place, entry: FileEntry) -> os.stat_result:
    """The state of a plain file of the right size."""
    status = place.status()
    if status is None:
        raise Refused("the file is not there", where=entry.path, next=_WHOLE)
    if not stat.S_ISREG(status.st_mode):
        raise Refused("is not a plain file", where=entry.path, next=_WHOLE)
    if status.st_size != entry.size:
        raise Refused(f"the file has {status.st_size} bytes, not {entry.size}", where=entry.path, next=_WHOLE)
    return status


def _write_in_place(desk: Desk, place: Place, intent: Intent, data: bytes) -> None:
    assert intent.leaf is not None
    offset = intent.leaf * intent.leaf_size
    desk.announce(intent)
    descriptor = place.open_writing()
    try:
        status = os.fstat(descriptor)
        if status.st_size != intent.size or status.st_nlink > 1:
            raise Refused("the file has just been replaced", where=intent.file, next="Verify the package again.")
        os.lseek(descriptor, offset, os.SEEK_SET)
        write_all(descriptor, memoryview(data))
        os.fsync(descriptor)
        _read_back(descriptor, offset, len(data), intent)
        if intent.mtime_ns is not None:
            place.set_time(descriptor, intent.mtime_ns)
    finally:
        os.close(descriptor)
    desk.done(intent.leaf)


def _read_back(descriptor: int, offset: int, length: int, intent: Intent) -> None:
    """What the disk returns is what was written, as far as the system really asks the disk."""
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):
            os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)
    if leaf_digest(read_exactly(descriptor, offset, length)).hex() != intent.digest:
        raise StoreError(
            "the disk does not return what was just written to it",
            where=intent.file,
            next="Check the disk; copy the package to another store.",
        )


# -- a whole file ------------------------------------------------------------------------------------------------------


def _exchange(desk: Desk, place: Place, intent: Intent, blocks: Iterable[bytes]) -> None:
    """Write a file beside the package, force it to disk, and give it its name."""
    discard(desk.part)
    try:
        _fill(desk.part, intent, blocks)
        desk.announce(intent)
        place.put(desk.part)
    finally:  # the name is exchanged in one step: whatever happened, nothing is half done
        with contextlib.suppress(OSError):
            discard(desk.part)
            desk.done(intent.leaf)
    if intent.leaf is None:
        desk.clear()


def _fill(part: str, intent: Intent, blocks: Iterable[bytes]) -> None:
    digest, size = hashlib.sha256(), 0
    with Sink(part) as sink:
        for block in blocks:
            write_all(sink.descriptor, memoryview(block))
            size += len(block)
            if intent.leaf is None and intent.digest:
                digest.update(block)
        _check(intent, size, digest.hexdigest())
        if intent.mtime_ns is not None:
            sink.set_time(intent.mtime_ns)
        os.fsync(sink.descriptor)


def _check(intent: Intent, size: int, sha256: str) -> None:
    wrong = size != intent.size or (intent.leaf is None and intent.digest and sha256 != intent.digest)
    if wrong:
        message = f"the {size} bytes that were found for the file are not what was archived; nothing was changed"
        raise DigestMismatch(message, where=intent.file, next="Look for another copy.")


def _patched(place: Place, size: int, offset: int, data: bytes) -> Iterator[bytes]:
    """The file as it is, but for one leaf: for a file that has a second name, which is not ours to change."""
    descriptor = place.open_reading()
    try:
        yield from _stretch(descriptor, 0, offset)
        yield data
        yield from _stretch(descriptor, offset + len(data), size)
    finally:
        os.close(descriptor)


def _stretch(descriptor: int, start: int, stop: int) -> Iterator[bytes]:
    while start < stop:
        block = read_exactly(descriptor, start, min(_BLOCK, stop - start))
        if not block:
            raise IntegrityError("the file became shorter while it was copied", next="Verify the package again.")
        yield block
        start += len(block)
