"""What is done for transfers now, for one or for all: messages out and in, bytes in and out, what is left tidied.

A verb does it once, `diadem transfer sync` goes one round, and a node that serves goes round and round, by its jobs.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from diadem.errors import DiademError, Interrupted, Refused, Unreachable
from diadem.model.display import Display
from diadem.model.peers import PeerState
from diadem.model.ports import Listener, Progress, silent
from diadem.model.routes import DIRECT, DISK, HUB
from diadem.model.transfers import IN, LOCAL, MOVING, OUT, OVER, State, Transfer
from diadem.network.arrival import BeingFetched
from diadem.network.desk import Desk
from diadem.network.errands import TOGETHER
from diadem.network.landing import forget_arrival, place_of
from diadem.network.mail.delivery import deliver_all
from diadem.network.mail.exchange import exchange
from diadem.network.pull import FetchOptions, receive_package
from diadem.network.push import push_package
from diadem.network.receiving import Halted
from diadem.network.relay.carriers import carrier_for, clear
from diadem.network.relay.collect import Collecting, collect_package
from diadem.network.relay.deposit import deposit_package
from diadem.network.relay.permit import permit
from diadem.network.relay.requesting import give_up, request
from diadem.network.relay.silence import ask_where_silent
from diadem.network.relay_book import relay_book
from diadem.network.route_book import route_book
from diadem.network.routing import require_route
from diadem.network.source import NoMoreAllowed, Sources
from diadem.node.peers.book import peer_book

_LOG: Final = logging.getLogger("diadem.network")
#: Seconds for which a person waits for something new at a carrier, before the rest is left for later.
_PATIENCE: Final = 2.0
#: Seconds between two looks at what another process fetches.
_LOOK: Final = 0.5


# -- one transfer ------------------------------------------------------------------------------------------------------


def tell(desk: Desk, transfer: Transfer) -> Transfer:
    """The transfer as it stands after the other side was told what it has to know, if it answers now."""
    if transfer.direction != LOCAL:
        deliver_all(desk, transfer.peer, due=False)
    return desk.book.get(transfer.id)


def tell_acceptance(desk: Desk, transfer: Transfer) -> Transfer:
    """The same of one that was just accepted; its hub is told too, so that it can be put down there at once."""
    transfer = tell(desk, transfer)
    relay = relay_book(desk.context).get(transfer.id)
    if relay is None or (transfer.direction, transfer.route) != (IN, HUB) or transfer.state not in MOVING:
        return transfer
    with contextlib.suppress(DiademError):  # it is said again when something is picked up
        permit(desk, transfer, relay)
    return tell(desk, transfer)  # of another hub than the one at which its sender would begin


def fetch(
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
    transfer = tell(desk, transfer)  # no byte is given before the other side knows of the acceptance
    if transfer.direction != IN or transfer.state not in {*MOVING, State.FAILED} or not fetches(desk, transfer):
        return transfer
    if transfer.route != DIRECT:
        return tell(desk, fetch_carried(desk, transfer, listener, stop, by_hand=by_hand))
    routes = route_book(desk.context)
    try:
        landed = receive_package(desk, transfer.id, options, listener=listener, stop=stop)
    except Unreachable as error:
        routes.failed(transfer.peer, DIRECT, desk.now, error.message)
        raise
    routes.worked(transfer.peer, DIRECT, desk.now)
    landed = tell(desk, landed)  # before anything waits for a carrier by which it began to come
    if stop is None:  # a node that serves does that by itself
        clear(desk, transfer.peer)
    return landed


def fetches(desk: Desk, transfer: Transfer) -> bool:
    """Whether this node fetches what it has accepted: no disk brings it, nor its sender."""
    return transfer.route != DISK and (transfer.route != DIRECT or not desk.brings(transfer.peer))


def fetch_or_wait(
    desk: Desk, transfer: Transfer, options: FetchOptions, listener: Listener, *, by_hand: bool = False
) -> Transfer:
    """As `fetch`; where another process of this node is at it, its progress is told until it ends.

    What landed is in the catalogue then, with all its datasets.
    """
    with then_entered(desk, listener):
        while True:
            try:
                return fetch(desk, transfer, options, listener, by_hand=by_hand)
            except BeingFetched:
                transfer = desk.book.get(transfer.id)
                listener(Progress("fetch", transfer.done, transfer.bytes, "by another process of this node"))
                time.sleep(_LOOK)


@contextlib.contextmanager
def then_entered(desk: Desk, listener: Listener) -> Iterator[None]:
    """Enter the datasets of what has landed meanwhile, also where somebody could not be told of it."""
    try:
        yield
    except Interrupted:
        raise
    except DiademError:
        with contextlib.suppress(DiademError):  # what failed first is told
            desk.context.follower.try_owed(listener)
        raise
    desk.context.follower.try_owed(listener)


def fetch_carried(
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
    if stop is None:
        clear(desk, transfer.peer)
    return done


def _require_going(desk: Desk, transfer: Transfer, stop: threading.Event | None) -> None:
    """Raise where no more of it is to be sent: `Interrupted` with this process, `Halted` where it goes on later."""
    if stop is not None and stop.is_set():
        raise Interrupted("the transfer was stopped; what was sent is kept")
    if not _is_going(desk, transfer):
        raise Halted("the transfer is over, or goes on later or by another route; what was sent is kept")


def _is_going(desk: Desk, transfer: Transfer) -> bool:
    """Whether a transfer is still to move as it was."""
    known = desk.book.get(transfer.id)
    return known.state in MOVING and not known.paused and known.route == transfer.route


# -- all of them -------------------------------------------------------------------------------------------------------


def fetch_all(
    desk: Desk,
    options: FetchOptions,
    listener: Listener = silent,
    *,
    peer: str | None = None,
    route: str | None = None,
    stop: threading.Event | None = None,
) -> list[Transfer]:
    """Fetch everything that is accepted and not here, one after the other; what fails says why in the book.

    Each is told before the datasets of all are entered.
    """
    done = []
    for transfer in reversed(desk.book.all(peer=peer, states=MOVING)):
        if stop is not None and stop.is_set():
            break
        if transfer.direction != IN or transfer.paused or route not in (None, transfer.route):
            continue
        try:
            done.append(fetch(desk, transfer, options, listener, stop=stop))
        except Interrupted as error:
            if not isinstance(error, Halted):
                raise
            done.append(desk.book.get(transfer.id))
        except DiademError as error:
            if not isinstance(error, Unreachable | Refused):
                desk.book.change(transfer.id, error=error.message, next=error.next or "")
            done.append(desk.book.get(transfer.id))
    if done:
        desk.context.follower.try_owed(listener)
    return done


def push_all(
    desk: Desk,
    sources: Sources,
    *,
    peer: str | None = None,
    route: str | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Push everything that was accepted by peers that cannot fetch it; what fails says why in the book."""
    for transfer in reversed(desk.book.all(peer=peer, states=MOVING)):
        if stop is not None and stop.is_set():
            break
        carried = transfer.route != DIRECT
        if transfer.direction != OUT or transfer.paused or transfer.route == DISK:
            continue
        if route not in (None, transfer.route):
            continue
        if not carried and not desk.pushes(transfer.peer):
            continue
        going = partial(_require_going, desk, transfer, stop)
        try:
            if carried:
                require_route(desk, transfer, transfer.route)
                carrier = carrier_for(desk, transfer)
                try:
                    deposit_package(
                        desk,
                        sources,
                        transfer.id,
                        carrier,
                        route=transfer.route,
                        listener=silent,
                        require_going=going,
                    )
                except NoMoreAllowed as error:
                    give_up(desk, transfer.id, carrier.label, error)
            else:
                push_package(desk, sources, transfer.id, listener=silent, require_going=going)
        except Halted:
            continue
        except Interrupted:
            raise
        except DiademError as error:
            if _is_going(desk, transfer):  # else that is why
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
        except (DiademError, OSError):  # another process is at it and ends soon; or the store is away, or stale
            continue
    return removed


