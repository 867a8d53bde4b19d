"""What a hub holds, in one SQLite file; the sealed bytes lie beside it as plain files.

::

    <node>/hub/hub.sqlite
    <node>/hub/mailboxes/<mailbox>/<object>
    <node>/hub/coming/<random>              being written

A row is written when its file is on the disk, and removed before it. So a file of which no row says that it waits is
nothing, and is removed by the next sweep.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Final

from diadem.model.times import time_text
from diadem.node.context import Context
from diadem.store.sqlite_file import SqliteFile
from diadem.store.system import flush_folder, long_path

FOLDER: Final = "hub"
FILE: Final = "hub.sqlite"
#: Below it.
MAILBOXES, COMING = "mailboxes", "coming"
#: ``DHub`` in ASCII.
APPLICATION: Final = 0x44487562
VERSION: Final = 2
_SENT: Final = (
    "CREATE TABLE sent (sender TEXT, hour TEXT, count INTEGER NOT NULL, PRIMARY KEY (sender, hour)) WITHOUT ROWID"
)
_TABLES: Final = (
    """CREATE TABLE mailboxes (id TEXT PRIMARY KEY, owner TEXT NOT NULL, permit TEXT NOT NULL DEFAULT '',
        sender TEXT NOT NULL DEFAULT '', ceiling INTEGER NOT NULL DEFAULT 0, put INTEGER NOT NULL DEFAULT 0,
        opened TEXT NOT NULL DEFAULT '', expires TEXT NOT NULL DEFAULT '', forget TEXT NOT NULL DEFAULT '',
        ended TEXT NOT NULL DEFAULT '', stated INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID""",
    "CREATE INDEX mailboxes_of ON mailboxes (owner)",
    "CREATE TABLE senders (mailbox TEXT, kind TEXT, who TEXT, PRIMARY KEY (mailbox, kind, who)) WITHOUT ROWID",
    """CREATE TABLE objects (mailbox TEXT, name TEXT, owner TEXT NOT NULL, sender TEXT NOT NULL,
        invitation TEXT NOT NULL DEFAULT '', bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, at TEXT NOT NULL,
        expires TEXT NOT NULL DEFAULT '', gone TEXT NOT NULL DEFAULT '', how TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (mailbox, name)) WITHOUT ROWID""",
    "CREATE INDEX objects_waiting ON objects (owner, mailbox, bytes) WHERE how = ''",
    "CREATE INDEX objects_expire ON objects (expires) WHERE expires <> ''",
)
#: The first version had a table for messages in boxes and one for objects of relays, and counted what waits.
_FROM_FIRST: Final = (
    "ALTER TABLE senders RENAME TO senders_of_boxes",
    "ALTER TABLE objects RENAME TO objects_of_relays",
    *_TABLES,
    """INSERT INTO mailboxes (id, owner) SELECT owner, owner FROM senders_of_boxes UNION SELECT box, box
        FROM messages""",
    """INSERT INTO mailboxes (id, owner, permit, sender, ceiling, put, opened, expires, forget, ended, stated)
        SELECT id, recipient, permit, sender, ceiling,
        put - (SELECT COALESCE(SUM(bytes), 0) FROM coming WHERE relay = relays.id),
        opened, expires, forget, ended, stated FROM relays""",
    "INSERT INTO senders SELECT owner, kind, who FROM senders_of_boxes",
    """INSERT INTO objects (mailbox, name, owner, sender, bytes, sha256, at, gone, how)
        SELECT relay, name, recipient, sender, bytes, sha256, at, gone, how
        FROM objects_of_relays JOIN relays ON id = relay""",
    """INSERT INTO objects (mailbox, name, owner, sender, invitation, bytes, sha256, at, expires)
        SELECT box, id, box, sender, invitation, bytes, sha256, at, expires FROM messages""",
    *(
        f"DROP TABLE {name}"
        for name in ("senders_of_boxes", "objects_of_relays", "relays", "messages", "held", "coming", "doomed")
    ),
)
_FOLDERS_OF_FIRST: Final = ("relays", "boxes")


def has_hub(context: Context) -> bool:
    """Whether a node is a hub, or was one and may still hold something."""
    return context.writable and (context.settings.server.hub or (context.folder / FOLDER / FILE).exists())


def open_book(folder: Path) -> SqliteFile:
    """The book of a hub in ``<node>/hub``; made where there is none, and that of an earlier version converted."""
    for path in (folder, folder / MAILBOXES, folder / COMING):
        path.mkdir(mode=0o700, exist_ok=True)
    file = SqliteFile(
        folder / FILE,
        what="book of the hub",
        advice="Stop the server and move the folder hub/ away: what was there is lost, and its senders send it again.",
    )
    try:
        _convert(file)
        file.prepare((_SENT, *_TABLES), application=APPLICATION, version=VERSION)
        if any((folder / name).exists() for name in _FOLDERS_OF_FIRST):
            _move_files(file, folder)
    except BaseException:
        file.close()
        raise
    return file


def _convert(file: SqliteFile) -> None:
    """Make the tables of the first version those of this one, all at once."""
    with file.writing() as connection:
        marks = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        if marks == [APPLICATION, 1]:
            for statement in _FROM_FIRST:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION:d}")


def _move_files(file: SqliteFile, folder: Path) -> None:
    """Move the files of the first version to where the book says that they lie; a kill leaves the rest for later."""
    with file.writing(durable=False):  # for one process at a time
        for name in _FOLDERS_OF_FIRST:
            before = Path(long_path(folder / name))
            for path in sorted(before.iterdir()) if before.is_dir() else ():
                after = Path(long_path(folder / MAILBOXES / path.name))
                if path.is_dir() and not after.exists():
                    path.rename(after)
            flush_folder(long_path(folder / MAILBOXES))
            if before.is_dir() and not any(before.iterdir()):
                before.rmdir()


def rows(connection: Connection, sql: str, *values: Any) -> list[dict[str, Any]]:
    """The rows of a query, each by the names of its columns."""
    found = connection.execute(sql, values)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def number(connection: Connection, sql: str, *values: Any) -> int:
    """The one number that a query gives; 0 for none."""
    found = connection.execute(sql, values).fetchone()
    return int(found[0] or 0) if found else 0


def hour_of(moment: datetime) -> str:
    """The hour in which a moment lies: ``2026-03-14T09``."""
    return time_text(moment)[:13]
