"""Mending a package in a folder store: one leaf in place, or one file exchanged whole.

A leaf is written in place after a record of the intent has reached the disk: a crash, or a disk that is full, leaves a
leaf that was known to be bad before and is known to be bad now. Each byte of it is then the old one or the right one. A
whole file is written beside the package and takes its name in one step. Nothing is ever written through a link, nor
into a file that has a second name elsewhere.

::

    <store>/.diadem/mending/<file>.lock           held by the mender while it lives
    <store>/.diadem/mending/<file>.<leaf>.json    this leaf is being written in place
    <store>/.diadem/mending/<file>.file.json      the whole file is about to be exchanged
    <store>/.diadem/mending/<file>.part           the file that will take its place

`<file>` is the UUID (version 5) of the package's path and the file's, so that one file has one lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from diadem.errors import DigestMismatch, IntegrityError, Refused, StoreError
from diadem.model.manifest import FileEntry
from diadem.store.copy import Sink, write_all
from diadem.store.slot import OpenSlot, package_folder, read_exactly
from diadem.store.stage import abandoned
from diadem.store.system import (
    LONG_PATIENCE,
    FileLock,
    discard,
    long_path,
    read_plain,
    refuse_links,
    translated,
)
from diadem.store.whole import write_whole
from diadem.trust.hashing import leaf_digest

_BLOCK = 1 << 20
_FORMAT = "diadem-mending/1"


def replace_leaf(root: Path, path: str, entry: FileEntry, leaf: int, leaf_size: int, data: bytes) -> None:
    """Write one leaf of a file in place, unless it is what it must be.

    The data was proven by the caller, and has the leaf's length. Raises `Refused` if the file is missing, no plain
    file, or of another size, so that it has to be replaced whole; `StoreError` if the store cannot be written to.
    """
    offset, digest = leaf * leaf_size, leaf_digest(data)
    bag = package_folder(root, path)
    intents = Intents(root, path, entry.path)
    with translated(str(bag), "the leaf is still damaged"), intents.locked(), OpenSlot(bag, entry.path) as slot:
        status = slot.status()
        if status is None or not stat.S_ISREG(status.st_mode) or status.st_size != entry.size:
            reason = "the file is not there"
            if status is not None:
                whole = f"the file has {status.st_size} bytes, not {entry.size}"
                reason = whole if stat.S_ISREG(status.st_mode) else "is not a plain file"
            raise Refused(reason, where=entry.path, next="Replace the whole file.")
        if intents.is_announced(leaf):  # an exchange of the whole file may have failed after it took the name
            slot.flush()
        if slot.digest(offset, len(data)) == digest and not intents.is_announced(leaf):
            slot.reseal(intents.time(status.st_mtime_ns))
            intents.done(leaf)
            return
        intent = Intent(path, entry.path, leaf, digest.hex(), leaf_size, entry.size, intents.time(status.st_mtime_ns))
        if status.st_nlink > 1:
            _exchange(intents, slot, intent, _patched(slot, entry.size, offset, data))
        else:
            _write_in_place(intents, slot, intent, offset, data)


def replace_file(root: Path, path: str, file: str, blocks: Iterable[bytes], size: int, mtime_ns: int | None) -> None:
    """Exchange a file, whatever stands in its place, for one that is written beside the package first.

    An exception that `blocks` raises leaves everything as it was. Raises `DigestMismatch` if they are not `size` bytes;
    `Refused` if a folder stands in the file's place, or a link where a folder should be.
    """
    bag = package_folder(root, path)
    intents = Intents(root, path, file)
    intent = Intent(path, file, None, "", 0, size, mtime_ns)
    with translated(str(bag), "the file stays as it was"), intents.locked():
        if not os.path.isdir(long_path(bag)):
            raise Refused("the package is not there", where=str(bag), next="Copy it from another store.")
        with OpenSlot(bag, file, make_folders=True) as slot:
            _exchange(intents, slot, intent, blocks)
            intents.clear()


def _write_in_place(intents: Intents, slot: OpenSlot, intent: Intent, offset: int, data: bytes) -> None:
    intents.announce(intent)
    descriptor = slot.open_writing()
    try:
        status = os.fstat(descriptor)
        if status.st_size != intent.size or status.st_nlink > 1:
            raise Refused("the file has just been replaced", where=intent.file, next="Verify the package again.")
        before = _before(descriptor, offset, data)
        try:
            _force(descriptor, offset, data)
        except OSError:  # the system gives back from memory what the disk did not take: it must read as damaged
            with contextlib.suppress(OSError):
                _force(descriptor, offset, before)
            raise
        if hasattr(os, "posix_fadvise"):  # so that the disk is asked, as far as the system really asks it
            with contextlib.suppress(OSError):
                os.posix_fadvise(descriptor, offset, len(data), os.POSIX_FADV_DONTNEED)
        if leaf_digest(read_exactly(descriptor, offset, len(data))).hex() != intent.digest:
            raise StoreError(
                "the disk does not return what was just written to it",
                where=intent.file,
                next="Check the disk; copy the package to another store.",
            )
        if intent.mtime_ns is not None:
            slot.set_time(descriptor, intent.mtime_ns)
    finally:
        os.close(descriptor)
    intents.done(intent.leaf)


def _before(descriptor: int, offset: int, data: bytes) -> bytes:
    """What is there now; where it cannot be read, bytes that are surely not the right ones."""
    with contextlib.suppress(OSError):
        if len(found := read_exactly(descriptor, offset, len(data))) == len(data):
            return found
    return bytes(255 - byte for byte in data)


def _force(descriptor: int, offset: int, data: bytes) -> None:
    """Write bytes at a place, to the disk."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    write_all(descriptor, memoryview(data))
    os.fsync(descriptor)


