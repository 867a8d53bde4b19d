"""Writing of replicas and of the checks that prove them. Every function works in the transaction of its caller."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, delete, select, update

from diadem.catalogue import dialects, tables
from diadem.catalogue.entries import CopyEntry
from diadem.catalogue.expressions import among
from diadem.catalogue.paths import written as written_path
from diadem.catalogue.writing import find, known, require
from diadem.errors import UsageError
from diadem.model.manifest import PREFIX, PackageId
from diadem.model.replicas import PRESENT, PROOFS, READING_PROOFS, REPLICA_STATES
from diadem.model.times import time_text

#: What a replica names while no proof of its bytes counts.
_UNPROVEN: Final = {"proven_at": None, "proven_level": ""}


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
    from diadem.catalogue import facet_counts as faceting

    if state not in REPLICA_STATES:
        raise UsageError(f"'{state}' is not a state of a replica", next=f"One of {', '.join(REPLICA_STATES)}.")
    seq = require(connection, package_id)
    changes = {
        "adopted": adopted,
        "written_at": time_text(written) if written else None,
        "parity": parity,
        "place": place,
    }
    row: dict[str, Any] = {"adopted": False, "written_at": None, "parity": False, "place": None, **_UNPROVEN}
    before = _known(connection, seq, store)
    counted = before.pop("state", None) == PRESENT
    row |= before | {name: value for name, value in changes.items() if value is not None}
    row |= {"package": seq, "store": store, "path": written_path(path), "state": state}
    if state != PRESENT or written is not None:
        of_it = (tables.proofs.c.package == seq, tables.proofs.c.store == store, tables.proofs.c.ok)
        connection.execute(delete(tables.proofs).where(*of_it))
        row |= _UNPROVEN
    connection.execute(dialects.of(connection).upsert(tables.replicas, "package", "store"), row)
    if counted != (state == PRESENT):
        faceting.touch(connection, [seq])


def write_copies(connection: Connection, copies: Sequence[CopyEntry]) -> None:
    """Enter copies that were written, as `write_replica` and `write_proofs` do one by one.

    Those of which nothing is known yet, which of a catalogue that is built anew are nearly all, go in together. Unknown
    packages are passed over.
    """
    from diadem.catalogue import facet_counts as faceting

    keys = known(connection, [copy.package_id for copy in copies])
    taken = _taken(connection, sorted(set(keys.values())))
    new: list[tuple[int, CopyEntry]] = []
    others: list[tuple[int, CopyEntry]] = []
    for copy in copies:
        if (seq := keys.get(copy.package_id.removeprefix(PREFIX))) is None:
            continue
        (others if (seq, copy.store) in taken else new).append((seq, copy))
        taken.add((seq, copy.store))
    dialects.insert_rows(connection, tables.replicas, (_replica_row(seq, copy) for seq, copy in new))
    proven = ((seq, copy) for seq, copy in new if copy.level in PROOFS)
    dialects.insert_rows(connection, tables.proofs, (_proof_row(seq, copy) for seq, copy in proven))
    for seq, copy in others:
        _write_copy(connection, seq, copy)
    faceting.touch(connection, {seq for seq, _ in new})


def _taken(connection: Connection, keys: Sequence[int]) -> set[tuple[int, str]]:
    """Package and store of all replicas and proofs of some packages."""
    found: set[tuple[int, str]] = set()
    for table in (tables.replicas, tables.proofs):
        rows = select(table.c.package, table.c.store).where(among(table.c.package, keys))
        found |= {(seq, store) for seq, store in connection.execute(rows)}
    return found


def _replica_row(seq: int, copy: CopyEntry) -> tuple[Any, ...]:
    at = time_text(copy.at)
    values = {
        "package": seq,
        "store": copy.store,
        "path": written_path(copy.path),
        "state": PRESENT,
        "adopted": copy.adopted,
        "written_at": at,
        "proven_at": at if copy.level in PROOFS else None,
        "proven_level": copy.level if copy.level in PROOFS else "",
        "parity": False,
        "place": copy.place,
    }
    return tuple(values[column.name] for column in tables.replicas.c)


def _proof_row(seq: int, copy: CopyEntry) -> tuple[Any, ...]:
    values = {
        "package": seq,
        "store": copy.store,
        "level": copy.level,
        "ok": True,
        "at": time_text(copy.at),
        "statement_id": copy.statement_id,
    }
    return tuple(values[column.name] for column in tables.proofs.c)


def _write_copy(connection: Connection, seq: int, copy: CopyEntry) -> None:
    """A copy in the place of one that is known."""
    write_replica(
        connection,
        copy.package_id,
        copy.store,
        copy.path,
        state=PRESENT,
        adopted=copy.adopted,
        written=copy.at,
        parity=None,
        place=copy.place,
    )
    if copy.level in PROOFS:
        row = {"package": seq, "store": copy.store, "level": copy.level, "ok": True, "at": time_text(copy.at)}
        _write_proof(connection, row, copy.statement_id)


def _known(connection: Connection, seq: int, store: str) -> dict[str, Any]:
    """What is known already."""
    kept = [tables.replicas.c[name] for name in ("adopted", "written_at", "parity", "place", "state", *_UNPROVEN)]
    same = (tables.replicas.c.package == seq, tables.replicas.c.store == store)
    found = connection.execute(select(*kept).where(*same)).mappings().first()
    return dict(found) if found else {}


def remove_replica(connection: Connection, package_id: str, store: str) -> None:
    """Forget a replica and its proofs."""
    from diadem.catalogue import facet_counts as faceting

    seq = require(connection, package_id)
    for table in (tables.proofs, tables.replicas):
        connection.execute(delete(table).where(table.c.package == seq, table.c.store == store))
    faceting.touch(connection, [seq])


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
    """Note checks of replicas in one store; of each kind the one told last stays. Packages not known are passed over.

    They are told in the order of the log. Their times are only shown: a clock may have been years ahead once.
    """
    found = [seq for item in package_ids if (seq := find(connection, PackageId(item).hex)) is not None]
    for seq in found:
        row = {"package": seq, "store": store, "level": level, "ok": ok, "at": time_text(at)}
        _write_proof(connection, row, statement_id)
    return len(found)


def _write_proof(connection: Connection, row: dict[str, Any], statement_id: str | None) -> None:
    full = {**row, "statement_id": statement_id}
    connection.execute(dialects.of(connection).upsert(tables.proofs, "package", "store", "level", "ok"), full)
    if row["ok"] and row["level"] in PROOFS:
        _prove(connection, row)


def _prove(connection: Connection, row: dict[str, Any]) -> None:
    """Let the replica name its last proof, if there is a replica; of two in one second the stronger."""
    replicas = tables.replicas
    same = (replicas.c.package == row["package"], replicas.c.store == row["store"])
    before = connection.execute(select(replicas.c.proven_at, replicas.c.proven_level).where(*same)).first()
    if before is not None and (before[0] != row["at"] or _strength(before[1]) <= _strength(row["level"])):
        proven = {"proven_at": row["at"], "proven_level": row["level"]}
        connection.execute(update(replicas).where(*same), proven)


def _strength(level: str) -> int:
    return 2 if level == "full" else 1 if level in READING_PROOFS else 0
