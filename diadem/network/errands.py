"""Errands to others, a thread for each: who is slow or gone keeps nobody waiting, nor a process from its end."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from diadem.errors import DiademError, Interrupted, NotFound, Refused, StoreError, Unreachable, UsageError
from diadem.network.evidence import Contradicted

#: Seconds that peers get together to take their messages, and to give those that wait there.
TOGETHER: Final = 60.0
#: Peers that are asked at once.
_AT_ONCE: Final = 16
#: What a peer is away for, refuses or says wrongly: no fault of this node, which goes on with others as before.
_ITS_OWN: Final = (Unreachable, NotFound, Refused, UsageError, Contradicted, Interrupted)


def do_all(work: Sequence[Callable[[], object]], patience: float) -> None:
    """Do everything, some at once, and wait so many seconds at most; what has not begun by then is left.

    What is still being done then keeps no command from ending: threads of a pool would be waited for.
    """
    turns, over = threading.Semaphore(_AT_ONCE), threading.Event()

    def do(one: Callable[[], object]) -> None:
        with turns, contextlib.suppress(DiademError):  # asked again the next time; what is due to it is kept
            if not over.is_set():
                one()

    threads = [threading.Thread(target=do, args=(one,), name="diadem-ask", daemon=True) for one in work]
    for thread in threads:
        thread.start()
    try:
        _wait(threads, patience)
    finally:
        over.set()


class Errands:
    """Does something with peers again and again, with each in a thread of its own.

    Parameters
    ----------
    name : str
        Of its threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._threads: dict[str, threading.Thread] = {}
        self._faults: dict[str, Exception] = {}

    def begin(self, peers: Iterable[str], work: Callable[[str, threading.Event], None], stop: threading.Event) -> None:
        """Begin with each at which no thread is; never more at once.

        Raises what an earlier one failed with that is the fault of no peer: of this node's own book, log or code.
        """
        faults = [self._faults.pop(peer).with_traceback(None) for peer in list(self._faults)]
        for peer in peers:
            known = self._threads.get(peer)
            if known is None or not known.is_alive():
                name = f"{self._name} {peer[:12]}"
                thread = threading.Thread(target=partial(self._do, work), args=(peer, stop), name=name, daemon=True)
                self._threads[peer] = thread
                thread.start()
        if faults:
            raise faults[0]

    def _do(self, work: Callable[[str, threading.Event], None], peer: str, stop: threading.Event) -> None:
        try:
            work(peer, stop)
        except StoreError as error:
            self._faults[peer] = error
        except _ITS_OWN:  # the book says why; it is tried again
            pass
        except Exception as error:
            self._faults[peer] = error

    def settle(self, seconds: float) -> None:
        """Wait so long for those at work; the caller has set the event by which they end."""
        _wait(list(self._threads.values()), seconds)


def _wait(threads: Iterable[threading.Thread], seconds: float) -> None:
    """Wait so long for all of them together."""
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
