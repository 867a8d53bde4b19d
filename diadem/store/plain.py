"""Requests to any other fsspec file system (memory, sftp, …): no parts, no checksums, no conditions but `create`."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from diadem.errors import DiademError, IntegrityError, NotFound
from diadem.store.client import ObjectClient, Stat, UploadThreads
from diadem.store.retry import Patience, T

#: Where files are written before they get their names.
DRAFTS = ".diadem/drafts"


class PlainClient(ObjectClient):
    """A folder of an fsspec file system; one that is not asynchronous is used by one thread at a time.

    fsspec promises no more.
    """

    def __init__(self, file_system: Any, root: str, patience: Patience) -> None:
        super().__init__(patience)
        self._fs = file_system
        self._root = str(file_system._strip_protocol(root)).rstrip("/")  # noqa: SLF001  fsspec's own way to say "/name"
        if not getattr(file_system, "async_impl", False):
            self._alone = threading.RLock()

    @property
    def url(self) -> str:
        """``scheme://path``."""
        return str(self._fs.unstrip_protocol(self._root))

    def check(self) -> None:
        """A folder that is not there yet is made by the first write."""
        try:
            self._try("", lambda: self._fs.ls(self._root or "/", detail=False))
        except NotFound:
            return

    def now(self) -> datetime:
        """The modification time of an object written just now."""
        key = f".diadem/probe/{uuid.uuid4().hex}"
        self.put(key, b"")
        try:
            written = self.stat(key)
        finally:
            self.delete(key)
        return (written and written.modified) or datetime.now(UTC)

    def stat(self, key: str) -> Stat | None:
        """Size and modification time."""
        try:
            entry = self._try(key, lambda: self._fs.info(self._path(key)))
        except NotFound:
            return None
        return Stat(key, int(entry["size"]), "", _time_in(entry)) if entry["type"] == "file" else None

    def list(self, prefix: str) -> Iterator[Stat]:
        """One recursive listing."""
        folder = self._path(prefix) if prefix else self._root

        def find() -> dict[str, dict[str, Any]]:
            self._fs.invalidate_cache()
            found: dict[str, dict[str, Any]] = self._fs.find(folder, detail=True)
            return found

        for name, entry in sorted(self._try(prefix, find).items()):
            if name.startswith(folder + "/"):
                yield Stat(name[len(self._root) + 1 :], int(entry["size"]), "", _time_in(entry))

    def folders(self, prefix: str) -> Iterator[str]:
        """One listing."""
        yield from self._directly_below(prefix, "directory")

    def files(self, prefix: str) -> Iterator[str]:
        """One listing."""
        yield from self._directly_below(prefix, "file")

    def _directly_below(self, prefix: str, kind: str) -> Iterator[str]:
        folder = self._path(prefix) if prefix else self._root
        try:
            entries = self._try(prefix, lambda: self._fs.ls(folder or "/", detail=True, refresh=True))
        except NotFound:
            return
        names = (str(entry["name"]).rstrip("/").rpartition("/")[2] for entry in entries if entry["type"] == kind)
        yield from sorted(names)

    def place(self) -> str | None:
        """For memory its name; other file systems do not say what they stand on."""
        return f"memory:{self._root}" if "memory" in self._fs.protocol else None

    def get(self, key: str, start: int, end: int, version: str = "") -> bytes:  # noqa: ARG002  there are no versions
        """One ranged read."""
        if end <= start:
            return b""
        data: bytes = self._try(key, lambda: self._fs.cat_file(self._path(key), start=start, end=end))
        self.traffic.count(received=len(data))
        if len(data) > end - start:
            raise IntegrityError("the store returned more than was asked for", where=self._at(key))
        return data

    def put(
        self,
        key: str,
        data: bytes,
        *,
        sha256: bytes | None = None,  # noqa: ARG002
        create: bool = False,
        replaces: str = "",  # noqa: ARG002
    ) -> str:
        """One write; folders on the way are made where the file system has them."""
        mode = "create" if create else "overwrite"
        self._try(key, lambda: self._with_folder(key, lambda path: self._fs.pipe_file(path, data, mode=mode)))
        self.traffic.count(sent=len(data))
        return ""

    def _write_large(
        self,
        key: str,
        blocks: Iterator[bytes],
        size: int,  # noqa: ARG002
        threads: UploadThreads,  # noqa: ARG002  a stream is one thread's
        told: Callable[[int], None],
    ) -> None:
        """Block by block under another name, which then becomes the right one; not tried again: the blocks are gone."""
        draft = f"{DRAFTS}/{uuid.uuid4().hex}"

        def write(path: str) -> None:
            with self._fs.open(path, "wb") as sink:
                for block in blocks:
                    sink.write(block)
                    self.traffic.count(sent=len(block))
                    told(len(block))

        once = Patience(tries=1)
        with self._alone:
            try:
                self._try(key, lambda: self._with_folder(draft, write), once)
                self._try(key, lambda: self._with_folder(key, partial(self._rename, self._path(draft))), once)
            finally:
                with contextlib.suppress(DiademError):
                    self.once().delete(draft)

    def _rename(self, draft: str, path: str) -> None:
        try:
            self._fs.cp_file(draft, path)
        except NotImplementedError:
            self._fs.mv(draft, path)

    def delete(self, key: str, *, only: str = "") -> None:  # noqa: ARG002
        """Remove."""
        try:
            self._try(key, lambda: self._fs.rm_file(self._path(key)))
        except NotFound:
            return

    def prune(self, prefix: str) -> None:
        """As far as the file system removes an empty folder and refuses a full one."""
        while prefix:
            folder = self._path(prefix)
            try:
                self._try(prefix, lambda folder=folder: self._fs.rmdir(folder))  # type: ignore[misc]
            except (DiademError, NotImplementedError):
                return
            prefix = prefix.rpartition("/")[0]

    def _with_folder(self, key: str, write: Callable[[str], T]) -> T:
        path = self._path(key)
        try:
            return write(path)
        except FileNotFoundError:
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            return write(path)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"


def _time_in(entry: dict[str, Any]) -> datetime | None:
    """The time in a listing entry; file systems name it differently and write it as a number or a time."""
    for name in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = entry.get(name)
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
    return None
