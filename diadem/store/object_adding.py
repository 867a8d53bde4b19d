"""Copying a sealed package into an object store: checked on its way, the tag manifest last."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from diadem.model.manifest import TAGMANIFEST, FileEntry
from diadem.model.ports import Bundle, Listener, Progress
from diadem.model.report import Level
from diadem.package.verify import verify
from diadem.store import object_hints
from diadem.store.ahead import Ahead, Arriving
from diadem.store.contract import Added, Pace
from diadem.store.numbering import numbered
from diadem.store.object_store import ObjectStore
from diadem.store.taking import ADVICE, Cargo, Item, compare, refuse_path


def add(store: ObjectStore, source: Bundle, cargo: Cargo, path: str, *, listener: Listener, pace: Pace | None) -> Added:
    """Copy a package into an object store, unless it is there. Errors are those of `Store.add`."""
    refuse_path(path)
    store.client.check()
    copies = _Copies(store, cargo, path)
    present = copies.sound()
    if present is not None:
        object_hints.write(store.client, cargo.opened.payload_id, cargo.opened.id, present, cargo.tree)
        return Added(present, False, "earlier", copies.damaged)
    manifest = cargo.opened.manifest
    files = {item.path: item for item in cargo.items}
    with Ahead(source, [*cargo.tags, *cargo.files]) as ahead:
        tags = {item.path: _whole(ahead, item) for item in cargo.tags}
        upload = store.upload(
            path,
            entries=manifest.entries,
            leaves=cargo.opened.leaves,
            open_source=lambda entry: _opened(ahead, files, entry),
            tag_files={**tags, TAGMANIFEST: cargo.tagmanifest},
            tree=cargo.tree,
            listener=listener if pace is None else _Paced(listener, pace),
            is_sound=copies.is_sound,
            advice=ADVICE,
        )
    return Added(upload.path, upload.made, str(upload.proof), copies.damaged)


class _Copies:
    """Copies of one package that lie in a store already: all objects in their sizes, and the tag files."""

    def __init__(self, store: ObjectStore, cargo: Cargo, path: str) -> None:
        self._store, self._opened, self._path = store, cargo.opened, path
        self._judged: dict[str, bool] = {}

    @property
    def damaged(self) -> tuple[str, ...]:
        """Paths of those that were found damaged."""
        return tuple(path for path, sound in self._judged.items() if not sound)

    def sound(self) -> str | None:
        """One that is whole."""
        return next((path for path in self._candidates() if self.is_sound(path)), None)

    def is_sound(self, path: str) -> bool:
        """Whether exactly this package lies at a path."""
        if object_hints.package_at(self._store.client, path) != self._opened.id.hex:
            return False
        if path not in self._judged:
            report = verify(self._store.bundle(path), level=Level.QUICK, expected_id=self._opened.id)
            self._judged[path] = report.ok
        return self._judged[path]

    def _candidates(self) -> Iterator[str]:
        """Where hints say, and where it would lie: hints may be lost."""
        yield from (path for _, path in object_hints.find(self._store.client, self._opened.payload_id))
        for path in numbered(self._path):
            if object_hints.package_at(self._store.client, path) is None:
                return
            yield path


def _whole(ahead: Ahead, item: Item) -> bytes:
    with ahead.open(item) as file:
        data = file.readall()
    compare(item, len(data), hashlib.sha256(data).hexdigest())
    return data


def _opened(ahead: Ahead, files: dict[str, Item], entry: FileEntry) -> BinaryIO:
    return cast(BinaryIO, _Hashed(ahead.open(files[entry.path]), files[entry.path]))


class _Hashed(io.RawIOBase):
    """A file whose SHA-256 is held against what it must be when its end is reached.

    Its leaves are compared before that, by whoever sends it: they say where the damage is.
    """

    def __init__(self, file: Arriving, item: Item) -> None:
        super().__init__()
        self._file, self._item = file, item
        self._sha256 = hashlib.sha256()
        self._size = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; fewer bytes only at the end."""
        view = memoryview(buffer).cast("B")
        count = self._file.readinto(view)
        self._sha256.update(view[:count])
        self._size += count
        if count < len(view):
            compare(self._item, self._size, self._sha256.hexdigest())
        return count


class _Paced:
    """A listener that holds what it is told of below a rate."""

    def __init__(self, listener: Listener, pace: Pace) -> None:
        self._listener, self._pace = listener, pace
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}

    def __call__(self, progress: Progress) -> None:
        """Wait for the bytes that are new, then pass on."""
        with self._lock:
            new = progress.done - self._seen.get(progress.stage, 0)
            self._seen[progress.stage] = max(progress.done, self._seen.get(progress.stage, 0))
        if new > 0 and progress.stage != "wait":
            self._pace.wait(new)
        self._listener(progress)
