"""The list of peers of an opened node."""

from __future__ import annotations

from diadem.node.context import Context
from diadem.node.peers.book import PeerBook


def peer_book(context: Context) -> PeerBook:
    """The node's list of peers, opened once and closed with the node; made from the log where it is lost."""
    context.require_writable()
    return context.once(
        "peers", lambda: PeerBook(context.folder, (entry.statement for entry in context.ledger.of_kind("peer")))
    )
