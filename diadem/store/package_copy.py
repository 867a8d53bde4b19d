"""What a copy of a package is made of: every file with the digests that it must have, before a byte is moved."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from diadem.errors import DigestMismatch, IntegrityError, NotFound, PackageError, Unreachable, UsageError
from diadem.model.manifest import DERIVED_PATHS, TAGMANIFEST
from diadem.model.names import unsafe
from diadem.model.ports import Bundle, Listener, Meter
from diadem.package.examine import LIMITS, TagFiles
from diadem.package.tags import parse_manifest
from diadem.store.bags import LocalBundle
from diadem.store.contract import Pace
from diadem.trust.hashing import Leaves, tree_digest
from diadem.work import in_order

#: Folders in the root of a store in which no packages lie.
NO_YEARS = frozenset({".diadem", "incoming"})
#: A package's folder as stores have it, where it may have had to take a number.
_NAMED = re.compile(r"(?:[0-9]{4}/)?(([0-9]{4})[0-9]{4}-[a-z0-9-]{1,60}-[0-9a-f]{12})(?:-[0-9]{1,3})?\Z")
ADVICE = "Repair this copy, or take another one."
#: Bytes of one request; small files are one request each.
_PIECE = 8 << 20
#: Requests under way, and their bytes: what 1 Gbit/s and 30 ms need for files of 100 kB.
_REQUESTS = 48
_BUDGET = 64 << 20
_THREADS = 12


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a package on its way."""

    path: str
    size: int
    sha256: str
    #: None for tag files.
    mtime_ns: int | None = None
    #: Those of this file; None for tag files.
    leaves: Leaves | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """A package on its way."""

    opened: TagFiles
    #: Written last.
    tagmanifest: bytes
    #: Those of the manifest in its order.
    files: tuple[Item, ...]
    #: The other tag files.
    tags: tuple[Item, ...]

    @property
    def items(self) -> tuple[Item, ...]:
        """All but the tag manifest."""
        return self.files + self.tags

    @property
    def size(self) -> int:
        return sum(item.size for item in self.items) + len(self.tagmanifest)

    @property
    def tree(self) -> str:
        return tree_of(self.opened)


def tree_of(opened: TagFiles) -> str:
    return tree_digest((entry.name, entry.size) for entry in opened.manifest.payload)


def contents_of(source: Bundle, opened: TagFiles) -> Contents:
    """List what must be copied.

    Raises `DigestMismatch` if the package at the source is no longer the one that was opened, or lacks a tag file;
    `PackageError` if its tag manifest lists what no tag file may be.
    """
    with source_errors(TAGMANIFEST):
        if not isinstance(source, LocalBundle):
            source.listing()  # one request for a thousand files; sizes need not be asked for one by one then
        tagmanifest = source.read(TAGMANIFEST, LIMITS[TAGMANIFEST])
    if hashlib.sha256(tagmanifest).hexdigest() != opened.id.hex:
        raise damaged(TAGMANIFEST, "it is not the tag manifest of this package")
    tags = tuple(_tag_item(source, path, digest) for digest, path in parse_manifest(tagmanifest, TAGMANIFEST))
    files = (Item(each.path, each.size, each.sha256, each.mtime_ns, opened.leaves.of(each)) for each in opened.manifest)
    return Contents(opened, tagmanifest, tuple(files), tags)


def _tag_item(source: Bundle, path: str, digest: str) -> Item:
    reason = unsafe(path)
    if reason is None and (path.startswith("data/") or path in DERIVED_PATHS or path == TAGMANIFEST):
        reason = "it is not a tag file"
    if reason:
        raise PackageError(f"the tag manifest lists a refused path: {reason}", where=path, next="Do not trust it.")
    with source_errors(path), source.open(path) as reader:
        return Item(path, reader.size, digest)


def compare(item: Item, size: int, sha256: str, leaves: Leaves | None = None) -> None:
    """Hold what was copied against what it must be; `DigestMismatch` names the first leaf that differs, where known."""
    if size != item.size:
        raise damaged(item.path, f"it has {size} bytes, not {item.size}")
    if item.leaves is not None and leaves is not None and leaves != item.leaves:
        leaf = next(number for number in range(len(leaves)) if leaves[number] != item.leaves[number])
        span = (leaf * leaves.size, min((leaf + 1) * leaves.size, size))
        raise damaged(item.path, f"leaf {leaf} has different bytes", leaf, span)
    if sha256 != item.sha256:
        raise damaged(item.path, "its SHA-256 is different")


