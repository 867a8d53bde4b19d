"""The hub of an opened node: its boxes, its relays, its disk, and how they end. One for all threads of a process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from diadem.errors import NotFound, Refused
from diadem.model.carriers import MAX_OBJECT
from diadem.model.peers import Peer, PeerState
from diadem.model.policy import Hub as Rules
from diadem.model.signers import PEER, Signer
from diadem.model.times import time_text
from diadem.network.hub.book import FILE, FOLDER, open_book, rows
from diadem.network.hub.boxes import Boxes
from diadem.network.hub.endings import Endings
from diadem.network.hub.permits import read_permit
from diadem.network.hub.relays import Relays
from diadem.network.hub.room import Room
from diadem.network.hub.tidying import Tidied, tidy
from diadem.network.limits import MAX_RELAYS, MAX_SEALED
from diadem.node.context import Context
from diadem.node.peers.book import peer_book
from diadem.store.sqlite_file import SqliteFile
from diadem.trust.keys import PublicKey


@dataclass(frozen=True, slots=True)
class Hub:
    """What a hub works with.

    Attributes
    ----------
    context : Context
        The node.
    file : SqliteFile
        The book.
    room : Room
        The disk.
    boxes : Boxes
        Sealed messages.
    relays : Relays
        Sealed objects.
    endings : Endings
        What ends by itself, and what is stated.
    """

    context: Context
    file: SqliteFile
    room: Room
    boxes: Boxes
    relays: Relays
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

        room = Room(file, folder, rules, now)
        relays = Relays(file, room, rules, now)
        endings = Endings(context, file, room, relays)
        return cls(context, file, room, Boxes(file, room, rules, now), relays, endings)

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
            The sender is no spoke, or the relay is another node's.
        DocumentError, Refused, CarrierFull
            See `read_permit` and `Relays.permit`; or sender or recipient is a hub itself.
        """
        found = read_permit(
            line, relay=relay, hub=self.context.settings.id, asker=asker.node_id, key=PublicKey.from_text(asker.key)
        )
        if self.spoke(found.sender).is_hub or self.spoke(found.recipient).is_hub:
            raise Refused(
                "a hub carries nothing for another hub: sealed packages pass through one hub at most",
                next="Let the two nodes meet at one hub, or directly.",
            )
        return self.relays.permit(found)

    # -- telling -----------------------------------------------------------------------------------------------------

    def note(self, said: str, carried: Sequence[tuple[str, str, int]], *, relay: str = "", box: str = "") -> str:
        """A signed note, as one line."""
        from diadem.network.hub.notes import note_of

        note = note_of(self.context.settings.id, said, carried, self.context.clock(), relay=relay, box=box)
        return note.signed(self.context.keys.open("online"))

    def told(self, node: str) -> dict[str, dict[str, int]]:
        """What the hub allows and holds for a spoke."""
        rules = self.context.policy.hub
        with self.file.reading() as connection:
            held = rows(connection, "SELECT bytes, objects, messages FROM held WHERE spoke = ?", node)
        limits = {
            "bytes": rules.max_per_spoke,
            "objects": rules.max_objects,
            "messages": rules.max_messages,
            "object": MAX_OBJECT,
            "message": MAX_SEALED,
            "keep": int(rules.keep.total_seconds()),
            "relays": MAX_RELAYS,
        }
        return {"limits": limits, "used": held[0] if held else {"bytes": 0, "objects": 0, "messages": 0}}

    def held(self) -> dict[str, int]:
        """What waits here in all: bytes, objects, messages, and relays that are open."""
        sums = ", ".join(f"COALESCE(SUM({name}), 0) AS {name}" for name in ("bytes", "objects", "messages"))
        with self.file.reading() as connection:
            (found,) = rows(connection, f"SELECT {sums} FROM held")  # noqa: S608  our own names
            (open_,) = rows(connection, "SELECT count(*) AS relays FROM relays WHERE ended = ''")
        return found | open_

    def tidy(self) -> Tidied:
        """Put in order what a process left that was killed; only while no process serves the hub."""
        return tidy(self.file, self.room, now=time_text(self.context.clock()))


def hub_of(context: Context) -> Hub:
    """The hub of a node; closed with it."""
    return context.once("hub", lambda: Hub.open(context))


def has_hub(context: Context) -> bool:
    """Whether a node is a hub, or was one and may still hold something."""
    return context.writable and (context.settings.server.hub or (context.folder / FOLDER / FILE).exists())


def spoke_of(context: Context, asker: Signer) -> str:
    """Id of the spoke that asks. Raises the one `NotFound` where this is no hub, and for anybody else."""
    if not context.settings.server.hub or asker.kind != PEER or not asker.node_id:
        raise NotFound("there is nothing here that you may see")
    return asker.node_id
