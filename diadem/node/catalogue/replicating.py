"""Writing of replicas and of the checks that prove them. Every function works in the transaction of its caller."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from diadem.errors import UsageError
from diadem.model.ids import PackageId
from diadem.model.replicas import PRESENT, PROOFS, READING_PROOFS, REPLICA_STATES
from diadem.model.times import time_text
from diadem.node.catalogue import sqlite, tables
from diadem.node.catalogue.paths import written as written_path
from diadem.node.catalogue.writing import find, require


def write_replica(
    connection: Connection,
    package_id: str,
    store: str,
    path: str,
    *,
    state: str,
    adopted: bool | None,
    written: datetime | None,
    parity: bool | None,
    place: str | None,
) -> None:
    """Insert or change a replica; None leaves what is known.

    Of one that is damaged or gone no proof counts, and of one that is written anew none from before: what came first
    is told by the order of the calls, for clocks go in steps and backwards.
    """
    if state not in REPLICA_STATES:
        raise UsageError(f"'{state}' is no state of a replica", next=f"One of {', '.join(REPLICA_STATES)}.")
    seq = require(connection, package_id)
    if state != PRESENT or written is not None:
        of_it = (tables.proofs.c.package == seq, tables.proofs.c.store == store, tables.proofs.c.ok)
        connection.execute(delete(tables.proofs).where(*of_it))
    changes = {
        "adopted": adopted,
        "written_at": time_text(written) if written else None,
        "parity": parity,
        "place": place,
    }
    row: dict[str, Any] = {"adopted": False, "written_at": None, "parity": False, "place": None}
    row |= _known(connection, seq, store) | {name: value for name, value in changes.items() if value is not None}
    row |= _last_proof(connection, seq, store, row["written_at"])
    row |= {"package": seq, "store": store, "path": written_path(path), "state": state}
    connection.execute(sqlite.upsert(tables.replicas, "package", "store"), row)


def _known(connection: Connection, seq: int, store: str) -> dict[str, Any]:
    """What is known already."""
    kept = [tables.replicas.c[name] for name in ("adopted", "written_at", "parity", "place")]
    same = (tables.replicas.c.package == seq, tables.replicas.c.store == store)
    found = connection.execute(select(*kept).where(*same)).mappings().first()
    return dict(found) if found else {}


def remove_replica(connection: Connection, package_id: str, store: str) -> None:
    """Forget a replica and its proofs."""
    seq = require(connection, package_id)
    for table in (tables.proofs, tables.replicas):
        connection.execute(delete(table).where(table.c.package == seq, table.c.store == store))


def write_proofs(
    connection: Connection,
    package_ids: Iterable[str],
    store: str,
    *,
    level: str,
    at: datetime,
    ok: bool,
    statement_id: str | None,
) -> int:
    """Note checks of replicas in one store; of each kind the latest stays. Packages not known are passed over."""
    found = [seq for item in package_ids if (seq := find(connection, PackageId(item).hex)) is not None]
    for seq in found:
        row = {"package": seq, "store": store, "level": level, "ok": ok, "at": time_text(at)}
        _write_proof(connection, row, statement_id)
    return len(found)


def _write_proof(connection: Connection, row: dict[str, Any], statement_id: str | None) -> None:
    proofs = tables.proofs
    same = [proofs.c[name] == row[name] for name in ("package", "store", "level", "ok")]
    before = connection.scalar(select(proofs.c.at).where(*same))
    if before is None or before <= row["at"]:
        full = {**row, "statement_id": statement_id}
        connection.execute(sqlite.upsert(proofs, "package", "store", "level", "ok"), full)
        _refresh(connection, row["package"], row["store"])


def _refresh(connection: Connection, seq: int, store: str) -> None:
    """Let the replica name its last proof, if there is a replica."""
    replicas = tables.replicas
    same = (replicas.c.package == seq, replicas.c.store == store)
    found = connection.execute(select(replicas.c.written_at).where(*same)).first()
    if found is not None:
        proof = _last_proof(connection, seq, store, found.written_at)
        connection.execute(update(replicas).where(*same), proof)


def _last_proof(connection: Connection, seq: int, store: str, written_at: str | None) -> dict[str, Any]:
    """The last proof of every byte since it was written; of two at one time the stronger."""
    proofs = tables.proofs.c
    of_bytes = (proofs.package == seq, proofs.store == store, proofs.ok, proofs.level.in_(sorted(PROOFS)))
    rows = select(proofs.at, proofs.level).where(*of_bytes, proofs.at >= (written_at or ""))
    found = [(row.at, row.level) for row in connection.execute(rows)]
    at, level = max(found, key=_weight, default=(None, ""))
    return {"proven_at": at, "proven_level": level}


def _weight(proof: tuple[str, str]) -> tuple[str, int, str]:
    at, level = proof
    return at, 2 if level == "full" else 1 if level in READING_PROOFS else 0, level
