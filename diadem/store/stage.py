"""Stages: packages being written, invisible until they are published, and swept when their writer is dead.

A folder store publishes a stage by one rename; what fills it is a `FolderDraft`, when something is packed, or a
`StagedCopy` of a package from elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from diadem.errors import IntegrityError, PackageError, StoreError
from diadem.model.manifest import TAGMANIFEST, PackageId
from diadem.model.ports import Bundle, Listener, RangeReader
from diadem.package.examine import TagFiles, open_tag_files
from diadem.package.tags import Sealed
from diadem.store.bags import LocalBundle, LocalFile
from diadem.store.contract import SILENCE, Added, Draft, Pace, Swept
from diadem.store.copy import Copier, Stream
from diadem.store.package_copy import Contents, Counter, Item, ReadAhead, compare, damaged, source_errors
from diadem.store.system import (
    CREATE_FLAGS,
    SEALED,
    FileLock,
    SinkFailed,
    allow,
    flush_tree,
    is_link,
    long_path,
    make_deep,
    patiently,
    store_error,
    through_link,
    translated,
)
from diadem.trust.hashing import Leaves
from diadem.work import do_all

if TYPE_CHECKING:
    from diadem.store.folder import FolderStore

#: Threads that copy small files; opening them is work for the interpreter, whose threads hinder each other.
_COPIERS = 2
#: Files, and bytes, that one task copies.
_BATCH_FILES = 64
_BATCH_BYTES = 16 << 20


class Stage:
    """A package being written, in the store's own file system, invisible until it is published."""

    def __init__(self, folder: Path, lock: FileLock) -> None:
        self.folder = folder
        self.bag = folder / "bag"
        self._lock = lock
        self._folders: set[str] = set()

    def target(self, path: str) -> str:
        """Where the file with this bag path goes; its folder exists afterwards."""
        folder, _, _ = path.rpartition("/")
        if folder not in self._folders:
            try:
                make_deep(self.bag / folder)
            except OSError as error:
                raise SinkFailed(error) from error
            self._folders.add(folder)
        return os.path.join(self.bag, *path.split("/"))

    def write(self, path: str, data: bytes) -> None:
        """Create a small read-only file."""
        descriptor = os.open(long_path(self.target(path)), CREATE_FLAGS, SEALED)
        with open(descriptor, "wb") as sink:
            sink.write(data)

    def seal(self, files: Sequence[str]) -> None:
        """Make inner folders read-only and force everything to disk. The top folder follows after the rename.

        A file that was begun and dropped may have left an empty folder behind; such folders go.
        """
        used = set(_with_parents({path.rpartition("/")[0] for path in files}))
        for folder in _with_parents(self._folders):
            if folder and folder not in used:
                os.rmdir(long_path(self.bag / folder))
        self._folders &= used | {""}
        folders = [str(self.bag / folder) for folder in _with_parents(self._folders) if folder]
        for folder in folders:
            restrict(folder)
        flush_tree(
            long_path(self.bag),
            (long_path(self.bag / path) for path in files),
            (long_path(folder) for folder in [*folders, str(self.bag)]),
        )

    def discard(self) -> None:
        """Remove the stage and everything in it; what cannot be removed is swept later, for its lock is free then."""
        try:
            remove_tree(self.folder)
        except OSError:
            self._lock.release()
            raise
        self._lock.remove()


def sweep(stages: Path) -> list[Swept]:
    """Remove stages whose writer is dead, and say which."""
    swept = []
    for left in abandoned(stages.parent.parent, stages):
        for folder in left:
            with contextlib.suppress(OSError):  # cleaning never stops an archive; the next run tries again
                existed, files = os.path.isdir(long_path(folder)), remove_tree(folder)
                if existed:
                    swept.append(Swept(str(folder), files))
    return swept


def abandoned(
    root: Path, folder: Path, writer: Callable[[str], str] = lambda name: name.removesuffix(".lock")
) -> Iterator[list[Path]]:
    """What dead writers left in a folder of a store: all of one at a time, locked while the caller looks or removes.

    A living writer holds ``<its name>.lock``; where the file system has no locks only what was silent for `SILENCE`
    seconds counts as left. `writer` gives the name in that of a file, or "" where the file is nobody's. Nothing is
    looked for behind a link.
    """

    def names() -> list[str]:
        try:
            return sorted(os.listdir(long_path(folder)))
        except OSError:
            return []

    if through_link(root, folder) is not None:
        return
    for each in dict.fromkeys(filter(None, map(writer, names()))):
        lock = FileLock(folder / f"{each}.lock")
        with contextlib.suppress(OSError, StoreError):
            if each not in map(writer, names()) or not lock.acquire():  # else it ended in this moment
                continue
            try:
                left = [folder / name for name in names() if writer(name) == each and not name.endswith(".lock")]
                if lock.supported or time.time() - _last_change(left) >= SILENCE.total_seconds():
                    yield left
                    lock.remove()
            finally:
                lock.release()


def lock_path(folder: Path) -> Path:
    """The lock file of a stage."""
    return folder.with_name(folder.name + ".lock")


