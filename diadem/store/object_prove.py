"""Reading a written package back, for stores that do not check digests themselves."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial

from diadem.errors import StoreError
from diadem.model.manifest import FileEntry
from diadem.model.ports import Listener, Progress
from diadem.store.object_client import ObjectClient
from diadem.store.object_lanes import Lanes
from diadem.store.object_parts import PART_SIZE
from diadem.store.object_payload import BUDGET, THREADS
from diadem.trust.hashing import Leaves


class Prover:
    """Compares every leaf and every tag file below one prefix of a store with what they must be."""

    def __init__(self, client: ObjectClient, root: str, leaves: Leaves, *, total: int, listener: Listener) -> None:
        self._client, self._root, self._leaves = client, root, leaves
        self._total, self._listener = total, listener
        self._done = 0
        self._lock = threading.Lock()

    def prove(self, entries: Sequence[FileEntry], tag_files: Mapping[str, bytes]) -> None:
        """Read everything once.

        Raises
        ------
        StoreError
            Naming the file and the leaf that came back different: the store is to blame, not what was sent.
        """
        step = max(PART_SIZE, self._leaves.size)
        with Lanes(threads=THREADS, budget=BUDGET) as lanes:
            for entry in entries:
                for offset in range(0, entry.size, step):
                    length = min(step, entry.size - offset)
                    lanes.submit(length, partial(self._prove_range, entry, offset, length))
            for path, data in tag_files.items():
                lanes.submit(len(data), partial(self._prove_tag_file, path, data))
            lanes.finish()

    def _prove_range(self, entry: FileEntry, offset: int, length: int) -> None:
        data = memoryview(self._client.get(f"{self._root}/{entry.path}", offset, offset + length))
        if len(data) != length:
            raise _bent(entry.path)
        if (leaf := self._leaves.wrong(entry, offset, data)) is not None:
            raise _bent(entry.path, f"leaf {leaf}: ")
        self._tell(entry.path, length)

    def _prove_tag_file(self, path: str, data: bytes) -> None:
        if self._client.get(f"{self._root}/{path}", 0, len(data)) != data:
            raise _bent(path)
        self._tell(path, len(data))

    def _tell(self, path: str, count: int) -> None:
        with self._lock:
            self._done += count
            done = self._done
        self._listener(Progress("prove", done, self._total, path))


def _bent(path: str, place: str = "") -> StoreError:
    return StoreError(
        f"{place}the store returns different bytes than were sent; nothing was published",
        where=path,
        next="Run the same command again; if it happens twice, do not trust this store.",
    )
