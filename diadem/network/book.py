"""The node's book of transfers: each with its steps, what is to be sent to peers, and what came from them.

::

    <node>/network/transfers.sqlite

The log says what was agreed; the book says how far it is. Every change of state is one transaction with its event.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection, Row
from typing import Any, Final

from diadem.custody.remedies import aside_command
from diadem.errors import NotFound, Refused, UsageError
from diadem.model.times import read_time, time_text
from diadem.model.transfers import IN, MOVING, Counts, State, Transfer, TransferEvent, way
from diadem.network.outbox import TABLE, Outbox, Outgoing, put
from diadem.store.sqlite_file import SqliteFile

FILE: Final = "transfers.sqlite"
APPLICATION: Final = 0x44_54_52_46
VERSION: Final = 1
_SCHEMA: Final = (
    TABLE,
    """CREATE TABLE transfers (
        id TEXT PRIMARY KEY, direction TEXT NOT NULL, state TEXT NOT NULL, package TEXT NOT NULL,
        payload_id TEXT NOT NULL, title TEXT NOT NULL, bytes INTEGER NOT NULL, files INTEGER NOT NULL,
        peer TEXT NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL, routes TEXT NOT NULL,
        expires TEXT NOT NULL, created TEXT NOT NULL, route TEXT NOT NULL DEFAULT '', comment TEXT NOT NULL DEFAULT '',
        offer TEXT NOT NULL DEFAULT '', "grant" TEXT NOT NULL DEFAULT '', acceptance TEXT NOT NULL DEFAULT '',
        receipt TEXT NOT NULL DEFAULT '', closure TEXT NOT NULL DEFAULT '', rule TEXT NOT NULL DEFAULT '',
        ceiling INTEGER NOT NULL DEFAULT 0, store TEXT NOT NULL DEFAULT '', done INTEGER NOT NULL DEFAULT 0,
        rate REAL NOT NULL DEFAULT 0, moved INTEGER NOT NULL DEFAULT 0, counts TEXT NOT NULL DEFAULT '{}',
        paused INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '', next TEXT NOT NULL DEFAULT '',
        about TEXT NOT NULL DEFAULT '{}', begun TEXT NOT NULL DEFAULT '') WITHOUT ROWID""",
    "CREATE INDEX by_peer ON transfers (peer, created)",
    """CREATE TABLE events (transfer TEXT NOT NULL, ordinal INTEGER NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL,
        statement TEXT NOT NULL, words TEXT NOT NULL, PRIMARY KEY (transfer, ordinal)) WITHOUT ROWID""",
    """CREATE TABLE inbox (id TEXT PRIMARY KEY, peer TEXT NOT NULL, came TEXT NOT NULL,
        answer BLOB NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE logs (peer TEXT PRIMARY KEY, theirs TEXT NOT NULL DEFAULT '',
        ours TEXT NOT NULL DEFAULT '') WITHOUT ROWID""",
    """CREATE TABLE refusals (number INTEGER PRIMARY KEY, at TEXT NOT NULL, peer TEXT NOT NULL,
        transfer TEXT NOT NULL, reason TEXT NOT NULL)""",
    """CREATE TABLE asked (transfer TEXT NOT NULL, part INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
        PRIMARY KEY (transfer, part)) WITHOUT ROWID""",
)
#: Refused messages, and answers, that are remembered.
_KEPT_REFUSALS: Final = 1000
_KEPT_ANSWERS: Final = 20_000
#: Answers that are given between two times that old ones are forgotten.
_TIDIED: Final = 500
#: An index that books of earlier versions lack.
_INBOX_INDEX: Final = "CREATE INDEX IF NOT EXISTS inbox_came ON inbox (came)"
#: Bytes that count for what is asked for again though it was given: else somebody could ask for ever.
_LOST: Final = 256 << 10
#: How the reason of a refusal begins where a peer contradicted itself.
_CONTRADICTED: Final = "contradicted: "

_TEXTS: Final = (
    *("offer", "grant", "acceptance", "receipt", "closure", "rule", "route", "store", "error", "next", "title"),
    "begun",
)
_NUMBERS: Final = ("ceiling", "done", "rate", "paused")


class TransferBook(Outbox):
    """The book, with its outbox. Safe for many threads and processes.

    Parameters
    ----------
    folder : Path
        ``<node>/network``; made where it is not there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = "What was agreed is in the log. To continue with a new book, with open transfers offered again: "
        advice = aside + aside_command(folder / FILE)
        self._file = SqliteFile(folder / FILE, what="book of transfers", advice=advice)
        self._file.prepare(_SCHEMA, application=APPLICATION, version=VERSION)
        with self._file.writing() as connection:
            connection.execute(_INBOX_INDEX)
        self._answers = itertools.count()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

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
        row = {
            **{name: getattr(transfer, name) for name in _COLUMNS},
            "state": str(transfer.state),
            "routes": " ".join(transfer.routes),
            "expires": time_text(transfer.expires),
            "created": time_text(transfer.created),
            "counts": json.dumps(transfer.counts.to_dict()),
            "paused": int(transfer.paused),
            "about": json.dumps(dict(about or {})),
        }
        names = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" for _ in row)
        with self._file.writing() as connection:
            added = connection.execute(
                f"INSERT OR IGNORE INTO transfers ({names}) VALUES ({marks})",  # noqa: S608  names of our own columns
                list(row.values()),
            )
            if added.rowcount:
                _note(connection, transfer.id, [event])
                if post is not None:
                    put(connection, post, event.at)
            return bool(added.rowcount)

    def get(self, transfer: str) -> Transfer:
        """A transfer by its id or the beginning of it. Raises `NotFound`, or `UsageError` where several begin so."""
        if not transfer or not set(transfer) <= set("0123456789abcdef"):
            raise UsageError(f"'{transfer}' is not the id of a transfer", next="See: diadem transfer ls")
        with self._file.reading() as connection:
            rows = _rows(connection, "WHERE id >= ? AND id < ? LIMIT 2", transfer, transfer + "g")
        if not rows:
            raise NotFound(f"there is no transfer {transfer}", next="See: diadem transfer ls")
        if len(rows) > 1:
            raise UsageError(f"several transfers begin with {transfer}", next="Give more of the id.")
        return _transfer(rows[0])

    def find(self, transfer: str) -> Transfer | None:
        """The transfer with exactly this id."""
        with self._file.reading() as connection:
            rows = _rows(connection, "WHERE id = ?", transfer)
        return _transfer(rows[0]) if rows else None

    def all(self, *, peer: str | None = None, states: Iterable[State] | None = None) -> list[Transfer]:
        """Transfers, the newest first."""
        wanted = sorted(str(state) for state in states) if states is not None else []
        rule = f"WHERE (?1 IS NULL OR peer = ?1) {_among(wanted) if states is not None else ''}"
        with self._file.reading() as connection:
            rows = _rows(connection, f"{rule} ORDER BY created DESC, id", peer, *wanted)
        return [_transfer(row) for row in rows]

    def about(self, transfer: str) -> Mapping[str, Any]:
        """What the sender said of it and did not sign."""
        with self._file.reading() as connection:
            row = connection.execute("SELECT about FROM transfers WHERE id = ?", [transfer]).fetchone()
        return dict(json.loads(row[0])) if row else {}

    def events(self, transfer: str) -> list[TransferEvent]:
        """The steps of a transfer, oldest first."""
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT state, at, statement, words FROM events WHERE transfer = ? ORDER BY ordinal", [transfer]
            ).fetchall()
        return [TransferEvent(State(state), at, statement, words) for state, at, statement, words in rows]

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
        """Take a transfer to a state by the legal way; every state between is noted.

        Parameters
        ----------
        transfer : str
            Its id.
        to : State
            Where it goes.
        at : datetime
            Now.
        statement, words : str
            Of the last step.
        post : Outgoing, optional
            What tells the other side of it: in the outbox from the same moment on, or nobody would ever tell it.
        **values
            Other members that change with it.

        Raises
        ------
        Refused
            No way leads there: nothing changes.
        """
        with self._file.writing() as connection:
            now = _one(connection, transfer)
            steps = way(now.state, to)
            events = [TransferEvent(state, time_text(at)) for state in steps[:-1]]
            events.append(TransferEvent(to, time_text(at), statement, words))
            _note(connection, transfer, events)
            _update(connection, transfer, {"state": str(to), **values})
            if post is not None:
                put(connection, post, time_text(at))
            return _one(connection, transfer)

    def change(self, transfer: str, *, durable: bool = True, **values: Any) -> None:
        """Change members of a transfer, without an event."""
        with self._file.writing(durable=durable) as connection:
            _update(connection, transfer, values)

    def count(self, transfer: str, counts: Counts, done: int, rate: float) -> None:
        """Add to what came, and note how far it is."""
        with self._file.writing(durable=False) as connection:
            known = _one(connection, transfer).counts
            both = json.dumps(known.plus(counts).to_dict())
            sql = "UPDATE transfers SET counts = ?, done = ?, rate = ? WHERE id = ?"
            connection.execute(sql, [both, done, rate, transfer])

    def spend(self, transfer: str, part: int, start: int, stop: int) -> None:
        """Count bytes that are about to be sent.

        Where the same part was asked for before up to its end, the line was cut: what did not arrive of it is given
        back, but for a little. Where less is asked for, a leaf of it came wrong.

        Parameters
        ----------
        transfer : str
            Its id.
        part : int
            The window; below 0 for a part of the tag files.
        start, stop : int
            What is asked for of it.

        Raises
        ------
        Refused
            They would go beyond what was accepted.
        """
        with self._file.writing(durable=False) as connection:
            sql = "SELECT start, stop FROM asked WHERE transfer = ? AND part = ?"
            first, end = connection.execute(sql, [transfer, part]).fetchone() or (0, 0)
            cut = stop >= end
            count = stop - start - (max(0, end - max(start, first) - _LOST) if cut else 0)
            if cut:
                connection.execute("INSERT OR REPLACE INTO asked VALUES (?, ?, ?, ?)", [transfer, part, start, stop])
            done = connection.execute(
                "UPDATE transfers SET moved = moved + ?1 WHERE id = ?2 AND moved + ?1 <= ceiling", [count, transfer]
            )
            if not done.rowcount:
                raise Refused(
                    "more bytes would move than were accepted", next="Cancel the transfer, and send the package again."
                )

    def reserved(self, store: str, *, besides: str = "") -> int:
        """Bytes that accepted packages still take in a store."""
        with self._file.reading() as connection:
            rows = _rows(
                connection,
                f"WHERE store = ? AND id <> ? AND direction = ? {_among(_STILL)}",
                store,
                besides,
                IN,
                *_STILL,
            )
        return sum(max(0, transfer.bytes - transfer.done) for transfer in map(_transfer, rows))

    def waiting(self) -> int:
        """Bytes of all accepted packages that are not yet here."""
        rows = self.all(states=MOVING)
        return sum(max(0, transfer.bytes - transfer.done) for transfer in rows if transfer.direction == IN)

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
        """Keep the newest checkpoints; "" leaves what is known."""
        with self._file.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO logs (peer) VALUES (?)", [peer])
            for column, text in (("theirs", theirs), ("ours", ours)):
                if text:
                    connection.execute(f"UPDATE logs SET {column} = ? WHERE peer = ?", [text, peer])  # noqa: S608


