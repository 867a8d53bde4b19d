"""Putting an accepted package down at a carrier, sealed: what its receiver wants and does not lie there yet."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Final, Protocol

from diadem.errors import DiademError, Interrupted, NotFound, Refused
from diadem.model.carriers import CarrierFull, ObjectName
from diadem.model.ports import Listener, Progress
from diadem.model.transfers import MOVING, OUT, State, Transfer
from diadem.network.desk import Desk
from diadem.network.memory import TRANSFERS
from diadem.network.relay.guarded import Guarded
from diadem.network.relay.pieces import pieces_of
from diadem.network.relay_book import EVERYTHING, Place, Relay, relay_book
from diadem.network.serving import Serving
from diadem.network.windows import WINDOW
from diadem.trust.sealing import SealHeader, seal_window, sealed_size

#: Windows of one transfer at once.
AT_ONCE: Final = 2
#: Stands for all pieces of a part; no object has this number.
_WHOLE: Final = 1 << 30


class Source(Protocol):
    """Where the bytes of a package come from. Safe to use from several threads."""

    def part(self, number: int) -> Iterator[bytes]:
        """A part, block by block."""

    def window(self, number: int, room: bytearray) -> bytearray:
        """A payload window, every leaf of it proven; in `room`, where nobody else looks into that."""

    def windows(self) -> int:
        """How many there are."""

    def giving(self, name: ObjectName, size: int) -> AbstractContextManager[None]:
        """While an object of so many bytes is put down; it counts once it lies there. Raises `NoMoreAllowed`."""


class Memory(Protocol):
    """Remembers what was put down; see `RelayBook`."""

    def put(self, transfer: str, name: ObjectName) -> None:
        """Note that an object lies there."""

    def what_lies(self, transfer: str) -> Mapping[Place, int]:
        """The last generation of each part and window that was put down."""


class NoMoreAllowed(Refused):
    """All that was accepted was put down, and more is wanted: what lay there was lost or spoilt."""


class Permitted:
    """A package that was accepted, as long as its receiver may have it.

    Parameters
    ----------
    desk, serving : Desk, Serving
        Of the sender.
    transfer : Transfer
        Which.
    """

    def __init__(self, desk: Desk, serving: Serving, transfer: Transfer) -> None:
        self._desk, self._serving, self._id, self._peer = desk, serving, transfer.id, transfer.peer
        self._lock = threading.Lock()
        self._giving = 0

    def _now(self) -> Transfer:
        return self._serving.permitted(self._peer, self._id)

    def part(self, number: int) -> Iterator[bytes]:
        """A part, block by block."""
        return self._serving.part_of(self._now().package, number)[1]

    def window(self, number: int, room: bytearray) -> bytearray:
        """A payload window."""
        return self._serving.proven_window(self._now().package, number, room)

    def windows(self) -> int:
        """How many there are."""
        return self._serving.windows(self._now().package)

    @contextmanager
    def giving(self, name: ObjectName, size: int) -> Iterator[None]:
        """Count it; what is asked for again counts again, so that nobody asks for ever.

        What other threads put down just now counts beforehand, so that nothing lies there beyond what was accepted.
        """
        with self._lock:
            found = self._now()
            if found.moved + self._giving + size > found.ceiling:
                raise NoMoreAllowed(
                    "more bytes would move than were accepted", next="Cancel the transfer, and send it again."
                )
            self._giving += size
        part, window, generation = name
        number = (generation << 2 | part) << 32 | window
        put = False
        try:
            yield
            put = True
        finally:
            with self._lock:  # or another thread would see it counted twice
                self._giving -= size
                if put:
                    self._desk.book.spend(self._id, -number, 0, size)


class Deposit:
    """One run of putting down what is wanted. What lies there already is not put down again.

    Parameters
    ----------
    memory : Memory
        Remembers what was put down.
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
    """

    def __init__(
        self,
        memory: Memory,
        transfer: Transfer,
        relay: Relay,
        source: Source,
        carrier: Guarded,
        wanted: Mapping[Place, int],
    ) -> None:
        self._memory, self._transfer, self._relay = memory, transfer, relay
        self._source, self._carrier, self._wanted = source, carrier, wanted
        self._lock = threading.Lock()
        self._fault: BaseException | None = None
        self._lying = dict(memory.what_lies(transfer.id))

    def run(self, listener: Listener, stop: Callable[[], bool]) -> None:
        """Put down everything that is wanted.

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
        self._look()
        for part in (0, 1):
            if self._is_part_due(part):
                self._put_part(part)
        queue = (number for number in range(windows) if self._is_due((2, number)))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            work = [pool.submit(self._work, queue, windows, listener, stop) for _ in range(AT_ONCE)]
            try:
                wait(work)
            except KeyboardInterrupt:  # each ends after the object that it is at
                self._fail(
                    Interrupted(
                        "stopped; what was written there is kept", next="Run the same command again to continue."
                    )
                )
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def _look(self) -> None:
        """What lies there though this node does not remember: it stopped before it could note that."""
        for one in self._carrier.ls(self._relay.relay):
            name = ObjectName.of(one.name)
            if name is not None and self._lying.get(name[:2], 0) < name.generation <= self._generation(name[:2]):
                self._note(name)

    def _generation(self, place: Place) -> int:
        part, window = place
        named = self._wanted.get((part, window if part == 2 else 0), 0)
        return max(named, self._wanted.get(EVERYTHING, 0))

    def _is_due(self, place: Place) -> bool:
        return self._lying.get(place, 0) < self._generation(place)

    def _is_part_due(self, part: int) -> bool:
        return self._is_due((part, _WHOLE))

    def _put_part(self, part: int) -> None:
        for number, piece in enumerate(pieces_of(self._source.part(part))):
            if self._is_due((part, number)):
                self._put((part, number), piece)
        self._note(ObjectName(part, _WHOLE, self._generation((part, 0))))

    def _work(self, queue: Iterator[int], total: int, listener: Listener, stop: Callable[[], bool]) -> None:
        size, going = min(WINDOW, self._transfer.bytes), partial(_require_going, stop)
        try:
            while (number := self._next(queue)) is not None:
                room = TRANSFERS.room(size, sealed_size(size), of=self._carrier.label, require_going=going)
                with room as (plain, sealed):
                    going()
                    self._put((2, number), self._source.window(number, plain), sealed)
                listener(Progress("put", number + 1, total, unit="windows"))
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        _let_go(error)
        with self._lock:
            self._fault = self._fault or error

    def _next(self, queue: Iterator[int]) -> int | None:
        with self._lock:
            return None if self._fault is not None else next(queue, None)

    def _put(self, place: Place, data: bytes | bytearray, room: bytearray | None = None) -> None:
        name = ObjectName(*place, self._generation(place))
        header = SealHeader(self._transfer.id, self._transfer.package, *place, len(data))
        sealed = seal_window(header, data, self._relay.recipient, room)
        with self._source.giving(name, len(data)):
            self._carrier.put(self._relay.relay, str(name), sealed)
        self._note(name)

    def _note(self, name: ObjectName) -> None:
        self._memory.put(self._transfer.id, name)
        with self._lock:
            self._lying[name[:2]] = name.generation


