"""Leaves come in where a package arrives, however they came: each is proven before it is kept, whole files are hashed.

One thread follows with the SHA-256 of whole files while their leaves come: in the memory into which they came, or by
reading them again.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from diadem.model.manifest import DIGEST_SIZE, FileEntry, leaf_count
from diadem.network.arrival import Arrival
from diadem.network.limits import PORTION
from diadem.network.memory import TRANSFERS, Memory
from diadem.network.windows import Span
from diadem.trust.hashing import leaf_digest

#: Bytes that are read again at once.
_BLOCK: Final = 4 << 20
#: Bytes of a file, behind what is hashed of it, that are kept in memory; what comes still earlier is read again.
_AHEAD: Final = 48 << 20
#: Seconds at most that who receives waits for who hashes.
_LONGEST: Final = 0.25
#: Buffers that are kept for the next leaves where nothing is in them.
_SPARE: Final = 2


class Taken(NamedTuple):
    """What became of the leaves of some spans."""

    #: Bytes that were missing and are here now.
    kept: int
    #: Bytes of leaves that were here already.
    again: int
    #: Leaves that are not what the package says: the span, and the leaf of its file.
    wrong: tuple[tuple[Span, int], ...]


def take_spans(
    arrival: Arrival, follower: Follower, spans: Sequence[Span], data: memoryview, held: list[bytearray] | None = None
) -> Taken:
    """Prove the leaves of spans that follow each other, and keep those that are right and missing.

    Whole files of one leaf, as most of many small ones are, are kept and hashed together, a portion at a time. The
    buffer that is `held`, in which the data lie, may be exchanged for another one: then it is read by who hashes.
    """
    kept = again = gathered = 0
    wrong: list[tuple[Span, int]] = []
    small: list[tuple[int, memoryview]] = []
    proven, digests, begin = arrival.marks.proven, arrival.leaves.digests, spans[0].at
    for span in spans:
        part = data[span.at - begin : span.at - begin + span.length]
        if span.leaves > 1 or not span.is_whole:
            taken = _take_span(arrival, follower, span, part, held if len(spans) == 1 else None)
            kept, again, wrong = kept + taken.kept, again + taken.again, [*wrong, *taken.wrong]
        elif proven[leaf := span.entry.first_leaf]:
            again += span.length
        elif leaf_digest(part) == digests[DIGEST_SIZE * leaf : DIGEST_SIZE * (leaf + 1)]:
            small.append((span.number, part))
            gathered += span.length
            if gathered >= PORTION:
                _keep_files(arrival, follower, small)
                kept, gathered, small = kept + gathered, 0, []
        else:
            wrong.append((span, 0))
    if small:
        _keep_files(arrival, follower, small)
    return Taken(kept + gathered, again, tuple(wrong))


def _keep_files(arrival: Arrival, follower: Follower, files: Sequence[tuple[int, memoryview]]) -> None:
    arrival.put_files(files)
    follower.came_whole(files)


def _take_span(
    arrival: Arrival, follower: Follower, span: Span, data: memoryview, held: list[bytearray] | None
) -> Taken:
    """The same of leaves of one file: as many are written at once as lie together."""
    leaf_size, proven = arrival.leaves.size, arrival.marks.proven
    start, again, run, runs, wrong = span.entry.first_leaf + span.leaf, 0, 0, [], []
    for number in range(span.leaves):
        leaf = data[number * leaf_size : (number + 1) * leaf_size]
        here = proven[start + number]
        if not here and arrival.leaves.proves(span.entry, span.leaf + number, leaf):
            continue
        if here:
            again += len(leaf)
        else:
            wrong.append((span, span.leaf + number))
        runs.append((run, number))
        run = number + 1
    runs.append((run, span.leaves))
    kept = 0
    for first, end in runs:
        if part := data[first * leaf_size : end * leaf_size]:
            alone = held is not None and len(data) == len(part) < span.entry.size
            lent = follower.lend(span.number, span.leaf, part, held) if held is not None and alone else None
            arrival.put(span.number, span.leaf + first, part)
            if lent is not None:
                lent.written = True
            follower.written(span.number, part)
            kept += len(part)
    return Taken(kept, again, tuple(wrong))


@dataclass(slots=True)
class _Lent:
    """Leaves in the memory into which they came; whether who lent them has written them, and looks at them no more."""

    data: memoryview
    buffer: bytearray
    written: bool = False


class _Digest:
    """How far a file is hashed: up to which leaf; and those behind it that are in memory still, by their first one."""

    __slots__ = ("leaf", "lendable", "memory", "sha256", "waiting")

    def __init__(self, *, lendable: bool = True) -> None:
        self.sha256, self.leaf, self.lendable = hashlib.sha256(), 0, lendable
        self.waiting: dict[int, _Lent] = {}
        #: Whether something of it was hashed that the disk did not give back.
        self.memory = False


class Follower:
    """Hashes files of an arriving package as soon as their leaves are there, in order from the beginning of each.

    Leaves that come nearly in order are hashed in the memory into which they came, where there is room for those that
    wait; all others, and what an earlier run wrote, as the disk gives them back. No file is called wrong before all of
    it was read again: what was hashed in memory is not what others will read.
    """

    def __init__(self, arrival: Arrival, memory: Memory = TRANSFERS, *, of: str = "") -> None:
        self._arrival, self._memory, self._of = arrival, memory, of
        self._told: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._digests: dict[int, _Digest] = {}
        #: The file that is hashed just now, or was last.
        self._at: int | None = None
        self._lock = threading.Condition()
        self._size = max(PORTION, arrival.leaves.size)
        #: Buffers beside those that threads have: how many, and those into which nothing came yet.
        self._extra, self._free = 0, list[bytearray]()
        self._fault: BaseException | None = None
        self._stopped = threading.Event()
        self._block = memoryview(bytearray(max(_BLOCK, arrival.leaves.size)))
        #: Files whose SHA-256 is not the one of the manifest.
        self.wrong: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="diadem-follow", daemon=True)
        self._thread.start()

    # -- from the threads that receive -----------------------------------------------------------------------------

    def lend(self, number: int, leaf: int, data: memoryview, held: list[bytearray]) -> _Lent | None:
        """Have leaves of a file hashed in the buffer held, which is exchanged for another; None where it is not.

        They are proven, and hashed once they are on the disk. What comes too early is not taken. Where the hashing of
        the file is behind, it is waited for, a little: the end would wait for it, and to read them again costs more.
        """
        marks, first = self._arrival.marks, self._arrival.manifest.entries[number].first_leaf
        ahead = _AHEAD // self._arrival.leaves.size
        with self._lock:
            if marks.hashed[number] or number in self.wrong or self._stopped.is_set():
                return None
            digest = self._digests.setdefault(number, _Digest())
            gap = marks.proven.find(0, first + digest.leaf) - first
            if not digest.lendable or not digest.leaf <= gap <= leaf <= min(gap, digest.leaf + ahead) + ahead:
                return None

            def has_room() -> bool:
                return leaf <= digest.leaf + ahead and self._has_free()

            def is_over() -> bool:
                return self._stopped.is_set() or self._at != number or digest.leaf >= gap

            self._lock.wait_for(lambda: is_over() or has_room(), _LONGEST)
            late = leaf < digest.leaf or leaf in digest.waiting  # another thread had them too
            if self._stopped.is_set() or late or not has_room():
                return None
            digest.waiting[leaf] = lent = _Lent(data, held[0])
            held[0] = self._free.pop()
            return lent

    def _has_free(self) -> bool:
        """Whether there is a buffer to give in exchange."""
        if not self._free and self._memory.take(self._size, self._of):
            self._extra += 1
            self._free.append(bytearray(self._size))
        return bool(self._free)

    def written(self, number: int, data: memoryview) -> None:
        """Leaves of a file were written; one that came whole is hashed by the caller's thread."""
        entry = self._arrival.manifest.entries[number]
        if len(data) == entry.size:
            self.came_whole([(number, data)])
        else:
            self._told.put(number)

    def came_whole(self, files: Sequence[tuple[int, memoryview]]) -> None:
        """Files were written that came whole: the caller's thread hashes them; `finish` looks into what is wrong."""
        entries = self._arrival.manifest.entries
        held = [number for number, data in files if hashlib.sha256(data).hexdigest() == entries[number].sha256]
        self._arrival.marks.hashes_held(held)

    def finish(self) -> set[int]:
        """Hash everything that is not yet, and return the files that are wrong. All leaves are there."""
        for number in range(len(self._arrival.manifest)):
            if not self._arrival.marks.hashed[number] and number not in self.wrong:
                self._told.put(number)
        self._end()
        if self._fault is not None:
            raise self._fault
        return self.wrong

    def stop(self) -> None:
        """End early; what was hashed of files that are not complete is hashed again the next time."""
        self._stopped.set()
        self._end()

    def _end(self) -> None:
        self._told.put(None)
        self._thread.join()
        with self._lock:
            self._stopped.set()
            self._digests.clear()
            self._free.clear()
            self._give(self._extra)
            self._lock.notify_all()

    def _give(self, buffers: int) -> None:
        self._extra -= buffers
        self._memory.give(buffers * self._size, self._of)

    # -- in its own thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (number := self._told.get()) is not None and not self._stopped.is_set():
                with self._lock:
                    self._at = number
                    self._lock.notify_all()  # who waits for the hashing of another file waits no more
                self._advance(number)
        except BaseException as error:
            self._fault = error
            self._stopped.set()

    def _advance(self, number: int) -> None:
        """Hash a file as far as its leaves are there without a gap; where it seems wrong, once more from the disk."""
        marks, entry = self._arrival.marks, self._arrival.manifest.entries[number]
        count = self._arrival.leaves.count(entry)
        while not marks.hashed[number] and number not in self.wrong:
            with self._lock:
                digest = self._digests.setdefault(number, _Digest())
            while digest.leaf < count:
                if self._stopped.is_set() or not (self._hash(entry, digest) or self._hash_again(number, digest)):
                    return
            right = digest.sha256.hexdigest() == entry.sha256
            with self._lock:
                if right:
                    marks.hashes_held([number])
                elif not digest.memory:
                    self.wrong.add(number)
                self._pass(digest, count)
                del self._digests[number]
                if not right and digest.memory:
                    self._digests[number] = _Digest(lendable=False)

    def _hash(self, entry: FileEntry, digest: _Digest) -> bool:
        """Hash the next leaves where they are in memory, and on the disk too; whether they are."""
        with self._lock:
            lent = digest.waiting.get(digest.leaf)
        if lent is None:
            return False
        end = digest.leaf + leaf_count(len(lent.data), self._arrival.leaves.size)
        # not whether who lent them is back: the disk may be flushed after they were marked
        if 0 in self._arrival.marks.proven[entry.first_leaf + digest.leaf : entry.first_leaf + end]:
            return False
        digest.sha256.update(lent.data)
        digest.memory = True
        with self._lock:
            self._pass(digest, end)
        return True

    def _hash_again(self, number: int, digest: _Digest) -> bool:
        """Hash the next leaves as the disk gives them back, up to those in memory; whether there are any."""
        arrival, entry = self._arrival, self._arrival.manifest.entries[number]
        leaf_size, leaf, proven = arrival.leaves.size, digest.leaf, arrival.marks.proven
        most = min(arrival.leaves.count(entry), leaf + max(1, _BLOCK // leaf_size))
        gap = proven.find(0, entry.first_leaf + leaf, entry.first_leaf + most)
        with self._lock:
            end = min(most if gap < 0 else gap - entry.first_leaf, *(at for at in digest.waiting if at > leaf), most)
        if end == leaf:
            return False
        block = self._block[: min((end - leaf) * leaf_size, entry.size - leaf * leaf_size)]
        digest.sha256.update(block[: arrival.read_into(number, leaf * leaf_size, block)])
        with self._lock:
            self._pass(digest, end)
        return True

    def _pass(self, digest: _Digest, leaf: int) -> None:
        """A file is hashed up to a leaf: memory before it is free."""
        digest.leaf = leaf
        for at in [at for at in digest.waiting if at < leaf]:
            if (lent := digest.waiting.pop(at)).written:
                self._free.append(lent.buffer)
            else:  # another thread brought them too, and who lent them still writes them: they are its own again
                self._give(1)
        if len(self._free) > _SPARE:
            self._give(len(self._free) - _SPARE)
            del self._free[_SPARE:]
        self._lock.notify_all()
