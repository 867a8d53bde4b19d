"""A bag that is read at a pace, so that a check leaves the disk or the line to others."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from diadem.model.ports import Bundle, Listing, RangeReader
from diadem.store.base import Pace


class PacedBundle:
    """The same files, read no faster than a rate.

    Parameters
    ----------
    bundle : Bundle
        The bag.
    pace : Pace
        The rate; may be shared by several bags.
    """

    def __init__(self, bundle: Bundle, pace: Pace) -> None:
        self._bundle = bundle
        self._pace = pace

    @property
    def url(self) -> str:
        """Where the bag is."""
        return self._bundle.url

    def listing(self) -> Listing:
        """Everything in the bag."""
        return self._bundle.listing()

    def exists(self, path: str) -> bool:
        """Whether a regular file is there."""
        return self._bundle.exists(path)

    def read(self, path: str, limit: int) -> bytes:
        """The whole of a small file."""
        data = self._bundle.read(path, limit)
        self._pace.wait(len(data))
        return data

    def open(self, path: str) -> RangeReader:
        """Random access to a file."""
        return _PacedReader(self._bundle.open(path), self._pace)


class _PacedReader:
    def __init__(self, reader: RangeReader, pace: Pace) -> None:
        self._reader = reader
        self._pace = pace

    @property
    def size(self) -> int:
        """Bytes in the file when it was opened."""
        return self._reader.size

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`."""
        data = self._reader.read_at(offset, length)
        self._pace.wait(len(data))
        return data

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`."""
        count = self._reader.readinto_at(offset, buffer)
        self._pace.wait(count)
        return count

    def close(self) -> None:
        """Release the file."""
        self._reader.close()

    def __enter__(self) -> Self:
        """The reader itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()
