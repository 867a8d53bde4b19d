"""Memory of what moves: one limit for all transfers of a process, whatever their number, and buffers used again.

Who wants room waits in turn: nobody passes those in front, but for one that waits for what it holds itself. So a
transfer alone has its pace, and of many each goes on. Who holds room asks for no more of it: nobody waits for ever.
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

#: Seconds between two looks, while one waits, at whether it still should.
_LOOK: Final = 0.25


class NoRoom(Exception):
    """Others use all of it, and go on to."""


@dataclass(eq=False, slots=True)
class _Waiting:
    """Somebody who waits for room; `wake` is called once, with the memory's lock held, when it is theirs."""

    size: int
    of: str
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
        default.
    """

    def __init__(self, size: int, *, share: int | None = None) -> None:
        self._size, self._share = size, share or size // 2
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        self._used = self._taken = 0
        self._waiting: list[_Waiting] = []
        #: Buffers that were used, and the bytes of them: with those in use never more than there may be.
        self._kept: list[bytearray] = []

    @contextmanager
    def room(
        self, *sizes: int, beside: int = 0, of: str = "", require_going: Callable[[], object] = lambda: None
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
        require_going : callable
            Called now and then while one waits; what it raises ends that.
        """
        ready = threading.Event()
        held = self._ask(sum(sizes) + beside, of, ready.set)
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
    async def holding(self, size: int, of: str = "", *, patience: float) -> AsyncIterator[None]:
        """Room for so many bytes that its holder makes itself, for a task of an event loop.

        Raises
        ------
        NoRoom
            There was none in so many seconds.
        """
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        held = self._ask(size, of, lambda: loop.call_soon_threadsafe(ready.set))
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
            plenty = self._taken + size <= self._size // 2 and self._used + size <= self._size
            beyond = of and self._held.get(of, 0) + size > self._share // 4 * 3
            if self._waiting or not plenty or beyond:
                return False
            self._taken += size
            self._hold(size, of)
            self._drop()
            return True

    def give(self, size: int, of: str = "") -> None:
        """Give back what was taken."""
        with self._lock:
            self._taken -= size
            self._release(size, of)

    # -- turns -----------------------------------------------------------------------------------------------------

    def _ask(self, size: int, of: str, wake: Callable[[], object]) -> _Waiting:
        one = _Waiting(min(size, self._size // 2), of, wake)
        with self._lock:
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
                self._release(one.size, one.of)

    def _let_in(self) -> None:
        """Give room to those who wait, in turn."""
        still, let_in = [], list[_Waiting]()
        for at, one in enumerate(self._waiting):
            if self._is_beyond(one.size, one.of):
                still.append(one)  # it waits for what it holds itself, and keeps nobody else
            elif self._used + one.size <= self._size:
                self._hold(one.size, one.of)
                let_in.append(one)
            else:
                still += self._waiting[at:]
                break
        self._waiting = still
        with ExitStack() as woken:  # nobody is let in twice or passed over, though the loop of one is closed
            for one in let_in:
                woken.callback(one.wake)

    def _is_beyond(self, size: int, of: str) -> bool:
        """Whether it would be more than a share; who holds nothing may have that too."""
        held = self._held.get(of, 0) if of else 0
        return held > 0 and held + size > self._share

    def _hold(self, size: int, of: str) -> None:
        self._used += size
        self._held[of] += size

    def _release(self, size: int, of: str) -> None:
        self._used -= size
        self._held[of] -= size
        if not self._held[of]:
            del self._held[of]
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
TRANSFERS: Final = Memory(TRANSFER_MEMORY)
