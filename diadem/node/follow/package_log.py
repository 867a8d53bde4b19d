"""What the log says of a package: how it came, where its copies lie, and whether it was deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from diadem.custody.log import Ledger
from diadem.custody.log_entry import Entry
from diadem.model.manifest import PackageId
from diadem.model.statement_kinds import ARRIVAL_KINDS, COPY_KINDS

#: The code of a finding that says that nothing of a copy is there.
COPY_MISSING: Final = "copy-missing"


class PackageLog:
    """All that the log says of one package, as it is read now."""

    def __init__(self, ledger: Ledger, package_id: str) -> None:
        self.id = PackageId(package_id)
        self.entries = ledger.of_subject(self.id.hex)

    def ingest(self) -> Mapping[str, Any] | None:
        """What is said of the package's coming, in the words of an `ingest`; None where nothing is."""
        return next((as_ingest(entry) for entry in self.entries if entry.statement.kind in ARRIVAL_KINDS), None)

    def is_of_node(self) -> bool:
        """Whether it was ever stated that the package came to this node, or that a copy of it was written."""
        return any(entry.statement.kind in (*ARRIVAL_KINDS, *COPY_KINDS) for entry in self.entries)

    def is_deleted(self) -> bool:
        """Whether the last that is said of the package is that it was deleted on purpose."""
        kinds = (entry.statement.kind for entry in reversed(self.entries))
        return next((kind for kind in kinds if kind in (*COPY_KINDS, "tombstone")), "") == "tombstone"

    def places(self) -> dict[str, str]:
        """By store, the path at which a copy is, whole or not."""
        written = written_places(self.entries).get(self.id, ())
        return {place.store: place.path for place in written if not place.missing}


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


@dataclass(slots=True)
class Place:
    """Where a copy was written; `missing` where it was said since that nothing of it is there."""

    store: str
    path: str
    missing: bool = False


def written_places(entries: Iterable[Entry]) -> dict[str, list[Place]]:
    """By package, every place at which a copy was written and not given up, whatever it has lost since; the last last.

    A statement of several packages may say what is missing of some of them.
    """
    places: dict[str, list[Place]] = {}
    for entry in entries:
        kind, said = entry.statement.kind, entry.statement.predicate
        store = str(said.get("store", ""))
        missing = {finding["package"] for finding in said.get("findings", ()) if finding["code"] == COPY_MISSING}
        for package in (subject.name for subject in entry.statement.subjects):
            if kind in COPY_KINDS:
                places.setdefault(package, []).append(Place(store, str(said.get("path", ""))))
            elif kind == "tombstone":
                places.pop(package, None)
            elif package not in places:
                continue
            elif kind == "drop":
                places[package] = [place for place in places[package] if place.store != store]
            elif package in missing:
                for place in places[package]:
                    place.missing |= place.store == store
    return places
