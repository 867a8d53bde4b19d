"""Copying a sealed package into a folder: hashed as it is written, published by one rename."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from diadem.model.manifest import TAGMANIFEST
from diadem.model.ports import Bundle, Listener, Progress, RangeReader
from diadem.model.report import Level
from diadem.package.examine import LIMITS
from diadem.package.prove import run_on_threads
from diadem.package.verify import verify
from diadem.store.ahead import Ahead
from diadem.store.bundle import LocalBundle, LocalFile
from diadem.store.contract import Added, Pace
from diadem.store.copying import Copier, Stream
from diadem.store.links import read_plain, through_link
from diadem.store.local_errors import SinkFailed, or_else, store_error, translated
from diadem.store.local_store import LocalStore
from diadem.store.numbering import numbered
from diadem.store.stage import Stage
from diadem.store.staged import read_staged
from diadem.store.system import long_path
from diadem.store.taking import Cargo, Item, compare, damaged, refuse_path, source_errors
from diadem.trust.hashing import Leaves

#: Threads that copy small files; opening them is work for the interpreter, whose threads hinder each other.
_COPIERS = 2
#: Files, and bytes, that one task copies.
_BATCH_FILES = 64
_BATCH_BYTES = 16 << 20


def add(store: LocalStore, source: Bundle, cargo: Cargo, path: str, *, listener: Listener, pace: Pace | None) -> Added:
    """Copy a package into a folder, unless it is there. Errors are those of `Store.add`."""
    refuse_path(path)
    copies = Copies(store, cargo, path)
    present = copies.sound()
    if present is not None:
        return Added(copies.path_of(present), False, "read-back", copies.damaged)
    store.check_space(cargo.size)
    stage = store.stage()
    with or_else(stage.discard):
        Adding(source, cargo, stage, listener, pace).run(store.url)
        opened = cargo.opened
        folder, created = store.publish(stage, path, opened.id, opened.payload_id, cargo.tree, copies.is_sound)
    return Added(copies.path_of(folder), created, "written" if created else "read-back", copies.damaged)


class Copies:
    """Copies of one package that lie in a store already, each read at most once."""

    def __init__(self, store: LocalStore, cargo: Cargo, path: str) -> None:
        self._store, self._opened, self._path = store, cargo.opened, path
        self._judged: dict[Path, bool] = {}

    @property
    def damaged(self) -> tuple[str, ...]:
        """Paths of those that were found damaged."""
        return tuple(self.path_of(folder) for folder, sound in self._judged.items() if not sound)

    def sound(self) -> Path | None:
        """One that is whole."""
        return next((folder for folder in self._candidates() if self.is_sound(folder)), None)

    def is_sound(self, folder: Path) -> bool:
        """Whether a folder holds exactly this package, every leaf of it read."""
        if through_link(self._store.root, folder) is not None or not self._has_id(folder):
            return False
        if folder not in self._judged:
            self._judged[folder] = verify(LocalBundle(folder), level=Level.LEAVES, expected_id=self._opened.id).ok
        return self._judged[folder]

    def path_of(self, folder: Path) -> str:
        """A folder as a path in the store."""
        return folder.relative_to(self._store.root).as_posix()

    def _candidates(self) -> Iterator[Path]:
        """Where hints say, and where it would lie: hints may be lost."""
        yield from (folder for _, folder in self._store.find_payload(self._opened.payload_id))
        for path in numbered(self._path):
            folder = self._store.root / path
            if not os.path.isdir(long_path(folder)):
                return
            yield folder

    def _has_id(self, folder: Path) -> bool:
        try:
            text = read_plain(folder / TAGMANIFEST, LIMITS[TAGMANIFEST])
        except OSError:
            return False
        return hashlib.sha256(text).hexdigest() == self._opened.id.hex


class Adding:
    """One copy under way, from a bundle into a stage."""

    def __init__(self, source: Bundle, cargo: Cargo, stage: Stage, listener: Listener, pace: Pace | None) -> None:
        self._source, self._cargo, self._stage = source, cargo, stage
        self._listener, self._pace = listener, pace
        self._leaf_size = cargo.opened.manifest.leaf_size
        self._total = cargo.size
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._done = 0

    def run(self, url: str) -> None:
        """Copy everything, the tag manifest last, seal the stage, and open what was written."""
        try:
            with Copier() as copier:
                if isinstance(self._source, LocalBundle):
                    run_on_threads(deque(self._tasks(copier)), _COPIERS, self._stop)
                else:
                    self._fetch(copier)
        except SinkFailed as error:
            raise store_error(error.cause, url) from error.cause
        with translated(url):
            self._stage.write(TAGMANIFEST, self._cargo.tagmanifest)
            self._stage.seal([*(item.path for item in self._cargo.items), TAGMANIFEST])
        read_staged(self._stage, self._cargo.opened.id, url)

    def _tasks(self, copier: Copier) -> Iterator[Callable[[], None]]:
        for folder in sorted({item.path.rpartition("/")[0] for item in self._cargo.items}):
            self._stage.target(f"{folder}/x")  # folders first, by one thread
        for batch in _batches(self._cargo.items):
            yield partial(self._copy_batch, copier, batch)

    def _copy_batch(self, copier: Copier, batch: Sequence[Item]) -> None:
        for item in batch:
            if self._stop.is_set():
                return
            with source_errors(item.path), self._source.open(item.path) as reader:
                if reader.size != item.size:
                    raise damaged(item.path, f"it has {reader.size} bytes, not {item.size}")
                sparse = isinstance(reader, LocalFile) and reader.is_sparse
                self._copy(copier, item, _Filler(reader), sparse=sparse)

    def _fetch(self, copier: Copier) -> None:
        """From afar: many requests under way at once, one thread that writes."""
        with Ahead(self._source, self._cargo.items) as ahead:
            for item in self._cargo.items:
                with ahead.open(item) as file:
                    self._copy(copier, item, file.readinto)

    def _copy(self, copier: Copier, item: Item, fill: Callable[[memoryview], int], *, sparse: bool = False) -> None:
        stream = Stream(fill, item.size, item.mtime_ns, sparse, self._leaf_size)
        copied = copier.copy_stream(stream, self._stage.target(item.path), partial(self._advance, item.path))
        compare(item, copied.size, copied.sha256, Leaves(copied.leaves, self._leaf_size))

    def _advance(self, path: str, count: int) -> None:
        if self._stop.is_set():  # another thread failed, or was interrupted: a large file is not read to its end
            raise KeyboardInterrupt
        if self._pace is not None:
            self._pace.wait(count)
        with self._lock:
            self._done += count
            done = self._done
        self._listener(Progress("copy", done, self._total, path))


class _Filler:
    """Reads a file from its beginning to its end into one buffer after the other."""

    def __init__(self, reader: RangeReader) -> None:
        self._reader = reader
        self._offset = 0

    def __call__(self, buffer: memoryview) -> int:
        count = self._reader.readinto_at(self._offset, buffer)
        self._offset += count
        return count


def _batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Files in portions that are worth a task."""
    batch: list[Item] = []
    size = 0
    for item in items:
        if batch and (len(batch) == _BATCH_FILES or size + item.size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item.size
    if batch:
        yield batch
