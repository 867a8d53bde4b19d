"""Workers that wait for the next call: in a notebook one `diadem.extract` follows another, and a start takes a second.

A worker is parked only after a job that ended well, for a short time, and only by the process that started it; whoever
changes the environment, the search path or the plugins gets a new one.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cache

from diadem.extract.process import WorkerProcess

#: Seconds that a worker waits, and workers that wait at most.
PATIENCE = 30.0
PLACES = 2


@dataclass(frozen=True, slots=True)
class _Parked:
    key: Hashable
    worker: WorkerProcess
    since: float
    process: int


_WATCHER = "diadem-parking"
_LOCK = threading.Lock()
_PARKED: list[_Parked] = []


def park(key: Hashable, workers: Iterable[WorkerProcess]) -> None:
    """Let workers wait for someone with the same key; those for whom there is no place are ended."""
    _at_the_end()
    surplus = []
    with _LOCK:
        _PARKED.extend(_Parked(key, worker, time.monotonic(), os.getpid()) for worker in workers)
        while len(_PARKED) > PLACES:
            surplus.append(_PARKED.pop(0))
        _watch()
    _end(surplus)


def take(key: Hashable) -> WorkerProcess | None:
    """A living worker that waits for this key, the one parked last, or None."""
    with _LOCK:
        found = next((one for one in reversed(_PARKED) if one.key == key and one.process == os.getpid()), None)
        if found is not None:
            _PARKED.remove(found)
    if found is None:
        return None
    if found.worker.lives():
        return found.worker
    found.worker.end()
    return None


def empty() -> None:
    """End all workers that wait."""
    with _LOCK:
        waiting = _PARKED[:]
        _PARKED.clear()
        for thread in threading.enumerate():
            if thread.name == _WATCHER and isinstance(thread, threading.Timer):
                thread.cancel()
                thread.name = _WATCHER + " done"
    _end(waiting)


def _watch() -> None:
    """See to it that somebody looks again when the first has waited long enough; called with the lock held."""
    if not _PARKED or any(thread.name == _WATCHER for thread in threading.enumerate()):
        return
    timer = threading.Timer(max(0.0, _PARKED[0].since + PATIENCE - time.monotonic()), _sweep)
    timer.name, timer.daemon = _WATCHER, True
    timer.start()


def _sweep() -> None:
    """End those that have waited too long."""
    threading.current_thread().name = _WATCHER + " done"
    now = time.monotonic()
    with _LOCK:
        late = [one for one in _PARKED if now - one.since >= PATIENCE]
        for one in late:
            _PARKED.remove(one)
        _watch()
    _end(late)


def _end(parked: Iterable[_Parked]) -> None:
    for one in parked:
        if one.process == os.getpid():  # a forked child has copies of the pipes, and no right to them
            one.worker.end()


@cache
def _at_the_end() -> None:
    """End them when the interpreter ends."""
    atexit.register(empty)
