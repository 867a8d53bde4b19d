"""Writing into the catalogue. Every function works in the transaction of its caller."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from diadem.errors import NotFound
from diadem.model.ids import PackageId
from diadem.model.manifest import VENDOR_PATH
from diadem.model.times import time_text
from diadem.node.catalogue import amending, assessing, faceting, sqlite, tables
from diadem.node.catalogue.entries import PackageEntry
from diadem.node.catalogue.facts import FORMAT, Fact, Facts, gather, named, storable
from diadem.node.catalogue.order import order_number
from diadem.node.catalogue.vocabulary import SAMPLE_KEYS
from diadem.node.catalogue.words import padded

#: Bytes of the largest `diadem/vendor.zip` that is kept; a larger one can be made again only by reading the payload.
KEPT_VENDOR: Final = 4 << 20
#: Tables whose rows follow from the record of a package and from what is said of it.
_OF_RECORD: Final = (
    tables.numbers, tables.phrases, tables.datasets, tables.tag_files, tables.traces, tables.assessments,
    tables.unassessed, tables.sealed_facts,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Phrased:
    """A fact that is a text, and its words."""

    fact: Fact
    text: str
    words: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A package, ready to be written: no more than rows."""

    id: str
    number: int
    package: Mapping[str, Any]
    numbers: Sequence[Fact]
    phrases: Sequence[Phrased]
    datasets: Sequence[tuple[str, str]]
    tag_files: Sequence[tuple[str, int, bytes]]
    traces: frozenset[int]


def prepare(entry: PackageEntry) -> Prepared:
    """Read the record and compress the tag files: what takes long is done before anything is locked."""
    facts = gather(entry)
    every = list(facts.all())
    hex_id = PackageId(entry.id).hex
    return Prepared(
        id=hex_id,
        number=order_number(entry.date, entry.id),
        package=_package_row(entry, facts, hex_id),
        numbers=[fact for fact in every if not isinstance(fact.value, str)],
        phrases=[Phrased(fact, fact.value, padded(fact.value)) for fact in every if isinstance(fact.value, str)],
        datasets=facts.datasets,
        tag_files=[_tag_file(path, data) for path, data in entry.tag_files.items() if _is_kept(path, data)],
        traces=entry.traces,
    )


def _is_kept(path: str, data: bytes) -> bool:
    return path != VENDOR_PATH or len(data) <= KEPT_VENDOR


def _tag_file(path: str, data: bytes) -> tuple[str, int, bytes]:
    return path, len(data), zlib.compress(data)


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
    sqlite.insert_rows(connection, tables.tag_files, ((seq, *row) for row in prepared.tag_files))
    sqlite.insert_rows(connection, tables.traces, ((trace, seq) for trace in prepared.traces))
    assessing.restate(connection, seq, prepared.id)
    amending.restate(connection, seq, prepared.id)
    faceting.touch(connection, [seq])


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
    for table in _OF_RECORD:
        connection.execute(delete(table).where(table.c.package == seq))
    sqlite.remove_text(connection, seq)
    faceting.touch(connection, [seq])


def _package_row(entry: PackageEntry, facts: Facts, hex_id: str) -> dict[str, Any]:
    return {
        "id": hex_id,
        "payload_id": entry.payload_id,
        "path": storable(entry.path),
        "title": storable(entry.title),
        "date": entry.date.isoformat() if entry.date else None,
        "bytes": entry.bytes,
        "files": entry.files,
        "owner": storable(entry.owner),
        "ingested_at": _moment(entry.ingested_at),
        "predecessor": PackageId(entry.predecessor).hex if entry.predecessor else None,
        "omitted": entry.omitted,
        "issues": json.dumps(dict(sorted(entry.issues.items()))),
        "datasets": len(facts.datasets),
        "instrument": named(facts.values("instrument.name", "instrument.model")),
        "sample": named(facts.values(*SAMPLE_KEYS)),
        "operator": named(facts.values("person.operator")),
        "formats": json.dumps(sorted(facts.values(FORMAT))),
    }


def _moment(moment: datetime | None) -> str | None:
    return time_text(moment) if moment else None


def _write_facts(connection: Connection, seq: int, prepared: Prepared) -> None:
    codes = _codes(connection, prepared)
    stated = ((seq, codes[fact.key], fact.value, fact.everywhere, fact.datasets) for fact in prepared.numbers)
    sqlite.insert_rows(connection, tables.numbers, stated)
    said = (
        (seq, codes[one.fact.key], rank, one.text, one.words, one.fact.everywhere, one.fact.datasets)
        for rank, one in enumerate(prepared.phrases)
    )
    sqlite.insert_rows(connection, tables.phrases, said)
    named = enumerate(prepared.datasets, 1)
    sqlite.insert_rows(connection, tables.datasets, ((seq, number, *dataset) for number, dataset in named))
    sqlite.write_text(connection, seq, *(_text(prepared, codes, everywhere=where) for where in (True, False)))


def _text(prepared: Prepared, codes: Mapping[str, int], *, everywhere: bool) -> str:
    chosen = (one for one in prepared.phrases if one.words and one.fact.everywhere == everywhere)
    return sqlite.text_of((codes[one.fact.key], one.words) for one in chosen)


def _codes(connection: Connection, prepared: Prepared) -> Mapping[str, int]:
    """The number of every key, new ones added."""
    names = {fact.key for fact in prepared.numbers} | {one.fact.key for one in prepared.phrases}
    known = {name: code for code, name in connection.execute(select(tables.keys.c.code, tables.keys.c.name))}
    for name in sorted(names - known.keys()):
        known[name] = max(known.values(), default=0) + 1
        connection.execute(insert(tables.keys), {"code": known[name], "name": name})
    return known


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


def write_statement(connection: Connection, row: dict[str, Any], subjects: Iterable[str]) -> None:
    """Note a statement of the log, once."""
    known = select(tables.statements.c.statement_id).where(tables.statements.c.statement_id == row["statement_id"])
    if connection.scalar(known) is not None:
        return
    connection.execute(insert(tables.statements), row)
    about = ((sha256, row["statement_id"], row["kind"]) for sha256 in dict.fromkeys(subjects))
    sqlite.insert_rows(connection, tables.subjects, about)
