"""The part of a binary file that is the same over any random access: a position that seeks and reads move."""

from __future__ import annotations

import io
from typing import Any, NoReturn

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

    @property
    def mode(self) -> str:
        """``rb``."""
        return "rb"

    def require_open(self) -> None:
        """Raise `ValueError` where the file was closed, as files of Python do."""
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position, bytes from the start."""
        self.require_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position; see `io.IOBase.seek`."""
        self.require_open()
        if whence not in (io.SEEK_SET, io.SEEK_CUR, io.SEEK_END):
            raise ValueError(f"whence is 0, 1 or 2, not {whence}")
        base = (0, self._position, self.size)[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Up to so many bytes from the position; all that is left without a number."""
        data: bytes = super().read(-1 if size is None else size)
        return data

    def write(self, _: Any) -> NoReturn:
        """A package never changes. Raises `io.UnsupportedOperation`."""
        raise io.UnsupportedOperation("not writable")

    def readline(self, size: int | None = -1) -> bytes:
        """The next line, read in blocks: `io.RawIOBase` reads byte by byte."""
        self.require_open()
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
        self.require_open()
        count = self.readinto_at(self._position, memoryview(buffer).cast("B"))
        self._position += count
        return count
