"""The log's file: one SQLite database that many threads and processes write, one transaction at a time; all its SQL.

::

    about     what this is, whose it is, and the origin of its checkpoints
    epochs    the public key that signs the checkpoints of each epoch
    entries   the statements: place, id, kind, and the envelope's line
    subjects  which entries are about what
    nodes     hashes of the complete subtrees of the log's tree, by which every proof takes a handful of look-ups
    batches   one row a transaction: the entries that it added and the checkpoint that it signed
    mirrors   how far each mirror had got when it was last seen
    shown     checkpoints that have left this node: later exports prove that the log still begins with them

A place is epoch and index in one number (`log_entry.place_of`), so that places sort as the log was written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from diadem.custody.log_entry import MAX_ENTRIES, Entry, log_origin, place_of, position_of
from diadem.custody.remedies import recover_here
from diadem.errors import DiademError, IntegrityError, NotFound, Refused, UsageError
from diadem.model.statement_kinds import ACCESS_KINDS, KEY_KINDS
from diadem.store.sqlite_file import SqliteFile
from diadem.trust.keys import PrivateKey, PublicKey
from diadem.trust.note import Checkpoint, open_checkpoint, sign_checkpoint
from diadem.trust.tree import HASH_SIZE, Frontier, RangeHash, Subtree

#: Name of the log's file in its folder.
FILE: Final = "log.sqlite"
FORMAT: Final = "diadem-log/1"
#: `PRAGMA application_id` of the log ("Dlog") and `user_version`: another file is never taken for one.
_MARKS: Final = (0x446C6F67, 1)
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
_ACCESS_INDEX: Final = (
    "CREATE INDEX IF NOT EXISTS entries_of_access ON entries (kind, place) WHERE kind IN ('grant', 'revocation')"
)
#: The hash of an entry in the tree has twice the place of the entry: see `_node`.
_ENTRY: Final = "SELECT place, id, kind, line, (SELECT hash FROM nodes WHERE place = 2 * entries.place) FROM entries"
_ABOUT: Final = f"{_ENTRY} WHERE place IN (SELECT place FROM subjects WHERE sha256 = ?)"  # noqa: S608
_HASH: Final = "SELECT hash FROM nodes WHERE place = ?"
_BATCH: Final = "SELECT start, stop, checkpoint FROM batches"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class LogIdentity:
    """Whose log it is, the origin of its checkpoints without the epoch, and the key that signs those of each epoch."""

    node: str
    origin: str
    keys: Mapping[int, PublicKey]

    @property
    def first(self) -> int:
        """The first epoch that the log holds."""
        return min(self.keys)

    @property
    def newest(self) -> int:
        """The epoch that is written now."""
        return max(self.keys)

    def opened(self, checkpoint: str, epoch: int) -> Checkpoint:
        """A checkpoint that this log has signed. Raises `IntegrityError` where it has not."""
        return open_checkpoint(checkpoint, self.keys[epoch], log_origin(self.origin, epoch))


@dataclass(frozen=True, slots=True)
class Batch:
    """One transaction of the log: the entries `start` to `stop`, exclusive, and the signed note of the tree after."""

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


class LogFile(SqliteFile):
    """One connection to the log's file, shared by the threads of this process; what is written needs a `writing`."""

    def __init__(self, path: Path, *, create: bool = False, read_only: bool = False) -> None:
        if not create and not path.is_file():
            raise NotFound("the log of the node is gone", where=str(path), next=_advice(path))
        super().__init__(path, what="log", advice="", read_only=read_only)

    def damaged(self, message: str) -> IntegrityError:
        """What is wrong in the file, in words, as an error."""
        return IntegrityError(f"the log is damaged: {message}", where=str(self.path), next=_advice(self.path))

    def wrong_key(self) -> Refused:
        """That a key does not sign the checkpoints of this log."""
        message = "this key does not sign the checkpoints of this log"
        return Refused(message, where=str(self.path), next=_advice(self.path))

    # -- what it is --------------------------------------------------------------------------------------------------

    def begin(self, node: str, origin: str) -> None:
        """Make the tables of a log. Raises `Refused` where there are some."""
        if self._one(bool, "SELECT 1 FROM sqlite_master WHERE name = 'about'"):
            raise Refused("there is a log here already", where=str(self.path), next="Open it, or name another folder.")
        for statement in (*SCHEMA, _ACCESS_INDEX):
            self._connection.execute(statement)
        about = {"format": FORMAT, "node": node, "origin": origin}
        self._connection.executemany("INSERT INTO about VALUES (?, ?)", about.items())
        self._connection.execute(f"PRAGMA application_id = {_MARKS[0]:d}")
        self._connection.execute(f"PRAGMA user_version = {_MARKS[1]:d}")

    def begin_epoch(self, origin: str, epoch: int, key: PrivateKey) -> None:
        """Note a new epoch and the checkpoint of its empty tree."""
        self.add_epoch(epoch, key.public.to_text())
        self.add_batch(Batch(epoch, 0, 0, signed_checkpoint(origin, epoch, Frontier(), key)), (), ())

    def identity(self) -> LogIdentity:
        """Whose log it is. Raises `IntegrityError` where the file is no log of this version."""
        marks = tuple(self._one(_number, f"PRAGMA {name}") for name in ("application_id", "user_version"))
        if marks != _MARKS or not self._one(bool, "SELECT 1 FROM sqlite_master WHERE name = 'about'"):
            raise self.damaged("it is not a log of this version of DIADEM")
        about = dict(self._all(lambda row: _columns(row, str, str), "SELECT name, value FROM about"))
        keys = self._all(lambda row: _columns(row, int, str), "SELECT epoch, key FROM epochs ORDER BY epoch")
        if about.get("format") != FORMAT or not {"node", "origin"} <= about.keys() or not keys:
            raise self.damaged("it does not say whose log it is")
        try:
            return LogIdentity(about["node"], about["origin"], {epoch: PublicKey.from_text(key) for epoch, key in keys})
        except UsageError:
            raise self.damaged("the key of its checkpoints cannot be read") from None

    def add_missing_index(self) -> None:
        """Add to a log of an earlier version the index of who may what."""
        if not self._one(bool, "SELECT 1 FROM sqlite_master WHERE name = 'entries_of_access'"):
            with self.writing() as connection:
                connection.execute(_ACCESS_INDEX)

    def faults(self, limit: int) -> list[str]:
        """What SQLite finds wrong in the file: pages that cannot be read, indexes that do not fit their tables."""
        found = self._all(lambda row: _columns(row, str)[0], f"PRAGMA integrity_check({limit:d})")
        return [] if found == ["ok"] else found

    def add_epoch(self, epoch: int, key: str) -> None:
        """Note the public key of an epoch's checkpoints."""
        self._connection.execute("INSERT INTO epochs VALUES (?, ?)", (epoch, key))

    # -- entries -----------------------------------------------------------------------------------------------------

    def add_batch(self, batch: Batch, entries: Sequence[Entry], grown: Iterable[Subtree]) -> None:
        """Write one batch: its entries, the subtrees that they complete, and its checkpoint."""
        epoch, run = batch.epoch, self._connection.executemany
        run(
            "INSERT INTO entries VALUES (?, ?, ?, ?)",
            [(one.place, bytes.fromhex(one.statement_id), one.statement.kind, one.line) for one in entries],
        )
        run(
            "INSERT INTO subjects VALUES (?, ?)",
            [(bytes.fromhex(item.sha256), entry.place) for entry in entries for item in entry.statement.subjects],
        )
        run("INSERT INTO nodes VALUES (?, ?)", [(_node(epoch, part.start, part.stop), part.hash) for part in grown])
        stop, start = place_of(epoch, batch.stop), place_of(epoch, batch.start)
        self._connection.execute("INSERT INTO batches VALUES (?, ?, ?)", (stop, start, batch.checkpoint))

    def row(self, place: int) -> Row | None:
        """The entry at a place."""
        return self._one(_row, f"{_ENTRY} WHERE place = ?", place)

    def row_of(self, statement_id: str) -> Row | None:
        """The entry of a statement."""
        return self._one(_row, f"{_ENTRY} WHERE id = ?", bytes.fromhex(statement_id))

    def rows(self, start: int, stop: int, limit: int) -> list[Row]:
        """Entries between two places, at most so many."""
        return self._all(_row, f"{_ENTRY} WHERE place >= ? AND place < ? ORDER BY place LIMIT ?", start, stop, limit)

    def rows_about(self, sha256: str, kinds: Sequence[str] = ()) -> list[Row]:
        """Every entry about a subject, of some kinds only where those are named, oldest first."""
        marks = f" AND kind IN ({', '.join('?' * len(kinds))})" if kinds else ""
        return self._all(_row, f"{_ABOUT}{marks} ORDER BY place", bytes.fromhex(sha256), *kinds)

    def bytes_about(self, sha256: str) -> int:
        """Bytes of every entry about a subject, none of which is read."""
        query = "SELECT total(length(line)) FROM entries WHERE place IN (SELECT place FROM subjects WHERE sha256 = ?)"
        return int(self._one(lambda row: _columns(row, float)[0], query, bytes.fromhex(sha256)) or 0)

    def rows_of_keys(self) -> list[Row]:
        """Every entry that says which key is whose, oldest first."""
        return self._all(_row, f"{_of_kinds(KEY_KINDS)} ORDER BY place", 0)

    def rows_of_access(self, start: int) -> list[Row]:
        """Every entry from a place on that says which key is whose or who may what, oldest first.

        One question, for one state of the file: between two, another process may append.
        """
        query = f"{_of_kinds(KEY_KINDS)} UNION ALL {_of_kinds(ACCESS_KINDS)} ORDER BY place"
        return self._all(_row, query, start, start)

    def rows_of_kind(self, kind: str) -> list[Row]:
        """Every entry of a kind, oldest first; the whole table is looked through."""
        return self._all(_row, f"{_ENTRY} WHERE kind = ? ORDER BY place", kind)

    def last_about(self, sha256: str) -> str | None:
        """Id of the newest statement about a subject."""
        query = "SELECT id FROM entries WHERE place = (SELECT max(place) FROM subjects WHERE sha256 = ?)"
        return self._one(lambda row: _columns(row, bytes)[0].hex(), query, bytes.fromhex(sha256))

    def is_about(self, place: int, sha256: str) -> bool:
        """Whether the index by subject leads to an entry."""
        query = "SELECT 1 FROM subjects WHERE sha256 = ? AND place = ?"
        return bool(self._one(bool, query, bytes.fromhex(sha256), place))

    def size(self, epoch: int) -> int:
        """Entries of an epoch, by its newest batch."""
        newest = self.newest_batch(epoch)
        return newest.stop if newest else 0

    def hashes(self, epoch: int) -> RangeHash:
        """Gives the hash of each complete subtree of an epoch's tree. Raises `IntegrityError` where it is lost."""

        def look_up(start: int, stop: int) -> bytes:
            found = self.hash_of(epoch, start, stop)
            if len(found) != HASH_SIZE:
                raise self.damaged(f"the hash of the entries {start} to {stop - 1} of epoch {epoch} is lost")
            return found

        return look_up

    def hash_of(self, epoch: int, start: int, stop: int) -> bytes:
        """The hash of a complete subtree of an epoch's tree; empty where the file has lost it."""
        with self.reading() as connection:
            found = connection.execute(_HASH, (_node(epoch, start, stop),)).fetchone()
            return _columns(found, bytes)[0] if found else b""

    # -- batches and who has seen them -------------------------------------------------------------------------------

    def newest_batch(self, epoch: int) -> Batch | None:
        """The last transaction of an epoch."""
        query = f"{_BATCH} WHERE stop >= ? AND stop < ? ORDER BY stop DESC LIMIT 1"
        return self._one(_batch, query, place_of(epoch, 0), place_of(epoch + 1, 0))

    def batch_to(self, epoch: int, size: int) -> Batch | None:
        """The transaction after which an epoch had so many entries."""
        return self._one(_batch, f"{_BATCH} WHERE stop = ?", place_of(epoch, size))

    def batches(self, epoch: int) -> list[Batch]:
        """Every transaction of an epoch, oldest first; the first, of no entry, began it."""
        query = f"{_BATCH} WHERE stop >= ? AND stop < ? ORDER BY stop"
        return self._all(_batch, query, place_of(epoch, 0), place_of(epoch + 1, 0))

    def batches_after(self, place: int, limit: int) -> list[Batch]:
        """Transactions that added entries at or after a place, oldest first, at most so many."""
        return self._all(_batch, f"{_BATCH} WHERE stop > ? AND stop > start ORDER BY stop LIMIT ?", place, limit)

    def count_unmirrored(self) -> int:
        """How many transactions added entries that no mirror had when it was last seen."""
        reached = "SELECT coalesce(max(place), 0) FROM mirrors"
        query = f"SELECT count(*) FROM batches WHERE stop > ({reached}) AND stop > start"  # noqa: S608
        return self._one(_number, query) or 0

    def mirrors(self) -> dict[str, int]:
        """How far each mirror had got: the place of the next entry that it lacks."""
        return dict(self._all(lambda row: _columns(row, str, int), "SELECT url, place FROM mirrors"))

    def set_mirror(self, url: str, place: int) -> None:
        """Note how far a mirror has got."""
        self._connection.execute("INSERT OR REPLACE INTO mirrors VALUES (?, ?)", (url, place))

    def forget_mirror(self, url: str) -> None:
        """Forget how far a mirror had got."""
        self._connection.execute("DELETE FROM mirrors WHERE url = ?", (url,))

    def show(self, epoch: int, size: int) -> None:
        """Note that the checkpoint of so many entries leaves this node."""
        self._connection.execute("INSERT OR IGNORE INTO shown VALUES (?)", (place_of(epoch, size),))

    def shown(self, epoch: int, limit: int) -> list[int]:
        """Sizes of the checkpoints of an epoch that have left this node, the newest so many."""
        query = "SELECT place FROM shown WHERE place >= ? AND place < ? ORDER BY place DESC LIMIT ?"
        found = self._all(_number, query, place_of(epoch, 0), place_of(epoch + 1, 0), limit)
        return [position_of(place)[1] for place in found]

    # -- asking ------------------------------------------------------------------------------------------------------

    def _all(self, make: Callable[[Any], _T], query: str, *values: Any) -> list[_T]:
        with self.reading() as connection:
            return [make(found) for found in connection.execute(query, values).fetchall()]

    def _one(self, make: Callable[[Any], _T], query: str, *values: Any) -> _T | None:
        with self.reading() as connection:
            found = connection.execute(query, values).fetchone()
            return None if found is None else make(found)

    def _ours(self, error: Exception) -> DiademError:
        found = super()._ours(error)
        if isinstance(found, IntegrityError):
            found.next = _advice(self.path)
        return found


