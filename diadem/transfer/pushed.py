"""Taking in a package that its sender pushes, where only the receiver can be reached: the same windows and proofs."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

from diadem.errors import DiademError, DigestMismatch, NotFound, Refused
from diadem.model.ports import silent
from diadem.model.transfers import IN, MOVING, Counts, State, Transfer
from diadem.package.opening import OpenedPackage
from diadem.store.arrival import Arrival
from diadem.store.arrival_hashing import Follower
from diadem.transfer.desk import Desk
from diadem.transfer.fetching import missing_bytes
from diadem.transfer.landing import Landing, note_fault, place_of
from diadem.transfer.taking import take_window, wanted_windows
from diadem.transfer.windows import WindowPlan
from diadem.trust.base64_text import to_base64

#: Seconds after which a place that nothing comes to is let go.
_IDLE: Final = 60.0
_AGAIN: Final = "Send the window again."


@dataclass
class _Place:
    """One package that is being pushed here."""

    landing: Landing
    opened: OpenedPackage | None = None
    plan: WindowPlan | None = None
    follower: Follower | None = None
    used: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        """Leave it as it is, to go on later."""
        if self.follower is not None:
            self.follower.stop()
        self.landing.arrival.close()


class Pushed:
    """Takes in what is pushed to this node. Safe for many threads of one process.

    Parameters
    ----------
    desk : Desk
        Of the receiver.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}

    def close(self) -> None:
        """Let go of every place."""
        with self._lock:
            places, self._places = list(self._places.values()), {}
        for place in places:
            place.close()

    def let_go(self) -> None:
        """Let go of places to which nothing comes any more: their transfer is over or paused, or its sender is gone."""
        with self._lock:
            for name, place in list(self._places.items()):
                if self._is_left(name, place) and place.lock.acquire(blocking=False):
                    try:
                        del self._places[name]
                        place.close()
                    finally:
                        place.lock.release()

    def _is_left(self, name: str, place: _Place) -> bool:
        transfer = self._desk.book.get(name)
        over = transfer.paused or transfer.state not in {*MOVING, State.FAILED}
        return over or time.monotonic() - place.used > _IDLE

    def permitted(self, peer: str, transfer_id: str) -> Transfer:
        """The transfer, where this peer may push bytes of it now.

        Raises
        ------
        NotFound
            It may not: unknown, not accepted, ended.
        Refused
            The receiver paused it.
        """
        transfer = self._desk.from_peer(transfer_id, peer)
        self._desk.peer(peer)
        if transfer.direction != IN or transfer.state not in {*MOVING, State.FAILED} or not transfer.acceptance:
            raise NotFound("no such transfer")
        if transfer.paused:
            raise Refused("the receiver paused the transfer", next="Go on later.")
        return transfer

    # -- what is asked ---------------------------------------------------------------------------------------------

    def have(self, peer: str, transfer_id: str) -> dict[str, Any]:
        """What is here: `state`; whether the tag files are; and a bit for each window that is still wanted."""
        known = self._desk.from_peer(transfer_id, peer)
        if known.state in (State.RECEIVED, State.CLOSED):
            return _nothing_wanted(known)
        transfer = self.permitted(peer, transfer_id)
        place = self._place(transfer)
        with place.lock, self._noting(transfer_id):
            if place.landing.arrival.published:
                return _nothing_wanted(self._landed(place, place.landing.published()))
            if place.plan is None:
                return {**_nothing_wanted(transfer), "parts": False}
            if place.landing.arrival.marks.count == place.plan.leaves:
                return _nothing_wanted(self._land(transfer_id, place))
            bits = wanted_windows(place.landing.arrival, place.plan)
            return {
                "state": str(transfer.state),
                "parts": True,
                "windows": len(place.plan),
                "wanted": to_base64(bytes(bits)),
            }

    def put_part(self, peer: str, transfer_id: str, number: int, data: bytes) -> None:
        """Take part 0 or 1."""
        place = self._place(self.permitted(peer, transfer_id))
        with place.lock, self._noting(transfer_id):
            landing = place.landing
            if number == 0:
                landing.take_tagmanifest(data)
                return
            tags = landing.tagmanifest()
            if tags is None:
                raise Refused("the tag manifest comes first", next="Send part 0.")
            with io.BytesIO(data) as body:
                landing.take_tag_files(tags, body)
            self._begin(place, tags)

    def put_window(self, peer: str, transfer_id: str, number: int, data: bytes) -> dict[str, Any]:
        """Take a window; where it was the last one, land the package.

        Raises
        ------
        DigestMismatch
            A leaf is wrong; those before it are kept.
        Refused
            Its length is wrong, or more came than was accepted.
        """
        transfer = self.permitted(peer, transfer_id)
        place = self._place(transfer)
        with place.lock, self._noting(transfer_id):
            if place.plan is None or place.follower is None:
                raise Refused("the tag files come first", next="Send parts 0 and 1.")
            if number >= len(place.plan):
                raise NotFound("no such window")
            spans = place.plan.spans(number)
            if len(data) != spans[-1].at + spans[-1].length:
                raise Refused("the window has another length", next=_AGAIN)
            self._require_below(transfer, len(data))
            again = 0
            try:
                again = take_window(place.landing.arrival, place.follower, spans, memoryview(data))
            finally:
                done = transfer.bytes - missing_bytes(place.landing.arrival)
                self._desk.book.count(transfer_id, Counts(received=len(data), again=again), done, 0.0)
            if place.landing.arrival.marks.count == place.plan.leaves:
                return {"state": str(self._land(transfer_id, place).state)}
        return {"state": str(State.TRANSFERRING)}

    def _require_below(self, transfer: Transfer, count: int) -> None:
        if transfer.counts.received + count > transfer.ceiling:
            raise Refused("more bytes came than were accepted", next="Cancel the transfer, and offer the package anew.")

    # -- places ----------------------------------------------------------------------------------------------------

    def _place(self, transfer: Transfer) -> _Place:
        """The place of a transfer, opened where it is not."""
        with self._lock:
            place = self._places.get(transfer.id)
            if place is None:
                arrival = Arrival.open(place_of(self._desk, transfer), transfer.id)
                place = _Place(Landing(self._desk, transfer, arrival))
                try:
                    place.landing.step(State.TRANSFERRING, error="", next="")
                    tags = place.landing.tagmanifest()
                    if tags is not None and place.landing.has_tag_files(tags):
                        self._begin(place, tags)
                except BaseException:
                    place.close()
                    raise
                self._places[transfer.id] = place
            place.used = time.monotonic()
            return place

    def _begin(self, place: _Place, tags: bytes) -> None:
        place.opened = place.landing.begin(tags)
        place.plan = WindowPlan(place.opened.manifest)
        place.follower = Follower(place.landing.arrival)

    def _land(self, transfer_id: str, place: _Place) -> Transfer:
        """Everything is here: whole files proven, landed, stated."""
        assert place.follower is not None
        assert place.opened is not None
        wrong = place.follower.finish()
        for number in wrong:
            place.landing.mistrust(number)
        if wrong:
            place.follower = Follower(place.landing.arrival)
            return self._desk.book.get(transfer_id)
        return self._landed(place, place.opened)

    def _landed(self, place: _Place, opened: OpenedPackage) -> Transfer:
        landed = place.landing.finish(opened, silent)
        with self._lock:
            self._places.pop(landed.id, None)
        place.landing.arrival.remove()
        return landed

    def _noting(self, transfer_id: str) -> _Noting:
        return _Noting(self._desk, transfer_id)


class _Noting:
    """Notes in the book what went wrong; a leaf that came wrong is asked for again, and no failure yet."""

    def __init__(self, desk: Desk, transfer_id: str) -> None:
        self._desk, self._transfer = desk, transfer_id

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, DiademError) and not isinstance(error, DigestMismatch | NotFound):
            note_fault(self._desk, self._transfer, error)


def _nothing_wanted(transfer: Transfer) -> dict[str, Any]:
    return {"state": str(transfer.state), "parts": True, "windows": 0, "wanted": ""}
