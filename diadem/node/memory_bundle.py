"""Tag files held in memory, as a bag: to open a package whose own are lost."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from diadem.errors import NotFound, PackageError
from diadem.model.ports import Listing, RangeReader


class MemoryBundle:
    """Files by bag path.

    Parameters
    ----------
    files : mapping of str to bytes
        What is there.
    url : str
        For messages.
    """

    def __init__(self, files: Mapping[str, bytes], url: str = "the catalogue") -> None:
        self._files = dict(files)
        self._url = url

    @property
    def url(self) -> str:
        """Where they come from."""
        return self._url

    def listing(self) -> Listing:
        """Everything there is."""
        return Listing({path: len(data) for path, data in self._files.items()}, {})

    def exists(self, path: str) -> bool:
        """Whether a file is there."""
        return path in self._files

    def read(self, path: str, limit: int) -> bytes:
        """A whole file.

        Raises
        ------
        NotFound, PackageError
            It is absent, or larger than `limit`.
        """
        if path not in self._files:
            raise NotFound("is not in the bag", where=path)
        if len(self._files[path]) > limit:
            raise PackageError(f"has more than the {limit} bytes allowed here", where=path)
        return self._files[path]

    def open(self, path: str) -> RangeReader:
        """Random access to a file."""
        return _Reader(self.read(path, 1 << 62))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return len(self._data)

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`."""
        return self._data[offset : offset + length]

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`."""
        data = self.read_at(offset, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        """The reader itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""
