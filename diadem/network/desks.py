"""The desk of an opened node: one for all its threads, opened when it is first needed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from diadem.errors import NotFound, Unreachable
from diadem.model.peers import Contact, PeerState
from diadem.network.desk import Desk
from diadem.network.grants import GrantAccess
from diadem.network.known_peers import KnownPeers
from diadem.network.network import Link, Network
from diadem.node.context import Context
from diadem.node.peers.book import peer_book

if TYPE_CHECKING:
    from diadem.network.hub.client import HubClient


def desk_of(context: Context) -> Desk:
    """The desk of a node; closed with it."""
    return context.once("desk", lambda: Desk.open(context, network_of(context)))


def network_of(context: Context) -> Network:
    """The peers that a node knows, who may read there, and the ways to them.

    A peer that has an address is called there; and where this node has none, it asks its peers what waits for it.
    Where the peer has no address it calls here; so this node pushes nothing, unless it has none itself.
    """
    return Network(
        KnownPeers(context),
        GrantAccess(context),
        lambda peer: _link(context, peer),
        pushes=lambda peer: not context.settings.server.urls and peer in set(_addressed(context)),
        brings=lambda peer: peer not in set(_addressed(context)),
        polled=lambda: () if context.settings.server.urls else _addressed(context),
        reachable=lambda: _addressed(context),
        hub=lambda hub: _hub(context, hub),
    )


def _hub(context: Context, hub: str) -> HubClient:
    """A hub that this node knows. Raises `NotFound` where there is none."""
    from diadem.network.hub.asking import hub_client

    return hub_client(context, peer_book(context).get(hub))


def _link(context: Context, peer: str) -> Link:
    from diadem.network.client import PeerClient, PeerLink

    contact = _contact(context, peer)
    key = context.keys.open("online")
    name = f"client of {contact.node} at {contact.urls} by {contact.tls} for {key.public.key_id}"
    made = partial(PeerClient, contact.urls, contact.tls, contact.node, key, name=contact.name)
    return PeerLink(context.once(name, made))


def _contact(context: Context, peer: str) -> Contact:
    """Where a peer is called.

    Raises
    ------
    NotFound
        There is no such peer.
    Unreachable
        It has no address: it calls this node.
    """
    found = peer_book(context).known(peer)
    if found is None:
        raise NotFound("no such peer", next="See: diadem peer ls")
    if found.note is None or not found.note.urls:
        raise Unreachable(f"the node '{found.name}' has no address, so it must call this one", next="Leave it running.")
    return Contact(found.id, found.name, found.note.urls, found.note.tls)


def _addressed(context: Context) -> Iterator[str]:
    """Confirmed peers that can be called."""
    for peer in peer_book(context).ls():
        if peer.state is PeerState.CONFIRMED and peer.note is not None and peer.note.urls:
            yield peer.id
