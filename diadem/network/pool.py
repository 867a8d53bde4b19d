"""The connections to one peer: those that are open and unused, and new ones to the first address that answers."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final, TypeVar

from diadem.errors import Unreachable
from diadem.network.wire import Connection, WrongKey

T = TypeVar("T")

#: Seconds after which a connection that was not used is not trusted to be open; the listener waits for 20.
_IDLE: Final = 15.0
_SAID: Final = re.compile(r"[^:]* does not answer(?: at any of its addresses)?: ")


def no_answer(name: str, reason: str) -> str:
    """Say that a node does not answer, and why; a reason that says so itself is not repeated."""
    return f"{name} does not answer: {_SAID.sub('', reason, count=1)}"


class Pool:
    """Connections to one peer, for many threads.

    Parameters
    ----------
    urls : sequence of str
        Its addresses, tried in turn, the last good one first.
    pins : collection of str
        SHA-256 of the public keys of its listeners.
    name : str
        What people call it.
    most : int
        Unused connections that are kept.
    """

    def __init__(self, urls: Sequence[str], pins: Collection[str], *, name: str, most: int) -> None:
        if not urls:
            raise Unreachable(f"{name} has given no address", next="It must ask this node, or go through a hub.")
        self._urls, self._pins, self._name, self._most = list(urls), frozenset(pins), name, most
        self._idle: list[tuple[Connection, float]] = []
        self._lock = threading.Lock()

    def take(self) -> Connection | None:
        """A connection that is open and unused, as far as one can know."""
        now = time.monotonic()
        with self._lock:
            while self._idle:
                connection, since = self._idle.pop()
                if now - since < _IDLE:
                    return connection
                connection.close()
        return None

    def give_back(self, connection: Connection, *, whole: bool) -> None:
        """Keep a connection whose answer was read as a `whole`; end another, and try its address last next time."""
        with self._lock:
            if whole and len(self._idle) < self._most:
                self._idle.append((connection, time.monotonic()))
                return
            if not whole:
                self._urls.sort(key=lambda known: known == connection.url)
        connection.close()

    def with_new(self, action: Callable[[Connection], T]) -> tuple[Connection, T]:
        """Do something over a new connection, to the first address at which it succeeds.

        Raises
        ------
        Unreachable
            It succeeds nowhere; says why for each address.
        """
        failures: list[Unreachable] = []
        with self._lock:
            urls = list(self._urls)
        for url in urls:
            connection = Connection(url, self._pins)
            try:
                connection.connect()
                done = action(connection)
            except Unreachable as error:
                connection.close()
                failures.append(error)
                continue
            with self._lock:
                self._urls.sort(key=lambda known: known != url)
            return connection, done
        raise self._nowhere(failures)

    def _nowhere(self, failures: Sequence[Unreachable]) -> Unreachable:
        worst = next((one for one in failures if isinstance(one, WrongKey)), failures[0])
        if len(failures) == 1 or isinstance(worst, WrongKey):
            message = no_answer(self._name, worst.message)
            return type(worst)(message, where=worst.where, next=worst.next)
        each = "; ".join(f"{one.where}: {one.message}" for one in failures)
        return Unreachable(f"{self._name} does not answer at any of its addresses: {each}", next=failures[0].next)

    def close(self) -> None:
        """End the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()
