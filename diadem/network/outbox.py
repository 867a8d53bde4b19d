"""What is to be told to peers, in the book of transfers: kept, and tried again, until it is taken."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from sqlite3 import Connection
from typing import Any, Final

from diadem.model.times import time_text
from diadem.store.sqlite_file import SqliteFile

TABLE: Final = """CREATE TABLE outbox (
        id TEXT PRIMARY KEY, peer TEXT NOT NULL, transfer TEXT NOT NULL, kind TEXT NOT NULL,
        about TEXT NOT NULL, made TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, due TEXT NOT NULL,
        error TEXT NOT NULL DEFAULT '') WITHOUT ROWID"""
#: First and longest time between two tries to deliver a message.
_FIRST_WAIT: Final = timedelta(seconds=10)
_LONGEST_WAIT: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that is to be delivered.

    Attributes
    ----------
    id, peer, transfer, kind : str
        Of the message; its chain is exported when it goes.
    about : mapping
        What is not signed.
    attempts : int
        How often it was tried.
    error : str
        Why it did not go.
    """

    id: str
    peer: str
    transfer: str
    kind: str
    about: Mapping[str, Any]
    attempts: int = 0
    error: str = ""


def put(connection: Connection, message: Outgoing, at: str) -> None:
    """Put a message into the outbox, as part of a transaction; see `Outbox.post`."""
    named = (message.peer, message.transfer, message.kind)
    connection.execute("DELETE FROM outbox WHERE peer = ? AND transfer = ? AND kind = ?", named)
    sql = "INSERT INTO outbox (id, peer, transfer, kind, about, made, due) VALUES (?, ?, ?, ?, ?, ?, ?)"
    connection.execute(sql, (message.id, *named, json.dumps(dict(message.about)), at, at))


class Outbox:
    """The part of a book that holds messages to peers."""

    _file: SqliteFile

    def post(self, message: Outgoing, at: datetime) -> None:
        """Put a message into the outbox; the same kind for the same transfer takes the place of an earlier one."""
        with self._file.writing() as connection:
            put(connection, message, time_text(at))

    def to_post(self, *, due: datetime | None = None, peer: str | None = None) -> list[Outgoing]:
        """Messages in the outbox, oldest first; those that are due, or those for one peer."""
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT id, peer, transfer, kind, about, attempts, error FROM outbox "
                "WHERE (?1 IS NULL OR due <= ?1) AND (?2 IS NULL OR peer = ?2) ORDER BY made, id",
                [None if due is None else time_text(due), peer],
            ).fetchall()
        return [
            Outgoing(key, to, transfer, kind, json.loads(about), attempts, error)
            for key, to, transfer, kind, about, attempts, error in rows
        ]

    def posted(self, message: str) -> None:
        """Take a message that was delivered out of the outbox."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM outbox WHERE id = ?", [message])

    def not_posted(self, message: Outgoing, reason: str, at: datetime) -> None:
        """Try a message again later, each time after a longer while."""
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(message.attempts, 12))
        with self._file.writing() as connection:
            connection.execute(
                "UPDATE outbox SET attempts = attempts + 1, error = ?, due = ? WHERE id = ?",
                [reason, time_text(at + wait), message.id],
            )
