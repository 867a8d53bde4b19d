"""How relays and messages end by themselves, and what the hub then states of what it carried."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from diadem.custody import statements
from diadem.custody.statements import relay_digest, relay_subject
from diadem.errors import DiademError
from diadem.model.peers import PeerState
from diadem.model.statements import Draft
from diadem.model.times import time_text
from diadem.network.hub.book import rows
from diadem.network.hub.boxes import let_go
from diadem.network.hub.relays import DELETED, DELIVERED, EXPIRED, LOST, Held, Relays
from diadem.network.hub.room import Room
from diadem.node.context import Context
from diadem.node.peers.book import peer_book
from diadem.store.sqlite_file import SqliteFile

#: What became of an object, as it is stated; what the disk lost is no longer here either.
_EVENTS: Final = {DELIVERED: DELIVERED, DELETED: DELETED, LOST: DELETED, EXPIRED: EXPIRED}


@dataclass(frozen=True, slots=True)
class Swept:
    """What a hub let go of by itself.

    Attributes
    ----------
    relays, messages : int
        How many expired, or belonged to a node that is no peer any more.
    unfinished : int
        What was being written by processes that ended.
    """

    relays: int
    messages: int
    unfinished: int

    def __bool__(self) -> bool:
        """Whether there was anything."""
        return bool(self.relays or self.messages or self.unfinished)

    def __str__(self) -> str:
        """For the log: numbers, and nothing of whom or what."""
        return f"relays {self.relays}, messages {self.messages}, half-written {self.unfinished}"


class Endings:
    """Ends what is over at a hub.

    Parameters
    ----------
    context : Context
        The node.
    file : SqliteFile
        The hub's book.
    room : Room
        Its disk.
    relays : Relays
        Its relays.
    """

    def __init__(self, context: Context, file: SqliteFile, room: Room, relays: Relays) -> None:
        self._context, self._file, self._room, self._relays = context, file, room, relays

    def end(self, relay: str) -> list[Held]:
        """End a relay because one of its two sides wants so, and state it; what had not been taken."""
        left = self._relays.end(relay, DELETED)
        with contextlib.suppress(DiademError):  # a store does not answer, say: stated with the next sweep
            self.state(relay)
        return left

    def sweep(self) -> Swept:
        """End what has expired, or is of nodes that are no peers any more; and state what is owed."""
        now, unfinished = time_text(self._context.clock()), self._room.give_up_stale()
        peers = {peer.id for peer in peer_book(self._context).ls() if peer.state is PeerState.CONFIRMED}
        with self._file.reading() as connection:
            open_ = rows(connection, "SELECT id, sender, recipient, expires FROM relays WHERE ended = ''")
        over = [row for row in open_ if row["expires"] <= now or not {row["sender"], row["recipient"]} <= peers]
        for row in over:
            self._relays.end(row["id"], EXPIRED if row["expires"] <= now else DELETED)
        messages = self._expire_messages(now, peers)
        self._room.remove_doomed()
        self._state_owed()
        with self._file.writing(durable=False) as connection:
            connection.execute("DELETE FROM relays WHERE ended <> '' AND stated AND forget <= ?", (now,))
            connection.execute("DELETE FROM held WHERE bytes = 0 AND objects = 0 AND messages = 0")
        return Swept(len(over), messages, unfinished)

    def _expire_messages(self, now: str, peers: set[str]) -> int:
        with self._file.writing() as connection:
            boxes = [row["box"] for row in rows(connection, "SELECT DISTINCT box FROM messages")]
            left = [box for box in boxes if box not in peers]
            gone = rows(connection, "DELETE FROM messages WHERE expires <= ? RETURNING *", now)
            for box in left:
                gone += rows(connection, "DELETE FROM messages WHERE box = ? RETURNING *", box)
                connection.execute("DELETE FROM senders WHERE owner = ?", (box,))
            let_go(connection, gone)
        return len(gone)

    # -- stating -----------------------------------------------------------------------------------------------------

    def _state_owed(self) -> None:
        with self._file.reading() as connection:
            owed = rows(connection, "SELECT id FROM relays WHERE ended <> '' AND NOT stated")
        for row in owed:
            self.state(row["id"])

    def state(self, relay: str) -> None:
        """State what became of everything that a relay carried, once; where nothing ever came, there is nothing to say.

        Where a process ended between the statement and the note of it, it is found in the log again.
        """
        with self._context.locked(f"relay-{relay[:2]}"):
            with self._file.reading() as connection:
                found = rows(connection, "SELECT * FROM relays WHERE id = ? AND ended <> '' AND NOT stated", relay)
                objects = rows(connection, "SELECT * FROM objects WHERE relay = ?", relay)
            if not found:
                return
            about = relay_subject(relay).sha256
            said = {entry.statement.predicate["event"] for entry in self._context.ledger.of_subject(about)}
            if drafts := [draft for draft in _drafts(found[0], objects) if draft.predicate["event"] not in said]:
                self._context.say(drafts)
            with self._file.writing() as connection:
                connection.execute("UPDATE relays SET stated = 1 WHERE id = ?", (relay,))
                connection.execute("DELETE FROM objects WHERE relay = ?", (relay,))


def _drafts(relay: dict[str, Any], objects: Sequence[dict[str, Any]]) -> list[Draft]:
    drafts = []
    for event in (DELIVERED, DELETED, EXPIRED):
        ours = [row for row in objects if _EVENTS[row["how"]] == event]
        if not ours:
            continue
        drafts.append(
            statements.relay(
                relay["id"],
                permit=relay["permit"],
                sender=relay["sender"],
                recipient=relay["recipient"],
                event=event,
                objects=len(ours),
                size=sum(row["bytes"] for row in ours),
                sha256=relay_digest((row["name"], row["sha256"], row["bytes"]) for row in ours),
                first=min(row["at"] for row in ours),
                last=max(row["gone"] for row in ours),
            )
        )
    return drafts
