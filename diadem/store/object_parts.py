"""One large object, sent in parts that hold whole leaves."""

from __future__ import annotations

import hashlib
import threading

from diadem.model.manifest import LEAF_SIZE
from diadem.store.object_client import ObjectClient

#: Parts of an S3 object, at most (Amazon S3 User Guide, "Multipart upload limits").
MAX_PARTS = 10_000
#: Bytes of a part unless the file needs larger ones; S3 asks for 5 MiB at least.
PART_SIZE = 8 * LEAF_SIZE
#: Objects up to this size are written with one request.
SINGLE_SIZE = 2 * PART_SIZE


def part_size(size: int, leaf_size: int = LEAF_SIZE) -> int:
    """Bytes of each part of a file: a multiple of the leaf, so large that `MAX_PARTS` suffice."""
    unit = max(leaf_size, LEAF_SIZE)
    needed = -(-size // MAX_PARTS)
    return max(PART_SIZE, -(-needed // unit) * unit)


class PartedObject:
    """A multi-part upload under way; its parts may be sent from several threads, in any order."""

    def __init__(self, client: ObjectClient, key: str, size: int) -> None:
        self.key = key
        self._client = client
        self._count = -(-size // part_size(size))
        self._lock = threading.Lock()
        self._parts: list[tuple[int, str, bytes]] = []
        self._upload: str | None = client.begin(key)

    def send(self, number: int, data: bytes) -> None:
        """Send one part, from 1; the thread that sends the last one completes the object."""
        upload = self._upload
        if upload is None:
            raise RuntimeError(f"the upload of {self.key} was abandoned")
        digest = hashlib.sha256(data).digest()
        mark = self._client.part(self.key, upload, number, data, digest)
        with self._lock:
            self._parts.append((number, mark, digest))
            complete = len(self._parts) == self._count
        if complete:
            self._client.complete(self.key, upload, self._parts)
            self._upload = None

    def give_up(self) -> None:
        """Abort, unless it is complete."""
        if self._upload is not None:
            self._client.abort(self.key, self._upload)
            self._upload = None
