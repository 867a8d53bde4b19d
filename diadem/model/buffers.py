"""Memory that is used again: new pages cost the system more than what is done with them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Rooms:
    """Memory for all that a process does of one kind: so many are at it at once, and use it again.

    Parameters
    ----------
    most : int
        How many; the others wait.
    """

    def __init__(self, most: int) -> None:
        self._turns = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._used = 0
        self._left: list[list[bytearray]] = []

    @contextmanager
    def room(self, *sizes: int) -> Iterator[Sequence[bytearray]]:
        """Buffers of at least these sizes, whatever they hold; for `fitted`. Nothing is kept once nobody is at it."""
        with self._turns:
            with self._lock:
                self._used += 1
                known = self._left.pop() if self._left else []
            known += [bytearray() for _ in sizes[len(known) :]]
            for at, size in enumerate(sizes):
                if len(known[at]) < size:
                    known[at] = bytearray(size)
            try:
                yield known
            finally:
                with self._lock:
                    self._used -= 1
                    self._left.append(known)
                    if not self._used:
                        self._left.clear()


def fitted(room: bytearray | None, size: int) -> bytearray:
    """A buffer of so many bytes, whatever they are: `room` itself, unless somebody still looks into it; else a new one.

    Parameters
    ----------
    room : bytearray, optional
        What was used before. It should have room enough already: to grow costs as much as to begin.
    size : int
        Bytes.
    """
    if room is not None:
        try:
            del room[-1:]  # where somebody looks into it, this is an error
            if len(room) < size:
                room.extend(bytes(size - len(room)))
            else:
                del room[size:]
        except BufferError:
            pass
        else:
            return room
    return bytearray(size)
