"""Copying a whole catalogue from one database into another, row by row: memory stays flat however large it is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, groupby, islice
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from diadem.catalogue import dialects, tables
from diadem.catalogue.database import Said

#: Rows that are held at once.
_ROWS: Final = 2000
#: Packages whose words are.
_TEXTS: Final = 100


def copy_tables(source: Connection, target: Connection) -> None:
    """Fill the empty tables of a catalogue of the same version, and its index of words."""
    for table in tables.metadata.sorted_tables:
        if table is not tables.schema_version:
            every = select(table).order_by(*table.primary_key.columns)
            dialects.insert_rows(target, table, _rows(source, every))
    _copy_texts(source, target)


def _rows(connection: Connection, statement: Any) -> Iterator[Row[Any]]:
    return chain.from_iterable(dialects.streamed(connection, statement, _ROWS))


def _copy_texts(source: Connection, target: Connection) -> None:
    """The index of words is made anew from the phrases: each database has its own."""
    columns = tables.phrases.c
    said = select(columns.package, columns.key, columns.words, columns.everywhere).where(columns.words != "")
    ordered = _rows(source, said.order_by(columns.package, columns.key, columns.rank))
    packages = groupby(ordered, key=lambda row: int(row.package))
    texts = ((package, [Said(row.key, row.words, row.everywhere) for row in rows]) for package, rows in packages)
    while some := list(islice(texts, _TEXTS)):
        dialects.of(target).write_texts(target, some)
