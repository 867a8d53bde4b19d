"""A file of a package whose bytes are proven, leaf by leaf, before anyone sees them."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from typing import Any

from diadem.errors import DigestMismatch
from diadem.model.manifest import DIGEST_SIZE, FileEntry
from diadem.model.ports import RangeReader
from diadem.trust.hashing import leaf_digest

#: Leaves kept in memory for each open file: 16 MiB at the usual leaf size.
CACHED_LEAVES = 16
#: Most leaves fetched ahead when a file is read from front to back.
READ_AHEAD = 8


class VerifiedFile(io.RawIOBase):
    """A seekable binary file; every read raises `DigestMismatch` rather than return a byte that is not proven.

    Safe to use from several threads through `read_at` and `readinto_at`; `seek` and `read` share one position.

    Parameters
    ----------
    reader : RangeReader
        The bytes, wherever they are. Closed with this file.
    entry : FileEntry
        What the file should be.
    leaves : bytes
        Digests of its leaves.
    leaf_size : int
        Bytes in a leaf.
    """

    def __init__(self, reader: RangeReader, entry: FileEntry, leaves: bytes, leaf_size: int) -> None:
        super().__init__()
        self._reader = reader
        self._entry = entry
        self._leaves = leaves
        self._leaf_size = leaf_size
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._position = 0
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
        length = max(0, min(length, self.size - offset))
        buffer = bytearray(length)
        self.readinto_at(offset, memoryview(buffer))
        return bytes(buffer)

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` with proven bytes from `offset`; return their number."""
        buffer = buffer.cast("B")
        wanted = max(0, min(len(buffer), self.size - offset))
        done = 0
        while done < wanted:
            leaf, within = divmod(offset + done, self._leaf_size)
            rest = wanted - done
            whole = rest // self._leaf_size
            if within == 0 and whole >= CACHED_LEAVES // 2:
                done += self._read_whole(leaf, buffer[done : done + whole * self._leaf_size])
            else:
                piece = self._leaf(leaf)[within : within + rest]
                buffer[done : done + len(piece)] = piece
                done += len(piece)
        return done

    def _read_whole(self, leaf: int, view: memoryview) -> int:
        """Read leaves straight into the caller's buffer and prove them there."""
        count = self._reader.readinto_at(leaf * self._leaf_size, view)
        for number, start in enumerate(range(0, len(view), self._leaf_size), leaf):
            self._prove(number, view[start : min(start + self._leaf_size, count)])
        return len(view)

    def _leaf(self, leaf: int) -> bytes:
        with self._lock:
            known = self._cache.get(leaf)
            if known is not None:
                self._cache.move_to_end(leaf)
                return known
            # Reading on from where the last fetch ended: fetch more at once, up to the limit.
            self._ahead = min(self._ahead * 2, READ_AHEAD) if leaf == self._expected and leaf else 1
            ahead = self._ahead
        total = -(-self.size // self._leaf_size)
        ahead = min(ahead, total - leaf)
        data = self._reader.read_at(leaf * self._leaf_size, ahead * self._leaf_size)
        pieces = [data[start : start + self._leaf_size] for start in range(0, ahead * self._leaf_size, self._leaf_size)]
        self._prove(leaf, pieces[0])
        self._remember(leaf, pieces)
        return pieces[0]

    def _remember(self, leaf: int, pieces: list[bytes]) -> None:
        """Keep the proven ones; a damaged leaf that nobody asked for yet raises when it is asked for."""
        with self._lock:
            self._expected = leaf + len(pieces)
            for number, piece in enumerate(pieces, leaf):
                if leaf_digest(piece) == self._digest(number):
                    self._cache[number] = piece
            while len(self._cache) > CACHED_LEAVES:
                self._cache.popitem(last=False)

    def _digest(self, leaf: int) -> bytes:
        return self._leaves[leaf * DIGEST_SIZE : (leaf + 1) * DIGEST_SIZE]

    def _prove(self, leaf: int, data: memoryview | bytes) -> None:
        if leaf_digest(data) != self._digest(leaf):
            start = leaf * self._leaf_size
            end = min(start + self._leaf_size, self.size)
            raise DigestMismatch(
                f"bytes {start:,} to {end:,} (leaf {leaf}) are not what was archived",
                where=self._entry.path,
                leaf=leaf,
                range=(start, end),
                next="Take this part from another copy of the package.",
            )

    # -- the file protocol -----------------------------------------------------------------------------------------

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position, bytes from the start."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position; see `io.IOBase.seek`."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position."""
        count = self.readinto_at(self._position, memoryview(buffer))
        self._position += count
        return count

    def close(self) -> None:
        """Release the file and the cache."""
        if not self.closed:
            self._reader.close()
            self._cache.clear()
        super().close()
