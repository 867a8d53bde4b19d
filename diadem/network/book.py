"""The transfers of a node: each with its steps, and what came of them from peers.

The log says what was agreed; the book says how far it is. Every change of state is one transaction with its event and
the message that tells of it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from sqlite3 import Connection
from types import MappingProxyType
from typing import Any, Final

from diadem.errors import NotFound, Refused, UsageError
from diadem.model.times import time_text
from diadem.model.transfers import IN, MOVING, OVER, Counts, State, Transfer, TransferEvent, way
from diadem.network.outbox import Outgoing, enqueue
from diadem.store.rows import Table
from diadem.store.sqlite_file import SqliteFile

#: Refused messages, and answers, that are remembered.
_KEPT_REFUSALS: Final = 1000
_KEPT_ANSWERS: Final = 20_000
#: Answers that are given between two times that old ones are forgotten.
_TIDIED: Final = 500
#: Bytes that count for what is asked for again though it was given: else somebody could ask for ever.
_LOST: Final = 256 << 10
#: How the reason of a refusal begins where a peer contradicted itself.
_CONTRADICTED: Final = "contradicted: "


_TRANSFERS: Final = Table("transfers", Transfer)
_EVENTS: Final = Table("events", TransferEvent)


class TransferBook:
    """The book, in the file of `diadem.network.book_file`. Safe for many threads and processes."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._answers = itertools.count()

    def together(self) -> AbstractContextManager[object]:
        """One transaction of all that is noted meanwhile, also by the other books of the network."""
        return self._file.writing()

    # -- transfers -------------------------------------------------------------------------------------------------

    def add(
        self,
        transfer: Transfer,
        event: TransferEvent,
        *,
        about: Mapping[str, Any] | None = None,
        post: Outgoing | None = None,
    ) -> bool:
        """Enter a new transfer with its first step and what tells of it; False where it is known already."""
        said = json.dumps(dict(about or {}))
        with self._file.writing() as connection:
            added = _TRANSFERS.add(connection, transfer, otherwise="IGNORE", about=said)
            if added:
                _note(connection, transfer.id, [event])
                enqueue(connection, post, event.at)
            return added

    def get(self, transfer: str) -> Transfer:
        """A transfer by its id or the beginning of it. Raises `NotFound`, or `UsageError` where several begin so."""
        if not transfer or not set(transfer) <= set("0123456789abcdef"):
            raise UsageError(f"'{transfer}' is not the id of a transfer", next="See: diadem transfer ls")
        with self._file.reading() as connection:
            found = _TRANSFERS.find(connection, "WHERE id >= ? AND id < ? LIMIT 2", transfer, transfer + "g")
        if not found:
            raise NotFound(f"there is no transfer {transfer}", next="See: diadem transfer ls")
        if len(found) > 1:
            raise UsageError(f"several transfers begin with {transfer}", next="Give more of the id.")
        return found[0]

    def find(self, transfer: str) -> Transfer | None:
        """The transfer with exactly this id."""
        with self._file.reading() as connection:
            return next(iter(_TRANSFERS.find(connection, _ONE, transfer)), None)

    def all(self, *, peer: str | None = None, states: Iterable[State] | None = None) -> list[Transfer]:
        """Transfers, the newest first."""
        wanted = sorted(str(state) for state in states) if states is not None else []
        among = f"AND state IN ({', '.join('?' for _ in wanted)})" if states is not None else ""
        rule = f"WHERE (?1 IS NULL OR peer = ?1) {among}"
        with self._file.reading() as connection:
            return _TRANSFERS.find(connection, f"{rule} ORDER BY created DESC, id", peer, *wanted)

    def about(self, transfer: str) -> Mapping[str, Any]:
        """What the sender said of it and did not sign."""
        with self._file.reading() as connection:
            row = connection.execute("SELECT about FROM transfers WHERE id = ?", [transfer]).fetchone()
        return dict(json.loads(row[0])) if row else {}

    def events(self, transfer: str) -> list[TransferEvent]:
        """The steps of a transfer, oldest first."""
        with self._file.reading() as connection:
            return _EVENTS.find(connection, "WHERE transfer = ? ORDER BY ordinal", transfer)

    def step(
        self,
        transfer: str,
        to: State,
        at: datetime,
        *,
        statement: str = "",
        words: str = "",
        post: Outgoing | None = None,
        **values: Any,
    ) -> Transfer:
        """Take a transfer to a state by the legal way, every state between noted; `values` are members that change too.

        Behind what has its end stands nothing of the way there: no pause, no fault that was overcome, no rate. What
        tells the other side of it is in the outbox from the same moment on, or nobody would ever tell it. Where no
        way leads there, `Refused`: nothing changes.
        """
        with self._file.writing() as connection:
            now = _one(connection, transfer)
            steps = way(now.state, to)
            events = [TransferEvent(state, time_text(at)) for state in steps[:-1]]
            events.append(TransferEvent(to, time_text(at), statement, words))
            _note(connection, transfer, events)
            ended = _ENDED if to in OVER or to is State.RECEIVED else {}
            _TRANSFERS.change(connection, _ONE, transfer, state=to, **{**ended, **values})
            enqueue(connection, post, time_text(at))
            return _one(connection, transfer)

    def change(self, transfer: str, *, durable: bool = True, **values: Any) -> None:
        """Change members of a transfer, without an event."""
        with self._file.writing(durable=durable) as connection:
            _TRANSFERS.change(connection, _ONE, transfer, **values)

    def count(self, transfer: str, counts: Counts, done: int, rate: float) -> None:
        """Add to what came, and note how far it is."""
        with self._file.writing(durable=False) as connection:
            known = _one(connection, transfer).counts
            _TRANSFERS.change(connection, _ONE, transfer, counts=known.plus(counts), done=done, rate=rate)

    def spend(self, transfer: str, part: int, start: int, stop: int, *, once: bool = False) -> None:
        """Count bytes that are about to be sent.

        Where the same part was asked for before up to its end, the line was cut: what did not arrive of it is given
        back, but for a little. Where less is asked for, a leaf of it came wrong. A `part` below 0 is one of the tag
        files, or an object at a carrier. With `once`, what was counted of the part is not counted again. Raises
        `Refused` where they would go beyond what was accepted.
        """
        with self._file.writing(durable=False) as connection:
            sql = "SELECT start, stop FROM spent WHERE transfer = ? AND part = ?"
            known = connection.execute(sql, [transfer, part]).fetchone()
            if once and known:
                return
            first, end = known or (0, 0)
            cut = stop >= end
            count = stop - start - (max(0, end - max(start, first) - _LOST) if cut else 0)
            if cut:
                connection.execute("INSERT OR REPLACE INTO spent VALUES (?, ?, ?, ?)", [transfer, part, start, stop])
            done = connection.execute(
                "UPDATE transfers SET moved = moved + ?1 WHERE id = ?2 AND moved + ?1 <= ceiling", [count, transfer]
            )
            if not done.rowcount:
                raise Refused(
                    "more bytes would move than were accepted", next="Cancel the transfer, and send the package again."
                )

    def reserved(self, store: str, *, besides: str = "") -> int:
        """Bytes that accepted packages still take in a store."""
        return self._still_to_come(lambda transfer: transfer.store == store and transfer.id != besides)

    def waiting(self) -> int:
        """Bytes of all accepted packages that are not yet here."""
        return self._still_to_come(lambda _: True)

    def _still_to_come(self, counts: Callable[[Transfer], bool]) -> int:
        coming = [one for one in self.all(states=MOVING) if one.direction == IN and counts(one)]
        return sum(max(0, one.bytes - one.done) for one in coming)

    def offers_since(self, peer: str, moment: datetime) -> int:
        """How many offers came from a peer since a moment."""
        with self._file.reading() as connection:
            sql = "SELECT count(*) FROM transfers WHERE peer = ? AND direction = ? AND created >= ?"
            return int(connection.execute(sql, [peer, IN, time_text(moment)]).fetchone()[0])

    # -- what came -------------------------------------------------------------------------------------------------

    def answered(self, message: str, peer: str) -> bytes | None:
        """The answer that a message got when it came the first time."""
        with self._file.reading() as connection:
            row = connection.execute("SELECT answer FROM inbox WHERE id = ? AND peer = ?", [message, peer]).fetchone()
        return bytes(row[0]) if row else None

    def answer(self, message: str, peer: str, answer: bytes, at: datetime) -> None:
        """Remember the answer to a message; of very many the oldest are forgotten."""
        with self._file.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO inbox VALUES (?, ?, ?, ?)", [message, peer, time_text(at), answer]
            )
            if next(self._answers) % _TIDIED == 0:  # windows wait for this transaction
                oldest = "SELECT came FROM inbox ORDER BY came DESC LIMIT 1 OFFSET ?"
                connection.execute(f"DELETE FROM inbox WHERE came <= ({oldest})", [_KEPT_ANSWERS])  # noqa: S608

    def refuse(self, peer: str, transfer: str, reason: str, at: datetime, *, contradicted: bool = False) -> None:
        """Note that something of a peer was refused; of many the oldest are forgotten, contradictions by themselves."""
        with self._file.writing() as connection:
            connection.execute(
                "INSERT INTO refusals (at, peer, transfer, reason) VALUES (?, ?, ?, ?)",
                [time_text(at), peer, transfer, (_CONTRADICTED if contradicted else "") + reason],
            )
            connection.execute(
                "DELETE FROM refusals WHERE number IN (SELECT number FROM refusals "
                "WHERE (substr(reason, 1, ?1) = ?2) = ?3 ORDER BY number DESC LIMIT -1 OFFSET ?4)",
                [len(_CONTRADICTED), _CONTRADICTED, contradicted, _KEPT_REFUSALS],
            )

    def distrusted_since(self, peer: str, moment: datetime) -> bool:
        """Whether a peer contradicted itself after a moment."""
        with self._file.reading() as connection:
            sql = "SELECT 1 FROM refusals WHERE peer = ? AND at >= ? AND substr(reason, 1, ?) = ? LIMIT 1"
            values = [peer, time_text(moment), len(_CONTRADICTED), _CONTRADICTED]
            return connection.execute(sql, values).fetchone() is not None

    def refusals(self) -> list[Mapping[str, str]]:
        """What was refused lately, the newest first."""
        with self._file.reading() as connection:
            rows = connection.execute("SELECT at, peer, transfer, reason FROM refusals ORDER BY number DESC").fetchall()
        return [dict(zip(("at", "peer", "transfer", "reason"), row, strict=True)) for row in rows]

    # -- logs ------------------------------------------------------------------------------------------------------

    def checkpoints(self, peer: str) -> tuple[str, str]:
        """The newest checkpoint of a peer's log that was seen here, and of this node's log that was seen there."""
        with self._file.reading() as connection:
            row = connection.execute("SELECT theirs, ours FROM logs WHERE peer = ?", [peer]).fetchone()
        return (str(row[0]), str(row[1])) if row else ("", "")

    def see(self, peer: str, *, theirs: str = "", ours: str = "") -> None:
        """Keep the newest checkpoints; "" leaves what is known.

        Messages are weighed side by side: who is done last has not always seen the most of the other log.
        """
        with self._file.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO logs (peer) VALUES (?)", [peer])
            (known,) = connection.execute("SELECT theirs FROM logs WHERE peer = ?", [peer]).fetchone()
            if theirs and known and _reach(known) > _reach(theirs):
                theirs = ""
            for column, text in (("theirs", theirs), ("ours", ours)):
                if text:
                    connection.execute(f"UPDATE logs SET {column} = ? WHERE peer = ?", [text, peer])  # noqa: S608


def _reach(checkpoint: str) -> tuple[int, int]:
    """How far a checkpoint of a log sees: the epoch, by which its name ends, and the entries of that."""
    origin, size, *_ = checkpoint.split("\n")
    return int(origin.rpartition("/")[2]), int(size)


_ONE: Final = "WHERE id = ?"
#: What is forgotten of a transfer that has come to its end.
_ENDED: Final[Mapping[str, Any]] = MappingProxyType({"paused": 0, "error": "", "next": "", "rate": 0.0})


def _one(connection: Connection, transfer: str) -> Transfer:
    for found in _TRANSFERS.find(connection, _ONE, transfer):
        return found
    raise NotFound(f"there is no transfer {transfer}", next="See: diadem transfer ls")


def _note(connection: Connection, transfer: str, events: Sequence[TransferEvent]) -> None:
    sql = "SELECT coalesce(max(ordinal), -1) + 1 FROM events WHERE transfer = ?"
    (first,) = connection.execute(sql, [transfer]).fetchone()
    for ordinal, event in enumerate(events, first):
        _EVENTS.add(connection, event, transfer=transfer, ordinal=ordinal)
