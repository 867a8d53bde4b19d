"""Picking up what a sender put down at a carrier: opened, proven, landed; what is damaged is asked for anew."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from diadem.errors import (
    DiademError,
    IntegrityError,
    NotFound,
    PackageError,
    Refused,
    Unreachable,
)
from diadem.model.carriers import Carried, ObjectName
from diadem.model.ports import Listener, Progress
from diadem.model.transfers import Counts, State, Transfer
from diadem.network.crew import ThreadCrew
from diadem.network.desk import Desk
from diadem.network.memory import PICKED_UP, TRANSFERS
from diadem.network.messages import PROGRESS
from diadem.network.receiving import Receiving
from diadem.network.relay.guarded import Guarded
from diadem.network.relay.pieces import PIECE, PieceReader, whole_part
from diadem.network.relay.requesting import ask_again
from diadem.network.relay_book import Place, Relay, Spoilt, relay_book
from diadem.network.tag_parts import limit_of
from diadem.network.windows import WINDOW
from diadem.trust.sealing import MAX_HEADER, SealHeader, open_window

#: Objects of one transfer at once.
AT_ONCE: Final = 2
#: Objects that are taken before they are forced to disk and removed at the carrier.
_BATCH: Final = 16
#: How often a window may come damaged.
TRIES: Final = 3
_WHAT: Final = ("the tag manifest", "the tag files")
#: Seconds between two looks at a carrier.
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
    stop: threading.Event | None = None,
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
    with Receiving.open(desk, transfer, listener=listener, stop=stop) as receiving:
        collect = _Collect(receiving, way)
        receiving.start()
        if receiving.arrival.published or collect.run():
            with contextlib.suppress(DiademError):  # a hub whose answer was lost is asked once more what it delivered
                way.carrier.remove(way.relay.relay, [])
            return receiving.finish()
    return desk.book.get(transfer.id)


class _Collect:
    """One run of one transfer."""

    def __init__(self, receiving: Receiving, way: Collecting) -> None:
        self._receiving, self._desk, self._way = receiving, receiving.desk, way
        self._relays = relay_book(self._desk.context)
        transfer = receiving.transfer
        self._spoilt: dict[Place, Spoilt] = dict(self._relays.spoilt(transfer.id)) if way.asks else {}
        self._faults: list[IntegrityError] = []
        self._lock = threading.Lock()
        self._done = transfer.done
        # what an earlier run found damaged, and ended before it could ask
        self._asks = any(one.generation >= way.relay.generation for one in self._spoilt.values())
        if transfer.state is State.FAILED and way.asks:  # a person has it tried anew
            self._relays.forgive(transfer.id)
            self._asks = True

    @property
    def _transfer(self) -> Transfer:
        return self._receiving.transfer

    def run(self) -> bool:
        """Take what lies there and what comes soon; whether everything is here."""
        receiving = self._receiving
        if receiving.plan is not None:
            receiving.follow(known=True)
        until = time.monotonic() + self._way.wait
        while True:
            if receiving.whole:
                return self._is_right()
            left = max(0.0, until - time.monotonic())
            if self._round(self._way.carrier.ls(self._way.relay.relay, wait=left)):
                until = time.monotonic() + self._way.wait
            elif not receiving.whole:
                if left == 0.0:
                    break
                time.sleep(min(left, _PAUSE))  # a carrier may say at once that there is nothing new
        self._tell()
        if self._faults:
            raise self._faults[0]
        return False

    def _round(self, listed: Sequence[Carried]) -> bool:
        """Take what lies there; whether something came of it."""
        self._require_going()
        listed = self._asked_for(listed)
        if self._receiving.plan is None and not self._tag_files(listed):
            self._ask()
            return False
        wanted, stale = self._sorted(listed)
        came = False
        for start in range(0, len(wanted), _BATCH):
            done: list[ObjectName] = []
            crew = ThreadCrew("diadem-collect", AT_ONCE, check=self._require_going)
            crew.each(wanted[start : start + _BATCH], partial(self._take, crew, done))
            came = came or bool(done)
            self._receiving.arrival.sync()  # what is removed there is on the disk here
            self._way.carrier.remove(self._way.relay.relay, [str(name) for name in (*stale, *done)])
            stale = []
        if stale:
            self._receiving.arrival.sync()
            self._way.carrier.remove(self._way.relay.relay, [str(name) for name in stale])
        self._ask()
        return came

    def _asked_for(self, listed: Sequence[Carried]) -> list[Carried]:
        """What may be the sender's: nobody asked it for a later generation."""
        known = self._relays.get(self._transfer.id) if self._way.asks else None
        last = (known or self._way.relay).generation
        return [one for one in listed if (name := ObjectName.of(one.name)) is not None and name.generation <= last]

    def _require_going(self) -> None:
        self._receiving.require_going(by_route=self._way.asks)

    # -- tag files -------------------------------------------------------------------------------------------------

    def _tag_files(self, listed: Sequence[Carried]) -> bool:
        """Take the tag files, where all of them lie there."""
        receiving = self._receiving
        if receiving.tagmanifest() is None:
            names = whole_part(listed, 0, after=self._damaged((0, 0)))
            if not names or not self._part(names, lambda: receiving.take_tagmanifest(bytes(self._get(names[0])))):
                return False
        tags = receiving.tagmanifest()
        assert tags is not None
        if not receiving.has_tag_files(tags):
            names = whole_part(listed, 1, after=self._damaged((1, 0)))
            reader = PieceReader(names, self._get)
            if not names or not self._part(names, lambda: receiving.take_tag_files(tags, reader)):
                return False
        receiving.begin(tags)
        receiving.follow(known=True)
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

    # -- windows ---------------------------------------------------------------------------------------------------

    def _sorted(self, listed: Sequence[Carried]) -> tuple[list[ObjectName], list[ObjectName]]:
        """Objects that may bring what is missing, one a window, in order; and those that nobody needs any more."""
        receiving, plan = self._receiving, self._receiving.plan
        assert plan is not None
        wanted: dict[int, ObjectName] = {}
        stale: list[ObjectName] = []
        for name in sorted(found for one in listed if (found := ObjectName.of(one.name)) is not None):
            part, window, generation = name
            needed = part == 2 and window < len(plan) and generation > self._damaged((2, window))
            if not needed or not receiving.lacks(window):
                stale.append(name)
            else:
                wanted[window] = name  # the later generation; the other one is looked at where this one is damaged
        return list(wanted.values()), stale

    def _damaged(self, place: Place) -> int:
        """The generation up to which a place came damaged."""
        known = self._spoilt.get(place)
        return known.generation if known is not None else 0

    def _take(self, crew: ThreadCrew, done: list[ObjectName], name: ObjectName) -> None:
        """Take a window; its object is done where it is not needed any more."""
        receiving, plan, taken = self._receiving, self._receiving.plan, None
        assert plan is not None

        def require_going() -> None:
            crew.require_going()
            self._require_going()

        try:
            size, of = min(WINDOW, self._transfer.bytes) + MAX_HEADER, self._way.carrier.label
            with TRANSFERS.room(size, beside=size, of=of, use=PICKED_UP, require_going=require_going) as (room,):
                require_going()
                with self._get(name, room) as data:
                    crew.require_aboard()
                    taken = receiving.take(plan.spans(name.window), data)
                receiving.require_right(taken)
        except NotFound:  # nobody else takes it: it is lost there
            self._spoil((2, name.window), name.generation, NotFound("it is listed, but cannot be read"))
            return
        except IntegrityError as error:
            if taken is None:
                receiving.count(Counts(again=plan.size(name.window)))
            self._spoil((2, name.window), name.generation, error)
        else:
            receiving.listener(Progress("collect", name.window + 1, len(plan), unit="windows"))
        receiving.note()
        done.append(name)

    def _get(self, name: ObjectName, room: bytearray | None = None) -> memoryview:
        """What an object holds, where it is the one that its name says."""
        sealed = self._way.carrier.get(self._way.relay.relay, str(name))
        plan = self._receiving.plan
        length = PIECE if plan is None or name.part < 2 else plan.size(name.window)
        if name.part == 2:  # rubbish as what it stands for, as its sender counts; tag files where they are taken
            self._receiving.spend(min(len(sealed), length))
        most = limit_of("tagmanifest-sha256.txt") if name.part == 0 else length
        header = SealHeader(self._transfer.id, self._transfer.package, name.part, name.window, most)
        try:
            return open_window(sealed, self._way.identities, header, shorter=name.part < 2, room=room)
        except Refused as error:  # a stranger's: no better than a damaged one
            raise IntegrityError(error.message, where=str(name)) from None

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
        receiving = self._receiving
        missing = receiving.missing if receiving.plan is not None else 0
        if self._way.asks and receiving.counts.received + missing > self._transfer.ceiling:
            raise IntegrityError(
                f"{self._way.carrier.label} returned {receiving.counts.again:,} bytes damaged or twice:"
                f" {missing:,} are missing, and no more may come than were accepted",
                where=self._transfer.id,
                next="Cancel it, and ask for a new offer, by another route if there is one.",
            )

    def _is_lacking(self, place: Place) -> bool:
        part, window = place
        return self._receiving.plan is None or (part == 2 and self._receiving.lacks(window))

    def _tell(self) -> None:
        """Say to the sender how far it is, and in the book what strange things lie there."""
        transfer, receiving = self._transfer, self._receiving
        done = receiving.done if receiving.plan is not None else 0
        if done != self._done:
            self._desk.post(transfer, PROGRESS, {"state": "transferring", "done": done, "total": transfer.bytes})
        if self._way.carrier.strange:
            advice = "They were left alone. Find out what they are and who can write there."
            self._desk.book.change(transfer.id, error=self._way.carrier.strange, next=advice)

    def _is_right(self) -> bool:
        """Whether all that is here is right; what the disk gave back changed is asked for again."""
        receiving = self._receiving
        if not receiving.judged():
            return True
        assert receiving.plan is not None
        error = Unreachable("the disk of this node returns different bytes than were written")
        for window in range(len(receiving.plan)):
            if receiving.lacks(window):
                self._spoil((2, window), max(self._damaged((2, window)), 1), error)
        self._ask()
        return False
