"""The outbox: what is to be told to other nodes, until it is answered, whichever way it takes; what of it lies at hubs.

What does not arrive is tried again, each time after a longer while. What lies at a hub stays in the outbox, and is put
down again where nobody answers for long. A control message is made when it goes, with its chain as it is then; an
introduction is kept as it was said first, for the answer must fit, whichever copy of it is answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any, Final

from diadem.model.times import read_time, time_text
from diadem.model.transfers import new_id
from diadem.network.book_file import network_book
from diadem.node.context import Context
from diadem.store.rows import Table
from diadem.store.sqlite_file import SqliteFile

if TYPE_CHECKING:
    from diadem.network.envelope import Introduction

#: Of a row that is an introduction; a control message has its own.
INTRODUCTION: Final = "introduction"
#: First and longest time between two tries to hand something over, and between two times that it is put down at a hub.
_TRY: Final = (timedelta(seconds=10), timedelta(hours=1))
_PUT: Final = (timedelta(minutes=5), timedelta(hours=24))
#: How long it is known what was put down: longer than anything that is taken may be old.
KEPT: Final = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A control message that is to be delivered; its chain is exported when it goes."""

    id: str
    peer: str
    transfer: str
    kind: str
    #: What is not signed.
    about: Mapping[str, Any]
    #: How often it was tried, and why it did not go.
    attempts: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class PendingIntroduction:
    """An introduction that goes over a hub and is not answered yet."""

    #: Ids of the node that is met, and of the hub.
    peer: str
    hub: str
    said: Introduction
    #: When it is given up.
    ends: datetime
    #: Text of the ticket and what the other is to be called here; "" for a peer that is known.
    ticket: str = field(default="", repr=False)
    name: str = ""
    #: Why the other side refused: it is not put down any more; "" while nothing is answered.
    refused: str = ""

    @property
    def id(self) -> str:
        """Under which it stands in the outbox: its nonce."""
        return self.said.nonce


@dataclass(frozen=True, slots=True)
class Put:
    """Something that was put into the box of a peer."""

    #: Under which name it lies there.
    id: str
    #: Id of what is in the outbox.
    about: str
    #: Id of the hub.
    hub: str
    at: datetime
    #: The checkpoint from which on its chain was exported because the peer asked for that; "" else.
    seen: str = ""


_OUTBOX: Final = Table("outbox", Outgoing)
_PUTS: Final = Table("puts", Put)


class Outbox:
    """The outbox, in the file of `diadem.network.book_file`. Safe for many threads and processes."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def add(self, message: Outgoing, at: datetime) -> None:
        """Put a message into it; the same kind for the same transfer takes the place of an earlier one."""
        with self._file.writing() as connection:
            enqueue(connection, message, time_text(at))

    def waiting(self, *, due: datetime | None = None, peer: str | None = None) -> list[Outgoing]:
        """Messages that wait, oldest first; those that are due, or those for one peer."""
        with self._file.reading() as connection:
            return _find(connection, due, peer, introductions=False)

    def peers(self, *, due: datetime | None = None) -> list[str]:
        """Ids of the nodes for which something waits, or is due."""
        sql = "SELECT peer FROM outbox WHERE ?1 IS NULL OR due <= ?1 GROUP BY peer ORDER BY min(made), peer"
        with self._file.reading() as connection:
            return [peer for (peer,) in connection.execute(sql, [None if due is None else time_text(due)])]

    def put_off(self, waiting: Outgoing | PendingIntroduction, reason: str, at: datetime) -> None:
        """Note why something did not arrive: it is tried again later, each time after a longer while."""
        with self._file.writing() as connection:
            _put_off(connection, waiting.id, reason, at)

    def say_anew(self, waiting: Outgoing, reason: str, at: datetime) -> None:
        """The same of what was answered in vain: under another id, for who was told it once answers it as before."""
        with self._file.writing() as connection:
            _put_off(connection, waiting.id, reason, at)
            connection.execute("DELETE FROM puts WHERE about = ?", [waiting.id])
            connection.execute("UPDATE outbox SET id = ? WHERE id = ?", [new_id(), waiting.id])

    def remove(self, waiting: str) -> None:
        """Take out what was answered, or is given up, and with it every note of what lies of it at hubs."""
        with self._file.writing() as connection:
            _remove(connection, "id = ?", waiting)

    # -- introductions -----------------------------------------------------------------------------------------------

    def introduce(self, one: PendingIntroduction, at: datetime) -> None:
        """Put an introduction into it, instead of the one before to the same node and what lies of that at hubs."""
        with self._file.writing() as connection:
            _remove(connection, "peer = ? AND kind = ?", one.peer, INTRODUCTION)
            moment = time_text(at)
            row = Outgoing(one.id, one.peer, "", INTRODUCTION, _members(one))
            _OUTBOX.add(connection, row, made=moment, due=moment)

    def introductions(self, *, due: datetime | None = None, peer: str | None = None) -> list[PendingIntroduction]:
        """Introductions that are not answered, oldest first; also those that were refused."""
        with self._file.reading() as connection:
            return [_pending(row) for row in _find(connection, due, peer, introductions=True)]

    def introduction(self, peer: str) -> PendingIntroduction | None:
        """The introduction that is under way with a node."""
        return next(iter(self.introductions(peer=peer)), None)

    def refuse(self, one: PendingIntroduction, error: str) -> None:
        """Note that the other side refused an introduction: a person is told, and it is due when it is given up."""
        with self._file.writing() as connection:
            _OUTBOX.change(connection, "WHERE id = ?", one.id, about=_members(one) | {"refused": error})
            connection.execute("UPDATE outbox SET due = ? WHERE id = ?", [time_text(one.ends), one.id])

    # -- what lies at hubs -------------------------------------------------------------------------------------------

    def note_put(self, one: Put) -> None:
        """Note that something was put down; what was put down long ago is forgotten."""
        with self._file.writing() as connection:
            _PUTS.add(connection, one, otherwise="REPLACE")
            connection.execute("DELETE FROM puts WHERE at < ?", [time_text(one.at - KEPT)])

    def forget_put(self, name: str) -> None:
        """Forget that something was to be put down under this name: it was not."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM puts WHERE id = ?", [name])

    def find_put(self, name: str) -> Put | None:
        """What lies, or lay, at a hub under this name."""
        with self._file.reading() as connection:
            return next(iter(_PUTS.find(connection, "WHERE id = ?", name)), None)

    def puts(self, about: str) -> Sequence[Put]:
        """Each time that something was put down, the first first."""
        with self._file.reading() as connection:
            return _PUTS.find(connection, "WHERE about = ? ORDER BY at, id", about)

    def is_due_at_hub(self, about: str, now: datetime) -> bool:
        """Whether something is to be put down, for the first time or because nobody has answered for long."""
        known = self.puts(about)
        return not known or now >= known[-1].at + _after(len(known), *_PUT)


