"""Small bags for tests: a DIADEM package from content in memory, and a bag as others write it."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path

from diadem.model.manifest import RECORD_PATH, FileEntry
from diadem.model.ports import Bundle, BundleAround, RangeReader, ReaderAround
from diadem.package.tags import HashedFile, Sealed, seal
from diadem.store.bags import LocalBundle
from diadem.trust.hashing import LeafHasher

EMPTY_ZIP = b"PK\x05\x06" + bytes(18)


def hashed(path: str, content: bytes) -> HashedFile:
    """A file of a package with its digests."""
    hasher = LeafHasher()
    hasher.update(content)
    entry = FileEntry(path, len(content), hashlib.sha256(content).hexdigest(), 1_700_000_000_123_456_789)
    return HashedFile(entry, hasher.digest())


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def write_package(folder: Path, payload: Mapping[str, bytes]) -> Sealed:
    """A DIADEM package of the payload (paths relative to `data/`) and an empty record."""
    files = {f"data/{path}": content for path, content in payload.items()} | {RECORD_PATH: b"{}\n"}
    sealed = seal(
        (hashed(path, content) for path, content in files.items()),
        vendor=EMPTY_ZIP,
        date="2026-03-14",
        software="DIADEM tests",
    )
    write(folder, files | dict(sealed.tag_files))
    return sealed


def write_bag(folder: Path, payload: Mapping[str, bytes], *, version: str = "1.0", algorithm: str = "sha256") -> None:
    """A bag without DIADEM's tag files: payload paths as they stand in the manifest and on the disk."""
    files = {f"data/{path}": content for path, content in payload.items()}
    tags = {"bagit.txt": f"BagIt-Version: {version}\nTag-File-Character-Encoding: UTF-8\n".encode()}
    tags[f"manifest-{algorithm}.txt"] = manifest(files, algorithm)
    tags[f"tagmanifest-{algorithm}.txt"] = manifest(tags, algorithm)
    write(folder, files | tags)


def manifest(files: Mapping[str, bytes], algorithm: str = "sha256") -> bytes:
    """Manifest lines of files."""
    lines = [f"{hashlib.new(algorithm, content).hexdigest()}  {path}\n" for path, content in files.items()]
    return "".join(lines).encode()


class FailingDisk(BundleAround):
    """A bag whose disk cannot read some places: reads that touch one of them fail with EIO."""

    def __init__(self, folder: Path, bad: Mapping[str, int]) -> None:
        super().__init__(LocalBundle(folder))
        self._bad = bad

    def read(self, path: str, limit: int) -> bytes:
        """As it is, unless the file has a bad place."""
        if path in self._bad:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(path, limit)

    def open(self, path: str) -> RangeReader:
        """As it is, with the bad place."""
        file = super().open(path)
        return _FailingFile(file, self._bad[path]) if path in self._bad else file


class _FailingFile(ReaderAround):
    def __init__(self, file: RangeReader, bad: int) -> None:
        super().__init__(file)
        self._bad = bad

    def read_at(self, offset: int, length: int) -> bytes:
        self._fail(offset, length)
        return super().read_at(offset, length)

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        self._fail(offset, len(buffer))
        return super().readinto_at(offset, buffer)

    def _fail(self, offset: int, length: int) -> None:
        if offset <= self._bad < offset + length:
            raise OSError(errno.EIO, "Input/output error")


class Watched(BundleAround):
    """A bag that tells how many of its files were open at once, and how many bytes were asked for at once, at most."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self.most_open = self.largest = 0
        self._open: set[_WatchedFile] = set()
        self._lock = threading.Lock()

    def read(self, path: str, limit: int) -> bytes:
        """As it is; a server is asked for as much as it may have."""
        self.note(limit)
        return super().read(path, limit)

    def open(self, path: str) -> RangeReader:
        """As it is, counted until it is closed."""
        file = _WatchedFile(super().open(path), self)
        with self._lock:
            self._open.add(file)
            self.most_open = max(self.most_open, len(self._open))
        return file

    def note(self, size: int) -> None:
        """So many bytes are asked for."""
        with self._lock:
            self.largest = max(self.largest, size)

    def closed(self, file: _WatchedFile) -> None:
        """A file is open no more."""
        with self._lock:
            self._open.discard(file)


class _WatchedFile(ReaderAround):
    def __init__(self, file: RangeReader, bag: Watched) -> None:
        super().__init__(file)
        self._bag = bag

    def read_at(self, offset: int, length: int) -> bytes:
        self._bag.note(length)
        return super().read_at(offset, length)

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        self._bag.note(len(buffer))
        return super().readinto_at(offset, buffer)

    def close(self) -> None:
        super().close()
        self._bag.closed(self)
