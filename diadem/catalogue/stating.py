"""What the datasets that a search finds state: values of any fields, for tables. In the transaction of the caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from diadem.catalogue import tables, vocabulary
from diadem.catalogue.conditions import Conditions
from diadem.catalogue.database import CHUNK
from diadem.catalogue.dataset_sets import full, mask, numbers
from diadem.catalogue.expressions import among, among_texts
from diadem.catalogue.matching import matching
from diadem.catalogue.meaning import Condition
from diadem.catalogue.results import StatedDataset, Value
from diadem.catalogue.vocabulary import Key
from diadem.errors import UsageError
from diadem.model.manifest import PREFIX

_packages = tables.packages.c


def keys_of(names: Sequence[str]) -> dict[str, Key]:
    """What names of fields mean, in their order.

    Raises
    ------
    UsageError
        There is no such field of a record.
    """
    found = {name: vocabulary.find(name) for name in names}
    for name, key in found.items():
        if key is None or key.kind not in ("text", "number", "time"):
            near = vocabulary.near(name)
            raise UsageError(
                f"'{name}' is not a field of a record", next=f"Did you mean {' or '.join(near)}?" if near else None
            )
    return {name: key for name, key in found.items() if key is not None}


def stated(
    connection: Connection, conditions: Conditions, condition: Condition, ids: Sequence[str], keys: Mapping[str, Key]
) -> list[StatedDataset]:
    """The datasets of some packages that match, each with what it states; those of a package in order.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    conditions : Conditions
        Conditions as SQL.
    condition : Condition
        What is looked for.
    ids : sequence of str
        Packages.
    keys : mapping of str to Key
        Fields that are wanted, by the name that they have in the answer.
    """
    found: list[StatedDataset] = []
    for start in range(0, len(ids), CHUNK):
        part = [one.removeprefix(PREFIX) for one in ids[start : start + CHUNK]]
        rows = connection.execute(
            select(_packages.seq, _packages.id, _packages.datasets).where(among_texts(_packages.id, part))
        ).all()
        sizes = {row.seq: row.datasets for row in rows}
        bits = matching(connection, conditions, condition, sizes)
        values = {name: _values(connection, key, sizes) for name, key in keys.items()}
        named = _named(connection, list(sizes))
        order = {digits: place for place, digits in enumerate(part)}
        for row in sorted(rows, key=lambda row: order[row.id]):
            for number in numbers(bits[row.seq] & ~1):
                own = {name: tuple(of.get((row.seq, number), ())) for name, of in values.items()}
                found.append(StatedDataset(PREFIX + row.id, *named[row.seq, number], number, own))
    return found


def _named(connection: Connection, packages: Sequence[int]) -> dict[tuple[int, int], tuple[str, str]]:
    """Id and path of datasets."""
    columns = tables.datasets.c
    rows = select(columns.package, columns.number, columns.id, columns.path).where(among(columns.package, packages))
    return {(package, number): (id_, path) for package, number, id_, path in connection.execute(rows)}


def _values(connection: Connection, key: Key, sizes: Mapping[int, int]) -> dict[tuple[int, int], list[Value]]:
    """What each dataset states of one field: numbers in its unit, or texts; moments as they were written."""
    table = tables.numbers if key.kind == "number" else tables.phrases
    columns, names = table.c, tables.keys.c
    value = columns.number if key.kind == "number" else columns.text
    rows = (
        select(columns.package, value, columns.everywhere, columns.datasets, names.name)
        .join_from(table, tables.keys, columns.key == names.code)
        .where(among(columns.package, list(sizes)), names.name.in_(key.of))
    )
    found: dict[tuple[int, int], list[Value]] = {}
    order = {name: place for place, name in enumerate(key.of)}
    for package, one, everywhere, datasets, _ in sorted(
        connection.execute(rows).all(), key=lambda row: (row[0], order[row[4]])
    ):
        for number in numbers(full(sizes[package]) if everywhere else mask(datasets)):
            known = found.setdefault((package, number), [])
            if one not in known:
                known.append(one)
    return found
