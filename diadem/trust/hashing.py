"""Digests of files: one SHA-256 for the whole and one BLAKE3 for every leaf, in one pass over the bytes."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from blake3 import blake3

from diadem.model.manifest import DIGEST_SIZE, LEAF_SIZE, FileEntry, leaf_count


class LeafHasher:
    """BLAKE3 digests of consecutive leaves, fed with buffers of any length."""

    __slots__ = ("_filled", "_hasher", "_leaf_size", "_leaves")

    def __init__(self, leaf_size: int = LEAF_SIZE) -> None:
        self._leaf_size = leaf_size
        self._leaves = bytearray()
        self._hasher = blake3()
        self._filled = 0

    def update(self, data: memoryview | bytes) -> None:
        """Take the next bytes of the file."""
        view = memoryview(data)
        while view:
            take = min(self._leaf_size - self._filled, len(view))
            if take == self._leaf_size:
                self._leaves += blake3(view[:take]).digest()
            else:
                self._hasher.update(view[:take])
                self._filled += take
                if self._filled == self._leaf_size:
                    self._close()
            view = view[take:]

    def _close(self) -> None:
        self._leaves += self._hasher.digest()
        self._hasher = blake3()
        self._filled = 0

    def digest(self) -> bytes:
        """The digests of all leaves, 32 bytes each, the last one perhaps of a shorter leaf."""
        if self._filled:
            self._close()
        return bytes(self._leaves)


def leaf_digest(data: memoryview | bytes) -> bytes:
    """BLAKE3 of one leaf, 32 bytes."""
    return blake3(data).digest()


@dataclass(frozen=True, slots=True)
class Leaves:
    """What proves any part of a package: the digests of all its leaves, file after file in the manifest's order.

    Attributes
    ----------
    digests : bytes
        `diadem/leaves.blake3`, 32 bytes a leaf.
    size : int
        Bytes in a leaf; the last one of a file may have fewer.
    """

    digests: bytes = b""
    size: int = LEAF_SIZE

    def __len__(self) -> int:
        """Leaves in all files together."""
        return len(self.digests) // DIGEST_SIZE

    def __getitem__(self, number: int) -> bytes:
        """The digest of a leaf, counted through all files."""
        return self.digests[number * DIGEST_SIZE : (number + 1) * DIGEST_SIZE]

    def count(self, entry: FileEntry) -> int:
        """Leaves in a file."""
        return leaf_count(entry.size, self.size)

    def of(self, entry: FileEntry) -> Leaves:
        """Those of one file alone."""
        first = entry.first_leaf
        return Leaves(self.digests[first * DIGEST_SIZE : (first + self.count(entry)) * DIGEST_SIZE], self.size)

    def span(self, entry: FileEntry, leaf: int) -> tuple[int, int]:
        """The bytes of a file that are its leaf: start and end."""
        return leaf * self.size, min((leaf + 1) * self.size, entry.size)

    def proves(self, entry: FileEntry, leaf: int, data: memoryview | bytes) -> bool:
        """Whether these are the bytes of a file's leaf."""
        return leaf_digest(data) == self[entry.first_leaf + leaf]

    def wrong(self, entry: FileEntry, offset: int, block: memoryview) -> int | None:
        """The first leaf of a block, which begins with a leaf at `offset`, that is not the file's; None if all are."""
        for at in range(0, len(block), self.size):
            leaf = (offset + at) // self.size
            if not self.proves(entry, leaf, block[at : at + self.size]):
                return leaf
        return None


def payload_id(entries: Iterable[FileEntry]) -> str:
    """SHA-256 of the sorted manifest lines of the payload, 64 hex digits.

    The entries are those of `Manifest.payload`: without the three files that DIADEM derives.
    """
    digest = hashlib.sha256()
    for entry in sorted(entries, key=lambda entry: entry.path.encode()):
        digest.update(f"{entry.sha256}  {entry.path}\n".encode())
    return digest.hexdigest()


def tree_digest(files: Iterable[tuple[str, int]]) -> str:
    """SHA-256 of the sorted lines ``<size> <stored path>``: what a tree looks like before anything is read."""
    digest = hashlib.sha256()
    for name, size in sorted(files):
        digest.update(f"{size} {name}\n".encode())
    return digest.hexdigest()


def payload_urn(payload: str) -> str:
    """``urn:uuid:`` of version 5 (RFC 9562) of a payload id, in the namespace of URLs."""
    return uuid.uuid5(uuid.NAMESPACE_URL, payload).urn


def sha256_hex(data: bytes) -> str:
    """SHA-256 of a small piece of data, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()
