"""What a hub holds, in one SQLite file; the sealed bytes lie beside it as plain files.

::

    <node>/hub/hub.sqlite
    <node>/hub/relays/<relay>/<object>
    <node>/hub/boxes/<node>/<message>
    <node>/hub/coming/<random>            being written

A file without a row is nothing, and goes with the next start. A row is written when its file is on the disk.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Final

from diadem.model.times import time_text
from diadem.store.sqlite_file import SqliteFile

FOLDER: Final = "hub"
FILE: Final = "hub.sqlite"
#: ``DHub`` in ASCII.
APPLICATION: Final = 0x44487562
VERSION: Final = 1
_SCHEMA: Final = (
    "CREATE TABLE senders (owner TEXT, kind TEXT, who TEXT, PRIMARY KEY (owner, kind, who)) WITHOUT ROWID",
    """CREATE TABLE messages (box TEXT, id TEXT, sender TEXT NOT NULL, invitation TEXT NOT NULL, bytes INTEGER NOT NULL,
        sha256 TEXT NOT NULL, at TEXT NOT NULL, expires TEXT NOT NULL, PRIMARY KEY (box, id)) WITHOUT ROWID""",
    "CREATE INDEX messages_expire ON messages (expires)",
    "CREATE TABLE sent (sender TEXT, hour TEXT, count INTEGER NOT NULL, PRIMARY KEY (sender, hour)) WITHOUT ROWID",
    """CREATE TABLE relays (id TEXT PRIMARY KEY, sender TEXT NOT NULL, recipient TEXT NOT NULL, permit TEXT NOT NULL,
        ceiling INTEGER NOT NULL, expires TEXT NOT NULL, forget TEXT NOT NULL, opened TEXT NOT NULL,
        put INTEGER NOT NULL DEFAULT 0, ended TEXT NOT NULL DEFAULT '', stated INTEGER NOT NULL DEFAULT 0)
        WITHOUT ROWID""",
    "CREATE INDEX relays_of ON relays (recipient)",
    """CREATE TABLE objects (relay TEXT, name TEXT, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, at TEXT NOT NULL,
        gone TEXT NOT NULL DEFAULT '', how TEXT NOT NULL DEFAULT '', PRIMARY KEY (relay, name)) WITHOUT ROWID""",
    """CREATE TABLE held (spoke TEXT PRIMARY KEY, bytes INTEGER NOT NULL DEFAULT 0, objects INTEGER NOT NULL DEFAULT 0,
        messages INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID""",
    """CREATE TABLE coming (token TEXT PRIMARY KEY, place TEXT NOT NULL UNIQUE, spoke TEXT NOT NULL,
        relay TEXT NOT NULL, bytes INTEGER NOT NULL, at TEXT NOT NULL) WITHOUT ROWID""",
    "CREATE TABLE doomed (place TEXT PRIMARY KEY) WITHOUT ROWID",
)


def open_book(folder: Path) -> SqliteFile:
    """The book of a hub in ``<node>/hub``; made where there is none."""
    for path in (folder, *(folder / name for name in ("relays", "boxes", "coming"))):
        path.mkdir(mode=0o700, exist_ok=True)
    file = SqliteFile(
        folder / FILE,
        what="book of the hub",
        advice="Stop the server and move the folder hub/ away: what was there is lost, and its senders send it again.",
    )
    try:
        file.prepare(_SCHEMA, application=APPLICATION, version=VERSION)
    except BaseException:
        file.close()
        raise
    return file


def hold(connection: Connection, spoke: str, size: int, *, objects: int = 0, messages: int = 0) -> None:
    """Count what waits for a spoke: more, or less again."""
    connection.execute(
        """INSERT INTO held VALUES (?1, ?2, ?3, ?4) ON CONFLICT (spoke) DO UPDATE
        SET bytes = bytes + ?2, objects = objects + ?3, messages = messages + ?4""",
        (spoke, size, objects, messages),
    )


def doom(connection: Connection, *places: str) -> None:
    """Note files that are to be removed as soon as this is kept."""
    connection.executemany("INSERT OR IGNORE INTO doomed VALUES (?)", [(place,) for place in places])


def rows(connection: Connection, sql: str, *values: Any) -> list[dict[str, Any]]:
    """The rows of a query, each by the names of its columns."""
    found = connection.execute(sql, values)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def object_place(relay: str, name: str) -> str:
    """Where an object lies, below the hub's folder."""
    return f"relays/{relay}/{name}"


def message_place(box: str, message: str) -> str:
    """Where a message lies, below the hub's folder."""
    return f"boxes/{box}/{message}"


def hour_of(moment: datetime) -> str:
    """The hour in which a moment lies: ``2026-03-14T09``."""
    return time_text(moment)[:13]
