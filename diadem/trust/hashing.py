"""Digests of files: one SHA-256 for the whole and one BLAKE3 for every leaf, in one pass over the bytes."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable

from blake3 import blake3

from diadem.model.manifest import LEAF_SIZE, FileEntry


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


def payload_id(entries: Iterable[FileEntry]) -> str:
    """SHA-256 of the sorted manifest lines of the payload, 64 hex digits.

    The entries are those of `Manifest.payload`: without the three files that DIADEM derives.
    """
    digest = hashlib.sha256()
    for entry in sorted(entries, key=lambda entry: entry.path.encode()):
        digest.update(f"{entry.sha256}  {entry.path}\n".encode())
    return digest.hexdigest()


def payload_urn(payload: str) -> str:
    """``urn:uuid:`` of version 5 (RFC 9562) of a payload id, in the namespace of URLs."""
    return uuid.uuid5(uuid.NAMESPACE_URL, payload).urn


def sha256_hex(data: bytes) -> str:
    """SHA-256 of a small piece of data, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()
