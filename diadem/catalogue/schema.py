"""The one version of the catalogue's tables. A catalogue is a cache: one of another version is built anew."""

from __future__ import annotations

import datetime
from typing import Final

from sqlalchemy import Connection, Dialect, func, insert, inspect, select
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from diadem.catalogue import dialects
from diadem.catalogue.database import CataloguePlace
from diadem.catalogue.tables import metadata, schema_version
from diadem.errors import IntegrityError, Refused
from diadem.model.times import time_text

#: Raised by one with every change of the tables, or of what stands in them.
VERSION: Final = 6


class OfLaterVersion(Refused):
    """A later version of DIADEM made the catalogue."""


def require(place: CataloguePlace, *, read_only: bool) -> None:
    """Make the tables where there are none yet.

    Raises
    ------
    IntegrityError
        An earlier version of DIADEM made them, or the place holds something else.
    OfLaterVersion
        A later version of DIADEM made them.
    Refused
        An earlier version made them, and they are only to be read.
    """
    with place.transaction(writing=False, new=True) as connection:
        found = version(connection)
    if found == 0 and not read_only:
        with place.transaction(writing=True, new=True) as connection:
            if version(connection) == 0:  # else another process has just made them
                for statement in _statements(connection.dialect):
                    connection.exec_driver_sql(statement)
                dialects.of(connection).create_texts(connection)
                now = time_text(datetime.datetime.now(datetime.UTC))
                connection.execute(insert(schema_version), {"version": VERSION, "applied_at": now})
        return
    if found > VERSION:
        raise OfLaterVersion(
            f"the catalogue has version {found}, and this version of DIADEM knows {VERSION}",
            where=place.address,
            next="Install the newer DIADEM that wrote it."
            if read_only
            else "Install the newer DIADEM that wrote it, or rebuild it for this version: diadem reindex",
        )
    if found < VERSION and read_only:
        raise Refused(
            f"the catalogue has version {found}, an earlier one",
            where=place.address,
            next="Let the node's own machine archive or scrub something with this version of DIADEM.",
        )
    if found < VERSION:
        raise IntegrityError(
            f"an earlier version of DIADEM made the catalogue ({found}, this one makes {VERSION})",
            where=place.address,
            next="It is a cache, rebuilt from log and stores. Run: diadem reindex",
        )


#: What makes the tables and their indexes, in order, by the name of the database: compiled once in a process.
_STATEMENTS: dict[str, tuple[str, ...]] = {}


def _statements(dialect: Dialect) -> tuple[str, ...]:
    if dialect.name not in _STATEMENTS:
        made: list[DDLElement] = []
        for table in metadata.sorted_tables:
            made.append(CreateTable(table))
            made += [CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name))]
        _STATEMENTS[dialect.name] = tuple(str(statement.compile(dialect=dialect)) for statement in made)
    return _STATEMENTS[dialect.name]


def version(connection: Connection) -> int:
    """The version of the tables; 0 where there are none."""
    if not inspect(connection).has_table(schema_version.name):
        return 0
    return int(connection.scalar(select(func.max(schema_version.c.version))) or 0)
