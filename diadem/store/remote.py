"""What lies behind an address that is no folder: the file system that fsspec makes of it, and a bag on it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from diadem.errors import IntegrityError, NotFound, StoreError, UsageError
from diadem.model.ports import Bundle, Listing, RangeReader
from diadem.model.reopenable import Reopenable
from diadem.store.addresses import StoreUrl, parse, without_secrets
from diadem.store.client import ObjectClient, Stat
from diadem.store.plain import PlainClient
from diadem.store.retry import Patience
from diadem.store.s3 import S3Client, S3Server

_EXTRAS = {"s3": "s3", "sftp": "sftp", "ssh": "sftp"}


def file_system(url: StoreUrl, storage_options: Mapping[str, Any] | None = None) -> Any:
    """The fsspec file system of an address.

    The options are fsspec's (for S3: ``key``, ``secret``, ``endpoint_url`` …). Without them the ordinary configuration
    counts: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_PROFILE, ``~/.aws``, fsspec's own files. Raises `UsageError` if
    fsspec does not know the scheme, or its package is not installed.
    """
    import fsspec
    import fsspec.config

    options = dict(storage_options or {})
    try:
        if url.scheme == "s3":
            import botocore  # noqa: F401

            return S3Server(**{**fsspec.config.conf.get("s3", {}), **options})
        kind = fsspec.get_filesystem_class(url.scheme)
    except ImportError as error:
        extra = _EXTRAS.get(url.scheme)
        advice = f"Install it: pip install 'diadem-em[{extra}]'." if extra else f"fsspec says: {error}."
        raise UsageError(f"{url.scheme}:// needs a package that is missing", where=url.text, next=advice) from error
    except ValueError as error:
        raise UsageError(
            f"{url.scheme}:// is not known", where=url.text, next="Use a path, s3://, or another fsspec address."
        ) from error
    if url.scheme == "sftp":
        from diadem.store.sftp import SftpFiles

        return SftpFiles(**{**url.server, **options})
    return kind(**options)


def client_for(file_system: Any, root: str, patience: Patience | None = None) -> ObjectClient:
    """Requests to the folder or prefix `root` of a file system."""
    protocols = file_system.protocol
    names = (protocols,) if isinstance(protocols, str) else tuple(protocols)
    patience = patience or Patience()
    if "s3" in names:
        return S3Client(file_system, root, patience)
    if "sftp" in names:
        from diadem.store.sftp import SftpClient

        return SftpClient(file_system, root, patience)
    return PlainClient(file_system, root, patience)


class RemoteBundle(Reopenable, Bundle):
    """A bag below one prefix of an fsspec file system; see `open_remote` for one made from an address."""

    def __init__(self, fs: Any, root: str, patience: Patience | None = None) -> None:
        self._client: ObjectClient = client_for(fs, root, patience)
        self.again = partial(open_remote, self.url, without_secrets(fs.storage_options))
        self._known: dict[str, Stat] = {}

    @property
    def url(self) -> str:
        return self._client.url

    def listing(self) -> Listing:
        """Everything below the prefix; an object store has plain objects only."""
        found = {stat.key: stat for stat in self._client.list("")}
        if not found:
            raise NotFound("there is no package", where=self.url, next="Check the address.")
        self._known = found
        return Listing({path: stat.size for path, stat in found.items()}, {})

    def exists(self, path: str) -> bool:
        return path in self._known or self._client.stat(path) is not None

    def read(self, path: str, limit: int) -> bytes:
        """The whole of a small file: of one that was not listed by one GET, which tells its size as a HEAD would."""
        if path not in self._known and self.url.startswith("s3:"):  # others ask for all of a range, there or not
            try:
                data = self._client.get(path, 0, limit + 1)
            except (NotFound, StoreError):  # absent, or empty, of which there is no range
                data = b""
            if 0 < len(data) <= limit:
                return data
        return super().read(path, limit)

    def open(self, path: str) -> RemoteReader:
        """Random access to a file."""
        stat = self._known.get(path) or self._client.stat(path)
        if stat is None:
            raise NotFound("the file is not in the package", where=f"{self.url}/{path}")
        return RemoteReader(self._client, stat)


class RemoteReader(RangeReader):
    """One object, read by ranges. Any number of threads may use it; nothing is held open."""

    def __init__(self, client: ObjectClient, stat: Stat) -> None:
        self._client = client
        self._stat = stat

    @property
    def size(self) -> int:
        return self._stat.size

    def read_at(self, offset: int, length: int) -> bytes:
        """One ranged GET. Raises `IntegrityError` if the object is no longer what it was when it was opened."""
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


def open_remote(address: str, storage_options: Mapping[str, Any] | None = None) -> RemoteBundle:
    """The bag at an address such as ``s3://bucket/2026/20260314-zno-…``. Raises `UsageError` for a local path."""
    url = parse(address)
    if url.kind == "local":
        raise UsageError("this is a local folder", where=address, next="Open it as a folder.")
    return RemoteBundle(file_system(url, storage_options), url.root)