def damaged(path: str, what: str, leaf: int | None = None, span: tuple[int, int] | None = None) -> DigestMismatch:
    """The error for a source that is not what it must be."""
    return DigestMismatch(
        f"the copy to be taken is damaged: {what}; nothing was published",
        where=path,
        leaf=leaf,
        range=span,
        next=ADVICE,
    )


@contextmanager
def source_errors(path: str) -> Iterator[None]:
    """Reading `path` of a source: what is missing, no plain file, or unreadable is damage; no answer is no answer."""
    try:
        yield
    except (DigestMismatch, Unreachable):
        raise
    except NotFound as error:
        raise damaged(path, "it is missing") from error
    except (PackageError, IntegrityError) as error:
        raise damaged(path, error.message) from error
    except OSError as error:
        raise damaged(path, f"it cannot be read: {error.strerror or error}") from error


def refuse_path(path: str) -> None:
    """Raise `UsageError` for a path at which no package may lie in a store."""
    reason = unsafe(path)
    if reason is None and path.split("/", 1)[0] in NO_YEARS:
        reason = "that folder is not for packages"
    if reason:
        raise UsageError(f"a package cannot be here: {reason}", where=path, next="Name it <year>/<name>.")


def place_for(name: str, payload_id: str, now: datetime) -> str:
    """Where a package goes in a store: under the name that it has, where that is one as packages have."""
    told = _NAMED.match(name)
    if told is not None and told[1].endswith(payload_id[:12]):
        return f"{told[2]}/{told[1]}"
    return f"{now:%Y/%Y%m%d}-received-{payload_id[:12]}"


class Counter(Meter):
    """A meter that holds what it counts below a rate."""

    def __init__(self, stage: str, total: int, listener: Listener, pace: Pace | None) -> None:
        super().__init__(stage, total, listener)
        self._pace = pace

    def __call__(self, path: str, count: int) -> None:
        if self._pace is not None:
            self._pace.wait(count)
        self.add(count, path)


# -- reading them ahead ------------------------------------------------------------------------------------------------


class ReadAhead:
    """The files of a package in the order in which they will be asked for, read ahead on threads."""

    def __init__(self, source: Bundle, items: Sequence[Item]) -> None:
        self._source = source
        # A disk is best read by one thread, one place after the other.
        threads = 1 if isinstance(source, LocalBundle) else _THREADS
        self._pieces = in_order(
            self._fetch,
            _pieces(items),
            threads=threads,
            ahead=_REQUESTS,
            size=lambda piece: piece[2],
            budget=_BUDGET,
            name="diadem-ahead",
        )

    def open(self, item: Item, *, compared: bool = False) -> Arriving:
        """The next file, in the order that was announced; `compared` with its SHA-256 when its end is reached."""
        return Arriving(self, item, compared=compared)

    def take(self, item: Item) -> bytes:
        """The next piece of a file. Raises `DigestMismatch` where it cannot be had."""
        expected, data = next(self._pieces)
        assert expected is item, "files are read in the order that was announced"
        return data

    def _fetch(self, piece: tuple[Item, int, int]) -> tuple[Item, bytes]:
        item, start, length = piece
        with source_errors(item.path), self._source.open(item.path) as reader:
            if reader.size != item.size:
                raise damaged(item.path, f"it has {reader.size} bytes, not {item.size}")
            data = reader.read_at(start, length)
        if len(data) != length:
            raise damaged(item.path, f"it ends after {start + len(data)} of {item.size} bytes")
        return item, data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Give up what is under way."""
        self._pieces.close()


class Arriving(io.RawIOBase):
    """One file as it arrives, from its beginning to its end."""

    def __init__(self, ahead: ReadAhead, item: Item, *, compared: bool) -> None:
        super().__init__()
        self._ahead, self._item = ahead, item
        self._sha256 = hashlib.sha256() if compared else None
        self._left = item.size
        self._piece = memoryview(b"")
        if not item.size:
            ahead.take(item)  # that it is there, and empty

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view) and (self._piece or self._left):
            if not self._piece:
                self._piece = memoryview(self._ahead.take(self._item))
                self._left -= len(self._piece)
            count = min(len(view) - filled, len(self._piece))
            view[filled : filled + count] = self._piece[:count]
            self._piece = self._piece[count:]
            filled += count
        if self._sha256 is not None:
            self._sha256.update(view[:filled])
            if filled < len(view):
                compare(self._item, self._item.size, self._sha256.hexdigest())
        return filled


def _pieces(items: Sequence[Item]) -> Iterator[tuple[Item, int, int]]:
    for item in items:
        for start in range(0, item.size, _PIECE):
            yield item, start, min(_PIECE, item.size - start)
        if not item.size:
            yield item, 0, 0
