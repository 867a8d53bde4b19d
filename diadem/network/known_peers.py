"""The peers that a node knows, as transfers see them."""

from __future__ import annotations

from dataclasses import dataclass

from diadem.model import peers
from diadem.model.peers import PeerState
from diadem.node.context import Context
from diadem.node.peers.book import peer_book


@dataclass(frozen=True, slots=True)
class KnownPeer:
    """Implements `diadem.network.network.Peer`.

    Attributes
    ----------
    id, name : str
        Its node id, and what it is called here.
    confirmed : bool
        Whether somebody here confirmed it.
    """

    id: str
    name: str
    confirmed: bool


@dataclass(frozen=True, slots=True)
class KnownPeers:
    """Implements `diadem.network.network.Peers`.

    Parameters
    ----------
    context : Context
        The node.
    """

    context: Context

    def get(self, node_id: str) -> KnownPeer | None:
        """See `Peers.get`."""
        return _known(peer_book(self.context).known(node_id))

    def named(self, name: str) -> KnownPeer | None:
        """See `Peers.named`."""
        return _known(next((peer for peer in peer_book(self.context).ls() if peer.name == name), None))


def _known(peer: peers.Peer | None) -> KnownPeer | None:
    if peer is None or peer.state is PeerState.DROPPED:
        return None
    return KnownPeer(peer.id, peer.name, peer.state is PeerState.CONFIRMED)
