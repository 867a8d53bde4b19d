"""Writing copies: read-only files with the holes of their originals, on the disk early, their pages given back."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import deque
from typing import Self

from diadem.store.local_errors import SinkFailed
from diadem.store.system import (
    CREATE_FLAGS,
    PAGES_CAN_BE_RELEASED,
    SEALED,
    long_path,
    release_cache,
    start_writeback,
)

_HOLE = 1 << 16
_ZEROS = bytes(_HOLE)
_WRITEBACK = 32 << 20
_KEPT = 256 << 20
_MAX_RANGES = 64


def discard(path: str) -> None:
    """Remove a file that should not stay; nothing to do if it is not there."""
    path = long_path(path)
    with contextlib.suppress(FileNotFoundError):
        if os.name == "nt":
            os.chmod(path, stat.S_IWRITE)
        os.unlink(path)


class Sink:
    """A new read-only file whose failures are told apart from those of the source."""

    def __init__(self, target: str) -> None:
        self._target = long_path(target)
        try:
            self.descriptor = os.open(self._target, CREATE_FLAGS, SEALED)
        except OSError as error:
            raise SinkFailed(error) from error

    def set_time(self, mtime_ns: int) -> None:
        """Give the copy the modification time of its original, where the file system can hold it."""
        with contextlib.suppress(OSError, OverflowError):
            os.utime(self.descriptor if os.utime in os.supports_fd else self._target, ns=(mtime_ns, mtime_ns))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            os.close(self.descriptor)  # where a network file system reports a full disk
        except OSError as error:
            raise SinkFailed(error) from error


class Pages:
    """Ranges that have been written and are on their way to the disk, oldest first; the oldest give their memory back.

    The last `_KEPT` bytes stay in memory, so that a reader of metadata still finds them there.
    """

    def __init__(self) -> None:
        self._ranges: deque[tuple[int, int, int]] = deque()
        self._bytes = 0

    def written(self, descriptor: int, offset: int, length: int) -> None:
        """A range of an open file has been written."""
        if not PAGES_CAN_BE_RELEASED or not length:
            return
        start_writeback(descriptor, offset, length)
        self._ranges.append((os.dup(descriptor), offset, length))
        self._bytes += length
        while self._bytes > _KEPT or len(self._ranges) > _MAX_RANGES:
            self._release()

    def _release(self) -> None:
        descriptor, offset, length = self._ranges.popleft()
        self._bytes -= length
        try:
            release_cache(descriptor, offset, length)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Forget what is left; its memory stays with the system."""
        for descriptor, _, _ in self._ranges:
            os.close(descriptor)
        self._ranges.clear()


class Writer:
    """Writes consecutive buffers; leaves holes where a sparse original has them; starts the disk early."""

    def __init__(self, sink: int | None, pages: Pages, *, sparse: bool) -> None:
        self._sink = sink
        self._pages = pages
        self._sparse = sparse
        self._offset = 0
        self._started = 0

    def write(self, data: memoryview) -> None:
        if self._sink is None:
            return
        if self._sparse:
            write_with_holes(self._sink, data)
        else:
            write_all(self._sink, data)
        self._offset += len(data)
        if self._offset - self._started >= _WRITEBACK:
            self._pages.written(self._sink, self._started, self._offset - self._started)
            self._started = self._offset

    def finish(self, size: int) -> None:
        if self._sink is not None:
            self._pages.written(self._sink, self._started, self._offset - self._started)
        if self._sink is not None and self._sparse:
            try:
                os.ftruncate(self._sink, size)
            except OSError as error:
                raise SinkFailed(error) from error


def write_with_holes(sink: int, data: memoryview | bytes) -> None:
    """Write a buffer, leaving a hole for each 64 KiB of zeros; the caller gives the file its length at the end.

    Raises
    ------
    SinkFailed
        If the file cannot be written.
    """
    view = memoryview(data)
    for start in range(0, len(view), _HOLE):
        block = view[start : start + _HOLE]
        if bytes(block) == _ZEROS[: len(block)]:
            _skip(sink, len(block))
        else:
            write_all(sink, block)


def write_all(sink: int, data: memoryview) -> None:
    try:
        while data:
            data = data[os.write(sink, data) :]
    except OSError as error:
        raise SinkFailed(error) from error


def _skip(sink: int, length: int) -> None:
    try:
        os.lseek(sink, length, os.SEEK_CUR)
    except OSError as error:
        raise SinkFailed(error) from error
