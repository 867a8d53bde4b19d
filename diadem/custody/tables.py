"""What the log's file holds, and the only SQL of custody.

::

    about     what this is, whose it is, and the origin of its checkpoints
    epochs    the public key that signs the checkpoints of each epoch
    entries   the statements: place, id, kind, and the envelope's line
    subjects  which entries are about what
    nodes     hashes of the complete subtrees of the log's tree, by which every proof takes a handful of look-ups
    batches   one row a transaction: the entries that it added and the checkpoint that it signed
    mirrors   how far each mirror had got when it was last seen
    shown     checkpoints that have left this node: later exports prove that the log still begins with them

A place is epoch and index in one number (`entries.place_of`), so that places sort as the log was written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from diadem.custody.entries import MAX_ENTRIES, Entry, place_of, position_of
from diadem.model.statement_kinds import ACCESS_KINDS, KEY_KINDS
from diadem.trust.tree import Subtree

SCHEMA: Final = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE epochs (epoch INTEGER PRIMARY KEY, key TEXT NOT NULL)",
    "CREATE TABLE entries (place INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, line BLOB NOT NULL)",
    "CREATE INDEX entries_of_keys ON entries (kind, place) WHERE kind IN ('key', 'recovery')",
    "CREATE TABLE subjects (sha256 BLOB NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (sha256, place)) WITHOUT ROWID",
    "CREATE TABLE nodes (place INTEGER PRIMARY KEY, hash BLOB NOT NULL)",
    "CREATE TABLE batches (stop INTEGER PRIMARY KEY, start INTEGER NOT NULL, checkpoint TEXT NOT NULL)",
    "CREATE TABLE mirrors (url TEXT PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE shown (place INTEGER PRIMARY KEY)",
)
#: An index that logs of earlier versions lack; it is made where one is opened for writing.
ACCESS_INDEX: Final = (
    "CREATE INDEX IF NOT EXISTS entries_of_access ON entries (kind, place) WHERE kind IN ('grant', 'revocation')"
)
#: The hash of an entry in the tree has twice the place of the entry: see `_node`.
_ENTRY: Final = "SELECT place, id, kind, line, (SELECT hash FROM nodes WHERE place = 2 * entries.place) FROM entries"
_ABOUT: Final = f"{_ENTRY} WHERE place IN (SELECT place FROM subjects WHERE sha256 = ?)"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Batch:
    """One transaction of the log.

    Attributes
    ----------
    epoch, start, stop : int
        The entries that it added: indexes `start` to `stop`, exclusive.
    checkpoint : str
        The signed note of the tree of `stop` entries.
    """

    epoch: int
    start: int
    stop: int
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row of `entries`, not yet parsed, and the hash that the tree has of its line; empty where it is lost."""

    place: int
    id: str
    kind: str
    line: bytes
    leaf: bytes


