"""Mailboxes of a hub: sealed objects that wait for their owner, from those who may put them there.

Every spoke has one under its own id, its box: for messages, from the nodes and by the invitations that it lists,
without an end. For each transfer it opens another one, a relay: for windows, from the one node of its permit, up to so
many bytes and until it ends. There a name is given once, and what became of each object is remembered until it is
stated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Final

from diadem.errors import NotFound, Refused
from diadem.model.carriers import OBJECT, CarrierFull, NameTaken
from diadem.model.policy import Hub as Rules
from diadem.model.times import read_time, time_text
from diadem.network.hub.book import hour_of, number, rows
from diadem.network.hub.storage import Place, Storage, file_size
from diadem.network.limits import (
    MAX_RELAYS,
    MAX_ROWS,
    MAX_SEALED,
    MESSAGES_AN_HOUR,
    MESSAGES_AT_ONCE,
    MESSAGES_BY_INVITATION,
    SHARE_OF_BOX,
)
from diadem.store.sqlite_file import SqliteFile

#: What became of an object that is here no more. One that the disk lost may be put again.
DELIVERED, DELETED, EXPIRED, LOST = "delivered", "deleted", "expired", "lost"
_NODE, _INVITATION = "node", "invitation"
_OBJECT: Final = "SELECT * FROM objects WHERE mailbox = ? AND name = ?"
_WAITING: Final = f"{_OBJECT} AND how = ''"
#: For how long a relay counts after its end, and how long it is remembered at most that its permit was used.
_REMEMBERED, _LONGEST_MEMORY = timedelta(days=1), timedelta(days=90)
_LATER: Final = "It will be tried again later."


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What a hub knows of one mailbox. Of a box only the first two are known."""

    id: str
    #: Id of the node for which everything there waits.
    owner: str
    #: Id of the permit of a relay, and of the node that may put there.
    permit: str = ""
    sender: str = ""
    #: Bytes that may be put, and that were put.
    ceiling: int = 0
    put: int = 0
    #: UTC; "" where it does not end, or has not.
    expires: str = ""
    ended: str = ""

    @property
    def is_relay(self) -> bool:
        """Whether it was opened by a permit."""
        return bool(self.permit)

    def is_open(self, now: str) -> bool:
        """Whether it is there at a time."""
        return not self.ended and (not self.expires or self.expires > now)


@dataclass(frozen=True, slots=True)
class Held:
    """One object of a mailbox."""

    name: str
    #: Of its bytes, and how many.
    sha256: str
    bytes: int
    #: When it came, UTC.
    at: str

    @property
    def row(self) -> tuple[str, str, int]:
        """As notes and digests take it."""
        return self.name, self.sha256, self.bytes


@dataclass(frozen=True, slots=True)
class _Coming:
    """What somebody wants to put into a mailbox."""

    sender: str
    mailbox: str
    invitation: str
    held: Held


