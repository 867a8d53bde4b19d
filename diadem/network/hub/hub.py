"""The hub of an opened node: its mailboxes, its disk, and how things end. One for all threads of a process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from diadem.errors import NotFound, Refused
from diadem.model.carriers import MAX_OBJECT, RELAY
from diadem.model.peers import Peer, PeerState
from diadem.model.policy import Hub as Rules
from diadem.model.signers import PEER, Signer
from diadem.network.hub.book import FOLDER, open_book
from diadem.network.hub.endings import Endings
from diadem.network.hub.mailboxes import Mailboxes
from diadem.network.hub.permits import read_permit
from diadem.network.hub.storage import Storage
from diadem.network.limits import MAX_RELAYS, MAX_SEALED
from diadem.node.context import Context
from diadem.node.peers.book import peer_book
from diadem.store.sqlite_file import SqliteFile
from diadem.trust.keys import PublicKey


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
class Hub:
    """What a hub works with."""

    #: The node.
    context: Context
    #: The book, and the disk.
    file: SqliteFile
    storage: Storage
    #: What waits, and for whom; and what ends by itself, and is stated.
    mailboxes: Mailboxes
    endings: Endings

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
        mailboxes = Mailboxes(file, storage, rules, now)
        return cls(context, file, storage, mailboxes, Endings(context, file, storage, mailboxes))

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
        if self.spoke(found.sender).is_hub or self.spoke(found.recipient).is_hub:
            raise Refused(
                "a hub carries nothing for another hub: sealed packages pass through one hub at most",
                next="Let the two nodes meet at one hub, or directly.",
            )
        return self.mailboxes.permit(found)

    # -- telling -----------------------------------------------------------------------------------------------------

    def note(self, said: str, carried: Sequence[tuple[str, str, int]], mailbox: str) -> str:
        """A signed note, as one line."""
        from diadem.network.hub.notes import note_of

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

    def tidy(self) -> Tidied:
        """Put in order what a process left that was killed; only while no process serves the hub."""
        lost = self.mailboxes.lose(self.mailboxes.lost())
        unfinished, strays = self.storage.sweep(alone=True)
        return Tidied(unfinished, strays, lost)


def hub_of(context: Context) -> Hub:
    """The hub of a node; closed with it."""
    return context.once("hub", lambda: Hub.open(context))


def spoke_of(context: Context, asker: Signer) -> str:
    """Id of the spoke that asks. Raises the one `NotFound` where this is no hub, and for anybody else."""
    if not context.settings.server.hub or asker.kind != PEER or not asker.node_id:
        raise NotFound("there is nothing here that you may see")
    return asker.node_id
