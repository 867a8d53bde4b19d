"""One package that is pushed here: who may be at it at once, its windows as they come, and the thread that lands it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Final

from diadem.errors import DiademError, DigestMismatch, NotFound
from diadem.model.transfers import Transfer
from diadem.network.exchange import Response
from diadem.network.limits import PORTION
from diadem.network.receiving import FATAL, Receiving
from diadem.network.windows import Span, chunks

_LOG: Final = logging.getLogger("diadem.network.http")
#: Windows that can be taken in at once: two of the same never are.
_TURNS: Final = 8
#: Seconds between two looks, of who waits for a turn, at whether the package lands.
_LOOK: Final = 0.25
#: Seconds at most before a landing that failed is begun again.
_LONGEST: Final = 300.0


class Lands(NotFound):
    """Everything is here, and a thread lands it: nothing more is taken in."""


#: Proves and keeps whole leaves: the spans and their bytes. Raises `DigestMismatch` of one that is wrong, after all.
Keep = Callable[[Sequence[Span], memoryview], None]


class WindowIntake:
    """A part of a window, taken in as it comes: what came before the line was cut is kept.

    Implements `diadem.network.exchange.Intake`.

    Parameters
    ----------
    spans : sequence of Span
        What comes.
    leaf_size : int
        Bytes of a leaf.
    keep : callable
        What becomes of leaves that came whole.
    end : callable
        Called when all came; the answer.
    """

    def __init__(self, spans: Sequence[Span], leaf_size: int, keep: Keep, end: Callable[[], Response]) -> None:
        self._chunks = chunks(spans, leaf_size, max(PORTION, leaf_size))
        self._keep, self._end = keep, end
        self._chunk = next(self._chunks, [])
        self._held = bytearray()
        self._wrong: DigestMismatch | None = None

    def take(self, data: bytes) -> None:
        """Bytes that came; leaves that are whole now are proven and kept."""
        self._held += data
        while self._chunk and len(self._held) >= (size := sum(span.length for span in self._chunk)):
            with memoryview(self._held) as view, view[:size] as portion:
                try:
                    self._keep(self._chunk, portion)
                except DigestMismatch as error:
                    self._wrong = self._wrong or error.with_traceback(None)
            del self._held[:size]
            self._chunk = next(self._chunks, [])

    def end(self) -> Response:
        """All came.

        Raises
        ------
        DigestMismatch
            A leaf was wrong; the others are kept.
        """
        if self._wrong is not None:
            raise self._wrong
        return self._end()


class PushedPackage:
    """One package that is being pushed here.

    Parameters
    ----------
    receiving : Receiving
        Of its transfer.
    """

    def __init__(self, receiving: Receiving) -> None:
        self.receiving = receiving
        #: Whether it was let go: who waited for it opens it anew.
        self.gone = False
        #: What will be known of the landing, while a thread is at it.
        self.lands: Future[Transfer] | None = None
        #: Why it did not land, until it is begun again; and whether the sender has heard of that.
        self.fault: Exception | None = None
        self.heard = False
        self._rest, self._again = 0.0, 0.0
        self.used = time.monotonic()
        self._turns = tuple(threading.Lock() for _ in range(_TURNS))
        self._count = threading.Lock()

    def close(self) -> None:
        """Leave it as it is, to go on later."""
        self.gone = True
        self.receiving.close()

    # -- landing ---------------------------------------------------------------------------------------------------

    def land(self, work: Callable[[], Transfer]) -> Future[Transfer]:
        """Have the package landed in a thread of its own, once nobody else is at it; the same where one does already.

        Hashing, verifying and, for a store that is no folder, uploading it take longer than anybody waits for. Where it
        failed, the next that asks is told why, and for as long as it took it is not begun again; twice as long each
        time. Wrong bytes stay wrong until somebody looks into it.
        """
        with self._count:
            if (lands := self.lands) is None:
                if self.fault is not None and (not self.heard or self._is_resting(self.fault)):
                    self.heard = True
                    raise self.fault.with_traceback(None)
                self.fault, self.lands = None, (lands := Future[Transfer]())
                threading.Thread(target=self._land, args=(work, lands), name="diadem-land", daemon=True).start()
            return lands

    def _is_resting(self, fault: Exception) -> bool:
        return isinstance(fault, FATAL) or time.monotonic() < self._again

    def go_on(self) -> None:
        """Forget why it did not land: a person has it tried again."""
        with self._count:
            self.fault, self._rest = None, 0.0

    def _land(self, work: Callable[[], Transfer], lands: Future[Transfer]) -> None:
        began = time.monotonic()
        try:
            with self.alone(lands=True):
                found = work()
        except Exception as error:
            if not isinstance(error, DiademError):  # what those say is noted; nobody may be waiting for this
                _LOG.warning("a package that was pushed could not be stored: %s", type(error).__name__)
            with self._count:
                self.lands, self.used = None, time.monotonic()
                self._rest = min(_LONGEST, max(self.used - began, 2 * self._rest))
                self.fault, self.heard, self._again = error, False, self.used + self._rest
            lands.set_exception(error)
        else:
            with self._count:
                self.lands, self.used = None, time.monotonic()
            lands.set_result(found)

    # -- turns -----------------------------------------------------------------------------------------------------

    def turn(self, window: int) -> AbstractContextManager[None]:
        """While a window is taken in by nobody else. Raises `Lands`."""
        return self._held(self._turns[window % _TURNS])

    @contextmanager
    def alone(self, *, lands: bool = False) -> Iterator[None]:
        """While nobody else is at it. Raises `Lands`, unless for who lands it."""
        with ExitStack() as held:
            for turn in self._turns:
                held.enter_context(turn if lands else self._held(turn))
            yield

    @contextmanager
    def _held(self, turn: threading.Lock) -> Iterator[None]:
        """Hold a turn, for which nobody waits while it lands: that may take hours."""
        while not turn.acquire(timeout=_LOOK):
            if self.lands is not None:
                raise Lands("the package has arrived")
        try:
            yield
        finally:
            turn.release()

    @contextmanager
    def alone_now(self) -> Iterator[bool]:
        """The same where nobody is at it now; whether that is so."""
        with ExitStack() as held:
            free = True
            for turn in self._turns:
                if free := turn.acquire(blocking=False):
                    held.callback(turn.release)
                else:
                    break
            yield free
