"""How two nodes come to know each other, and follow each other's keys: what is said, and what it changes; no HTTP.

The ticket carries the inviting node's id, so the joining side knows whom it meets and needs no more. The inviting side
knows only that somebody has the ticket: the joining node stays *pending* until a person has compared the words, unless
the ticket was made for its id. It introduces itself twice, so that nobody chooses words (`diadem.node.peers.joins`).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from diadem.errors import DocumentError, Refused, UsageError
from diadem.model.display import Display
from diadem.model.peers import EndpointNote, Peer, PeerState
from diadem.model.tickets import FOR_PEER, Ticket, hash_token
from diadem.model.times import time_text
from diadem.model.transfers import new_id
from diadem.network.envelope import BEGUN, Introduction, Mail, Welcome
from diadem.network.route_book import route_book
from diadem.node.config import checked_name
from diadem.node.context import Context
from diadem.node.peers.book import PeerBook, peer_book, peer_draft, say_refused
from diadem.node.peers.cards import NodeCard, own_card, prove_card, proven_card, require_in_force, take, take_card
from diadem.node.peers.joins import Join, answer_kept, commitment, find_join, finish, keep_join
from diadem.node.peers.notes import endpoint_note, open_note
from diadem.node.peers.tickets import Bearer, GivenTicket, TicketRefused, is_ticket, unknown_ticket, use_ticket
from diadem.trust.hashing import sha256_hex


def signed(context: Context, to: str, said: Introduction | Welcome) -> bytes:
    """The envelope in which this node says it to another that can be called."""
    return Mail(new_id(), context.settings.id, to, context.clock(), said).to_line(context.keys.open("online"))


def join_request(context: Context, ticket: Ticket, *, since: str = "") -> Introduction:
    """What the joining node sends next to the one that made the ticket; raises as `require_usable`.

    It is the same join, however often it is asked. With a checkpoint that the other has of this log, it shows that
    the log still begins so.
    """
    require_usable(context, ticket)
    own, number = (context.settings.id, context.keys.open("online").public.to_text()), secrets.token_hex(16)
    bound = commitment(inviter=ticket.node, joiner=own, token_hash=ticket.token_hash, number=number)
    with peer_book(context).file.writing() as connection:
        join = keep_join(connection, Join(ticket.token_hash, ticket.node, own[0], "", own[1], bound, "", number))
    return _introduction(context, ticket.node, ticket.token, join, since=since)


def require_usable(context: Context, ticket: Ticket) -> None:
    """That this node may join by a ticket, as far as the ticket itself says.

    Raises
    ------
    UsageError
        The ticket is for a user, or this node's own.
    Refused
        It has ended, or is for another node.
    """
    if ticket.kind != FOR_PEER:
        raise UsageError("this ticket is for a person, not for a node", next="Use it with: diadem login TICKET")
    if ticket.node == context.settings.id:
        raise UsageError("this ticket was made by this node", next="Give it to the other node's people.")
    if ticket.for_ and ticket.for_ != context.settings.id:
        raise Refused("this ticket is for another node", next="Ask for one of your own.")
    if ticket.expires <= context.clock():
        raise Refused(f"this ticket ended on {time_text(ticket.expires)}", next="Ask for a new one.")


def introduce(context: Context, peer: Peer, *, since: str = "") -> Introduction:
    """What a node sends to a peer that knows it: its newest card and note; `since` as for `join_request`."""
    return _introduction(context, peer.id, since=since)


def _introduction(
    context: Context, to: str, token: str = "", join: Join | None = None, *, since: str = ""
) -> Introduction:
    """An introduction; of a join its number goes only when the other's number is kept."""
    book = peer_book(context)
    card, note = own_card(context, since=since), endpoint_note(context, book)
    return Introduction(
        secrets.token_hex(16),
        card.decode("utf-8"),
        note.decode("utf-8"),
        seen=book.checkpoint(to),
        token=token,
        commitment=join.commitment if join is not None else "",
        number=join.joiner_number if join is not None and join.inviter_number else "",
    )


# -- the side that is asked ----------------------------------------------------------------------------------------


def answer_join(context: Context, body: bytes, signer: str = "") -> bytes:
    """Answer an introduction from anyone, as it was handed over.

    Parameters
    ----------
    context : Context
        The node.
    body : bytes
        What `signed` made of an introduction.
    signer : str
        Id of the key that signed the request which brought it, if one did: it must be the one that introduces itself.

    Raises
    ------
    DocumentError
        It does not prove what it says.
    Refused
        The ticket does not hold, this node knows no such peer, or the card is an old one.
    Unproven
        The card does not show that the log still begins as in the checkpoint that is kept of it: it can.
    UsageError
        The node calls itself as this one does, and no other name was given to it.
    """
    mail = Mail.from_line(body)
    if mail.recipient != context.settings.id:
        raise Refused("this introduction is for another node", next="Use the address in the ticket.")
    return signed(context, mail.sender, answer_introduction(context, mail, signer))


