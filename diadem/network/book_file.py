"""`<node>/network/network.sqlite`: all that is under way between this node and others, its tables in one place.

Each subject has its class over the one connection: `diadem.network.book` transfers, `diadem.network.outbox` what
is to be told, `diadem.network.route_book` the ways to others, `diadem.network.relay_book` what goes by carriers,
`diadem.network.handlers.statements` what waits for a signature. So what belongs together is one transaction, whatever
it is about.

Nodes of earlier versions have five files instead. They become one at once, or not at all: a draft beside them, into
which every row was copied and counted while nobody else had them open, gets its name; only then they are emptied and
removed. What a program of an earlier version begins anew beside the one book is never removed: it is set aside.
A book of version 1 is changed where it lies, in one transaction, while nobody else has it open.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from diadem.custody.remedies import aside_command
from diadem.errors import DiademError, IntegrityError, Refused, StoreError, Unreachable
from diadem.node.context import Context
from diadem.node.locks import held
from diadem.store.sqlite_file import BESIDE, BUSY, SqliteFile, leave_write_ahead, primary_code
from diadem.store.system import WINDOWS, discard, flush_file, flush_folder, move, or_else, translated

#: The folder of a node in which everything of its network lies.
FOLDER: Final = "network"
FILE: Final = "network.sqlite"
#: "DmNw", and the version of the tables.
APPLICATION: Final = 0x446D4E77
VERSION: Final = 2
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
_LOG: Final = logging.getLogger("diadem.network")
_WHAT: Final = "book of the network"
_ADVICE: Final = "What was agreed is in the log. To continue with a new book, with open transfers offered again: "


def open_book(folder: Path) -> SqliteFile:
    """The book of a node's network in ``<node>/network``; made where there is none."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _take_over(folder)
    file = _opened(folder / FILE)
    file.erase()  # a process that ended in between may have left keys that were forgotten
    return file


def _opened(path: Path, *, locked: bool = False) -> SqliteFile:
    """It, of this version. `locked`: the caller holds the lock under which what is earlier is taken over."""
    file = _book(path)
    try:
        if _is_first(file):
            file.close()  # else nobody, not even this process, could have it alone
            with contextlib.nullcontext() if locked else held(path.parent.parent, FOLDER):
                _renew(path)
            file = _book(path)
        file.prepare(SCHEMA, application=APPLICATION, version=VERSION)
    except BaseException:
        file.close()
        raise
    return file


def _book(path: Path) -> SqliteFile:
    return SqliteFile(path, what=_WHAT, advice=_ADVICE + aside_command(path))


def network_book(context: Context) -> SqliteFile:
    """The book of an opened node, for all its threads; closed with the node."""
    context.require_writable()
    return context.once("network", lambda: open_book(context.folder / FOLDER))


def _renew(path: Path) -> None:
    """Make a book of version 1, whose introductions had a table of their own, one of this version: whole, or not.

    Raises `Unreachable` where a program of that version has it open, which would make nothing of it any more.
    """
    with _book(path) as file:
        if not _is_first(file):  # another process has just done it
            return
    with _alone(path.parent, _FIRST) as file, file.writing() as connection:
        meetings = connection.execute(f"SELECT {_MEETING} FROM meetings").fetchall()  # noqa: S608  our own names
        connection.executemany(_INTO_OUTBOX, map(_introduction, meetings))
        connection.execute("DROP TABLE meetings")
        connection.execute(f"PRAGMA user_version = {VERSION:d}")


def _is_first(file: SqliteFile) -> bool:
    with file.reading() as connection:
        marks = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    return marks == [APPLICATION, 1]


# -- what earlier versions left ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Earlier:
    """A file of an earlier version: its mark, what people called it, and under which name each table goes on."""

    file: str
    application: int
    what: str
    #: What becomes of it where it is damaged and moved aside.
    without: str
    tables: Mapping[str, str]

    def advice(self, folder: Path) -> str:
        """What to do where it is damaged."""
        return self.without + aside_command(folder / self.file)


def _same(*names: str) -> dict[str, str]:
    return dict(zip(names, names, strict=True))


