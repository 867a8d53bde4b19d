"""What lower rooms need from upper ones, as protocols: a bag's bytes, and a listener to progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self


class RangeReader(Protocol):
    """Random access to one file. Safe to call from several threads at once.

    Who says that it is one gets what follows from `readinto_at` and `close`.
    """

    @property
    def size(self) -> int:
        """Bytes in the file when it was opened."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`; fewer only at the end of the file."""
        buffer = bytearray(max(0, min(length, self.size - offset)))
        return bytes(buffer[: self.readinto_at(offset, memoryview(buffer))])

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`; return the bytes read, fewer than its length only at the end of the file."""

    def close(self) -> None:
        """Release the file."""

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
    """The files of one bag, wherever it is. Paths use ``/``; none is ever followed outside the bag."""

    @property
    def url(self) -> str:
        """Where the bag is, for messages."""

    def listing(self) -> Listing:
        """Everything in the bag."""

    def exists(self, path: str) -> bool:
        """Whether a regular file is there."""

    def read(self, path: str, limit: int) -> bytes:
        """The whole of a small file. Raises `PackageError` above `limit` bytes, `NotFound` if absent."""

    def open(self, path: str) -> RangeReader:
        """Random access to a file. Raises `NotFound`, or `PackageError` for what is not a regular file."""


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
