"""Meeting a node through a hub while a person waits: a while, for the other side may not be there now."""

from __future__ import annotations

import time

from diadem.errors import NotFound, Refused, Unreachable
from diadem.model.peers import Peer
from diadem.model.tickets import Ticket
from diadem.network.desk import Desk
from diadem.network.route_book import Meeting, route_book
from diadem.network.spoke.meeting import introduce_through, join_through
from diadem.network.spoke.picking_up import pick_up
from diadem.node.peers.book import peer_book

_NEXT = "To continue, keep this running: diadem serve; or look again later: diadem transfer sync, diadem peer ls"


class NotYet(Unreachable):
    """What was asked over a hub is not answered yet. It is not lost: the answer is taken when it comes."""

    code = "not-yet"


def join(desk: Desk, ticket: Ticket, name: str, *, patience: float) -> Peer:
    """Come to know the node that made a ticket, through a hub.

    Raises
    ------
    Refused
        There is no common hub, or the ticket does not hold.
    NotYet
        It has not answered so many seconds later.
    """
    try:
        meeting = join_through(desk, ticket, name)
    except NotFound:
        raise NotYet(
            f"the hub accepts nothing for '{ticket.name}' with this ticket: it was used, has ended, or the hub has not"
            " heard of it yet",
            next=_NEXT,
        ) from None
    return _awaited(desk, meeting, ticket.name, patience)


def refresh(desk: Desk, peer: Peer, *, patience: float) -> Peer:
    """Exchange newest keys and addresses with a peer, through a hub. Raises as `join`."""
    return _awaited(desk, introduce_through(desk, peer), peer.name, patience)


def _awaited(desk: Desk, meeting: Meeting, name: str, patience: float) -> Peer:
    """The peer, once its answer came; picked up here, or by the node's service."""
    book, peers = route_book(desk.context), peer_book(desk.context)
    hub, until = peers.get(meeting.hub), time.monotonic() + patience
    while True:
        pick_up(desk, hub, wait=max(0.0, min(5.0, until - time.monotonic())))
        now = book.meeting(meeting.peer)
        if now is None or (now.ticket if meeting.ticket else now.nonce) != (meeting.ticket or meeting.nonce):
            return peers.get(meeting.peer)
        if now.error:
            book.met(now.nonce)
            raise Refused(now.error, next="Ask its people.")
        if time.monotonic() >= until:
            raise NotYet(f"'{name}' has not answered yet: it was asked through the hub '{hub.name}'", next=_NEXT)
        time.sleep(0.2)  # for a hub that lets nobody wait
