"""What the log says of other nodes: `peer` statements, and `audit` where somebody was refused."""

from __future__ import annotations

from typing import Any

from diadem.model.peers import Peer
from diadem.model.statements import Draft, Subject
from diadem.node.context import Context


def peer_draft(peer: Peer, event: str, *, by: str = "", **more: Any) -> Draft:
    """That something happened with a peer, with what is known of its key.

    Parameters
    ----------
    peer : Peer
        As it is from now on.
    event : str
        ``pinned``, ``confirmed`` … as the schema has them.
    by : str
        Who did it; "" where it was nobody of this node.
    **more
        Members of the schema, such as ``reason`` and ``since``; empty ones are left out.
    """
    known = {"words": peer.words, "version": peer.version, "online": peer.online, "by": by, **more}
    predicate = {"event": event, "peer": peer.id, "name": peer.name, **{name: v for name, v in known.items() if v}}
    return Draft("peer", (Subject.key(peer.id),), predicate)


def say_refused(context: Context, node: str, action: str, *, actor: str, reason: str) -> None:
    """Log that another node was refused; once, where it comes again and again with the same."""
    predicate = {"action": action, "actor": actor, "outcome": "refused", "reason": reason}
    said = context.ledger.of_subject(node)
    if said and said[-1].statement.kind == "audit" and predicate.items() <= said[-1].statement.predicate.items():
        return
    context.say([Draft("audit", (Subject.key(node),), predicate)])
