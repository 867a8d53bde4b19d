"""How a package came to this node: it was made here, or received from another node; whichever the log says first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from diadem.custody.entries import Entry
from diadem.model.statement_kinds import ARRIVAL_KINDS


def taken_in(entries: Iterable[Entry]) -> Mapping[str, Any] | None:
    """What the log says of a package's coming, in the words of an `ingest`; None where it says nothing of it.

    Parameters
    ----------
    entries : iterable of Entry
        All that the log says of the package, in order.
    """
    return next((as_ingest(entry) for entry in entries if entry.statement.kind in ARRIVAL_KINDS), None)


def as_ingest(entry: Entry) -> Mapping[str, Any]:
    """The predicate of an `ingest`; of a `receipt` the same facts by the same names. Who received it owns it here."""
    said = entry.statement.predicate
    if entry.statement.kind == "ingest":
        return said
    return {
        "payload_id": said["payload_id"],
        "bytes": said["bytes"],
        "owner": str(said.get("by", "")),
        "source": f"received from the node {said.get('sender', '')}".rstrip(),
        "time": said["time"],
    }
