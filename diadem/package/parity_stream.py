"""The stream that parity protects: all files of the manifest in its order, end to end."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

from blake3 import blake3

from diadem.errors import DiademError, DigestMismatch, PackageError, line_of
from diadem.model.manifest import FileEntry
from diadem.model.ports import Bundle, Listener, Progress, RangeReader
from diadem.package.opening import OpenedPackage

_NEXT = "Repair the package first."


class StreamMap:
    """Where the bytes of the stream lie in the files."""

    def __init__(self, opened: OpenedPackage) -> None:
        self._entries = [entry for entry in opened.manifest if entry.size]
        self._starts: list[int] = []
        self.total = 0
        for entry in self._entries:
            self._starts.append(self.total)
            self.total += entry.size
        self._by_path = {entry.path: start for entry, start in zip(self._entries, self._starts, strict=True)}

    def start(self, path: str) -> int:
        """Place of a file's first byte in the stream. KeyError for an empty file, which has none."""
        return self._by_path[path]

    def pieces(self, start: int, stop: int) -> Iterator[tuple[FileEntry, int, int]]:
        """Files, offsets in them and lengths that make up some bytes of the stream."""
        number = bisect.bisect_right(self._starts, start) - 1
        while start < stop:
            entry, offset = self._entries[number], start - self._starts[number]
            length = min(stop - start, entry.size - offset)
            yield entry, offset, length
            start += length
            number += 1

    def read(self, bundle: Bundle, start: int, view: memoryview) -> bool:
        """Fill a buffer from the stream; False where a file is missing, too short or cannot be read."""
        done = 0
        for entry, offset, length in self.pieces(start, start + len(view)):
            try:
                with bundle.open(entry.path) as file:
                    got = file.readinto_at(offset, view[done : done + length])
            except (DiademError, OSError):
                return False
            if got != length:
                return False
            done += length
        return True


class ProvenStream:
    """Reads the stream from its beginning to its end, proving each leaf on the way.

    Parity of damaged bytes would preserve the damage, so the first leaf that is not what was archived ends it.
    """

    def __init__(self, bundle: Bundle, opened: OpenedPackage, listener: Listener) -> None:
        self._bundle = bundle
        self._opened = opened
        self._listener = listener
        self._total = sum(entry.size for entry in opened.manifest)
        self._done = 0
        self._entries = iter([entry for entry in opened.manifest if entry.size])
        self._entry: FileEntry | None = None
        self._file: RangeReader | None = None
        self._offset = 0
        self._hasher = blake3()

    def fill(self, view: memoryview) -> None:
        """Fill a buffer with the next bytes of the stream.

        Raises
        ------
        DigestMismatch
            Where a leaf is not what was archived, or a file is missing, of another size, or cannot be read.
        """
        while view:
            entry = self._entry or self._next()
            leaf_size = self._opened.manifest.leaf_size
            length = min(len(view), leaf_size - self._offset % leaf_size, entry.size - self._offset)
            self._read(entry, view[:length])
            self._hasher.update(view[:length])
            self._offset += length
            self._done += length
            if self._offset % leaf_size == 0 or self._offset == entry.size:
                self._close_leaf(entry)
            if self._offset == entry.size:
                self.close()
            view = view[length:]
        self._listener(Progress("parity", self._done, self._total, self._entry.path if self._entry else ""))

    def _next(self) -> FileEntry:
        entry = next(self._entries, None)
        if entry is None:
            raise PackageError("the package has fewer bytes than its index says", next=_NEXT)
        try:
            self._file = self._bundle.open(entry.path)
        except (DiademError, OSError) as error:
            raise _damaged(entry, 0, line_of(error)) from error
        self._entry, self._offset = entry, 0
        if self._file.size != entry.size:
            raise _damaged(entry, 0, f"the file has {self._file.size} bytes, not {entry.size}")
        return entry

    def _read(self, entry: FileEntry, view: memoryview) -> None:
        assert self._file is not None
        try:
            got = self._file.readinto_at(self._offset, view)
        except (DiademError, OSError) as error:
            raise _damaged(entry, self._offset, line_of(error)) from error
        if got != len(view):
            raise _damaged(entry, self._offset, "the file became shorter while it was read")

    def _close_leaf(self, entry: FileEntry) -> None:
        leaf = (self._offset - 1) // self._opened.manifest.leaf_size
        if self._hasher.digest() != self._opened.leaves[entry.first_leaf + leaf]:
            raise _damaged(entry, leaf * self._opened.manifest.leaf_size, "not what was archived", leaf)
        self._hasher = blake3()

    def close(self) -> None:
        """Let go of the file at hand."""
        self._entry = None
        if self._file is not None:
            self._file.close()
            self._file = None


def _damaged(entry: FileEntry, offset: int, reason: str, leaf: int | None = None) -> DigestMismatch:
    message = f"no parity is made from a damaged package: {reason}"
    return DigestMismatch(message, where=entry.path, leaf=leaf, range=(offset, entry.size), next=_NEXT)