def remove_tree(folder: Path) -> int:
    """Remove a folder of ours with all that is in it, read-only or not, behind no link. Returns the number of files."""
    files = 0
    if is_link(folder):  # what it points to is not ours
        _remove_link(long_path(folder))
        return 1
    pending: list[tuple[str, bool]] = [(long_path(folder), False)]
    while pending:
        path, emptied = pending.pop()
        if emptied:
            patiently(partial(os.rmdir, path))
            continue
        if not os.path.isdir(path):
            continue
        allow(path, stat.S_IRWXU)
        pending.append((path, True))
        with os.scandir(path) as entries:
            for entry in entries:
                if is_link(entry.path):
                    files += 1
                    _remove_link(entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    pending.append((entry.path, False))
                else:
                    files += 1
                    if os.name == "nt":
                        os.chmod(entry.path, stat.S_IWRITE)
                    patiently(partial(os.unlink, entry.path))
    return files


def _remove_link(path: str) -> None:
    """Remove a link, not what it points to; on Windows one to a folder is removed as a folder is."""
    try:
        patiently(partial(os.unlink, path))
    except OSError:
        if os.name != "nt":
            raise
        patiently(partial(os.rmdir, path))


def restrict(folder: str) -> None:
    """Take the write permission from a folder; Windows has no such bit."""
    if os.name != "nt":
        allow(folder, 0o555)  # readable for all, writable for none


def _with_parents(folders: Iterable[str]) -> Sequence[str]:
    """The folders and all folders above them, deepest first."""
    every: set[str] = set()
    for folder in folders:
        parts = folder.split("/")
        every.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return sorted(every, key=lambda folder: -folder.count("/"))


def _last_change(tops: Iterable[Path]) -> float:
    newest = 0.0
    for top in tops:
        inner = (
            os.path.join(root, name) for root, folders, files in os.walk(long_path(top)) for name in folders + files
        )
        for path in (long_path(top), *inner):
            with contextlib.suppress(OSError):  # its writer may remove it while we look
                newest = max(newest, os.lstat(path).st_mtime)
    return newest


# -- drafts and copies in a stage --------------------------------------------------------------------------------------


class FolderDraft(Draft):
    """A stage in a folder store."""

    def __init__(self, store: FolderStore) -> None:
        self._store = store
        self._stage: Stage | None = None
        self._ids: tuple[PackageId, str] | None = None

    def __enter__(self) -> Self:
        """Sweep first: what the dead have left may be the room that is missing."""
        self.swept = self._store.sweep_stages()
        return self

    def discard(self) -> None:
        if self._stage is not None:
            self._stage.discard()
            self._stage = None

    def begin(self, size: int) -> None:
        self._store.check_space(size)
        self._stage = self._store.stage()

    @property
    def _open(self) -> Stage:
        assert self._stage is not None, "the draft has not begun"
        return self._stage

    @property
    def scratch(self) -> Path:
        return self._open.folder

    @property
    def payload(self) -> Path:
        return self._open.bag / "data"

    def place(self, path: str) -> str:
        return self._open.target(path)

    def target(self, path: str) -> str:
        with translated(self._store.url):
            return self._open.target(path)

    def write(self, path: str, data: bytes) -> None:
        with translated(self._store.url):
            self._open.write(path, data)

    def seal(self, sealed: Sealed) -> None:
        with translated(self._store.url):
            for path, data in sealed.tag_files.items():
                self._open.write(path, data)
            self._open.seal([*(entry.path for entry in sealed.manifest), *sealed.tag_files])
        self._ids = sealed.package_id, sealed.payload_id

    def publish(self, name: str, *, tree: str, is_sound: Callable[[Bundle], bool], **_: object) -> Added:
        """By one rename, after a look at what was staged."""
        assert self._ids is not None, "the draft is not sealed"
        package, payload = self._ids
        opened = read_staged(self._open, package, self._store.url)
        added = self._store.publish(
            self._open, name, package, payload, tree, lambda path: is_sound(self._store.bundle(path))
        )
        self._stage = None  # `publish` has discarded it
        return replace(added, opened=opened) if added.created else added


class StagedCopy:
    """One copy under way, from a bundle into a stage."""

    def __init__(self, source: Bundle, cargo: Contents, stage: Stage, listener: Listener, pace: Pace | None) -> None:
        self._source, self._cargo, self._stage = source, cargo, stage
        self._count = Counter("copy", cargo.size, listener, pace)
        self._leaf_size = cargo.opened.manifest.leaf_size
        self._stop = threading.Event()

    def run(self, url: str) -> None:
        """Copy everything, the tag manifest last, seal the stage, and open what was written."""
        try:
            with Copier() as copier:
                if isinstance(self._source, LocalBundle):
                    do_all(self._tasks(copier), threads=_COPIERS, stop=self._stop.set)
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
                self._copy(copier, item, _filler(reader), sparse=sparse)

    def _fetch(self, copier: Copier) -> None:
        """From afar: many requests under way at once, one thread that writes."""
        with ReadAhead(self._source, self._cargo.items) as ahead:
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
        self._count(path, count)


def _filler(reader: RangeReader) -> Callable[[memoryview], int]:
    """Reads a file from its beginning to its end into one buffer after the other."""
    offset = 0

    def fill(buffer: memoryview) -> int:
        nonlocal offset
        count = reader.readinto_at(offset, buffer)
        offset += count
        return count

    return fill


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


def read_staged(stage: Stage, package: PackageId, url: str) -> TagFiles:
    """What a sealed stage says of itself: what cannot be opened is not published.

    Raises `StoreError` where the disk gives back other tag files than were written; the source is not to blame.
    """
    try:
        return open_tag_files(LocalBundle(stage.bag), expected_id=package)
    except (IntegrityError, PackageError) as error:
        raise StoreError(
            f"the store returns different bytes than were written: {error.message}; nothing was archived",
            where=f"{url}: {error.where}",
            next="Check the disk; choose another store.",
        ) from error
