"""Introductions that go over a hub: by a ticket to a node that cannot be called, and to peers that are known.

They are asked and answered by nodes that are not there at the same time: what is not answered is put down again, always
the same, because the words that people compare depend on it.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from diadem.errors import DiademError, DocumentError, IntegrityError, NotFound, Refused, StoreError, Unreachable
from diadem.model.peers import Peer, Unproven
from diadem.model.tickets import Ticket
from diadem.network.desk import Desk
from diadem.network.introductions import Introduction, Welcome
from diadem.network.mailbox import put_sealed
from diadem.network.peering import Joining, answer_join, finish_introduction, finish_join, introduce, join_request
from diadem.network.route_book import Meeting, route_book
from diadem.network.routing import hub_for, two_hubs
from diadem.network.sealed_messages import ANSWER, INTRODUCTION, WELCOME, Answer, SealedMessage, require_from
from diadem.node.peers.book import peer_book
from diadem.node.peers.cards import own_card, prove_card
from diadem.node.peers.notes import open_note, own_hubs
from diadem.trust.envelope import Envelope

#: How long a peer that is known is asked for its newest card.
_ASKED: Final = timedelta(days=14)


# -- the side that asks ----------------------------------------------------------------------------------------------


def hub_of_ticket(desk: Desk, ticket: Ticket) -> Peer:
    """The hub where the node that made a ticket is met.

    Raises
    ------
    Refused
        It and this node have no hub in common.
    """
    ours = own_hubs(desk.context, peer_book(desk.context))
    shared = sorted((hub for hub in ours if hub.id in {one.node for one in ticket.hubs}), key=lambda hub: hub.id)
    if shared:
        return shared[0]
    raise Refused(
        two_hubs(ticket.name, [hub.name for hub in ticket.hubs], [hub.name for hub in ours]),
        where=", ".join(url for hub in ticket.hubs for url in hub.urls) or None,
        next="Become a peer of its hub first: ask the people of the hub for a ticket."
        if ticket.hubs
        else "Ask for a ticket with an address that this node can call.",
    )


def join_through(desk: Desk, ticket: Ticket, name: str) -> Meeting:
    """Put an introduction with a ticket into the box of the node that made it; the same again where one lies there.

    Raises
    ------
    Refused
        There is no common hub, or the ticket cannot be used.
    Unreachable
        The hub does not answer.
    """
    book, text = route_book(desk.context), ticket.to_text()
    known = book.meeting(ticket.node)
    if known is None or known.ticket != text or known.error:
        hub = hub_of_ticket(desk, ticket)
        known = _begun(desk, join_request(desk.context, ticket), hub, ticket.expires, ticket=text, name=name)
    put_introduction(desk, known)
    return known


def introduce_through(desk: Desk, peer: Peer) -> Meeting:
    """Put this node's newest card and note into the box of a peer, and ask for its own. Raises `Unreachable`."""
    hub = hub_for(desk, peer.id)
    meeting = _begun(desk, introduce(desk.context, peer), hub, desk.now + _ASKED)
    put_introduction(desk, meeting)
    return meeting


def _begun(desk: Desk, joining: Joining, hub: Peer, ends: datetime, *, ticket: str = "", name: str = "") -> Meeting:
    meeting = Meeting(joining.nonce, joining.to, hub.id, joining.seen, joining.body, ticket, name, ends)
    route_book(desk.context).meet(meeting)
    return meeting


def put_introduction(desk: Desk, meeting: Meeting, *, seen: str = "") -> None:
    """Put an introduction down, unless it has lain there for a short while only; `seen` as `Put` has it.

    Raises
    ------
    Unreachable, Refused
        The hub does not take it.
    """
    book, peers = route_book(desk.context), peer_book(desk.context)
    if not book.is_due(meeting.nonce, desk.now):
        return
    hub = peers.get(meeting.hub)
    age, invitation = _addressed(desk, meeting)
    said = (INTRODUCTION, meeting.body.decode("utf-8"))
    about = {"about": meeting.nonce, "seen": seen}
    put_sealed(desk, hub, (meeting.peer, age), said, **about, invitation=invitation)


def _addressed(desk: Desk, meeting: Meeting) -> tuple[str, str]:
    """For whom an introduction is sealed, and by which invitation it may be put down."""
    if meeting.ticket:
        ticket = Ticket.from_text(meeting.ticket)
        return ticket.age, ticket.token_hash
    note = peer_book(desk.context).get(meeting.peer).note
    if note is None:
        raise Unreachable("it has no address, and nothing can be sealed for it", next="Ask for a new ticket.")
    return note.age, ""


