"""The end of a transfer: the receiver's receipt, and the sender's closure that answers it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from diadem.custody import statements
from diadem.custody.chain import load
from diadem.custody.corrections import CorrectionSheet
from diadem.errors import DiademError, IntegrityError, Refused
from diadem.model.canonical import encode
from diadem.model.manifest import PackageId
from diadem.model.statements import Draft
from diadem.model.times import time_text
from diadem.model.transfers import Counts, State, Transfer, new_id
from diadem.network.desk import Desk, outgoing
from diadem.network.evidence import own_chain
from diadem.network.limits import MAX_MESSAGE
from diadem.network.messages import CLOSURE, MAX_CHAINS, MAX_CORRECTIONS, MAX_CUSTODY, RECEIPT, Message
from diadem.network.relay_book import relay_book
from diadem.node.custody_chains import enclosed_chains
from diadem.node.quality.amend import brought, came_from, sheet_of
from diadem.node.take.chains_beside import keep_chain

_LOG: Final = logging.getLogger("diadem.network")


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


def closure_message(desk: Desk, transfer: Transfer, *, name: str = "", seen: str = "") -> Message:
    """The message that a transfer is closed, by the id `name` or a new one; see `with_custody`."""
    theirs, ours = desk.book.checkpoints(transfer.peer)
    chain = own_chain(desk.context, transfer.id, seen=seen or ours)
    about = {**({"seen": theirs} if theirs else {}), **corrections_now(desk, transfer.package)}
    return Message(name or new_id(), CLOSURE, transfer.id, desk.node, transfer.peer, time_text(desk.now), chain, about)


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


def tells_custody(desk: Desk, transfer: Transfer) -> bool:
    """Whether the policy lets the other node of a transfer know who had the package until now.

    Under the name that it had when the transfer began, and under that of now; not where nobody can read the policy.
    """
    catalogue, user = desk.context.catalogue, transfer.recipient.rpartition("@")[0]
    owner = catalogue.get(transfer.package).owner if catalogue.has(transfer.package) else ""
    names = (transfer.recipient, f"{user}@{desk.peer_name(transfer.peer)}")
    with suppress(DiademError):
        rules = desk.context.policy.transfer
        found = [rules.permission(transfer.sender, owner, name) for name in names]
        return all(permission is not None and permission.custody for permission in found)
    return False


def custody_of(desk: Desk, transfer: Transfer, *, room: int) -> list[str]:
    """The chains of a package that go with its closure, in so many bytes of it: this node's own, and those that came.

    None for a node whose receipt does not ask for them, such as one of an earlier version, which would refuse the
    closure; and none where the policy leaves them out.
    """
    kept = desk.shelf.get(transfer.id, transfer.peer)
    said = [one.entry.statement for one in load(transfer.peer, kept).statements if one.entry] if kept else []
    if not any(one.kind == RECEIPT and one.predicate.get("custody") is True for one in said):
        return []
    return _chains(desk, transfer, room=room) if tells_custody(desk, transfer) else []


def _chains(desk: Desk, transfer: Transfer, *, room: int) -> list[str]:
    """The chains of a package as they stand in a message, as far as they fit into so many bytes."""
    found: list[str] = []
    for chain in enclosed_chains(desk.context, [PackageId(transfer.package)], most=room):
        size = len(encode(text := chain.decode("utf-8"), where="custody")) + 1
        if size <= room and len(found) < MAX_CHAINS:
            found.append(text)
            room -= size
    return found


def custody_left(desk: Desk, transfer: Transfer) -> int:
    """How many chains of a package stay behind when it is sent: there is no room for them, or the disk spoilt them."""
    package = PackageId(transfer.package).hex
    there = len(desk.shelf.about(package)) + (desk.context.ledger.bytes_about(package) > 0)
    return there - len(_chains(desk, transfer, room=MAX_CUSTODY))


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


def with_custody(desk: Desk, closure: Mapping[str, Any]) -> dict[str, Any]:
    """A closure as it goes: with the custody of its package, which no answer that is kept holds a second time."""
    room = min(MAX_CUSTODY, MAX_MESSAGE - len(encode(closure, where="message")) - len(',"custody":[]'))
    chains: list[str] = []
    try:
        chains = custody_of(desk, desk.book.get(str(closure["transfer"])), room=room)
    except (DiademError, OSError) as error:  # it is known no more, or cannot be read: it is answered all the same
        name = str(closure["transfer"])[:8]
        _LOG.warning("transfer %s: the recipient is not told who had the package: %s", name, error)
    return {**closure, "about": {**closure["about"], "custody": chains}} if chains else dict(closure)


def custody_came(desk: Desk, transfer: Transfer, about: Mapping[str, Any]) -> list[str]:
    """Keep the custody that a closure brought, as what lies beside a package in a ZIP; why some of it is not kept."""
    package = PackageId(transfer.package)
    known = {package: came_from(desk.context, transfer.package) != transfer.peer}
    said = [keep_chain(desk.context, chain.encode("utf-8"), known) for chain in about.get("custody", ())]
    return [why for why in said if why]
