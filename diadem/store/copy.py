"""One pass over a file: read, SHA-256, BLAKE3 leaves and write, overlapped on threads, in a few buffers.

A small file is cheaper done in one go by the calling thread; a large one is cut into buffers that three lanes share:
the caller reads, one thread computes SHA-256, one computes leaves and writes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Self

from diadem.model.manifest import LEAF_SIZE
from diadem.store.system import (
    CREATE_FLAGS,
    PAGES_CAN_BE_RELEASED,
    READ_FLAGS,
    SEALED,
    SinkFailed,
    discard,
    is_sparse,
    long_path,
    or_else,
    release_cache,
    start_writeback,
)
from diadem.trust.hashing import LeafHasher, leaf_digest

BUFFER = 4 << 20
DEPTH = 4
SMALL = 1 << 20
HEAD = 512
_HOLE = 1 << 16
_ZEROS = bytes(_HOLE)
_WRITEBACK = 32 << 20
_KEPT = 256 << 20
_MAX_RANGES = 64


class Changed(Exception):
    """The file was not the same at the end of the pass as at its beginning."""


class SourceFailed(Exception):
    """The source cannot be read; the cause is the `OSError`."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class NotPlain(Exception):
    """What was a plain file when the folder was listed is something else now."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes to be copied, wherever they come from."""

    #: Fills a buffer from where it stopped; the bytes, fewer than there is room for only at the end.
    fill: Callable[[memoryview], int]
    #: Bytes that are expected; not many more are read.
    size: int
    #: Modification time for the copy; None for that of its writing.
    mtime_ns: int | None
    #: Whether to look for long runs of zeros and leave holes.
    sparse: bool = False
    leaf_size: int = LEAF_SIZE


@dataclass(frozen=True, slots=True)
class Copied:
    """What one pass over a file found."""

    size: int
    sha256: str
    #: 32-byte digests of the leaves.
    leaves: bytes
    #: Nanoseconds since 1970.
    mtime_ns: int
    #: The first bytes, for recognising the format.
    head: bytes


class Copier:
    """Copies or only hashes files, from any thread; use as a context manager. Large files go one after the other."""

    def __init__(self) -> None:
        self._large = threading.Lock()
        self._pages = Pages()
        self._hashing = ThreadPoolExecutor(1, "diadem-sha256")
        self._writing = ThreadPoolExecutor(1, "diadem-write")

    def __enter__(self) -> Self:
        """The copier itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Wait for the lanes to end."""
        self._hashing.shutdown()
        self._writing.shutdown()
        self.let_go()

    def let_go(self) -> None:
        """Close what is open of files that were written: their pages are not given back to the system then."""
        self._pages.close()

    def copy(self, source: str, target: str | None, advance: Callable[[int], None]) -> Copied:
        """Hash `source` and, unless `target` is None, write its bytes there as a new read-only file.

        `advance` is told bytes done. Raises `Changed` if it changed while it was read, `NotPlain` (also for a link),
        `SourceFailed` if it cannot be read, `SinkFailed` if the copy cannot be written.
        """
        try:
            descriptor = os.open(long_path(source), READ_FLAGS)
        except OSError as error:
            raise SourceFailed(error) from error
        try:
            with or_else(partial(discard, target) if target is not None else lambda: None):
                before = _status(descriptor)
                if not stat.S_ISREG(before.st_mode):
                    raise NotPlain(source)
                stream = Stream(partial(_fill, descriptor), before.st_size, before.st_mtime_ns, is_sparse(before))
                copied = self.copy_stream(stream, target, advance)
                if _state(before) != _state(_status(descriptor)) or copied.size != before.st_size:
                    raise Changed(source)
        finally:
            os.close(descriptor)
        return copied

    def copy_stream(self, stream: Stream, target: str | None, advance: Callable[[int], None]) -> Copied:
        """Hash a stream and, unless `target` is None, write its bytes there as a new read-only file.

        What was copied is told, not judged: the caller compares it with what it must be, and removes what is wrong.
        Errors of the stream pass through; `SinkFailed` is the copy's.
        """
        if stream.size <= SMALL:
            return _small(stream, target, advance)
        with self._large:
            return self._large_pass(stream, target, advance)

    def _large_pass(self, stream: Stream, target: str | None, advance: Callable[[int], None]) -> Copied:
        if target is None:
            return self._stream(stream, None, advance)
        with Sink(target) as sink:
            copied = self._stream(stream, sink.descriptor, advance)
            _set_time(sink, stream)
        return copied

    def _stream(self, stream: Stream, sink: int | None, advance: Callable[[int], None]) -> Copied:
        sha256, leaves = hashlib.sha256(), LeafHasher(stream.leaf_size)
        writer = Writer(sink, self._pages, sparse=stream.sparse)
        buffers = [bytearray(BUFFER) for _ in range(DEPTH)]
        busy: list[tuple[Future[None], Future[None]] | None] = [None] * DEPTH
        turn, size, head = 0, 0, b""
        try:
            while True:
                _wait(busy[turn])
                busy[turn] = None
                view = memoryview(buffers[turn])
                count = stream.fill(view)
                if not count:
                    break
                head = head or bytes(view[: min(HEAD, count)])
                chunk = view[:count]
                busy[turn] = (
                    self._hashing.submit(sha256.update, chunk),
                    self._writing.submit(_leaf_and_write, leaves, writer, chunk),
                )
                size += count
                advance(count)
                turn = (turn + 1) % DEPTH
                if size > stream.size:  # it grows while we read: do not run after it
                    break
        finally:
            for pair in busy:
                _wait(pair, quiet=True)
        for pair in busy:
            _wait(pair)
        writer.finish(size)
        return Copied(size, sha256.hexdigest(), leaves.digest(), stream.mtime_ns or 0, head)


