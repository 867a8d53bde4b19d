"""Boxes: sealed control messages that wait for a spoke, from those whom it has named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from diadem.errors import NotFound, Refused
from diadem.model.carriers import CarrierFull
from diadem.model.policy import Hub as Rules
from diadem.model.times import time_text
from diadem.network.hub.book import doom, hold, hour_of, message_place, rows
from diadem.network.hub.room import Parcel, Room, require_alone
from diadem.network.limits import (
    MESSAGES_AN_HOUR,
    MESSAGES_AT_ONCE,
    MESSAGES_BY_INVITATION,
    SHARE_OF_BOX,
)
from diadem.store.sqlite_file import SqliteFile

_NODE, _INVITATION = "node", "invitation"
_LATER = "It will be tried again later."


@dataclass(frozen=True, slots=True)
class Letter:
    """A sealed message that waits.

    Attributes
    ----------
    id, at : str
        32 hex digits; when it came, UTC.
    bytes : int
        How many.
    sha256 : str
        Of these.
    """

    id: str
    at: str
    bytes: int
    sha256: str


class Boxes:
    """The boxes of a hub, one a spoke. Safe for many threads and processes.

    Parameters
    ----------
    file : SqliteFile
        The hub's book.
    room : Room
        Its disk.
    rules : callable
        ``[hub]`` of the policy.
    clock : callable
        The node's.
    """

    def __init__(self, file: SqliteFile, room: Room, rules: Callable[[], Rules], clock: Callable[[], datetime]) -> None:
        self._file, self._room, self._rules, self._clock = file, room, rules, clock

    def allow(self, owner: str, nodes: Iterable[str], invitations: Iterable[str]) -> None:
        """Let these and no others put messages into a box: nodes by their ids, and whoever knows an invitation."""
        given = [(owner, kind, who) for kind, all_ in ((_NODE, nodes), (_INVITATION, invitations)) for who in all_]
        with self._file.writing() as connection:
            connection.execute("DELETE FROM senders WHERE owner = ?", (owner,))
            connection.executemany("INSERT OR IGNORE INTO senders VALUES (?, ?, ?)", given)

    def put(self, sender: str, box: str, message: str, data: bytes, sha256: str, *, invitation: str = "") -> Letter:
        """Take in a sealed message. The same bytes again while it waits are no failure.

        Raises
        ------
        NotFound
            The box's owner has not named the sender; or there is no such box: nobody can tell which.
        Refused
            Another message has this id.
        CarrierFull
            The box is full, the sender's share of it is, or the sender has sent too many in this hour.
        Unreachable, StoreError
            See `Room.take_in`.
        """
        place = message_place(box, message)
        letter = Letter(message, time_text(self._clock()), len(data), sha256)

        def decide(connection: Connection) -> Letter | None:
            self._require_named(connection, sender, box, invitation)
            known = rows(connection, "SELECT * FROM messages WHERE box = ? AND id = ?", box, message)
            if known:
                if (known[0]["sender"], known[0]["sha256"]) != (sender, sha256):
                    raise Refused("another message in this box has this id", next="Put it under a new id.")
                return letter
            require_alone(connection, place)
            self._require_calm(connection, sender, box, invitation)
            return None

        def enter(connection: Connection) -> Letter:
            expires = time_text(self._clock() + self._rules().keep)
            row = (box, message, sender, invitation, len(data), sha256, letter.at, expires)
            connection.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            return letter

        return self._room.take_in(Parcel(place, box, len(data)), data, decide=decide, enter=enter)

    def _require_named(self, connection: Connection, sender: str, box: str, invitation: str) -> None:
        sql = "SELECT 1 FROM senders WHERE owner = ?1 AND (kind, who) IN ((?2, ?3), (?4, ?5))"
        named = (box, _NODE, sender, _INVITATION, invitation)
        if connection.execute(sql, named).fetchone() is None:
            raise NotFound("there is no such box")

    def _require_calm(self, connection: Connection, sender: str, box: str, invitation: str) -> None:
        """That a sender neither fills the box for others nor sends too often."""
        mine = _number(connection, "SELECT count(*) FROM messages WHERE box = ? AND sender = ?", box, sender)
        if mine >= self._rules().max_messages // SHARE_OF_BOX:
            raise CarrierFull("the limit for your messages that wait for that node is reached", next=_LATER)
        invited = _number(connection, "SELECT count(*) FROM messages WHERE box = ? AND invitation = ?", box, invitation)
        if invitation and invited >= MESSAGES_BY_INVITATION:
            raise CarrierFull("the limit for messages that wait under this invitation is reached", next=_LATER)
        hour = hour_of(self._clock())
        connection.execute("DELETE FROM sent WHERE hour < ?", (hour,))
        connection.execute(
            "INSERT INTO sent VALUES (?, ?, 1) ON CONFLICT (sender, hour) DO UPDATE SET count = count + 1",
            (sender, hour),
        )
        sent = _number(connection, "SELECT count FROM sent WHERE sender = ? AND hour = ?", sender, hour)
        if sent > MESSAGES_AN_HOUR:
            raise CarrierFull("your node has sent too many messages in this hour", next=_LATER)

    def ls(self, owner: str) -> list[Letter]:
        """What waits in a box, the oldest first, some at a time."""
        with self._file.reading() as connection:
            sql = "SELECT * FROM messages WHERE box = ? ORDER BY at, id LIMIT ?"
            return [_letter(row) for row in rows(connection, sql, owner, MESSAGES_AT_ONCE)]

    def find(self, owner: str, message: str) -> tuple[Path, int]:
        """Path and bytes of a message. Raises `NotFound` where none waits in this box."""
        with self._file.reading() as connection:
            found = rows(connection, "SELECT bytes FROM messages WHERE box = ? AND id = ?", owner, message)
        if not found:
            raise NotFound("there is no such message")
        return self._room.path(message_place(owner, message)), found[0]["bytes"]

    def taken(self, owner: str, messages: Sequence[str]) -> list[Letter]:
        """Delete what its owner has; those that were there."""
        with self._file.writing() as connection:
            gone = [
                row
                for message in dict.fromkeys(messages)
                for row in rows(connection, "DELETE FROM messages WHERE box = ? AND id = ? RETURNING *", owner, message)
            ]
            let_go(connection, gone)
        self._room.remove_doomed()
        return [_letter(row) for row in gone]


def let_go(connection: Connection, gone: Sequence[dict[str, Any]]) -> None:
    """Note that messages, whose rows are removed, wait no more."""
    for row in gone:
        hold(connection, row["box"], -row["bytes"], messages=-1)
        doom(connection, message_place(row["box"], row["id"]))


def _number(connection: Connection, sql: str, *values: str) -> int:
    return int(connection.execute(sql, values).fetchone()[0])


def _letter(row: dict[str, Any]) -> Letter:
    return Letter(row["id"], row["at"], row["bytes"], row["sha256"])