class Mailboxes:
    """The mailboxes of a hub. Safe for many threads and processes.

    Parameters
    ----------
    file : SqliteFile
        The hub's book.
    storage : Storage
        Its disk.
    rules : callable
        ``[hub]`` of the policy, as it is now.
    clock : callable
        The node's.
    """

    def __init__(
        self, file: SqliteFile, storage: Storage, rules: Callable[[], Rules], clock: Callable[[], datetime]
    ) -> None:
        self._file, self._storage, self._rules, self._clock = file, storage, rules, clock

    @property
    def _now(self) -> str:
        return time_text(self._clock())

    # -- who may put -------------------------------------------------------------------------------------------------

    def allow(self, owner: str, nodes: Iterable[str], invitations: Iterable[str]) -> None:
        """Let these and no others put messages into a box: nodes by their ids, and whoever knows an invitation."""
        given = [(owner, kind, who) for kind, all_ in ((_NODE, nodes), (_INVITATION, invitations)) for who in all_]
        with self._file.writing() as connection:
            sql = "INSERT OR IGNORE INTO mailboxes (id, owner, opened) VALUES (?1, ?1, ?2)"
            connection.execute(sql, (owner, self._now))
            connection.execute("DELETE FROM senders WHERE mailbox = ?", (owner,))
            connection.executemany("INSERT OR IGNORE INTO senders VALUES (?, ?, ?)", given)

    def permit(self, wanted: Mailbox) -> str:
        """Open a relay as its owner permits; when it ends at the latest. The same permit again changes nothing.

        Raises
        ------
        NotFound
            Another node has a relay of that name.
        Refused
            It permits more than this hub keeps for one node, or it has ended, or it is another than before.
        CarrierFull
            The recipient has too many relays.
        """
        now, rules, until = self._clock(), self._rules(), read_time(wanted.expires)
        if wanted.ceiling > rules.max_per_spoke:
            raise Refused(
                f"the permit is for {wanted.ceiling:,} bytes; this hub keeps {rules.max_per_spoke:,} per node",
                next="Choose another route, or ask the hub's operator: [hub] in policy.toml.",
            )
        if until <= now:
            raise Refused("the permit has expired", next="Accept the offer again.")
        expires = time_text(min(until, now + rules.keep))
        forget = time_text(min(until, now + _LONGEST_MEMORY) + _REMEMBERED)
        with self._file.writing() as connection:
            if (known := _mailbox(connection, wanted.id)) is not None:
                _require_same(known, wanted)
                return known.expires
            sql = "SELECT count(*) FROM mailboxes WHERE owner = ? AND permit <> '' AND (ended = '' OR ended > ?)"
            if number(connection, sql, wanted.owner, time_text(now - _REMEMBERED)) >= MAX_RELAYS:
                raise CarrierFull("your node has reached its limit of relays here", next="Try again tomorrow.")
            connection.execute(
                """INSERT INTO mailboxes (id, owner, permit, sender, ceiling, opened, expires, forget)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
                (wanted.id, wanted.owner, wanted.permit, wanted.sender, wanted.ceiling, self._now, expires, forget),
            )
        return expires

    # -- who asks ----------------------------------------------------------------------------------------------------

    def owner_of(self, sender: str, mailbox: str, *, invitation: str = "") -> str:
        """Id of the node for which a sender may put something there.

        Raises
        ------
        NotFound
            There is no such mailbox for it: unknown, of others, ended or expired; nobody can tell which.
        """
        with self._file.reading() as connection:
            return self._open_to(connection, sender, mailbox, invitation).owner

    def _open_to(self, connection: Connection, sender: str, mailbox: str, invitation: str) -> Mailbox:
        found = self._opened(connection, mailbox)
        if found.is_relay:
            named = sender == found.sender
        else:
            sql = "SELECT 1 FROM senders WHERE mailbox = ?1 AND (kind, who) IN ((?2, ?3), (?4, ?5))"
            row = (mailbox, _NODE, sender, _INVITATION, invitation)
            named = connection.execute(sql, row).fetchone() is not None
        if not named:
            raise _no_mailbox()
        return found

    def _opened(self, connection: Connection, mailbox: str) -> Mailbox:
        found = _mailbox(connection, mailbox)
        if found is None or not found.is_open(self._now):
            raise _no_mailbox()
        return found

    def _of_owner(self, connection: Connection, owner: str, mailbox: str, *, sender: bool = False) -> Mailbox:
        """A mailbox for its owner, or for the `sender` of a permit too; a spoke's box is there before it has a list."""
        if mailbox == owner:
            return Mailbox(mailbox, owner)
        found = self._opened(connection, mailbox)
        if owner not in (found.owner, *([found.sender] if sender else [])):
            raise _no_mailbox()
        return found

    def require_party(self, node: str, mailbox: str) -> None:
        """That a node is one of the two sides of a relay, ended or not. Raises `NotFound` as `owner_of`."""
        with self._file.reading() as connection:
            found = _mailbox(connection, mailbox)
        if found is None or not found.is_relay or node not in (found.sender, found.owner):
            raise _no_mailbox()

    # -- objects -----------------------------------------------------------------------------------------------------

    def put(self, sender: str, mailbox: str, name: str, data: bytes, sha256: str, *, invitation: str = "") -> Held:
        """Take in an object. The same bytes again are no failure; in a relay also when they have been taken meanwhile.

        Parameters
        ----------
        sender : str
            Id of the node that puts it.
        mailbox, name : str
            Where.
        data : bytes
            Its bytes.
        sha256 : str
            Of these, as whoever read the body has proven.
        invitation : str
            By which the sender may do so, where its node is not listed.

        Raises
        ------
        NotFound
            Nothing is permitted to this sender there.
        Refused
            It is above what the recipient permitted, or another object has this name.
        CarrierFull
            There is no room: on the disk, for all spokes, for this one, or for this sender.
        StoreError
            The disk cannot be written to.
        """
        coming = _Coming(sender, mailbox, invitation, Held(name, sha256, len(data), self._now))
        with self._file.reading() as connection:  # before a byte is written
            if (known := self._decide(connection, coming, more=len(data))) is not None:
                return known
        with self._storage.draft(data) as draft, self._file.writing() as connection:
            if (known := self._decide(connection, coming)) is not None:
                return known
            self._enter(connection, coming)
            self._storage.place(draft, mailbox, name)
        return coming.held

    def _decide(self, connection: Connection, coming: _Coming, *, more: int = 0) -> Held | None:
        """What is here already, or None: it may come, and the disk has room for `more` bytes. Raises as `put`."""
        box = self._open_to(connection, coming.sender, coming.mailbox, coming.invitation)
        if (OBJECT.fullmatch(coming.held.name) is None) is box.is_relay:
            raise _no_mailbox()
        if not box.is_relay and coming.held.bytes > MAX_SEALED:
            raise Refused(f"a message has at most {MAX_SEALED:,} bytes", next="Say less at once.")
        known = rows(connection, _OBJECT, box.id, coming.held.name)
        if known and known[0]["how"] != LOST:
            same = (coming.sender, coming.held.row) == (known[0]["sender"], _held(known[0]).row)
            if not same:
                again = "Put it under a new generation." if box.is_relay else "Put it under another name."
                raise NameTaken("another object has this name here", next=again)
            return coming.held
        if not box.is_relay:
            self._require_calm(connection, coming)
        elif box.put + coming.held.bytes > box.ceiling:
            raise Refused(
                "the object exceeds what its recipient permitted", next="The transfer cannot continue like this."
            )
        self._require_room(connection, box, coming.held.bytes, more)
        return None

    def _require_calm(self, connection: Connection, coming: _Coming) -> None:
        """That a sender neither fills a box for others nor sends too often."""
        in_box = "SELECT count(*) FROM objects WHERE mailbox = ?"
        mine = number(connection, f"{in_box} AND sender = ?", coming.mailbox, coming.sender)
        if mine >= self._rules().max_messages // SHARE_OF_BOX:
            raise CarrierFull("the limit for your messages that wait for that node is reached", next=_LATER)
        invited = number(connection, f"{in_box} AND invitation = ?", coming.mailbox, coming.invitation)
        if coming.invitation and invited >= MESSAGES_BY_INVITATION:
            raise CarrierFull("the limit for messages that wait under this invitation is reached", next=_LATER)
        sql = "SELECT count FROM sent WHERE sender = ? AND hour = ?"
        if number(connection, sql, coming.sender, hour_of(self._clock())) >= MESSAGES_AN_HOUR:
            raise CarrierFull("your node has sent too many messages in this hour", next=_LATER)

    def _require_room(self, connection: Connection, box: Mailbox, size: int, more: int) -> None:
        rules = self._rules()
        if self._storage.free() - more < rules.free:
            raise CarrierFull("the hub's disk has no room now", next=_LATER)
        if _used(connection)["bytes"] + size > rules.max_size:
            raise CarrierFull("the hub has reached its limit", next=_LATER)
        used = _used(connection, box.owner)
        many = used["objects"] >= rules.max_objects if box.is_relay else used["messages"] >= rules.max_messages
        if used["bytes"] + size > rules.max_per_spoke or many:
            raise CarrierFull("the limit for what waits at the hub for that node is reached", next=_LATER)

    def _enter(self, connection: Connection, coming: _Coming) -> None:
        box, held = self._opened(connection, coming.mailbox), coming.held
        expires = "" if box.is_relay else time_text(self._clock() + self._rules().keep)
        lost = (box.id, held.name, LOST)  # not replaced by the insertion, for that would be counted by no trigger
        connection.execute("DELETE FROM objects WHERE mailbox = ? AND name = ? AND how = ?", lost)
        connection.execute(
            """INSERT INTO objects (mailbox, name, owner, sender, invitation, bytes, sha256, at, expires)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (box.id, held.name, box.owner, coming.sender, coming.invitation, held.bytes, held.sha256, held.at, expires),
        )
        if box.is_relay:
            connection.execute("UPDATE mailboxes SET put = put + ? WHERE id = ?", (held.bytes, box.id))
            return
        hour = hour_of(self._clock())
        connection.execute("DELETE FROM sent WHERE hour < ?", (hour,))
        connection.execute(
            "INSERT INTO sent VALUES (?, ?, 1) ON CONFLICT (sender, hour) DO UPDATE SET count = count + 1",
            (coming.sender, hour),
        )

    def ls(self, party: str, mailbox: str) -> list[Held]:
        """What waits, the oldest first, some at a time; also for the sender of a relay. Raises `NotFound`."""
        with self._file.reading() as connection:
            box = self._of_owner(connection, party, mailbox, sender=True)
            sql = "SELECT * FROM objects WHERE mailbox = ? AND how = '' ORDER BY at, name LIMIT ?"
            return [_held(row) for row in rows(connection, sql, box.id, MAX_ROWS if box.is_relay else MESSAGES_AT_ONCE)]

    def find(self, owner: str, mailbox: str, name: str) -> tuple[Path, int]:
        """Path and bytes of an object.

        Raises
        ------
        NotFound
            None waits for this node; or the disk has lost it: it is listed no more, and may be put again.
        """
        with self._file.reading() as connection:
            self._of_owner(connection, owner, mailbox)
            found = rows(connection, _WAITING, mailbox, name)
        path = self._storage.path(mailbox, name)
        if found and file_size(path) != found[0]["bytes"]:
            self.lose([(mailbox, name)])
            found = []
        if not found:
            raise NotFound("there is no such object")
        return path, found[0]["bytes"]

    def lose(self, places: Sequence[Place]) -> int:
        """List those no more whose files are not what they were; how many these are. One that comes just now is not."""
        lost = []
        with self._file.writing() as connection:
            for mailbox, name in places:
                size = file_size(self._storage.path(mailbox, name))
                lost += [row for row in rows(connection, _WAITING, mailbox, name) if row["bytes"] != size]
            let_go(connection, lost, LOST, self._now)
        self.remove(lost)
        return len(lost)

    def lost(self) -> list[Place]:
        """Those whose files are not what they were."""
        with self._file.reading() as connection:
            waiting = connection.execute("SELECT mailbox, name, bytes FROM objects WHERE how = ''").fetchall()
        return [
            (mailbox, name) for mailbox, name, size in waiting if file_size(self._storage.path(mailbox, name)) != size
        ]

    def taken(self, owner: str, mailbox: str, names: Sequence[str]) -> list[Held]:
        """Delete what the owner has; all of these that it had, of a relay also before. Raises `NotFound`."""
        with self._file.writing() as connection:
            self._of_owner(connection, owner, mailbox)
            sql = f"{_OBJECT} AND how IN ('', ?)"
            found = [row for name in dict.fromkeys(names) for row in rows(connection, sql, mailbox, name, DELIVERED)]
            gone = [row for row in found if not row["how"]]
            let_go(connection, gone, DELIVERED, self._now)
        self.remove(gone)
        return [_held(row) for row in found]

    def end(self, mailbox: str, how: str) -> list[Held]:
        """End a relay, and delete what still waits; those objects."""
        with self._file.writing() as connection:
            found = _mailbox(connection, mailbox)
            if found is None or found.ended:
                return []
            connection.execute("UPDATE mailboxes SET ended = ? WHERE id = ?", (self._now, mailbox))
            left = rows(connection, "SELECT * FROM objects WHERE mailbox = ? AND how = ''", mailbox)
            let_go(connection, left, how, self._now)
        self.remove(left)
        return [_held(row) for row in left]

    def remove(self, gone: Sequence[dict[str, Any]]) -> None:
        """Remove the files of rows that do not wait any more."""
        self._storage.remove([(row["mailbox"], row["name"]) for row in gone])

    # -- how much ----------------------------------------------------------------------------------------------------

    def used(self, owner: str) -> dict[str, int]:
        """What waits for a spoke: bytes, objects in relays, messages in its box."""
        with self._file.reading() as connection:
            return _used(connection, owner)

    def held(self) -> dict[str, int]:
        """The same of all spokes together, and the relays that are open."""
        with self._file.reading() as connection:
            relays = number(connection, "SELECT count(*) FROM mailboxes WHERE permit <> '' AND ended = ''")
            return {**_used(connection), "relays": relays}


def let_go(connection: Connection, gone: Sequence[dict[str, Any]], how: str, now: str) -> None:
    """Note what became of objects: of those of relays until it is stated, of those of a box nothing."""
    for row in gone:
        of = (row["mailbox"], row["name"])
        if row["mailbox"] == row["owner"]:
            connection.execute("DELETE FROM objects WHERE mailbox = ? AND name = ?", of)
        else:
            sql = "UPDATE objects SET how = ?, gone = ? WHERE mailbox = ? AND name = ?"
            connection.execute(sql, (how, now, *of))


def _used(connection: Connection, owner: str = "") -> dict[str, int]:
    """Of one spoke, or of all."""
    found = rows(connection, "SELECT bytes, objects, messages FROM waiting WHERE owner = ?", owner)
    return found[0] if found else dict.fromkeys(("bytes", "objects", "messages"), 0)


def _mailbox(connection: Connection, mailbox: str) -> Mailbox | None:
    found = rows(connection, "SELECT * FROM mailboxes WHERE id = ?", mailbox)
    return Mailbox(**{name: found[0][name] for name in Mailbox.__slots__}) if found else None


def _held(row: dict[str, Any]) -> Held:
    return Held(row["name"], row["sha256"], row["bytes"], row["at"])


def _no_mailbox() -> NotFound:
    return NotFound("there is no such mailbox")


def _require_same(known: Mailbox, wanted: Mailbox) -> None:
    if known.owner != wanted.owner:
        raise _no_mailbox()
    if known.permit != wanted.permit or known.ended:
        raise Refused(
            "this relay was permitted under other terms, or has ended", next="Accept again, with a new relay."
        )