class Tables:
    """The tables on one connection; whoever calls holds its lock, and for writing a transaction."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    # -- what it is --------------------------------------------------------------------------------------------------

    def exist(self) -> bool:
        """Whether the tables are there."""
        return self._one("SELECT 1 FROM sqlite_master WHERE name = 'about'") is not None

    def create(self, about: Mapping[str, str], *, application: int, version: int) -> None:
        """Make the tables."""
        for statement in SCHEMA:
            self._connection.execute(statement)
        self.add_access_index()
        self._connection.executemany("INSERT INTO about VALUES (?, ?)", about.items())
        self._connection.execute(f"PRAGMA application_id = {application:d}")
        self._connection.execute(f"PRAGMA user_version = {version:d}")

    def has_access_index(self) -> bool:
        """Whether the index of who may what is there."""
        return self._one("SELECT 1 FROM sqlite_master WHERE name = 'entries_of_access'") is not None

    def add_access_index(self) -> None:
        """Make the index of who may what."""
        self._connection.execute(ACCESS_INDEX)

    def faults(self, limit: int) -> list[str]:
        """What SQLite finds wrong in the file: pages that cannot be read, indexes that do not fit their tables."""
        found = [_text(fault) for (fault,) in self._all(f"PRAGMA integrity_check({limit:d})")]
        return [] if found == ["ok"] else found

    def marks(self) -> tuple[int, int]:
        """Application id and version of the file."""
        return self._number("PRAGMA application_id"), self._number("PRAGMA user_version")

    def about(self) -> dict[str, str]:
        """What `create` was told."""
        return {_text(name): _text(value) for name, value in self._all("SELECT name, value FROM about")}

    def add_epoch(self, epoch: int, key: str) -> None:
        """Note the public key of an epoch's checkpoints."""
        self._connection.execute("INSERT INTO epochs VALUES (?, ?)", (epoch, key))

    def epochs(self) -> dict[int, str]:
        """Epochs, oldest first, and the public key of each."""
        return {epoch: _text(key) for epoch, key in self._all("SELECT epoch, key FROM epochs ORDER BY epoch")}

    # -- entries -----------------------------------------------------------------------------------------------------

    def add_batch(self, batch: Batch, entries: Sequence[Entry], grown: Iterable[Subtree]) -> None:
        """Write one batch: its entries, the subtrees that they complete, and its checkpoint."""
        epoch = batch.epoch
        run = self._connection.executemany
        run("INSERT INTO entries VALUES (?, ?, ?, ?)", [_entry_row(entry) for entry in entries])
        run(
            "INSERT INTO subjects VALUES (?, ?)",
            [(bytes.fromhex(item.sha256), entry.place) for entry in entries for item in entry.statement.subjects],
        )
        run("INSERT INTO nodes VALUES (?, ?)", [(_node(epoch, part.start, part.stop), part.hash) for part in grown])
        stop, start = place_of(epoch, batch.stop), place_of(epoch, batch.start)
        self._connection.execute("INSERT INTO batches VALUES (?, ?, ?)", (stop, start, batch.checkpoint))

    def row(self, place: int) -> Row | None:
        """The entry at a place."""
        found = self._one(f"{_ENTRY} WHERE place = ?", place)
        return _row(found) if found else None

    def count(self) -> int:
        """Entries of all epochs: every epoch has as many as its newest batch says."""
        return sum(self.size(epoch) for epoch in self.epochs())

    def row_of(self, statement_id: str) -> Row | None:
        """The entry of a statement."""
        found = self._one(f"{_ENTRY} WHERE id = ?", bytes.fromhex(statement_id))
        return _row(found) if found else None

    def rows(self, start: int, stop: int, limit: int) -> list[Row]:
        """Entries between two places, at most so many."""
        query = f"{_ENTRY} WHERE place >= ? AND place < ? ORDER BY place LIMIT ?"
        return [_row(found) for found in self._all(query, start, stop, limit)]

    def rows_about(self, sha256: str, kinds: Sequence[str] = ()) -> list[Row]:
        """Every entry about a subject, of some kinds only where those are named, oldest first."""
        marks = f" AND kind IN ({', '.join('?' * len(kinds))})" if kinds else ""
        return [_row(found) for found in self._all(f"{_ABOUT}{marks} ORDER BY place", bytes.fromhex(sha256), *kinds)]

    def rows_of_keys(self) -> list[Row]:
        """Every entry that says which key is whose, oldest first."""
        return [_row(found) for found in self._all(f"{_of_kinds(KEY_KINDS)} ORDER BY place", 0)]

    def rows_of_access(self, start: int) -> list[Row]:
        """Every entry from a place on that says which key is whose or who may what, oldest first.

        One question, for one state of the file: between two, another process may append.
        """
        query = f"{_of_kinds(KEY_KINDS)} UNION ALL {_of_kinds(ACCESS_KINDS)} ORDER BY place"
        return [_row(found) for found in self._all(query, start, start)]

    def rows_of_kind(self, kind: str) -> list[Row]:
        """Every entry of a kind, oldest first; the whole table is looked through."""
        return [_row(found) for found in self._all(f"{_ENTRY} WHERE kind = ? ORDER BY place", kind)]

    def last_about(self, sha256: str) -> str | None:
        """Id of the newest statement about a subject."""
        found = self._one(
            "SELECT id FROM entries WHERE place = (SELECT max(place) FROM subjects WHERE sha256 = ?)",
            bytes.fromhex(sha256),
        )
        return _blob(found[0]).hex() if found else None

    def is_about(self, place: int, sha256: str) -> bool:
        """Whether the index by subject leads to an entry."""
        query = "SELECT 1 FROM subjects WHERE sha256 = ? AND place = ?"
        return self._one(query, bytes.fromhex(sha256), place) is not None

    def size(self, epoch: int) -> int:
        """Entries of an epoch, by its newest batch."""
        newest = self.newest_batch(epoch)
        return newest.stop if newest else 0

    def subtree(self, epoch: int, start: int, stop: int) -> bytes:
        """Hash of a complete subtree; empty where the file has lost it."""
        found = self._one("SELECT hash FROM nodes WHERE place = ?", _node(epoch, start, stop))
        return _blob(found[0]) if found else b""

    # -- batches and who has seen them -------------------------------------------------------------------------------

    def newest_batch(self, epoch: int) -> Batch | None:
        """The last transaction of an epoch."""
        query = "SELECT start, stop, checkpoint FROM batches WHERE stop >= ? AND stop < ? ORDER BY stop DESC LIMIT 1"
        found = self._one(query, place_of(epoch, 0), place_of(epoch + 1, 0))
        return _batch(found) if found else None

    def batch_to(self, epoch: int, size: int) -> Batch | None:
        """The transaction after which an epoch had so many entries."""
        found = self._one("SELECT start, stop, checkpoint FROM batches WHERE stop = ?", place_of(epoch, size))
        return _batch(found) if found else None

    def batches(self, epoch: int) -> list[Batch]:
        """Every transaction of an epoch, oldest first; the first, of no entry, began it."""
        query = "SELECT start, stop, checkpoint FROM batches WHERE stop >= ? AND stop < ? ORDER BY stop"
        return [_batch(found) for found in self._all(query, place_of(epoch, 0), place_of(epoch + 1, 0))]

    def batches_after(self, place: int, limit: int) -> list[Batch]:
        """Transactions that added entries at or after a place, oldest first, at most so many."""
        query = "SELECT start, stop, checkpoint FROM batches WHERE stop > ? AND stop > start ORDER BY stop LIMIT ?"
        return [_batch(found) for found in self._all(query, place, limit)]

    def count_batches_after(self, place: int) -> int:
        """How many transactions added entries at or after a place."""
        return self._number("SELECT count(*) FROM batches WHERE stop > ? AND stop > start", place)

    def mirrors(self) -> dict[str, int]:
        """How far each mirror had got: the place of the next entry that it lacks."""
        return {_text(url): _integer(place) for url, place in self._all("SELECT url, place FROM mirrors")}

    def set_mirror(self, url: str, place: int) -> None:
        """Note how far a mirror has got."""
        self._connection.execute("INSERT OR REPLACE INTO mirrors VALUES (?, ?)", (url, place))

    def show(self, epoch: int, size: int) -> None:
        """Note that the checkpoint of so many entries leaves this node."""
        self._connection.execute("INSERT OR IGNORE INTO shown VALUES (?)", (place_of(epoch, size),))

    def shown(self, epoch: int, limit: int) -> list[int]:
        """Sizes of the checkpoints of an epoch that have left this node, the newest so many, smallest first."""
        query = "SELECT place FROM shown WHERE place >= ? AND place < ? ORDER BY place DESC LIMIT ?"
        found = self._all(query, place_of(epoch, 0), place_of(epoch + 1, 0), limit)
        return sorted(position_of(_integer(place))[1] for (place,) in found)

    # -- asking ------------------------------------------------------------------------------------------------------

    def _all(self, query: str, *values: Any) -> list[Any]:
        return self._connection.execute(query, values).fetchall()

    def _one(self, query: str, *values: Any) -> Any:
        return self._connection.execute(query, values).fetchone()

    def _number(self, query: str, *values: Any) -> int:
        return _integer(self._one(query, *values)[0])


