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
import hashlib
import json
import os
import stat
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from diadem.errors import DigestMismatch, IntegrityError, Refused, StoreError, UsageError
from diadem.model.manifest import FileEntry, leaf_count
from diadem.store.copy import Sink, write_all
from diadem.store.slot import OpenSlot, package_folder, read_exactly
from diadem.store.stage import abandoned
from diadem.store.system import (
    LONG_PATIENCE,
    FileLock,
    discard,
    flush_folder,
    long_path,
    move,
    read_plain,
    refuse_links,
    translated,
)
from diadem.store.whole import write_draft
from diadem.trust.hashing import leaf_digest

_BLOCK = 1 << 20
_FORMAT = "diadem-mending/1"
_WHOLE = "Replace the whole file."


def replace_leaf(
    root: Path, path: str, entry: FileEntry, leaf: int, leaf_size: int, data: bytes, *, digest: bytes | None = None
) -> bool:
    """Write one leaf of a file in place; whether anything was written: False where it is what it must be.

    The data was proven by the caller, and is once more if the `digest` (BLAKE3) of the leaf is known. Raises
    `DigestMismatch` if it is not the leaf's; `Refused` if the file is missing, no plain file, or of another size, so
    that it has to be replaced whole; `StoreError` if the store cannot be written.
    """
    wanted = _proven_leaf(entry, leaf, leaf_size, data, digest)
    bag = package_folder(root, path)
    intents = Intents(root, path, entry.path)
    with translated(str(bag), "the leaf is still damaged"), intents.locked(), OpenSlot(bag, entry.path) as slot:
        status = _whole_file(slot, entry)
        if slot.digest(leaf * leaf_size, len(data)) == wanted:
            intents.done(leaf)
            return False
        intent = Intent(path, entry.path, leaf, wanted.hex(), leaf_size, entry.size, status.st_mtime_ns)
        if status.st_nlink > 1:
            _exchange(intents, slot, intent, _patched(slot, entry.size, leaf * leaf_size, data))
        else:
            _write_in_place(intents, slot, intent, data)
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

    An exception that `blocks` raises leaves everything as it was. Raises `DigestMismatch` if they are not `size` bytes,
    or not those of the `sha256`; `Refused` if a folder stands in the file's place, or a link where a folder should be.
    """
    bag = package_folder(root, path)
    intents = Intents(root, path, file)
    intent = Intent(path, file, None, sha256 or "", 0, size, mtime_ns)
    with translated(str(bag), "the file stays as it was"), intents.locked():
        if not os.path.isdir(long_path(bag)):
            raise Refused("the package is not there", where=str(bag), next="Copy it from another store.")
        with OpenSlot(bag, file, make_folders=True) as slot:
            _exchange(intents, slot, intent, blocks)


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


def _whole_file(slot: OpenSlot, entry: FileEntry) -> os.stat_result:
    """The state of a plain file of the right size."""
    status = slot.status()
    if status is None:
        raise Refused("the file is not there", where=entry.path, next=_WHOLE)
    if not stat.S_ISREG(status.st_mode):
        raise Refused("is not a plain file", where=entry.path, next=_WHOLE)
    if status.st_size != entry.size:
        raise Refused(f"the file has {status.st_size} bytes, not {entry.size}", where=entry.path, next=_WHOLE)
    return status


def _write_in_place(intents: Intents, slot: OpenSlot, intent: Intent, data: bytes) -> None:
    assert intent.leaf is not None
    offset = intent.leaf * intent.leaf_size
    intents.announce(intent)
    descriptor = slot.open_writing()
    try:
        status = os.fstat(descriptor)
        if status.st_size != intent.size or status.st_nlink > 1:
            raise Refused("the file has just been replaced", where=intent.file, next="Verify the package again.")
        os.lseek(descriptor, offset, os.SEEK_SET)
        write_all(descriptor, memoryview(data))
        os.fsync(descriptor)
        _read_back(descriptor, offset, len(data), intent)
        if intent.mtime_ns is not None:
            slot.set_time(descriptor, intent.mtime_ns)
    finally:
        os.close(descriptor)
    intents.done(intent.leaf)


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


def _exchange(intents: Intents, slot: OpenSlot, intent: Intent, blocks: Iterable[bytes]) -> None:
    """Write a file beside the package, force it to disk, and give it its name."""
    discard(intents.part)
    try:
        _fill(intents.part, intent, blocks)
        intents.announce(intent)
        slot.put(intents.part)
    finally:  # the name is exchanged in one step: whatever happened, nothing is half done
        with contextlib.suppress(OSError):
            discard(intents.part)
            intents.done(intent.leaf)
    if intent.leaf is None:
        intents.clear()


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


def _patched(slot: OpenSlot, size: int, offset: int, data: bytes) -> Iterator[bytes]:
    """The file as it is, but for one leaf: for a file that has a second name, which is not ours to change."""
    descriptor = slot.open_reading()
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


# -- intents ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Intent:
    """A change that has been announced: to one leaf, or to the whole file (None).

    `digest` is 64 hex digits: BLAKE3 of the leaf that will be there, or SHA-256 of the whole file, empty where it is
    not known. `leaf_size` is 0 for a whole file; `mtime_ns` is the time that the file shall have afterwards.
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
        target = self._record(intent.leaf)
        text = json.dumps({"format": _FORMAT, **asdict(intent)}, sort_keys=True)
        draft = target + ".draft"
        discard(draft)
        write_draft(Path(draft), (text.encode(),))
        move(draft, target)
        flush_folder(long_path(self._folder))

    def done(self, leaf: int | None) -> None:
        """Take back the record of a leaf, or of the whole file."""
        discard(self._record(leaf))

    def clear(self) -> None:
        """Take back all records of the file: it has been exchanged whole."""
        for name in os.listdir(long_path(self._folder)):
            if name.startswith(self._place + ".") and name.endswith(".json"):
                discard(str(self._folder / name))

    def _record(self, leaf: int | None) -> str:
        return str(self._folder / f"{self._place}.{'file' if leaf is None else leaf}.json")


