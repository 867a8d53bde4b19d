"""Relays: sealed objects that one spoke puts down for another, as its permit allows. A name is given once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Final

from diadem.errors import NotFound, Refused
from diadem.model.carriers import CarrierFull, NameTaken
from diadem.model.policy import Hub as Rules
from diadem.model.times import time_text
from diadem.network.hub.book import doom, hold, object_place, rows
from diadem.network.hub.permits import Permit
from diadem.network.hub.room import Parcel, Room, file_size, require_alone
from diadem.network.limits import MAX_RELAYS, MAX_ROWS
from diadem.store.sqlite_file import SqliteFile

#: What became of an object that is here no more. One that the disk lost may be put again.
DELIVERED, DELETED, EXPIRED, LOST = "delivered", "deleted", "expired", "lost"
_WAITING: Final = "SELECT * FROM objects WHERE relay = ? AND name = ? AND how = ''"
#: For how long a relay counts after its end, and how long it is remembered at most that its permit was used.
_REMEMBERED, _LONGEST_MEMORY = timedelta(days=1), timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Held:
    """One object of a relay.

    Attributes
    ----------
    name, sha256 : str
        Its name, and the SHA-256 of its bytes.
    bytes : int
        How many.
    """

    name: str
    sha256: str
    bytes: int

    @property
    def row(self) -> tuple[str, str, int]:
        """As notes and digests take it."""
        return self.name, self.sha256, self.bytes


@dataclass(frozen=True, slots=True)
class Relay:
    """What a hub knows of one relay.

    Attributes
    ----------
    id, sender, recipient, permit : str
        Its id, those of the two nodes, and that of the permit.
    ceiling, put : int
        Bytes that may be put, and that were put.
    expires, ended : str
        UTC; `ended` is "" for one that is open.
    """

    id: str
    sender: str
    recipient: str
    permit: str
    ceiling: int
    put: int
    expires: str
    ended: str


class Relays:
    """The relays of a hub. Safe for many threads and processes.

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

    @property
    def _now(self) -> str:
        return time_text(self._clock())

    def permit(self, permit: Permit) -> str:
        """Open a relay as its recipient permits; when it ends at the latest. The same permit again changes nothing.

        Raises
        ------
        NotFound
            Another node has a relay of that name.
        Refused
            It permits more than this hub keeps for one node, or it has ended, or it is another than before.
        CarrierFull
            The recipient has too many relays.
        """
        now, rules = self._clock(), self._rules()
        if permit.ceiling > rules.max_per_spoke:
            raise Refused(
                f"the permit is for {permit.ceiling:,} bytes; this hub keeps {rules.max_per_spoke:,} per node",
                next="Choose another route, or ask the hub's operator: [hub] in policy.toml.",
            )
        if permit.expires <= now:
            raise Refused("the permit has expired", next="Accept the offer again.")
        expires = time_text(min(permit.expires, now + rules.keep))
        forget = time_text(min(permit.expires, now + _LONGEST_MEMORY) + _REMEMBERED)
        with self._file.writing() as connection:
            if (known := _relay(connection, permit.relay)) is not None:
                _require_same(known, permit)
                return known.expires
            lately = (permit.recipient, time_text(now - _REMEMBERED))
            sql = "SELECT count(*) FROM relays WHERE recipient = ? AND (ended = '' OR ended > ?)"
            many = connection.execute(sql, lately)
            if many.fetchone()[0] >= MAX_RELAYS:
                raise CarrierFull("your node has reached its limit of relays here", next="Try again tomorrow.")
            connection.execute(
                """INSERT INTO relays (id, sender, recipient, permit, ceiling, expires, forget, opened)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
                (permit.relay, permit.sender, permit.recipient, permit.id, permit.ceiling, expires, forget, self._now),
            )
        return expires

    def open(self, relay: str, *, sender: str = "", recipient: str = "", party: str = "") -> Relay:
        """A relay in which the asker has this part, and which has not ended.

        Raises
        ------
        NotFound
            There is none for this asker: unknown, another's, ended or expired; nobody can tell which.
        """
        with self._file.reading() as connection:
            return self._open(connection, relay, sender=sender, recipient=recipient, party=party)

    def _open(
        self, connection: Connection, relay: str, *, sender: str = "", recipient: str = "", party: str = ""
    ) -> Relay:
        found = _relay(connection, relay)
        if found is None or found.ended or found.expires <= self._now:
            raise NotFound("there is no such relay")
        if sender != found.sender and recipient != found.recipient and party not in (found.sender, found.recipient):
            raise NotFound("there is no such relay")
        return found

    def require_party(self, node: str, relay: str) -> None:
        """That a node is one of the two sides of a relay, ended or not. Raises `NotFound` as `open`."""
        with self._file.reading() as connection:
            found = _relay(connection, relay)
        if found is None or node not in (found.sender, found.recipient):
            raise NotFound("there is no such relay")

    # -- objects -----------------------------------------------------------------------------------------------------

    def put(self, sender: str, relay: str, name: str, data: bytes, sha256: str) -> Held:
        """Take in an object. The same bytes again are no failure, also when they have been taken meanwhile.

        Parameters
        ----------
        sender : str
            Id of the node that puts it.
        relay, name : str
            Where.
        data : bytes
            Its bytes.
        sha256 : str
            Of these, as whoever read the body has proven.

        Raises
        ------
        NotFound
            Nothing is permitted to this sender there.
        Refused
            It is above what the recipient permitted, or another object has this name.
        CarrierFull, Unreachable, StoreError
            See `Room.take_in`.
        """
        held = Held(name, sha256, len(data))
        parcel = Parcel(object_place(relay, name), self.open(relay, sender=sender).recipient, len(data), relay)

        def decide(connection: Connection) -> Held | None:
            opened = self._open(connection, relay, sender=sender)
            known = rows(connection, "SELECT * FROM objects WHERE relay = ? AND name = ?", relay, name)
            if known and known[0]["how"] != LOST:
                if (known[0]["sha256"], known[0]["bytes"]) != (sha256, len(data)):
                    raise NameTaken("another object of this relay has this name", next="Put it under a new generation.")
                return held
            require_alone(connection, parcel.place)
            if opened.put + len(data) > opened.ceiling:
                raise Refused(
                    "the object exceeds what its recipient permitted", next="The transfer cannot continue like this."
                )
            return None

        def enter(connection: Connection) -> Held:
            self._open(connection, relay, sender=sender)
            row = (relay, name, len(data), sha256, self._now)
            connection.execute(
                "INSERT OR REPLACE INTO objects (relay, name, bytes, sha256, at) VALUES (?, ?, ?, ?, ?)", row
            )
            return held

        return self._room.take_in(parcel, data, decide=decide, enter=enter)

    def ls(self, party: str, relay: str) -> list[Held]:
        """What waits, the oldest first. Raises `NotFound` as `open`."""
        self.open(relay, party=party)
        with self._file.reading() as connection:
            sql = "SELECT * FROM objects WHERE relay = ? AND how = '' ORDER BY at, name LIMIT ?"
            return [_held(row) for row in rows(connection, sql, relay, MAX_ROWS)]

    def find(self, recipient: str, relay: str, name: str) -> tuple[Path, int]:
        """Path and bytes of an object.

        Raises
        ------
        NotFound
            None waits for this node; or the disk has lost it: it is listed no more, and may be put again.
        """
        self.open(relay, recipient=recipient)
        with self._file.reading() as connection:
            found = rows(connection, _WAITING, relay, name)
        if not found:
            raise NotFound("there is no such object")
        path, size = self._room.path(object_place(relay, name)), found[0]["bytes"]
        if file_size(path) != size:
            self._lose(recipient, relay, name)
            raise NotFound("there is no such object")
        return path, size

    def _lose(self, recipient: str, relay: str, name: str) -> None:
        """List an object no more whose file is not what it was; nothing where it was taken at this moment."""
        with self._file.writing() as connection:
            lost = rows(connection, _WAITING, relay, name)
            if file_size(self._room.path(object_place(relay, name))) not in [row["bytes"] for row in lost]:
                self._let_go(connection, recipient, lost, LOST)
        self._room.remove_doomed()

    def taken(self, recipient: str, relay: str, names: Sequence[str]) -> list[Held]:
        """Delete what the recipient has; all of these that it ever had. Raises `NotFound` as `open`."""
        self.open(relay, recipient=recipient)
        with self._file.writing() as connection:
            self._open(connection, relay, recipient=recipient)
            delivered = []
            for name in dict.fromkeys(names):
                sql = "SELECT * FROM objects WHERE relay = ? AND name = ? AND how IN ('', ?)"
                for row in rows(connection, sql, relay, name, DELIVERED):
                    delivered.append(_held(row))
                    if not row["how"]:
                        self._let_go(connection, recipient, [row], DELIVERED)
        self._room.remove_doomed()
        return delivered

    def end(self, relay: str, how: str) -> list[Held]:
        """End a relay, and delete what still waits; those objects."""
        with self._file.writing() as connection:
            found = _relay(connection, relay)
            if found is None or found.ended:
                return []
            connection.execute("UPDATE relays SET ended = ? WHERE id = ?", (self._now, relay))
            left = rows(connection, "SELECT * FROM objects WHERE relay = ? AND how = ''", relay)
            self._let_go(connection, found.recipient, left, how)
            doom(connection, f"relays/{relay}")
        self._room.remove_doomed()
        return [_held(row) for row in left]

    def _let_go(self, connection: Connection, recipient: str, gone: Sequence[dict[str, Any]], how: str) -> None:
        for row in gone:
            sql = "UPDATE objects SET how = ?, gone = ? WHERE relay = ? AND name = ?"
            connection.execute(sql, (how, self._now, row["relay"], row["name"]))
            doom(connection, object_place(row["relay"], row["name"]))
        hold(connection, recipient, -sum(row["bytes"] for row in gone), objects=-len(gone))


def _relay(connection: Connection, relay: str) -> Relay | None:
    found = rows(connection, "SELECT * FROM relays WHERE id = ?", relay)
    return Relay(**{name: found[0][name] for name in Relay.__slots__}) if found else None


def _held(row: dict[str, Any]) -> Held:
    return Held(row["name"], row["sha256"], row["bytes"])


def _require_same(known: Relay, permit: Permit) -> None:
    if known.recipient != permit.recipient:
        raise NotFound("there is no such relay")
    if known.permit != permit.id or known.ended:
        raise Refused(
            "this relay was permitted under other terms, or has ended", next="Accept again, with a new relay."
        )
