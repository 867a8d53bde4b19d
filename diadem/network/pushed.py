"""Taking in a package that its sender pushes, where only the receiver can be reached: the same windows and proofs."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final
from weakref import WeakValueDictionary

from diadem.errors import DiademError, DigestMismatch, NotFound, Refused, Unreachable
from diadem.model.transfers import IN, MOVING, State, Transfer
from diadem.network.arrival import Arrival
from diadem.network.desk import Desk
from diadem.network.exchange import Response
from diadem.network.landing import place_of
from diadem.network.pushed_package import Lands, PushedPackage, WindowIntake
from diadem.network.receiving import FATAL, Receiving, note_fault
from diadem.network.windows import Span, WindowPlan, bits_of, cut, missing_runs, missing_windows
from diadem.trust.base64_text import to_base64

#: Seconds after which a place that nothing comes to is let go; where it is paused, what is under way comes yet.
_IDLE: Final = 60.0
_PAUSED: Final = 5.0
#: The same where the package could not land: a sender that rests meanwhile is to hear why.
_FAILED: Final = 600.0
#: Seconds that a request waits for the package to land. What takes longer goes on while the answer says `verifying`.
_WAIT: Final = 5.0
#: Runs of leaves that are told of windows of which some are here; what is beyond is told when those are.
_RUNS: Final = 4096
_AGAIN: Final = "Send again what is missing of the window."


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
        self._places: dict[str, PushedPackage] = {}
        self._doors = WeakValueDictionary[str, threading.Lock]()

    def close(self) -> None:
        """Let go of every place. What lands just now is waited for a moment; else the next process finishes it."""
        with self._lock:
            places, self._places = list(self._places.values()), {}
        with ExitStack() as closing:  # one that cannot be closed leaves no other open
            for place in places:
                if (lands := place.lands) is None or wait([lands], _WAIT).done:
                    closing.callback(place.close)

    def let_go(self) -> None:
        """Let go of places to which nothing comes any more: their transfer is over or paused, or its sender is gone."""
        with self._lock:
            places = list(self._places.items())
        with ExitStack() as rest:  # one that cannot be closed leaves no other open
            for name, place in places:
                rest.callback(self._let_go, name, place)

    def _let_go(self, name: str, place: PushedPackage) -> None:
        with self._door(name), place.alone_now() as free:
            if free and self._is_left(name, place):
                self._leave(name, place)

    def _leave(self, name: str, place: PushedPackage) -> None:
        """First it is nobody's any more: also where it cannot be closed, or opened anew, nobody waits for it."""
        with self._lock:
            self._places.pop(name, None)
        place.close()

    def _is_left(self, name: str, place: PushedPackage) -> bool:
        if place.gone or place.lands is not None:
            return False
        transfer = self._desk.book.get(name)
        over = transfer.state not in {*MOVING, State.FAILED}
        failed = place.fault is not None and bool(transfer.error)
        kept = _PAUSED if transfer.paused else _FAILED if failed else _IDLE
        return over or time.monotonic() - place.used > kept

    def permitted(self, peer: str, transfer_id: str) -> Transfer:
        """The transfer, where this peer may push bytes of it now.

        Raises
        ------
        NotFound
            It may not: unknown, not accepted, ended.
        Refused
            The receiver paused it.
        """
        transfer = self._agreed(peer, transfer_id)
        if transfer.paused:
            raise Refused("the receiver paused the transfer", next="Continue later.")
        return transfer

    def _agreed(self, peer: str, transfer_id: str) -> Transfer:
        """The same where it may be paused: of a window that is under way the rest is taken, or it would come again."""
        transfer = self._desk.from_peer(transfer_id, peer)
        self._desk.peer(peer)
        if transfer.direction != IN or transfer.state not in {*MOVING, State.FAILED} or not transfer.acceptance:
            raise NotFound("no such transfer")
        return transfer

    # -- what is asked ---------------------------------------------------------------------------------------------

    def have(self, peer: str, transfer_id: str) -> dict[str, Any]:
        """What is here: `state`; whether the tag files are; a bit for each window that is still wanted.

        Of windows of which some leaves are here `begun` has what is missing: window, first byte and end.
        """
        known = self._desk.from_peer(transfer_id, peer)
        if known.state in (State.RECEIVED, State.CLOSED):
            return _nothing_wanted(known)
        transfer = self.permitted(peer, transfer_id)
        with self._noting(transfer_id):
            place = self._place(transfer)
            if place.lands is None and not place.receiving.arrival.published and not place.receiving.whole:
                with suppress(Lands), self._alone(transfer) as place:
                    if place.receiving.landed is not None:
                        return _nothing_wanted(place.receiving.landed)
                    place.receiving.note(now=True)
                    if place.receiving.plan is None:
                        return {**_nothing_wanted(transfer), "parts": False}
                    if not place.receiving.whole:
                        return {"state": str(transfer.state), "parts": True, **_wanted(place, place.receiving.plan)}
        return _nothing_wanted(self._lands(place, transfer_id))

    def put_part(self, peer: str, transfer_id: str, number: int, data: bytes) -> None:
        """Take part 0 or 1."""
        transfer = self.permitted(peer, transfer_id)
        with self._noting(transfer_id), self._alone(transfer) as place:
            _require_open(place)
            receiving = place.receiving
            if receiving.plan is not None:  # its answer was lost: what runs goes on
                return
            receiving.require_room(len(data))
            if number == 0:
                receiving.take_tagmanifest(data)
                return
            tags = receiving.tagmanifest()
            if tags is None:
                raise Refused("the tag manifest comes first", next="Send part 0.")
            with io.BytesIO(data) as body:
                receiving.take_tag_files(tags, body)
            receiving.begin(tags)
            receiving.follow()
            receiving.note(now=True)

    def window(self, peer: str, transfer_id: str, number: int, start: int, length: int) -> WindowIntake:
        """What takes in bytes of a window, whole leaves; where they were the last ones, the package lands.

        Parameters
        ----------
        peer, transfer_id : str
            Who pushes, and what.
        number : int
            The window.
        start, length : int
            The first byte, and how many come.

        Raises
        ------
        NotFound
            There is no such window, or none for this peer.
        Refused
            They are no leaves of the window, or more came than was accepted.
        """
        transfer = self.permitted(peer, transfer_id)
        with self._noting(transfer_id):
            place = self._place(transfer)
            _require_open(place)  # who lands has every turn
            receiving = place.receiving
            receiving.require_room(length)
            if receiving.plan is None:
                raise Refused("the tag files come first", next="Send parts 0 and 1.")
            if number >= len(receiving.plan):
                raise NotFound("no such window")
            leaf_size = receiving.plan.leaf_size
            spans = cut(receiving.plan.spans(number), start, start + length, leaf_size)
            if not spans:
                raise Refused("these bytes are not whole leaves of the window", next="Ask again what is missing.")

        def keep(parts: Sequence[Span], data: memoryview) -> None:
            self._keep(peer, transfer_id, number, parts, data)

        return WindowIntake(spans, leaf_size, keep, lambda: self._ended(peer, transfer_id))

    def _keep(self, peer: str, transfer_id: str, number: int, parts: Sequence[Span], data: memoryview) -> None:
        """Keep whole leaves of a window. Who may not any more is refused; `DigestMismatch` where one is wrong."""
        transfer = self._agreed(peer, transfer_id)
        with self._noting(transfer_id):
            _require_open(self._place(transfer))
            with self._at(transfer, lambda place: place.turn(number)) as place:
                _require_open(place)
                receiving = place.receiving
                try:
                    receiving.spend(len(data))
                    taken = receiving.take(parts, data)
                except BaseException:
                    receiving.note(now=True)
                    raise
                receiving.note()
                receiving.require_right(taken, advice=_AGAIN)

    def _ended(self, peer: str, transfer_id: str) -> Response:
        """The answer to who pushed leaves; the package lands where they were the last."""
        transfer = self._desk.from_peer(transfer_id, peer)
        if transfer.state not in (State.RECEIVED, State.CLOSED):  # else another connection brought the last one
            with self._noting(transfer_id):
                place = self._place(self._agreed(peer, transfer_id))
            place.receiving.note(now=True)
            if place.lands is not None or place.receiving.whole:
                transfer = self._lands(place, transfer_id)
        return Response.json({"state": str(transfer.state)})

    # -- places ----------------------------------------------------------------------------------------------------

    def _place(self, transfer: Transfer) -> PushedPackage:
        """The place of a transfer, opened where it is not."""
        with self._door(transfer.id):
            with self._lock:
                place = self._places.get(transfer.id)
            if place is not None and isinstance(place.fault, FATAL) and self._goes_on(transfer.id):
                with place.alone_now() as free:  # what the disk has of it is looked at anew
                    if free:
                        self._leave(transfer.id, place)
                        place = None
            if place is None:
                arrival = Arrival.open(place_of(self._desk, transfer), transfer.id)
                place = PushedPackage(receiving := Receiving(self._desk, transfer, arrival))
                try:
                    receiving.start()
                    if receiving.plan is not None:
                        receiving.follow()
                except BaseException:
                    place.close()
                    if self._desk.book.get(transfer.id).state in (State.RECEIVED, State.CLOSED):
                        arrival.remove()  # it landed while this thread was on its way here
                    raise
                with self._lock:
                    self._places[transfer.id] = place
            place.used = time.monotonic()
            return place

    def _door(self, transfer_id: str) -> threading.Lock:
        """Held by who opens the place of a transfer or lets it go: nobody waits for the place of another."""
        with self._lock:
            return self._doors.setdefault(transfer_id, threading.Lock())

    @contextmanager
    def _at(
        self, transfer: Transfer, turn: Callable[[PushedPackage], AbstractContextManager[object]]
    ) -> Iterator[PushedPackage]:
        """The place of a transfer while this thread has its turn there; opened anew where it was let go meanwhile."""
        while True:
            place = self._place(transfer)
            with turn(place):
                if not place.gone:
                    yield place
                    return

    def _alone(self, transfer: Transfer) -> AbstractContextManager[PushedPackage]:
        return self._at(transfer, PushedPackage.alone)

    def _goes_on(self, transfer_id: str) -> bool:
        """Whether the receiver of what did not land goes on: asked after its fault, which is noted before it is told.

        An older copy of the transfer may not know of it yet.
        """
        return not self._desk.book.get(transfer_id).error

    def _lands(self, place: PushedPackage, transfer_id: str) -> Transfer:
        """The transfer after its package landed; where that takes longer than a moment, as it stands meanwhile.

        Raises what kept it from landing.
        """
        begun = place.lands is None
        if place.fault is not None and self._goes_on(transfer_id):
            place.go_on()
        lands = place.land(partial(self._land, transfer_id, place))
        if not wait([lands], _WAIT if begun else 0.0).done:
            transfer = self._desk.book.get(transfer_id)
            return replace(transfer, state=State.VERIFYING) if transfer.state in MOVING else transfer
        place.heard = True
        return lands.result()

    def _land(self, transfer_id: str, place: PushedPackage) -> Transfer:
        """Everything is here: whole files proven, landed, stated."""
        receiving = place.receiving
        try:
            if receiving.landed is None and not place.gone:
                if self._desk.book.get(transfer_id).state is State.FAILED:
                    receiving.step(State.TRANSFERRING)
                if not receiving.arrival.published and receiving.judged():
                    receiving.follow()
                else:
                    landed = receiving.finish()
                    with self._lock:
                        self._places.pop(landed.id, None)
                    receiving.arrival.remove()
        except Exception as error:
            if receiving.plan is not None and not receiving.whole:  # the disk lost some: it comes again
                receiving.follow()
            told = (
                error
                if isinstance(error, DiademError)
                else Unreachable(f"it could not be stored: {type(error).__name__}")
            )
            note_fault(self._desk, transfer_id, told)
            raise
        return receiving.landed or self._desk.book.get(transfer_id)

    @contextmanager
    def _noting(self, transfer_id: str) -> Iterator[None]:
        """Say in the book what goes wrong; a leaf that came wrong is asked for again, and no failure yet."""
        try:
            yield
        except (DigestMismatch, NotFound):
            raise
        except DiademError as error:
            note_fault(self._desk, transfer_id, error)
            raise


def _require_open(place: PushedPackage) -> None:
    if place.receiving.landed is not None or place.lands is not None:
        raise Lands("the package has arrived")


def _wanted(place: PushedPackage, plan: WindowPlan) -> dict[str, Any]:
    """Which windows are wanted, and of those of which some is here, what."""
    proven, begun, wanted = place.receiving.arrival.marks.proven, list[list[int]](), set[int]()
    for window in missing_windows(plan, proven):
        wanted.add(window)
        found = missing_runs(plan.spans(window), proven, plan.leaf_size)
        runs = [[window, run[0].at, run[-1].at + run[-1].length] for run in found]
        begun += runs if runs != [[window, 0, plan.size(window)]] else []
        if len(begun) >= _RUNS:
            break
    return {"windows": len(plan), "wanted": to_base64(bits_of(wanted)), "begun": begun}


def _nothing_wanted(transfer: Transfer) -> dict[str, Any]:
    return {"state": str(transfer.state), "parts": True, "windows": 0, "wanted": "", "begun": []}