_EARLIER: Final = (
    _Earlier(
        "transfers.sqlite",
        0x44545246,
        "book of transfers",
        _ADVICE,
        {**_same("transfers", "events", "outbox", "inbox", "logs", "refusals"), "asked": "spent"},
    ),
    _Earlier(
        "routes.sqlite",
        0x446D5274,
        "book of routes",
        "To begin it anew, with what is not answered put down once more: ",
        {**_same("puts", "taken", "lists", "notes", "health"), "meetings": "outbox"},
    ),
    _Earlier(
        "relays.sqlite",
        0x44524C59,
        "book of relays",
        "What is on its way by carriers must be offered again after this: ",
        {**_same("relays", "spoilt", "silence"), "asked": "wanted", "put": "lying"},
    ),
    _Earlier(
        "tallies.sqlite",
        0x44544C59,
        "book of tallies",
        "What is on its way will then be received without a statement of what went through hubs: ",
        _same("tallies"),
    ),
    _Earlier(
        "prepared.sqlite",
        0x44494473,
        "list of prepared statements",
        "To begin it anew, with statements that wait for a signature prepared once more: ",
        _same("prepared"),
    ),
)
#: The one book as it was in version 1.
_FIRST: Final = _Earlier(FILE, APPLICATION, _WHAT, _ADVICE, {})
#: An introduction as it was kept in a table of its own, and where it stands now.
_MEETING: Final = "nonce, peer, hub, body, ticket, name, ends, error"
_WAITING: Final = '"id", "peer", "transfer", "kind", "about", "made", "attempts", "due", "error"'
_INTO_OUTBOX: Final = f"INSERT INTO outbox ({_WAITING}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
#: Seconds to wait for who looks into an earlier file for a moment, and between two tries.
_BRIEFLY: Final = 2.0
_AGAIN: Final = 0.02
_DRAFTS: Final = f"{FILE}.*.draft*"


def _take_over(folder: Path) -> None:
    """Make the one file of those of an earlier version, where there are such; clear away what is left of that.

    Raises
    ------
    IntegrityError, Refused
        One of them is damaged, or of a later version: nothing changes.
    Unreachable
        A program of that version still has one open.
    StoreError
        The disk is full or fails: nothing changes.
    """
    if not _earlier(folder) and not any(folder.glob(_DRAFTS)):
        return
    with held(folder.parent, FOLDER):
        for left in folder.glob(_DRAFTS):
            with contextlib.suppress(OSError):  # it is nobody's, and tried again
                left.unlink()
        earlier = _earlier(folder)
        if not (folder / FILE).exists():
            if earlier:
                _publish(folder, earlier)
        elif earlier:
            with _opened(folder / FILE, locked=True) as book:
                for one in earlier:
                    _clear(folder, one, book)


def _earlier(folder: Path) -> list[_Earlier]:
    return [one for one in _EARLIER if (folder / one.file).exists()]


def _publish(folder: Path, earlier: Sequence[_Earlier]) -> None:
    """All of them in one, while nobody else has any of them; from the moment at which it has its name they go."""
    path, draft = folder / FILE, folder / f"{FILE}.{uuid.uuid4().hex[:8]}.draft"
    with contextlib.ExitStack() as stack:
        files = [(one, stack.enter_context(_alone(folder, one))) for one in earlier]
        with translated(str(path), "the files of the earlier version stay as they are"):
            with or_else(lambda: _remove(draft)):
                with _opened(draft) as target:
                    with target.reading() as connection:
                        leave_write_ahead(connection)  # to close it would not say that the disk was full
                    for one, file in files:
                        _copy(one, file, target)
                flush_file(str(draft))
                for end in BESIDE:  # of another book, which is gone
                    discard(f"{path}{end}")
                move(draft, path)
            flush_folder(str(folder))
        for _, file in files:
            _let_go(file)


def _remove(path: Path) -> None:
    for end in (*BESIDE, ""):
        discard(f"{path}{end}")


@contextlib.contextmanager
def _alone(folder: Path, one: _Earlier) -> Iterator[SqliteFile]:
    """An earlier file, which nobody else reads or writes meanwhile: what was written to it later would be lost."""
    path = folder / one.file
    with SqliteFile(path, what=one.what, advice=one.advice(folder)) as file:
        with file.reading() as connection:
            empty = connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None
        if not empty:  # else it was made by a process that ended in the same moment
            file.prepare((), application=one.application, version=1)
        until = time.monotonic() + _BRIEFLY
        with file.reading() as connection:
            connection.execute(f"PRAGMA busy_timeout={_BRIEFLY * 1000:.0f}").fetchall()
            connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()  # until it is closed
            while True:
                try:
                    leave_write_ahead(connection)
                    connection.execute("BEGIN EXCLUSIVE")
                    connection.execute("COMMIT")
                    break
                except sqlite3.OperationalError as error:
                    if primary_code(error) not in BUSY:
                        raise
                    if time.monotonic() < until:  # SQLite leaves its journal without waiting for anybody
                        time.sleep(_AGAIN)
                        continue
                    raise Unreachable(
                        f"a program of an earlier version has the {one.what} open",
                        where=str(path),
                        next="Stop it (diadem serve), then run the same command again.",
                    ) from error
        yield file


