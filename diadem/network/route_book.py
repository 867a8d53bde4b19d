"""What a node remembers of its ways to others: what lies at hubs, whom it meets there, which way worked when.

::

    <node>/network/routes.sqlite

Nothing here is proof: if the file is lost, what was not answered is put down again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from diadem.model.ports import Closing
from diadem.model.routes import DIRECT, Health
from diadem.model.times import read_time, time_text
from diadem.node.context import Context
from diadem.node.peers.book import peer_book
from diadem.store.sqlite_file import SqliteFile

FILE: Final = "routes.sqlite"
#: "DmRt", and the version of the tables.
APPLICATION: Final = 0x446D5274
VERSION: Final = 1
_SCHEMA: Final = (
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
#: Between two times that the same is put down for one who does not answer: first, and at most.
_FIRST: Final = timedelta(minutes=5)
_LONGEST: Final = timedelta(hours=24)
#: How long it is known what was taken: longer than anything that is taken may be old.
KEPT: Final = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Put:
    """Something that was put into the box of a peer.

    Attributes
    ----------
    id : str
        Under which name it lies there.
    about : str
        Id of the control message, or nonce of the introduction.
    hub : str
        Id of the hub.
    at : datetime
        When.
    seen : str
        The checkpoint from which on its chain was exported because the peer asked for that; "" else.
    """

    id: str
    about: str
    hub: str
    at: datetime
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Meeting:
    """An introduction that goes over a hub and is not answered yet.

    Attributes
    ----------
    nonce, peer, hub : str
        Of the introduction; ids of the node that is met, and of the hub.
    seen : str
        The checkpoint with which the answer must show that its log still begins.
    body : bytes
        What is put down: always the same, for the words depend on it.
    ticket, name : str
        Text of the ticket and what the other is to be called here; "" for a peer that is known.
    ends : datetime
        When it is given up.
    error : str
        Why the other side refused; "" while nothing is answered.
    """

    nonce: str
    peer: str
    hub: str
    seen: str
    body: bytes = field(repr=False)
    ticket: str = field(repr=False)
    name: str
    ends: datetime
    error: str = ""


class RouteBook(Closing):
    """The book. Safe for many threads and processes.

    Parameters
    ----------
    folder : Path
        ``<node>/network``; made where it is not there.
    heard : callable
        Told of each node that was called and let this one in.
    """

    def __init__(self, folder: Path, heard: Callable[[str], object] = lambda _: None) -> None:
        self._heard = heard
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = SqliteFile(folder / FILE, what="book of routes", advice="Delete it: the node makes it again.")
        self._file.prepare(_SCHEMA, application=APPLICATION, version=VERSION)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    # -- what lies at hubs -----------------------------------------------------------------------------------------

    def put(self, one: Put) -> None:
        """Note that something was put down; what was put down long ago is forgotten."""
        with self._file.writing() as connection:
            row = [one.id, one.about, one.hub, time_text(one.at), one.seen]
            connection.execute("INSERT OR REPLACE INTO puts VALUES (?, ?, ?, ?, ?)", row)
            connection.execute("DELETE FROM puts WHERE at < ?", [time_text(one.at - KEPT)])

    def found_put(self, name: str) -> Put | None:
        """What lies, or lay, at a hub under this name."""
        return next(iter(self._puts("id = ?", name)), None)

    def puts(self, about: str) -> Sequence[Put]:
        """Each time that something was put down, the first first."""
        return self._puts("about = ? ORDER BY at, id", about)

    def done(self, about: str) -> None:
        """It was answered: what still lies of it at hubs is of no interest."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM puts WHERE about = ?", [about])

    def is_due(self, about: str, now: datetime) -> bool:
        """Whether something is to be put down, for the first time or because nobody has answered for long."""
        known = self.puts(about)
        wait = min(_LONGEST, _FIRST * 2 ** min(max(len(known) - 1, 0), 12))
        return not known or now >= known[-1].at + wait

    def _puts(self, where: str, value: str) -> list[Put]:
        with self._file.reading() as connection:
            rows = connection.execute(f"SELECT id, about, hub, at, seen FROM puts WHERE {where}", [value]).fetchall()  # noqa: S608
        return [Put(name, about, hub, read_time(at), seen) for name, about, hub, at, seen in rows]

    def take(self, name: str, now: datetime) -> bool:
        """Note that something of the own box was taken; False where it was before: somebody put it there again."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM taken WHERE at < ?", [time_text(now - KEPT - KEPT)])
            return bool(
                connection.execute("INSERT OR IGNORE INTO taken VALUES (?, ?)", [name, time_text(now)]).rowcount
            )

    def was_taken(self, name: str) -> bool:
        """Whether something of the own box was taken before."""
        with self._file.reading() as connection:
            return connection.execute("SELECT 1 FROM taken WHERE id = ?", [name]).fetchone() is not None

    # -- the own box -----------------------------------------------------------------------------------------------

    def told_list(self, hub: str) -> tuple[str, datetime] | None:
        """Digest of the list that a hub has of those who may put something into the own box, and since when."""
        with self._file.reading() as connection:
            row = connection.execute("SELECT digest, at FROM lists WHERE hub = ?", [hub]).fetchone()
        return (row[0], read_time(row[1])) if row else None

    def tell_list(self, hub: str, digest: str, at: datetime) -> None:
        """Note which list a hub has from now on."""
        with self._file.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO lists VALUES (?, ?, ?)", [hub, digest, time_text(at)])

    # -- the own note ------------------------------------------------------------------------------------------------

    def told_note(self, peer: str) -> tuple[str, datetime | None, datetime | None]:
        """Digest of this node's note that a peer has, since when, and when it was last tried to tell it."""
        with self._file.reading() as connection:
            row = connection.execute("SELECT digest, at, tried FROM notes WHERE peer = ?", [peer]).fetchone()
        digest, at, tried = row or ("", "", "")
        return digest, read_time(at) if at else None, read_time(tried) if tried else None

    def try_note(self, peer: str, at: datetime) -> None:
        """Note that it is tried to tell a peer the own note."""
        with self._file.writing() as connection:
            sql = "INSERT INTO notes VALUES (?, '', '', ?) ON CONFLICT DO UPDATE SET tried = excluded.tried"
            connection.execute(sql, [peer, time_text(at)])

    def tell_note(self, peer: str, digest: str, at: datetime) -> None:
        """Note that a peer has this note of this node."""
        with self._file.writing() as connection:
            sql = "INSERT INTO notes VALUES (?1, ?2, ?3, ?3) ON CONFLICT DO UPDATE SET digest = ?2, at = ?3"
            connection.execute(sql, [peer, digest, time_text(at)])

    # -- introductions ---------------------------------------------------------------------------------------------

    def meet(self, one: Meeting) -> None:
        """Keep an introduction, instead of the one before with the same node."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM meetings WHERE peer = ?", [one.peer])
            row = [one.nonce, one.peer, one.hub, one.seen, one.body, one.ticket, one.name, time_text(one.ends)]
            connection.execute("INSERT INTO meetings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [*row, one.error])

    def meetings(self) -> Sequence[Meeting]:
        """Every introduction that is not done."""
        columns = "nonce, peer, hub, seen, body, ticket, name, ends, error"
        with self._file.reading() as connection:
            rows = connection.execute(f"SELECT {columns} FROM meetings ORDER BY nonce").fetchall()  # noqa: S608
        return [
            Meeting(nonce, peer, hub, seen, bytes(body), ticket, name, read_time(ends), error)
            for nonce, peer, hub, seen, body, ticket, name, ends, error in rows
        ]

    def meeting(self, peer: str) -> Meeting | None:
        """The introduction that is under way with a node."""
        return next((one for one in self.meetings() if one.peer == peer), None)

    def refused(self, nonce: str, error: str) -> None:
        """Note that the other side refused an introduction: it is not put down any more."""
        with self._file.writing() as connection:
            connection.execute("UPDATE meetings SET error = ? WHERE nonce = ?", [error, nonce])

    def met(self, nonce: str) -> None:
        """An introduction is done, or given up."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM meetings WHERE nonce = ?", [nonce])
        self.done(nonce)

    # -- how each way works ----------------------------------------------------------------------------------------

    def worked(self, peer: str, route: str, at: datetime) -> None:
        """Note that a way to a peer worked."""
        with self._file.writing(durable=False) as connection:
            row = [peer, route, time_text(at), time_text(at), "", ""]
            connection.execute("INSERT OR REPLACE INTO health VALUES (?, ?, ?, ?, ?, ?)", row)
        if route == DIRECT:
            self._heard(peer)

    def failed(self, peer: str, route: str, at: datetime, error: str) -> None:
        """Note that a way to a peer was tried and did not work."""
        moment = time_text(at)
        with self._file.writing(durable=False) as connection:
            connection.execute(
                """INSERT INTO health VALUES (?1, ?2, ?3, '', ?3, ?4) ON CONFLICT (peer, route) DO UPDATE
                SET tried = ?3, failing = CASE failing WHEN '' THEN ?3 ELSE failing END, error = ?4""",
                [peer, route, moment, error[:500]],
            )

    def health(self, peer: str, route: str) -> Health:
        """How a way to a peer did; empty where it was never tried."""
        with self._file.reading() as connection:
            sql = "SELECT tried, worked, failing, error FROM health WHERE peer = ? AND route = ?"
            row: Any = connection.execute(sql, [peer, route]).fetchone()
        return Health(*row) if row else Health()


def route_book(context: Context) -> RouteBook:
    """The node's book of routes, opened once and closed with the node."""
    context.require_writable()
    return context.once("routes", lambda: RouteBook(context.folder / "network", peer_book(context).seen_confirmed))
