"""What is to be done for transfers now, by a verb or by the node's service: tell, fetch, tidy."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from diadem.errors import DiademError, Interrupted, NotFound, Refused, StoreError, Unreachable, UsageError
from diadem.model.ports import Listener, Progress, silent
from diadem.model.routes import DIRECT, DISK, HUB
from diadem.model.transfers import IN, LOCAL, MOVING, OUT, OVER, State, Transfer
from diadem.network.arrival import BeingFetched
from diadem.network.desk import Desk
from diadem.network.evidence import Contradicted
from diadem.network.landing import forget_arrival, place_of
from diadem.network.mail.delivery import deliver_all
from diadem.network.mail.pickup import collect
from diadem.network.pull import FetchOptions, receive_package
from diadem.network.pushing import push_package
from diadem.network.receiving import Halted
from diadem.network.relay.carriers import carrier_for, clear, to_clear
from diadem.network.relay.collect import Collecting, collect_package
from diadem.network.relay.depositing import NoMoreAllowed, deposit_package
from diadem.network.relay.permitting import permit
from diadem.network.relay.requesting import give_up
from diadem.network.relay.silence import ask_where_silent
from diadem.network.relay_book import relay_book
from diadem.network.route_book import route_book
from diadem.network.routing import is_resting, require_route
from diadem.network.serving import Serving

#: Seconds for which a person waits for something new at a carrier, before the rest is left for later.
_PATIENCE: Final = 2.0
#: Seconds between two looks at what another process fetches.
_LOOK: Final = 0.5
#: What a peer is away for, refuses or says wrongly: no fault of this node, which goes on with others as before.
_ITS_OWN: Final = (Unreachable, NotFound, Refused, UsageError, Contradicted, Interrupted)

__all__ = [
    "FetchOptions",
    "Messages",
    "Movers",
    "agreed",
    "awaited",
    "fetch_all",
    "fetched",
    "push_all",
    "tidy",
    "told",
]


def told(desk: Desk, transfer: Transfer) -> Transfer:
    """The transfer as it stands after the other side was told what it has to know, if it answers now."""
    if transfer.direction != LOCAL:
        deliver_all(desk, peer=transfer.peer, due=False)
    return desk.book.get(transfer.id)


def agreed(desk: Desk, transfer: Transfer) -> Transfer:
    """The same of one that was just accepted; its hub is told too, so that it can be put down there at once."""
    transfer = told(desk, transfer)
    relay = relay_book(desk.context).get(transfer.id)
    if relay is None or (transfer.direction, transfer.route) != (IN, HUB) or transfer.state not in MOVING:
        return transfer
    with contextlib.suppress(DiademError):  # it is said again when something is picked up
        permit(desk, transfer, relay)
    return told(desk, transfer)  # of another hub than the one at which its sender would begin


def fetched(
    desk: Desk,
    transfer: Transfer,
    options: FetchOptions,
    listener: Listener,
    *,
    by_hand: bool = False,
    stop: threading.Event | None = None,
) -> Transfer:
    """The transfer after its bytes came, where they are this node's to fetch, and the other side was told.

    Raises
    ------
    Interrupted, Unreachable, NotFound, Refused, IntegrityError, PackageError
        See `diadem.network.pull.receive_package`.
    """
    transfer = told(desk, transfer)  # no byte is given before the other side knows of the acceptance
    moving = transfer.direction == IN and transfer.state in {*MOVING, State.FAILED}
    carried = transfer.route != DIRECT
    if not moving or transfer.route == DISK or (not carried and desk.brings(transfer.peer)):
        return transfer
    if carried:
        return told(desk, collected(desk, transfer, listener, stop, by_hand=by_hand))
    routes = route_book(desk.context)
    try:
        landed = receive_package(desk, transfer.id, options, listener=listener, stop=stop)
    except Unreachable as error:
        routes.failed(transfer.peer, DIRECT, desk.now, error.message)
        raise
    routes.worked(transfer.peer, DIRECT, desk.now)
    clear(desk, transfer.peer)
    return told(desk, landed)


def awaited(
    desk: Desk, transfer: Transfer, options: FetchOptions, listener: Listener, *, by_hand: bool = False
) -> Transfer:
    """As `fetched`; where another process of this node is at it, its progress is told until it ends.

    What landed is in the catalogue then, with all its datasets.
    """
    while True:
        try:
            there = fetched(desk, transfer, options, listener, by_hand=by_hand)
        except BeingFetched:
            transfer = desk.book.get(transfer.id)
            listener(Progress("fetch", transfer.done, transfer.bytes, "by another process of this node"))
            time.sleep(_LOOK)
        else:
            desk.context.follower.enter_owed(listener)
            return there


def collected(
    desk: Desk,
    transfer: Transfer,
    listener: Listener,
    stop: threading.Event | None = None,
    *,
    wait: float = _PATIENCE,
    by_hand: bool = False,
) -> Transfer:
    """The transfer after what lies at its carrier was picked up, as much as does now.

    Raises
    ------
    Interrupted, Unreachable, NotFound, Refused, IntegrityError, PackageError
        See `diadem.network.relay.collect.collect_package`.
    """
    relay = relay_book(desk.context).get(transfer.id)
    if relay is None:
        raise Refused("no carrier was agreed for this transfer", next="Ask for a new offer.")
    allow = partial(permit, desk, transfer, relay)
    if transfer.route == HUB and not relay.hub:
        allow()
    way = Collecting(carrier_for(desk, transfer, permit=allow), relay, [relay.identity], wait=wait)
    done = collect_package(desk, transfer.id, way, listener=listener, stop=stop)
    done = ask_where_silent(desk, done, way.carrier.label, by_hand=by_hand)
    clear(desk, transfer.peer)
    return done


def _stopped(desk: Desk, transfer: Transfer, stop: threading.Event | None) -> Callable[[], bool]:
    """Whether to stop: the process ends, or the transfer takes another route."""

    def stopped() -> bool:
        return (stop is not None and stop.is_set()) or desk.book.get(transfer.id).route != transfer.route

    return stopped


def fetch_all(
    desk: Desk,
    options: FetchOptions,
    listener: Listener = silent,
    *,
    peer: str | None = None,
    stop: threading.Event | None = None,
) -> list[Transfer]:
    """Fetch everything that is accepted and not here, one after the other; what fails says why in the book.

    Each is told before the datasets of all are entered.
    """
    done = []
    for transfer in reversed(desk.book.all(peer=peer, states=MOVING)):
        if stop is not None and stop.is_set():
            break
        if transfer.direction != IN or transfer.paused:
            continue
        try:
            done.append(fetched(desk, transfer, options, listener, stop=stop))
        except Interrupted as error:
            if not isinstance(error, Halted):
                raise
            done.append(desk.book.get(transfer.id))
        except DiademError as error:
            if not isinstance(error, Unreachable | Refused):
                desk.book.change(transfer.id, error=error.message, next=error.next or "")
            done.append(desk.book.get(transfer.id))
    if done:
        desk.context.follower.enter_owed(listener)
    return done


def push_all(desk: Desk, serving: Serving, *, peer: str | None = None, stop: threading.Event | None = None) -> None:
    """Push everything that was accepted by peers that cannot fetch it; what fails says why in the book."""
    for transfer in reversed(desk.book.all(peer=peer, states=MOVING)):
        if stop is not None and stop.is_set():
            break
        carried = transfer.route != DIRECT
        if transfer.direction != OUT or transfer.paused or transfer.route == DISK:
            continue
        if not carried and not desk.pushes(transfer.peer):
            continue
        try:
            if carried:
                require_route(desk, transfer, transfer.route)
                stopped = _stopped(desk, transfer, stop)
                carrier = carrier_for(desk, transfer)
                try:
                    deposit_package(desk, serving, transfer.id, carrier, listener=silent, stop=stopped)
                except NoMoreAllowed as error:
                    give_up(desk, transfer.id, carrier.label, error)
            else:
                push_package(desk, serving, transfer.id, listener=silent, stop=stop)
        except Interrupted:
            raise
        except DiademError as error:
            desk.book.change(transfer.id, error=error.message, next=error.next or "")


def tidy(desk: Desk) -> int:
    """Remove what arrived of transfers that ended before they were received; returns how many there were."""
    removed = 0
    for transfer in desk.book.all(states=OVER - {State.CLOSED}):
        if transfer.direction != IN or not transfer.store:
            continue
        try:
            if (place_of(desk, transfer) / transfer.id).exists():
                forget_arrival(desk, transfer)
                removed += 1
        except DiademError:  # another process is at it and ends soon; or the store is away
            continue
    return removed


class _PerPeer:
    """Does something with peers, with each in a thread of its own: one that is slow or gone keeps no other waiting."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._threads: dict[str, threading.Thread] = {}
        self._faults: dict[str, Exception] = {}

    def begin(self, peers: Iterable[str], work: Callable[[str, threading.Event], None], stop: threading.Event) -> None:
        """Begin with each at which no thread is; never more at once."""
        work = partial(self._kept, work)
        for peer in peers:
            known = self._threads.get(peer)
            if known is None or not known.is_alive():
                name = f"{self._name} {peer[:12]}"
                thread = threading.Thread(target=work, args=(peer, stop), name=name, daemon=True)
                self._threads[peer] = thread
                thread.start()

    def _kept(self, work: Callable[[str, threading.Event], None], peer: str, stop: threading.Event) -> None:
        """Do it; what the peer did not cause is kept for `faults`."""
        try:
            work(peer, stop)
        except StoreError as error:
            self._faults[peer] = error
        except _ITS_OWN:  # the book says why; it is tried again
            pass
        except Exception as error:
            self._faults[peer] = error

    def faults(self) -> list[Exception]:
        """What failed since this was last asked, and is the fault of no peer: of this node's own book, log or code."""
        found = list(self._faults)
        return [self._faults.pop(peer).with_traceback(None) for peer in found]

    def settle(self, seconds: float) -> None:
        """Wait so long for those at work; the caller has set the event by which they end."""
        until = time.monotonic() + seconds
        for thread in list(self._threads.values()):
            thread.join(max(0.0, until - time.monotonic()))


