"""SHA-256 of whole files while their leaves arrive: one thread follows, and reads what the system still holds."""

from __future__ import annotations

import hashlib
import queue
import threading
from typing import Any, Final

from diadem.model.manifest import leaf_count
from diadem.transfer.arrival import Arrival

#: Bytes that are read at once.
_BLOCK: Final = 4 << 20


class Follower:
    """Hashes files of an arriving package as soon as their leaves are there, in order from the beginning of each.

    Parameters
    ----------
    arrival : Arrival
        Begun.
    """

    def __init__(self, arrival: Arrival) -> None:
        self._arrival = arrival
        self._told: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._states: dict[int, tuple[Any, int]] = {}
        self._fault: BaseException | None = None
        self._stopped = threading.Event()
        self._buffer = memoryview(bytearray(max(_BLOCK, arrival.manifest.leaf_size)))
        #: Files whose SHA-256 is not the one of the manifest.
        self.wrong: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="diadem-follow", daemon=True)
        self._thread.start()

    def written(self, number: int, data: memoryview) -> None:
        """Leaves of a file were written; one that came whole is hashed by the caller's thread."""
        entry = self._arrival.manifest.entries[number]
        if len(data) == entry.size:
            self._judge(number, hashlib.sha256(data).hexdigest())
        else:
            self._told.put(number)

    def finish(self) -> set[int]:
        """Hash everything that is not yet, and return the files that are wrong. All leaves are there."""
        for number in range(len(self._arrival.manifest)):
            if not self._arrival.marks.hashed[number] and number not in self.wrong:
                self._told.put(number)
        self._told.put(None)
        self._thread.join()
        if self._fault is not None:
            raise self._fault
        return self.wrong

    def stop(self) -> None:
        """End early; what was hashed of files that are not complete is hashed again the next time."""
        self._stopped.set()
        self._told.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while (number := self._told.get()) is not None and not self._stopped.is_set():
                self._advance(number)
        except BaseException as error:
            self._fault = error

    def _advance(self, number: int) -> None:
        """Hash a file as far as its leaves are there without a gap."""
        arrival = self._arrival
        entry, leaf_size = arrival.manifest.entries[number], arrival.manifest.leaf_size
        if arrival.marks.hashed[number] or number in self.wrong:
            return
        digest, leaf = self._states.pop(number, None) or (hashlib.sha256(), 0)
        count = leaf_count(entry.size, leaf_size)
        proven = arrival.marks.proven
        while leaf < count and proven[entry.first_leaf + leaf] and not self._stopped.is_set():
            end = leaf
            most = leaf + max(1, _BLOCK // leaf_size)
            while end < min(count, most) and proven[entry.first_leaf + end]:
                end += 1
            block = self._buffer[: min((end - leaf) * leaf_size, entry.size - leaf * leaf_size)]
            digest.update(block[: arrival.read_into(number, leaf * leaf_size, block)])
            leaf = end
        if leaf == count:
            self._judge(number, digest.hexdigest())
        else:
            self._states[number] = digest, leaf

    def _judge(self, number: int, sha256: str) -> None:
        if sha256 == self._arrival.manifest.entries[number].sha256:
            self._arrival.marks.hash_held(number)
        else:
            self.wrong.add(number)
