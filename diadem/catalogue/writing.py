"""Writing into the catalogue. Every function works in the transaction of its caller."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date as day
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from diadem.catalogue import amending, assessing, dialects, saying, tables
from diadem.catalogue import facet_counts as faceting
from diadem.catalogue.database import Said
from diadem.catalogue.entries import PackageEntry, StatementEntry
from diadem.catalogue.expressions import among, among_texts
from diadem.catalogue.facts import FORMAT, SESSION_DATE, Fact, Facts, day_of, gather, named, storable
from diadem.catalogue.order import order_number
from diadem.catalogue.vocabulary import SAMPLE_KEYS
from diadem.catalogue.words import padded
from diadem.errors import NotFound
from diadem.model.manifest import PREFIX, PREVIEWS_PATH, VENDOR_PATH, PackageId
from diadem.model.times import time_text

#: Bytes up to which files are kept. A larger `diadem/vendor.zip` is made again only by reading the payload; pictures do
#: not compress, and each store has a snapshot of all that is kept.
KEPT: Final = {VENDOR_PATH: 4 << 20, PREVIEWS_PATH: 64 << 10}
#: Tables whose rows follow from the record of a package and from what is said of it.
_OF_RECORD: Final = (
    tables.numbers, tables.phrases, tables.datasets, tables.tag_files, tables.traces, tables.assessments,
    tables.unassessed, tables.sealed_facts,
)  # fmt: skip


_packages = tables.packages.c


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


#: A package and its key.
Numbered = tuple[int, Prepared]


def prepare(entry: PackageEntry) -> Prepared:
    """Read the record and compress the tag files: what takes long is done before anything is locked."""
    facts = gather(entry)
    every = list(facts.all())
    date = next((day_of(float(fact.value)) for fact in every if fact.key == SESSION_DATE), None)
    hex_id = PackageId(entry.id).hex
    return Prepared(
        id=hex_id,
        number=order_number(date, entry.id),
        package=_package_row(entry, facts, hex_id, date),
        numbers=[fact for fact in every if not isinstance(fact.value, str)],
        phrases=[Phrased(fact, fact.value, padded(fact.value)) for fact in every if isinstance(fact.value, str)],
        datasets=facts.datasets,
        tag_files=[_tag_file(path, data) for path, data in entry.tag_files.items() if _is_kept(path, data)],
        traces=entry.traces,
    )


def _is_kept(path: str, data: bytes) -> bool:
    return len(data) <= KEPT.get(path, len(data))


def _tag_file(path: str, data: bytes) -> tuple[str, int, bytes]:
    return path, len(data), zlib.compress(data)


def write_packages(connection: Connection, prepared: Sequence[Prepared]) -> None:
    """Insert packages, or all that is known of them anew; their replicas and proofs stay.

    Rows of those that are new go in together, in the order of their keys: many cost a third of one by one.
    """
    ordered = sorted({one.id: one for one in prepared}.values(), key=lambda one: one.number)
    there = known(connection, [one.id for one in ordered])
    numbers = [one.number for one in ordered]
    taken = set(connection.scalars(select(_packages.seq).where(among(_packages.seq, numbers))))
    new, others = [], []
    for one in ordered:
        if one.id in there or one.number in taken:
            others.append(one)
        else:
            new.append((one.number, one))
            taken.add(one.number)
    dialects.insert_rows(connection, tables.packages, (_row(seq, one) for seq, one in new))
    _write_rows(connection, new)
    for one in others:
        _write_again(connection, one)


def _write_again(connection: Connection, prepared: Prepared) -> None:
    """Write a package that is there, or one whose number another one has."""
    old = find(connection, prepared.id)
    seq = amending.free_number(connection, prepared.number, prepared.id)
    if old is None:
        connection.execute(insert(tables.packages), {"seq": seq, **prepared.package})
    else:
        _clear(connection, old)
        changed = update(tables.packages).where(_packages.seq == old)
        connection.execute(changed, {"seq": seq, "tombstone": None, **prepared.package})
    _write_rows(connection, [(seq, prepared)])


def _row(seq: int, prepared: Prepared) -> tuple[Any, ...]:
    values = {"seq": seq, "tombstone": None, **prepared.package}
    return tuple(values[column.name] for column in tables.packages.c)


def _write_rows(connection: Connection, numbered: Sequence[Numbered]) -> None:
    """All that follows from records, and from what was said of packages before they were known."""
    _write_facts(connection, numbered)
    tags = ((seq, *row) for seq, one in numbered for row in one.tag_files)
    dialects.insert_rows(connection, tables.tag_files, tags)
    dialects.insert_rows(connection, tables.traces, ((trace, seq) for seq, one in numbered for trace in one.traces))
    assessing.begin(connection, [(seq, len(one.datasets)) for seq, one in numbered])
    moved: dict[int, int] = {}
    spoken_of = saying.spoken_of(connection, [one.id for _, one in numbered])
    for seq, one in numbered:
        if one.id in spoken_of:
            assessing.restate(connection, seq, one.id)
            moved[seq] = amending.restate(connection, seq, one.id)
    faceting.touch(connection, [moved.get(seq, seq) for seq, _ in numbered])


def find(connection: Connection, hex_id: str) -> int | None:
    """The key of a package."""
    found: int | None = connection.scalar(select(tables.packages.c.seq).where(tables.packages.c.id == hex_id))
    return found


def known(connection: Connection, package_ids: Iterable[str]) -> dict[str, int]:
    """Keys of those of many packages that are there, by the digits of their ids."""
    digits = [one.removeprefix(PREFIX) for one in package_ids]
    rows = select(_packages.id, _packages.seq).where(among_texts(_packages.id, digits))
    return dict(connection.execute(rows).all())


def require(connection: Connection, package_id: str) -> int:
    """The same, where there must be one. Raises `NotFound`."""
    found = find(connection, PackageId(package_id).hex)
    if found is None:
        raise NotFound(f"the catalogue has no package {package_id}", next="Run: diadem reindex")
    return found


def _clear(connection: Connection, seq: int) -> None:
    for table in _OF_RECORD:
        connection.execute(delete(table).where(table.c.package == seq))
    dialects.of(connection).remove_text(connection, seq)
    faceting.touch(connection, [seq])


def _package_row(entry: PackageEntry, facts: Facts, hex_id: str, date: day | None) -> dict[str, Any]:
    return {
        "id": hex_id,
        "payload_id": entry.payload_id,
        "path": storable(entry.path),
        "title": storable(entry.title),
        "date": date.isoformat() if date else None,
        "bytes": entry.bytes,
        "files": entry.files,
        "owner": storable(entry.owner),
        "ingested_at": _moment(entry.ingested_at),
        "predecessor": PackageId(entry.predecessor).hex if entry.predecessor else None,
        "omitted": entry.omitted,
        "issues": json.dumps(dict(sorted(facts.issues.items()))),
        "datasets": len(facts.datasets),
        "instrument": named(facts.values("instrument.name", "instrument.model")),
        "sample": named(facts.values(*SAMPLE_KEYS)),
        "operator": named(facts.values("person.operator")),
        "formats": json.dumps(sorted(facts.values(FORMAT))),
    }


def _moment(moment: datetime | None) -> str | None:
    return time_text(moment) if moment else None


def _write_facts(connection: Connection, numbered: Sequence[Numbered]) -> None:
    codes = _codes(connection, [one for _, one in numbered])
    stated = (
        (seq, codes[fact.key], fact.value, fact.everywhere, fact.datasets)
        for seq, one in numbered
        for fact in one.numbers
    )
    dialects.insert_rows(connection, tables.numbers, stated)
    said = (
        (seq, codes[phrase.fact.key], rank, phrase.text, phrase.words, phrase.fact.everywhere, phrase.fact.datasets)
        for seq, one in numbered
        for rank, phrase in enumerate(one.phrases)
    )
    dialects.insert_rows(connection, tables.phrases, said)
    named = ((seq, number, *dataset) for seq, one in numbered for number, dataset in enumerate(one.datasets, 1))
    dialects.insert_rows(connection, tables.datasets, named)
    dialects.of(connection).write_texts(connection, ((seq, _said(one, codes)) for seq, one in numbered))


def _said(prepared: Prepared, codes: Mapping[str, int]) -> Iterator[Said]:
    for one in prepared.phrases:
        if one.words:
            yield Said(codes[one.fact.key], one.words, one.fact.everywhere)


def _codes(connection: Connection, prepared: Iterable[Prepared]) -> Mapping[str, int]:
    """The number of every key, new ones added."""
    names = {fact.key for one in prepared for fact in (*one.numbers, *(phrase.fact for phrase in one.phrases))}
    known = {name: code for code, name in connection.execute(select(tables.keys.c.code, tables.keys.c.name))}
    for name in sorted(names - known.keys()):
        known[name] = max(known.values(), default=0) + 1
        connection.execute(insert(tables.keys), {"code": known[name], "name": name})
    return known


def write_ingests(connection: Connection, times: Mapping[str, str]) -> None:
    """Note when packages were taken in, by the digits of their ids; of each the first statement that says so counts."""
    rows = select(_packages.id, _packages.seq, _packages.ingested_at)
    for id_, seq, before in connection.execute(rows.where(among_texts(_packages.id, list(times)))).all():
        if before is None or before > times[id_]:
            connection.execute(update(tables.packages).where(_packages.seq == seq), {"ingested_at": times[id_]})


def write_tombstone(connection: Connection, package_id: str, tombstone: Mapping[str, Any]) -> None:
    """Note that a package was deleted on purpose: what its record says is taken out, its row stays."""
    seq = require(connection, package_id)
    _clear(connection, seq)
    changed = update(tables.packages).where(tables.packages.c.seq == seq)
    connection.execute(changed, {"tombstone": json.dumps(tombstone, sort_keys=True)})


def write_statements(connection: Connection, entries: Sequence[StatementEntry]) -> None:
    """Note statements of the log, each once."""
    ids = [entry.statement_id for entry in entries]
    columns = tables.statements.c
    there = set(connection.scalars(select(columns.statement_id).where(among_texts(columns.statement_id, ids))))
    new = {entry.statement_id: entry for entry in entries if entry.statement_id not in there}
    dialects.insert_rows(connection, tables.statements, (_statement_row(entry) for entry in new.values()))
    about = (
        (subject.removeprefix(PREFIX), entry.statement_id, entry.kind)
        for entry in new.values()
        for subject in dict.fromkeys(entry.subjects)
    )
    dialects.insert_rows(connection, tables.subjects, about)


def _statement_row(entry: StatementEntry) -> tuple[Any, ...]:
    values = {
        "statement_id": entry.statement_id,
        "epoch": entry.epoch,
        "index": entry.index,
        "kind": entry.kind,
        "time": time_text(entry.time),
        "line": entry.line,
    }
    return tuple(values[column.name] for column in tables.statements.c)