def _advice(path: Path) -> str:
    """What to do about a log that is damaged or gone; it reads what the node still knows, so only when it is needed."""
    return (
        "This restores the log from a store, as a new epoch, and keeps the folder of the damaged log beside it: "
        + recover_here(path.parent.parent)
    )


def signed_checkpoint(origin: str, epoch: int, frontier: Frontier, key: PrivateKey) -> str:
    """The signed note of a tree as it is now."""
    return sign_checkpoint(Checkpoint(log_origin(origin, epoch), frontier.size, frontier.root()), key)


def edge(hashes: RangeHash, size: int) -> Frontier:
    """The right edge of the tree of the first `size` entries."""
    parts, start = [], 0
    while start < size:
        width = 1 << ((size - start).bit_length() - 1)
        parts.append(hashes(start, start + width))
        start += width
    return Frontier.from_bytes(size.to_bytes(8, "big") + b"".join(parts))


def _of_kinds(kinds: Sequence[str]) -> str:
    """Entries of kinds that have an index of their own: it is used where they stand in the text as they do in it."""
    marks = ", ".join(f"'{kind}'" for kind in kinds)
    return f"{_ENTRY} WHERE kind IN ({marks}) AND place >= ?"


def _node(epoch: int, start: int, stop: int) -> int:
    """The in-order number of a complete subtree: each has its own, and neighbours lie close together."""
    return epoch * 2 * MAX_ENTRIES + start + stop - 1


def _row(found: Any) -> Row:
    place, statement_id, kind, line, leaf = _columns(found, int, bytes, str, bytes, bytes | None)
    return Row(place, statement_id.hex(), kind, line, leaf or b"")


def _batch(found: Any) -> Batch:
    start, stop, checkpoint = _columns(found, int, int, str)
    epoch, end = position_of(stop)
    return Batch(epoch, position_of(start)[1], end, checkpoint)


def _number(found: Any) -> int:
    return int(_columns(found, int)[0])


def _columns(found: Any, *kinds: Any) -> Any:
    """The columns of a row, if they are of the form in which they were written."""
    if not all(map(isinstance, found, kinds)):
        raise sqlite3.DatabaseError("a value is not of the form in which it was written")
    return found