def meet_again(desk: Desk, hub: Peer) -> None:
    """Put down again what nobody has answered for long, and give up what has ended."""
    book = route_book(desk.context)
    for meeting in book.meetings():
        if meeting.ends <= desk.now:
            book.met(meeting.nonce)
        elif meeting.hub == hub.id and not meeting.error:
            with contextlib.suppress(NotFound, Refused):  # the hub takes it from nobody yet
                put_introduction(desk, meeting)


# -- the side that is asked ------------------------------------------------------------------------------------------


def take_introduction(desk: Desk, hub: Peer, said: SealedMessage, envelope: Envelope) -> None:
    """Answer an introduction from anyone, in the box of who introduces itself.

    Raises
    ------
    DocumentError, Refused
        It does not prove who it is from: nobody is answered.
    """
    context, body = desk.context, said.content.encode("utf-8")
    found, _ = Introduction.from_bytes(body)
    if found.node != said.sender:
        raise DocumentError("the node that introduces itself is not the one that sealed it", where="introduction")
    card = prove_card(found.chain, said.sender)
    require_from(envelope, card.online, card.name)
    to = (said.sender, open_note(found.note, card.online, card.node).age)
    answer: tuple[str, Any]
    try:
        answer = (WELCOME, answer_join(context, body, card.online.key_id).decode("utf-8"))
    except (StoreError, Unreachable):
        raise
    except DiademError as error:
        answer = (ANSWER, refusal(said.id, error, own_card(context).decode("utf-8")).to_dict())
    put_sealed(desk, hub, to, answer)


def refusal(to: str, error: DiademError, card: str = "") -> Answer:
    """What is answered where something was refused: as a request would be, with nothing of this machine."""
    told = {"code": error.code, "message": error.message[:2000], "next": (error.next or "")[:2000]}
    return Answer(to, "refused", error.seen if isinstance(error, Unproven) else "", error=told, card=card)


# -- what is answered ------------------------------------------------------------------------------------------------


def take_welcome(desk: Desk, said: SealedMessage, envelope: Envelope) -> None:
    """Take the answer to an introduction; one that was answered before, or never made, changes nothing.

    Raises
    ------
    DocumentError, Refused, IntegrityError
        It does not prove that it is of the node that was asked; the introduction still waits.
    """
    book, reply = route_book(desk.context), said.content.encode("utf-8")
    welcome, _ = Welcome.from_bytes(reply)
    meeting = book.meeting(said.sender)
    if meeting is None or meeting.nonce != welcome.nonce:
        return
    card = prove_card(welcome.chain, said.sender)
    require_from(envelope, card.online, card.name)
    joining = Joining(meeting.peer, meeting.nonce, meeting.seen, meeting.body)
    try:
        if meeting.ticket:
            met = finish_join(desk.context, Ticket.from_text(meeting.ticket), joining, reply, meeting.name)
            if isinstance(met, Joining):
                again = replace(meeting, nonce=met.nonce, seen=met.seen, body=met.body)
                book.meet(again)
                put_introduction(desk, again)
                return
        else:
            finish_introduction(desk.context, peer_book(desk.context).get(meeting.peer), joining, reply)
    except (Refused, IntegrityError) as error:  # a person has to look at it
        book.refused(meeting.nonce, error.message)
        raise
    book.met(meeting.nonce)


def take_refusal(desk: Desk, said: SealedMessage, envelope: Envelope, answer: Answer) -> bool:
    """Take the refusal of an introduction; False where the answer is to something else."""
    book = route_book(desk.context)
    put, meeting = book.found_put(answer.to), book.meeting(said.sender)
    if not answer.card or put is None or meeting is None or put.about != meeting.nonce:
        return False
    card = prove_card(answer.card.encode("utf-8"), said.sender)
    require_from(envelope, card.online, card.name)
    shown = any(one.seen for one in book.puts(meeting.nonce))
    if answer.seen and not shown and meeting.ends > desk.now:  # it misses the proof of a checkpoint that it has
        peers = peer_book(desk.context)
        if meeting.ticket:
            joining = join_request(desk.context, Ticket.from_text(meeting.ticket), since=answer.seen)
        else:
            joining = introduce(desk.context, peers.get(meeting.peer), since=answer.seen)
        hub, invited = peers.get(meeting.hub), {"ticket": meeting.ticket, "name": meeting.name}
        put_introduction(desk, _begun(desk, joining, hub, meeting.ends, **invited), seen=answer.seen)
        return True
    book.refused(meeting.nonce, f"{answer.error.get('message', 'it was refused')}")
    return True
