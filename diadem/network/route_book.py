"""What a node remembers of its ways to others: what lies at hubs, whom it meets there, which way worked when.

Nothing here is proof: if these tables are lost, what was not answered is put down again. The transfers and the outbox
are in the same file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from diadem.model.routes import DIRECT, Health
from diadem.model.times import read_time, time_text
from diadem.network.book_file import network_book
from diadem.node.context import Context
from diadem.node.peers.book import PeerBook, peer_book
from diadem.store.rows import Table
from diadem.store.sqlite_file import SqliteFile

#: Between two times that the same is put down for one who does not answer: first, and at most.
_FIRST: Final = timedelta(minutes=5)
_LONGEST: Final = timedelta(hours=24)
#: How long it is known what was taken: longer than anything that is taken may be old.
KEPT: Final = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Put:
    """Something that was put into the box of a peer."""

    #: Under which name it lies there.
    id: str
    #: Id of the control message, or nonce of the introduction.
    about: str
    #: Id of the hub.
    hub: str
    at: datetime
    #: The checkpoint from which on its chain was exported because the peer asked for that; "" else.
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Meeting:
    """An introduction that goes over a hub and is not answered yet."""

    #: Of the introduction; ids of the node that is met, and of the hub.
    nonce: str
    peer: str
    hub: str
    #: The checkpoint with which the answer must show that its log still begins.
    seen: str
    #: What is put down: always the same, for the words depend on it.
    body: bytes = field(repr=False)
    #: Text of the ticket and what the other is to be called here; "" for a peer that is known.
    ticket: str = field(repr=False)
    name: str
    #: When it is given up.
    ends: datetime
    #: Why the other side refused; "" while nothing is answered.
    error: str = ""


_PUTS: Final = Table("puts", Put)
_MEETINGS: Final = Table("meetings", Meeting)
_HEALTH: Final = Table("health", Health)


class RouteBook:
    """The book, in the file of `diadem.network.book_file`. Safe for many threads and processes.

    `peers` notes each node that was called and let this one in.
    """

    def __init__(self, file: SqliteFile, peers: PeerBook | None = None) -> None:
        self._file, self._peers = file, peers

    # -- what lies at hubs -----------------------------------------------------------------------------------------

    def put(self, one: Put) -> None:
        """Note that something was put down; what was put down long ago is forgotten."""
        with self._file.writing() as connection:
            _PUTS.add(connection, one, otherwise="REPLACE")
            connection.execute("DELETE FROM puts WHERE at < ?", [time_text(one.at - KEPT)])

    def found_put(self, name: str) -> Put | None:
        """What lies, or lay, at a hub under this name."""
        with self._file.reading() as connection:
            return next(iter(_PUTS.find(connection, "WHERE id = ?", name)), None)

    def puts(self, about: str) -> Sequence[Put]:
        """Each time that something was put down, the first first."""
        with self._file.reading() as connection:
            return _PUTS.find(connection, "WHERE about = ? ORDER BY at, id", about)

    def is_due(self, about: str, now: datetime) -> bool:
        """Whether something is to be put down, for the first time or because nobody has answered for long."""
        known = self.puts(about)
        wait = min(_LONGEST, _FIRST * 2 ** min(max(len(known) - 1, 0), 12))
        return not known or now >= known[-1].at + wait

    def take(self, name: str, now: datetime) -> bool:
        """Note that something of the own box was taken; False where it was before: somebody put it there again."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM taken WHERE at < ?", [time_text(now - KEPT - KEPT)])
            row = [name, time_text(now)]
            return bool(connection.execute("INSERT OR IGNORE INTO taken VALUES (?, ?)", row).rowcount)

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
        """Keep an introduction, instead of the one before with the same node and what lies of that at hubs."""
        with self._file.writing() as connection:
            before = "SELECT nonce FROM meetings WHERE peer = ?"
            connection.execute(f"DELETE FROM puts WHERE about IN ({before})", [one.peer])  # noqa: S608
            connection.execute("DELETE FROM meetings WHERE peer = ?", [one.peer])
            _MEETINGS.add(connection, one)

    def meetings(self) -> Sequence[Meeting]:
        """Every introduction that is not done."""
        with self._file.reading() as connection:
            return _MEETINGS.find(connection, "ORDER BY nonce")

    def meeting(self, peer: str) -> Meeting | None:
        """The introduction that is under way with a node."""
        return next((one for one in self.meetings() if one.peer == peer), None)

    def refused(self, nonce: str, error: str) -> None:
        """Note that the other side refused an introduction: it is not put down any more."""
        with self._file.writing() as connection:
            _MEETINGS.change(connection, "WHERE nonce = ?", nonce, error=error)

    def met(self, nonce: str) -> None:
        """An introduction is done, or given up."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM meetings WHERE nonce = ?", [nonce])
            connection.execute("DELETE FROM puts WHERE about = ?", [nonce])

    # -- how each way works ----------------------------------------------------------------------------------------

    def worked(self, peer: str, route: str, at: datetime) -> None:
        """Note that a way to a peer worked."""
        with self._file.writing(durable=False) as connection:
            now = Health(time_text(at), time_text(at))
            _HEALTH.add(connection, now, otherwise="REPLACE", peer=peer, route=route)
        if route == DIRECT and self._peers is not None:
            self._peers.seen_confirmed(peer)

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
            return next(iter(_HEALTH.find(connection, "WHERE peer = ? AND route = ?", peer, route)), Health())


def route_book(context: Context) -> RouteBook:
    """The node's book of routes."""
    return RouteBook(network_book(context), peer_book(context))
