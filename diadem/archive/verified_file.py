"""A file of a package whose bytes are proven, leaf by leaf, before anyone sees them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress

from diadem.errors import DigestMismatch, PackageError
from diadem.model.manifest import FileEntry
from diadem.model.ports import Bundle, RangeFile, RangeReader
from diadem.model.reopenable import Reopenable
from diadem.trust.hashing import Leaves

#: Leaves kept in memory for each open file: 16 MiB at the usual leaf size.
CACHED_LEAVES = 16
#: Most leaves read at once for one request: 32 MiB at the usual leaf size.
RUN = 32
#: Most leaves fetched ahead when a file is read from front to back.
READ_AHEAD = 8
#: Bytes of a whole file that are asked for at once: more is slow to ask for again where a line breaks.
_AT_ONCE = 8 << 20


class VerifiedFile(Reopenable, RangeFile):
    """A seekable binary file; every read raises `DigestMismatch` rather than return a byte that is not proven.

    Safe to use from several threads through `read_at` and `readinto_at`; `seek` and `read` share one position.

    Parameters
    ----------
    reader : RangeReader
        The bytes, wherever they are. Closed with this file.
    entry : FileEntry
        What the file should be.
    leaves : Leaves
        Digests of all leaves of its package.
    """

    def __init__(self, reader: RangeReader, entry: FileEntry, leaves: Leaves) -> None:
        super().__init__(reader)
        self._entry = entry
        self._leaves = leaves
        self._leaf_size = leaves.size
        self._cache: OrderedDict[int, memoryview] = OrderedDict()
        self._lock = threading.Lock()
        self._ahead = 1
        self._expected = 0
        if reader.size != entry.size:
            reader.close()
            raise DigestMismatch(
                f"the file has {reader.size:,} bytes and should have {entry.size:,}",
                where=entry.path,
                range=(min(reader.size, entry.size), max(reader.size, entry.size)),
                next="Take this file from another copy of the package.",
            )

    def __repr__(self) -> str:
        """Name and size."""
        return f"<VerifiedFile {self.name}, {self.size:,} bytes{', closed' if self.closed else ''}>"

    @property
    def size(self) -> int:
        """Bytes in the file: those that were archived, whatever its reader says later."""
        return self._entry.size

    @property
    def name(self) -> str:
        """Path relative to `data/`."""
        return self._entry.name

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` proven bytes at `offset`; fewer only at the end of the file."""
        self.require_open()
        length = max(0, min(length, self.size - offset))
        leaf, within = divmod(offset, self._leaf_size)
        if length and within + length <= self._leaf_size:  # the usual small read: no buffer in between
            return bytes(self._leaf(leaf)[within : within + length])
        buffer = bytearray(length)
        self.readinto_at(offset, memoryview(buffer))
        return bytes(buffer)

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` with proven bytes from `offset`; return their number."""
        self.require_open()
        buffer = buffer.cast("B")
        wanted = max(0, min(len(buffer), self.size - offset))
        if not wanted:
            return 0
        buffer = buffer[:wanted]
        end = (offset + wanted - 1) // self._leaf_size + 1
        for first in range(offset // self._leaf_size, end, RUN):
            leaves = range(first, min(first + RUN, end))
            with self._lock:
                apart = len(leaves) > 1 and not any(leaf in self._cache for leaf in leaves)
            if apart:
                self._read_run(leaves, offset, buffer)
                continue
            for leaf in leaves:
                self._hand_over(leaf, self._leaf(leaf), offset, buffer)
        return wanted

    def close(self) -> None:
        """Release the file and the cache."""
        if not self.closed:
            self._reader.close()
            self._cache.clear()
        super().close()

    def _hand_over(self, leaf: int, data: memoryview, offset: int, buffer: memoryview) -> None:
        """Copy the part of a leaf that was asked for."""
        begin = max(offset, leaf * self._leaf_size)
        piece = data[begin - leaf * self._leaf_size : offset + len(buffer) - leaf * self._leaf_size]
        buffer[begin - offset : begin - offset + len(piece)] = piece

    def _read_run(self, leaves: range, offset: int, buffer: memoryview) -> None:
        """Read several leaves at once, straight into the caller's buffer where it holds all of them."""
        start, end = leaves[0] * self._leaf_size, min((leaves[-1] + 1) * self._leaf_size, self.size)
        direct = offset <= start and end <= offset + len(buffer)
        if direct:
            view = buffer[start - offset : end - offset]
            count = self._reader.readinto_at(start, view)
        else:
            view = memoryview(self._reader.read_at(start, end - start))
            count = len(view)
        pieces = [
            view[at - start : min(at - start + self._leaf_size, count)] for at in range(start, end, self._leaf_size)
        ]
        try:
            for leaf, data in zip(leaves, pieces, strict=True):
                _prove(self._leaves, self._entry, leaf, data)
        except DigestMismatch:
            if direct:
                view[:] = bytes(len(view))  # not even the caller's own buffer shows what is not proven
            raise
        kept: dict[int, memoryview] = {}
        if not direct:
            for leaf, data in zip(leaves, pieces, strict=True):
                self._hand_over(leaf, data, offset, buffer)
            kept = {leaves[at]: memoryview(bytes(pieces[at])) for at in (0, -1)}
        self._keep(kept, leaves.stop)

    def _leaf(self, leaf: int) -> memoryview:
        """A proven leaf: in memory, or read with as many of those behind it as whoever reads on will want.

        Another one of these that is damaged raises when somebody asks for it.
        """
        with self._lock:
            if (known := self._cache.get(leaf)) is not None:
                self._cache.move_to_end(leaf)
                return known
            follows = leaf == self._expected > 0
            ahead = self._ahead = min(self._ahead * 2, READ_AHEAD) if follows else 1
        end = min(leaf + ahead, -(-self.size // self._leaf_size))
        data = memoryview(self._reader.read_at(leaf * self._leaf_size, (end - leaf) * self._leaf_size))
        pieces: dict[int, memoryview] = {}
        for number in range(leaf, end):  # parts of what was read: copies would cost as much as the proof
            piece = data[(number - leaf) * self._leaf_size : (number - leaf + 1) * self._leaf_size]
            if number == leaf:
                _prove(self._leaves, self._entry, leaf, piece)
            elif not self._leaves.proves(self._entry, number, piece):
                break
            pieces[number] = piece
        self._keep(pieces, end)
        return pieces[leaf]

    def _keep(self, pieces: Mapping[int, memoryview], expected: int) -> None:
        """Keep proven leaves in memory, the latest ones, and where a reader from front to back will go on."""
        with self._lock:
            self._expected = expected
            self._cache.update(pieces)
            while len(self._cache) > CACHED_LEAVES:
                self._cache.popitem(last=False)


def read_proven(bundle: Bundle, entry: FileEntry, leaves: Leaves) -> bytes:
    """The whole of a file, as `VerifiedFile` gives it; a small one by one request where that tells its length too."""
    data = None
    if entry.size <= _AT_ONCE:
        with suppress(PackageError):  # it is longer than it should be, or cannot be read: said as of any other file
            data = bundle.read(entry.path, entry.size)
    if data is None or len(data) != entry.size:
        with VerifiedFile(bundle.open(entry.path), entry, leaves) as file:
            return b"".join(iter(lambda: file.read(_AT_ONCE), b""))
    for leaf in range(leaves.count(entry)):
        start, end = leaves.span(entry, leaf)
        _prove(leaves, entry, leaf, memoryview(data)[start:end])
    return data


def _prove(leaves: Leaves, entry: FileEntry, leaf: int, data: memoryview) -> None:
    if not leaves.proves(entry, leaf, data):
        start, end = leaves.span(entry, leaf)
        raise DigestMismatch(
            f"bytes {start:,} to {end:,} (leaf {leaf}) are not what was archived",
            where=entry.path,
            leaf=leaf,
            range=(start, end),
            next="Take this part from another copy of the package.",
        )
