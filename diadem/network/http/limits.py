"""How much one address or key may ask for, and how much memory bodies may take: each with its number in one place."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

#: Names of whom the buckets remember; the one that asked longest ago is forgotten first.
_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a worker allows.

    Attributes
    ----------
    address_rate, address_burst : float
        Requests a second, and at once, of one network address: those without a signature, and those refused. What is
        signed by a known key does not count: several peers may come through one gateway.
    key_rate, key_burst : float
        Requests a second, and at once, of one key.
    bodies : int
        Bytes of bodies in memory at once, of known keys.
    foreign_bodies : int
        The same of keys that introduce themselves. Half of it is for small bodies, and no address holds more than a
        quarter of either half: what comes slowly keeps nobody else out.
    small_body : int
        Bytes of a small one: the card of a usual node has a tenth of it.
    silence : float
        Seconds without a byte of a body after which it is given up.
    slowest : float
        Bytes a second that a body must reach, after `silence` seconds for its beginning.
    first_time : float
        Seconds from the beginning of a connection until a request of it was let in; not on Windows.
    header_time : float
        Seconds for the head of a request, and between two requests of a connection.
    header_bytes : int
        Of the head of a request; ours have 700.
    buffer : int
        Bytes of a connection that are read at once. With 16 KiB a body costs twice the time.
    connections : int
        At once, of all workers together.
    address_connections : int
        Of one network address at once in a worker, without a request of a known key; not on Windows.
    handlers : int
        Handlers at work at once in a worker.
    """

    address_rate: float = 5.0
    address_burst: float = 60.0
    key_rate: float = 200.0
    key_burst: float = 1000.0
    bodies: int = 256 << 20
    foreign_bodies: int = 16 << 20
    small_body: int = 256 << 10
    silence: float = 15.0
    slowest: float = 32 * 1024.0
    first_time: float = 5.0
    header_time: float = 20.0
    header_bytes: int = 8 * 1024
    buffer: int = 400 * 1024
    connections: int = 512
    address_connections: int = 32
    handlers: int = 32

    def body_time(self, length: int) -> float:
        """Seconds that a body of this length may take."""
        return self.silence + length / self.slowest


class Buckets:
    """A token bucket for each name.

    Parameters
    ----------
    rate : float
        Tokens a second that come back.
    burst : float
        Tokens of a full bucket.
    clock : callable
        Seconds.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str) -> bool:
        """Take a token; False where the bucket is empty."""
        now = self._clock()
        with self._lock:
            level, seen = self._levels.pop(name, (self._burst, now))
            level = min(self._burst, level + (now - seen) * self._rate)
            allowed = level >= 1.0
            self._levels[name] = (level - 1.0 if allowed else level, now)
            if len(self._levels) > _REMEMBERED:
                self._levels.popitem(last=False)
        return allowed


class Budget:
    """Bytes that may be in use at once; who wants more waits. Of one event loop.

    Parameters
    ----------
    size : int
        Bytes. Who wants more than this waits until nobody else holds any.
    share : int
        Bytes that one may hold whose name is told; 0 for all of them.
    """

    def __init__(self, size: int, share: int = 0) -> None:
        self._size = self._free = size
        self._share = share or size
        self._held: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def holding(self, size: int, who: str = "") -> AsyncIterator[None]:
        """Hold so many bytes; one who has a share waits for what they hold themselves, and no other for that."""
        size = min(size, self._size)

        def fits() -> bool:
            return self._free >= size and (not self._held[who] or self._held[who] + size <= self._share)

        async with self._changed:
            await self._changed.wait_for(fits)
            self._free -= size
            self._held[who] += size
        try:
            yield
        finally:
            async with self._changed:
                self._free += size
                self._held[who] -= size
                if not self._held[who]:
                    del self._held[who]
                self._changed.notify_all()
