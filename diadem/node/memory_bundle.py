"""Tag files held in memory, as a bag: to open a package whose own are lost."""

from __future__ import annotations

from collections.abc import Mapping

from diadem.errors import NotFound, PackageError
from diadem.hooks.binary import InMemory
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
        return InMemory(self.read(path, 1 << 62))
