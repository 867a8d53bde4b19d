"""Sending the files of a package, each leaf checked again on its way against the digests already known."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import BinaryIO

from diadem.errors import DiademError, DigestMismatch
from diadem.model.manifest import LEAF_SIZE, FileEntry
from diadem.model.ports import Listener, Progress
from diadem.store.object_client import ObjectClient
from diadem.store.object_lanes import Lanes
from diadem.store.object_parts import SINGLE_SIZE, PartedObject, part_size
from diadem.trust.hashing import Leaves

#: Requests at once: what a line of 1 Gbit/s and 30 ms needs for files of 100 kB; large parts are held back by `BUDGET`.
THREADS = 8
#: Bytes under way at once; the process holds some two and a half times as much, as the HTTP client copies. Parts are
#: larger than this in files of more than 335 GB (see `part_size`); then there is one at a time.
BUDGET = 32 * LEAF_SIZE

#: What to do where a source is not what was hashed.
AGAIN = "Archive it again when nothing writes to it."

OpenSource = Callable[[FileEntry], BinaryIO]


class Sender:
    """Sends files below one prefix of a store.

    Parameters
    ----------
    client : ObjectClient
        The store.
    root : str
        The prefix.
    leaves : Leaves
        Digests of all leaves.
    total : int
        Bytes in all, for the progress.
    advice : str
        What to do where the source is no longer what was hashed.
    """

    def __init__(
        self,
        client: ObjectClient,
        root: str,
        leaves: Leaves,
        *,
        total: int,
        listener: Listener,
        advice: str = AGAIN,
    ) -> None:
        self._client, self._root, self._leaves = client, root, leaves
        self._total, self._listener, self._advice = total, listener, advice
        self._done = 0
        self._lock = threading.Lock()
        self._parted: list[PartedObject] = []

    def send(self, entries: Sequence[FileEntry], open_source: OpenSource, tag_files: Mapping[str, bytes]) -> None:
        """Send payload and tag files, in any order among themselves. The tag manifest is not among them.

        Raises
        ------
        DigestMismatch
            If the source is no longer what was hashed; what was sent is no package.
        """
        try:
            with Lanes(threads=THREADS, budget=BUDGET) as lanes:
                for entry in entries:
                    self._send_file(lanes, entry, open_source)
                for path, data in tag_files.items():
                    lanes.submit(len(data), partial(self._put, path, data, hashlib.sha256(data).digest()))
                lanes.finish()
        except BaseException:
            self._give_up()
            raise

    def _send_file(self, lanes: Lanes, entry: FileEntry, open_source: OpenSource) -> None:
        with open_source(entry) as source:
            size = entry.size if entry.size <= SINGLE_SIZE else part_size(entry.size, self._leaves.size)
            blocks = self._checked(entry, source, size)
            if entry.size <= SINGLE_SIZE:
                data = b"".join(blocks)
                lanes.submit(entry.size, partial(self._put, entry.path, data, bytes.fromhex(entry.sha256)))
            elif not self._client.has_parts:
                self._client.put_stream(f"{self._root}/{entry.path}", self._told(entry, blocks))
            else:
                self._send_parts(lanes, entry, blocks)

    def _send_parts(self, lanes: Lanes, entry: FileEntry, blocks: Iterator[bytes]) -> None:
        parted = PartedObject(self._client, f"{self._root}/{entry.path}", entry.size)
        self._parted.append(parted)
        for number, block in enumerate(blocks, 1):
            lanes.submit(len(block), partial(self._part, parted, entry.path, number, block))

    def _checked(self, entry: FileEntry, source: BinaryIO, block_size: int) -> Iterator[bytes]:
        """The file in blocks of whole leaves, each leaf compared; nothing before its first byte and after its last."""
        offset = 0
        while offset < entry.size:
            block = _read(source, min(block_size, entry.size - offset))
            if len(block) != min(block_size, entry.size - offset):
                raise self._changed(entry, f"it is shorter: {offset + len(block)} bytes")
            self._compare(entry, offset, block)
            offset += len(block)
            yield block
        if source.read(1):
            raise self._changed(entry, f"it is longer than {entry.size} bytes")

    def _compare(self, entry: FileEntry, offset: int, block: bytes) -> None:
        if (leaf := self._leaves.wrong(entry, offset, memoryview(block))) is not None:
            raise self._changed(entry, f"leaf {leaf} has different bytes", leaf, self._leaves.span(entry, leaf))

    def _put(self, path: str, data: bytes, sha256: bytes) -> None:
        self._client.put(f"{self._root}/{path}", data, sha256=sha256)
        self._tell(path, len(data))

    def _part(self, parted: PartedObject, path: str, number: int, data: bytes) -> None:
        parted.send(number, data)
        self._tell(path, len(data))

    def _told(self, entry: FileEntry, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            yield block
            self._tell(entry.path, len(block))

    def _tell(self, path: str, count: int) -> None:
        with self._lock:
            self._done += count
            done = self._done
        self._listener(Progress("upload", done, self._total, path))

    def _changed(
        self, entry: FileEntry, what: str, leaf: int | None = None, span: tuple[int, int] | None = None
    ) -> DigestMismatch:
        return DigestMismatch(
            f"the source is no longer what was hashed: {what}; nothing was published",
            where=entry.path,
            leaf=leaf,
            range=span,
            next=self._advice,
        )

    def _give_up(self) -> None:
        """Abort what is open. A store that no longer answers keeps it; `sweep` finds it there."""
        for parted in self._parted:
            with contextlib.suppress(DiademError):
                parted.give_up()


def _read(source: BinaryIO, length: int) -> bytes:
    """`length` bytes, fewer only at the end."""
    block = source.read(length)
    if len(block) == length or not block:
        return block
    pieces = [block]
    missing = length - len(block)
    while missing and (block := source.read(missing)):
        pieces.append(block)
        missing -= len(block)
    return b"".join(pieces)
