"""One large object, sent in parts that hold whole leaves."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator

from diadem.errors import DigestMismatch
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


def put_blocks(client: ObjectClient, key: str, blocks: Iterable[bytes], size: int) -> None:
    """Write an object from blocks of any length."""
    exact = _exactly(blocks, size, key)
    if size <= SINGLE_SIZE:
        data = b"".join(exact)
        client.put(key, data, sha256=hashlib.sha256(data).digest())
    elif not client.has_parts:
        client.put_stream(key, exact)
    else:
        parted = PartedObject(client, key, size)
        try:
            for number, part in enumerate(_regrouped(exact, part_size(size)), 1):
                parted.send(number, part)
        except BaseException:
            parted.give_up()
            raise


def _exactly(blocks: Iterable[bytes], size: int, where: str) -> Iterator[bytes]:
    """The blocks; an error at the end, before anything is complete, unless they are `size` bytes."""
    left = size
    for block in blocks:
        left -= len(block)
        if left < 0:
            break
        yield block
    if left:
        message = f"the number of bytes found for the file is not {size}; nothing was changed"
        raise DigestMismatch(message, where=where, next="Look for another copy.")


def _regrouped(blocks: Iterable[bytes], length: int) -> Iterator[bytes]:
    """The same bytes in blocks of one length, the last one perhaps shorter."""
    held = bytearray()
    for block in blocks:
        held += block
        while len(held) > length:  # the last one is kept back until the end is known to be right
            yield bytes(held[:length])
            del held[:length]
    if held:
        yield bytes(held)
