"""The hub of an opened node: its mailboxes, its disk, and how things end. One for all threads of a process.

Relays and messages end by themselves or because a side wants so; what became of a relay is then stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from diadem.custody import statements
from diadem.custody.statements import relay_digest, relay_subject
from diadem.errors import NotFound, Refused
from diadem.model.carriers import MAX_OBJECT, RELAY
from diadem.model.peers import Peer, PeerState
from diadem.model.policy import Hub as Rules
from diadem.model.signers import PEER, Signer
from diadem.model.statements import Draft, parse_time
from diadem.model.times import time_text
from diadem.network.hub.book import FOLDER, open_book, rows
from diadem.network.hub.mailboxes import DELETED, DELIVERED, EXPIRED, LOST, Held, Mailbox, Mailboxes, let_go
from diadem.network.hub.storage import Storage
from diadem.network.limits import MAX_RELAYS, MAX_SEALED
from diadem.node.context import Context
from diadem.node.peers.book import peer_book
from diadem.serialization.validation import read_statement
from diadem.store.sqlite_file import SqliteFile
from diadem.trust.envelope import PAYLOAD_TYPE, Envelope
from diadem.trust.keys import PublicKey

#: What became of an object, as it is stated; what the disk lost is no longer here either.
_EVENTS: Final = {DELIVERED: DELIVERED, DELETED: DELETED, LOST: DELETED, EXPIRED: EXPIRED}


@dataclass(frozen=True, slots=True)
class Tidied:
    """What a start of the hub found that was not as it should be."""

    #: Half-written files, which are removed.
    unfinished: int
    #: Files of which the book knows nothing, which are removed.
    strays: int
    #: Objects whose files are gone or cut short: they are not offered any more, and may be put again.
    lost: int

    def __bool__(self) -> bool:
        """Whether there was anything."""
        return bool(self.unfinished or self.strays or self.lost)

    def __str__(self) -> str:
        """For the log."""
        return (
            f"{self.unfinished} half-written and {self.strays} unknown files removed, {self.lost} whose files are lost"
        )


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


@dataclass(frozen=True, slots=True)
class Hub:
    """What a hub works with."""

    #: The node.
    context: Context
    #: The book, and the disk.
    file: SqliteFile
    storage: Storage
    #: What waits, and for whom.
    mailboxes: Mailboxes

    @classmethod
    def open(cls, context: Context) -> Hub:
        """The hub of a node."""
        context.require_writable()
        folder = context.folder / FOLDER
        file = open_book(folder)

        def rules() -> Rules:
            return context.policy.hub

        def now() -> datetime:
            return context.clock()

        storage = Storage(file, folder, now)
        return cls(context, file, storage, Mailboxes(file, storage, rules, now))

    def close(self) -> None:
        """Let go of the book."""
        self.file.close()

    # -- who asks ----------------------------------------------------------------------------------------------------

    def spoke(self, node: str) -> Peer:
        """A confirmed peer of the hub. Raises the one `NotFound` for anybody else."""
        found = peer_book(self.context).known(node)
        if found is None or found.state is not PeerState.CONFIRMED:
            raise NotFound("there is no such spoke")
        return found

    def permit(self, asker: Signer, relay: str, line: bytes) -> str:
        """Open a relay as its recipient permits; when it ends at the latest.

        Raises
        ------
        NotFound
            The sender is no spoke, or the mailbox is another node's.
        DocumentError, Refused, CarrierFull
            See `read_permit` and `Mailboxes.permit`; or sender or recipient is a hub itself.
        """
        if not RELAY.fullmatch(relay):  # the box of another node has the form of its id
            raise NotFound("there is no such mailbox")
        found = read_permit(
            line, relay=relay, hub=self.context.settings.id, asker=asker.node_id, key=PublicKey.from_text(asker.key)
        )
        if self.spoke(found.sender).is_hub or self.spoke(found.owner).is_hub:
            raise Refused(
                "a hub carries nothing for another hub: sealed packages pass through one hub at most",
                next="Let the two nodes meet at one hub, or directly.",
            )
        return self.mailboxes.permit(found)

    # -- telling -----------------------------------------------------------------------------------------------------

    def note(self, said: str, carried: Sequence[tuple[str, str, int]], mailbox: str) -> str:
        """A signed note, as one line."""
        from diadem.network.hub.notes import note_of  # what reads documents of others: not for every command

        note = note_of(self.context.settings.id, said, carried, self.context.clock(), mailbox)
        return note.signed(self.context.keys.open("online"))

    def told(self, node: str) -> dict[str, dict[str, int]]:
        """What the hub allows and holds for a spoke."""
        rules = self.context.policy.hub
        limits = {
            "bytes": rules.max_per_spoke,
            "objects": rules.max_objects,
            "messages": rules.max_messages,
            "object": MAX_OBJECT,
            "message": MAX_SEALED,
            "keep": int(rules.keep.total_seconds()),
            "relays": MAX_RELAYS,
        }
        return {"limits": limits, "used": self.mailboxes.used(node)}

    # -- how things end ------------------------------------------------------------------------------------------------

    def tidy(self) -> Tidied:
        """Put in order what a process left that was killed; only while no process serves the hub."""
        lost = self.mailboxes.lose(self.mailboxes.lost())
        unfinished, strays = self.storage.sweep(alone=True)
        return Tidied(unfinished, strays, lost)

    def end(self, asker: str, relay: str) -> list[Held]:
        """End a relay because one of its two sides wants so; what had not been taken. It is to be stated then.

        Raises
        ------
        NotFound
            The asker has no part in such a relay.
        """
        self.mailboxes.require_party(asker, relay)
        return self.mailboxes.end(relay, DELETED)

    def sweep(self) -> Swept:
        """End what has expired, or is of nodes that are no peers any more; and state what is owed."""
        now = time_text(self.context.clock())
        with self.file.reading() as connection:
            open_ = rows(connection, "SELECT * FROM mailboxes WHERE permit <> '' AND ended = ''")
        peers = self._peers()  # after these: who is confirmed meanwhile loses nothing
        over = [row for row in open_ if row["expires"] <= now or not {row["sender"], row["owner"]} <= peers]
        for row in over:
            self.mailboxes.end(row["id"], EXPIRED if row["expires"] <= now else DELETED)
        messages = self._expire_messages(now)
        try:
            with self.file.reading() as connection:
                owed = rows(connection, "SELECT id FROM mailboxes WHERE ended <> '' AND NOT stated")
            for row in owed:
                self.state(row["id"])
            with self.file.writing(durable=False) as connection:
                connection.execute("DELETE FROM mailboxes WHERE ended <> '' AND stated AND forget <= ?", (now,))
        finally:  # a log that cannot be written keeps no disk full
            unfinished, _ = self.storage.sweep()
        return Swept(len(over), messages, unfinished)

    def _peers(self) -> set[str]:
        return {peer.id for peer in peer_book(self.context).ls() if peer.state is PeerState.CONFIRMED}

    def _expire_messages(self, now: str) -> int:
        """Delete messages that have waited too long, or that wait for nodes that are no peers any more.

        Who may put messages there stays known: a spoke that is confirmed again does not say it anew.
        """
        with self.file.writing() as connection:  # nobody puts anything while it is looked who is a peer
            gone = rows(connection, "SELECT * FROM objects WHERE expires <> '' AND expires <= ? AND how = ''", now)
            boxes, peers = rows(connection, "SELECT id FROM mailboxes WHERE permit = ''"), self._peers()
            for box in [row["id"] for row in boxes if row["id"] not in peers]:
                sql = "SELECT * FROM objects WHERE mailbox = ? AND expires > ? AND how = ''"
                gone += rows(connection, sql, box, now)
            let_go(connection, gone, EXPIRED, now)
        self.mailboxes.remove(gone)
        return len(gone)

    def state(self, relay: str) -> None:
        """State what became of everything that a relay carried, once; where nothing ever came, there is nothing to say.

        Where a process ended between the statement and the note of it, it is found in the log again.
        """
        with self.context.locked(f"relay-{relay[:2]}"):
            with self.file.reading() as connection:
                found = rows(connection, "SELECT * FROM mailboxes WHERE id = ? AND ended <> '' AND NOT stated", relay)
                objects = rows(connection, "SELECT * FROM objects WHERE mailbox = ?", relay)
            if not found:
                return
            about = relay_subject(relay).sha256
            said = {entry.statement.predicate["event"] for entry in self.context.ledger.of_subject(about)}
            if drafts := [draft for draft in _drafts(found[0], objects) if draft.predicate["event"] not in said]:
                self.context.say(drafts)
            with self.file.writing() as connection:
                connection.execute("UPDATE mailboxes SET stated = 1 WHERE id = ?", (relay,))
                connection.execute("DELETE FROM objects WHERE mailbox = ?", (relay,))


def hub_of(context: Context) -> Hub:
    """The hub of a node; closed with it."""
    return context.once("hub", lambda: Hub.open(context))


def spoke_of(context: Context, asker: Signer) -> str:
    """Id of the spoke that asks. Raises the one `NotFound` where this is no hub, and for anybody else."""
    if not context.settings.server.hub or asker.kind != PEER or not asker.node_id:
        raise NotFound("there is nothing here that you may see")
    return asker.node_id


def read_permit(line: bytes, *, relay: str, hub: str, asker: str, key: PublicKey) -> Mailbox:
    """The relay that the permit in an envelope from a spoke, its recipient, lets the hub open.

    Parameters
    ----------
    line : bytes
        As it came.
    relay, hub : str
        For which relay it must be, and the id of this node.
    asker : str
        Id of the node that brought it: its recipient.
    key : PublicKey
        The asker's online key.

    Raises
    ------
    DocumentError
        It is no statement, or one that its schema refuses.
    Refused
        It is not this node's permit for this relay at this hub.
    """
    envelope = Envelope.from_line(line)
    statement = read_statement(envelope.payload)
    said = statement.predicate
    if envelope.payload_type != PAYLOAD_TYPE or statement.kind != "permit" or not envelope.signers([key]):
        raise _invalid("it is not a permit signed by your node")
    if statement.subjects != (relay_subject(relay),) or said["relay"] != relay:
        raise _invalid("it is for another relay, or names more than one")
    if said["hub"] != hub:
        raise _invalid("it is for another hub")
    if not asker == said["recipient"] == statement.node:
        raise _invalid("it is the permit of another node")
    if said["sender"] in (asker, hub):
        raise _invalid("sender, hub and recipient are three nodes")
    expires = time_text(parse_time(said["expires"]))
    return Mailbox(relay, asker, envelope.statement_id, said["sender"], said["ceiling"], expires=expires)


def _invalid(why: str) -> Refused:
    return Refused(f"the permit is not valid: {why}", next="Accept the offer again.")


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
