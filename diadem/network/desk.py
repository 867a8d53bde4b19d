"""The desk: where everything about the transfers of one node is done, by whatever thread or process."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from diadem.custody import statements
from diadem.custody.statements import transfer_subject
from diadem.errors import NotFound, Refused, Unreachable
from diadem.model.peers import Peer, PeerState
from diadem.model.statements import Draft, Subject
from diadem.model.transfers import IN, LOCAL, NEXT, State, Transfer, new_id
from diadem.network.book import TransferBook
from diadem.network.book_file import network_book
from diadem.network.link import Link
from diadem.network.outbox import Outbox, Outgoing, outbox_of
from diadem.node.chain_shelf import ChainShelf
from diadem.node.context import Context
from diadem.node.peers.book import peer_book
from diadem.trust.keys import PublicKey

if TYPE_CHECKING:
    from diadem.network.client import PeerClient
    from diadem.network.hub.client import HubClient

#: What a statement about a transfer names: of two with the same names one is the other, said again.
_NAMES: Final = ("package", "payload_id", "sender", "recipient", "offer", "acceptance", "receipt", "by", "ceiling")
_UNKNOWN: Final = "See: diadem transfer ls"


def outgoing(transfer: Transfer, kind: str, about: Mapping[str, Any] | None = None) -> Outgoing:
    """A new message about a transfer to its other side."""
    return Outgoing(new_id(), transfer.peer, transfer.id, kind, about or {})


@dataclass
class Desk:
    """What a verb or a handler needs: the node, its transfers, its peers and the ways to them."""

    context: Context
    book: TransferBook
    #: The chains of others.
    shelf: ChainShelf
    #: Whether offers are accepted by rules of their recipients; not where somebody only looks.
    by_rules: bool = True

    @classmethod
    def open(cls, context: Context) -> Self:
        """The desk of a node."""
        return cls(context, TransferBook(network_book(context)), ChainShelf(context.folder))

    def close(self) -> None:
        """What it uses is closed with the node."""

    @property
    def node(self) -> str:
        """Id of this node."""
        return self.context.settings.id

    @property
    def outbox(self) -> Outbox:
        """What is to be told to other nodes."""
        return outbox_of(self.context)

    @property
    def now(self) -> datetime:
        """By this node's clock."""
        return self.context.clock()

    def turn(self, transfer: str) -> AbstractContextManager[Any]:
        """Wait for, and hold, the turn on one transfer: its statements and its book never part.

        Some transfers share a turn, so that ids that a peer makes up leave no file each.
        """
        return self.context.locked(f"transfer-{transfer[:2]}")

    def say_once(self, transfer: str, draft: Draft, *before: Draft, as_user: bool = False) -> str:
        """State something about a transfer that is stated once, with what stands before it in the batch; its id.

        Where a process ended between the statement and the note of it in the book, it is found in the log again. The
        caller holds the turn. `as_user`: signed by the user alone, else by the node.
        """
        names = {name: draft.predicate.get(name) for name in _NAMES}
        known = self.said(transfer, draft.kind, names)
        return known or self.context.say([*before, draft], as_user=as_user)[-1].statement_id

    def said(self, transfer: str, kind: str, names: Mapping[str, Any] | None = None) -> str:
        """The newest statement of a kind about a transfer that this node's log has, and that names this; "" for none.

        The book may not know of it yet: see `say_once`.
        """
        about = Subject.named(f"transfer:{transfer}").sha256
        for entry in reversed(self.context.ledger.of_subject(about)):
            said = entry.statement.predicate
            if entry.statement.kind == kind and all(said.get(name) == value for name, value in (names or {}).items()):
                return entry.statement_id
        return ""

    # -- peers -----------------------------------------------------------------------------------------------------

    def known(self, node_id: str) -> Peer | None:
        """A peer with which this node has not broken."""
        found = peer_book(self.context).known(node_id)
        return None if found is None or found.state is PeerState.DROPPED else found

    def peer(self, node_id: str) -> Peer:
        """A confirmed peer by its id. Raises `NotFound` for any other."""
        found = self.known(node_id)
        if found is None or found.state is not PeerState.CONFIRMED:
            raise NotFound("no such peer", next="See: diadem peer ls")
        return found

    def peer_named(self, name: str) -> Peer:
        """A confirmed peer by what this node calls it. Raises `NotFound`, or `Refused` for one that is pending."""
        found = next((peer for peer in peer_book(self.context).ls() if peer.name == name), None)
        if found is None or found.state is PeerState.DROPPED:
            raise NotFound(f"no node is called '{name}' here", next="See: diadem peer ls   (or: diadem peer invite)")
        if found.state is not PeerState.CONFIRMED:
            raise Refused(
                f"the node '{name}' is not confirmed yet", next=f"Compare the words: diadem peer confirm {name}"
            )
        return found

    def peer_name(self, node_id: str) -> str:
        """What this node calls a peer; the beginning of its id where it does not know it any more."""
        found = self.known(node_id)
        return found.name if found is not None else node_id[:12]

    # -- ways to them ------------------------------------------------------------------------------------------------

    def link(self, peer: str) -> Link:
        """The way to the peer with this id. Raises `NotFound`, or `Unreachable` where it has no address: it calls."""
        from diadem.network.client import PeerLink

        found = peer_book(self.context).known(peer)
        if found is None:
            raise NotFound("no such peer", next="See: diadem peer ls")
        return PeerLink(self._client(found))

    def hub(self, hub: str) -> HubClient:
        """The hub with this id, as it is asked. Raises `NotFound` where this node knows no such hub."""
        from diadem.network.hub.client import HubClient

        found = peer_book(self.context).get(hub)
        if not found.is_hub:
            raise NotFound(f"the node '{found.name}' is not a hub", next="See: diadem peer ls")
        key = PublicKey.from_text(found.online)
        return HubClient(self._client(found), node=self.node, hub=found.id, key=key)

    def _client(self, peer: Peer) -> PeerClient:
        """A client of a peer by what is known of it now; its connections are closed with the node."""
        from diadem.network.client import PeerClient

        if peer.note is None or not peer.note.urls:
            raise Unreachable(
                f"the node '{peer.name}' has no address, so it must call this one", next="Leave it running."
            )
        urls, tls, key = peer.note.urls, peer.note.tls, self.context.keys.open("online")
        name = f"client of {peer.id} at {urls} by {tls} for {key.public.key_id}"
        return self.context.once(name, partial(PeerClient, urls, tls, peer.id, key, name=peer.name))

    def reachable(self) -> list[str]:
        """Ids of the confirmed peers that can be called: a person who looks into the inbox has them asked."""
        known = peer_book(self.context).ls()
        return [one.id for one in known if one.state is PeerState.CONFIRMED and one.has_address]

    def polled(self) -> list[str]:
        """Ids of the peers that are asked for messages again and again: they cannot reach this node."""
        return [] if self.context.settings.server.urls else self.reachable()

    def pushes(self, peer: str) -> bool:
        """Whether this node pushes what a peer accepted: the peer has nowhere to fetch it."""
        return not self.context.settings.server.urls and not self.brings(peer)

    def brings(self, peer: str) -> bool:
        """Whether a peer pushes what this node accepted: this node cannot call it."""
        found = self.known(peer)
        return found is None or found.state is not PeerState.CONFIRMED or not found.has_address

    # -- transfers -------------------------------------------------------------------------------------------------

    def from_peer(self, transfer: str, peer: str) -> Transfer:
        """A transfer with this peer. Raises the same `NotFound` whether it is unknown or another's."""
        found = self.book.find(transfer)
        if found is None or found.peer != peer or found.direction == LOCAL:
            raise NotFound("no such transfer", next=_UNKNOWN)
        return found

    def mine(self, transfer: str) -> Transfer:
        """A transfer that the user at work may answer: it is for them. Raises `NotFound`, `Refused`."""
        found = self.refreshed(self.book.get(transfer))
        if found.direction not in (IN, LOCAL):
            raise Refused("this transfer was sent from here", next="To take it back: diadem transfer cancel ID")
        if found.recipient != self.context.address:
            raise Refused(
                f"this offer is for {found.recipient}", next=f"Work as {found.recipient.split('@')[0]}: --user"
            )
        return found

    def refreshed(self, transfer: Transfer) -> Transfer:
        """The transfer; an offer that nobody answered in time is expired from now on."""
        if transfer.state is State.OFFERED and transfer.expires <= self.now:
            return self.book.step(transfer.id, State.EXPIRED, self.now, words="nobody answered in time")
        return transfer

    def post(self, transfer: Transfer, kind: str, about: dict[str, Any] | None = None) -> Outgoing:
        """Put a message into the outbox; `diadem.network.mail.delivery` delivers it."""
        message = outgoing(transfer, kind, about)
        self.outbox.add(message, self.now)
        return message

    def distrust(self, transfer: str, peer: str, reason: str) -> None:
        """Stop a transfer whose other side contradicts itself, and state that it was."""
        if not self.book.distrusted_since(peer, self.now - timedelta(days=1)):  # nobody fills the log with that
            about = [transfer_subject(transfer), Subject.key(peer)]
            action = f"transfer {transfer}"
            draft = statements.audit(about, action=action, actor=peer, outcome="refused", reason=reason[:500])
            self.context.say([draft])
        self.book.refuse(peer, transfer, reason, self.now, contradicted=True)
        known = self.book.find(transfer)
        if known is not None and known.peer == peer:
            advice = "Ask the other side, by a channel that you trust, what happened to its log."
            if State.FAILED in NEXT[known.state]:
                self.book.step(transfer, State.FAILED, self.now, words=reason, error=reason, next=advice)
            else:
                self.book.change(transfer, error=reason, next=advice)


def desk_of(context: Context) -> Desk:
    """The desk of an opened node: one for all its threads, opened when it is first needed."""
    return context.once("desk", lambda: Desk.open(context))
