"""What lower rooms need from upper ones: a bag's bytes, random access to one of its files, a listener to progress.

Who says that it is a `Bundle` or a `RangeReader` gives what is its own, and has what follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from diadem.errors import DiademError, NotFound, PackageError


class RangeReader(Protocol):
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

    def __enter__(self) -> Self:
        """The reader itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


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
