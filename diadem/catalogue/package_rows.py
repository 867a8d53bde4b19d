"""Packages as they are listed, and their datasets: what a search shows of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from difflib import get_close_matches
from itertools import islice
from typing import Final

from sqlalchemy import ColumnElement, Connection, func, or_, select

from diadem.catalogue import database, quality, tables
from diadem.catalogue.dataset_sets import full, numbers
from diadem.catalogue.fact_rows import last_days
from diadem.catalogue.facts import storable
from diadem.catalogue.log_statements import successions
from diadem.catalogue.package_key import resolve
from diadem.catalogue.results import DatasetRow, PackageRow
from diadem.catalogue.tables import among
from diadem.errors import NotFound
from diadem.model.assessments import VERDICTS, disputes
from diadem.model.manifest import PREFIX
from diadem.model.ownership import Ownership
from diadem.model.replicas import PRESENT

#: Datasets of a package that a row names.
NAMED_DATASETS: Final = 20
#: Datasets up to this number are read for many packages at once.
_TOGETHER: Final = 200
#: Links of a chain that are followed: a statement may name any predecessor, also in a ring.
_LONGEST_CHAIN = 10_000
#: Datasets whose names an error proposes from.
_COMPARED: Final = 2_000
_packages, _datasets = tables.packages.c, tables.datasets.c
#: Columns that a row has as they are.
_SAME: Final = ("payload_id", "title", "instrument", "sample", "operator", "datasets", "files", "bytes", "path")
#: Names of the stores that have a copy of a package, each in a line.
_STORES: Final = (
    select(func.aggregate_strings(tables.replicas.c.store, "\n"))
    .where(tables.replicas.c.package == _packages.seq, tables.replicas.c.state == PRESENT)
    .scalar_subquery()
    .label("stores")
)


def get(connection: Connection, id_or_prefix: str) -> PackageRow:
    """A package by its id, payload id or the beginning of one. Raises `NotFound`, and `UsageError` as `resolve`."""
    return package_rows(connection, [resolve(connection, id_or_prefix)])[0]


def package_rows(
    connection: Connection, keys: Sequence[int], matching: Mapping[int, int] | None = None
) -> list[PackageRow]:
    """Rows of packages, in the order of their keys; `matching`: the datasets that a search found in each, as bits."""
    found: dict[int, PackageRow] = {}
    for part in database.chunks(keys):
        rows = connection.execute(select(tables.packages, _STORES).where(among(_packages.seq, part))).all()
        named = _named_datasets(connection, {row.seq: row.datasets for row in rows}, matching or {})
        counting = quality.counting_of(connection, part)
        known = successions(connection)
        doubts = quality.cautions(
            connection,
            [PREFIX + row.id for row in rows],
            {key: counting.get(key, ()) for key in part},
            {PREFIX + row.id: row.seq for row in rows if not row.tombstone},
        )
        ends = last_days(connection, part)
        for row in rows:
            bits = (matching or {}).get(row.seq, full(row.datasets))
            judged, doubted = counting.get(row.seq, ()), doubts.get(PREFIX + row.id, ())
            verdicts = [verdict for verdict in VERDICTS if any(one.verdict == verdict for one in judged)]
            found[row.seq] = PackageRow(
                id=PREFIX + row.id,
                date=date.fromisoformat(row.date) if row.date else None,
                until=ends.get(row.seq),
                formats=tuple(json.loads(row.formats)),
                matching=bits.bit_count() if row.datasets else 0,
                matched=named.get(row.seq, ()),
                owner=Ownership.of(row.owner, known).now,
                ingested_at=datetime.fromisoformat(row.ingested_at) if row.ingested_at else None,
                stores=tuple(sorted(row.stores.split("\n"))) if row.stores else (),
                session=PREFIX + _first(connection, row.id, row.predecessor),
                continues=PREFIX + row.predecessor if row.predecessor else None,
                omitted=row.omitted,
                issues=json.loads(row.issues),
                tombstone=json.loads(row.tombstone) if row.tombstone else None,
                quality=(*verdicts, *(["disputed"] if disputes(judged) else [])),
                warnings=tuple(one.sentence for one in doubted if one.way),
                **{name: getattr(row, name) for name in _SAME},
            )
    return [found[key] for key in keys if key in found]


def _named_datasets(
    connection: Connection, sizes: Mapping[int, int], matching: Mapping[int, int]
) -> dict[int, tuple[DatasetRow, ...]]:
    """The first datasets of each package, or the first of those that match."""
    wanted: dict[int, Sequence[int]] = {
        key: list(islice(numbers(matching[key] & ~1), NAMED_DATASETS))
        if key in matching
        else range(1, min(size, NAMED_DATASETS) + 1)
        for key, size in sizes.items()
    }
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


def _datasets_where(connection: Connection, *conditions: ColumnElement[bool]) -> dict[tuple[int, int], DatasetRow]:
    rows = select(_datasets.package, _datasets.number, _datasets.id, _datasets.path).where(*conditions)
    return {(package, number): DatasetRow(id_, path) for package, number, id_, path in connection.execute(rows).all()}


def _first(connection: Connection, own: str, before: str | None) -> str:
    """The first package of its chain; also one that only its successor names."""
    seen = {own}
    while before is not None and before not in seen and len(seen) < _LONGEST_CHAIN:
        own = before
        seen.add(own)
        before = connection.scalar(select(_packages.predecessor).where(_packages.id == own))
    return min(seen) if before in seen else own


def dataset(connection: Connection, package_id: str, name: str) -> DatasetRow:
    """A dataset of a package by its id, the path of its primary file, or the end of the path.

    Raises `NotFound` where there is none, or several end so; names those that come close. It says so where datasets are
    still owed.
    """
    name, seq = storable(name), resolve(connection, package_id)
    rows = select(_datasets.id, _datasets.path).where(_datasets.package == seq)
    exact = or_(_datasets.id == name, _datasets.path == name, "data/" + _datasets.path == name)
    whole = connection.execute(rows.where(exact)).all()
    found = whole or connection.execute(rows.where(_datasets.path.endswith("/" + name, autoescape=True))).all()
    if len(found) == 1:
        return DatasetRow(*found[0])
    if connection.scalar(select(_packages.owed).where(_packages.seq == seq)):
        again = "Try again when its store answers."
        raise NotFound("the datasets of the package are still being entered", where=package_id, next=again)
    paths = [path for _, path in connection.execute(rows.order_by(_datasets.number).limit(_COMPARED))]
    near = get_close_matches(name, paths, 3, 0.5) or paths[:3]
    what = f"several datasets end in '{name}'" if found else f"the package has no dataset '{name}'"
    named = ", ".join(path for _, path in found[:3]) if found else ", ".join(near)
    raise NotFound(what, where=package_id, next=f"It has for example {named}." if named else None)


def datasets_of(connection: Connection, package_id: str) -> list[DatasetRow]:
    """The datasets of a package, in the order of its record. Raises `NotFound`."""
    seq = resolve(connection, package_id)
    rows = select(_datasets.id, _datasets.path).where(_datasets.package == seq).order_by(_datasets.number)
    return [DatasetRow(*row) for row in connection.execute(rows)]
