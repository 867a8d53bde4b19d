"""A file of a package whose bytes are proven, leaf by leaf, before anyone sees them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping

from diadem.archive.rangefile import PositionedFile
from diadem.errors import DigestMismatch
from diadem.model.manifest import FileEntry
from diadem.model.ports import RangeReader
from diadem.model.reopenable import Reopenable
from diadem.trust.hashing import Leaves

#: Leaves kept in memory for each open file: 16 MiB at the usual leaf size.
CACHED_LEAVES = 16
#: Most leaves read at once for one request: 32 MiB at the usual leaf size.
RUN = 32
#: Most leaves fetched ahead when a file is read from front to back.
READ_AHEAD = 8


class VerifiedFile(Reopenable, PositionedFile):
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
        super().__init__()
        self._reader = reader
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

    # -- random access, from any thread ----------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes in the file."""
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
        first, last = offset // self._leaf_size, (offset + wanted - 1) // self._leaf_size
        for start in range(first, last + 1, RUN):
            self._fill(start, min(start + RUN - 1, last), offset, buffer[:wanted])
        return wanted

    def _fill(self, first: int, last: int, offset: int, buffer: memoryview) -> None:
        """Put what the leaves `first` to `last` hold of the request into the caller's buffer."""
        if last > first and not self._any_cached(first, last):
            self._read_run(first, last, offset, buffer)
            return
        for leaf in range(first, last + 1):
            self._hand_over(leaf, self._leaf(leaf), offset, buffer)

    def _hand_over(self, leaf: int, data: memoryview, offset: int, buffer: memoryview) -> None:
        """Copy the part of a leaf that was asked for."""
        begin = max(offset, leaf * self._leaf_size)
        piece = data[begin - leaf * self._leaf_size : offset + len(buffer) - leaf * self._leaf_size]
        buffer[begin - offset : begin - offset + len(piece)] = piece

    def _any_cached(self, first: int, last: int) -> bool:
        with self._lock:
            return any(leaf in self._cache for leaf in range(first, last + 1))

    def _read_run(self, first: int, last: int, offset: int, buffer: memoryview) -> None:
        """Read several leaves at once, straight into the caller's buffer where it holds all of them."""
        start, end = first * self._leaf_size, min((last + 1) * self._leaf_size, self.size)
        direct = offset <= start and end <= offset + len(buffer)
        if direct:
            view = buffer[start - offset : end - offset]
            count = self._reader.readinto_at(start, view)
        else:
            view = memoryview(self._reader.read_at(start, end - start))
            count = len(view)
        leaves = [
            view[at - start : min(at - start + self._leaf_size, count)] for at in range(start, end, self._leaf_size)
        ]
        try:
            for leaf, data in enumerate(leaves, first):
                self._prove(leaf, data)
        except DigestMismatch:
            if direct:
                view[:] = bytes(len(view))  # not even the caller's own buffer shows what is not proven
            raise
        if not direct:
            for leaf, data in enumerate(leaves, first):
                self._hand_over(leaf, data, offset, buffer)
        self._keep(
            {} if direct else {first: memoryview(bytes(leaves[0])), last: memoryview(bytes(leaves[-1]))}, last + 1
        )

    def _leaf(self, leaf: int) -> memoryview:
        """A proven leaf: in memory, or fetched with as many of those behind it as whoever reads on will want."""
        with self._lock:
            if (known := self._cache.get(leaf)) is not None:
                self._cache.move_to_end(leaf)
                return known
            follows = leaf == self._expected > 0
            ahead = self._ahead = min(self._ahead * 2, READ_AHEAD) if follows else 1
        return self._fetch(leaf, min(leaf + ahead, -(-self.size // self._leaf_size)))

    def _fetch(self, first: int, end: int) -> memoryview:
        """Read and prove leaves, and return the first; another one that is damaged raises when somebody asks for it."""
        data = memoryview(self._reader.read_at(first * self._leaf_size, (end - first) * self._leaf_size))
        pieces: dict[int, memoryview] = {}
        for leaf in range(first, end):  # parts of what was read: copies would cost as much as the proof
            piece = data[(leaf - first) * self._leaf_size : (leaf - first + 1) * self._leaf_size]
            if leaf == first:
                self._prove(leaf, piece)
            elif not self._leaves.proves(self._entry, leaf, piece):
                break
            pieces[leaf] = piece
        self._keep(pieces, end)
        return pieces[first]

    def _keep(self, pieces: Mapping[int, memoryview], expected: int) -> None:
        """Keep proven leaves in memory, the latest ones, and where a reader from front to back will go on."""
        with self._lock:
            self._expected = expected
            self._cache.update(pieces)
            while len(self._cache) > CACHED_LEAVES:
                self._cache.popitem(last=False)

    def _prove(self, leaf: int, data: memoryview) -> None:
        if not self._leaves.proves(self._entry, leaf, data):
            start, end = self._leaves.span(self._entry, leaf)
            raise DigestMismatch(
                f"bytes {start:,} to {end:,} (leaf {leaf}) are not what was archived",
                where=self._entry.path,
                leaf=leaf,
                range=(start, end),
                next="Take this part from another copy of the package.",
            )

    # -- the file protocol -----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Release the file and the cache."""
        if not self.closed:
            self._reader.close()
            self._cache.clear()
        super().close()
