"""Memory of what moves: one limit for all transfers of a process, whatever their number, and buffers used again.

A transfer alone has its pace, and of many each goes on. Who wants room waits in turn, and of those who wait comes first
who holds least; one that waits for what it holds itself keeps nobody waiting. Each use of room has turns of its own,
and room for one at least whatever is held for others: what is large and slow stops nothing that is small, nor what goes
the other way. Who holds room asks for no more of it: nobody waits for ever.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

from diadem.model.buffers import fitted
from diadem.network.limits import TRANSFER_MEMORY

#: What room is for: whole bodies; windows that are sealed, and those that are picked up sealed; and what comes and goes
#: in portions.
BODIES: Final = "bodies"
SENT: Final = "sent"
PICKED_UP: Final = "picked up"
PORTIONS: Final = "portions"

#: Seconds between two looks, while one waits, at whether it still should.
_LOOK: Final = 0.25


class NoRoom(Exception):
    """Others use all of it, and go on to."""


@dataclass(eq=False, slots=True)
class _Waiting:
    """Somebody who waits for room; `wake` is called once, with the memory's lock held, when it is theirs."""

    size: int
    of: str
    use: str
    wake: Callable[[], object]


class Memory:
    """Bytes that are in use at once. Safe for many threads and any event loop.

    Parameters
    ----------
    size : int
        Bytes. Half of it is never taken by those who can do without, so whoever cannot has a turn; who wants more than
        that half, for a single thing that is as large, counts as half.
    share : int, optional
        Bytes that one holds whose name is told, so that who is slow or gone keeps no other waiting; half of all by
        default. One thing of each use it may hold all the same: what goes to it does not stop what comes.
    portions : int, optional
        Bytes that are kept for what comes in portions from the beginning on.
    """

    def __init__(self, size: int, *, share: int | None = None, portions: int = 0) -> None:
        self._size, self._share = size, share or size // 2
        self._lock = threading.Lock()
        #: Bytes that are in use: for whom and for what; for what; and the most that was asked for at once for that.
        self._held: Counter[tuple[str, str]] = Counter()
        self._uses: Counter[str] = Counter()
        self._most = Counter({PORTIONS: portions})
        self._used = self._taken = 0
        self._waiting: list[_Waiting] = []
        #: Buffers that were used, and the bytes of them: with those in use never more than there may be.
        self._kept: list[bytearray] = []

    @contextmanager
    def room(
        self,
        *sizes: int,
        beside: int = 0,
        of: str = "",
        use: str = PORTIONS,
        require_going: Callable[[], object] = lambda: None,
    ) -> Iterator[list[bytearray]]:
        """Buffers of these sizes, whatever they hold, for a thread. Nothing is kept once nobody has room.

        Who holds them may exchange one for another of the same size that was made in room taken.

        Parameters
        ----------
        *sizes : int
            Bytes of each.
        beside : int
            Bytes that its holder makes itself, and that count.
        of : str
            For whom: no more than its share.
        use : str
            For what.
        require_going : callable
            Called now and then while one waits; what it raises ends that.
        """
        ready = threading.Event()
        held = self._ask(sum(sizes) + beside, of, use, ready.set)
        try:
            while not ready.wait(_LOOK):
                require_going()
            buffers = self._buffers(sizes)
            try:
                yield buffers
            finally:
                self._keep(buffers)
        finally:
            self._leave(held)

    @asynccontextmanager
    async def holding(self, size: int, of: str = "", *, use: str = PORTIONS, patience: float) -> AsyncIterator[None]:
        """Room for so many bytes that its holder makes itself, for a task of an event loop.

        Raises
        ------
        NoRoom
            There was none in so many seconds.
        """
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        held = self._ask(size, of, use, lambda: loop.call_soon_threadsafe(ready.set))
        try:
            try:
                await asyncio.wait_for(ready.wait(), patience)
            except TimeoutError:
                raise NoRoom from None
            with self._lock:
                self._drop()
            yield
        finally:
            self._leave(held)

    def take(self, size: int, of: str = "") -> bool:
        """Take room for what can also be done without, where there is plenty and nobody waits; `give` it back.

        Of a share a quarter is left, so that its holder has room to go on.
        """
        with self._lock:
            plenty = self._taken + size <= self._size // 2 and self._fits(size, PORTIONS)
            beyond = of and self._of(of) + size > self._share // 4 * 3
            if not plenty or beyond or any(one.use == PORTIONS for one in self._waiting):
                return False
            self._taken += size
            self._hold(size, of, PORTIONS)
            self._drop()
            return True

    def give(self, size: int, of: str = "") -> None:
        """Give back what was taken."""
        with self._lock:
            self._taken -= size
            self._release(size, of, PORTIONS)

    # -- turns -----------------------------------------------------------------------------------------------------

    def _ask(self, size: int, of: str, use: str, wake: Callable[[], object]) -> _Waiting:
        one = _Waiting(min(size, self._size // 2), of, use, wake)
        with self._lock:
            self._most[use] = max(self._most[use], one.size)
            self._waiting.append(one)
            self._let_in()
        return one

    def _leave(self, one: _Waiting) -> None:
        """Give room back; or wait for it no longer."""
        with self._lock:
            if one in self._waiting:
                self._waiting.remove(one)
                self._let_in()
            else:
                self._release(one.size, one.of, one.use)

    def _let_in(self) -> None:
        """Give room to those who wait, in turn."""
        with ExitStack() as woken:  # nobody is let in twice or passed over, though the loop of one is closed
            while (one := self._next()) is not None:
                self._waiting.remove(one)
                self._hold(one.size, one.of, one.use)
                woken.callback(one.wake)

    def _next(self) -> _Waiting | None:
        """Who is let in now: nobody passes one that holds less, or as much and came before, for the same use."""
        full = set[str]()
        for one in sorted(self._waiting, key=lambda one: self._of(one.of)):
            if one.use in full or self._is_beyond(one):
                continue  # that one waits for what it holds itself, and keeps nobody else
            if self._fits(one.size, one.use):
                return one
            full.add(one.use)
        return None

    def _fits(self, size: int, use: str) -> bool:
        """Whether there is room, and beside it for one of each other use; one alone of its use needs no more."""
        if self._used + size > self._size:
            return False
        others = sum(max(0, most - self._uses[other]) for other, most in self._most.items() if other != use)
        return self._uses[use] + size <= self._most[use] or self._used + size + others <= self._size

    def _is_beyond(self, one: _Waiting) -> bool:
        """Whether it would be more than a share; who holds nothing for that use may have one all the same."""
        return bool(one.of and self._held[one.of, one.use]) and self._of(one.of) + one.size > self._share

    def _of(self, of: str) -> int:
        """How much one holds whose name is told."""
        return sum(self._held[of, use] for use in self._most) if of else 0

    def _hold(self, size: int, of: str, use: str) -> None:
        self._used += size
        self._held[of, use] += size
        self._uses[use] += size

    def _release(self, size: int, of: str, use: str) -> None:
        self._used -= size
        self._held[of, use] -= size
        self._uses[use] -= size
        if not self._held[of, use]:
            del self._held[of, use]
        if not self._used:
            self._kept.clear()
        self._let_in()

    # -- buffers ---------------------------------------------------------------------------------------------------

    def _buffers(self, sizes: Sequence[int]) -> list[bytearray]:
        """Buffers of these sizes: used ones that are large enough, but not much larger, or new ones."""
        with self._lock:
            used = [self._fitting(size) for size in sizes]
            self._drop()
        return [fitted(buffer, size) for buffer, size in zip(used, sizes, strict=True)]

    def _fitting(self, size: int) -> bytearray | None:
        for at, buffer in enumerate(self._kept):
            if size - size // 64 <= len(buffer) <= 2 * size:  # it was cut by its holder, not made anew
                return self._kept.pop(at)
        return None

    def _keep(self, buffers: Sequence[bytearray]) -> None:
        with self._lock:
            self._kept += buffers

    def _drop(self) -> None:
        """Keep of used buffers the latest, as far as there is room beside what is in use."""
        kept = sum(map(len, self._kept))
        while kept > self._size - self._used:
            kept -= len(self._kept.pop(0))


#: For everything that this process moves.
TRANSFERS: Final = Memory(TRANSFER_MEMORY, portions=TRANSFER_MEMORY // 12)
