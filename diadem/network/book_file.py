"""`<node>/network/network.sqlite`: all that is under way between this node and others, its tables in one place.

Each subject has its class over the one connection: `diadem.network.book` transfers, `diadem.network.route_book` the
ways to others, `diadem.network.relay_book` what goes by carriers, `diadem.network.stating` what waits for a signature.
So what belongs together is one transaction, whatever it is about.

Nodes of earlier versions have five files instead. They become one at once, or not at all: a draft beside them, counted
row by row, gets its name; only then they are removed.
"""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from diadem.custody.remedies import aside_command
from diadem.errors import IntegrityError, Unreachable
from diadem.node.context import Context
from diadem.node.locks import held
from diadem.store.sqlite_file import BUSY, SqliteFile, primary_code
from diadem.store.system import flush_folder, move, translated

#: The folder of a node in which everything of its network lies.
FOLDER: Final = "network"
FILE: Final = "network.sqlite"
#: "DmNw", and the version of the tables.
APPLICATION: Final = 0x446D4E77
VERSION: Final = 1
_TRANSFERS: Final = (
    """CREATE TABLE transfers (
        id TEXT PRIMARY KEY, direction TEXT NOT NULL, state TEXT NOT NULL, package TEXT NOT NULL,
        payload_id TEXT NOT NULL, title TEXT NOT NULL, bytes INTEGER NOT NULL, files INTEGER NOT NULL,
        peer TEXT NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL, routes TEXT NOT NULL,
        expires TEXT NOT NULL, created TEXT NOT NULL, route TEXT NOT NULL, comment TEXT NOT NULL, offer TEXT NOT NULL,
        "grant" TEXT NOT NULL, acceptance TEXT NOT NULL, receipt TEXT NOT NULL, closure TEXT NOT NULL,
        rule TEXT NOT NULL, ceiling INTEGER NOT NULL, store TEXT NOT NULL, done INTEGER NOT NULL, rate REAL NOT NULL,
        moved INTEGER NOT NULL, counts TEXT NOT NULL, paused INTEGER NOT NULL, error TEXT NOT NULL, next TEXT NOT NULL,
        about TEXT NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX transfers_by_peer ON transfers (peer, created)",
    """CREATE TABLE events (transfer TEXT NOT NULL, ordinal INTEGER NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL,
        statement TEXT NOT NULL, words TEXT NOT NULL, PRIMARY KEY (transfer, ordinal)) WITHOUT ROWID""",
    """CREATE TABLE outbox (
        id TEXT PRIMARY KEY, peer TEXT NOT NULL, transfer TEXT NOT NULL, kind TEXT NOT NULL, about TEXT NOT NULL,
        made TEXT NOT NULL, attempts INTEGER NOT NULL, due TEXT NOT NULL, error TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE inbox (id TEXT PRIMARY KEY, peer TEXT NOT NULL, came TEXT NOT NULL,
        answer BLOB NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX inbox_came ON inbox (came)",
    """CREATE TABLE logs (peer TEXT PRIMARY KEY, theirs TEXT NOT NULL DEFAULT '',
        ours TEXT NOT NULL DEFAULT '') WITHOUT ROWID""",
    """CREATE TABLE refusals (number INTEGER PRIMARY KEY, at TEXT NOT NULL, peer TEXT NOT NULL,
        transfer TEXT NOT NULL, reason TEXT NOT NULL)""",
    """CREATE TABLE spent (transfer TEXT NOT NULL, part INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
        PRIMARY KEY (transfer, part)) WITHOUT ROWID""",
)
_ROUTES: Final = (
    """CREATE TABLE puts (id TEXT PRIMARY KEY, about TEXT NOT NULL, hub TEXT NOT NULL, at TEXT NOT NULL,
        seen TEXT NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX puts_about ON puts (about, at)",
    """CREATE TABLE meetings (nonce TEXT PRIMARY KEY, peer TEXT NOT NULL, hub TEXT NOT NULL, seen TEXT NOT NULL,
        body BLOB NOT NULL, ticket TEXT NOT NULL, name TEXT NOT NULL, ends TEXT NOT NULL, error TEXT NOT NULL)
        WITHOUT ROWID""",
    "CREATE TABLE taken (id TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE lists (hub TEXT PRIMARY KEY, digest TEXT NOT NULL, at TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE notes (peer TEXT PRIMARY KEY, digest TEXT NOT NULL, at TEXT NOT NULL, tried TEXT NOT NULL)
        WITHOUT ROWID""",
    """CREATE TABLE health (peer TEXT NOT NULL, route TEXT NOT NULL, tried TEXT NOT NULL, worked TEXT NOT NULL,
        failing TEXT NOT NULL, error TEXT NOT NULL, PRIMARY KEY (peer, route)) WITHOUT ROWID""",
)
_OBJECT: Final = "transfer TEXT NOT NULL, part INTEGER NOT NULL, window INTEGER NOT NULL, generation INTEGER NOT NULL"
_RELAYS: Final = (
    """CREATE TABLE relays (transfer TEXT PRIMARY KEY, relay TEXT NOT NULL, recipient TEXT NOT NULL,
        identity TEXT NOT NULL, generation INTEGER NOT NULL, routes TEXT NOT NULL, hubs TEXT NOT NULL) WITHOUT ROWID""",
    f"CREATE TABLE wanted ({_OBJECT}, PRIMARY KEY (transfer, part, window)) WITHOUT ROWID",
    f"CREATE TABLE lying ({_OBJECT}, PRIMARY KEY (transfer, part, window)) WITHOUT ROWID",
    f"CREATE TABLE spoilt ({_OBJECT}, times INTEGER NOT NULL, PRIMARY KEY (transfer, part, window)) WITHOUT ROWID",
    """CREATE TABLE silence (transfer TEXT PRIMARY KEY, since TEXT NOT NULL, received INTEGER NOT NULL,
        asked INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE tallies (transfer TEXT NOT NULL, hub TEXT NOT NULL, relay TEXT NOT NULL, name TEXT NOT NULL,
        sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, sure INTEGER NOT NULL,
        PRIMARY KEY (transfer, hub, name)) WITHOUT ROWID""",
)
_PREPARED: Final = (
    """CREATE TABLE prepared (statement TEXT PRIMARY KEY, key TEXT NOT NULL, package TEXT NOT NULL,
        expires INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX prepared_expires ON prepared (expires)",
)
SCHEMA: Final = (*_TRANSFERS, *_ROUTES, *_RELAYS, *_PREPARED)
_ADVICE: Final = "What was agreed is in the log. To continue with a new book, with open transfers offered again: "


def open_book(folder: Path) -> SqliteFile:
    """The book of a node's network in ``<node>/network``; made where there is none."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _take_over(folder)
    file = _opened(folder / FILE)
    file.erase()  # a process that ended in between may have left keys that were forgotten
    return file


def _opened(path: Path) -> SqliteFile:
    file = SqliteFile(path, what="book of the network", advice=_ADVICE + aside_command(path))
    try:
        file.prepare(SCHEMA, application=APPLICATION, version=VERSION)
    except BaseException:
        file.close()
        raise
    return file


def network_book(context: Context) -> SqliteFile:
    """The book of an opened node, for all its threads; closed with the node."""
    context.require_writable()
    return context.once("network", lambda: open_book(context.folder / FOLDER))


# -- what earlier versions left ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Earlier:
    """A file of an earlier version: its mark, what people called it, and under which name each table goes on."""

    file: str
    application: int
    what: str
    tables: Mapping[str, str]


def _same(*names: str) -> dict[str, str]:
    return dict(zip(names, names, strict=True))


_EARLIER: Final = (
    _Earlier(
        "transfers.sqlite",
        0x44545246,
        "book of transfers",
        {**_same("transfers", "events", "outbox", "inbox", "logs", "refusals"), "asked": "spent"},
    ),
    _Earlier(
        "routes.sqlite",
        0x446D5274,
        "book of routes",
        _same("puts", "meetings", "taken", "lists", "notes", "health"),
    ),
    _Earlier(
        "relays.sqlite",
        0x44524C59,
        "book of relays",
        {**_same("relays", "spoilt", "silence"), "asked": "wanted", "put": "lying"},
    ),
    _Earlier("tallies.sqlite", 0x44544C59, "book of tallies", _same("tallies")),
    _Earlier("prepared.sqlite", 0x44494473, "list of prepared statements", _same("prepared")),
)
#: Milliseconds to wait for who looks into an earlier file for a moment.
_BRIEFLY: Final = 2000


def _take_over(folder: Path) -> None:
    """Make the one file of those of an earlier version, where there are such.

    Raises
    ------
    IntegrityError, Refused
        One of them is damaged, or of a later version: nothing changes.
    Unreachable
        A program of that version still has one open.
    """
    if not any((folder / one.file).exists() for one in _EARLIER):
        return
    with held(folder.parent, FOLDER):
        for left in folder.glob(f"{FILE}.*.draft*"):
            left.unlink()
        earlier = [one for one in _EARLIER if (folder / one.file).exists()]
        if not (folder / FILE).exists():
            _publish(folder, earlier)
        for one in earlier:  # every row of it is in the one file
            with translated(str(folder / one.file), "the node goes on with the new one"):
                for end in ("", "-wal", "-shm"):
                    (folder / f"{one.file}{end}").unlink(missing_ok=True)


def _publish(folder: Path, earlier: Sequence[_Earlier]) -> None:
    draft = folder / f"{FILE}.{uuid.uuid4().hex[:8]}.draft"
    with contextlib.closing(_opened(draft)) as file:
        for one in earlier:
            _copy(folder / one.file, one, file)
    move(draft, folder / FILE)
    flush_folder(str(folder))


def _copy(path: Path, one: _Earlier, target: SqliteFile) -> None:
    """Every row of an earlier file, in one transaction, counted on both sides."""
    with SqliteFile(path, what=one.what, advice=_ADVICE + aside_command(path)) as source:
        with source.reading() as rows:
            if rows.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
                return  # made by a process that ended in the same moment
        source.prepare((), application=one.application, version=1)
        with target.writing() as kept, source.reading() as rows:
            _require_alone(rows, path, one.what)
            for name, named in one.tables.items():
                known = {column[1] for column in kept.execute(f"PRAGMA table_info({named})")}
                columns = ", ".join(
                    f'"{column[1]}"' for column in rows.execute(f"PRAGMA table_info({name})") if column[1] in known
                )
                marks = ", ".join("?" * (columns.count(",") + 1))
                found = rows.execute(f"SELECT {columns} FROM {name}")  # noqa: S608  our own names
                kept.executemany(f"INSERT INTO {named} ({columns}) VALUES ({marks})", found)  # noqa: S608
                counts = [
                    connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
                    for connection, table in ((rows, name), (kept, named))
                ]
                if counts[0] != counts[1]:
                    advice = _ADVICE + aside_command(path)
                    raise IntegrityError(f"the {one.what} cannot be read whole", where=str(path), next=advice)


def _require_alone(connection: sqlite3.Connection, path: Path, what: str) -> None:
    """Without a write-ahead file one connection is alone: what a program still running wrote later would be lost."""
    connection.execute(f"PRAGMA busy_timeout={_BRIEFLY}").fetchall()
    try:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    except sqlite3.OperationalError as error:
        if primary_code(error) not in BUSY:
            raise
        raise Unreachable(
            f"a program of an earlier version has the {what} open",
            where=str(path),
            next="Stop it (diadem serve), then run the same command again.",
        ) from error
