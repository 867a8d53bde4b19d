"""Fetching the windows of a package: several connections at once, every leaf proven before it is written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from diadem.errors import DigestMismatch, Interrupted, Refused, Unreachable
from diadem.model.manifest import leaf_count
from diadem.model.ports import Listener, Progress
from diadem.model.transfers import Counts
from diadem.network.arrival import Arrival
from diadem.network.crew import Crew
from diadem.network.intake import Follower, take_spans
from diadem.network.link import Link
from diadem.network.memory import TRANSFERS
from diadem.network.windows import RUN, Span, WindowPlan, chunks, missing_runs, missing_windows
from diadem.store.contract import Pace

#: Connections where nobody says, and at most.
CONNECTIONS: Final = 8
MAX_CONNECTIONS: Final = 8
#: Windows that are fetched with one request: the first, and the end (exclusive).
Run = tuple[int, int]
#: Bytes that are read and proven at once, a leaf at least: so much comes again where a connection breaks.
_CHUNK: Final = 1 << 20
#: How often a leaf is asked for again when it came wrong.
_TRIES: Final = 3
#: How often a connection is taken up again while nothing comes, and the seconds between.
_RETRIES: Final = 6
WAITS: Final = (0.2, 1.0, 3.0, 10.0, 20.0, 30.0)


@dataclass
class Wish:
    """How a package is to be fetched.

    Attributes
    ----------
    listener : Listener
        Told of progress.
    stop : callable
        Whether to stop now: a person said so.
    connections : int
        At once.
    pace : Pace or None
        Holds it below a rate.
    ahead : int
        Bytes that may wait unread on a connection; 0 for as many as the system finds good.
    waits : sequence of float
        Seconds between two tries.
    """

    listener: Listener
    stop: Callable[[], bool]
    connections: int = CONNECTIONS
    pace: Pace | None = None
    ahead: int = 0
    waits: tuple[float, ...] = WAITS


@dataclass
class _Tally:
    """What came, counted by all threads."""

    kept: int
    received: int = 0
    again: int = 0
    retries: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Fetch:
    """One fetching of what is missing of a package.

    Parameters
    ----------
    transfer, peer : str
        Its id; what the sender's node is called.
    arrival : Arrival
        Begun.
    follower : Follower
        Hashes whole files behind.
    link : Link
        To the sender.
    wish : Wish
        How.
    allowed : int
        Bytes that may still come.
    """

    def __init__(
        self, transfer: str, peer: str, arrival: Arrival, follower: Follower, link: Link, wish: Wish, allowed: int
    ) -> None:
        self._transfer, self._peer, self._link, self._wish = transfer, peer, link, wish
        self._arrival, self._follower = arrival, follower
        self._plan = WindowPlan(arrival.manifest)
        self._allowed = allowed
        self._tally = _Tally(self._plan.bytes - missing_bytes(arrival))
        self._connections = max(1, min(wish.connections, MAX_CONNECTIONS))
        self._queue = missing_windows(self._plan, arrival.marks.proven)
        self._ahead = next(self._queue, None)
        self._again: list[Run] = []
        self._busy = 0
        self._wrong: dict[int, int] = {}
        stopped = Interrupted("the transfer was stopped; what has arrived is kept")
        self._crew = Crew("diadem-fetch", self._connections, stop=self._is_stopped, stopped=stopped)

    @property
    def counts(self) -> Counts:
        """What came so far."""
        tally = self._tally
        with tally.lock:
            return Counts(tally.received, 0, tally.again, tally.retries)

    @property
    def done(self) -> int:
        """Bytes of the files that are proven and here."""
        with self._tally.lock:
            return self._tally.kept

    def run(self) -> None:
        """Fetch everything that is missing.

        Raises
        ------
        Interrupted
            A person stopped it. What is here stays.
        Unreachable
            The sender stopped answering. What is here stays.
        DigestMismatch
            A leaf came wrong again and again: names file, leaf and peer.
        Refused, NotFound
            The sender gives nothing more; or more came than was accepted.
        """
        self._crew.run(self._work)

    def _is_stopped(self) -> bool:
        return self._wish.stop()

    # -- windows ---------------------------------------------------------------------------------------------------

    def _next(self) -> Run | None:
        """Windows to fetch; None at the end: some that are under way may have to be fetched again."""
        with self._crew.turn:
            while not self._crew.over:
                run = self._again.pop() if self._again else self._run()
                if run is not None:
                    self._busy += 1
                    return run
                if not self._busy:
                    break
                self._crew.turn.wait()
            self._crew.turn.notify_all()
            return None

    def _run(self) -> Run | None:
        """The next windows of which something is missing: the fewer, the fewer are left, so that all end together."""
        first = end = self._ahead
        if first is None or end is None:
            return None
        most = min(RUN, (len(self._plan) - first) // self._connections)
        while self._ahead == end:
            self._ahead, end = next(self._queue, None), end + 1
            if end - first >= most:
                break
        return first, end

    def _work(self) -> None:
        while (run := self._next()) is not None:
            missing = self._fetch(run)
            with self._crew.turn:
                self._busy -= 1
                if missing:
                    self._again.append(run)
                self._crew.turn.notify_all()

    def _fetch(self, run: Run) -> bool:
        """Fetch what is missing of some windows; whether something still is."""
        fruitless = 0
        while True:
            missing = self._missing_from(run)
            if not missing:
                return False
            before = self._arrival.marks.count
            try:
                size = max(_CHUNK, self._arrival.manifest.leaf_size)
                with TRANSFERS.room(size, of=self._peer, require_going=self._crew.require_going) as (buffer,):
                    self._read(missing, memoryview(buffer))
                return bool(self._missing_from(run))
            except Unreachable:
                fruitless = 0 if self._arrival.marks.count > before else fruitless + 1
                if fruitless >= min(_RETRIES, len(self._wish.waits)):
                    raise
                with self._tally.lock:
                    self._tally.retries += 1
                self._crew.rest(self._wish.waits[fruitless])

    def _missing_from(self, run: Run) -> list[tuple[int, list[Span]]]:
        """The first leaves of some windows that are missing and lie together, by window and file; or none."""
        proven, leaf_size, found = self._arrival.marks.proven, self._plan.leaf_size, list[tuple[int, list[Span]]]()
        for window in range(*run):
            spans = self._plan.spans(window)
            missing = next(missing_runs(spans, proven, leaf_size), [])
            if found and (not missing or missing[0].at):
                break
            if missing:
                found.append((window, missing))
                if missing[-1].at + missing[-1].length < spans[-1].at + spans[-1].length:
                    break
        return found

    # -- bytes -----------------------------------------------------------------------------------------------------

    def _read(self, missing: list[tuple[int, list[Span]]], buffer: memoryview) -> None:
        """Read what is missing of windows that follow each other, and keep what is right.

        A peer of an earlier version sends no more than the first of them has.
        """
        first, start = missing[0][0], missing[0][1][0].at
        length = sum(span.length for _, spans in missing for span in spans)
        with self._link.open_window(self._transfer, first, start, start + length) as incoming:
            if self._wish.ahead:
                incoming.hold(self._wish.ahead)
            for window, spans in missing:
                for number, chunk in enumerate(chunks(spans, self._arrival.manifest.leaf_size, len(buffer))):
                    size = sum(span.length for span in chunk)
                    if not self._fill(incoming.readinto, buffer[:size], whole=window == first or number > 0):
                        return
                    self._take(chunk, buffer[:size])
            if incoming.readinto(buffer[:1]):
                where = missing[-1][1][-1].entry.path
                raise DigestMismatch(f"{self._peer} sends more bytes than were asked for", where=where, next=_MEND)

    def _fill(self, readinto: Callable[[memoryview], int], buffer: memoryview, *, whole: bool) -> bool:
        """Fill the buffer; False where nothing comes any more, if that is no fault."""
        while buffer:
            self._crew.require_going()
            count = readinto(buffer)
            if not count and not whole:
                return False
            if not count:
                raise Unreachable(f"{self._peer} ended the connection in the middle of a window")
            if self._wish.pace is not None:
                self._wish.pace.wait(count)
            with self._tally.lock:
                self._tally.received += count
                beyond = self._tally.received > self._allowed
            if beyond:
                raise Refused(
                    f"{self._peer} sent more bytes than were accepted",
                    next="Cancel the transfer; ask the sender to repair the package and to offer it again.",
                )
            buffer, whole = buffer[count:], True
        return True

    def _take(self, spans: Sequence[Span], data: memoryview) -> None:
        """Prove the leaves of some spans, and keep those that are right."""
        self._crew.require_aboard()
        taken = take_spans(self._arrival, self._follower, spans, data)
        with self._tally.lock:
            self._tally.kept += taken.kept
            self._tally.again += taken.again
            done = self._tally.kept
        self._wish.listener(Progress("fetch", done, self._plan.bytes, spans[-1].entry.name))
        for span, leaf in taken.wrong:
            self._reject(span, leaf)

    def _reject(self, span: Span, leaf: int) -> None:
        """Count a leaf of a file that came wrong; it is asked for again, but not often."""
        begin = leaf * self._arrival.manifest.leaf_size
        size = min(self._arrival.manifest.leaf_size, span.entry.size - begin)
        with self._tally.lock:
            self._tally.again += size
        place = span.entry.first_leaf + leaf
        with self._crew.turn:
            self._wrong[place] = self._wrong.get(place, 0) + 1
            times = self._wrong[place]
        if times > _TRIES:
            raise DigestMismatch(
                f"leaf {leaf} came wrong {times} times from {self._peer}",
                where=span.entry.path,
                leaf=leaf,
                range=(begin, begin + size),
                next=_MEND,
            )


_MEND: Final = "Ask the sender to run `diadem scrub` and `diadem repair`; then: diadem transfer resume"


def missing_bytes(arrival: Arrival) -> int:
    """Bytes of the package that are not proven yet."""
    marks, leaf_size = arrival.marks, arrival.manifest.leaf_size
    if marks.count == len(marks.proven):
        return 0
    missing = 0
    for entry in arrival.manifest:
        count = leaf_count(entry.size, leaf_size)
        gone = count - sum(marks.proven[entry.first_leaf : entry.first_leaf + count])
        if gone:
            short = not marks.proven[entry.first_leaf + count - 1] and entry.size % leaf_size
            missing += gone * leaf_size - (leaf_size - entry.size % leaf_size if short else 0)
    return missing
