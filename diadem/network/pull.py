"""Fetching an accepted package from its sender: whole, or as far as it comes, to go on later.

Several connections at once, every leaf proven before it is written.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from diadem.errors import DiademError, DigestMismatch, IntegrityError, NotFound, PackageError, Unreachable
from diadem.model import canonical
from diadem.model.manifest import TAGMANIFEST
from diadem.model.ports import Listener, Progress
from diadem.model.times import time_text
from diadem.model.transfers import MOVING, Counts, State, Transfer, new_id
from diadem.network.crew import ThreadCrew
from diadem.network.desk import Desk
from diadem.network.limits import MAX_MESSAGE, PORTION
from diadem.network.link import Link, Reader
from diadem.network.mail.pickup import collect
from diadem.network.memory import TRANSFERS
from diadem.network.messages import PROGRESS, Message
from diadem.network.receiving import Receiving
from diadem.network.tag_parts import limit_of
from diadem.network.windows import RUN, Span, chunks, missing_runs, missing_windows
from diadem.store.contract import Pace

#: Connections at most, and to a peer that is not near.
CONNECTIONS: Final = 8
#: Connections to a peer that is near, and the seconds to it and back below which it is: more only come in each other's
#: way, and what two bring comes nearly in order, so that it is hashed in the memory into which it came.
_NEAR_CONNECTIONS: Final = 2
_NEAR: Final = 0.002
#: Windows that are fetched with one request: the first, and the end (exclusive).
Run = tuple[int, int]
#: How often a leaf is asked for again when it came wrong.
_TRIES: Final = 3
#: How often a connection is taken up again while nothing comes, and the seconds between.
_RETRIES: Final = 6
WAITS: Final = (0.2, 1.0, 3.0, 10.0, 20.0, 30.0)
#: Below a rate, what comes within these seconds may wait unread, of a connection from so many bytes to so many. The
#: system would take in megabytes more, which come again where the process ends.
_AHEAD: Final = 0.1
_LEAST, _MOST = 128 << 10, 512 << 10
_MEND: Final = "Ask the sender to run `diadem scrub` and `diadem repair`; then: diadem transfer resume"
#: Seconds between two messages that tell the sender how far it is.
_TOLD: Final = 5.0
_STILL: Final = frozenset(map(str, MOVING))


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """How a package is fetched.

    Attributes
    ----------
    connections : int or None
        At once; None for as many as the way to the sender asks for.
    max_rate : float or None
        Bytes a second at most.
    waits : tuple of float
        Seconds between two tries to reach the sender.
    """

    connections: int | None = None
    max_rate: float | None = None
    waits: tuple[float, ...] = WAITS


def receive_package(
    desk: Desk, transfer_id: str, options: FetchOptions, *, listener: Listener, stop: threading.Event | None = None
) -> Transfer:
    """Fetch an accepted package and land it; a package that is received already stays so.

    Raises
    ------
    Interrupted
        A person stopped it, or `stop` was set. What is here stays.
    Unreachable
        The sender does not answer. What is here stays.
    NotFound, Refused
        The sender gives nothing more, or it is over.
    IntegrityError, PackageError
        What came is not what was offered; the transfer has failed, and goes on when the sender mended its package.
    """
    transfer = desk.book.get(transfer_id)
    if transfer.state in (State.RECEIVED, State.CLOSED):
        return transfer
    with Receiving.open(desk, transfer, listener=listener, stop=stop) as receiving:
        receiving.start()
        if not receiving.arrival.published:
            pull = _Pull(receiving, options, desk.link(transfer.peer))
            try:
                pull.run()
            except NotFound as error:  # what a peer answers says not why
                raise NotFound(
                    f"{receiving.peer} gives nothing more of this transfer: its grant was revoked or has ended, or the "
                    "offer was withdrawn, or it does not know this node or the acceptance yet",
                    next=f"Try again: diadem transfer resume {transfer.id[:8]}   (or ask {transfer.sender} to send it "
                    f"again, and end it here: diadem transfer cancel {transfer.id[:8]})",
                ) from error
        return receiving.finish()


class _Pull:
    """One run of one transfer."""

    def __init__(self, receiving: Receiving, options: FetchOptions, link: Link) -> None:
        self._receiving, self._options, self._link = receiving, options, link
        self._told = time.monotonic()

    def run(self) -> None:
        """Everything that is missing; whole files that the disk gives back changed are fetched once more."""
        receiving = self._receiving
        if receiving.plan is None:
            self._tag_files()
        receiving.follow(known=True)
        self._fetch()
        if receiving.judged():
            receiving.follow()
            self._fetch()
            if again := receiving.judged():
                path = receiving.arrival.manifest.entries[min(again)].path
                raise IntegrityError(
                    "the disk returns different bytes than were written", where=path, next="Check the disk."
                )
        self._tell()  # who took it back meanwhile is heard before it lands

    def _tag_files(self) -> None:
        """Fetch what is not here of the tag files, and open the package."""
        receiving = self._receiving
        if (tags := receiving.tagmanifest()) is None:
            receiving.take_tagmanifest(tags := self._tagmanifest())
        if not receiving.has_tag_files(tags):
            with self._link.open_part(receiving.transfer.id, 1) as incoming:
                receiving.take_tag_files(tags, incoming)
        receiving.begin(tags)

    def _tagmanifest(self) -> bytes:
        limit = limit_of(TAGMANIFEST)
        data = bytearray(limit + 1)
        view, at = memoryview(data), 0
        with self._link.open_part(self._receiving.transfer.id, 0) as incoming:
            while at < len(data) and (count := incoming.readinto(view[at:])):
                at += count
        if at > limit:
            raise PackageError(f"the tag manifest has more than {limit:,} bytes", where=TAGMANIFEST)
        return bytes(view[:at])

    def _fetch(self) -> None:
        try:
            Fetch(self._receiving, self._link, self._options, check=self._tick).run()
        finally:
            self._receiving.note(now=True)

    def _tick(self) -> None:
        """Tell how far it is, where it is time to. Raises `Interrupted` where it is to end."""
        if self._receiving.note() and time.monotonic() - self._told >= _TOLD:
            self._told = time.monotonic()
            self._tell()
        self._receiving.require_going()

    def _tell(self) -> None:
        """Tell the sender; what it does not hear now it hears the next time. Where it has ended it, hear that at once.

        Only what is signed ends the transfer here: it is fetched.
        """
        desk, transfer = self._receiving.desk, self._receiving.transfer
        about = {
            "state": "transferring",
            "done": self._receiving.done,
            "total": transfer.bytes,
            "rate": int(self._receiving.rate),
        }
        message = Message(new_id(), PROGRESS, transfer.id, desk.node, transfer.peer, time_text(desk.now), "", about)
        with contextlib.suppress(DiademError):
            answer = canonical.decode(self._link.post_message(message.to_bytes()), where="answer", limit=MAX_MESSAGE)
            if isinstance(answer, dict) and str(answer.get("state")) not in _STILL:
                collect(desk, transfer.peer)


class Fetch:
    """One fetching of what is missing of a package.

    Parameters
    ----------
    receiving : Receiving
        The package; it follows.
    link : Link
        To the sender.
    options : FetchOptions
        How.
    check : callable, optional
        Raises why it is to end, where it is; called a few times a second.
    """

    def __init__(
        self, receiving: Receiving, link: Link, options: FetchOptions, *, check: Callable[[], object] = lambda: None
    ) -> None:
        assert receiving.plan is not None
        self._receiving, self._link, self._waits = receiving, link, options.waits
        self._plan, self._marks = receiving.plan, receiving.arrival.marks
        fitting = options.connections or (_NEAR_CONNECTIONS if link.round_trip < _NEAR else CONNECTIONS)
        self._connections = max(1, min(fitting, CONNECTIONS))
        #: Windows of one request: of few connections all that is under way lies close together.
        self._most = RUN // self._connections if self._connections <= _NEAR_CONNECTIONS else RUN
        rate = options.max_rate
        self._pace = Pace(rate) if rate else None
        #: Bytes that may wait unread on a connection; 0 for as many as the system finds good.
        self._unread = int(min(max(rate * _AHEAD / self._connections, _LEAST), _MOST)) if rate else 0
        self._queue = missing_windows(self._plan, self._marks.proven)
        self._ahead = next(self._queue, None)
        self._again: list[Run] = []
        self._busy = 0
        self._crew = ThreadCrew("diadem-fetch", self._connections, check=check)

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
        most = min(self._most, (len(self._plan) - first) // self._connections)
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
            before = self._marks.count
            try:
                size, of = max(PORTION, self._plan.leaf_size), self._receiving.peer
                with TRANSFERS.room(size, of=of, require_going=self._crew.require_going) as held:
                    self._read(missing, held)
                return bool(self._missing_from(run))
            except Unreachable:
                fruitless = 0 if self._marks.count > before else fruitless + 1
                if fruitless >= min(_RETRIES, len(self._waits)):
                    raise
                self._receiving.count(Counts(retries=1))
                self._crew.rest(self._waits[fruitless])

    def _missing_from(self, run: Run) -> list[tuple[int, list[Span]]]:
        """The first leaves of some windows that are missing and lie together, by window and file; or none."""
        proven, leaf_size, found = self._marks.proven, self._plan.leaf_size, list[tuple[int, list[Span]]]()
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

    def _read(self, missing: list[tuple[int, list[Span]]], held: list[bytearray]) -> None:
        """Read what is missing of windows that follow each other, into the buffer held, and keep what is right.

        A peer of an earlier version sends no more than the first of them has.
        """
        first, start = missing[0][0], missing[0][1][0].at
        length = sum(span.length for _, spans in missing for span in spans)
        with self._link.open_window(self._receiving.transfer.id, first, start, start + length) as incoming:
            if self._unread:
                incoming.hold(self._unread)
            for window, spans in missing:
                for number, chunk in enumerate(chunks(spans, self._plan.leaf_size, len(held[0]))):
                    data = memoryview(held[0])[: sum(span.length for span in chunk)]
                    if not self._fill(incoming, data, whole=window == first or number > 0):
                        return
                    self._take(chunk, data, held)
            if incoming.readinto(memoryview(bytearray(1))):
                message = f"{self._receiving.peer} sends more bytes than were asked for"
                raise DigestMismatch(message, where=missing[-1][1][-1].entry.path, next=_MEND)

    def _fill(self, incoming: Reader, buffer: memoryview, *, whole: bool) -> bool:
        """Fill the buffer; False where nothing comes any more, if that is no fault."""
        while buffer:
            self._crew.require_going()
            count = incoming.readinto(buffer)
            if not count and not whole:
                return False
            if not count:
                raise Unreachable(f"{self._receiving.peer} ended the connection in the middle of a window")
            if self._pace is not None:
                self._pace.wait(count)
            self._receiving.spend(count)
            buffer, whole = buffer[count:], True
        return True

    def _take(self, spans: Sequence[Span], data: memoryview, held: list[bytearray]) -> None:
        """Keep the leaves of some spans that are right; the others are asked for again, but not often."""
        self._crew.require_aboard()
        receiving = self._receiving
        taken = receiving.take(spans, data, held)
        done = self._plan.bytes - receiving.missing
        receiving.listener(Progress("fetch", done, self._plan.bytes, spans[-1].entry.name))
        receiving.require_right(taken, tries=_TRIES, advice=_MEND)
