"""Whose key is it that signed: a peer's, or a user's of this node."""

from __future__ import annotations

from diadem.errors import NotFound
from diadem.model import access
from diadem.model.peers import PeerState
from diadem.model.signers import PEER, PENDING, USER, Signer
from diadem.node.access.askers import user_of_key
from diadem.node.context import Context
from diadem.node.peers.book import peer_book


def find_asker(context: Context, key_id: str) -> Signer | None:
    """Who has this key, by what the node knows now; None where nobody has it, or who had it has left."""
    if (peer := peer_book(context).key(key_id)) is not None:
        return Signer(PEER if peer.state is PeerState.CONFIRMED else PENDING, key_id, peer.online, peer.id, peer.name)
    if (user := user_of_key(context, key_id)) is not None:
        return Signer(USER, key_id, _public_key(context, user.address), user.node, user.address)
    return None


def _public_key(context: Context, address: str) -> str:
    try:
        return context.settings.user(address).key
    except NotFound:  # who has just logged in at another worker
        context.reread_settings()
        return context.settings.user(address).key


def asker_for(context: Context, asker: Signer) -> access.Asker:
    """Who asks, as the one who decides who may what takes them: a node asks for itself, not for its users."""
    if asker.kind == USER and (user := user_of_key(context, asker.key_id)) is not None:
        return user
    kind = access.PEER if asker.kind == PEER else access.PENDING
    return access.Asker(asker.node_id, "", asker.key_id, kind)
