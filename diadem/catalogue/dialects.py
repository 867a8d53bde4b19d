"""Which database it is: the functions of that of a connection, and the place that an address names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Row, Select, Table

from diadem.catalogue import sqlite
from diadem.catalogue.database import CataloguePlace, Database
from diadem.errors import UsageError


def of(connection: Connection) -> Database:
    """The functions of the database of a connection."""
    if connection.dialect.name == "postgresql":
        from diadem.catalogue import postgres

        return cast("Database", postgres)
    return cast("Database", sqlite)


def insert_rows(connection: Connection, table: Table, rows: Iterable[Sequence[Any]]) -> None:
    """See `Database.insert_rows`."""
    of(connection).insert_rows(connection, table, rows)


def streamed(connection: Connection, statement: Select[Any], size: int) -> Iterator[Sequence[Row[Any]]]:
    """Rows of a question, so many at a time; it is closed when nobody wants more."""
    with connection.execute(statement.execution_options(yield_per=size)) as result:
        yield from result.partitions()


def place_of(address: str | Path, *, read_only: bool) -> CataloguePlace:
    """The place that an address names: a file, or a database on a PostgreSQL server.

    Parameters
    ----------
    address : str or path
        A path, ``sqlite:///`` and a path, or ``postgresql://user@host/database?schema=name``.
    read_only : bool
        Whether nothing will be written.

    Raises
    ------
    UsageError
        It is no such address, or a password stands in it.
    """
    text = str(address)
    scheme, separator, rest = text.partition("://")
    if not separator or scheme == "sqlite":
        return sqlite.SqlitePlace(Path(rest.removeprefix("/") if separator else text), read_only=read_only)
    if scheme in ("postgresql", "postgres"):
        return _on_server(text, read_only=read_only)
    raise UsageError(
        f"a catalogue in '{scheme}' is not known to this version",
        where=text,
        next="Name a file on a local disk, or postgresql://user@host/database",
    )


def _on_server(address: str, *, read_only: bool) -> CataloguePlace:
    try:
        from diadem.catalogue import postgres
    except ImportError as error:
        raise UsageError(
            "a catalogue on PostgreSQL needs the extra [postgres]", next="Run: pip install 'diadem-em[postgres]'"
        ) from error
    return postgres.PostgresPlace.of(address, read_only=read_only)
