"""A hub that this node knows, as it is asked: the one way from a peer to a `HubClient`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from diadem.errors import NotFound
from diadem.model.peers import Peer
from diadem.network.client import PeerClient
from diadem.network.hub.client import HubClient, Noted, forget
from diadem.node.context import Context
from diadem.trust.keys import PublicKey


def hub_client(context: Context, hub: Peer, *, keep: Callable[[Noted], None] = forget) -> HubClient:
    """A client of a hub; its connections are shared by all threads, and closed with the node.

    Parameters
    ----------
    context : Context
        This node.
    hub : Peer
        A confirmed peer whose note says that it is a hub.
    keep : callable
        Told of each note that the hub signs.

    Raises
    ------
    NotFound
        It is not a hub, or not confirmed.
    """
    note = hub.note
    if not hub.is_hub or note is None:
        raise NotFound(f"the node '{hub.name}' is not a hub", next="See: diadem peer ls")
    key = context.keys.open("online")
    name = f"client of the hub {hub.id} at {note.urls} by {note.tls} for {key.public.key_id}"
    made = partial(PeerClient, note.urls, note.tls, hub.id, key, name=hub.name)
    return HubClient(context.once(name, made), hub=hub.id, key=PublicKey.from_text(hub.online), keep=keep)
