"""Tickets: made for another node, or for a person who works from a laptop; each is used once, and of each only the
SHA-256 of its token is kept.
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from diadem.custody import statements
from diadem.errors import Refused, UsageError
from diadem.model.display import Display
from diadem.model.peer_checks import MAX_URLS, require_url
from diadem.model.peers import Contact
from diadem.model.statements import Draft, Subject
from diadem.model.tickets import FOR_PEER, FOR_USER, MAX_HUBS, Ticket
from diadem.model.times import read_time, time_text
from diadem.node.config import FILE, NodeSettings, checked_name
from diadem.node.context import Context
from diadem.node.key_verbs import tls_files
from diadem.node.mirrors import mirror_settings
from diadem.node.peers.book import PeerBook, peer_book
from diadem.node.peers.joins import Join, end_joins, find_join, keep_join
from diadem.node.peers.notes import age_recipient, own_hubs

_END: Final = "UPDATE tickets SET expires = min(expires, ?) WHERE for_node = ? AND used_by = ''"
_USED: Final = "UPDATE tickets SET used_by = ?, used_name = ?, used_at = ? WHERE hash = ?"
_REFUSED: Final = "UPDATE tickets SET refused_by = ?, refused_name = ?, refused_at = ? WHERE hash = ?"


@dataclass(frozen=True, slots=True)
class GivenTicket(Display):
    """A ticket that was given out.

    Attributes
    ----------
    hash : str
        SHA-256 of its token.
    kind : {"peer", "user"}
        For a node or a person.
    name : str
        What the peer is to be called here ("" for what it calls itself); of a user the short name.
    guest : bool
        Whether the user comes from outside the group.
    for_node : str
        Id of the node that alone may use it; "" for whoever has it.
    made, expires : str
        UTC.
    by_user : str
        Who made it.
    used_by, used_name, used_at : str
        Id of the node or key that used it, what it calls itself, and when; "" until then.
    refused_by, refused_name, refused_at : str
        The same of the last one that came with it and was refused: it has, or had, the ticket too.
    """

    hash: str
    kind: str
    name: str
    guest: bool
    for_node: str
    made: str
    expires: str
    by_user: str
    used_by: str = ""
    used_name: str = ""
    used_at: str = ""
    refused_by: str = ""
    refused_name: str = ""
    refused_at: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {name: getattr(self, name) for name in self.__slots__}


#: Its members are the columns of the table.
_COLUMNS: Final = tuple(GivenTicket.__slots__)
_INSERT: Final = f"INSERT INTO tickets ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_LIST: Final = f"SELECT {', '.join(_COLUMNS)} FROM tickets ORDER BY made DESC, hash"  # noqa: S608
_FIND: Final = f"SELECT {', '.join(_COLUMNS)} FROM tickets WHERE hash = ? AND kind = ?"  # noqa: S608


#: Days that a ticket holds at most.
LONGEST: Final = 90


def add_url(context: Context, url: str) -> None:
    """Keep an address at which others find this node, the first of all."""

    def changed(settings: NodeSettings) -> NodeSettings:
        others = [known for known in settings.server.urls if known != url]
        return replace(settings, server=replace(settings.server, urls=(require_url(url), *others)[:MAX_URLS]))

    context.change_settings(changed)
    mirror_settings(context)


def invite_node(context: Context, name: str = "", *, for_: str = "", days: float = 7) -> Ticket:
    """A ticket for another node, good for one use. See `PeerVerbs.invite`."""
    if for_ == context.settings.id:
        raise UsageError("this is the id of this node itself", next="Ask the people at the other node for theirs.")
    called = peer_book(context).free_name(checked_name(name, "peer"), "", context.settings.name) if name else ""
    return _given(context, FOR_PEER, called, days, for_node=for_)


def invite_user(context: Context, name: str, *, guest: bool = False, days: float = 7) -> Ticket:
    """A ticket for a person, good for one use. See `UserVerbs.invite`."""
    chosen = checked_name(name, "user")
    context.reread_settings()
    if any(user.name == chosen for user in context.settings.users):
        raise UsageError(f"there is a user '{chosen}' already", next="See: diadem user ls")
    return _given(context, FOR_USER, chosen, days, guest=guest)


def _given(context: Context, kind: str, name: str, days: float, *, for_node: str = "", guest: bool = False) -> Ticket:
    if not 0 < days <= LONGEST:
        raise UsageError(f"a ticket cannot be valid for {days:g} days", next=f"Give more than 0 and at most {LONGEST}.")
    settings, found = context.settings, own_hubs(context, peer_book(context)) if kind == FOR_PEER else ()
    met = [(hub, hub.note) for hub in found[:MAX_HUBS] if hub.note is not None]
    hubs = tuple(Contact(hub.id, hub.own_name, note.urls[:2], note.tls[:2]) for hub, note in met)
    if not settings.server.urls and not hubs:
        raise Refused(
            "this node has no address at which others find it" + (", and no hub" if kind == FOR_PEER else ""),
            where=str(context.folder / FILE),
            next="Name one: diadem peer invite --url https://archive.example.org:8642",
        )
    now = context.clock().replace(microsecond=0)
    ticket = Ticket(
        settings.id,
        settings.name,
        tuple(settings.server.urls),
        (tls_files(context).pin,) if settings.server.urls else (),
        secrets.token_hex(16),
        now + datetime.timedelta(days=days),
        kind,
        for_node,
        name if kind == FOR_USER else "",
        hubs,
        age_recipient(context) if hubs else "",
    )
    ends = time_text(ticket.expires)
    kept = GivenTicket(ticket.token_hash, kind, name, guest, for_node, time_text(now), ends, context.address)
    context.say([_invited(context, kept)])
    with peer_book(context).file.writing() as connection:
        connection.execute(_INSERT, [getattr(kept, name) for name in _COLUMNS])
    return ticket


def _invited(context: Context, ticket: GivenTicket) -> Draft:
    """That somebody was invited: of a node that is named by its id, about that node; else about the ticket."""
    if ticket.for_node:
        name = ticket.name or f"{ticket.for_node[:12]}…"
        return statements.peer(ticket.for_node, "invited", name=name, by=context.address)
    whom = f"the user {ticket.name}" if ticket.kind == FOR_USER else ticket.name or "a node"
    action = f"invited {whom}, by a ticket until {ticket.expires}"
    about = [Subject.named(f"ticket:{ticket.hash}")]
    return statements.audit(about, action=action, actor=context.address, outcome="allowed")


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who comes with a ticket: id of the node, or of the user's key, and what it calls itself."""

    id: str
    name: str