def enqueue(connection: Connection, message: Outgoing | None, at: str) -> None:
    """Put a message into the outbox as a part of another transaction: what it tells of."""
    if message is not None:
        _remove(connection, "peer = ? AND transfer = ? AND kind = ?", message.peer, message.transfer, message.kind)
        _OUTBOX.add(connection, message, made=at, due=at)


def outbox_of(context: Context) -> Outbox:
    """The node's outbox."""
    return Outbox(network_book(context))


def _put_off(connection: Connection, waiting: str, reason: str, at: datetime) -> None:
    (attempts,) = connection.execute("SELECT attempts FROM outbox WHERE id = ?", [waiting]).fetchone() or (0,)
    due = time_text(at + _after(attempts + 1, *_TRY))
    sql = "UPDATE outbox SET attempts = attempts + 1, error = ?, due = ? WHERE id = ?"
    connection.execute(sql, [reason, due, waiting])


def _after(times: int, first: timedelta, longest: timedelta) -> timedelta:
    """How long is waited after so many times: twice as long each time."""
    return min(longest, first * (1 << min(max(times - 1, 0), 12)))


def _find(connection: Connection, due: datetime | None, peer: str | None, *, introductions: bool) -> list[Outgoing]:
    rule = "WHERE (?1 IS NULL OR due <= ?1) AND (?2 IS NULL OR peer = ?2) AND (kind = ?4) = ?3 ORDER BY made, id"
    moment = None if due is None else time_text(due)
    return _OUTBOX.find(connection, rule, moment, peer, introductions, INTRODUCTION)


def _remove(connection: Connection, rule: str, *values: str) -> None:
    connection.execute(f"DELETE FROM puts WHERE about IN (SELECT id FROM outbox WHERE {rule})", values)  # noqa: S608
    connection.execute(f"DELETE FROM outbox WHERE {rule}", values)  # noqa: S608  rules of our own


def _members(one: PendingIntroduction) -> dict[str, Any]:
    members = {name: getattr(one, name) for name in ("hub", "ticket", "name", "refused")}
    return members | {"said": one.said.to_dict(), "ends": time_text(one.ends)}


def _pending(row: Outgoing) -> PendingIntroduction:
    from diadem.network.envelope import Introduction  # what seals is imported where something is sealed

    about = dict(row.about)
    said, ends = Introduction.of(about.pop("said")), read_time(about.pop("ends"))
    return PendingIntroduction(row.peer, said=said, ends=ends, **about)
