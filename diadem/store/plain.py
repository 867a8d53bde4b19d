"""Requests to any other fsspec file system (memory, …): no versions, parts or checksums, no condition but `create`."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from diadem.errors import DiademError, IntegrityError, NotFound
from diadem.store.client import ObjectClient, Request, Stat
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
        return str(self._fs.unstrip_protocol(self._root))

    def check(self) -> None:
        """A folder that is not there yet is made by the first write."""
        with contextlib.suppress(NotFound):
            self._try("", lambda: self._fs.ls(self._root or "/", detail=False))

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
        try:
            entry = self._try(key, lambda: self._fs.info(self._path(key)))
        except NotFound:
            return None
        return Stat(key, int(entry["size"]), "", _time_in(entry)) if entry["type"] == "file" else None

    def list(self, prefix: str) -> Iterator[Stat]:
        folder = self._path(prefix) if prefix else self._root

        def find() -> dict[str, dict[str, Any]]:
            self._fs.invalidate_cache()
            found: dict[str, dict[str, Any]] = self._fs.find(folder, detail=True)
            return found

        for name, entry in sorted(self._try(prefix, find).items()):
            if name.startswith(folder + "/"):
                yield Stat(name[len(self._root) + 1 :], int(entry["size"]), "", _time_in(entry))

    def names(self, prefix: str, *, folders: bool) -> Sequence[str]:
        folder, kind = self._path(prefix) if prefix else self._root, "directory" if folders else "file"
        try:
            entries = self._try(prefix, lambda: self._fs.ls(folder or "/", detail=True, refresh=True))
        except NotFound:
            return []
        return sorted(str(entry["name"]).rstrip("/").rpartition("/")[2] for entry in entries if entry["type"] == kind)

    def place(self) -> str | None:
        """For memory its name; other file systems do not say what they stand on."""
        return f"memory:{self._root}" if "memory" in self._fs.protocol else None

    def get(self, key: str, start: int, end: int, _version: str = "") -> bytes:
        if end <= start:
            return b""
        data: bytes = self._try(key, lambda: self._fs.cat_file(self._path(key), start=start, end=end))
        if len(data) > end - start:
            raise IntegrityError("the store returned more than was asked for", where=self._at(key))
        return data

    def put(self, key: str, data: bytes, *, create: bool = False, **_: Any) -> str:
        """One write; folders on the way are made where the file system has them."""
        mode = "create" if create else "overwrite"
        self._try(key, lambda: self._with_folder(key, lambda path: self._fs.pipe_file(path, data, mode=mode)))
        return ""

    def _large(self, key: str, blocks: Iterator[bytes], _size: int, told: Callable[[int], None]) -> Sequence[Request]:
        """Block by block under another name, which then becomes the right one; not tried again: the blocks are gone."""
        draft = f"{DRAFTS}/{uuid.uuid4().hex}"

        def write(path: str) -> None:
            with self._fs.open(path, "wb") as sink:
                for block in blocks:
                    sink.write(block)
                    told(len(block))

        def rename(path: str) -> None:
            try:
                self._fs.cp_file(self._path(draft), path)
            except NotImplementedError:
                self._fs.mv(self._path(draft), path)

        once = Patience(tries=1)
        with self._alone:
            try:
                self._try(key, lambda: self._with_folder(draft, write), once)
                self._try(key, lambda: self._with_folder(key, rename), once)
            finally:
                with contextlib.suppress(DiademError):
                    self.once().delete(draft)
        return ()

    def delete(self, key: str, **_: str) -> None:
        with contextlib.suppress(NotFound):
            self._try(key, lambda: self._fs.rm_file(self._path(key)))

    def prune(self, prefix: str) -> None:
        """As far as the file system removes an empty folder and refuses a full one."""
        with contextlib.suppress(DiademError, NotImplementedError):
            while prefix:
                self._remove_folder(prefix)
                prefix = prefix.rpartition("/")[0]

    def _remove_folder(self, prefix: str) -> None:
        self._try(prefix, lambda: self._fs.rmdir(self._path(prefix)))

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
