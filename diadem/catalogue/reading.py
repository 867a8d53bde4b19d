"""Reading from the catalogue. Every function works in the transaction of its caller."""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select

from diadem.catalogue import tables
from diadem.catalogue.assessing import counting_of
from diadem.catalogue.deriving import cautions_of
from diadem.catalogue.expressions import among
from diadem.catalogue.facts import SESSION_END, day_of
from diadem.catalogue.owning import successions
from diadem.catalogue.results import DatasetRow, PackageRow
from diadem.catalogue.spans import full, numbers
from diadem.errors import NotFound, UsageError
from diadem.model.assessments import VERDICTS, Assessment, disputes
from diadem.model.manifest import PREFIX
from diadem.model.ownership import Ownership
from diadem.model.replicas import PRESENT
from diadem.model.statement_kinds import ARRIVAL_KINDS

#: Datasets of a package that a row names.
NAMED_DATASETS: Final = 20
#: Datasets up to this number are read for many packages at once.
_TOGETHER: Final = 200
#: The shortest beginning of an id that is accepted, and the most candidates that an error names.
SHORTEST, _CANDIDATES = 8, 5
#: Hex digits of a whole id, which is looked up, not searched.
_WHOLE = 64
_PREFIX = re.compile(r"(?:diadem:)?([0-9a-f]{8,64})\Z")
#: Links of a chain that are followed: a statement may name any predecessor, also in a ring.
_LONGEST_CHAIN = 10_000
#: Values that fit into one question.
CHUNK: Final = 500

_packages = tables.packages.c
#: Names of the stores that have a copy of a package, each in a line.
_STORES: Final = (
    select(func.aggregate_strings(tables.replicas.c.store, "\n"))
    .where(tables.replicas.c.package == _packages.seq, tables.replicas.c.state == PRESENT)
    .scalar_subquery()
    .label("stores")
)


def resolve(connection: Connection, id_or_prefix: str) -> int:
    """The key of a package, by its id, payload id, or the beginning of one.

    Raises
    ------
    NotFound
        There is none.
    UsageError
        It is not an id, or begins several.
    """
    match = _PREFIX.match(id_or_prefix.strip().lower().rstrip("….").strip())
    if match is None:
        raise UsageError(
            f"'{id_or_prefix}' is not a package id",
            next=f"Write {PREFIX} and at least {SHORTEST} hex digits of it: diadem search shows them.",
        )
    if len(match[1]) == _WHOLE and (key := connection.scalar(select(_packages.seq).where(_packages.id == match[1]))):
        return int(key)
    found = connection.execute(
        select(_packages.seq, _packages.id).where(begins(match[1])).order_by(_packages.id).limit(_CANDIDATES + 1)
    ).all()
    if not found:
        raise NotFound(f"the catalogue has no package {id_or_prefix}", next="Look for it with diadem search.")
    if len(found) > 1:
        raise _ambiguous(id_or_prefix, [row.id for row in found])
    return int(found[0].seq)


def hex_of(connection: Connection, id_or_prefix: str) -> str:
    """The whole id of a package, 64 hex digits. Raises as `resolve`."""
    found = select(_packages.id).where(_packages.seq == resolve(connection, id_or_prefix))
    return str(connection.scalar(found))


def begins(digits: str) -> ColumnElement[bool]:
    """Whether id or payload id of a package begins so."""
    after = digits + "g"  # the letter after f
    return or_(*(column.between(digits, after) for column in (_packages.id, _packages.payload_id)))


def _ambiguous(text: str, ids: Sequence[str]) -> UsageError:
    named = ", ".join(PREFIX + digits[:16] + "…" for digits in ids[:_CANDIDATES])
    more = " and others" if len(ids) > _CANDIDATES else ""
    return UsageError(f"{text} begins several ids: {named}{more}", next="Write more digits.")


