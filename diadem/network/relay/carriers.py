"""The carriers of a node: which one a route means, connected when it is first used, and cleared at the end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from diadem.errors import DiademError, NotFound, Refused, Unreachable, UsageError
from diadem.hooks.offers import target
from diadem.model.carriers import VIA, via
from diadem.model.routes import HUB
from diadem.model.transfers import OVER, State, Transfer
from diadem.network.desk import Desk
from diadem.network.relay.guarded import Guarded
from diadem.network.relay.hub_carrier import HubCarrier
from diadem.network.relay.hub_evidence import keep_hub_chain
from diadem.network.relay_book import Relay, relay_book
from diadem.network.routing import hub_for
from diadem.node.config import CarrierSettings
from diadem.node.context import Context

#: Nothing of these is on its way any more.
_DONE: Final = frozenset({*OVER, State.RECEIVED})


class Connections:
    """Carriers that are connected, by their addresses; one set for all threads of a node."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], Guarded] = {}

    def get(self, context: Context, settings: CarrierSettings) -> Guarded:
        """A carrier, connected.

        Raises
        ------
        UsageError
            No plugin knows such addresses, or the plugin finds this one wrong.
        Unreachable
            Nothing answers there.
        """
        key = settings.name, settings.url
        with self._lock:
            known = self._known.get(key)
        if known is not None:
            return known
        made = connected(context, settings)  # one that hangs keeps nobody waiting who wants another
        with self._lock:
            known = self._known.setdefault(key, made)
        if known is not made:
            with contextlib.suppress(DiademError):
                made.close()
        return known

    def close(self) -> None:
        """Let go of all."""
        with self._lock:
            known, self._known = list(self._known.values()), {}
        for one in known:
            with contextlib.suppress(DiademError):
                one.close()


def connected(context: Context, settings: CarrierSettings) -> Guarded:
    """Connect to a carrier; see `Connections.get`."""
    scheme = settings.url.partition(":")[0]
    offer = next((one for one in context.tools.transports if one.scheme == scheme), None)
    if offer is None:
        known = ", ".join(sorted(f"{one.scheme}:" for one in context.tools.transports)) or "none"
        raise UsageError(f"no plugin takes packages to '{settings.url}'", next=f"Known: {known}. See: diadem plugins")
    label = f"the carrier '{settings.name}'"
    try:
        return Guarded(target(offer.connect)(settings.url), label)
    except DiademError:
        raise
    except Exception as error:
        raise UsageError(
            f"{label} cannot be connected: {type(error).__name__}: {error}", next="Tell the plugin's author."
        ) from error


def carriers_to(context: Context, peer: str) -> list[CarrierSettings]:
    """The carriers that are shared with a peer."""
    return [one for one in context.settings.carriers if one.is_shared_with(peer)]


def routes_to(context: Context, peer: str) -> tuple[str, ...]:
    """The routes by carriers that are shared with a peer."""
    return tuple(f"{VIA}{one.name}" for one in carriers_to(context, peer))


def carrier_for(
    desk: Desk, transfer: Transfer, route: str = "", *, permit: Callable[[], object] | None = None
) -> Guarded:
    """The carrier that the route of a transfer means; `permit` as `HubCarrier` has it.

    Raises
    ------
    NotFound
        This node has none of that name for this peer.
    Refused
        Nothing is carried by the route.
    UsageError, Unreachable
        It cannot be connected; or there is no hub that both nodes use.
    """
    wanted = route or transfer.route
    if wanted == HUB:
        return _hub(desk, transfer, permit)
    name = via(wanted)
    if not name:
        raise Refused(f"no carrier has the route '{wanted}'", next="See: diadem peer carrier ls")
    settings = next((one for one in carriers_to(desk.context, transfer.peer) if one.name == name), None)
    if settings is None:
        raise NotFound(
            f"this node shares no carrier '{name}' with {desk.peer_name(transfer.peer)}",
            next=f"Add it: diadem peer carrier add {name} URL",
        )
    return desk.context.once("carriers", Connections).get(desk.context, settings)


def _hub(desk: Desk, transfer: Transfer, permit: Callable[[], object] | None) -> Guarded:
    """The hub on which both sides agreed, else the first. Raises `Unreachable` where they have none in common."""
    relay = relay_book(desk.context).get(transfer.id)
    hub = hub_for(desk, transfer.peer, relay.hub if relay is not None else "")
    relay_book(desk.context).use_hub(transfer.id, hub.id)
    tally = relay_book(desk.context).tally(transfer.id, hub.id)
    return Guarded(HubCarrier(desk.hub(hub.id), tally, permit), f"the hub '{hub.name}'")


def to_clear(desk: Desk) -> list[Transfer]:
    """Transfers that are over, and of which something may lie at a carrier."""
    found = [desk.book.find(transfer) for transfer in relay_book(desk.context).all()]
    return [transfer for transfer in found if transfer is not None and transfer.state in _DONE]


def clear(desk: Desk, peer: str | None = None) -> int:
    """Remove what lies at carriers of transfers that are over; returns how many there were.

    What cannot be removed now is removed the next time.
    """
    relays, done = relay_book(desk.context), 0
    for transfer in to_clear(desk):
        relay = relays.get(transfer.id)
        if relay is not None and peer in (None, transfer.peer) and _cleared(desk, transfer, relay):
            relays.forget(transfer.id)
            done += 1
    return done


def _cleared(desk: Desk, transfer: Transfer, relay: Relay) -> bool:
    """Whether nothing of a relay lies anywhere any more, as far as this node can know."""
    folders = [partial(_end, desk, transfer, relay, route) for route in relay.routes if route != HUB]
    hubs = [partial(_end_at_hub, desk, transfer, relay, hub) for hub in relay.hubs]
    done = [_done(work) for work in (*folders, *hubs)]  # each is tried, whatever became of the others
    return all(done)


def _done(work: Callable[[], None]) -> bool:
    try:
        work()
    except (NotFound, Refused):  # it is not shared any more, or carried nothing: nothing is to be done there
        return True
    except DiademError:
        return False
    return True


def _end(desk: Desk, transfer: Transfer, relay: Relay, route: str) -> None:
    carrier_for(desk, transfer, route).end(relay.relay)


def _end_at_hub(desk: Desk, transfer: Transfer, relay: Relay, hub: str) -> None:
    """End a relay at a hub, and keep what the hub states of it beside what the other side states.

    Raises
    ------
    NotFound
        The hub is none any more, or knows nothing of it.
    Unreachable, DocumentError, Contradicted
        It does not answer, cannot say it yet, or proves nothing; that is tried again.
    """
    try:
        chain = desk.hub(hub).end(relay.relay)
    except Refused as error:  # not that it cannot say it yet, which is no refusal: whatever the reason is
        raise Unreachable(error.message) from error
    if chain:  # else it carried nothing
        keep_hub_chain(desk, transfer.id, relay.relay, hub, chain)