# -- what a mender that died has left ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A repair of one leaf, or of the whole file (None), that a crash cut short.

    `complete`: the right bytes are there all the same. If not, this leaf or file is still as damaged as it was.
    """

    package: str
    file: str
    leaf: int | None
    complete: bool


def unfinished(root: Path) -> list[Unfinished]:
    """Repairs that a crash cut short and nobody has put right since. Changes nothing."""
    return [_outcome(root, left, intent) for left in _dead(root) for intent in left.values() if intent]


def settle(root: Path) -> list[Unfinished]:
    """Tidy what dead menders left: times and permissions as they were, no half-written file beside a package.

    Says what was found. A leaf that is still damaged keeps its record until it is mended.
    """
    found: list[Unfinished] = []
    for intents in _dead(root):
        outcomes = {path: _outcome(root, intents, intent) for path, intent in intents.items() if intent}
        for path, intent in intents.items():
            if intent is not None:
                _put_in_order(root, intent)
            if path not in outcomes or _is_settled(root, outcomes[path]):
                discard(path)
        found += outcomes.values()
    return found


def _outcome(root: Path, intents: Iterable[str], intent: Intent) -> Unfinished:
    return Unfinished(intent.package, intent.file, intent.leaf, complete=_is_complete(root, intents, intent))


def _is_complete(root: Path, intents: Iterable[str], intent: Intent) -> bool:
    """Whether the announced bytes are there: a leaf tells by its digest, a file by its stage being gone."""
    if intent.leaf is None:
        return not any(path.endswith(".part") for path in intents) and _is_there(root, intent)
    offset = intent.leaf * intent.leaf_size
    try:
        with OpenSlot(package_folder(root, intent.package), intent.file) as slot:
            found = slot.digest(offset, min(intent.leaf_size, intent.size - offset))
    except (OSError, Refused):
        return False
    return found is not None and found.hex() == intent.digest


def _is_settled(root: Path, outcome: Unfinished) -> bool:
    """Whether there is nothing more to remember: it is mended, or a whole file that is as it was, or it is gone."""
    return outcome.complete or outcome.leaf is None or not _is_there(root, outcome)


def _is_there(root: Path, one: Intent | Unfinished) -> bool:
    try:
        with OpenSlot(package_folder(root, one.package), one.file) as slot:
            return slot.status() is not None
    except (OSError, Refused):
        return False


def _put_in_order(root: Path, intent: Intent) -> None:
    """Time and permissions as they were before the mender came."""
    with contextlib.suppress(OSError, Refused), OpenSlot(package_folder(root, intent.package), intent.file) as slot:
        slot.reseal(intent.mtime_ns)


def _dead(root: Path) -> Iterator[dict[str, Intent | None]]:
    """All that a dead mender left for one file, locked meanwhile: paths, and the intent where it is one."""
    folder = root / ".diadem" / "mending"
    for paths in abandoned(root, folder, lambda name: name.partition(".")[0]):
        yield {str(path): _read(str(path)) for path in paths}


def _read(path: str) -> Intent | None:
    """The intent in a file; None where it holds none."""
    if not path.endswith(".json"):
        return None
    try:
        members = json.loads(read_plain(path, 1 << 16))
        if members.pop("format") != _FORMAT:
            return None
        return _checked(Intent(**members))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _checked(intent: Intent) -> Intent | None:
    texts = (intent.package, intent.file, intent.digest)
    numbers = (intent.leaf_size, intent.size, intent.leaf or 0, intent.mtime_ns or 0)
    sound = all(isinstance(text, str) for text in texts) and all(isinstance(number, int) for number in numbers)
    return intent if sound and min(numbers[:3]) >= 0 else None
