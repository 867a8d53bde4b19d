"""Making tickets: for another node, or for a person who works from a laptop."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Final

from diadem.custody import statements
from diadem.errors import Refused, UsageError
from diadem.model.peer_checks import MAX_URLS, require_url
from diadem.model.peers import Contact
from diadem.model.statements import Draft, Subject
from diadem.model.tickets import FOR_PEER, FOR_USER, MAX_HUBS, Ticket
from diadem.model.times import time_text
from diadem.node.config import FILE, NodeSettings, checked_name
from diadem.node.context import Context
from diadem.node.key_verbs import tls_files
from diadem.node.mirrors import mirror_settings
from diadem.node.peers.notes import age_recipient, own_hubs
from diadem.node.peers.opening import peer_book
from diadem.node.peers.tickets import GivenTicket, keep_ticket, new_token

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
    settings, hubs = context.settings, _hubs(context) if kind == FOR_PEER else ()
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
        new_token(),
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
    keep_ticket(peer_book(context), kept)
    return ticket


def _hubs(context: Context) -> tuple[Contact, ...]:
    """The hubs where this node can be met, each with where it is found."""
    found = own_hubs(context, peer_book(context))
    notes = [(hub, hub.note) for hub in found[:MAX_HUBS] if hub.note is not None]
    return tuple(Contact(hub.id, hub.own_name, note.urls[:2], note.tls[:2]) for hub, note in notes)


def _invited(context: Context, ticket: GivenTicket) -> Draft:
    """That somebody was invited: of a node that is named by its id, about that node; else about the ticket."""
    if ticket.for_node:
        name = ticket.name or f"{ticket.for_node[:12]}…"
        return statements.peer(ticket.for_node, "invited", name=name, by=context.address)
    whom = f"the user {ticket.name}" if ticket.kind == FOR_USER else ticket.name or "a node"
    action = f"invited {whom}, by a ticket until {ticket.expires}"
    about = [Subject.named(f"ticket:{ticket.hash}")]
    return statements.audit(about, action=action, actor=context.address, outcome="allowed")
