"""The files of one bag in an object store, read by ranges. Implements `diadem.model.ports.Bundle`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self

from diadem.errors import IntegrityError, NotFound, PackageError, UsageError
from diadem.model.ports import Listing
from diadem.model.reopenable import Reopenable
from diadem.store import urls
from diadem.store.client import ObjectClient, Stat
from diadem.store.connect import client_for, file_system
from diadem.store.retry import Patience


class RemoteBundle(Reopenable):
    """A bag below one prefix of an fsspec file system.

    Parameters
    ----------
    fs : fsspec.AbstractFileSystem
        The file system; see `open_remote` for one made from an address.
    root : str
        The bag's path there: ``bucket/prefix/2026/20260314-zno-…``.
    patience : Patience, optional
        How long the server may fail before it counts as unreachable.
    """

    def __init__(self, fs: Any, root: str, patience: Patience | None = None) -> None:
        self._client: ObjectClient = client_for(fs, root, patience)
        self.again = partial(open_remote, self.url, urls.without_secrets(fs.storage_options))
        self._known: dict[str, Stat] = {}

    @property
    def url(self) -> str:
        """The bag's address."""
        return self._client.url

    @property
    def transferred(self) -> int:
        """Bytes of objects received so far."""
        return self._client.traffic.received

    @property
    def requests(self) -> int:
        """Requests made so far, repeated ones counted."""
        return self._client.traffic.requests

    def listing(self) -> Listing:
        """Everything below the prefix; an object store has plain objects only.

        Raises
        ------
        NotFound
            If nothing is there.
        """
        found = {stat.key: stat for stat in self._client.list("")}
        if not found:
            raise NotFound("there is no package", where=self.url, next="Check the address.")
        self._known = found
        return Listing({path: stat.size for path, stat in found.items()}, {})

    def exists(self, path: str) -> bool:
        """Whether an object is there."""
        return path in self._known or self._client.stat(path) is not None

    def read(self, path: str, limit: int) -> bytes:
        """The whole of a small file.

        Raises
        ------
        NotFound, PackageError
            If it is absent, or larger than `limit` bytes.
        """
        with self.open(path) as reader:
            if reader.size > limit:
                raise PackageError(
                    f"the file has {reader.size:,} bytes, more than the {limit:,} that it may have", where=path
                )
            return reader.read_at(0, reader.size)

    def open(self, path: str) -> RemoteReader:
        """Random access to a file."""
        stat = self._known.get(path) or self._client.stat(path)
        if stat is None:
            raise NotFound("the file is not in the package", where=f"{self.url}/{path}")
        return RemoteReader(self._client, stat)


class RemoteReader:
    """One object, read by ranges. Any number of threads may use it; nothing is held open."""

    def __init__(self, client: ObjectClient, stat: Stat) -> None:
        self._client = client
        self._stat = stat

    @property
    def size(self) -> int:
        """Bytes in the object when it was opened."""
        return self._stat.size

    def read_at(self, offset: int, length: int) -> bytes:
        """One ranged GET.

        Raises
        ------
        IntegrityError
            If the object is no longer what it was when it was opened.
        """
        end = min(offset + length, self._stat.size)
        data = self._client.get(self._stat.key, offset, end, self._stat.version)
        if len(data) != max(0, end - offset):
            raise IntegrityError(
                f"the object has changed: {len(data)} of {end - offset} bytes were there",
                where=f"{self._client.url}/{self._stat.key}",
                next="Verify the package.",
            )
        return data

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` with one ranged GET."""
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
        """Close."""


def open_remote(address: str, storage_options: Mapping[str, Any] | None = None) -> RemoteBundle:
    """The bag at an address such as ``s3://bucket/2026/20260314-zno-…``.

    Raises
    ------
    UsageError
        For a local path, or an address that fsspec does not know.
    """
    url = urls.parse(address)
    if url.kind == "local":
        raise UsageError("this is a local folder", where=address, next="Open it as a folder.")
    return RemoteBundle(file_system(url, storage_options), url.root)