def _status(descriptor: int) -> os.stat_result:
    try:
        return os.fstat(descriptor)
    except OSError as error:
        raise SourceFailed(error) from error


def _small(stream: Stream, target: str | None, advance: Callable[[int], None]) -> Copied:
    buffer = memoryview(bytearray(stream.size + 1))
    data = buffer[: stream.fill(buffer)]
    if target is not None:
        with Sink(target) as sink:
            write_all(sink.descriptor, data)
            _set_time(sink, stream)
    advance(len(data))
    return Copied(
        len(data),
        hashlib.sha256(data).hexdigest(),
        _leaves(data, stream.leaf_size),
        stream.mtime_ns or 0,
        bytes(data[:HEAD]),
    )


def _leaves(data: memoryview, leaf_size: int) -> bytes:
    return b"".join(leaf_digest(data[start : start + leaf_size]) for start in range(0, len(data), leaf_size))


def _set_time(sink: Sink, stream: Stream) -> None:
    if stream.mtime_ns is not None:
        sink.set_time(stream.mtime_ns)


def _leaf_and_write(leaves: LeafHasher, writer: Writer, data: memoryview) -> None:
    writer.write(data)
    leaves.update(data)


def _fill(source: int, view: memoryview) -> int:
    """Read until the buffer is full or the file ends, so that leaves never straddle buffers."""
    filled = 0
    try:
        while filled < len(view):
            count = os.readv(source, [view[filled:]]) if hasattr(os, "readv") else _read_into(source, view[filled:])
            if not count:
                break
            filled += count
    except OSError as error:
        raise SourceFailed(error) from error
    return filled


def _read_into(source: int, view: memoryview) -> int:
    data = os.read(source, len(view))
    view[: len(data)] = data
    return len(data)


def _wait(pair: tuple[Future[None], Future[None]] | None, *, quiet: bool = False) -> None:
    for future in pair or ():
        if quiet:
            future.exception()
        else:
            future.result()


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, 0 if os.name == "nt" else status.st_ctime_ns


# -- the copy ----------------------------------------------------------------------------------------------------------


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
    """Write a buffer, leaving a hole for each 64 KiB of zeros; the caller gives the file its length at the end."""
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