def _of_kinds(kinds: Sequence[str]) -> str:
    """Entries of kinds that have an index of their own: it is used where they stand in the text as they do in it."""
    marks = ", ".join(f"'{kind}'" for kind in kinds)
    return f"{_ENTRY} WHERE kind IN ({marks}) AND place >= ?"


def _blob(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise sqlite3.DatabaseError("a value is not of the form in which it was written")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise sqlite3.DatabaseError("a value is not of the form in which it was written")
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int):
        raise sqlite3.DatabaseError("a value is not of the form in which it was written")
    return value


def _entry_row(entry: Entry) -> tuple[int, bytes, str, bytes]:
    return entry.place, bytes.fromhex(entry.statement_id), entry.statement.kind, entry.line


def _row(found: Any) -> Row:
    place, statement_id, kind, line, leaf = found
    return Row(_integer(place), _blob(statement_id).hex(), _text(kind), _blob(line), _blob(leaf or b""))


def _batch(found: Any) -> Batch:
    (_, start), (epoch, stop) = position_of(_integer(found[0])), position_of(_integer(found[1]))
    return Batch(epoch, start, stop, _text(found[2]))


def _node(epoch: int, start: int, stop: int) -> int:
    """The in-order number of a complete subtree: each has its own, and neighbours lie close together."""
    return epoch * 2 * MAX_ENTRIES + start + stop - 1
