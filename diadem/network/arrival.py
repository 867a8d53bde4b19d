"""A place for a package that arrives piece by piece: it survives the process, and is published whole or not at all.

::

    <store>/.diadem/arriving/<transfer>/bag          the package as far as it is here
    <store>/.diadem/arriving/<transfer>/journal      which leaves are proven
    <store>/.diadem/arriving/<transfer>/tagmanifest  the tag manifest, which goes into the bag last
    <store>/.diadem/arriving/<transfer>.lock         held by the process that is at it

No sweep removes it: it goes with its transfer. Many threads write at once, each at its place.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from diadem.errors import IntegrityError, PackageError, Refused, StoreError
from diadem.model.manifest import TAGMANIFEST, FileEntry, Manifest, leaf_count
from diadem.model.names import require_sound_names
from diadem.model.ports import Listener
from diadem.network.arrival_journal import Journal
from diadem.network.limits import BLOCK
from diadem.network.tag_parts import tag_files
from diadem.network.windows import WindowPlan
from diadem.package.examine import TagFiles
from diadem.store.bags import LocalBundle
from diadem.store.contract import Added, Store
from diadem.store.folder import FolderStore
from diadem.store.package_copy import refuse_path, tree_of
from diadem.store.stage import Stage, lock_path, remove_tree
from diadem.store.store import Copies
from diadem.store.system import (
    CREATE_FLAGS,
    READ_FLAGS,
    SEALED,
    FileLock,
    allow,
    discard,
    flush_tree,
    long_path,
    or_else,
    start_writeback,
    translated,
)
from diadem.store.whole import write_whole
from diadem.trust.hashing import Leaves

ARRIVING: Final = "arriving"
_NAME: Final = re.compile(r"[0-9a-f]{32}")
#: Bytes and seconds after which what was written is forced to disk and marked so.
_SYNC_BYTES: Final = 256 << 20
_SYNC_SECONDS: Final = 10.0
_TIME_BY_DESCRIPTOR: Final = os.utime in os.supports_fd
_OPEN_FLAGS: Final = (CREATE_FLAGS & ~os.O_EXCL) | os.O_CREAT


class BeingFetched(Refused):
    """Another process of this node is at it."""


class Arrival(Stage):
    """A package that arrives. Use `open`; call `close` to go on later, `remove` when it is over.

    It is staged, sealed and published as any other package: see `Stage` and `FolderStore.publish`.
    """

    #: Of the package, after `begin`: its files, what proves them, and its windows.
    manifest: Manifest
    leaves: Leaves
    plan: WindowPlan

    @classmethod
    def open(cls, root: Path, transfer: str) -> Arrival:
        """The place of a transfer (32 hex digits), made where it is not there. `BeingFetched`: by another process.

        The root is ``<store>/.diadem/arriving``, or ``<node>/arriving`` for a store that is no folder.
        """
        if not _NAME.fullmatch(transfer):
            raise PackageError("this is not the id of a transfer", where=transfer)
        folder = root / transfer
        with translated(str(root)):
            os.makedirs(long_path(root), mode=0o700, exist_ok=True)  # until it is whole, it is nobody else's
            lock = FileLock(lock_path(folder))
            if not lock.acquire():
                raise BeingFetched(
                    "another process of this node is fetching this package",
                    next=f"See: diadem transfer show {transfer[:8]}",
                )
            with or_else(lock.release):
                arrival = cls(folder, lock)
                if not arrival.published:
                    os.makedirs(long_path(arrival.bag), exist_ok=True)
                    _make_writable(long_path(arrival.bag))
        return arrival

    def __init__(self, folder: Path, lock: FileLock) -> None:
        super().__init__(folder, lock)
        self.journal: Journal | None = None
        self._root = os.path.abspath(self.bag)
        #: One byte a file: whether it came whole in this run, and so has its time and is sealed.
        self._settled = bytearray()
        self._dirty: set[str] = set()
        #: Tag files that were written in this run, since the disk lost something.
        self._tags_written = set[str]()
        self._unsynced = 0
        #: How often the disk could not be forced to keep what was written.
        self.losses = 0
        self._synced_at = time.monotonic()
        self._guard = threading.Lock()
        self._syncing = threading.Lock()

    @property
    def published(self) -> bool:
        """Whether the bag has left this place: it was published, and what came next failed, or its process ended."""
        return not os.path.lexists(long_path(self.bag)) and self.tagmanifest() is not None

    # -- tag files -------------------------------------------------------------------------------------------------

    def tagmanifest(self) -> bytes | None:
        """The tag manifest that was kept, or None."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "tagmanifest").read_bytes()
        return None

    def keep_tagmanifest(self, data: bytes) -> None:
        """Keep the tag manifest, whose SHA-256 is the package's id; it goes into the bag when everything is there."""
        write_whole(self.folder / "tagmanifest", data)

    def tag_file(self, path: str, size_limit: int) -> bytes | None:
        """A tag file that is here, or None; it is not proven by being here."""
        try:
            with open(os.open(long_path(self.bag / path), READ_FLAGS), "rb") as source:
                data = source.read(size_limit + 1)
        except FileNotFoundError:
            return None
        return data if len(data) <= size_limit else None

    def tag_digest(self, path: str) -> tuple[str, int] | None:
        """SHA-256 and size of a tag file that is here, or None."""
        try:
            with open(os.open(long_path(self.bag / path), READ_FLAGS), "rb") as source:
                return hashlib.file_digest(source, "sha256").hexdigest(), source.tell()
        except FileNotFoundError:
            return None

    def write_tag_file(self, path: str, blocks: Iterable[memoryview | bytes]) -> None:
        """Write a tag file as it comes; what was there is replaced."""
        with translated(str(self.folder)):
            target = self.target(path)
            discard(target)
            with open(os.open(long_path(target), CREATE_FLAGS, SEALED), "wb") as sink:
                for block in blocks:
                    sink.write(block)
            self._tags_written.add(path)

    # -- payload ---------------------------------------------------------------------------------------------------

    def begin(self, opened: TagFiles) -> None:
        """Make ready for the files of a package: check every name, read the journal, hash what is not sure.

        Raises `PackageError`, with nothing made, where a name leads outside or is two things on some system.
        """
        require_sound_names(entry.path for entry in opened.manifest)
        self.manifest, self.leaves, self.plan = opened.manifest, opened.leaves, WindowPlan(opened.manifest)
        self._settled = bytearray(len(self.manifest.entries))
        first = [*(entry.first_leaf for entry in self.manifest), len(opened.leaves)]
        with translated(str(self.folder)):
            for folder in sorted({entry.path.rpartition("/")[0] for entry in self.manifest}):
                self.target(f"{folder}/x")
            self.journal = Journal(self.folder / "journal", opened.id.hex, first)
            self._look_again(self.journal.unsure())
            for number, entry in enumerate(self.manifest):
                if not entry.size:
                    self._write_whole(number, entry, b"")

    @property
    def marks(self) -> Journal:
        """The journal, after `begin`."""
        assert self.journal is not None
        return self.journal

    def _look_again(self, runs: Sequence[tuple[int, int]]) -> None:
        """Hash leaves that were written before a crash, and mark those that are right.

        Their files are flushed by the next sync, which is of all that was ever marked: so what is wrong is taken back.
        """
        wrong = set[int]()
        for leaf in (leaf for start, count in runs for leaf in range(start, start + count)):
            number = self.plan.file_of(leaf)
            entry = self.manifest.entries[number]
            if self.has_leaf(number, leaf - entry.first_leaf):
                self._dirty.add(entry.path)
                self.marks.mark(leaf, 1)
            elif not self.marks.proven[leaf]:
                wrong.add(number)
        for number in sorted(wrong):
            self.marks.take_back(number)

    def has_leaf(self, number: int, leaf: int) -> bool:
        """Whether what the disk gives back is the leaf of a file."""
        entry = self.manifest.entries[number]
        start, end = self.leaves.span(entry, leaf)
        block = memoryview(bytearray(end - start))
        return self.read_into(number, start, block) == len(block) and self.leaves.proves(entry, leaf, block)

    def read_into(self, number: int, offset: int, buffer: memoryview) -> int:
        """Fill a buffer with bytes of a file; how many there were."""
        done = 0
        try:
            descriptor = os.open(self._path(self.manifest.entries[number]), READ_FLAGS)
        except FileNotFoundError:
            return 0
        with open(descriptor, "rb", buffering=0) as source:
            source.seek(offset)
            while done < len(buffer) and (count := source.readinto(buffer[done:])):
                done += count
        return done

    def put(self, number: int, leaf: int, data: memoryview) -> None:
        """Write consecutive leaves of a file, which the caller has proven, and mark them. From any thread."""
        entry, losses = self.manifest.entries[number], self.losses
        with translated(str(self.folder), "what has arrived is kept"):
            if len(data) == entry.size:
                self._write_whole(number, entry, data)
            else:
                self._settled[number] = 0
                self._write_at(entry, leaf * self.leaves.size, data)
        leaves = leaf_count(len(data), self.leaves.size)
        self._mark([entry.path], [(entry.first_leaf + leaf, leaves, len(data))], losses)

    def put_files(self, files: Sequence[tuple[int, memoryview]]) -> None:
        """Write whole files of one leaf each, which the caller has proven, in the order of the manifest, and mark them.

        They are on record together, with one record for those that follow each other.
        """
        losses = self.losses
        entries, paths, runs = self.manifest.entries, list[str](), list[tuple[int, int, int]]()
        with translated(str(self.folder), "what has arrived is kept"):
            for number, data in files:
                entry = entries[number]
                self._write_whole(number, entry, data)
                paths.append(entry.path)
                first, count, size = runs[-1] if runs else (-1, 0, 0)
                if first + count == entry.first_leaf:
                    runs[-1] = first, count + 1, size + len(data)
                else:
                    runs.append((entry.first_leaf, 1, len(data)))
        self._mark(paths, runs, losses)

    def _mark(self, paths: Sequence[str], runs: Sequence[tuple[int, int, int]], losses: int) -> None:
        """Note what was written of files: runs of leaves, the first, how many, and their bytes; and sync where due.

        `losses` is what they were before it was written: what was being written while the disk lost something counts as
        lost too.
        """
        with self._guard:  # before the mark: what is marked is flushed by the next sync
            if losses != self.losses:
                raise StoreError(
                    "the disk did not keep what was written", where=str(self.folder), next="Look after the disk."
                )
            self._dirty.update(paths)
            self._unsynced += sum(size for _, _, size in runs)
            due = self._unsynced >= _SYNC_BYTES or time.monotonic() - self._synced_at > _SYNC_SECONDS
            for first, count, size in runs:
                self.marks.mark(first, count, size)
        if due and self._syncing.acquire(blocking=False):
            try:
                self._sync()
            finally:
                self._syncing.release()

    def _write_whole(self, number: int, entry: FileEntry, data: memoryview | bytes) -> None:
        target = self._path(entry)
        try:
            descriptor = os.open(target, CREATE_FLAGS, SEALED)
        except FileExistsError:
            discard(target)
            descriptor = os.open(target, CREATE_FLAGS, SEALED)
        try:
            _write_all(descriptor, memoryview(data))
            with contextlib.suppress(OSError, OverflowError):
                os.utime(descriptor if _TIME_BY_DESCRIPTOR else target, ns=(entry.mtime_ns, entry.mtime_ns))
            self._settled[number] = 1
        finally:
            os.close(descriptor)

    def _write_at(self, entry: FileEntry, offset: int, data: memoryview) -> None:
        """Write at a place of a file that may have holes still; each call has a descriptor of its own."""
        descriptor = _open_again(self._path(entry))
        try:
            if os.fstat(descriptor).st_size != entry.size:
                os.ftruncate(descriptor, entry.size)
            os.lseek(descriptor, offset, os.SEEK_SET)
            _write_all(descriptor, data)
            start_writeback(descriptor, offset, len(data))
        finally:
            os.close(descriptor)

    def _path(self, entry: FileEntry) -> str:
        return long_path(f"{self._root}{os.sep}{entry.path.replace('/', os.sep)}")

    def forget(self, number: int) -> None:
        """Let a file begin anew: what is there of it is not what was proven."""
        self._settled[number] = 0
        discard(str(self.bag / self.manifest.entries[number].path))
        self.marks.forget(number)

    def sync(self) -> None:
        """Force everything that was written to disk, and mark it so: it is trusted after a crash."""
        with self._syncing:
            self._sync()

    def _sync(self) -> None:
        written = self.marks.written()  # before the files are taken: each mark counted is of one of them
        with self._guard:
            dirty, self._dirty = self._dirty, set()
            self._unsynced, self._synced_at = 0, time.monotonic()
        if not dirty:
            return
        folders = {path.rpartition("/")[0] for path in dirty}
        with translated(str(self.folder), "what has arrived is kept"):
            try:
                flush_tree(
                    long_path(self.bag),
                    (long_path(self.bag / path) for path in sorted(dirty)),
                    (long_path(self.bag / folder) for folder in sorted(folders)),
                )
            except OSError:
                self._lose()
                raise
            except BaseException:  # not the disk: the next sync does it
                with self._guard:
                    self._dirty |= dirty
                raise
            self.marks.synced(written)

    def _lose(self) -> None:
        """The disk did not take what was written since the last sync: let all of that come again.

        The system says so once, and may give back from memory what the disk does not have: hashing again proves nothing
        of it. Files of which nothing stays go first: they make room for the journal, and speak where it cannot.
        """
        _make_writable(long_path(self.bag))  # it may be sealed already
        with self._guard:
            self.losses += 1
            self._dirty.clear()
            self._tags_written.clear()
            self._unsynced = 0
            for number in self.marks.lose_unsure():
                entry = self.manifest.entries[number]
                self._settled[number] = 0
                if not any(self.marks.proven[entry.first_leaf : entry.first_leaf + self.leaves.count(entry)]):
                    with contextlib.suppress(OSError):
                        discard(str(self.bag / entry.path))
            with contextlib.suppress(OSError):  # what is not on record now is with the next record
                self.marks.flush()

    # -- the end ---------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Give every file its time and seal it, put the tag manifest in its place, and force it all to disk."""
        tags = self.tagmanifest()
        assert tags is not None
        with translated(str(self.folder), "what has arrived is kept"):
            for number, entry in enumerate(self.manifest):
                if not self._settled[number]:
                    self._settle(entry)
            for _, path in tag_files(tags):
                if path not in self._tags_written:
                    self._write_again(path)
            self.write_tag_file(TAGMANIFEST, [tags])
            paths = [*self._paths()]
            for folder in {path.rpartition("/")[0] for path in paths}:  # those of an earlier run are sealed too
                self.target(f"{folder}/x")
            try:
                self.seal(paths)
            except OSError:
                self._lose()
                raise

    def _write_again(self, path: str) -> None:
        """Write a tag file over itself: the disk may have lost what an earlier run wrote, and says so only once."""
        target = self.target(path)
        allow(target, stat.S_IRUSR | stat.S_IWUSR)
        with open(long_path(target), "r+b", buffering=0) as file:
            while block := file.read(BLOCK):
                file.seek(-len(block), os.SEEK_CUR)
                _write_all(file.fileno(), memoryview(block))
        allow(target, SEALED)

    def _settle(self, entry: FileEntry) -> None:
        path = self._path(entry)
        status = os.stat(path)
        if status.st_mode & 0o222 or status.st_mtime_ns != entry.mtime_ns:
            with contextlib.suppress(OSError, OverflowError):
                os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
            allow(path, SEALED)

    def _paths(self) -> Iterator[str]:
        for folder, _, files in os.walk(long_path(self.bag)):
            prefix = os.path.relpath(folder, long_path(self.bag)).replace(os.sep, "/")
            yield from (name if prefix == "." else f"{prefix}/{name}" for name in files)

    def discard(self) -> None:
        """Nothing: what `FolderStore.publish` would remove goes when the receipt is stated."""

    def close(self) -> None:
        """Leave everything as it is, on the disk, to go on later."""
        try:
            if self.journal is not None and os.path.lexists(long_path(self.bag)):
                self.sync()
        finally:
            if self.journal is not None:
                self.journal.close()
            self._lock.release()

    def remove(self) -> None:
        """Remove the place and everything in it."""
        if self.journal is not None:
            self.journal.close()
        if os.path.lexists(long_path(self.folder)):
            remove_tree(self.folder)
        self._lock.remove()


