"""Reading the files of a package one after the other, while the next pieces are already on their way."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

from diadem.model.ports import Bundle
from diadem.store.bundle import LocalBundle
from diadem.store.taking import Item, damaged, source_errors

#: Bytes of one request; small files are one request each.
_PIECE = 8 << 20
#: Requests under way, and their bytes: what 1 Gbit/s and 30 ms need for files of 100 kB.
_REQUESTS = 48
_BUDGET = 64 << 20
_THREADS = 12


class Ahead:
    """The files of a package in their order, read ahead on threads.

    Parameters
    ----------
    source : Bundle
        Where they are.
    items : sequence of Item
        In the order in which they will be asked for.
    """

    def __init__(self, source: Bundle, items: Sequence[Item]) -> None:
        self._source = source
        # A disk is best read by one thread, one place after the other.
        threads = 1 if isinstance(source, LocalBundle) else _THREADS
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="diadem-ahead")
        self._pieces = _pieces(items)
        self._pending: deque[tuple[Item, Future[bytes]]] = deque()
        self._bytes = 0

    def open(self, item: Item) -> Arriving:
        """The next file; files are asked for in the order that was announced."""
        return Arriving(self, item)

    def take(self, item: Item) -> bytes:
        """The next piece of a file.

        Raises
        ------
        DigestMismatch
            If it cannot be had.
        """
        self._request()
        expected, future = self._pending.popleft()
        assert expected is item, "files are read in the order that was announced"
        data = future.result()
        self._bytes -= len(data)
        return data

    def _request(self) -> None:
        """Ask for further pieces as long as there is room; for the next one in any case."""
        while not self._pending or (len(self._pending) < _REQUESTS and self._bytes < _BUDGET):
            piece = next(self._pieces, None)
            if piece is None:
                return
            item, start, length = piece
            self._bytes += length
            self._pending.append((item, self._pool.submit(self._fetch, item, start, length)))

    def _fetch(self, item: Item, start: int, length: int) -> bytes:
        with source_errors(item.path), self._source.open(item.path) as reader:
            if reader.size != item.size:
                raise damaged(item.path, f"it has {reader.size} bytes, not {item.size}")
            data = reader.read_at(start, length)
        if len(data) != length:
            raise damaged(item.path, f"it ends after {start + len(data)} of {item.size} bytes")
        return data

    def __enter__(self) -> Self:
        """Start."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Give up what is under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class Arriving(io.RawIOBase):
    """One file as it arrives, from its beginning to its end."""

    def __init__(self, ahead: Ahead, item: Item) -> None:
        super().__init__()
        self._ahead, self._item = ahead, item
        self._left = item.size
        self._piece = memoryview(b"")
        if not item.size:
            ahead.take(item)  # that it is there, and empty

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; fewer bytes only at the end."""
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
        return filled


def _pieces(items: Sequence[Item]) -> Iterator[tuple[Item, int, int]]:
    for item in items:
        for start in range(0, item.size, _PIECE):
            yield item, start, min(_PIECE, item.size - start)
        if not item.size:
            yield item, 0, 0
