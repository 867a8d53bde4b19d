"""A file of this machine read at any place, as layouts read files of a package."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self


class LocalFile:
    """A `RangeReader` of one file; for one thread.

    Parameters
    ----------
    path : str
        The file.
    """

    def __init__(self, path: str) -> None:
        self._stream = Path(path).open("rb", buffering=0)  # noqa: SIM115 - closed by `close`
        self._size = self._stream.seek(0, 2)

    @property
    def size(self) -> int:
        """Bytes in the file when it was opened."""
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`; fewer only at the end of the file."""
        buffer = bytearray(max(0, min(length, self._size - offset)))
        return bytes(buffer[: self.readinto_at(offset, memoryview(buffer))])

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`; return the bytes read, fewer than its length only at the end of the file."""
        self._stream.seek(offset)
        done = 0
        while done < len(buffer) and (count := self._stream.readinto(buffer[done:])):
            done += count
        return done

    def close(self) -> None:
        """Release the file."""
        self._stream.close()

    def __enter__(self) -> Self:
        """The reader itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()
