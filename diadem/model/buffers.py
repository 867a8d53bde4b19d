"""Memory that is used again: new pages cost the system more than what is done with them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

#: Seconds between two looks, while one waits, at whether it still should.
_LOOK: Final = 0.25


class Rooms:
    """Memory for all that a process does of one kind: so many are at it at once, and use it again.

    Parameters
    ----------
    most : int
        How many; the others wait.
    each : int, optional
        How many of them for one and the same, that may be slow or gone; as many as there are by default.
    """

    def __init__(self, most: int, each: int | None = None) -> None:
        self._turns, self._each = threading.BoundedSemaphore(most), each or most
        self._of = dict[str, threading.BoundedSemaphore]()
        self._lock = threading.Lock()
        self._used = 0
        self._left: list[list[bytearray]] = []

    @contextmanager
    def room(
        self, *sizes: int, of: str = "", require_going: Callable[[], object] = lambda: None
    ) -> Iterator[Sequence[bytearray]]:
        """Buffers of at least these sizes, whatever they hold; for `fitted`. Nothing is kept once nobody is at it.

        Parameters
        ----------
        *sizes : int
            Bytes of each.
        of : str
            For whom: who is slow or gone takes no more than its share.
        require_going : callable
            Called now and then while one waits; what it raises ends that.
        """
        with self._lock:
            turns = self._of.setdefault(of, threading.BoundedSemaphore(self._each))
        with _turn(turns, require_going), _turn(self._turns, require_going):
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


@contextmanager
def _turn(turns: threading.BoundedSemaphore, require_going: Callable[[], object]) -> Iterator[None]:
    while not turns.acquire(timeout=_LOOK):
        require_going()
    try:
        yield
    finally:
        turns.release()


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
