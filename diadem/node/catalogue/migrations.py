"""Versions of the catalogue's tables: numbered steps, each one transaction, a copy of the file before the first."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, insert, inspect, select

from diadem.errors import Refused
from diadem.model.times import time_text
from diadem.node.catalogue import dialects, faceting, owning
from diadem.node.catalogue.assessing import add_tables
from diadem.node.catalogue.database import Place
from diadem.node.catalogue.tables import metadata, sample_names, sample_ties, samples, schema_version

Clock = Callable[[], datetime.datetime]


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: the version that it leads to, what it is for, and the change."""

    version: int
    purpose: str
    change: Callable[[Connection], None]


def _first(connection: Connection) -> None:
    metadata.create_all(connection)
    dialects.of(connection).create_texts(connection)


def _samples(connection: Connection) -> None:
    metadata.create_all(connection, tables=[samples, sample_names, sample_ties])


#: In their order. A step is never changed once a version with it is out; its tables are those of that version.
MIGRATIONS: Final[Sequence[Migration]] = (
    Migration(1, "packages, facts, replicas, proofs, statements", _first),
    Migration(2, "samples, their names and relations", _samples),
    Migration(3, "assessments, amended fields, derivations", add_tables),
    Migration(4, "counts of values", faceting.add_tables),
    Migration(5, "users who retired", owning.add_tables),
)


def migrate(place: Place, *, clock: Clock, migrations: Sequence[Migration] = MIGRATIONS) -> Path | None:
    """Bring the tables to the newest version; returns the copy that was made before, if one was.

    Raises
    ------
    Refused
        A later version of DIADEM made the catalogue.
    """
    found = version(place)
    require_known(found, place, migrations)
    if found == migrations[-1].version:
        return None
    kept = place.keep_before(found, f"{clock():%Y%m%dT%H%M%SZ}") if found else None
    for step in migrations:
        _apply(place, step, clock())
    return kept


def version(place: Place) -> int:
    """The version of the tables; 0 where there are none.

    Raises
    ------
    IntegrityError
        The place holds something else.
    """
    with place.transaction(writing=False, new=True) as connection:
        return _version(connection)


def require_known(found: int, place: Place, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Refuse a catalogue of a later version."""
    newest = migrations[-1].version
    if found > newest:
        raise Refused(
            f"the catalogue has version {found}, and this version of DIADEM knows {newest}",
            where=place.address,
            next="Install the newer DIADEM that wrote it (pip install -U diadem-em), or move it away and run: "
            "diadem reindex",
        )


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table(schema_version.name):
        return 0
    return int(connection.scalar(select(func.max(schema_version.c.version))) or 0)


def _apply(place: Place, step: Migration, now: datetime.datetime) -> None:
    """One step, unless another process has just done it."""
    with place.transaction(writing=True, new=True) as connection:
        if _version(connection) < step.version:
            step.change(connection)
            connection.execute(insert(schema_version), {"version": step.version, "applied_at": time_text(now)})
