"""How relays and messages end, by themselves or because a side wants so, and what the hub then states of a relay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from diadem.custody import statements
from diadem.custody.statements import relay_digest, relay_subject
from diadem.model.peers import PeerState
from diadem.model.statements import Draft
from diadem.model.times import time_text
from diadem.network.hub.book import rows
from diadem.network.hub.mailboxes import DELETED, DELIVERED, EXPIRED, LOST, Held, Mailboxes, let_go
from diadem.network.hub.storage import Storage
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
    storage : Storage
        Its disk.
    mailboxes : Mailboxes
        What it holds.
    """

    def __init__(self, context: Context, file: SqliteFile, storage: Storage, mailboxes: Mailboxes) -> None:
        self._context, self._file, self._storage, self._mailboxes = context, file, storage, mailboxes

    def end(self, asker: str, relay: str) -> list[Held]:
        """End a relay because one of its two sides wants so; what had not been taken. It is to be stated then.

        Raises
        ------
        NotFound
            The asker has no part in such a relay.
        """
        self._mailboxes.require_party(asker, relay)
        return self._mailboxes.end(relay, DELETED)

    def sweep(self) -> Swept:
        """End what has expired, or is of nodes that are no peers any more; and state what is owed."""
        now = time_text(self._context.clock())
        with self._file.reading() as connection:
            open_ = rows(connection, "SELECT * FROM mailboxes WHERE permit <> '' AND ended = ''")
        peers = self._peers()  # after these: who is confirmed meanwhile loses nothing
        over = [row for row in open_ if row["expires"] <= now or not {row["sender"], row["owner"]} <= peers]
        for row in over:
            self._mailboxes.end(row["id"], EXPIRED if row["expires"] <= now else DELETED)
        messages = self._expire_messages(now)
        try:
            self._state_owed()
            with self._file.writing(durable=False) as connection:
                connection.execute("DELETE FROM mailboxes WHERE ended <> '' AND stated AND forget <= ?", (now,))
        finally:  # a log that cannot be written keeps no disk full
            unfinished, _ = self._storage.sweep()
        return Swept(len(over), messages, unfinished)

    def _peers(self) -> set[str]:
        return {peer.id for peer in peer_book(self._context).ls() if peer.state is PeerState.CONFIRMED}

    def _expire_messages(self, now: str) -> int:
        """Delete messages that have waited too long, or that wait for nodes that are no peers any more.

        Who may put messages there stays known: a spoke that is confirmed again does not say it anew.
        """
        with self._file.writing() as connection:  # nobody puts anything while it is looked who is a peer
            gone = rows(connection, "SELECT * FROM objects WHERE expires <> '' AND expires <= ? AND how = ''", now)
            boxes, peers = rows(connection, "SELECT id FROM mailboxes WHERE permit = ''"), self._peers()
            for box in [row["id"] for row in boxes if row["id"] not in peers]:
                sql = "SELECT * FROM objects WHERE mailbox = ? AND expires > ? AND how = ''"
                gone += rows(connection, sql, box, now)
            let_go(connection, gone, EXPIRED, now)
        self._mailboxes.remove(gone)
        return len(gone)

    # -- stating -----------------------------------------------------------------------------------------------------

    def _state_owed(self) -> None:
        with self._file.reading() as connection:
            owed = rows(connection, "SELECT id FROM mailboxes WHERE ended <> '' AND NOT stated")
        for row in owed:
            self.state(row["id"])

    def state(self, relay: str) -> None:
        """State what became of everything that a relay carried, once; where nothing ever came, there is nothing to say.

        Where a process ended between the statement and the note of it, it is found in the log again.
        """
        with self._context.locked(f"relay-{relay[:2]}"):
            with self._file.reading() as connection:
                found = rows(connection, "SELECT * FROM mailboxes WHERE id = ? AND ended <> '' AND NOT stated", relay)
                objects = rows(connection, "SELECT * FROM objects WHERE mailbox = ?", relay)
            if not found:
                return
            about = relay_subject(relay).sha256
            said = {entry.statement.predicate["event"] for entry in self._context.ledger.of_subject(about)}
            if drafts := [draft for draft in _drafts(found[0], objects) if draft.predicate["event"] not in said]:
                self._context.say(drafts)
            with self._file.writing() as connection:
                connection.execute("UPDATE mailboxes SET stated = 1 WHERE id = ?", (relay,))
                connection.execute("DELETE FROM objects WHERE mailbox = ?", (relay,))


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
                recipient=relay["owner"],
                event=event,
                objects=len(ours),
                size=sum(row["bytes"] for row in ours),
                sha256=relay_digest((row["name"], row["sha256"], row["bytes"]) for row in ours),
                first=min(row["at"] for row in ours),
                last=max(row["gone"] for row in ours),
            )
        )
    return drafts