def _introduction(meeting: Sequence[Any]) -> tuple[Any, ...]:
    """A row of the outbox that is an introduction, of what was kept before: its envelope is made when it goes."""
    nonce, peer, hub, body, ticket, name, ends, error = meeting
    document = json.loads(base64.b64decode(json.loads(bytes(body))["payload"]))
    said = {member: document.get(member, "") for member in ("token", "seen", "chain", "note", "commitment", "number")}
    if said["token"] and not said["commitment"]:  # nobody answers these any more: with the ticket, one begins anew
        said["token"], error = "", error or "it was made by an earlier version: join again with the same ticket"
    about = {"said": said | {"nonce": nonce}, "hub": hub, "ticket": ticket, "name": name, "ends": ends}
    due = ends if error else ""  # what was refused waits for a person, and is given up in the end
    return (nonce, peer, "", "introduction", json.dumps(about | {"refused": error}), "", 0, due, "")


def _rows(one: _Earlier, file: SqliteFile, target: SqliteFile) -> Iterator[tuple[str, str, str, list[Any]]]:
    """Each table of an earlier file, its present name, the columns that both have, and the rows."""
    with file.reading() as connection, target.reading() as kept:
        if connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
            return
        for name, named in one.tables.items():
            if name == "meetings":
                found = connection.execute(f"SELECT {_MEETING} FROM meetings").fetchall()  # noqa: S608  our own names
                yield name, named, _WAITING, [_introduction(row) for row in found]
                continue
            known = {column[1] for column in kept.execute(f"PRAGMA table_info({named})")}
            columns = ", ".join(
                f'"{column[1]}"' for column in connection.execute(f"PRAGMA table_info({name})") if column[1] in known
            )
            found = connection.execute(f"SELECT {columns} FROM {name}").fetchall()  # noqa: S608  our own names
            yield name, named, columns, found


def _copy(one: _Earlier, file: SqliteFile, target: SqliteFile) -> None:
    """Every row of an earlier file, in one transaction, counted on both sides."""
    with target.writing() as kept, file.reading() as rows:
        for name, named, columns, found in _rows(one, file, target):
            marks = ", ".join("?" * (columns.count(",") + 1))
            before = _count(kept, named)
            kept.executemany(f"INSERT INTO {named} ({columns}) VALUES ({marks})", found)  # noqa: S608
            if _count(kept, named) - before != _count(rows, name):
                advice = one.advice(file.path.parent)
                raise IntegrityError(f"the {one.what} cannot be read whole", where=str(file.path), next=advice)


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608  our own names


def _has_all(one: _Earlier, file: SqliteFile, target: SqliteFile) -> bool:
    """Whether every row of an earlier file is in the one book."""
    with target.reading() as kept:
        return all(
            set(found) <= set(kept.execute(f"SELECT {columns} FROM {named}"))  # noqa: S608  our own names
            for _, named, columns, found in _rows(one, file, target)
        )


def _let_go(file: SqliteFile) -> None:
    """Empty an earlier file whose rows are all in the one book, for there are keys in it; then remove it.

    What fails here is tried again when the book is opened next.
    """
    with contextlib.suppress(DiademError, OSError):
        with file.reading() as connection:
            connection.execute("PRAGMA journal_mode = MEMORY").fetchall()  # one in a file would keep what was
        with file.writing() as connection:
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                connection.execute(f"DELETE FROM {name}")  # noqa: S608  our own names
        if WINDOWS:  # an open file cannot be removed there
            file.close()
        _remove(file.path)


def _clear(folder: Path, one: _Earlier, book: SqliteFile) -> None:
    """Remove an earlier file beside the one book where that has all of it; else set it aside.

    It is left over from the moment at which the book got its name, or a program of that version has begun it anew.
    """
    path = folder / one.file
    try:
        with _alone(folder, one) as file:
            if _has_all(one, file, book):
                _let_go(file)
                return
    except (Unreachable, StoreError) as error:
        _LOG.warning("%s is not looked at now: %s", path, error.message)
        return
    except (IntegrityError, Refused):
        pass
    number, aside = 1, path.with_name(f"{one.file}.earlier")
    while aside.exists():
        number, aside = number + 1, path.with_name(f"{one.file}.earlier-{number + 1}")
    with contextlib.suppress(OSError):  # it is tried again
        for end in BESIDE:
            with contextlib.suppress(FileNotFoundError):
                move(f"{path}{end}", f"{aside}{end}")
        move(path, aside)
        _LOG.warning("what a program of an earlier version wrote is not in the %s; it is kept: %s", _WHAT, aside)
