"""What is stated of a transfer: the drafts of its statements, each about the package and the transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from diadem.model.manifest import PackageId
from diadem.model.statements import Draft, Subject
from diadem.model.times import time_text
from diadem.model.transfers import Counts, Transfer
from diadem.transfer.evidence import transfer_subject

#: What went by hubs, one object a hub, as the schemas of receipt and closure have it.
Relayed = Sequence[Mapping[str, Any]]


def _draft(kind: str, transfer: Transfer, predicate: Mapping[str, Any]) -> Draft:
    subjects = (Subject.package(transfer.package), transfer_subject(transfer.id))
    given = {name: value for name, value in predicate.items() if value not in ("", None)}
    return Draft(kind, subjects, {"transfer": transfer.id, **given})


def offer(transfer: Transfer, *, to: str, grant: str, by: str) -> Draft:
    """That a package is offered."""
    return _draft(
        "offer",
        transfer,
        {
            "package": str(PackageId(transfer.package)),
            "payload_id": transfer.payload_id,
            "to": to,
            "recipient": transfer.peer,
            "grant": grant,
            "bytes": transfer.bytes,
            "files": transfer.files,
            "routes": list(transfer.routes),
            "expires": time_text(transfer.expires),
            "comment": transfer.comment,
            "by": by,
        },
    )


def acceptance(
    transfer: Transfer, *, ceiling: int, route: str, rule: str, by: str, relay: str = "", seal: str = ""
) -> Draft:
    """That the offer is accepted; `relay` and `seal` where it may go by carriers: see `diadem.transfer.relay`."""
    return _draft(
        "acceptance",
        transfer,
        {
            "offer": transfer.offer,
            "package": str(PackageId(transfer.package)),
            "sender": transfer.peer,
            "ceiling": ceiling,
            "route": route,
            "relay": relay,
            "seal": seal,
            "rule": rule,
            "by": by,
        },
    )


def decline(transfer: Transfer, *, reason: str, by: str) -> Draft:
    """That the offer is declined, or that the acceptance holds no longer."""
    return _draft("decline", transfer, {"offer": transfer.offer, "reason": reason, "by": by})


def revocation(transfer: Transfer, *, reason: str, by: str) -> Draft:
    """That the offer holds no longer."""
    subjects = (Subject.statement(transfer.offer), Subject.package(transfer.package), transfer_subject(transfer.id))
    said = {"revokes": transfer.offer, "by": by, **({"reason": reason} if reason else {})}
    return Draft("revocation", subjects, said)


def receipt(
    transfer: Transfer,
    counts: Counts,
    *,
    stores: Sequence[str],
    started: datetime,
    ended: datetime,
    software: str,
    relayed: Relayed = (),
) -> Draft:
    """That the package is here, every byte of it proven; `relayed`: what was taken at hubs."""
    return _draft(
        "receipt",
        transfer,
        {
            "offer": transfer.offer,
            "acceptance": transfer.acceptance,
            "package": str(PackageId(transfer.package)),
            "payload_id": transfer.payload_id,
            "bytes": transfer.bytes,
            **counts.to_dict(),
            "route": transfer.route,
            "relayed": list(relayed) or None,
            "stores": list(stores),
            "sender": transfer.peer,
            "started": time_text(started),
            "ended": time_text(ended),
            "by": transfer.recipient,
            "software": software,
        },
    )


def closure(transfer: Transfer, *, receipt: str, recipient: str, checkpoint: str, relayed: Relayed = ()) -> Draft:
    """That the receipt was seen; `relayed`: what was put at hubs."""
    said = {"receipt": receipt, "recipient": recipient, "checkpoint": checkpoint, "bytes": transfer.moved}
    return _draft("closure", transfer, {**said, "relayed": list(relayed) or None})


def handover(transfer: Transfer) -> Draft:
    """That a disk with the package was given out, sealed for the recipient's node."""
    said = {"to": transfer.recipient, "form": "disk", "redacted": False}
    return _draft("handover", transfer, {**said, "payload_id": transfer.payload_id, "by": transfer.sender})


def audit(transfer: str, peer: str, reason: str) -> Draft:
    """That something of a peer was not believed."""
    said = {"action": f"transfer {transfer}", "actor": peer, "outcome": "refused", "reason": reason[:500]}
    return Draft("audit", (transfer_subject(transfer), Subject.key(peer)), said)
