"""How much one address or key may ask for, and how slowly: each with its number in one place."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
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
        signed by a known key does not count: several peers may come through one gateway. So often may one connection
        also bring wrong signatures of a known key.
    key_rate, key_burst : float
        Requests a second, and at once, of one key.
    foreign_bodies : int
        Bytes of bodies in memory at once of keys that introduce themselves. Half of it is for small bodies, and no
        address holds more than a quarter of either half: what comes slowly keeps nobody else out.
    small_bodies : int
        Bytes of small bodies in memory at once of known keys, of which none holds more than a quarter; their large ones
        are among the `diadem.network.limits.TRANSFER_MEMORY`.
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
    foreign_bodies: int = 16 << 20
    small_bodies: int = 16 << 20
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
            level = self._level(name, now)
            self._levels.pop(name, None)
            allowed = level >= 1.0
            self._levels[name] = (level - 1.0 if allowed else level, now)
            if len(self._levels) > _REMEMBERED:
                self._levels.popitem(last=False)
        return allowed

    def is_empty(self, name: str) -> bool:
        """Whether there is none to take."""
        with self._lock:
            return self._level(name, self._clock()) < 1.0

    def _level(self, name: str, now: float) -> float:
        level, seen = self._levels.get(name, (self._burst, now))
        return min(self._burst, level + (now - seen) * self._rate)
