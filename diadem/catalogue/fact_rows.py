"""Rows of facts: which number a key has, and what packages state, each value with the datasets that do."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from sqlalchemy import Connection, Select, Table, select

from diadem.catalogue import database, tables
from diadem.catalogue.dataset_sets import bits_of, numbers
from diadem.catalogue.facts import SESSION_END, day_of
from diadem.catalogue.tables import among

_keys = tables.keys.c


def select_codes(*keys: str) -> Select[tuple[int]]:
    """The numbers of some keys, as part of another question; a key that nothing has stated has none."""
    return select(_keys.code).where(_keys.name.in_(keys))


def codes_of(connection: Connection, names: set[str]) -> Mapping[str, int]:
    """The number of every key, new ones added."""
    known: dict[str, int] = {name: code for code, name in connection.execute(select(_keys.code, _keys.name))}
    new = dict(zip(sorted(names - known.keys()), count(max(known.values(), default=0) + 1), strict=False))
    database.insert_rows(connection, tables.keys, ((code, name) for name, code in new.items()))
    return known | new


def facts_of(
    connection: Connection, table: Table, keys: Iterable[str], wanted: Mapping[int, int], *, in_order: bool = False
) -> Iterator[tuple[int, str, Any, int]]:
    """What packages state in `phrases` or `numbers`: package, key, text or number, and which of its datasets do.

    Of each package only the datasets that are `wanted`, as bits, are looked at. `in_order`: texts as they came in the
    record, numbers rising.
    """
    columns = table.c
    value, order = (columns.text, columns.rank) if table is tables.phrases else (columns.number, columns.number)
    rows = (
        select(columns.package, _keys.name, value, columns.everywhere, columns.datasets)
        .join_from(table, tables.keys, columns.key == _keys.code)
        .where(among(columns.package, list(wanted)), _keys.name.in_(list(keys)))
    )
    for package, key, stated, everywhere, datasets in connection.execute(rows.order_by(order) if in_order else rows):
        every = wanted[package]
        yield package, key, stated, every & bits_of(everywhere, datasets, every)


def values_of(
    connection: Connection, table: Table, keys: Sequence[str], wanted: Mapping[int, int]
) -> dict[tuple[int, int], list[Any]]:
    """What single datasets state, by package and number: each value once, those of the first key before others."""
    found: dict[tuple[int, int], dict[Any, None]] = {}
    rows = sorted(facts_of(connection, table, keys, wanted, in_order=True), key=lambda row: keys.index(row[1]))
    for package, _, value, bits in rows:
        for number in numbers(bits):
            found.setdefault((package, number), {})[value] = None
    return {place: list(values) for place, values in found.items()}


def last_days(connection: Connection, keys: Iterable[int]) -> dict[int, datetime.date]:
    """The last days of sessions that had several."""
    ends = facts_of(connection, tables.numbers, (SESSION_END,), dict.fromkeys(keys, 0))
    return {package: day_of(moment) for package, _, moment, _ in ends}
