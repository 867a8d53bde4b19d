"""Packages whose reading fails when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Callable

from diadem.errors import Unreachable
from diadem.model.ports import Bundle, BundleAround, Listing, RangeReader, ReaderAround

#: Does a read of some path, or fails in its place.
Reading = Callable[[str, Callable[[], bytes]], bytes]


class FaultyBundle(BundleAround):
    """A bag whose every read goes through a function.

    Parameters
    ----------
    bundle : Bundle
        The real one.
    reading : callable
        Called with the path and the read that is to be done.
    """

    def __init__(self, bundle: Bundle, reading: Reading) -> None:
        super().__init__(bundle)
        self._reading = reading

    def listing(self) -> Listing:
        """What the bag lists; a fault that changes bytes does nothing here."""
        found: list[Listing] = []

        def look() -> bytes:
            found.append(self._bundle.listing())
            return b""

        self._reading("", look)
        return found[0]

    def read(self, path: str, limit: int) -> bytes:
        """One read."""
        return self._reading(path, lambda: self._bundle.read(path, limit))

    def open(self, path: str) -> FaultyReader:
        """A file whose every read goes through the function."""
        return FaultyReader(self._bundle.open(path), path, self._reading)


class FaultyReader(ReaderAround):
    """A file of a `FaultyBundle`."""

    def __init__(self, reader: RangeReader, path: str, reading: Reading) -> None:
        super().__init__(reader)
        self._path, self._reading = path, reading

    def read_at(self, offset: int, length: int) -> bytes:
        """One read."""
        return self._reading(self._path, lambda: self._reader.read_at(offset, length))

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """One read."""
        data = self.read_at(offset, len(buffer))
        buffer[: len(data)] = data
        return len(data)


class TornBundle(FaultyBundle):
    """A bag on a line that breaks after some bytes and stays broken.

    Parameters
    ----------
    bundle : Bundle
        The real one.
    after : int
        Bytes that still arrive.
    error : callable, optional
        Makes what is raised then; `Unreachable` by default.
    """

    def __init__(self, bundle: Bundle, after: int, error: Callable[[], BaseException] | None = None) -> None:
        super().__init__(bundle, self._count)
        self._left = after
        self._lock = threading.Lock()
        self._error = error or (lambda: Unreachable("the line broke in the middle (on purpose)", where=bundle.url))

    def _count(self, path: str, read: Callable[[], bytes]) -> bytes:  # noqa: ARG002
        data = read()
        with self._lock:
            self._left -= len(data)
            if self._left < 0:
                raise self._error()
        return data
