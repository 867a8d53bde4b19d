"""The part of a binary file that is the same over any random access: a position that seeks and reads move."""

from __future__ import annotations

import io
from typing import Any

#: Bytes in which lines are looked for at once.
_BLOCK = 1 << 13


class PositionedFile(io.RawIOBase):
    """A seekable, readable file on top of `size` and `readinto_at`, which a subclass gives."""

    _position = 0

    @property
    def size(self) -> int:
        """Bytes in the file."""
        raise NotImplementedError

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`; return the bytes read, fewer than its length only at the end of the file."""
        raise NotImplementedError

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

    def readline(self, size: int | None = -1) -> bytes:
        """The next line, read in blocks: `io.RawIOBase` reads byte by byte."""
        most = self.size if size is None or size < 0 else size
        line = bytearray()
        while len(line) < most:
            block = bytearray(min(_BLOCK, most - len(line)))
            count = self.readinto_at(self._position, memoryview(block))
            end = block.find(b"\n", 0, count) + 1
            line += block[: end or count]
            self._position += end or count
            if end or not count:
                break
        return bytes(line)

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position."""
        count = self.readinto_at(self._position, memoryview(buffer).cast("B"))
        self._position += count
        return count