def _let_go(error: BaseException) -> None:
    """Let go of what the frames of an error hold, while somebody keeps it: a window, and the same sealed."""
    following: BaseException | None = error
    while following is not None:
        traceback.clear_frames(following.__traceback__)
        following = following.__cause__ or following.__context__


def _require_going(stop: Callable[[], bool]) -> None:
    if stop():
        raise Interrupted("stopped; what was written there is kept")


def deposit_package(
    desk: Desk,
    serving: Serving,
    transfer_id: str,
    carrier: Guarded,
    *,
    listener: Listener,
    stop: Callable[[], bool] = lambda: False,
) -> Transfer:
    """Put down what the receiver of an accepted package wants; it says itself when it is received.

    Raises
    ------
    Unreachable, NotFound, Refused, StoreError
        See `Deposit.run`. A carrier that is full, or does not answer, is tried again later.
    """
    transfer, relays = desk.book.get(transfer_id), relay_book(desk.context)
    if transfer.direction != OUT or transfer.state not in MOVING:
        raise Refused(f"the transfer is {transfer.state}: there is nothing to send", next="See: diadem transfer ls")
    relay = relays.get(transfer.id)
    if relay is None:
        raise NotFound("its acceptance names no place to write it to", next="Cancel it, and offer the package again.")
    deposit = Deposit(relays, transfer, relay, Permitted(desk, serving, transfer), carrier, relays.asked(transfer.id))
    try:
        deposit.run(listener, stop)
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
