"""Picking up what a sender put down at a carrier: opened, proven, landed; what is damaged is asked for anew."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from diadem.errors import (
    DiademError,
    DigestMismatch,
    IntegrityError,
    Interrupted,
    NotFound,
    PackageError,
    Refused,
    Unreachable,
)
from diadem.model.carriers import Carried, ObjectName
from diadem.model.ports import Listener, Progress
from diadem.model.transfers import IN, MOVING, Counts, State, Transfer
from diadem.network.arrival import Arrival
from diadem.network.desk import Desk
from diadem.network.landing import Landing, go_on, note_fault, place_of
from diadem.network.memory import TRANSFERS
from diadem.network.messages import PROGRESS
from diadem.network.relay.guarded import Guarded
from diadem.network.relay.pieces import PIECE, PieceReader, whole_part
from diadem.network.relay.requesting import ask_again
from diadem.network.relay_book import Place, Relay, Spoilt, relay_book
from diadem.network.tag_parts import limit_of
from diadem.network.windows import WINDOW
from diadem.package.examine import TagFiles
from diadem.trust.sealing import MAX_HEADER, SealHeader, open_window

#: Objects of one transfer at once.
AT_ONCE: Final = 2
#: Objects that are taken before they are forced to disk and removed at the carrier.
_BATCH: Final = 16
#: How often a window may come damaged.
TRIES: Final = 3
_WHAT: Final = ("the tag manifest", "the tag files")
#: Seconds between two notes in the book, and between two looks at a carrier.
_NOTED: Final = 1.0
_PAUSE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Collecting:
    """How something is collected.

    Attributes
    ----------
    carrier : Guarded
        From where.
    relay : Relay
        Where it lies there.
    identities : sequence of str
        What opens it.
    wait : float
        Seconds to wait for something new, before what is missing is left for later.
    asks : bool
        Whether what is damaged can be asked for again.
    """

    carrier: Guarded
    relay: Relay
    identities: Sequence[str]
    wait: float = 0.0
    asks: bool = True


def collect_package(
    desk: Desk,
    transfer_id: str,
    way: Collecting,
    *,
    listener: Listener,
    stop: Callable[[], bool] = lambda: False,
) -> Transfer:
    """Pick up what lies at a carrier of an accepted package, and land it where everything is here.

    Returns
    -------
    Transfer
        Received; or as it stands, where more has to come.

    Raises
    ------
    Unreachable
        The carrier does not answer. What is here stays.
    Refused
        It is over or paused, or another process is at it.
    IntegrityError, PackageError
        What came is not what was offered, or came damaged again and again; the transfer has failed.
    """
    transfer = desk.book.get(transfer_id)
    if transfer.state in (State.RECEIVED, State.CLOSED):
        return transfer
    if transfer.direction != IN or not (transfer.state in MOVING or transfer.state is State.FAILED):
        raise Refused(f"the transfer is {transfer.state}: there is nothing to pick up", next="See: diadem transfer ls")
    if transfer.paused or not transfer.acceptance:
        raise Refused("the transfer is paused, or was never accepted", next=go_on(transfer.id))
    arrival = Arrival.open(place_of(desk, transfer), transfer.id)
    run = _Collect(desk, transfer, arrival, way, listener, stop)
    try:
        landed = run.run()
    except BaseException as error:
        run.leave()
        note_fault(desk, transfer.id, error)
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted("stopped; what has arrived is kept", next=go_on(transfer.id)) from None
        raise
    if landed is None:
        run.leave()
        return desk.book.get(transfer.id)
    arrival.remove()
    return landed


class _Collect:
    """One run of one transfer."""

    def __init__(
        self,
        desk: Desk,
        transfer: Transfer,
        arrival: Arrival,
        way: Collecting,
        listener: Listener,
        stop: Callable[[], bool],
    ) -> None:
        self._desk, self._way, self._listener, self._stop = desk, way, listener, stop
        self._landing = Landing(desk, transfer, arrival)
        self._relays = relay_book(desk.context)
        self._spoilt: dict[Place, Spoilt] = dict(self._relays.spoilt(transfer.id)) if way.asks else {}
        self._faults: list[IntegrityError] = []
        self._lock = threading.Lock()
        self._noted = time.monotonic()
        # what an earlier run found damaged, and ended before it could ask
        self._asks = any(one.generation >= way.relay.generation for one in self._spoilt.values())
        self._done = transfer.done

    @property
    def _transfer(self) -> Transfer:
        return self._landing.transfer

    def leave(self) -> None:
        """Leave what is here, to go on later."""
        self._landing.close()

    def run(self) -> Transfer | None:
        """Everything from the first object to the receipt; None where more has to come."""
        landing = self._landing
        if landing.transfer.state is State.FAILED and self._way.asks:  # a person has it tried anew
            self._relays.forgive(landing.transfer.id)
            self._asks = True
        landing.step(State.TRANSFERRING, error="", next="")
        if landing.arrival.published:
            return self._landed(landing.published())
        tags = landing.tagmanifest()
        if tags is not None and landing.has_tag_files(tags):
            self._begin(tags)
        until = time.monotonic() + self._way.wait
        while True:
            if landing.whole:
                return self._land()
            left = max(0.0, until - time.monotonic())
            if self._round(self._way.carrier.ls(self._way.relay.relay, wait=left)):
                until = time.monotonic() + self._way.wait
            elif not landing.whole:
                if left == 0.0:
                    break
                time.sleep(min(left, _PAUSE))  # a carrier may say at once that there is nothing new
        self._tell()
        if self._faults:
            raise self._faults[0]
        return None

    def _round(self, listed: Sequence[Carried]) -> bool:
        """Take what lies there; whether something came of it."""
        self._require_going()
        listed = self._asked_for(listed)
        if self._landing.plan is None and not self._tag_files(listed):
            self._ask()
            return False
        wanted, stale = self._sorted(listed)
        self._way.carrier.remove(self._way.relay.relay, [str(name) for name in stale])
        came = False
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for start in range(0, len(wanted), _BATCH):
                batch = wanted[start : start + _BATCH]
                done = [name for name in pool.map(self._taken, batch) if name is not None]
                came = came or bool(done)
                self._landing.arrival.sync()  # what is removed there is on the disk here
                self._way.carrier.remove(self._way.relay.relay, [str(name) for name in done])
        self._ask()
        return came

    def _asked_for(self, listed: Sequence[Carried]) -> list[Carried]:
        """What may be the sender's: nobody asked it for a later generation."""
        known = self._relays.get(self._transfer.id) if self._way.asks else None
        last = (known or self._way.relay).generation
        return [one for one in listed if (name := ObjectName.of(one.name)) is not None and name.generation <= last]

    def _require_going(self) -> None:
        if self._stop():
            raise Interrupted("stopped; what has arrived is kept", next=go_on(self._transfer.id))
        known = self._desk.book.get(self._transfer.id)
        if known.paused or known.state not in MOVING:
            raise Refused("the transfer was paused, or is over", next=go_on(known.id))

    # -- tag files -------------------------------------------------------------------------------------------------

    def _tag_files(self, listed: Sequence[Carried]) -> bool:
        """Take the tag files, where all of them lie there."""
        landing = self._landing
        if landing.tagmanifest() is None:
            names = whole_part(listed, 0, after=self._damaged((0, 0)))
            if not names or not self._part(names, lambda: landing.take_tagmanifest(bytes(self._get(names[0])))):
                return False
        tags = landing.tagmanifest()
        assert tags is not None
        if not landing.has_tag_files(tags):
            names = whole_part(listed, 1, after=self._damaged((1, 0)))
            reader = PieceReader(names, self._get)
            if not names or not self._part(names, lambda: landing.take_tag_files(tags, reader)):
                return False
        self._begin(tags)
        return True

    def _part(self, names: Sequence[ObjectName], take: Callable[[], None]) -> bool:
        """Take a part; where something of it is damaged, all of it is wanted again."""
        try:
            take()
        except NotFound:  # somebody removed it meanwhile
            return False
        except (IntegrityError, PackageError) as error:
            self._spoil((names[0].part, 0), names[0].generation, error)
            return False
        return True

    def _begin(self, tags: bytes) -> None:
        self._landing.begin(tags)
        self._landing.follow(known=True)

    # -- windows ---------------------------------------------------------------------------------------------------

    def _sorted(self, listed: Sequence[Carried]) -> tuple[list[ObjectName], list[ObjectName]]:
        """Objects that may bring what is missing, one a window, in order; and those that nobody needs any more."""
        landing, plan = self._landing, self._landing.plan
        assert plan is not None
        wanted: dict[int, ObjectName] = {}
        stale: list[ObjectName] = []
        for name in sorted(found for one in listed if (found := ObjectName.of(one.name)) is not None):
            part, window, generation = name
            needed = part == 2 and window < len(plan) and generation > self._damaged((2, window))
            if not needed or not landing.lacks(window):
                stale.append(name)
            else:
                wanted[window] = name  # the later generation; the other one is looked at where this one is damaged
        return list(wanted.values()), stale

    def _damaged(self, place: Place) -> int:
        """The generation up to which a place came damaged."""
        known = self._spoilt.get(place)
        return known.generation if known is not None else 0

    def _taken(self, name: ObjectName) -> ObjectName | None:
        """Take a window; its name, where the object is not needed any more."""
        landing, plan = self._landing, self._landing.plan
        assert plan is not None
        try:
            size, of = min(WINDOW, self._transfer.bytes) + MAX_HEADER, self._way.carrier.label
            with TRANSFERS.room(size, beside=size, of=of, require_going=self._require_going) as (room,):
                self._require_going()
                with self._get(name, room) as data:
                    taken = landing.take(plan.spans(name.window), data)
                if taken.wrong:
                    span, leaf = taken.wrong[0]
                    raise DigestMismatch(f"leaf {leaf} came wrong", where=span.entry.path, leaf=leaf)
        except NotFound:  # nobody else takes it: it is lost there
            lost = NotFound("it is listed, but cannot be read")
            self._spoil((2, name.window), name.generation, lost)
            return None
        except IntegrityError as error:
            self._count(0, again=plan.size(name.window))
            self._spoil((2, name.window), name.generation, error)
            return name
        self._count(0, again=taken.again)
        self._listener(Progress("collect", name.window + 1, len(plan), unit="windows"))
        return name

    def _get(self, name: ObjectName, room: bytearray | None = None) -> memoryview:
        """What an object holds, where it is the one that its name says."""
        sealed = self._way.carrier.get(self._way.relay.relay, str(name))
        plan = self._landing.plan
        length = PIECE if plan is None or name.part < 2 else plan.size(name.window)
        if name.part == 2:  # rubbish as what it stands for, as its sender counts; tag files where they are taken
            self._count(min(len(sealed), length))
        most = limit_of("tagmanifest-sha256.txt") if name.part == 0 else length
        header = SealHeader(self._transfer.id, self._transfer.package, name.part, name.window, most)
        try:
            return open_window(sealed, self._way.identities, header, shorter=name.part < 2, room=room)
        except Refused as error:  # a stranger's: no better than a damaged one
            raise IntegrityError(error.message, where=str(name)) from None

    def _count(self, came: int, *, again: int = 0) -> None:
        """Count what came, and note now and then how far it is. Raises `Refused` above what was accepted."""
        with self._lock:
            known = self._desk.book.get(self._transfer.id)
            if known.counts.received + came > known.ceiling:
                raise Refused("more bytes came than were accepted", next="Cancel it, and ask for a new offer.")
            now, done, rate = time.monotonic(), known.done, known.rate
            if self._landing.plan is not None and now - self._noted > _NOTED:
                done = self._landing.done
                rate = max(0, done - known.done) / (now - self._noted)
                self._noted = now
            self._desk.book.count(self._transfer.id, Counts(received=came, again=again), done, rate)

    # -- what is damaged -------------------------------------------------------------------------------------------

    def _spoil(self, place: Place, generation: int, error: DiademError) -> None:
        """Note that something came damaged; too often is a failure."""
        what = _WHAT[place[0]] if place[0] < 2 else f"window {place[1]}"
        gave = f"{self._way.carrier.label} returned {what} damaged"
        with self._lock:
            if not self._way.asks:  # all that is sound is taken first
                self._spoilt[place] = Spoilt(generation, 1)
                advice = "What is sound is kept. Import another disk of it."
                self._faults.append(IntegrityError(f"{gave}: {error.message}", where=self._transfer.id, next=advice))
                return
            found = self._spoilt[place] = self._relays.spoil(self._transfer.id, place, generation)
            self._asks = True
        if found.times >= TRIES:
            raise IntegrityError(
                f"{gave} three times: {error.message}",
                where=self._transfer.id,
                next="Use another route, or have it repaired there: diadem transfer resume",
            )

    def _ask(self) -> None:
        """Ask for what came damaged, once for all that this round found."""
        self._require_possible()
        if self._asks:
            self._asks = False
            ask_again(self._desk, self._transfer, self._spoilt, self._is_lacking)

    def _require_possible(self) -> None:
        """That what is missing may still come. Raises `IntegrityError` where too much came damaged for that."""
        transfer = self._desk.book.get(self._transfer.id)
        missing = transfer.bytes - self._landing.done if self._landing.plan is not None else 0
        if self._way.asks and transfer.counts.received + missing > transfer.ceiling:
            raise IntegrityError(
                f"{self._way.carrier.label} returned {transfer.counts.again:,} bytes damaged or twice:"
                f" {missing:,} are missing, and no more may come than were accepted",
                where=transfer.id,
                next="Cancel it, and ask for a new offer, by another route if there is one.",
            )

    def _is_lacking(self, place: Place) -> bool:
        part, window = place
        return self._landing.plan is None or (part == 2 and self._landing.lacks(window))

    def _tell(self) -> None:
        """Say in the book, and to the sender, how far it is; and in the book what strange things lie there."""
        transfer = self._transfer
        done = self._landing.done if self._landing.plan is not None else 0
        self._desk.book.count(transfer.id, Counts(), done, 0.0)
        if done != self._done:
            self._desk.post(transfer, PROGRESS, {"state": "transferring", "done": done, "total": transfer.bytes})
        if self._way.carrier.strange:
            advice = "They were left alone. Find out what they are and who can write there."
            self._desk.book.change(self._transfer.id, error=self._way.carrier.strange, next=advice)

    # -- the end ---------------------------------------------------------------------------------------------------

    def _land(self) -> Transfer | None:
        """Everything is here: whole files proven, landed, stated; None where the disk gave back something else."""
        landing = self._landing
        assert landing.opened is not None
        assert landing.plan is not None
        if not landing.judged():
            return self._landed(landing.opened)
        error = Unreachable("the disk of this node returns different bytes than were written")
        for window in range(len(landing.plan)):
            if landing.lacks(window):
                self._spoil((2, window), max(self._damaged((2, window)), 1), error)
        self._ask()
        return None

    def _landed(self, opened: TagFiles) -> Transfer:
        with contextlib.suppress(DiademError):  # a hub whose answer was lost is asked once more what it has delivered
            self._way.carrier.remove(self._way.relay.relay, [])
        return self._landing.finish(opened, self._listener)
