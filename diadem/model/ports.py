"""What lower rooms need from upper ones: a bag's bytes, random access to one of its files, a listener to progress.

Who says that it is a `Bundle` or a `RangeReader` gives what is its own, and has what follows from it.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn, Protocol, Self

from diadem.errors import DiademError, NotFound, PackageError

#: Bytes in which lines are looked for at once.
_BLOCK = 1 << 13


class Closing(Protocol):
    """What holds something open until it is closed: a ``with`` block closes it."""

    def close(self) -> None:
        """Let go of it."""

    def __enter__(self) -> Self:
        """The thing itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


class RangeReader(Closing, Protocol):
    """Random access to one file: its `size` and `readinto_at`. Safe to call from several threads at once."""

    @property
    def size(self) -> int:
        """Bytes in the file when it was opened."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`; fewer only at the end of the file."""
        buffer = memoryview(bytearray(max(0, min(length, self.size - offset))))
        return bytes(buffer[: self.readinto_at(offset, buffer)])

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`; return the bytes read, fewer than its length only at the end of the file."""

    def close(self) -> None:
        """Release the file, if anything is held open; a second time does nothing."""
        return


class InMemory(RangeReader):
    """A `RangeReader` of bytes that are there already."""

    size = 0

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`."""
        return self._data[offset : offset + max(length, 0)]

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`."""
        piece = self.read_at(offset, len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


class RangeFile(io.RawIOBase):
    """A seekable, readable file on top of random access, for readers that take files in place of paths."""

    mode = "rb"

    def __init__(self, reader: RangeReader) -> None:
        super().__init__()
        self._reader = reader
        self._position = 0

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._reader.size

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`; return the bytes read, fewer than its length only at the end of the file."""
        return self._reader.readinto_at(offset, buffer)

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

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position."""
        self.require_open()
        view = memoryview(buffer).cast("B")
        count = self.readinto_at(self._position, view) if self._position < self.size else 0
        self._position += count
        return count

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

    def write(self, _: Any) -> NoReturn:
        """A package never changes. Raises `io.UnsupportedOperation`."""
        raise io.UnsupportedOperation("not writable")


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything in a bag.

    Attributes
    ----------
    files : mapping of str to int
        Bag path (``/`` between parts) to size in bytes, regular files only.
    irregular : mapping of str to str
        Bag path to kind for what is not a plain file: ``symlink``, ``fifo``, ``socket``, ``device``, ``unreadable``.
    """

    files: Mapping[str, int]
    irregular: Mapping[str, str]


class Bundle(Protocol):
    """The files of one bag, wherever it is: its `url`, `listing` and `open`. No path is ever followed outside it."""

    @property
    def url(self) -> str:
        """Where the bag is, for messages."""

    def listing(self) -> Listing:
        """Everything in the bag. Raises `NotFound` where it has gone away."""

    def open(self, path: str) -> RangeReader:
        """Random access to a file. Raises `NotFound`, or `PackageError` for what is not a regular file."""

    def exists(self, path: str) -> bool:
        """Whether a regular file is there."""
        try:
            self.open(path).close()
        except (NotFound, PackageError):
            return False
        return True

    def read(self, path: str, limit: int) -> bytes:
        """The whole of a small file. Raises `NotFound`; and `PackageError` above `limit` bytes, or as `open`."""
        with self.open(path) as file:
            if file.size > limit:
                raise PackageError(f"has {file.size:,} bytes, more than the {limit:,} allowed here", where=path)
            try:
                return file.read_at(0, file.size)
            except OSError as error:
                if isinstance(error, DiademError):
                    raise
                message = f"cannot be read: {error.strerror or error}"
                raise PackageError(message, where=path, next="Check the disk and the rights.") from error


class ReaderAround(RangeReader):
    """Another reader; who builds on it changes what it changes."""

    def __init__(self, reader: RangeReader) -> None:
        self._reader = reader

    @property
    def size(self) -> int:
        """Bytes in the file when it was opened."""
        return self._reader.size

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`; fewer only at the end of the file."""
        return self._reader.read_at(offset, length)

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`; the bytes read."""
        return self._reader.readinto_at(offset, buffer)

    def close(self) -> None:
        """Release the file."""
        self._reader.close()


class BundleAround(Bundle):
    """Another bag; who builds on it changes what it changes."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    @property
    def url(self) -> str:
        """Where the bag is."""
        return self._bundle.url

    def listing(self) -> Listing:
        """Everything in the bag."""
        return self._bundle.listing()

    def open(self, path: str) -> RangeReader:
        """Random access to a file."""
        return self._bundle.open(path)

    def exists(self, path: str) -> bool:
        """Whether a regular file is there."""
        return self._bundle.exists(path)

    def read(self, path: str, limit: int) -> bytes:
        """The whole of a small file."""
        return self._bundle.read(path, limit)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long task is.

    Attributes
    ----------
    stage : str
        What is being done, in one word: ``copy``, ``extract``, ``verify`` …
    done, total : int
        Bytes (or files, see `unit`).
    item : str
        The path at hand.
    unit : str
        ``B`` or ``files``.
    """

    stage: str
    done: int
    total: int
    item: str = ""
    unit: str = "B"


#: Called now and then by long tasks, from any of their threads; must be quick.
Listener = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """A listener that does nothing."""


class Meter:
    """What a task has done in one stage, counted from any of its threads and told to a listener."""

    def __init__(self, stage: str, total: int, listener: Listener) -> None:
        self._stage, self._total, self._listener = stage, total, listener
        self._done = 0
        self._lock = threading.Lock()

    def add(self, count: int, item: str) -> None:
        """Count bytes of an item; fewer than none where it begins anew."""
        with self._lock:
            self._done += count
            done = self._done
        self._listener(Progress(self._stage, done, self._total, item))