def package_rows(
    connection: Connection, keys: Sequence[int], matching: Mapping[int, int] | None = None
) -> list[PackageRow]:
    """Rows of packages, in the order of their keys.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    keys : sequence of int
        Packages.
    matching : mapping of int to int, optional
        Datasets that a search found in each, as bits; without it all.
    """
    found: dict[int, PackageRow] = {}
    for start in range(0, len(keys), CHUNK):
        part = keys[start : start + CHUNK]
        rows = connection.execute(select(tables.packages, _STORES).where(among(_packages.seq, part))).all()
        named = _named_datasets(connection, {row.seq: row.datasets for row in rows}, matching or {})
        first = _sessions(connection, {row.id: row.predecessor for row in rows})
        counting = counting_of(connection, part)
        known = successions(connection)
        doubts = cautions_of(
            connection,
            [PREFIX + row.id for row in rows],
            {key: counting.get(key, ()) for key in part},
            {PREFIX + row.id: row.seq for row in rows if not row.tombstone},
        )
        ends = _ends(connection, part)
        for row in rows:
            bits = (matching or {}).get(row.seq, full(row.datasets))
            count = bits.bit_count() if row.datasets else 0
            said = _row(row, named.get(row.seq, ()), count, first[row.id])
            found[row.seq] = replace(
                said,
                until=ends.get(row.seq),
                owner=Ownership.of(said.owner, known).now,
                quality=_quality(counting.get(row.seq, ())),
                warnings=tuple(one.sentence for one in doubts.get(said.id, ()) if one.way),
            )
    return [found[key] for key in keys if key in found]


def _ends(connection: Connection, keys: Sequence[int]) -> dict[int, date]:
    """The last days of sessions that had several."""
    numbers = tables.numbers.c
    rows = select(numbers.package, numbers.number).join(tables.keys, numbers.key == tables.keys.c.code)
    wanted = rows.where(among(numbers.package, list(keys)), tables.keys.c.name == SESSION_END)
    return {package: day_of(moment) for package, moment in connection.execute(wanted)}


def _row(row: Row[Any], named: tuple[DatasetRow, ...], matching: int, session: str) -> PackageRow:
    same = ("payload_id", "title", "instrument", "sample", "operator", "datasets", "files", "bytes", "owner", "path")
    return PackageRow(
        id=PREFIX + row.id,
        date=_day(row.date),
        formats=tuple(json.loads(row.formats)),
        matching=matching,
        matched=named,
        ingested_at=_moment(row.ingested_at),
        stores=tuple(sorted(row.stores.split("\n"))) if row.stores else (),
        session=PREFIX + session,
        continues=PREFIX + row.predecessor if row.predecessor else None,
        omitted=row.omitted,
        issues=json.loads(row.issues),
        tombstone=json.loads(row.tombstone) if row.tombstone else None,
        **{name: getattr(row, name) for name in same},
    )


def _quality(counting: Sequence[Assessment]) -> tuple[str, ...]:
    """Verdicts that count, from best to worst; at the end whether any is disputed."""
    said = [verdict for verdict in VERDICTS if any(one.verdict == verdict for one in counting)]
    return (*said, *(["disputed"] if disputes(counting) else []))


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _named_datasets(
    connection: Connection, sizes: Mapping[int, int], matching: Mapping[int, int]
) -> dict[int, tuple[DatasetRow, ...]]:
    """The first datasets of each package, or the first of those that match."""
    wanted = {key: _first_numbers(matching.get(key), size) for key, size in sizes.items()}
    small = [key for key, numbers_ in wanted.items() if numbers_ and numbers_[-1] <= _TOGETHER]
    columns = tables.datasets.c
    few = (among(columns.package, small), columns.number <= max((wanted[key][-1] for key in small), default=0))
    found = _datasets_where(connection, *few)
    for key, numbers_ in wanted.items():
        if numbers_ and numbers_[-1] > _TOGETHER:
            found |= _datasets_where(connection, columns.package == key, columns.number.in_(numbers_))
    return {
        key: tuple(found[key, number] for number in numbers_ if (key, number) in found)
        for key, numbers_ in wanted.items()
    }


def _first_numbers(bits: int | None, size: int) -> Sequence[int]:
    if bits is None:
        return range(1, min(size, NAMED_DATASETS) + 1)
    return list(islice(numbers(bits), NAMED_DATASETS)) if size else []