def answer_introduction(context: Context, mail: Mail, signer: str = "") -> Welcome:
    """What is answered to an introduction that is for this node; raises as `answer_join`."""
    said = mail.content
    if not isinstance(said, Introduction):
        raise _fault("it is no introduction")
    _require_expected(context, mail.sender, said)
    card = prove_card(said.card, mail.sender)
    _require_signed(mail, card)
    if signer and signer != card.online.key_id:
        raise DocumentError("the request is not signed by the key that introduces itself", where="introduction")
    note = open_note(said.endpoint, card.online, card.node)
    number, state = "", BEGUN
    if said.token:
        number = _joined(context, said, card, note)
    else:
        take_card(context, _known(context, card.node, card.online.key_id), said.card, said.endpoint)
    if said.number or not said.token:
        state = str(peer_book(context).get(card.node).state)
    own, endpoint = own_card(context, since=said.seen), endpoint_note(context, peer_book(context))
    if state != BEGUN:
        _told(context, card.node, endpoint)
    return Welcome(said.nonce, own.decode("utf-8"), endpoint.decode("utf-8"), state=state, number=number)


def _require_signed(mail: Mail, card: NodeCard) -> None:
    """That the online key which a chain proves has signed what it came with."""
    if not mail.is_signed(card.online):
        raise _fault("it is not signed by the online key of the node that it names")


def _fault(message: str) -> DocumentError:
    return DocumentError(message, where="introduction", next="Update DIADEM on both sides, and try again.")


def _require_expected(context: Context, node: str, said: Introduction) -> None:
    """That the ticket was given out, or the node is known: anybody can send a card, and to prove one takes a while."""
    if not said.token:
        _known(context, node)
    elif not is_ticket(peer_book(context), hash_token(said.token), FOR_PEER):
        raise unknown_ticket()


def _known(context: Context, node: str, key_id: str = "") -> Peer:
    peer = peer_book(context).known(node)
    if peer is None or peer.state is PeerState.DROPPED or key_id in peer.stolen:
        raise unknown_ticket()
    return peer


def _joined(context: Context, said: Introduction, card: NodeCard, note: EndpointNote) -> str:
    """This node's number for the words with one that came with a ticket; pinned is one that has revealed its own."""
    book = peer_book(context)
    with context.locked("peers"):
        before = book.known(card.node)
        if before is not None:
            card = proven_card(context, book, before, said.card)
        require_in_force(context, card, note)
        ticket, join = _used(context, book, said, card)
        first = not join.joiner_number
        if before is not None and before.state is PeerState.DROPPED and not first:
            raise unknown_ticket()  # it was dropped after it had used the ticket
        if not said.number:
            return join.inviter_number
        if not join.commits(said.number):
            raise Refused(
                "this is not the number for the words to which the node had committed itself",
                where="introduction",
                next="Ask for a new ticket, and join with it.",
            )
        join = replace(join, joiner_number=said.number)
        name = before.name if before else book.free_name(ticket.name or card.name, card.node, context.settings.name)
        peer = _pinned(context, card, before, name)
        if peer.state is PeerState.PENDING:
            peer = replace(peer, words=join.words)
        drafts = [] if before is not None and not first else [peer_draft(peer, "pinned")]
        if peer.state is PeerState.PENDING and ticket.for_node == card.node and first:
            peer = replace(peer, state=PeerState.CONFIRMED)
            drafts.append(peer_draft(peer, "confirmed", by=ticket.by_user, reason="the ticket was made for its id"))
        if drafts:
            context.say(drafts)
        take(context, book, peer, card, (said.endpoint, note))
        finish(book, join)
        return join.inviter_number


def _used(context: Context, book: PeerBook, said: Introduction, card: NodeCard) -> tuple[GivenTicket, Join]:
    """The ticket, used, and the join by it; that a second node came with it is logged, once a ticket."""
    bearer, hash_ = Bearer(card.node, card.name), hash_token(said.token)
    own, number = (context.settings.id, context.keys.open("online").public.to_text()), secrets.token_hex(16)
    join = Join(hash_, own[0], card.node, own[1], card.online.to_text(), said.commitment, number, "")
    try:
        ticket = use_ticket(book, hash_, FOR_PEER, bearer, context.clock(), join=join)
    except TicketRefused as error:
        if error.ticket is not None and not error.ticket.refused_by:
            action = "came with a ticket that is not valid for it"
            say_refused(context, card.node, action, actor=card.name, reason=error.message)
        raise
    with book.file.reading() as connection:
        return ticket, find_join(connection, hash_) or join


def _pinned(context: Context, card: NodeCard, before: Peer | None, name: str) -> Peer:
    """A peer whose card is proven: pending, unless a person has confirmed it before."""
    if before is not None:
        dropped = before.state is PeerState.DROPPED
        return replace(before, name=name, state=PeerState.PENDING, reason="") if dropped else before
    return Peer(
        card.node,
        name,
        PeerState.PENDING,
        card.name,
        card.online.to_text(),
        card.log.to_text(),
        card.online.key_id,
        card.version,
        card.expires,
        since=time_text(context.clock()),
    )