def land(store: Store, arrival: Arrival, opened: TagFiles, path: str, *, listener: Listener) -> Added:
    """Publish in a store what is finished: every leaf and whole file proven, sealed, on the disk.

    A folder has the arrival on its own file system: one rename. Elsewhere it is copied. The path is that in the
    sender's store. Raises `IntegrityError` where the disk gives back something else; nothing was published then.
    """
    refuse_path(path)
    if not isinstance(store, FolderStore):
        return store.add(LocalBundle(arrival.bag), opened, path, listener=listener)
    if arrival.published:
        found = published_path(store, opened.id, opened.payload_id)
        store.flush_name(found)
        return Added(found, True, "written")
    copies = Copies(store, opened, path)
    added = store.publish(arrival, path, opened.id, opened.payload_id, tree_of(opened), copies.is_sound)
    return replace(added, damaged=copies.damaged)


def published_path(store: Store, package: str, payload: str) -> str:
    """Where a package lies that an earlier run gave its name, and ended before it could say so.

    Raises `IntegrityError` where it was removed since.
    """
    if isinstance(store, FolderStore):
        for found, path in store.find(payload):
            if found == package:
                return path
    raise IntegrityError(
        "the package arrived, but was removed before it could be recorded",
        where=store.url,
        next="Fetch it again: diadem transfer resume",
    )


def _make_writable(bag: str) -> None:
    """Undo what an earlier run sealed: it ended before it could publish."""
    for folder, _, _ in os.walk(bag):
        if not os.stat(folder).st_mode & stat.S_IWUSR:
            allow(folder, stat.S_IRWXU)


def _open_again(path: str) -> int:
    """Open a file for writing, one too that came whole once, and of which a leaf is wrong now."""
    try:
        return os.open(path, _OPEN_FLAGS, 0o644)
    except PermissionError:
        os.chmod(path, stat.S_IRUSR | stat.S_IWUSR)
        return os.open(path, _OPEN_FLAGS, 0o644)


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
