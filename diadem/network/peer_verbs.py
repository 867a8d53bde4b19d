"""The verbs on other nodes: `node.peers`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from diadem.errors import DiademError, NotFound, Refused, Unreachable, UsageError, line_of
from diadem.model.canonical import encode
from diadem.model.display import Display, DisplayList, FixedRows
from diadem.model.peers import Contact, Peer, PeerState, Unproven
from diadem.model.routes import PeerRoutes
from diadem.model.tickets import Ticket
from diadem.model.times import read_time, time_text
from diadem.network.client import dial
from diadem.network.desk import Desk, desk_of
from diadem.network.routing import all_routes, common_hubs
from diadem.node.config import checked_name
from diadem.node.context import Context
from diadem.node.peers.book import PeerBook, peer_book
from diadem.node.peers.tickets import GivenTicket, end_tickets, tickets

if TYPE_CHECKING:
    from diadem.network.carrier_verbs import CarrierVerbs
    from diadem.network.client import Connect
    from diadem.network.envelope import Introduction, Mail

#: Where introductions go.
JOIN_PATH = "peer/join"


@dataclass(frozen=True, slots=True)
class Refreshed(Display):
    """What became of asking a peer for its newest card and note.

    Attributes
    ----------
    peer : Peer
        As it is known now.
    problem : str
        Why nothing came; "" if something did.
    """

    peer: Peer
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {**self.peer.to_dict(), "problem": self.problem}


@dataclass(frozen=True, slots=True)
class PeerVerbs(DisplayList):
    """The other nodes that this one knows: `node.peers`.

    Parameters
    ----------
    context : Context
        The node.
    connect : callable
        Makes a client of another node; default one that calls over the network.
    patience : float
        Seconds that a person waits for the answer of a node that is reached through a hub.
    """

    _display_name = "peers"

    context: Context
    connect: Connect = dial
    patience: float = 20.0

    def __iter__(self) -> Iterator[Peer]:
        """List the peers, by name."""
        return iter(self.ls())

    def ls(self) -> Sequence[Peer]:
        """List the peers, by name."""
        return FixedRows(self._book.ls())

    def get(self, name: str) -> Peer:
        """Return the peer of this name.

        Raises
        ------
        NotFound
            There is none.
        """
        return self._book.named(name)

    @property
    def carriers(self) -> CarrierVerbs:
        """Carriers that take sealed packages to and from peers: iterate over them, `add`, `ls`, `rm`."""
        from diadem.network.carrier_verbs import CarrierVerbs

        return CarrierVerbs(self.context)

    def tickets(self) -> Sequence[GivenTicket]:
        """List the tickets that were made, newest first, with who used each and who came too late."""
        return tickets(self._book)

    def routes(self) -> Sequence[PeerRoutes]:
        """List the routes to each confirmed peer: which are allowed, which work, and which is chosen."""
        return all_routes(self.context)

    @property
    def _desk(self) -> Desk:
        return desk_of(self.context)

    @property
    def _book(self) -> PeerBook:
        return peer_book(self.context)

    # -- meeting -----------------------------------------------------------------------------------------------------

    def invite(
        self, name: str | None = None, *, for_: str | None = None, days: float = 7, url: str | None = None
    ) -> Ticket:
        """Make a ticket for another node, good for one use. Whoever has its text can use it.

        Parameters
        ----------
        name : str, optional
            Name for the other node here; default its own.
        for_ : str, optional
            Id of the only node that may use it, which is then confirmed without comparing words.
        days : float
            Days for which it is valid.
        url : str, optional
            An address at which others find this node: ``https://archive.example.org:8642``. It is added to
            `node.toml`, in front of those there.

        Raises
        ------
        Refused
            This node has no address at which others find it, and no hub.
        UsageError
            The name, id, time or address is not valid.
        """
        from diadem.network.mail.delivery import tell_hubs
        from diadem.node.peers.tickets import add_url, invite_node

        if url:
            add_url(self.context, url)
        ticket = invite_node(self.context, name or "", for_=for_ or "", days=days)
        if ticket.hubs:
            tell_hubs(self._desk)
        return ticket

    def join(self, ticket: str, name: str | None = None, *, wait: float | None = None) -> Peer:
        """Join a node with its ticket. It is confirmed here at once; its people confirm this node by the words.

        Parameters
        ----------
        ticket : str
            The text that its people gave you.
        name : str, optional
            Name for the other node here; default its own.
        wait : float, optional
            Seconds for the answer of a node that is reached through a hub; default `patience`.

        Raises
        ------
        UsageError
            The ticket is not valid text, or the other node has the same name as this one.
        Refused
            It is not valid, or was used already: then somebody else had it.
        Unreachable
            The node does not answer; through a hub, it has not answered yet, and joining continues automatically.
        """
        from diadem.network.mail import introductions
        from diadem.network.peering import finish_join, join_request, require_usable

        context, found = self.context, Ticket.from_text(ticket)
        context.require_writable()
        require_usable(context, found)
        if name or self._book.known(found.node) is None:
            self._book.free_name(checked_name(name or found.name, "peer"), found.node, context.settings.name)
        contact, met = Contact(found.node, found.name, found.urls, found.tls), None
        try:
            while not isinstance(met, Peer):
                said, reply = self._asked(contact, partial(join_request, context, found))
                met = finish_join(context, found, said, reply, name or "")
        except Unreachable:
            if not found.hubs:
                raise
            patience = self.patience if wait is None else wait
            return introductions.join(self._desk, found, name or "", patience=patience)
        return met

    def refresh(self, name: str | None = None) -> Sequence[Refreshed]:
        """Exchange the newest keys and addresses with a peer, or with all that can be reached; hubs first.

        Raises
        ------
        NotFound
            There is no such peer.
        """
        if name:
            return [self._refreshed(self.get(name))]
        known = [peer for peer in self.ls() if peer.state is not PeerState.DROPPED]
        known.sort(key=lambda peer: not peer.is_hub)  # a hub lets this node in by its newest key only
        hubs = [peer for peer in known if common_hubs(self.context, peer)]
        return [self._refreshed(peer) for peer in known if peer.has_address or peer in hubs]

    def _refreshed(self, peer: Peer) -> Refreshed:
        try:
            return Refreshed(self._introduced(peer))
        except DiademError as error:
            return Refreshed(self._book.get(peer.id), line_of(error))

    def _introduced(self, peer: Peer) -> Peer:
        from diadem.network.mail import introductions
        from diadem.network.peering import finish_introduction, introduce

        hubs, note = common_hubs(self.context, peer), peer.note
        if note is not None and note.urls:
            asking = partial(introduce, self.context, peer)
            try:
                said, reply = self._asked(Contact(peer.id, peer.name, note.urls, note.tls), asking)
            except Unreachable:
                if not hubs:
                    raise
            else:
                return finish_introduction(self.context, peer, said, reply)
        if not hubs:
            advice = "Wait until it calls this node, or ask its people for a new ticket."
            raise NotFound("it has no address, and there is no common hub", next=advice)
        return introductions.refresh(self._desk, peer, patience=self.patience)

    def _asked(self, contact: Contact, asking: Callable[..., Introduction]) -> tuple[Introduction, Mail]:
        """What was asked, and the answer; a node that misses the proof of a checkpoint that it has is shown it."""
        from diadem.network.envelope import Mail
        from diadem.network.peering import signed

        if not contact.urls:
            raise Unreachable(f"'{contact.name}' has no address", next="It can be met at a hub only.")
        with closing(self.connect(contact, self.context.keys.open("online"))) as poster:

            def answered(said: Introduction) -> tuple[Introduction, Mail]:
                answer = poster.post_line(JOIN_PATH, signed(self.context, contact.node, said), introduce=True)
                return said, Mail.from_line(encode(answer, where="introduction"))

            try:
                return answered(asking())
            except Unproven as error:
                return answered(asking(since=error.seen))

    # -- trusting ----------------------------------------------------------------------------------------------------

    def confirm(self, name: str, words: str | None = None) -> Peer:
        """Confirm a peer's identity, after comparing its words with what its people read on their screen.

        Parameters
        ----------
        name : str
            Its name here.
        words : str, optional
            The words they read out, to be compared with those here.

        Raises
        ------
        NotFound
            There is no such peer.
        Refused
            The words differ, the peer was dropped, or it must join again.
        """
        from diadem.node.peers.joins import has_joined, same_words

        with self.context.locked("peers"):
            peer = self.get(name)
            if words is not None and not same_words(words, peer.words):
                raise Refused(
                    f"these are not the words of '{peer.name}': somebody may be between you",
                    next=f"Compare again. If they still differ: diadem peer drop {peer.name} --reason 'other words'",
                )
            if peer.state is PeerState.DROPPED:
                raise Refused(f"'{peer.name}' was dropped", next="Make a new ticket: diadem peer invite")
            if peer.state is PeerState.CONFIRMED:
                return peer
            if not peer.reason and not has_joined(self._book, peer.id):
                raise Refused(
                    f"'{peer.name}' joined when the words could still be forged, or the list of peers was lost later",
                    next="Make a new ticket, and let it join with that: diadem peer invite",
                )
            if peer.reason:  # it had contradicted what was known; a person has settled that
                self._book.forget_checkpoint(peer.id)
            return self._said(replace(peer, state=PeerState.CONFIRMED, reason=""), "confirmed")

    def drop(self, name: str, reason: str) -> Peer:
        """Drop a peer: accept nothing more from it.

        Raises
        ------
        UsageError
            No reason is given.
        """
        if not reason.strip():
            raise UsageError(
                "a reason is needed", next="Give a reason, which the log keeps: --reason 'the project has ended'"
            )
        with self.context.locked("peers"):
            peer = replace(self.get(name), state=PeerState.DROPPED, reason=reason.strip())
            end_tickets(self._book, peer.id, self.context.clock())
            return self._said(peer, "dropped", reason=peer.reason)

    def rename(self, name: str, new: str) -> Peer:
        """Rename a peer.

        Raises
        ------
        UsageError
            Another peer, or this node, has this name.
        """
        with self.context.locked("peers"):
            peer, wished = self.get(name), checked_name(new, "peer")
            if self._book.free_name(wished, peer.id, self.context.settings.name) != wished:
                raise UsageError(f"another peer is called '{wished}'", next="See: diadem peer ls")
            return self._said(replace(peer, name=wished), "renamed", reason=f"it was called {peer.name} before")

    def compromised(self, name: str, since: str, reason: str = "") -> Peer:
        """Mark the online key of a peer as stolen: it is not trusted from then on, until its root key names a new one.

        Parameters
        ----------
        name : str
            Its name here.
        since : str
            ``2026-03-14`` or ``2026-03-14T09:00:00Z``: nothing that it signed later is trusted.
        reason : str
            What happened.
        """
        moment = time_text(read_time(since if "T" in since else f"{since}T00:00:00Z"))
        with self.context.locked("peers"):
            peer = self.get(name)
            earliest = min(moment, peer.stolen.get(peer.key_id, moment))
            peer = replace(peer, stolen={**peer.stolen, peer.key_id: earliest})
            return self._said(peer, "compromised", since=earliest, reason=reason.strip())

    def _said(self, peer: Peer, event: str, **more: Any) -> Peer:
        from diadem.node.peers.book import peer_draft

        self.context.say([peer_draft(peer, event, by=self.context.address, **more)])
        self._book.put(peer)
        return peer
