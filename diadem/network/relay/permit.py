"""Letting a hub keep sealed windows for this node: the permit without which it takes none."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from diadem.custody import statements
from diadem.errors import NotFound, Unreachable
from diadem.model.peers import Peer
from diadem.model.routes import DIRECT, HUB
from diadem.model.transfers import Transfer, ceiling
from diadem.network.desk import Desk
from diadem.network.relay.requesting import request
from diadem.network.relay_book import Relay, relay_book
from diadem.network.route_book import route_book
from diadem.network.routing import hub_for, working_hubs

#: How long after its offer has ended something may still lie there.
_FETCHING: Final = timedelta(days=60)


def permit(desk: Desk, transfer: Transfer, relay: Relay) -> Peer:
    """Let the hub between this node and the sender keep what is put down for a transfer; stated once, said each time.

    Before anything is put down it is the first common hub that answers. Where that is not the one at which the sender
    begins by itself, the sender is told.

    Returns
    -------
    Peer
        The hub.

    Raises
    ------
    Unreachable, NotFound, Refused
        There is no common hub, it does not answer, or it does not carry that.
    """
    if relay.hub:
        return _permitted(desk, transfer, relay, hub_for(desk, transfer.peer, relay.hub))
    first = hub_for(desk, transfer.peer)
    hubs = working_hubs(desk, transfer.peer, first.id)
    for hub in hubs:
        try:
            _permitted(desk, transfer, relay, hub)
        except Unreachable:
            if hub is hubs[-1]:
                raise
            continue
        if hub.id != first.id:
            with desk.turn(transfer.id):
                request(desk, transfer, HUB, hub=hub.id)
        relay_book(desk.context).use_hub(transfer.id, hub.id)
        return hub
    return first


def _permitted(desk: Desk, transfer: Transfer, relay: Relay, hub: Peer) -> Peer:
    routes = route_book(desk.context)
    try:
        desk.hub(hub.id).permit(relay.relay, _stated(desk, transfer, relay, hub))
    except Unreachable as error:
        routes.failed(hub.id, DIRECT, desk.now, error.message)
        raise
    except NotFound as error:
        raise NotFound(
            f"the hub '{hub.name}' keeps nothing from '{desk.peer_name(transfer.peer)}': it does not know both nodes",
            where=error.where,
            next="Ask its operator to confirm them (diadem peer ls), or the sender for another route.",
        ) from None
    routes.worked(hub.id, DIRECT, desk.now)
    return hub


def _stated(desk: Desk, transfer: Transfer, relay: Relay, hub: Peer) -> bytes:
    """The envelope of the permit."""
    subject = statements.relay_subject(relay.relay)
    for entry in reversed(desk.context.ledger.of_subject(subject.sha256)):
        if entry.statement.kind == "permit" and entry.statement.predicate["hub"] == hub.id:
            return bytes(entry.line)
    draft = statements.permit(
        relay.relay,
        hub=hub.id,
        sender=transfer.peer,
        recipient=desk.node,
        ceiling=ceiling(transfer.ceiling),  # what age adds is less than what is added here
        expires=transfer.expires + _FETCHING,
    )
    (entry,) = desk.context.say([draft])
    return bytes(entry.line)
