"""Putting an accepted package down at a carrier, sealed: what its receiver wants and does not lie there yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final

from diadem.errors import DiademError, Interrupted, NotFound, Refused
from diadem.model.carriers import CarrierFull, ObjectName
from diadem.model.ports import Listener, Progress
from diadem.model.transfers import MOVING, OUT, State, Transfer
from diadem.network.crew import ThreadCrew
from diadem.network.desk import Desk
from diadem.network.memory import SENT, TRANSFERS
from diadem.network.relay.guarded import Guarded
from diadem.network.relay.pieces import PIECE, pieces_of
from diadem.network.relay_book import EVERYTHING, Place, Relay, RelayBook, relay_book
from diadem.network.source import Source, Sources
from diadem.network.windows import WINDOW
from diadem.trust.sealing import SealHeader, seal_window, sealed_size

#: Windows of one transfer at once.
AT_ONCE: Final = 2
#: Seconds that an object gets which is on its way where it ends early: it would have to go once more.
_PATIENCE: Final = 60.0
#: Stands for all pieces of a part; no object has this number.
_WHOLE: Final = 1 << 30


class Deposit:
    """One run of putting down what is wanted. What lies there already is not put down again.

    Parameters
    ----------
    transfer : Transfer
        Which.
    relay : Relay
        Where, and what to seal to.
    source : Source
        The bytes.
    carrier : Guarded
        Who takes them.
    wanted : mapping of (int, int) to int
        Generation of each part and window; see `RelayBook.asked`.
    book : RelayBook, optional
        Remembers what was put down; without it the carrier alone does.
    """

    def __init__(
        self,
        transfer: Transfer,
        relay: Relay,
        source: Source,
        carrier: Guarded,
        wanted: Mapping[Place, int],
        book: RelayBook | None = None,
    ) -> None:
        self._transfer, self._relay = transfer, relay
        self._source, self._carrier, self._wanted, self._book = source, carrier, wanted, book
        self._lock = threading.Lock()
        self._lying = dict(book.what_lies(transfer.id)) if book is not None else {}
        #: Objects that were put down.
        self.done = 0

    def run(self, listener: Listener, require_going: Callable[[], object] = lambda: None) -> None:
        """Put down everything that is wanted. `require_going` raises why it is to end, before each object.

        Raises
        ------
        CarrierFull
            There is no room for more now.
        NotFound, Refused
            The receiver may have no more of it, or the transfer is paused.
        Unreachable
            The carrier does not answer.
        StoreError
            No copy gives the bytes.
        """
        windows = self._source.windows()
        if not any(self._is_part_due(part) for part in (0, 1)) and not any(
            self._is_due((2, number)) for number in range(windows)
        ):
            return
        require_going()
        self._look()
        for part in (0, 1):
            if self._is_part_due(part):
                self._put_part(part, require_going)
        size = min(WINDOW, self._transfer.bytes)
        crew = ThreadCrew("deposit", AT_ONCE, check=require_going, patience=_PATIENCE)

        def put(number: int) -> None:
            room = TRANSFERS.room(
                size, sealed_size(size), of=self._carrier.label, use=SENT, require_going=crew.require_going
            )
            with room as (plain, sealed):
                crew.require_going()
                self._put((2, number), self._source.proven_window(number, plain), sealed)
            listener(Progress("put", number + 1, windows, unit="windows"))

        try:
            crew.each((number for number in range(windows) if self._is_due((2, number))), put)
        except KeyboardInterrupt:  # each has ended after the object that it was at
            raise Interrupted(
                "stopped; what was written there is kept", next="Run the same command again to continue."
            ) from None

    def _look(self) -> None:
        """What lies there though this node does not remember: it stopped, or was not answered, before it noted that."""
        for one in self._carrier.ls(self._relay.relay):
            name = ObjectName.of(one.name)
            if name is not None and self._lying.get(name[:2], 0) < name.generation <= self._generation(name[:2]):
                most = PIECE if name.part < 2 else min(WINDOW, self._transfer.bytes)
                self._source.gave(name, min(one.size, most))
                self._note(name)

    def _generation(self, place: Place) -> int:
        part, window = place
        named = self._wanted.get((part, window if part == 2 else 0), 0)
        return max(named, self._wanted.get(EVERYTHING, 0))

    def _is_due(self, place: Place) -> bool:
        return self._lying.get(place, 0) < self._generation(place)

    def _is_part_due(self, part: int) -> bool:
        return self._is_due((part, _WHOLE))

    def _put_part(self, part: int, require_going: Callable[[], object]) -> None:
        _, blocks = self._source.part(part)
        for number, piece in enumerate(pieces_of(blocks)):
            require_going()
            if self._is_due((part, number)):
                self._put((part, number), piece)
        self._note(ObjectName(part, _WHOLE, self._generation((part, 0))))

    def _put(self, place: Place, data: bytes | bytearray, room: bytearray | None = None) -> None:
        name = ObjectName(*place, self._generation(place))
        header = SealHeader(self._transfer.id, self._transfer.package, *place, len(data))
        sealed = seal_window(header, data, self._relay.recipient, room)
        with self._source.giving(name, len(data)):
            self._carrier.put(self._relay.relay, str(name), sealed)
        self._note(name)
        with self._lock:
            self.done += 1

    def _note(self, name: ObjectName) -> None:
        if self._book is not None:
            self._book.put(self._transfer.id, name)
        with self._lock:
            self._lying[name[:2]] = name.generation


def deposit_package(
    desk: Desk,
    sources: Sources,
    transfer_id: str,
    carrier: Guarded,
    *,
    route: str,
    listener: Listener,
    require_going: Callable[[], object] = lambda: None,
) -> Transfer:
    """Put down what the receiver of an accepted package wants; it says itself when it is received.

    `route` is the one that the carrier is of, whatever the transfer takes by now: by that it counts what goes.

    Raises
    ------
    Unreachable, NotFound, Refused, StoreError
        See `Deposit.run`. A carrier that is full, or does not answer, is tried again later.
    """
    transfer, relays = desk.book.get(transfer_id), relay_book(desk.context)
    if transfer.direction != OUT or transfer.state not in MOVING:
        raise Refused(
            f"the transfer is {transfer.state.word}: there is nothing to send", next="See: diadem transfer ls"
        )
    relay = relays.get(transfer.id)
    if relay is None:
        raise NotFound("its acceptance names no place to write it to", next="Cancel it, and offer the package again.")
    try:
        source = sources.of(transfer.peer, transfer.id, route)
        Deposit(transfer, relay, source, carrier, relays.asked(transfer.id), relays).run(listener, require_going)
    except CarrierFull as error:
        desk.book.change(
            transfer.id, error=error.message, next="It continues when the recipient has picked something up."
        )
        return desk.book.get(transfer.id)
    except DiademError:
        _step(desk, transfer.id)
        raise
    if desk.book.get(transfer.id).error:
        desk.book.change(transfer.id, error="", next="")
    _step(desk, transfer.id)
    return desk.book.get(transfer.id)


def _step(desk: Desk, transfer: str) -> None:
    """Bytes move, from the first one on."""
    with desk.turn(transfer):
        now = desk.book.get(transfer)
        if now.state is State.ACCEPTED and now.moved:
            desk.book.step(transfer, State.TRANSFERRING, desk.now)