def _exchange(intents: Intents, slot: OpenSlot, intent: Intent, blocks: Iterable[bytes]) -> None:
    """Write a file beside the package, force it to disk, and give it its name."""
    discard(intents.part)
    size = 0
    try:
        with Sink(intents.part) as sink:
            for block in blocks:
                sink.write(block)
                size += len(block)
            if size != intent.size:
                message = (
                    f"the {size} bytes that were found for the file are not what was archived; nothing was changed"
                )
                raise DigestMismatch(message, where=intent.file, next="Look for another copy.")
            sink.finish(intent.mtime_ns)
            os.fsync(sink.descriptor)
        intents.announce(intent)
        slot.put(intents.part)
        with contextlib.suppress(OSError):
            intents.done(intent.leaf)
    finally:  # the record stays where this failed: the file may have its name in the system's memory alone
        with contextlib.suppress(OSError):
            discard(intents.part)


def _patched(slot: OpenSlot, size: int, offset: int, data: bytes) -> Iterator[bytes]:
    """The file as it is, but for one leaf: for a file that has a second name, which is not ours to change."""
    descriptor = slot.open_reading()
    try:
        for start, stop in ((0, offset), (offset + len(data), size)):
            for at in range(start, stop, _BLOCK):
                block = read_exactly(descriptor, at, min(_BLOCK, stop - at))
                if len(block) < min(_BLOCK, stop - at):
                    raise IntegrityError(
                        "the file became shorter while it was copied", next="Verify the package again."
                    )
                yield block
            if stop == offset:
                yield data
    finally:
        os.close(descriptor)


# -- intents ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Intent:
    """A change that has been announced: to one leaf, or to the whole file (None).

    `digest` is 64 hex digits, BLAKE3 of the leaf that will be there, and empty for a whole file, for which `leaf_size`
    is 0; `mtime_ns` is the time that the file shall have afterwards.
    """

    package: str
    file: str
    leaf: int | None
    digest: str
    leaf_size: int
    size: int
    mtime_ns: int | None


