"""What the log says of other nodes: `peer` statements, and `audit` where somebody was refused."""

from __future__ import annotations

from typing import Any

from diadem.custody import statements
from diadem.model.peers import Peer
from diadem.model.statements import Draft, Subject
from diadem.node.context import Context


def peer_draft(peer: Peer, event: str, *, by: str = "", **more: Any) -> Draft:
    """That something happened with a peer, as it is from now on: ``pinned``, ``confirmed`` … as the schema has it."""
    known = {"words": peer.words, "version": peer.version, "online": peer.online, "by": by, **more}
    return statements.peer(peer.id, event, name=peer.name, **known)


def say_refused(context: Context, node: str, action: str, *, actor: str, reason: str) -> None:
    """Log that another node was refused; once, where it comes again and again with the same."""
    draft = statements.audit([Subject.key(node)], action=action, actor=actor, outcome="refused", reason=reason)
    said = context.ledger.of_subject(node)
    if said and said[-1].statement.kind == "audit" and draft.predicate.items() <= said[-1].statement.predicate.items():
        return
    context.say([draft])
