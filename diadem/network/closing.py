"""The end of a transfer: the receiver's receipt, and the sender's closure that answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from diadem.custody import statements
from diadem.custody.corrections import CorrectionSheet
from diadem.errors import IntegrityError, Refused
from diadem.model.statements import Draft
from diadem.model.times import time_text
from diadem.model.transfers import Counts, State, Transfer, new_id
from diadem.network.desk import Desk, outgoing
from diadem.network.evidence import own_chain
from diadem.network.messages import CLOSURE, MAX_CORRECTIONS, RECEIPT, Message
from diadem.network.relay_book import relay_book
from diadem.node.quality.amend import brought, came_from, sheet_of


def say_received(
    desk: Desk, transfer: Transfer, counts: Counts, *, more: Sequence[Draft], stores: list[str], started: datetime
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
    more : sequence of Draft
        What is stated with it: the copy that was written, and corrections that came, where the log has not got them.
    stores : list of str
        Where it is.
    started : datetime
        When the first byte came.
    """
    relays = relay_book(desk.context)
    receipt = statements.receipt(
        transfer,
        counts,
        stores=stores,
        started=started,
        ended=desk.now,
        software=desk.context.tools.software,
        relayed=relays.relayed(transfer.id),
    )
    said = desk.say_once(transfer.id, receipt, *more)
    with desk.book.together():
        relays.lose_key(transfer.id)
        return desk.book.step(
            transfer.id,
            State.RECEIVED,
            desk.now,
            statement=said,
            receipt=said,
            done=transfer.bytes,
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
    by_hubs = relay_book(desk.context).relayed(transfer.id)  # nothing of a relay is kept of what is received
    if not transfer.receipt:
        transfer = desk.book.step(
            transfer.id,
            State.RECEIVED,
            desk.now,
            statement=receipt,
            receipt=receipt,
            done=transfer.bytes,
        )
    if transfer.closure:
        return transfer
    draft = statements.closure(
        transfer, receipt=receipt, recipient=transfer.peer, checkpoint=checkpoint, relayed=by_hubs
    )
    said = desk.say_once(transfer.id, draft)
    return desk.book.step(transfer.id, State.CLOSED, desk.now, statement=said, closure=said)


def closure_message(desk: Desk, transfer: Transfer) -> Message:
    """The message that a transfer is closed."""
    theirs, ours = desk.book.checkpoints(transfer.peer)
    chain = own_chain(desk.context, transfer.id, seen=ours)
    about = {**({"seen": theirs} if theirs else {}), **corrections_now(desk, transfer.package)}
    return Message(new_id(), CLOSURE, transfer.id, desk.node, transfer.peer, time_text(desk.now), chain, about)


def corrections_of(desk: Desk, package: str) -> dict[str, str]:
    """What a message says of corrections and judgements that go with its package: the latter where there is room.

    Raises
    ------
    Refused
        They are more than a message holds.
    """
    sheet = sheet_of(desk.context, package)
    text = sheet.to_line().decode("ascii") if sheet is not None else ""
    if len(text) > MAX_CORRECTIONS and (bare := sheet_of(desk.context, package, judged=False)) is not None:
        text = bare.to_line().decode("ascii")
    if len(text) > MAX_CORRECTIONS:
        raise Refused(
            f"the corrections of this package have {len(text):,} bytes, and a message holds {MAX_CORRECTIONS:,}",
            where=package,
            next=f"Give it as a ZIP, which holds all of them: diadem export {package[7:19]} OUT.zip --for NAME",
        )
    return {"corrections": text} if text else {}


def corrections_now(desk: Desk, package: str) -> dict[str, str]:
    """The same of an offer that was made: where they have become too many since, they stay behind."""
    try:
        return corrections_of(desk, package)
    except Refused:
        return {}


def brought_with(desk: Desk, transfer: Transfer, about: Mapping[str, object]) -> list[Draft]:
    """The statement of the corrections that a message brought; none where there is nothing new.

    Raises
    ------
    DocumentError, IntegrityError
        They are not of this package, or do not hold.
    """
    if "corrections" not in about:
        return []
    sheet = CorrectionSheet.from_line(str(about["corrections"]).encode("utf-8", "replace"))
    if sheet.node != transfer.peer:
        raise IntegrityError(
            "the corrections are signed by another node than the sender's", next="Do not trust them; ask the sender."
        )
    names = {one.node: peer.name for one in sheet.nodes() if (peer := desk.known(one.node)) is not None}
    before = came_from(desk.context, transfer.package) in ("", sheet.node)
    said = brought(desk.context, transfer.package, sheet, names, before=before)
    return [said] if said is not None else []