class Intents:
    """The folder `.diadem/mending` of a store, seen from one file of one package."""

    def __init__(self, root: Path, package: str, file: str) -> None:
        self._folder = root / ".diadem" / "mending"
        self._place = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{package}\n{file}"))

    @property
    def part(self) -> str:
        """Where the file that will take the place is staged."""
        return str(self._folder / f"{self._place}.part")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other menders away from this file; leaves no lock behind."""
        os.makedirs(long_path(refuse_links(self._folder.parent.parent, self._folder)), exist_ok=True)
        lock = FileLock(self._folder / f"{self._place}.lock")
        lock.acquire(wait=LONG_PATIENCE)
        try:
            yield
        finally:
            lock.remove()

    def announce(self, intent: Intent) -> None:
        """Write an intent and force it to disk."""
        text = json.dumps({"format": _FORMAT, **asdict(intent)}, sort_keys=True)
        write_whole(Path(self._record(intent.leaf)), text.encode())

    def is_announced(self, leaf: int) -> bool:
        """Whether an attempt at this leaf broke off: what reads right may not have reached the disk."""
        return os.path.lexists(long_path(self._record(leaf)))

    def done(self, leaf: int | None) -> None:
        """Take back the record of a leaf, or of the whole file."""
        discard(self._record(leaf))

    def clear(self) -> None:
        """Take back all records of the file: it has been exchanged whole."""
        for record in self._records():
            discard(record)

    def time(self, now: int) -> int:
        """The time that the file shall have: an attempt that broke off in one of its leaves has left another one."""
        known = [intent.mtime_ns for record in self._records() if (intent := _read(record)) is not None]
        return next((mtime_ns for mtime_ns in known if mtime_ns is not None), now)

    def _records(self) -> list[str]:
        names = [name for name in os.listdir(long_path(self._folder)) if name.startswith(self._place + ".")]
        return [str(self._folder / name) for name in names if name.endswith(".json")]

    def _record(self, leaf: int | None) -> str:
        return str(self._folder / f"{self._place}.{'file' if leaf is None else leaf}.json")


# -- what a mender that died has left ----------------------------------------------------------------------------------


def settle(root: Path) -> None:
    """Tidy what dead menders left: times and permissions as they were, no half-written file beside a package.

    A leaf that is still damaged keeps its record until it is mended, or its file is gone. One that reads right is
    written once more: the disk may not have taken it, and the system says so only once.
    """
    folder = root / ".diadem" / "mending"
    for left in abandoned(root, folder, lambda name: name.lstrip(".").partition(".")[0]):  # a draft begins with a dot
        for path in map(str, left):
            intent = _read(path)
            if intent is None or _is_settled(root, intent):
                discard(path)


def _is_settled(root: Path, intent: Intent) -> bool:
    """Give the file its time and permissions back; whether there is nothing more to remember."""
    try:
        with OpenSlot(package_folder(root, intent.package), intent.file) as slot:
            with contextlib.suppress(OSError):
                slot.reseal(intent.mtime_ns)
            try:
                slot.flush()
                if intent.leaf is None or slot.status() is None:  # a whole file is the old one or the new one
                    return True
                return _written_again(slot, intent)
            except OSError:  # it is there, and a failing disk does not open it, or does not take it
                return False
    except (OSError, Refused):
        return True


def _written_again(slot: OpenSlot, intent: Intent) -> bool:
    """Write a leaf over itself where it reads right; whether it does."""
    offset = (intent.leaf or 0) * intent.leaf_size
    reading = slot.open_reading()
    try:
        status = os.fstat(reading)
        data = read_exactly(reading, offset, min(intent.leaf_size, intent.size - offset))
    finally:
        os.close(reading)
    if leaf_digest(data).hex() != intent.digest:
        return False
    if status.st_nlink == 1 and status.st_size == intent.size:  # else it was never written in place
        writing = slot.open_writing()
        try:
            _force(writing, offset, data)
            slot.set_time(writing, status.st_mtime_ns)
        finally:
            os.close(writing)
    return True


def _read(path: str) -> Intent | None:
    """The intent in a file; None where it holds none."""
    if not path.endswith(".json"):
        return None
    try:
        members = json.loads(read_plain(path, 1 << 16))
        if members.pop("format") != _FORMAT:
            return None
        intent = Intent(**members)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    texts = (intent.package, intent.file, intent.digest)
    numbers = (intent.leaf_size, intent.size, intent.leaf or 0, intent.mtime_ns or 0)
    sound = all(isinstance(text, str) for text in texts) and all(isinstance(number, int) for number in numbers)
    return intent if sound and min(numbers[:3]) >= 0 else None
