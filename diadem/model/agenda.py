"""In which order many things are done by several workers: the largest first, none before what it follows. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence


class Agenda:
    """What is to be done, given out one by one.

    The largest comes first, so that at the end no worker is left alone with a large one. What follows others is given
    only when these are done, whether they succeeded or not.

    Parameters
    ----------
    sizes : sequence of int
        Of each thing, bytes.
    after : mapping of int to collection of int
        Numbers of things that must be done before one; only earlier ones, so that nobody waits for himself.
    """

    def __init__(self, sizes: Sequence[int], after: Mapping[int, Iterable[int]] | None = None) -> None:
        self._sizes = sizes
        self._missing = {number: set(before) for number, before in (after or {}).items() if before}
        self._followers: dict[int, list[int]] = {}
        for number, before in self._missing.items():
            for one in before:
                self._followers.setdefault(one, []).append(number)
        self._ready = [(-size, number) for number, size in enumerate(sizes) if number not in self._missing]
        heapq.heapify(self._ready)

    def take(self) -> int | None:
        """The next one that can be begun; None where there is none now."""
        return heapq.heappop(self._ready)[1] if self._ready else None

    def done(self, number: int) -> None:
        """Note that one is done: what follows it may come."""
        for follower in self._followers.pop(number, ()):
            missing = self._missing[follower]
            missing.discard(number)
            if not missing:
                del self._missing[follower]
                heapq.heappush(self._ready, (-self._sizes[follower], follower))


def bundles(sizes: Iterable[int], *, most: int, count: int) -> Iterator[list[int]]:
    """Things bundled to tasks that are worth sending: numbers of neighbours, in order.

    Parameters
    ----------
    sizes : iterable of int
        Of each thing, bytes.
    most : int
        Bytes of one bundle; a larger thing is a bundle of its own.
    count : int
        Things in one bundle at most.
    """
    bundle: list[int] = []
    total = 0
    for number, size in enumerate(sizes):
        if bundle and (total + size > most or len(bundle) >= count):
            yield bundle
            bundle, total = [], 0
        bundle.append(number)
        total += size
    if bundle:
        yield bundle
