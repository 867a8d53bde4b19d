"""The list of peers of an opened node."""

from __future__ import annotations

from diadem.model.peers import PeerState
from diadem.node.context import Context
from diadem.node.peers.book import PeerBook


def peer_book(context: Context) -> PeerBook:
    """The node's list of peers, opened once and closed with the node; made from the log where it is lost."""
    context.require_writable()
    return context.once(
        "peers", lambda: PeerBook(context.folder, (entry.statement for entry in context.ledger.of_kind("peer")))
    )


def peer_id(context: Context, name: str) -> str | None:
    """Id of the node that is called so here; None where there is none, or one with which this node has broken."""
    if not context.writable:
        return None
    found = next((peer for peer in peer_book(context).ls() if peer.name == name), None)
    return None if found is None or found.state is PeerState.DROPPED else found.id
