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
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
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
        large = stream.size > SMALL
        with self._large if large else contextlib.nullcontext():
            if target is None:
                return self._stream(stream, None, advance) if large else _small(stream, None, advance)
            with Sink(target, self._pages if large else None, sparse=large and stream.sparse) as sink:
                copied = self._stream(stream, sink, advance) if large else _small(stream, sink, advance)
                sink.finish(stream.mtime_ns)
                return copied

    def _stream(self, stream: Stream, sink: Sink | None, advance: Callable[[int], None]) -> Copied:
        sha256, leaves = hashlib.sha256(), LeafHasher(stream.leaf_size)

        def write(chunk: memoryview) -> None:
            if sink is not None:
                sink.write(chunk)
            leaves.update(chunk)

        buffers = [bytearray(BUFFER) for _ in range(DEPTH)]
        busy: list[Sequence[Future[None]]] = [()] * DEPTH
        turn, size, head = 0, 0, b""
        try:
            while size <= stream.size:  # where it grows while we read: do not run after it
                for future in busy[turn]:
                    future.result()
                view = memoryview(buffers[turn])
                count = stream.fill(view)
                if not count:
                    break
                head = head or bytes(view[: min(HEAD, count)])
                chunk = view[:count]
                busy[turn] = self._hashing.submit(sha256.update, chunk), self._writing.submit(write, chunk)
                size += count
                advance(count)
                turn = (turn + 1) % DEPTH
        finally:
            wait(future for pair in busy for future in pair)
        for future in (future for pair in busy for future in pair):
            future.result()
        return Copied(size, sha256.hexdigest(), leaves.digest(), stream.mtime_ns or 0, head)


def _small(stream: Stream, sink: Sink | None, advance: Callable[[int], None]) -> Copied:
    buffer = memoryview(bytearray(stream.size + 1))
    data = buffer[: stream.fill(buffer)]
    if sink is not None:
        sink.write(data)
    advance(len(data))
    pieces = (data[start : start + stream.leaf_size] for start in range(0, len(data), stream.leaf_size))
    leaves = b"".join(map(leaf_digest, pieces))
    return Copied(len(data), hashlib.sha256(data).hexdigest(), leaves, stream.mtime_ns or 0, bytes(data[:HEAD]))


def _fill(source: int, view: memoryview) -> int:
    """Read until the buffer is full or the file ends, so that leaves never straddle buffers."""
    filled = 0
    try:
        while filled < len(view):
            if hasattr(os, "readv"):
                count = os.readv(source, [view[filled:]])
            else:
                data = os.read(source, len(view) - filled)
                count = len(data)
                view[filled : filled + count] = data
            if not count:
                break
            filled += count
    except OSError as error:
        raise SourceFailed(error) from error
    return filled


def _status(descriptor: int) -> os.stat_result:
    try:
        return os.fstat(descriptor)
    except OSError as error:
        raise SourceFailed(error) from error


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, 0 if os.name == "nt" else status.st_ctime_ns


# -- the copy ----------------------------------------------------------------------------------------------------------


class _sink_errors:  # noqa: N801  a generator would cost a small file more than its hashing
    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise SinkFailed(error) from error


class Sink:
    """A new read-only file whose failures are told apart from those of the source.

    With `pages` the disk begins while the file is written; holes are left where a `sparse` original has them.
    """

    def __init__(self, target: str, pages: Pages | None = None, *, sparse: bool = False) -> None:
        self._target, self._pages, self._sparse = long_path(target), pages, sparse
        self._offset = self._started = 0
        with _sink_errors():
            self.descriptor = os.open(self._target, CREATE_FLAGS, SEALED)

    def write(self, data: memoryview | bytes) -> None:
        """Write what follows."""
        if self._sparse:
            write_with_holes(self.descriptor, data)
        else:
            write_all(self.descriptor, memoryview(data))
        self._offset += len(data)
        if self._offset - self._started >= _WRITEBACK:
            self._start_disk()

    def finish(self, mtime_ns: int | None) -> None:
        """Give it its length, and the modification time of its original, where the file system can hold it."""
        self._start_disk()
        if self._sparse:
            with _sink_errors():
                os.ftruncate(self.descriptor, self._offset)
        if mtime_ns is not None:
            with contextlib.suppress(OSError, OverflowError):
                os.utime(self.descriptor if os.utime in os.supports_fd else self._target, ns=(mtime_ns, mtime_ns))

    def _start_disk(self) -> None:
        if self._pages is not None:
            self._pages.written(self.descriptor, self._started, self._offset - self._started)
            self._started = self._offset

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with _sink_errors():
            os.close(self.descriptor)  # where a network file system reports a full disk


class Pages:
    """Ranges that have been written and are on their way to the disk, oldest first; the oldest give their memory back.

    The last `_KEPT` bytes stay in memory, so that a reader of metadata still finds them there.
    """

    def __init__(self) -> None:
        self._ranges: deque[tuple[int, int, int]] = deque()
        self._bytes = 0

    def written(self, descriptor: int, offset: int, length: int) -> None:
        """Note a range of an open file."""
        if not PAGES_CAN_BE_RELEASED or not length:
            return
        start_writeback(descriptor, offset, length)
        self._ranges.append((os.dup(descriptor), offset, length))
        self._bytes += length
        while self._bytes > _KEPT or len(self._ranges) > _MAX_RANGES:
            oldest, start, size = self._ranges.popleft()
            self._bytes -= size
            try:
                release_cache(oldest, start, size)
            finally:
                os.close(oldest)

    def close(self) -> None:
        """Forget what is left; its memory stays with the system."""
        for descriptor, _, _ in self._ranges:
            os.close(descriptor)
        self._ranges.clear()


def write_with_holes(sink: int, data: memoryview | bytes) -> None:
    """Write a buffer, leaving a hole for each 64 KiB of zeros; the caller gives the file its length at the end."""
    view = memoryview(data)
    for start in range(0, len(view), _HOLE):
        block = view[start : start + _HOLE]
        if bytes(block) == _ZEROS[: len(block)]:
            with _sink_errors():
                os.lseek(sink, len(block), os.SEEK_CUR)
        else:
            write_all(sink, block)


def write_all(sink: int, data: memoryview) -> None:
    """Write a buffer whole."""
    with _sink_errors():
        while data:
            data = data[os.write(sink, data) :]
