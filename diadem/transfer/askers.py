"""Whose key is it that signed: a peer's, or a user's of this node."""

from __future__ import annotations

from diadem.model.askers import PEER, PENDING, USER, Asker
from diadem.model.peers import PeerState
from diadem.node.access.recipients import user_of_key
from diadem.node.context import Context
from diadem.node.peers.opening import peer_book


def find_asker(context: Context, key_id: str) -> Asker | None:
    """Who has this key, by what the node knows now; None where nobody has it, or who had it has left."""
    if (peer := peer_book(context).key(key_id)) is not None:
        return Asker(PEER if peer.state is PeerState.CONFIRMED else PENDING, key_id, peer.online, peer.id, peer.name)
    if (user := user_of_key(context, key_id)) is not None:
        return Asker(USER, key_id, context.settings.user(user.address).key, user.node, user.address)
    return None
