"""Packages behind fsspec: S3, SFTP, memory. Implements `diadem.store.contract.Store`."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from diadem.errors import NotFound, Refused
from diadem.model.ids import PackageId
from diadem.model.manifest import LEAF_SIZE, FileEntry
from diadem.model.ports import Bundle, Listener, silent
from diadem.package.examine import TagFiles
from diadem.store import object_adding, object_hints, object_mending, object_own, object_removing, taking
from diadem.store.contract import Added, Capabilities, Pace, Stored
from diadem.store.object_store import ObjectStore
from diadem.store.remote import RemoteBundle
from diadem.store.stage import Swept

#: Packages whose tag manifests are asked for at once.
_LOOKS = 16
#: What a store can do that may only be read.
_READ_ONLY = Capabilities(False, False, False, False, writes=False)


class ObjectPlace:
    """A store that is reached through fsspec.

    Parameters
    ----------
    url : str
        ``s3://bucket/prefix``, ``sftp://user@host/folder``, ``memory://name`` …
    storage_options : mapping, optional
        For fsspec.
    store : ObjectStore, optional
        The same, opened with other patience; `url` and options are ignored then.
    """

    is_folder = False

    def __init__(
        self, url: str, storage_options: Mapping[str, Any] | None = None, *, store: ObjectStore | None = None
    ) -> None:
        self.objects = store or ObjectStore(url, storage_options)
        self._client = self.objects.client

    @property
    def url(self) -> str:
        """The store's address."""
        return self.objects.url

    # -- what it is ------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """See `Store.check`. A folder of a server that is not there yet is made by the first write."""
        self._client.check()

    def capabilities(self) -> Capabilities:
        """See `Store.capabilities`."""
        try:
            return self.objects.probe()
        except Refused:
            return _READ_ONLY

    def free(self) -> int | None:
        """See `Store.free`."""
        space = self._client.space()
        return None if space is None else space[0]

    def total(self) -> int | None:
        """See `Store.total`."""
        space = self._client.space()
        return None if space is None else space[1]

    def place(self) -> str | None:
        """See `Store.place`."""
        return self._client.place()

    # -- packages --------------------------------------------------------------------------------------------------

    def packages(self) -> Iterator[Stored]:
        """See `Store.packages`."""
        with ThreadPoolExecutor(_LOOKS, "diadem-look") as pool:
            outer = [name for name in self._client.folders("") if name not in {".diadem", "incoming"}]
            years = []
            for path, stored in self._look(pool, iter(outer)):
                if stored is None:
                    years.append(path)
                else:
                    yield stored
            inner = (f"{year}/{name}" for year in years for name in self._client.folders(year))
            for _, stored in self._look(pool, inner):
                if stored is not None:
                    yield stored

    def _look(self, pool: ThreadPoolExecutor, paths: Iterator[str]) -> Iterator[tuple[str, Stored | None]]:
        """What lies at each path, a few at once, in order."""
        pending: deque[tuple[str, Future[Stored | None]]] = deque()
        for path in paths:
            pending.append((path, pool.submit(self._stored, path)))
            if len(pending) >= 2 * _LOOKS:
                first, future = pending.popleft()
                yield first, future.result()
        for path, future in pending:
            yield path, future.result()

    def _stored(self, path: str) -> Stored | None:
        data = object_hints.tagmanifest_at(self._client, path)
        return None if data is None else Stored(PackageId(hashlib.sha256(data).hexdigest()), path)

    def bundle(self, path: str) -> RemoteBundle:
        """See `Store.bundle`."""
        taking.refuse_path(path)
        return self.objects.bundle(path)

    def add(
        self,
        source: Bundle,
        opened: TagFiles,
        path: str,
        *,
        listener: Listener = silent,
        pace: Pace | None = None,
    ) -> Added:
        """See `Store.add`."""
        cargo = taking.load(source, opened)
        return object_adding.add(self.objects, source, cargo, path, listener=listener, pace=pace)

    def replace_leaf(self, path: str, entry: FileEntry, leaf: int, data: bytes, *, leaf_size: int = LEAF_SIZE) -> None:
        """See `Store.replace_leaf`. There is no writing in place: the whole object is sent again."""
        taking.refuse_path(path)
        object_mending.replace_leaf(self._client, path, entry, leaf, leaf_size, data)

    def replace_file(self, path: str, file: str, blocks: Iterable[bytes], size: int, mtime_ns: int | None) -> None:  # noqa: ARG002
        """See `Store.replace_file`. Objects have no modification time that could be set."""
        taking.refuse_path(path)
        object_mending.replace_file(self._client, path, file, blocks, size)

    def remove(self, path: str) -> None:
        """See `Store.remove`."""
        object_removing.remove(self.objects, path)

    def sweep(self, *, keep: Container[str] = ()) -> list[Swept]:
        """See `Store.sweep`: what was silent for seven days by the server's clock."""
        try:
            found = self.objects.sweep(delete=True, keep=keep)
        except NotFound:
            return []
        packages = [Swept(f"{self.url}/{item.path}", item.objects) for item in found.packages if item.removable]
        return packages + [Swept(f"{self.url}/{upload.key}", 0) for upload in found.uploads]

    def write_hints(self, opened: TagFiles, path: str) -> None:
        """See `Store.write_hints`."""
        taking.refuse_path(path)
        object_hints.renew(self._client, opened.payload_id, opened.id, path, taking.tree_of(opened))

    # -- own files -------------------------------------------------------------------------------------------------

    def get(self, key: str) -> bytes | None:
        """See `Store.get`."""
        return object_own.get(self._client, key)

    def put(self, key: str, data: bytes, *, create: bool = False) -> bool:
        """See `Store.put`."""
        return object_own.put(
            self._client, key, data, conditional=create and self.objects.probe().creates, create=create
        )

    def put_file(self, key: str, source: Path) -> None:
        """See `Store.put_file`."""
        object_own.put_file(self._client, key, source)

    def get_file(self, key: str, target: Path) -> bool:
        """See `Store.get_file`."""
        return object_own.get_file(self._client, key, target)

    def keys(self, prefix: str) -> Iterator[str]:
        """See `Store.keys`."""
        return object_own.keys(self._client, prefix)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        object_own.delete(self._client, key)

    def put_readme(self, text: str) -> None:
        """See `Store.put_readme`."""
        data = text.encode()
        self._client.put("README.txt", data, sha256=hashlib.sha256(data).digest())
