"""The end of a transfer: the receiver's receipt, and the sender's closure that answers it."""

from __future__ import annotations

from datetime import datetime

from diadem.model.statements import Draft
from diadem.model.transfers import Counts, State, Transfer
from diadem.transfer import drafts
from diadem.transfer.desk import Desk, outgoing
from diadem.transfer.evidence import own_chain
from diadem.transfer.hub.tallies import relayed
from diadem.transfer.messages import CLOSURE, RECEIPT, Message, new_id


def say_received(
    desk: Desk, transfer: Transfer, counts: Counts, *, copy: Draft | None, stores: list[str], started: datetime
) -> Transfer:
    """State that a package landed, and tell the sender until it confirms that.

    Parameters
    ----------
    desk : Desk
        Of the receiver; the caller holds the turn.
    transfer : Transfer
        Verified.
    counts : Counts
        What came.
    copy : Draft or None
        The statement of the copy that was written; None where it was there.
    stores : list of str
        Where it is.
    started : datetime
        When the first byte came.
    """
    receipt = drafts.receipt(
        transfer,
        counts,
        stores=stores,
        started=started,
        ended=desk.now,
        software=desk.context.tools.software,
        relayed=relayed(desk, transfer),
    )
    said = desk.say_once(transfer.id, receipt, *([copy] if copy is not None else []))
    return desk.book.step(
        transfer.id,
        State.RECEIVED,
        desk.now,
        statement=said,
        receipt=said,
        done=transfer.bytes,
        rate=0.0,
        error="",
        next="",
        post=outgoing(transfer, RECEIPT),
    )


def close_received(desk: Desk, transfer: Transfer, receipt: str, checkpoint: str) -> Transfer:
    """State that the receipt was seen; once. The caller holds the turn.

    Parameters
    ----------
    desk : Desk
        Of the sender.
    transfer : Transfer
        Whose receipt was proven.
    receipt : str
        Its id.
    checkpoint : str
        The checkpoint of the receiver's log that proves it.
    """
    by_hubs = relayed(desk, transfer)  # nothing of a relay is kept of what is received
    if not transfer.receipt:
        transfer = desk.book.step(
            transfer.id,
            State.RECEIVED,
            desk.now,
            statement=receipt,
            receipt=receipt,
            done=transfer.bytes,
            rate=0.0,
            error="",
            next="",
        )
    if transfer.closure:
        return transfer
    draft = drafts.closure(transfer, receipt=receipt, recipient=transfer.peer, checkpoint=checkpoint, relayed=by_hubs)
    said = desk.say_once(transfer.id, draft)
    return desk.book.step(transfer.id, State.CLOSED, desk.now, statement=said, closure=said)


def closure_message(desk: Desk, transfer: Transfer) -> Message:
    """The message that a transfer is closed."""
    theirs, ours = desk.book.checkpoints(transfer.peer)
    chain = own_chain(desk.context, transfer.id, seen=ours)
    about = {"seen": theirs} if theirs else {}
    return Message(new_id(), CLOSURE, transfer.id, desk.node, transfer.peer, desk.now, chain, about)