_COLUMNS: Final = tuple(Transfer.__slots__)
_STILL: Final = tuple(sorted(str(state) for state in MOVING))


def _among(states: Sequence[str]) -> str:
    return f"AND state IN ({', '.join('?' for _ in states)})"


def _rows(connection: Connection, rule: str, *values: Any) -> list[Any]:
    connection.row_factory = Row
    try:
        return connection.execute(f"SELECT * FROM transfers {rule}", values).fetchall()  # noqa: S608  rules of our own
    finally:
        connection.row_factory = None


def _one(connection: Connection, transfer: str) -> Transfer:
    rows = _rows(connection, "WHERE id = ?", transfer)
    if not rows:
        raise NotFound(f"there is no transfer {transfer}", next="See: diadem transfer ls")
    return _transfer(rows[0])


def _transfer(row: Any) -> Transfer:
    values = {name: row[name] for name in _COLUMNS}
    return Transfer(
        **values
        | {
            "state": State(row["state"]),
            "routes": tuple(row["routes"].split()),
            "expires": read_time(row["expires"]),
            "created": read_time(row["created"]),
            "counts": Counts(**json.loads(row["counts"])),
            "paused": bool(row["paused"]),
        }
    )


def _note(connection: Connection, transfer: str, events: Sequence[TransferEvent]) -> None:
    sql = "SELECT coalesce(max(ordinal), -1) + 1 FROM events WHERE transfer = ?"
    first = connection.execute(sql, [transfer]).fetchone()[0]
    connection.executemany(
        "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)",
        [
            (transfer, first + number, str(event.state), event.at, event.statement, event.words)
            for number, event in enumerate(events)
        ],
    )


def _update(connection: Connection, transfer: str, values: Mapping[str, Any]) -> None:
    allowed = {"state", *_TEXTS, *_NUMBERS}
    if unknown := values.keys() - allowed:
        raise UsageError(f"{', '.join(sorted(unknown))} of a transfer cannot be changed")
    for name, value in values.items():
        connection.execute(f'UPDATE transfers SET "{name}" = ? WHERE id = ?', [value, transfer])  # noqa: S608  checked
