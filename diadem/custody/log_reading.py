"""Reading the log of a node: entries by place, id and subject, and what is wrong where the file is damaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final, Self

from diadem.custody import database
from diadem.custody.database import Database
from diadem.custody.entries import MAX_EPOCHS, Entry, place_of, position_of
from diadem.custody.tables import Row, Tables
from diadem.custody.trees import Tip, edge, log_origin
from diadem.errors import IntegrityError, NotFound, UsageError
from diadem.trust import tree
from diadem.trust.keys import PublicKey
from diadem.trust.note import Checkpoint, open_checkpoint

FORMAT: Final = "diadem-log/1"
#: Entries that are read from the file at once.
_PAGE: Final = 500


class LogReader:
    """The log of a node, as it is read.

    Attributes
    ----------
    node : str
        Node id, 64 hex digits.
    origin : str
        Origin of the checkpoints, without the epoch.
    epoch : int
        The tree that is written now. Each recovery begins a new one; the entries of earlier ones stay.
    """

    def __init__(self, data: Database) -> None:
        self._data = data
        self._verified: Checkpoint | None = None
        self._verified_text = ""
        with data.reading() as connection:
            tables = Tables(connection)
            about = self._about(tables)
            self._keys = {epoch: self._key(text) for epoch, text in tables.epochs().items()}
        self.node, self.origin = about["node"], about["origin"]
        self.epoch = max(self._keys)
        with data.reading() as connection:
            self._tip(Tables(connection))
        if self.size_of(min(self._keys)):
            self.entry(0, epoch=min(self._keys))  # whose log it is stands there, hashed and signed

    def _key(self, text: str) -> PublicKey:
        try:
            return PublicKey.from_text(text)
        except UsageError:
            raise self._damaged("the key of its checkpoints cannot be read") from None

    def _about(self, tables: Tables) -> dict[str, str]:
        """What the file says that it is."""
        if tables.marks() != (database.APPLICATION, database.VERSION) or not tables.exist():
            raise self._damaged("it is not a log of this version of DIADEM")
        about = tables.about()
        if about.get("format") != FORMAT or not {"node", "origin"} <= about.keys() or not tables.epochs():
            raise self._damaged("it does not say whose log it is")
        return about

    def close(self) -> None:
        """Let go of the file."""
        self._data.close()

    def __enter__(self) -> Self:
        """The log itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Entries of this epoch."""
        return self.size_of(self.epoch)

    def size_of(self, epoch: int) -> int:
        """Entries of an epoch."""
        with self._data.reading() as connection:
            return Tables(connection).size(epoch)

    @property
    def epochs(self) -> tuple[int, ...]:
        """Every epoch that this log holds, oldest first."""
        return tuple(sorted(self._keys))

    def checkpoint(self, *, epoch: int | None = None, size: int | None = None) -> str:
        """The signed note of the newest checkpoint, or of the one after so many entries.

        Raises
        ------
        NotFound
            No transaction ended at that size.
        """
        with self._data.reading() as connection:
            tables, epoch = Tables(connection), epoch or self.epoch
            batch = tables.newest_batch(epoch) if size is None else tables.batch_to(epoch, size)
        if batch is None:
            raise NotFound(f"there is no checkpoint of {size} entries in epoch {epoch}", where=str(self._data.path))
        return batch.checkpoint

    @property
    def total(self) -> int:
        """Entries of all epochs."""
        return sum(map(self.size_of, self.epochs))

    def log_key(self, epoch: int | None = None) -> PublicKey:
        """The key that signs the checkpoints of an epoch."""
        return self._keys[epoch or self.epoch]

    def entry(self, index: int, *, epoch: int | None = None) -> Entry:
        """The entry at an index.

        Raises
        ------
        NotFound
            There is none.
        """
        epoch = epoch or self.epoch
        with self._data.reading() as connection:
            row = Tables(connection).row(place_of(epoch, index)) if index >= 0 else None
        return self._parsed(row, f"there is no entry {index} in epoch {epoch}")

    def by_id(self, statement_id: str) -> Entry:
        """The entry of a statement, by its whole id."""
        with self._data.reading() as connection:
            row = Tables(connection).row_of(statement_id)
        return self._parsed(row, f"there is no statement {statement_id[:12]}… in the log")

    def of_subject(self, sha256: str, kinds: Sequence[str] = ()) -> list[Entry]:
        """Everything that the log says about a subject, or what some kinds do, of all epochs, oldest first."""
        with self._data.reading() as connection:
            rows = Tables(connection).rows_about(sha256, kinds)
        return [self._parsed(row) for row in rows]

    def of_access(self, start: int = 0) -> list[Entry]:
        """Every entry from a place (`Entry.place`) on that says which key is whose or who may what, oldest first."""
        with self._data.reading() as connection:
            rows = Tables(connection).rows_of_access(start)
        return [self._parsed(row) for row in rows]

    def keys(self) -> list[Entry]:
        """Every entry that says which key is whose, and every recovery, of all epochs, oldest first."""
        with self._data.reading() as connection:
            rows = Tables(connection).rows_of_keys()
        return [self._parsed(row) for row in rows]

    def of_kind(self, kind: str) -> list[Entry]:
        """Every entry of a kind, of all epochs, oldest first. Looks through the whole log: for what is rare."""
        with self._data.reading() as connection:
            rows = Tables(connection).rows_of_kind(kind)
        return [self._parsed(row) for row in rows]

    def entries(self, start: int = 0, stop: int | None = None, *, epoch: int | None = None) -> Iterator[Entry]:
        """The entries of an epoch from `start` to `stop` (exclusive; None: to the end), read in pages."""
        epoch = epoch or self.epoch
        end = place_of(epoch, stop) if stop is not None else place_of(epoch + 1, 0)
        return self._between(place_of(epoch, start), end)

    def all_entries(self) -> Iterator[Entry]:
        """The entries of all epochs, as they were written."""
        return self._between(0, place_of(MAX_EPOCHS, 0))

    def _between(self, start: int, stop: int) -> Iterator[Entry]:
        while True:
            with self._data.reading() as connection:
                rows = Tables(connection).rows(start, stop, _PAGE)
            if not rows:
                return
            yield from map(self._parsed, rows)
            start = rows[-1].place + 1

    def _parsed(self, row: Row | None, absent: str = "") -> Entry:
        """The entry of a row, if it is still the line that the tree was made of, and what the row says that it is."""
        if row is None:
            raise NotFound(absent, where=str(self._data.path), next="Look at it with `diadem custody ID`.")
        epoch, index = position_of(row.place)
        try:
            entry = Entry.from_line(epoch, index, row.line)
        except UsageError as error:
            raise self._damaged(f"entry {index} of epoch {epoch} cannot be read: {error.message}") from None
        if entry.statement_id != row.id:
            raise self._damaged(f"entry {index} of epoch {epoch} is not the statement {row.id[:12]}… that it was")
        if (entry.leaf, entry.statement.kind, entry.statement.node) != (row.leaf, row.kind, self.node):
            raise self._damaged(f"entry {index} of epoch {epoch} is not what was logged")
        return entry

    # -- the tree ----------------------------------------------------------------------------------------------------

    def _hashes(self, tables: Tables, epoch: int) -> tree.RangeHash:
        """Hashes of the complete subtrees of an epoch."""

        def look_up(start: int, stop: int) -> bytes:
            found = tables.subtree(epoch, start, stop)
            if len(found) != tree.HASH_SIZE:
                raise self._damaged(f"the hash of the entries {start} to {stop - 1} of epoch {epoch} is lost")
            return found

        return look_up

    def _opened(self, text: str, epoch: int) -> Checkpoint:
        """A checkpoint of our own, its signature checked."""
        try:
            return open_checkpoint(text, self._keys[epoch], log_origin(self.origin, epoch))
        except IntegrityError as error:
            raise self._damaged(f"a checkpoint of epoch {epoch} does not hold: {error.message}") from None

    def _tip(self, tables: Tables) -> Tip:
        """Newest checkpoint and right edge of the tree, which must fit each other."""
        batch = tables.newest_batch(self.epoch)
        if batch is None:
            raise self._damaged("it has no checkpoint")
        if self._verified is None or self._verified_text != batch.checkpoint:
            self._verified, self._verified_text = self._opened(batch.checkpoint, self.epoch), batch.checkpoint
        frontier = edge(self._hashes(tables, self.epoch), batch.stop)
        if self._verified.size != batch.stop or self._verified.root != frontier.root():
            raise self._damaged("its tree is not the one of its newest checkpoint")
        return Tip(batch.stop, frontier)

    def _damaged(self, message: str) -> IntegrityError:
        return IntegrityError(
            f"the log is damaged: {message}", where=str(self._data.path), next=database.advice(self._data.path)
        )
