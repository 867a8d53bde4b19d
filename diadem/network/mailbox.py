"""The boxes at hubs: putting something sealed into another node's, and telling the hub who may put into this one's."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any, Final

from diadem.errors import DiademError, Unreachable
from diadem.model.canonical import encode
from diadem.model.carriers import CarrierFull
from diadem.model.peers import Peer
from diadem.model.routes import DIRECT
from diadem.model.tickets import FOR_PEER
from diadem.model.times import read_time
from diadem.model.transfers import new_id
from diadem.network.desk import Desk
from diadem.network.route_book import Put, route_book
from diadem.network.routing import through
from diadem.network.sealed_messages import SealedMessage, seal_message
from diadem.node.context import Context
from diadem.node.peers.book import peer_book
from diadem.node.peers.joins import joining_nodes
from diadem.node.peers.notes import own_hubs
from diadem.node.peers.tickets import tickets

#: A list is told anew so often, for a hub whose own disk was brought back from a backup.
_AGAIN: Final = timedelta(days=1)
#: Of so many nodes and tickets a list consists at most.
_NODES, _INVITATIONS = 1000, 100


def put_sealed(
    desk: Desk,
    hub: Peer,
    to: tuple[str, str],
    said: tuple[str, Any],
    *,
    about: str = "",
    seen: str = "",
    invitation: str = "",
) -> None:
    """Say something to a node over a hub.

    `to` is its id and its age recipient, `said` kind and content as `SealedMessage` has them. By `about` an answer is
    recognised ("" for what is not answered), `seen` as `Put` has it; `invitation` is the SHA-256 of the secret of the
    ticket that lets this node do so.

    Raises
    ------
    Unreachable
        The hub does not answer, or has no room.
    NotFound, Refused
        The hub takes nothing from this node for that one.
    """
    now, book = desk.now, route_book(desk.context)
    one = SealedMessage(new_id(), desk.node, to[0], now.replace(microsecond=0), *said)
    data = seal_message(one, desk.context.keys.open("online"), to[1])
    try:
        tell_hub(desk, hub)  # else what answers it would find no box
        desk.hub(hub.id).put_message(to[0], one.id, data, invitation=invitation)
    except DiademError as error:
        book.failed(to[0], through(hub), now, error.message)
        if isinstance(error, Unreachable) and not isinstance(error, CarrierFull):
            book.failed(hub.id, DIRECT, now, error.message)
        raise
    book.worked(to[0], through(hub), now)
    if about:
        book.put(Put(one.id, about, hub.id, now, seen))


def tell_hub(desk: Desk, hub: Peer) -> None:
    """Tell a hub who may put something into the own box, where it does not have that list already.

    Raises
    ------
    Unreachable, NotFound, Refused
        The hub does not answer, or does not take it.
    """
    senders, invitations, now = _senders(desk.context), _invitations(desk.context), desk.now
    digest = hashlib.sha256(encode([senders, invitations], where="box")).hexdigest()
    book = route_book(desk.context)
    told = book.told_list(hub.id)
    if told is None or told[0] != digest or told[1] + _AGAIN < now:
        desk.hub(hub.id).set_box(senders, invitations)
        book.tell_list(hub.id, digest, now)
        book.worked(hub.id, DIRECT, now)


def tell_hubs(desk: Desk) -> None:
    """Tell every hub that answers; the others are told when they are asked for messages the next time."""
    for hub in own_hubs(desk.context, peer_book(desk.context)):
        try:
            tell_hub(desk, hub)
        except DiademError as error:
            route_book(desk.context).failed(hub.id, DIRECT, desk.now, error.message)


def _senders(context: Context) -> list[str]:
    """Peers that are heard, and nodes that this one wants to meet, or that are just joining. A hub itself is called."""
    book = peer_book(context)
    known = {peer.id for peer in book.ls() if peer.speaks and not peer.is_hub}
    met = {one.peer for one in route_book(context).meetings() if not one.error}
    return sorted(known | met | joining_nodes(book, context.clock()))[:_NODES]


def _invitations(context: Context) -> list[str]:
    """Tickets that hold and were not used."""
    given = [one for one in tickets(peer_book(context)) if one.kind == FOR_PEER and not one.used_by]
    return sorted(one.hash for one in given if read_time(one.expires) > context.clock())[:_INVITATIONS]
