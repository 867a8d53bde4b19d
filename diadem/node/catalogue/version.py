"""The version of the catalogue's tables. It is a cache: of another version it is built anew, never changed."""

from __future__ import annotations

import datetime
from typing import Final

from sqlalchemy import Connection, func, insert, inspect, select

from diadem.errors import Refused
from diadem.model.times import time_text
from diadem.node.catalogue import dialects
from diadem.node.catalogue.database import Place
from diadem.node.catalogue.tables import metadata, schema_version

VERSION: Final = 5


class OtherVersion(Refused):
    """A catalogue that an earlier or a later version of DIADEM made."""


def make_tables(place: Place, now: datetime.datetime) -> None:
    """Make the tables in a place that has none.

    Raises
    ------
    OtherVersion
        It has those of another version.
    """
    if _found(place) == 0:
        with place.transaction(writing=True, new=True) as connection:
            if _version(connection) == 0:  # else another process has just made them
                metadata.create_all(connection)
                dialects.of(connection).create_texts(connection)
                connection.execute(insert(schema_version), {"version": VERSION, "applied_at": time_text(now)})
    require_version(place)


def require_version(place: Place) -> None:
    """Refuse tables of another version.

    Raises
    ------
    OtherVersion
        Says which.
    IntegrityError
        The place holds something else.
    """
    if (found := _found(place)) != VERSION:
        raise OtherVersion(
            f"the catalogue has version {found}, and this version of DIADEM knows {VERSION}",
            where=place.address,
            next="It is built anew from stores and log, on the node's own machine, by: diadem reindex",
        )


def _found(place: Place) -> int:
    with place.transaction(writing=False, new=True) as connection:
        return _version(connection)


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table(schema_version.name):
        return 0
    return int(connection.scalar(select(func.max(schema_version.c.version))) or 0)