class Messages(_PerPeer):
    """Hands over what is due to each peer, and asks for what waits there, as a node that serves does again and again.

    Parameters
    ----------
    desk : Desk
        Of the node that serves.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__("messages")
        self._desk = desk

    def run(self, stop: threading.Event) -> bool:
        """Begin with each peer to which something is due, or that is asked; one that has just failed rests a while.

        Raises what an earlier run failed with at this node itself.
        """
        desk, faults = self._desk, self.faults()
        due = set(desk.outbox.peers(due=desk.now))
        asked = {peer for peer in desk.polled() if not is_resting(desk.context, peer)}
        self.begin(due | asked, self._talk, stop)
        tidy(desk)
        if faults:
            raise faults[0]
        return False

    def _talk(self, peer: str, stop: threading.Event) -> None:
        desk = self._desk
        while not deliver_all(desk, peer=peer, stop=stop) and not stop.is_set():
            if not desk.outbox.waiting(due=desk.now, peer=peer):
                break
        if not stop.is_set() and peer in desk.polled():
            collect(desk, peer)


class Movers(_PerPeer):
    """Fetches and pushes what was accepted.

    Parameters
    ----------
    desk : Desk
        Of the node that serves.
    serving : Serving
        What is pushed.
    """

    def __init__(self, desk: Desk, serving: Serving) -> None:
        super().__init__("mover")
        self._desk, self._serving = desk, serving

    def run(self, stop: threading.Event) -> bool:
        """Begin with each peer that has something under way. Raises what an earlier run failed with at this node."""
        faults, moving = self.faults(), self._desk.book.all(states=MOVING)
        busy = {one.peer for one in moving if one.direction != LOCAL and not one.paused}
        self.begin(busy | {one.peer for one in to_clear(self._desk)}, self._move, stop)
        if faults:
            raise faults[0]
        return False

    def _move(self, peer: str, stop: threading.Event) -> None:
        fetch_all(self._desk, FetchOptions(), peer=peer, stop=stop)
        push_all(self._desk, self._serving, peer=peer, stop=stop)
        clear(self._desk, peer)