# -- the side that asks --------------------------------------------------------------------------------------------


def finish_join(
    context: Context, ticket: Ticket, said: Introduction, reply: Mail, name: str = ""
) -> Peer | Introduction:
    """Pin the node that made the ticket, by its second answer; after the first, what is to be sent next.

    Parameters
    ----------
    context : Context
        The node.
    ticket : Ticket
        It carries the id: the node is confirmed on this side.
    said : Introduction
        What was sent.
    reply : Mail
        From anyone.
    name : str
        What the other node is to be called here; "" for what it calls itself.

    Raises
    ------
    DocumentError
        The answer does not prove that it is of the ticket's node.
    UsageError
        The node calls itself as this one does.
    """
    book = peer_book(context)
    with context.locked("peers"):
        before = book.known(ticket.node)
        welcome, card, note = _welcomed(context, book, ticket.node, said, reply)
        if (welcome.state == BEGUN) != (not said.number):
            raise DocumentError("the answer belongs to another question", where="introduction", next="Try again.")
        join = answer_kept(book, ticket.token_hash, card.online.to_text(), welcome.number)
        if join is None or not welcome.number or welcome.number != join.inviter_number:
            raise Refused(
                f"the node '{card.name}' sent a different number for the words before: somebody may be between you",
                where="introduction",
                next="Ask its people by telephone for a new ticket.",
            )
        if not said.number:
            return _introduction(context, ticket.node, ticket.token, join)
        if name or before is None:
            called = book.free_name(checked_name(name or card.name, "peer"), card.node, context.settings.name)
        else:
            called = before.name
        peer = replace(_pinned(context, card, before, called), name=called, seen_as=welcome.state, words=join.words)
        drafts = [] if before is not None and before.state is not PeerState.DROPPED else [peer_draft(peer, "pinned")]
        if peer.state is PeerState.PENDING:
            peer = replace(peer, state=PeerState.CONFIRMED, reason="")
            more = {"by": context.address, "reason": "its ticket carries its id"}
            drafts.append(peer_draft(peer, "confirmed", **more))
        if drafts:
            context.say(drafts)
        _told(context, peer.id, said.endpoint)
        return take(context, book, peer, card, note)


def finish_introduction(context: Context, peer: Peer, said: Introduction, reply: Mail) -> Peer:
    """Take what a known peer answered: its newest card and note, and how it sees this node.

    Raises
    ------
    DocumentError, Refused, IntegrityError
        As `take_card`.
    """
    book = peer_book(context)
    with context.locked("peers"):
        peer = book.get(peer.id)
        welcome, card, note = _welcomed(context, book, peer.id, said, reply)
        _told(context, peer.id, said.endpoint)
        return take(context, book, replace(peer, seen_as=welcome.state), card, note)


def _told(context: Context, peer: str, note: bytes) -> None:
    """Remember which note of this node a peer has."""
    route_book(context).tell_note(peer, sha256_hex(note), context.clock())


def _welcomed(
    context: Context, book: PeerBook, to: str, said: Introduction, reply: Mail
) -> tuple[Welcome, NodeCard, tuple[bytes, EndpointNote]]:
    """An answer that proves to be of the node that was asked, to this question."""
    welcome, before = reply.content, book.known(to)
    if not isinstance(welcome, Welcome):
        raise _fault("it is no answer to an introduction")
    if before is not None:
        card = proven_card(context, book, before, welcome.card, seen=said.seen)
    else:
        card = prove_card(welcome.card, to)
    _require_signed(reply, card)
    if (reply.sender, reply.recipient, welcome.nonce) != (to, context.settings.id, said.nonce):
        raise DocumentError("the answer belongs to another question", where="introduction", next="Try again.")
    note = open_note(welcome.endpoint, card.online, card.node)
    require_in_force(context, card, note)
    return welcome, card, (welcome.endpoint, note)


# -- what each side sees -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PeerView(Display):
    """How this node sees a peer, and what it shows of itself.

    Attributes
    ----------
    state : str
        ``pending`` or ``confirmed``.
    chain, note : bytes
        The card and the endpoint note of this node.
    """

    state: str
    chain: bytes
    note: bytes

    def to_dict(self) -> dict[str, str]:
        """A JSON object."""
        return {"state": self.state, "chain": self.chain.decode(), "note": self.note.decode()}


def peer_view(context: Context, peer: str, *, seen: str = "") -> PeerView:
    """How this node sees a peer, by node id; its card proves that the log begins as in the checkpoint that was seen.

    Raises
    ------
    NotFound
        There is no such peer.
    """
    book = peer_book(context)
    state = str(book.get(peer).state)
    return PeerView(state, own_card(context, since=seen), endpoint_note(context, book))
