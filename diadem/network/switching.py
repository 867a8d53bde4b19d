"""Going on by another way, where the one that was chosen has failed for long: no new consent is needed for that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from diadem.errors import Refused
from diadem.model.peers import Peer
from diadem.model.routes import DIRECT, HUB
from diadem.model.times import read_time
from diadem.model.transfers import IN, MOVING, Transfer
from diadem.network.desk import Desk
from diadem.network.relay_book import relay_book
from diadem.network.route_book import route_book
from diadem.network.routing import AUTO, Choice, choose, failing_since, health_of, hub_for, note_silence, working_hubs
from diadem.node.peers.book import peer_book

#: A way that fails for so long is given up where there is another.
LONG: Final = timedelta(minutes=10)

#: Asks the sender for what is still missing, by another route.
Request = Callable[[Desk, Transfer, str], object]


def switch_all(desk: Desk, request: Request) -> list[Transfer]:
    """Let everything that is on its way here and does not come any more come by another way; returns what changed."""
    moving = [one for one in desk.book.all(states=MOVING) if one.direction == IN and one.acceptance and not one.paused]
    return [desk.book.get(one.id) for one in moving if _switched(desk, one, request)]


def _switched(desk: Desk, transfer: Transfer, request: Request) -> bool:
    found = _better(desk, transfer)
    if found is None:
        return False
    with desk.turn(transfer.id):
        try:
            request(desk, desk.book.get(transfer.id), found.route)
        except Refused:  # another process is at it just now, or it is over
            return False
        desk.book.change(transfer.id, route=found.route, error="", next=f"It continues {_by(found)}.")
    return True


def _better(desk: Desk, transfer: Transfer) -> Choice | None:
    """Another way that was offered, is allowed and has not failed lately; None while the present one may do."""
    peer = peer_book(desk.context).known(transfer.peer)
    if peer is None or transfer.route not in AUTO:
        return None
    if transfer.route == DIRECT and desk.brings(peer.id):
        note_silence(desk.context, peer)
    since = failing_since(desk.context, peer, transfer.route)
    if since is None or since + LONG > desk.now:
        return _other_hub(desk, transfer, peer)
    try:
        found = choose(desk, transfer)
    except Refused:
        return None
    fails = failing_since(desk.context, peer, found.route) is not None
    return None if found.route == transfer.route or fails else found


def _other_hub(desk: Desk, transfer: Transfer, peer: Peer) -> Choice | None:
    """Another hub in the place of one that has failed for long."""
    relay, book = relay_book(desk.context).get(transfer.id), route_book(desk.context)
    if transfer.route != HUB or relay is None or not relay.hub:
        return None
    used = hub_for(desk, peer.id, relay.hub)
    failing = health_of(book, peer, used).failing
    other = working_hubs(desk, peer.id, relay.hub)[0]
    if not failing or read_time(failing) + LONG > desk.now or health_of(book, peer, other).failing:
        return None
    return Choice(HUB, f"through the hub '{other.name}': '{used.name}' has failed since {failing}")


def _by(found: Choice) -> str:
    return found.why if found.route != DIRECT else f"by the direct route: {found.why.removeprefix('direct: ')}"
