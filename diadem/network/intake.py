"""Leaves come in where a package arrives, however they came: each is proven before it is kept, whole files are hashed.

One thread follows with the SHA-256 of whole files while their leaves come, and reads what the system still holds.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from diadem.network.arrival import Arrival
from diadem.network.windows import Span

#: Bytes that are read at once; and of small files that are on record together: a killed process may lose so much.
_BLOCK: Final = 4 << 20
_PORTION: Final = 1 << 20


class Taken(NamedTuple):
    """What became of the leaves of some spans."""

    #: Bytes that were missing and are here now.
    kept: int
    #: Bytes of leaves that were here already.
    again: int
    #: Leaves that are not what the package says: the span, and the leaf of its file.
    wrong: tuple[tuple[Span, int], ...]


def take_spans(arrival: Arrival, follower: Follower, spans: Sequence[Span], data: memoryview) -> Taken:
    """Prove the leaves of spans that follow each other, and keep those that are right and missing.

    Whole files of one leaf, as most of many small ones are, are kept and hashed together, a portion at a time.
    """
    kept = again = gathered = 0
    wrong: list[tuple[Span, int]] = []
    small: list[tuple[int, memoryview]] = []
    proven, leaves, begin = arrival.marks.proven, arrival.leaves, spans[0].at
    for span in spans:
        part = data[span.at - begin : span.at - begin + span.length]
        if span.leaves > 1 or not span.is_whole:
            taken = _take_span(arrival, follower, span, part)
            kept, again, wrong = kept + taken.kept, again + taken.again, [*wrong, *taken.wrong]
        elif proven[span.entry.first_leaf]:
            again += span.length
        elif leaves.proves(span.entry, 0, part):
            small.append((span.number, part))
            gathered += span.length
            if gathered >= _PORTION:
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


def _take_span(arrival: Arrival, follower: Follower, span: Span, data: memoryview) -> Taken:
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
            arrival.put(span.number, span.leaf + first, part)
            follower.written(span.number, part)
            kept += len(part)
    return Taken(kept, again, tuple(wrong))


def numbers_of(bits: bytes | bytearray) -> list[int]:
    """The windows whose bits are set."""
    return [number for number in range(8 * len(bits)) if bits[number // 8] >> number % 8 & 1]


def bits_of(numbers: set[int]) -> bytes:
    """A bit for each of some windows."""
    bits = bytearray(max(numbers, default=-8) // 8 + 1)
    for number in numbers:
        bits[number // 8] |= 1 << number % 8
    return bytes(bits)


class Follower:
    """Hashes files of an arriving package as soon as their leaves are there, in order from the beginning of each."""

    def __init__(self, arrival: Arrival) -> None:
        self._arrival = arrival
        self._told: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._states: dict[int, tuple[Any, int]] = {}
        self._fault: BaseException | None = None
        self._stopped = threading.Event()
        self._buffer = memoryview(bytearray(max(_BLOCK, arrival.leaves.size)))
        #: Files whose SHA-256 is not the one of the manifest.
        self.wrong: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="diadem-follow", daemon=True)
        self._thread.start()

    def written(self, number: int, data: memoryview) -> None:
        """Leaves of a file were written; one that came whole is hashed by the caller's thread."""
        entry = self._arrival.manifest.entries[number]
        if len(data) == entry.size:
            self.came_whole([(number, data)])
        else:
            self._told.put(number)

    def came_whole(self, files: Sequence[tuple[int, memoryview]]) -> None:
        """Files were written that came whole: the caller's thread hashes them."""
        self._judge((number, hashlib.sha256(data).hexdigest()) for number, data in files)

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
        entry, leaf_size = arrival.manifest.entries[number], arrival.leaves.size
        if arrival.marks.hashed[number] or number in self.wrong:
            return
        digest, leaf = self._states.pop(number, None) or (hashlib.sha256(), 0)
        count = arrival.leaves.count(entry)
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
            self._judge([(number, digest.hexdigest())])
        else:
            self._states[number] = digest, leaf

    def _judge(self, found: Iterable[tuple[int, str]]) -> None:
        """Note of files whose SHA-256 was found whether it is right."""
        held, entries = list[int](), self._arrival.manifest.entries
        for number, sha256 in found:
            if sha256 == entries[number].sha256:
                held.append(number)
            else:
                self.wrong.add(number)
        self._arrival.marks.hashes_held(held)
