"""That log, catalogue and stores of a node say the same, by ways of their own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import diadem
from diadem.model.replicas import DROPPED, MISSING, PRESENT
from diadem.node.follow.package_log import PackageLog
from diadem.node.node import Node
from tests import catalogues


def require_agreement(node: Node) -> None:
    """The log holds; every package is in it once; stores and catalogue have the same; a reindex changes nothing."""
    context = node.context
    assert context.ledger.check() == ()
    assert context.catalogue.count_statements() == context.ledger.total
    ingests = Counter(
        entry.statement.subjects[0].name for entry in context.ledger.all_entries() if entry.statement.kind == "ingest"
    )
    known = {state.id: state for state in context.catalogue.package_states() if not state.tombstoned}
    assert set(ingests.values()) <= {1}
    assert {one for one in ingests if not PackageLog(context.ledger, one).is_deleted()} == set(known)
    payloads = [state.payload_id for state in known.values()]
    assert len(set(payloads)) == len(payloads)
    for settings, store in context.stores.opened():
        listed = {(replica.store, replica.path): state.id for state in known.values() for replica in state.replicas
                  if replica.state not in (DROPPED, MISSING)}  # fmt: skip
        found = {(settings.name, stored.path): str(stored.id) for stored in store.packages()}
        assert found == {place: package for place, package in listed.items() if place[0] == settings.name}
        for _, path in found:
            assert diadem.verify(f"{store.url}/{path}", level="full").ok
        assert store.sweep() == []
    before = memory(node)
    assert node.reindex().notes == ()
    assert memory(node) == before


def memory(node: Node) -> dict[str, Any]:
    """What the catalogue knows: what a search finds, every copy with its last proof, and what was deleted."""
    catalogue = node.context.catalogue
    rows = node.search(limit=1000).to_dict()
    return {
        "rows": rows,
        "copies": {row["id"]: catalogue.replicas(row["id"]) for row in rows["rows"]},
        "deleted": {one.id: catalogue.get(one.id).tombstone for one in catalogue.package_states() if one.tombstoned},
        "statements": catalogue.count_statements(),
    }


def copies(node: Node) -> dict[str, list[str]]:
    """Stores in which each package is present."""
    return {
        state.id: sorted(replica.store for replica in state.replicas if replica.state == PRESENT)
        for state in node.context.catalogue.package_states()
    }


def rebuilt(folder: Path) -> Node:
    """The node in a folder, its catalogue lost and made anew from the log and the stores."""
    catalogues.forget(folder)
    node = diadem.open_node(folder, rebuild=True)
    node.reindex()
    return node
