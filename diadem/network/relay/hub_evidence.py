"""What a hub's log says of a relay: given to its two sides, and kept there beside the chains of the transfer."""

from __future__ import annotations

from diadem.custody.chain import export_chain
from diadem.custody.statements import relay_subject
from diadem.network.desk import Desk
from diadem.network.evidence import Evidence, weigh
from diadem.node.context import Context


def relay_chain(context: Context, relay: str, party: str) -> bytes:
    """The chain of a relay in this hub's log, for one of its two sides; nothing where none was stated, or for others.

    Parameters
    ----------
    context : Context
        The hub's node.
    relay : str
        Which.
    party : str
        Id of the node that asks.

    Raises
    ------
    Unreachable
        What was said last is in no store yet.
    """
    about = relay_subject(relay).sha256
    said = [entry.statement for entry in context.ledger.of_subject(about) if entry.statement.kind == "relay"]
    if not any(party in (one.predicate["sender"], one.predicate["recipient"]) for one in said):
        return b""
    return export_chain(context.ledger, about, [context.keys.open("online")], clock=context.clock)


def keep_hub_chain(desk: Desk, transfer: str, relay: str, hub: str, chain: bytes) -> Evidence:
    """Keep a hub's chain of a relay with those of the transfer, after it was weighed.

    Parameters
    ----------
    desk : Desk
        Of this node.
    transfer : str
        For which the relay was.
    relay, hub : str
        Which, and the id of the hub.
    chain : bytes
        As the hub gave it.

    Raises
    ------
    DocumentError
        It is no chain of this relay in the hub's log.
    Contradicted
        It contradicts itself, or what was kept of it before.
    """
    text = chain.decode("utf-8", "surrogateescape")
    kept = desk.shelf.get(transfer, hub)
    found = weigh(transfer, hub, text, kept=kept, seen="", about=relay_subject(relay))
    desk.shelf.keep(transfer, hub, chain)
    return found
