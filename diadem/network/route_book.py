"""What a node remembers of its ways to others: what it took from its boxes, what it told whom, which way worked when.

Nothing here is proof: if these tables are lost, the same is told again. The transfers and the outbox are in the same
file.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from diadem.model.routes import DIRECT, Health
from diadem.model.times import read_time, time_text
from diadem.network.book_file import network_book
from diadem.network.outbox import KEPT
from diadem.node.context import Context
from diadem.node.peers.book import PeerBook, peer_book
from diadem.store.rows import Table
from diadem.store.sqlite_file import SqliteFile

_HEALTH: Final = Table("health", Health)


class RouteBook:
    """The book, in the file of `diadem.network.book_file`. Safe for many threads and processes.

    `peers` notes each node that was called and let this one in.
    """

    def __init__(self, file: SqliteFile, peers: PeerBook | None = None) -> None:
        self._file, self._peers = file, peers

    # -- the own box -----------------------------------------------------------------------------------------------

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