# -- a round -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Synced(Display):
    """What one round did.

    Attributes
    ----------
    came : int
        Messages that came.
    waiting : int
        Messages that the other side has not answered yet.
    moved : sequence of Transfer
        Transfers whose bytes were to move, as they stand now.
    trouble : sequence of str
        Who did not answer, and what went wrong.
    pending : sequence of str
        Names of the nodes that wait to be confirmed here.
    """

    came: int
    waiting: int
    moved: Sequence[Transfer]
    trouble: Sequence[str]
    pending: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        moved = [one.to_dict() for one in self.moved]
        lists = {"trouble": list(self.trouble), "pending": list(self.pending)}
        return {"came": self.came, "waiting": self.waiting, "moved": moved, **lists}


def sync(desk: Desk, *, max_rate: float | None = None, listener: Listener = silent) -> Synced:
    """Messages out and in, bytes in and out, and once more messages: what was received is told at once."""
    from diadem.network.notes_told import tell_notes
    from diadem.network.peer_verbs import PeerVerbs
    from diadem.network.source import sources_of
    from diadem.network.switching import switch_all

    tell_notes(PeerVerbs(desk.context, patience=0.0))
    came, trouble = exchange(desk, TOGETHER, strict=True)
    switch_all(desk, request)
    moving = [one.id for one in desk.book.all(states=MOVING) if not one.paused]
    fetch_all(desk, FetchOptions(max_rate=max_rate), listener)
    push_all(desk, sources_of(desk.context))
    clear(desk)
    if moving:
        more, again = exchange(desk, TOGETHER, strict=True)
        came, trouble = came + more, [*trouble, *again]
    clear(desk)
    tidy(desk)  # last: a store may hang
    moved = [desk.book.get(one) for one in moving]
    trouble = [*trouble, *(f"transfer {one.id[:8]}: {one.error}" for one in moved if one.error)]
    pending = [peer.name for peer in peer_book(desk.context).ls() if peer.state is PeerState.PENDING]
    return Synced(came, len(desk.outbox.waiting()), moved, tuple(dict.fromkeys(trouble)), pending)
