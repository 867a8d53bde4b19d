"""Writing into the catalogue. Every function works in the transaction of its caller."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from diadem.errors import NotFound, UsageError
from diadem.model.ids import PackageId
from diadem.model.manifest import VENDOR_PATH
from diadem.model.replicas import PRESENT, PROOFS, READING_PROOFS, REPLICA_STATES
from diadem.model.times import time_text
from diadem.node.catalogue import sqlite, tables
from diadem.node.catalogue.entries import PackageEntry
from diadem.node.catalogue.facts import FORMAT, Fact, Facts, gather
from diadem.node.catalogue.order import order_number

#: Bytes of the largest `diadem/vendor.zip` that is kept; a larger one can be made again only by reading the payload.
KEPT_VENDOR: Final = 4 << 20
#: A letter of private use is a word for the text search, and none for `words`.
BETWEEN: Final = "\ue000"
#: Rows that go to the database in one call.
_BATCH = 5000
#: Texts that are named of several.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Prepared:
    """A package, ready to be written: no more than rows."""

    id: str
    number: int
    package: Mapping[str, Any]
    facts: Sequence[Fact]
    datasets: Sequence[tuple[str, str]]
    tag_files: Sequence[Mapping[str, Any]]
    traces: frozenset[int]


def prepare(entry: PackageEntry) -> Prepared:
    """Read the record and compress the tag files: what takes long is done before anything is locked."""
    facts = gather(entry)
    hex_id = PackageId(entry.id).hex
    return Prepared(
        id=hex_id,
        number=order_number(entry.date, entry.id),
        package=_package_row(entry, facts, hex_id),
        facts=tuple(facts.all()),
        datasets=facts.datasets,
        tag_files=[_tag_file(path, data) for path, data in entry.tag_files.items() if _is_kept(path, data)],
        traces=entry.traces,
    )


def _is_kept(path: str, data: bytes) -> bool:
    return path != VENDOR_PATH or len(data) <= KEPT_VENDOR


def _tag_file(path: str, data: bytes) -> Mapping[str, Any]:
    return {"path": path, "size": len(data), "data": zlib.compress(data)}


def write_package(connection: Connection, prepared: Prepared) -> None:
    """Insert a package, or all that is known of it anew; its replicas and proofs stay."""
    old = find(connection, prepared.id)
    seq = _free_number(connection, prepared.number, prepared.id)
    if old is None:
        connection.execute(insert(tables.packages), {"seq": seq, **prepared.package})
    else:
        _clear(connection, old)
        changed = update(tables.packages).where(tables.packages.c.seq == old)
        connection.execute(changed, {"seq": seq, "tombstone": None, **prepared.package})
    _write_facts(connection, seq, prepared)
    _insert(connection, tables.tag_files, ({"package": seq, **row} for row in prepared.tag_files))
    _insert(connection, tables.traces, ({"package": seq, "trace": trace} for trace in prepared.traces))


def find(connection: Connection, hex_id: str) -> int | None:
    """The key of a package."""
    found: int | None = connection.scalar(select(tables.packages.c.seq).where(tables.packages.c.id == hex_id))
    return found


def require(connection: Connection, package_id: str) -> int:
    """The same, where there must be one. Raises `NotFound`."""
    found = find(connection, PackageId(package_id).hex)
    if found is None:
        raise NotFound(f"the catalogue has no package {package_id}", next="Run: diadem reindex")
    return found


def _free_number(connection: Connection, number: int, hex_id: str) -> int:
    """The number, or the next one that no other package has: 41 bits of two ids of one day may be equal."""
    while True:
        other = connection.scalar(select(tables.packages.c.id).where(tables.packages.c.seq == number))
        if other is None or other == hex_id:
            return number
        number += 1


def _clear(connection: Connection, seq: int) -> None:
    for table in (tables.facts, tables.datasets, tables.tag_files, tables.traces):
        connection.execute(delete(table).where(table.c.package == seq))
    sqlite.remove_text(connection, seq)


def _package_row(entry: PackageEntry, facts: Facts, hex_id: str) -> dict[str, Any]:
    return {
        "id": hex_id,
        "payload_id": entry.payload_id,
        "path": entry.path,
        "title": entry.title,
        "date": entry.date.isoformat() if entry.date else None,
        "bytes": entry.bytes,
        "files": entry.files,
        "owner": entry.owner,
        "ingested_at": _moment(entry.ingested_at),
        "predecessor": PackageId(entry.predecessor).hex if entry.predecessor else None,
        "omitted": entry.omitted,
        "issues": json.dumps(dict(sorted(entry.issues.items()))),
        "datasets": len(facts.datasets),
        "instrument": _named(facts.values("instrument.name", "instrument.model")),
        "sample": _named(facts.values("sample.name", "sample.identifier")),
        "operator": _named(facts.values("person.operator")),
        "formats": json.dumps(sorted(facts.values(FORMAT))),
    }


def _moment(moment: datetime | None) -> str | None:
    return time_text(moment) if moment else None


def _named(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return "; ".join(texts[:_NAMED]) + more


def _write_facts(connection: Connection, seq: int, prepared: Prepared) -> None:
    facts = prepared.facts
    codes = _codes(connection, {fact.key for fact in facts})
    rows = (
        {"package": seq, "key": codes[fact.key], "rank": rank, **_fact_row(fact)} for rank, fact in enumerate(facts)
    )
    _insert(connection, tables.facts, rows)
    named = enumerate(prepared.datasets, 1)
    _insert(connection, tables.datasets, ({"package": seq, "number": i, "id": id_, "path": p} for i, (id_, p) in named))
    sqlite.write_text(connection, seq, _joined(facts, everywhere=True), _joined(facts, everywhere=False))


def _fact_row(fact: Fact) -> dict[str, Any]:
    return {name: getattr(fact, name) for name in ("number", "text", "words", "everywhere", "datasets")}


def _joined(facts: Iterable[Fact], *, everywhere: bool) -> str:
    """The words of all texts, with a word between two texts that nobody can ask for: no phrase goes across."""
    return BETWEEN.join(fact.words for fact in facts if fact.words and fact.everywhere == everywhere)


def _codes(connection: Connection, names: set[str]) -> Mapping[str, int]:
    """The number of every key, new ones added."""
    known = {name: code for code, name in connection.execute(select(tables.keys.c.code, tables.keys.c.name))}
    for name in sorted(names - known.keys()):
        known[name] = len(known) + 1
        connection.execute(insert(tables.keys), {"code": known[name], "name": name})
    return known


def _insert(connection: Connection, table: Any, rows: Iterator[dict[str, Any]]) -> None:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            connection.execute(insert(table), batch)
            batch = []
    if batch:
        connection.execute(insert(table), batch)


def write_ingest(connection: Connection, package_id: str, at: str) -> None:
    """Note when a package was taken in; the first statement that says so counts."""
    seq = require(connection, package_id)
    columns = tables.packages.c
    rule = (columns.seq == seq, (columns.ingested_at.is_(None)) | (columns.ingested_at > at))
    connection.execute(update(tables.packages).where(*rule), {"ingested_at": at})


def write_tombstone(connection: Connection, package_id: str, tombstone: Mapping[str, Any]) -> None:
    """Note that a package was deleted on purpose: what its record says is taken out, its row stays."""
    seq = require(connection, package_id)
    _clear(connection, seq)
    changed = update(tables.packages).where(tables.packages.c.seq == seq)
    connection.execute(changed, {"tombstone": json.dumps(tombstone, sort_keys=True)})


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
    """Insert or change a replica; None leaves what is known. Of one that is damaged or gone no proof counts."""
    if state not in REPLICA_STATES:
        raise UsageError(f"'{state}' is no state of a replica", next=f"One of {', '.join(REPLICA_STATES)}.")
    seq = require(connection, package_id)
    if state != PRESENT:
        of_it = (tables.proofs.c.package == seq, tables.proofs.c.store == store, tables.proofs.c.ok)
        connection.execute(delete(tables.proofs).where(*of_it))
    changes = {"adopted": adopted, "written_at": _moment(written), "parity": parity, "place": place}
    row = {"package": seq, "store": store, "path": path, "state": state}
    row |= {"adopted": False, "written_at": None, "parity": False, "place": None, "proven_at": None, "proven_level": ""}
    row |= _replica_row(connection, seq, store) | {name: value for name, value in changes.items() if value is not None}
    connection.execute(sqlite.upsert(tables.replicas, [row], "package", "store"))
    _refresh_proof(connection, seq, store)


def _replica_row(connection: Connection, seq: int, store: str) -> dict[str, Any]:
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
        connection.execute(sqlite.upsert(proofs, [full], "package", "store", "level", "ok"))
        _refresh_proof(connection, row["package"], row["store"])


def _refresh_proof(connection: Connection, seq: int, store: str) -> None:
    """Let the replica name the last proof of every byte since it was written; of two at one time the stronger."""
    proofs, replicas = tables.proofs, tables.replicas
    same = (replicas.c.package == seq, replicas.c.store == store)
    written = connection.scalar(select(replicas.c.written_at).where(*same)) or ""
    of_bytes = (proofs.c.package == seq, proofs.c.store == store, proofs.c.ok, proofs.c.level.in_(sorted(PROOFS)))
    found = connection.execute(select(proofs.c.at, proofs.c.level).where(*of_bytes, proofs.c.at >= written)).all()
    at, level = max(((row.at, row.level) for row in found), key=_weight, default=(None, ""))
    connection.execute(update(replicas).where(*same), {"proven_at": at, "proven_level": level})


def _weight(proof: tuple[str, str]) -> tuple[str, int, str]:
    at, level = proof
    return at, 2 if level == "full" else 1 if level in READING_PROOFS else 0, level


def write_statement(connection: Connection, row: dict[str, Any], subjects: Iterable[str]) -> None:
    """Note a statement of the log, once."""
    known = select(tables.statements.c.statement_id).where(tables.statements.c.statement_id == row["statement_id"])
    if connection.scalar(known) is not None:
        return
    connection.execute(insert(tables.statements), row)
    named = {"statement_id": row["statement_id"], "kind": row["kind"]}
    _insert(connection, tables.subjects, ({"sha256": sha256, **named} for sha256 in dict.fromkeys(subjects)))
