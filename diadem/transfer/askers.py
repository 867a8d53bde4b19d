"""Whose key is it that signed: a peer's, or a user's of this node."""

from __future__ import annotations

from diadem.errors import DocumentError
from diadem.model.askers import PEER, PENDING, USER, Asker
from diadem.model.peers import PeerState
from diadem.node.context import Context
from diadem.node.peers.opening import peer_book
from diadem.trust.keys import PublicKey


def find_asker(context: Context, key_id: str) -> Asker | None:
    """Who has this key, by what the node knows now; None where nobody has it."""
    if (peer := peer_book(context).key(key_id)) is not None:
        return Asker(PEER if peer.state is PeerState.CONFIRMED else PENDING, key_id, peer.online, peer.id, peer.name)
    settings = context.settings
    for user in settings.users:
        try:
            key = PublicKey.from_text(user.key)
        except DocumentError:  # a user without a key cannot ask
            continue
        if key.key_id == key_id:
            return Asker(USER, key_id, user.key, settings.id, f"{user.name}@{settings.name}")
    return None
