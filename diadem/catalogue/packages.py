"""Packages in the catalogue: written, with all that follows from their records; looked up; deleted on purpose."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date as day
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, update

from diadem.catalogue import amended_facts, database, facet_counts, log_statements, quality, tables
from diadem.catalogue.database import IndexedText
from diadem.catalogue.fact_rows import codes_of
from diadem.catalogue.facts import FORMAT, SESSION_DATE, Fact, Facts, PackageEntry, day_of, gather, named, storable
from diadem.catalogue.package_key import find, free_key, keys_of, package_key, require, resolve
from diadem.catalogue.tables import among, among_texts
from diadem.catalogue.vocabulary import SAMPLE_KEYS
from diadem.catalogue.words import padded
from diadem.model.manifest import PREFIX, PREVIEWS_PATH, VENDOR_PATH, PackageId
from diadem.model.statement_kinds import ARRIVAL_KINDS
from diadem.model.times import time_text

#: Bytes up to which files are kept. A larger `diadem/vendor.zip` is made again only by reading the payload; pictures do
#: not compress, and each store has a snapshot of all that is kept.
KEPT: Final = {VENDOR_PATH: 4 << 20, PREVIEWS_PATH: 64 << 10}
#: Digests make up most of these files, and do not compress: more effort takes three times as long for a fiftieth.
_LEVEL: Final = 1
#: Tables whose rows follow from the record of a package and from what is said of it.
_OF_RECORD: Final = (
    tables.numbers, tables.phrases, tables.datasets, tables.tag_files, tables.traces, tables.assessments,
    tables.unassessed, tables.sealed_facts,
)  # fmt: skip
_packages = tables.packages.c


# Written


@dataclass(frozen=True, slots=True)
class Prepared:
    """A package, ready to be written: no more than rows."""

    id: str
    key: int
    package: Mapping[str, Any]
    numbers: Sequence[Fact]
    phrases: Sequence[tuple[Fact, str]]  # each a text, and its words
    datasets: Sequence[tuple[str, str]]
    tag_files: Sequence[tuple[str, int, bytes]]
    traces: frozenset[int]


def prepare(entry: PackageEntry) -> Prepared:
    """Read the record and compress the tag files: what takes long is done before anything is locked."""
    facts = gather(entry)
    every = list(facts.all())
    date = next((day_of(float(fact.value)) for fact in every if fact.key == SESSION_DATE), None)
    kept = {path: data for path, data in entry.tag_files.items() if len(data) <= KEPT.get(path, len(data))}
    return Prepared(
        id=PackageId(entry.id).hex,
        key=package_key(date, entry.id),
        package=_package_row(entry, facts, date),
        numbers=[fact for fact in every if not isinstance(fact.value, str)],
        phrases=[(fact, padded(fact.value)) for fact in every if isinstance(fact.value, str)],
        datasets=facts.datasets,
        tag_files=[(path, len(data), zlib.compress(data, _LEVEL)) for path, data in kept.items()],
        traces=entry.traces,
    )


def _package_row(entry: PackageEntry, facts: Facts, date: day | None) -> dict[str, Any]:
    return {
        "id": PackageId(entry.id).hex,
        "payload_id": entry.payload_id,
        "path": storable(entry.path),
        "title": storable(entry.title),
        "date": date.isoformat() if date else None,
        "bytes": entry.bytes,
        "files": entry.files,
        "owner": storable(entry.owner),
        "ingested_at": time_text(entry.ingested_at) if entry.ingested_at else None,
        "predecessor": PackageId(entry.predecessor).hex if entry.predecessor else None,
        "omitted": entry.omitted,
        "issues": json.dumps(dict(sorted(facts.issues.items()))),
        "datasets": len(facts.datasets),
        "instrument": named(facts.values("instrument.name", "instrument.model")),
        "sample": named(facts.values(*SAMPLE_KEYS)),
        "operator": named(facts.values("person.operator")),
        "formats": json.dumps(sorted(facts.values(FORMAT))),
        "tombstone": None,
        "owed": entry.owed,
    }


def enter(connection: Connection, prepared: Sequence[Prepared]) -> None:
    """Insert packages, or all that is known of them anew; their replicas and proofs stay.

    Rows of those that are new go in together, in the order of their keys: many cost a third of one by one.
    """
    ordered = sorted({one.id: one for one in prepared}.values(), key=lambda one: one.key)
    there = keys_of(connection, [one.id for one in ordered])
    wanted = [one.key for one in ordered]
    taken = set(connection.scalars(select(_packages.seq).where(among(_packages.seq, wanted))))
    new, others = [], []
    for one in ordered:
        if one.id in there or one.key in taken:
            others.append(one)
        else:
            new.append((one.key, one))
            taken.add(one.key)
    database.insert_values(connection, tables.packages, ({"seq": seq, **one.package} for seq, one in new))
    _write_rows(connection, new)
    for one in others:
        _write_again(connection, one)


def _write_again(connection: Connection, prepared: Prepared) -> None:
    """Write a package that is there, or one whose key another one has."""
    old = find(connection, prepared.id)
    seq = free_key(connection, prepared.key, prepared.id)
    row = {"seq": seq, **prepared.package}
    if old is None:
        database.insert_values(connection, tables.packages, [row])
    else:
        _clear(connection, old)
        connection.execute(update(tables.packages).where(_packages.seq == old), row)
    _write_rows(connection, [(seq, prepared)])


def _clear(connection: Connection, seq: int) -> None:
    for table in _OF_RECORD:
        connection.execute(delete(table).where(table.c.package == seq))
    database.of(connection).remove_text(connection, seq)
    facet_counts.touch(connection, [seq])


def forget(connection: Connection, package_id: str) -> None:
    """Take out a package that was entered and of which nothing was stated, nor ever will be."""
    seq = find(connection, package_id)
    if seq is not None:
        _clear(connection, seq)
        connection.execute(delete(tables.packages).where(_packages.seq == seq))


def _write_rows(connection: Connection, numbered: Sequence[tuple[int, Prepared]]) -> None:
    """All that follows from records, and from what was said of packages, by their keys, before they were known."""
    _write_facts(connection, numbered)
    tags = ((seq, *row) for seq, one in numbered for row in one.tag_files)
    database.insert_rows(connection, tables.tag_files, tags)
    database.insert_rows(connection, tables.traces, ((trace, seq) for seq, one in numbered for trace in one.traces))
    quality.begin(connection, [(seq, len(one.datasets)) for seq, one in numbered])
    moved: dict[int, int] = {}
    spoken_of = log_statements.spoken_of(connection, [one.id for _, one in numbered])
    for seq, one in numbered:
        if one.id in spoken_of:
            quality.restate(connection, seq, one.id)
            moved[seq] = amended_facts.restate(connection, seq)
    facet_counts.touch(connection, [moved.get(seq, seq) for seq, _ in numbered])


def _write_facts(connection: Connection, numbered: Sequence[tuple[int, Prepared]]) -> None:
    keys = {fact.key for _, one in numbered for fact in one.numbers}
    keys |= {fact.key for _, one in numbered for fact, _ in one.phrases}
    codes = codes_of(connection, keys)
    stated = (
        (seq, codes[fact.key], fact.value, fact.everywhere, fact.datasets)
        for seq, one in numbered
        for fact in one.numbers
    )
    database.insert_rows(connection, tables.numbers, stated)
    said = (
        (seq, codes[fact.key], rank, fact.value, words, fact.everywhere, fact.datasets)
        for seq, one in numbered
        for rank, (fact, words) in enumerate(one.phrases)
    )
    database.insert_rows(connection, tables.phrases, said)
    named = ((seq, number, *dataset) for seq, one in numbered for number, dataset in enumerate(one.datasets, 1))
    database.insert_rows(connection, tables.datasets, named)
    texts = (
        (seq, (IndexedText(codes[fact.key], words, fact.everywhere) for fact, words in one.phrases if words))
        for seq, one in numbered
    )
    database.of(connection).write_texts(connection, texts)


def note_ingests(connection: Connection, times: Mapping[str, datetime]) -> None:
    """Note when packages, by their ids, were taken in; of each the first statement that says so counts."""
    said = {one.removeprefix(PREFIX): time_text(at) for one, at in times.items()}
    rows = select(_packages.id, _packages.seq, _packages.ingested_at)
    for id_, seq, before in connection.execute(rows.where(among_texts(_packages.id, list(said)))).all():
        if before is None or before > said[id_]:
            connection.execute(update(tables.packages).where(_packages.seq == seq), {"ingested_at": said[id_]})


def tombstone(
    connection: Connection, package_id: str, *, reason: str, at: datetime, statement_id: str | None = None
) -> None:
    """Note that a package was deleted on purpose: what its record says is taken out, its row stays.

    Raises `NotFound`.
    """
    seq = require(connection, package_id)
    _clear(connection, seq)
    said = {"reason": reason, "at": time_text(at), "statement_id": statement_id}
    changed = update(tables.packages).where(_packages.seq == seq)
    connection.execute(changed, {"tombstone": json.dumps(said, sort_keys=True), "owed": False})


# Looked up


def known(connection: Connection, package_ids: Iterable[str]) -> set[str]:
    """Those of many packages that the catalogue knows, by their whole ids."""
    return {PREFIX + found for found in keys_of(connection, package_ids)}


def has(connection: Connection, package_id: str) -> bool:
    """Whether it knows a package, by its whole id."""
    return find(connection, package_id) is not None


def is_whole(connection: Connection, package_id: str) -> bool:
    """Whether it has a package that was not deleted, with its owner and datasets.

    Datasets that are owed count: `enter_owed` enters them, so that whoever states a copy need not.
    """
    rule = (_packages.id == package_id.removeprefix(PREFIX), _packages.tombstone.is_(None))
    row = connection.execute(select(_packages.owner, _packages.datasets, _packages.owed).where(*rule)).first()
    return row is not None and bool(row.owner) and bool(row.datasets or row.owed)


def count(connection: Connection) -> int:
    """How many packages there are, those deleted on purpose left aside."""
    return int(connection.scalar(select(func.count()).where(_packages.tombstone.is_(None))) or 0)


def unread(connection: Connection) -> list[str]:
    """Ids of packages that are without a dataset, for none of their copies could be read."""
    return _ids(connection, and_(_packages.datasets == 0, _packages.owed.is_(False)))


def owed(connection: Connection) -> list[str]:
    """Ids of packages whose datasets are still to be entered."""
    rows = select(_packages.id).where(_packages.owed.is_(True)).order_by(_packages.seq)
    return [PREFIX + found for found in connection.scalars(rows)]


def enter_owed(connection: Connection, package_id: str, prepared: Prepared | None) -> None:
    """Enter the datasets of a package, unless they were meanwhile, or it was deleted.

    `prepared` is None where every copy is gone or unreadable: then it is one of those that are `unread`.
    """
    changed = update(tables.packages).where(_packages.id == PackageId(package_id).hex, _packages.owed.is_(True))
    if connection.execute(changed, {"owed": False}).rowcount and prepared is not None:
        enter(connection, [prepared])


def of_payload(connection: Connection, payload_id: str) -> list[str]:
    """Ids of the packages that hold the same files, those deleted on purpose left aside."""
    return _ids(connection, _packages.payload_id == payload_id)


def _ids(connection: Connection, rule: ColumnElement[bool]) -> list[str]:
    ids = connection.scalars(select(_packages.id).where(rule, _packages.tombstone.is_(None)).order_by(_packages.id))
    return [PREFIX + found for found in ids]


def continued(connection: Connection, package_ids: Iterable[str]) -> frozenset[str]:
    """Those of some packages that others continue."""
    digits = [one.removeprefix(PREFIX) for one in package_ids]
    found = connection.scalars(
        select(_packages.predecessor).where(among_texts(_packages.predecessor, digits)).distinct()
    )
    return frozenset(PREFIX + str(one) for one in found)


def continuations(connection: Connection, package_id: str) -> tuple[str, ...]:
    """Ids of the packages that continue one, directly, in the order in which the log took them in. Raises `NotFound`.

    Two continue the same package where a further one was lost. Of a file that both hold the later is the newer version,
    and the key of a package says nothing of that.
    """
    own = select(_packages.id).where(_packages.seq == resolve(connection, package_id)).scalar_subquery()
    said, about = tables.statements, tables.subjects
    ingests = tables.packages.outerjoin(about, and_(about.c.sha256 == _packages.id, about.c.kind.in_(ARRIVAL_KINDS)))
    joined = ingests.outerjoin(said, said.c.statement_id == about.c.statement_id)
    statement = select(_packages.id).select_from(joined).where(_packages.predecessor == own)
    found = connection.scalars(statement.order_by(said.c.epoch, said.c.index, _packages.seq))
    return tuple(PREFIX + one for one in dict.fromkeys(found))


def tag_files(connection: Connection, package_id: str) -> Mapping[str, bytes]:
    """Tag files of a package by bag path, as far as they were kept. Raises `NotFound`."""
    columns, seq = tables.tag_files.c, resolve(connection, package_id)
    rows = connection.execute(select(columns.path, columns.data).where(columns.package == seq).order_by(columns.path))
    return {path: zlib.decompress(data) for path, data in rows}


def by_traces(connection: Connection, wanted: Sequence[int], *, limit: int) -> list[str]:
    """Ids of packages whose source has one of these traces, the one with most of them first, then the newest.

    Of a trace that many packages share, the newest `limit` are looked at.
    """
    traces = tables.traces.c
    asked = select(traces.trace, func.count()).where(among(traces.trace, wanted)).group_by(traces.trace)
    shared: dict[int, int] = dict(connection.execute(asked).all())
    rare = [trace for trace, count in shared.items() if count <= limit]
    counts = Counter(connection.scalars(select(traces.package).where(among(traces.trace, rare))))
    for trace in shared.keys() - set(rare):
        newest = select(traces.package).where(traces.trace == trace).order_by(traces.package.desc())
        counts.update(connection.scalars(newest.limit(limit)))
    chosen = [key for key, _ in sorted(counts.items(), key=lambda item: (-item[1], -item[0]))[:limit]]
    rows = connection.execute(select(_packages.seq, _packages.id).where(among(_packages.seq, chosen), tables.alive()))
    ids = {row.seq: row.id for row in rows}
    return [PREFIX + ids[key] for key in chosen if key in ids]
