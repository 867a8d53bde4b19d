"""A small package in memory, sealed as real ones are, for tests that write it to object stores."""

from __future__ import annotations

import hashlib
import io
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from diadem.model.manifest import RECORD_PATH, FileEntry, PackageId
from diadem.package.tags import HashedFile, Sealed, seal
from diadem.store.contract import Added
from diadem.store.objects import ObjectStore
from diadem.store.upload import Job
from diadem.trust.hashing import LeafHasher

NAMES = {
    "data/scan.dm4": 3_500_000,
    "data/empty.txt": 0,
    "data/one leaf.raw": 1 << 20,
    "data/übersicht + näher & weiter/日本語 (1) [x] {y}.tif": 12_345,
    "data/sub/deep/er/~tilde#hash;semi=eq,comma@at!$'.bin": 70_000,
}


@dataclass
class Sample:
    """A package that is ready to be uploaded."""

    path: str
    sealed: Sealed
    contents: dict[str, bytes]
    tag_files: dict[str, bytes]
    opened: list[str] = field(default_factory=list)

    @property
    def entries(self) -> Sequence[FileEntry]:
        """All files of the manifest."""
        return self.sealed.manifest.entries

    def open_source(self, entry: FileEntry) -> BinaryIO:
        """The file as the user has it."""
        self.opened.append(entry.path)
        return io.BytesIO(self.contents[entry.path])

    def upload(
        self,
        store: ObjectStore,
        path: str | None = None,
        *,
        is_sound: Callable[[str], bool] | None = None,
        **options: Any,
    ) -> Added:
        """Write it."""
        arguments: dict[str, Any] = {
            "entries": self.entries,
            "leaves": self.sealed.leaves,
            "open_source": self.open_source,
            "tag_files": self.tag_files,
        }
        return store.upload(Job(path or self.path, **{**arguments, **options}), is_sound)


def id_at(store: ObjectStore, path: str) -> PackageId:
    """Of the package at a path of a store."""
    stored = store.stored_at(path)
    assert stored is not None
    return stored.id


def make_sample(
    sizes: Mapping[str, int] | None = None, *, seed: int = 1, date: str = "2026-03-14", name: str = "20260314-zno"
) -> Sample:
    """Random files of these sizes, a record, and the tag files over both. The same seed gives the same payload."""
    generator = random.Random(seed)
    contents = {path: generator.randbytes(size) for path, size in (NAMES if sizes is None else sizes).items()}
    record = b'{"schema": "diadem-record/1.0.0", "made": "%s"}\n' % date.encode()
    files = [_hashed(path, data) for path, data in {**contents, RECORD_PATH: record}.items()]
    sealed = seal(files, vendor=b"", date=date, software="tests")
    path = f"2026/{name}-{sealed.payload_id[:12]}"
    return Sample(path, sealed, contents, {**sealed.tag_files, RECORD_PATH: record})


def _hashed(path: str, data: bytes) -> HashedFile:
    leaves = LeafHasher()
    leaves.update(data)
    return HashedFile(FileEntry(path, len(data), hashlib.sha256(data).hexdigest(), 0), leaves.digest())


class Gate:
    """A source that stops at its first file until it is told to go on."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self.reached = threading.Event()
        self.go = threading.Event()

    def open_source(self, entry: FileEntry) -> BinaryIO:
        """Wait, then open."""
        self.reached.set()
        if not self.go.wait(60):
            raise TimeoutError("nobody opened the gate")
        return self._sample.open_source(entry)
