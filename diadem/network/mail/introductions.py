"""Meeting a node through a hub, while a person waits.

The nodes are not there at the same time: what is not answered is put down again from the outbox, always the same.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Final

from diadem.errors import NotFound, Refused, Unreachable
from diadem.model.peers import Peer
from diadem.model.tickets import Ticket
from diadem.network.desk import Desk
from diadem.network.mail.delivery import begin_introduction, put_introduction
from diadem.network.mail.pickup import pick_up
from diadem.network.outbox import PendingIntroduction
from diadem.network.peering import introduce, join_request
from diadem.network.routing import hub_for, hubs_among, two_hubs
from diadem.node.peers.book import peer_book
from diadem.node.peers.notes import own_hubs

#: How long a peer that is known is asked for its newest card.
_ASKED: Final = timedelta(days=14)
_NEXT: Final = "To continue, keep this running: diadem serve; or look again later: diadem transfer sync, diadem peer ls"


class NotYet(Unreachable):
    """What was asked over a hub is not answered yet. It is not lost: the answer is taken when it comes."""

    code = "not-yet"


def join(desk: Desk, ticket: Ticket, name: str, *, patience: float) -> Peer:
    """Come to know the node that made a ticket, through a hub: the same is put down as where something lies there.

    Raises
    ------
    Refused
        There is no common hub, or the ticket cannot be used.
    Unreachable
        The hub does not answer.
    NotYet
        The other node has not answered so many seconds later.
    """
    known, text = desk.outbox.introduction(ticket.node), ticket.to_text()
    try:
        if known is None or known.ticket != text or known.refused:
            hub, said = _hub_of_ticket(desk, ticket), join_request(desk.context, ticket)
            known = PendingIntroduction(ticket.node, hub.id, said, ticket.expires, text, name)
            begin_introduction(desk, known)
        elif desk.outbox.is_due_at_hub(known.id, desk.now):
            put_introduction(desk, known)
    except NotFound:
        raise NotYet(
            f"the hub accepts nothing for '{ticket.name}' with this ticket: it was used, has ended, or the hub has not"
            " heard of it yet",
            next=_NEXT,
        ) from None
    return _awaited(desk, known, ticket.name, patience)


def refresh(desk: Desk, peer: Peer, *, patience: float) -> Peer:
    """Exchange newest keys and addresses with a peer, through a hub. Raises as `join`."""
    hub = hub_for(desk, peer.id)
    pending = PendingIntroduction(peer.id, hub.id, introduce(desk.context, peer), desk.now + _ASKED)
    begin_introduction(desk, pending)
    return _awaited(desk, pending, peer.name, patience)


def _hub_of_ticket(desk: Desk, ticket: Ticket) -> Peer:
    """The hub where the node that made a ticket is met.

    Raises
    ------
    Refused
        It and this node have no hub in common.
    """
    if shared := hubs_among(desk.context, {one.node for one in ticket.hubs}):
        return shared[0]
    ours = own_hubs(desk.context, peer_book(desk.context))
    raise Refused(
        two_hubs(ticket.name, [hub.name for hub in ticket.hubs], [hub.name for hub in ours]),
        where=", ".join(url for hub in ticket.hubs for url in hub.urls) or None,
        next="Become a peer of its hub first: ask the people of the hub for a ticket."
        if ticket.hubs
        else "Ask for a ticket with an address that this node can call.",
    )


def _awaited(desk: Desk, pending: PendingIntroduction, name: str, patience: float) -> Peer:
    """The peer, once its answer came; picked up here, or by the node's service."""
    peers, until = peer_book(desk.context), time.monotonic() + patience
    hub = peers.get(pending.hub)
    while True:
        pick_up(desk, hub, wait=max(0.0, min(5.0, until - time.monotonic())))
        now = desk.outbox.introduction(pending.peer)
        if now is None or (now.ticket if pending.ticket else now.id) != (pending.ticket or pending.id):
            return peers.get(pending.peer)
        if now.refused:
            desk.outbox.remove(now.id)
            raise Refused(now.refused, next="Ask its people.")
        if time.monotonic() >= until:
            raise NotYet(f"'{name}' has not answered yet: it was asked through the hub '{hub.name}'", next=_NEXT)
        time.sleep(0.2)  # for a hub that lets nobody wait
