"""A few threads that do one thing together: the first fault ends it for all, and so does a person.

Who ends early waits for nobody that says nothing: what its threads wait for on a wire is broken off.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol, TypeVar

from diadem.errors import Interrupted

T = TypeVar("T")

#: Seconds that threads get to end where it ends early; and between two looks at whether it should.
PATIENCE: Final = 5.0
_LOOK: Final = 0.2
#: Has the `crew` that the running thread is of.
_THREAD: Final = threading.local()


class Breakable(Protocol):
    """Something that a thread waits for."""

    def abort(self) -> None:
        """Let who waits for it, in another thread, wait no longer; nor who is about to."""


class ThreadCrew:
    """Threads that do one thing together, once.

    Parameters
    ----------
    name : str
        What the threads are called.
    size : int
        How many.
    check : callable, optional
        Raises why it is to end, where it is; called a few times a second, by the thread that waits for them.
    patience : float, optional
        Seconds that they get to end where it ends early. One that needs longer is left behind, and `require_aboard`
        tells it so.
    """

    def __init__(
        self,
        name: str,
        size: int,
        *,
        check: Callable[[], object] = lambda: None,
        patience: float = PATIENCE,
    ) -> None:
        self._name, self._size, self._check, self._patience = name, size, check, patience
        #: Held by who changes what the threads share; who waits for it wakes up where it ends.
        self.turn = threading.Condition()
        self._running = 0
        self._fault: BaseException | None = None
        self._over = self._left = False
        self._awaited: set[Breakable] = set()

    def run(self, work: Callable[[], object]) -> None:
        """Have every thread do it. Raises the first fault of any of them, or what came in between, as Ctrl-C does."""
        self._running = self._size
        threads = [
            threading.Thread(target=self._work, args=(work,), name=f"{self._name}-{one}", daemon=True)
            for one in range(self._size)
        ]
        try:
            for thread in threads:
                thread.start()
            while self._is_going():
                self._check()
        except BaseException as error:
            self.fail(error)
        try:
            until = time.monotonic() + self._patience if self._over else None
            for thread in threads:
                if thread.is_alive():
                    thread.join(None if until is None else max(0.0, until - time.monotonic()))
        finally:
            self._left = True
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def each(self, items: Iterable[T], do: Callable[[T], object]) -> None:
        """Do something with each of some items, which the threads take in turn; see `run`."""
        queue = iter(items)

        def taken() -> Iterator[T]:
            while True:
                with self.turn:
                    if self._over:
                        return
                    try:
                        one = next(queue)
                    except StopIteration:
                        return
                yield one

        def work() -> None:
            for one in taken():
                do(one)

        self.run(work)

    def _is_going(self) -> bool:
        with self.turn:
            self.turn.wait_for(lambda: self._over or not self._running, _LOOK)
            return bool(self._running) and not self._over

    def _work(self, work: Callable[[], object]) -> None:
        _THREAD.crew = self
        try:
            work()
        except BaseException as error:
            self.fail(error)
        finally:
            with self.turn:
                self._running -= 1
                self.turn.notify_all()

    # -- early ends ------------------------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether it ended early."""
        return self._over

    def fail(self, error: BaseException) -> None:
        """End it early, because of this; what came first counts."""
        _clear_frames(error)
        with self.turn:
            if not self._over:
                self._over, self._fault = True, error
            self.turn.notify_all()
            for what in self._awaited:
                what.abort()

    def require_going(self) -> None:
        """Raise `Interrupted` where it ended early."""
        if self._over:
            raise Interrupted("stopped")

    def require_aboard(self) -> None:
        """Raise `Interrupted` where nobody waits for this thread any more: it must not change anything."""
        if self._left:
            raise Interrupted("stopped")

    def rest(self, seconds: float) -> None:
        """Wait. Raises `Interrupted` where it ends early."""
        with self.turn:
            self.turn.wait_for(lambda: self._over, seconds)
            self.require_going()

    def await_from(self, what: Breakable) -> None:
        """Break off what is waited for from now on, where it ends early; see `waits_for`."""
        with self.turn:
            self._awaited.add(what)
            if self._over:
                what.abort()

    def await_no_more(self, what: Breakable) -> None:
        """The opposite."""
        with self.turn:
            self._awaited.discard(what)


def waits_for(what: Breakable) -> None:
    """Say that the running thread may wait for something from now on; where its crew ends early, that is broken off."""
    crew: ThreadCrew | None = getattr(_THREAD, "crew", None)
    if crew is not None:
        crew.await_from(what)


def waits_no_more(what: Breakable) -> None:
    """The opposite of `waits_for`, in the same thread."""
    crew: ThreadCrew | None = getattr(_THREAD, "crew", None)
    if crew is not None:
        crew.await_no_more(what)


def rest(seconds: float) -> None:
    """Wait. Raises `Interrupted` where the crew of the running thread ends early."""
    crew: ThreadCrew | None = getattr(_THREAD, "crew", None)
    if crew is None:
        time.sleep(seconds)
    else:
        crew.rest(seconds)


def _clear_frames(error: BaseException) -> None:
    """Let go of what the frames of an error hold while somebody keeps it: a window, it may be, and the same sealed."""
    following: BaseException | None = error
    while following is not None:
        traceback.clear_frames(following.__traceback__)
        following = following.__cause__ or following.__context__