def _datasets_where(connection: Connection, *conditions: ColumnElement[bool]) -> dict[tuple[int, int], DatasetRow]:
    columns = tables.datasets.c
    found = select(columns.package, columns.number, columns.id, columns.path).where(*conditions)
    rows = connection.execute(found).all()
    return {(package, number): DatasetRow(id_, path) for package, number, id_, path in rows}


def _sessions(connection: Connection, predecessors: Mapping[str, str | None]) -> dict[str, str]:
    """The first package of the chain of each; also one that only its successor names."""
    return {own: _first(connection, own, before) for own, before in predecessors.items()}


def _first(connection: Connection, own: str, before: str | None) -> str:
    seen = {own}
    while before is not None and before not in seen and len(seen) < _LONGEST_CHAIN:
        own = before
        seen.add(own)
        before = connection.scalar(select(_packages.predecessor).where(_packages.id == own))
    return min(seen) if before in seen else own


def continuations(connection: Connection, seq: int) -> list[str]:
    """Ids of the packages that continue one, directly, in the order in which the log took them in.

    Two continue the same package where a further one was lost. Of a file that both hold the later is the newer version,
    and the key of a package says nothing of that.
    """
    own = select(_packages.id).where(_packages.seq == seq).scalar_subquery()
    said, about = tables.statements, tables.subjects
    ingests = tables.packages.outerjoin(about, and_(about.c.sha256 == _packages.id, about.c.kind.in_(ARRIVAL_KINDS)))
    joined = ingests.outerjoin(said, said.c.statement_id == about.c.statement_id)
    statement = select(_packages.id).select_from(joined).where(_packages.predecessor == own)
    found = connection.scalars(statement.order_by(said.c.epoch, said.c.index, _packages.seq))
    return [PREFIX + one for one in dict.fromkeys(found)]


def tag_files_of(connection: Connection, seq: int) -> dict[str, bytes]:
    """Tag files by bag path."""
    columns = tables.tag_files.c
    rows = connection.execute(select(columns.path, columns.data).where(columns.package == seq).order_by(columns.path))
    return {path: zlib.decompress(data) for path, data in rows}


def statements_of(connection: Connection, sha256: str) -> list[bytes]:
    """Lines of the statements about a subject, in the order of the log."""
    said, about = tables.statements, tables.subjects
    joined = said.join(about, said.c.statement_id == about.c.statement_id)
    rows = select(said.c.line).select_from(joined).where(about.c.sha256 == sha256)
    return list(connection.scalars(rows.order_by(said.c.epoch, said.c.index)))


def count(connection: Connection) -> int:
    """Packages, those deleted on purpose left aside."""
    return int(connection.scalar(select(func.count()).where(_packages.tombstone.is_(None))) or 0)


def by_traces(connection: Connection, wanted: Sequence[int], limit: int) -> list[str]:
    """Ids of packages that have one of these traces, the one with most of them first, then the newest.

    Of a trace that many packages share, the newest `limit` are looked at.
    """
    counts: Counter[int] = Counter()
    traces = tables.traces.c
    for start in range(0, len(wanted), CHUNK):
        part = wanted[start : start + CHUNK]
        shared = connection.execute(
            select(traces.trace, func.count()).where(traces.trace.in_(part)).group_by(traces.trace)
        ).all()
        rare = [trace for trace, count in shared if count <= limit]
        counts.update(connection.scalars(select(traces.package).where(traces.trace.in_(rare))))
        for trace, count in shared:
            if count > limit:
                newest = select(traces.package).where(traces.trace == trace).order_by(traces.package.desc())
                counts.update(connection.scalars(newest.limit(limit)))
    chosen = [key for key, _ in sorted(counts.items(), key=lambda item: (-item[1], -item[0]))[:limit]]
    rows = connection.execute(select(_packages.seq, _packages.id).where(_packages.seq.in_(chosen), tables.alive()))
    ids = {row.seq: row.id for row in rows}
    return [PREFIX + ids[key] for key in chosen if key in ids]