class TicketRefused(Refused):
    """A ticket does not hold, or not for its bearer; `ticket` as it was before, None where there is none."""

    code = "ticket"

    def __init__(
        self,
        message: str,
        *,
        ticket: GivenTicket | None = None,
        where: str | None = None,
        next: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(message, where=where, next=next)
        self.ticket = ticket


def tickets(book: PeerBook) -> Sequence[GivenTicket]:
    """Every ticket, the newest first."""
    with book.file.reading() as connection:
        rows = connection.execute(_LIST).fetchall()
    return [_ticket(row) for row in rows]


def is_ticket(book: PeerBook, hash_: str, kind: str) -> bool:
    """Whether such a ticket was ever given out; whether it holds is for `use_ticket` to say."""
    with book.file.reading() as connection:
        return connection.execute(_FIND, (hash_, kind)).fetchone() is not None


def use_ticket(
    book: PeerBook, hash_: str, kind: str, bearer: Bearer, now: datetime.datetime, *, join: Join | None = None
) -> GivenTicket:
    """Use a ticket, in one transaction: of two that come with it, one is refused. The first may come again.

    The ticket as it was before. Of a node `join` is kept when it comes first; later it must come with the same
    commitment.
    """
    with book.file.writing() as connection:
        row = connection.execute(_FIND, (hash_, kind))
        ticket = _ticket(found) if (found := row.fetchone()) is not None else None
        refused = _refusal(ticket, bearer, now)
        if ticket is not None and refused is None and join is not None:
            known = find_join(connection, hash_) if ticket.used_by else keep_join(connection, join)
            refused = _other_join(ticket, known, join)
        if ticket is not None and (refused or not ticket.used_by):  # the same one again: the first time stays
            said = (bearer.id, bearer.name, time_text(now), hash_)
            connection.execute(_REFUSED if refused else _USED, said)
    if refused is not None or ticket is None:
        raise refused or unknown_ticket()
    return ticket


def end_tickets(book: PeerBook, node: str, now: datetime.datetime) -> None:
    """Let no ticket hold any more that was made for a node and not used, nor one by which it is still joining."""
    with book.file.writing() as connection:
        end_joins(connection, node)
        connection.execute(_END, (time_text(now), node))


def _refusal(ticket: GivenTicket | None, bearer: Bearer, now: datetime.datetime) -> TicketRefused | None:
    if ticket is None:
        return unknown_ticket()
    if ticket.for_node and ticket.for_node != bearer.id:
        return TicketRefused("this ticket is for another node", ticket=ticket, next="Ask for one of your own.")
    if ticket.used_by and ticket.used_by != bearer.id:
        return TicketRefused(
            f"this ticket was used already: on {ticket.used_at} by '{ticket.used_name}', {ticket.used_by[:12]}…",
            ticket=ticket,
            next="If that was not you, somebody else has the ticket: tell those who made it, and ask for a new one.",
        )
    if not ticket.used_by and now >= read_time(ticket.expires):
        return TicketRefused(f"this ticket ended on {ticket.expires}", ticket=ticket, next="Ask for a new one.")
    return None


def _other_join(ticket: GivenTicket, known: Join | None, join: Join) -> TicketRefused | None:
    """Why a node that has used a ticket may not join by it once more: it would choose the words anew."""
    if known is None:
        return unknown_ticket()
    if known.commitment == join.commitment:
        return None
    return TicketRefused(
        f"a join by this ticket has begun already, on {ticket.used_at}, with another number for the words",
        ticket=ticket,
        next="Ask for a new ticket. If this node's files were not lost, somebody else has its keys.",
    )


def unknown_ticket() -> TicketRefused:
    """What is said where there is no such ticket, and where nothing else is to be told."""
    return TicketRefused("this node gave out no such ticket", next="Copy all of it; or ask for a new one.")


def _ticket(row: Sequence[Any]) -> GivenTicket:
    known = dict(zip(_COLUMNS, row, strict=True))
    return GivenTicket(**known | {"guest": bool(known["guest"])})
