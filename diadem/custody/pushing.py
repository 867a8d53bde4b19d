"""Bringing the mirrors of a log up to date, and noticing that one of them knows more than the log does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from diadem.custody.database import Database, advice
from diadem.custody.entries import Entry, place_of, position_of
from diadem.custody.keyring import KeyRing
from diadem.custody.mirror import Head, Mirror, batch_key, head_key, pack_batch, read_head, unpack_batch
from diadem.custody.remedies import recover_command
from diadem.custody.tables import Batch, Tables
from diadem.custody.trees import edge, log_origin, root_at
from diadem.errors import DiademError, DocumentError, IntegrityError, Refused, UsageError
from diadem.store.system import FileLock
from diadem.trust.keys import PublicKey
from diadem.trust.note import open_checkpoint
from diadem.trust.tree import leaf_hash

LOCK: Final = "push.lock"
#: Entries and bytes from which on further batches go into the next object, where several are owed.
_OBJECT_ENTRIES: Final = 1000
_OBJECT_BYTES: Final = 4 << 20
#: Transactions that are looked at for one object.
_OBJECT_BATCHES: Final = 1000
#: Seconds for which appends leave a mirror alone that did not answer, so that not each of them waits for it.
_REST: Final = 60.0
#: Seconds that an append waits while another thread or process pushes; what it leaves, the next one takes along.
_TURN: Final = 5.0
#: The same for who wants to have everything paid: another process may have years of the log to write.
_LONG_TURN: Final = 3600.0
_NO_TURN: Final = "another process is writing the log into it, or the lock for that cannot be had"


class OtherLog(Refused):
    """A mirror holds more than the log does, or another log."""


@dataclass(frozen=True, slots=True)
class Superseded:
    """That the log went on elsewhere.

    Attributes
    ----------
    message : str
        What a mirror holds, in words.
    mirror : str
        Its address.
    """

    message: str
    mirror: str


@dataclass(frozen=True, slots=True)
class _Owed:
    """One object that a mirror lacks."""

    epoch: int
    start: int
    lines: list[bytes]
    checkpoint: str


class MirrorDesk:
    """The mirrors of one log.

    Parameters
    ----------
    data : Database
        The log's file.
    node, origin : str
        As in `Ledger`.
    keys : mapping of int to PublicKey
        Key of the checkpoints of each epoch.
    """

    def __init__(self, data: Database, node: str, origin: str, keys: Mapping[int, PublicKey]) -> None:
        self.mirrors: Sequence[Mirror] = ()
        self._data, self._node, self._origin, self._keys = data, node, origin, keys
        self._met: set[str] = set()
        self._resting: dict[str, float] = {}
        self._fault: OtherLog | IntegrityError | None = None
        self._guard = threading.Lock()
        self._lock_path = data.path.parent / LOCK

    # -- what the ledger calls ---------------------------------------------------------------------------------------

    def check(self) -> None:
        """Meet every mirror once. Raises `Refused` where one knows more than the log."""
        if self._fault is not None:
            raise self._fault
        new = [mirror for mirror in self._listed() if mirror.url not in self._met and not self._rests(mirror.url)]
        if new:
            with self._turn(_TURN) as mine:
                for mirror in new:
                    self._attempt(mirror, pay=False, note=mine)
        if self._fault is not None:
            raise self._fault

    def superseded(self) -> Superseded | None:
        """What a mirror holds that this log does not, by its own word: one small read of each; nothing is noted."""
        for mirror in self._listed():
            try:
                self._said(mirror)
            except OtherLog as error:
                return Superseded(error.message, mirror.url)
            except (DiademError, OSError):  # it does not answer, or cannot be read: it says nothing against the log
                continue
        return None

    def push_quietly(self) -> None:
        """Pay what can be paid; nothing that a mirror does stops the caller."""
        due = [mirror for mirror in self._listed() if not self._rests(mirror.url)]
        if due:
            with self._turn(_TURN) as mine:
                for mirror in due if mine else ():
                    self._attempt(mirror)

    def push(self) -> dict[str, str]:
        """Pay everything; URL and reason of each mirror that could not be paid."""
        failed = {}
        with self._turn(_LONG_TURN) as mine:
            if not mine:
                return dict.fromkeys((mirror.url for mirror in self._listed()), _NO_TURN)
            for mirror in self._listed():
                if (reason := self._attempt(mirror)) is not None:
                    failed[mirror.url] = reason
        if self._fault is not None:
            raise self._fault
        return failed

    def reached(self) -> int:
        """The place of the first entry that no mirror is known to have."""
        with self._data.reading() as connection:
            return max(Tables(connection).mirrors().values(), default=0)

    def pending(self) -> int:
        """Batches that no mirror is known to have."""
        with self._data.reading() as connection:
            tables = Tables(connection)
            return tables.count_batches_after(max(tables.mirrors().values(), default=0))

    # -- one mirror --------------------------------------------------------------------------------------------------

    def _listed(self) -> tuple[Mirror, ...]:
        try:
            return tuple(
                iter(self.mirrors)
            )  # a tuple of the list itself would ask for its length first: each store twice
        except (DiademError, OSError):  # a live list of stores, none of which can be opened
            return ()

    def _rests(self, url: str) -> bool:
        return time.monotonic() < self._resting.get(url, 0.0)

    def _attempt(self, mirror: Mirror, *, pay: bool = True, note: bool = True) -> str | None:
        """Meet a mirror, and pay it; the reason in words where that fails."""
        try:
            if mirror.url not in self._met:
                place = self._meet(mirror)
                if note:
                    self._note(mirror, place)
                    self._met.add(mirror.url)
            if pay:
                self._pay(mirror)
        except (OtherLog, IntegrityError) as error:  # no mirror's fault: it stops the next append
            self._fault = error
            return error.message
        except (DiademError, OSError) as error:
            self._resting[mirror.url] = time.monotonic() + _REST
            return error.message if isinstance(error, DiademError) else f"{error}"
        self._resting.pop(mirror.url, None)
        return None

    def _meet(self, mirror: Mirror) -> int:
        """Compare a mirror with the log. What it has is read before what we have: a writer beside us does no harm.

        Returns
        -------
        int
            The place of the first entry that the mirror lacks.
        """
        place = self._followed(mirror, self._said(mirror))
        newest = max(self._keys)
        with self._data.reading() as connection:
            end = place_of(newest, Tables(connection).size(newest))
        if place < end:
            self._followed(mirror, end)
        return place

    def _followed(self, mirror: Mirror, place: int) -> int:
        """The end of the run of objects that begins at a place and that our log has too: mostly there is none."""
        while True:
            epoch, start = position_of(place)
            data = mirror.get(batch_key(self._node, epoch, start))
            try:
                lines = self._compared(mirror, data, epoch, start) if data is not None else []
            except DocumentError:  # damaged: it is written again
                lines = []
            if not lines:
                return place
            place += len(lines)

    def _said(self, mirror: Mirror) -> int:
        """How far the mirror's head says that it goes; raises where that is further than, or beside, our log."""
        head = read_head(mirror, self._node)
        if head is None:
            return place_of(min(self._keys), 0)
        if head.epoch > max(self._keys) and self._is_begun(mirror, head):
            raise self._refused(mirror, f"holds epoch {head.epoch} of this log, and this is epoch {max(self._keys)}")
        if head.epoch not in self._keys:
            return place_of(min(self._keys), 0)
        try:
            seen = open_checkpoint(head.checkpoint, self._keys[head.epoch], log_origin(self._origin, head.epoch))
        except IntegrityError:  # damaged, or another log's: what the objects hold decides
            return place_of(head.epoch, 0)
        with self._data.reading() as connection:
            tables = Tables(connection)
            size = tables.size(head.epoch)
            root = root_at(lambda *part: tables.subtree(head.epoch, *part), seen.size) if seen.size <= size else b""
        if seen.size > size and head.epoch < max(self._keys):
            return place_of(head.epoch + 1, 0)  # it kept entries that the recovery could not read
        if seen.size > size:
            raise self._refused(mirror, f"holds {seen.size} entries of this log, and here are {size}")
        if root != seen.root:
            raise self._refused(mirror, "holds another log of this node")
        return place_of(head.epoch, seen.size)

    def _is_begun(self, mirror: Mirror, head: Head) -> bool:
        """Whether an epoch that we do not know is the node's: its checkpoint, or its beginning, is signed by its keys.

        Whoever can write in a store can say so, and would else stop the node.
        """
        for key in set(self._keys.values()):
            with suppress(IntegrityError):
                open_checkpoint(head.checkpoint, key, log_origin(self._origin, head.epoch))
                return True
        with suppress(DocumentError, UsageError):
            lines, _ = unpack_batch(mirror.get(batch_key(self._node, head.epoch, 0)) or b"", "")
            entries = [Entry.from_line(head.epoch, index, line) for index, line in enumerate(lines)]
            ring = KeyRing(self._node)
            ring.learn(entries)
            return entries[0].statement.kind == "recovery" and ring.judge(entries[0]).problem is None
        return False

    def _pay(self, mirror: Mirror) -> None:
        """Write what the mirror lacks, object by object; then say how far it goes."""
        with self._data.reading() as connection:
            begun = place = Tables(connection).mirrors().get(mirror.url, 0)
        while owed := self._owed(place):
            epoch, start = owed.epoch, owed.start
            key, data = batch_key(self._node, epoch, start), pack_batch(owed.lines, owed.checkpoint)
            if mirror.put(key, data, create=True):
                place = place_of(epoch, start + len(owed.lines))
            elif (place := self._followed(mirror, place_of(epoch, start))) == place_of(epoch, start):
                mirror.put(key, data)  # what is there cannot be read
        if place != begun:
            epoch, size = position_of(place)
            with self._data.reading() as connection:
                batch = Tables(connection).batch_to(epoch, size)
            text = batch.checkpoint if batch else ""
            mirror.put(head_key(self._node), Head(self._node, self._origin, epoch, size, text).to_bytes())
            self._note(mirror, place)

    def _owed(self, place: int) -> _Owed | None:
        """The next object that a mirror lacks: as many transactions as belong into one."""
        with self._data.reading() as connection:
            found = Tables(connection).batches_after(place, _OBJECT_BATCHES)
        if not found:
            return None
        first, (epoch, size) = found[0], position_of(place)
        if first.start > (size if first.epoch == epoch else 0):  # else the mirror would have a gap, and not know it
            raise self._damaged(f"a transaction before entry {first.start} of epoch {first.epoch} is lost")
        batches = [
            batch for batch in found if batch.epoch == first.epoch and batch.stop <= first.start + _OBJECT_ENTRIES
        ]
        batches = batches or [first]
        lines = self._lines(first.epoch, first.start, batches[-1].stop)
        while len(batches) > 1 and sum(map(len, lines)) > _OBJECT_BYTES:
            batches.pop()
            del lines[batches[-1].stop - first.start :]
        self._require_sound(batches[-1], first.start, lines)
        return _Owed(first.epoch, first.start, lines, batches[-1].checkpoint)

    def _require_sound(self, last: Batch, start: int, lines: list[bytes]) -> None:
        """That what goes to a mirror is what the checkpoint was signed over: a damaged log is not spread."""
        with self._data.reading() as connection:
            tables = Tables(connection)
            frontier = edge(lambda *part: tables.subtree(last.epoch, *part), start)
        for line in lines:
            frontier.append(leaf_hash(line))
        seen = open_checkpoint(last.checkpoint, self._keys[last.epoch], log_origin(self._origin, last.epoch))
        if (seen.size, seen.root) != (frontier.size, frontier.root()):
            raise self._damaged(f"the entries {start} to {last.stop - 1} of epoch {last.epoch} are not what was logged")

    def _lines(self, epoch: int, start: int, stop: int) -> list[bytes]:
        with self._data.reading() as connection:
            rows = Tables(connection).rows(place_of(epoch, start), place_of(epoch, stop), stop - start)
        return [row.line for row in rows]

    def _compared(self, mirror: Mirror, data: bytes, epoch: int, start: int) -> list[bytes]:
        """The lines of an object, all of which our log has too.

        Raises
        ------
        DocumentError
            It cannot be read, or nobody signed it.
        OtherLog
            It holds what our log does not.
        """
        lines, checkpoint = unpack_batch(data, batch_key(self._node, epoch, start))
        self._require_signed(epoch, start, lines, checkpoint)
        ours = self._lines(epoch, start, start + len(lines))
        if ours != lines[: len(ours)]:
            raise self._refused(mirror, f"holds another entry {start} in epoch {epoch} of this log")
        if len(ours) < len(lines):
            raise self._refused(
                mirror, f"holds {start + len(lines)} entries of this log, and here are {start + len(ours)}"
            )
        return lines

    def _require_signed(self, epoch: int, start: int, lines: list[bytes], checkpoint: str) -> None:
        """Raise `DocumentError` where a checkpoint is not the node's over these lines and those before them."""
        with self._data.reading() as connection:
            tables = Tables(connection)
            frontier = edge(lambda *part: tables.subtree(epoch, *part), start)
        for line in lines:
            frontier.append(leaf_hash(line))
        try:
            seen = open_checkpoint(checkpoint, self._keys[epoch], log_origin(self._origin, epoch))
        except (IntegrityError, KeyError) as error:
            raise DocumentError("its checkpoint is not signed by this log") from error
        if (seen.size, seen.root) != (frontier.size, frontier.root()):
            raise DocumentError("its checkpoint was signed over other entries")

    def _damaged(self, message: str) -> IntegrityError:
        return IntegrityError(
            f"the log is damaged: {message}", where=str(self._data.path), next=advice(self._data.path)
        )

    def _refused(self, mirror: Mirror, message: str) -> OtherLog:
        return OtherLog(
            f"the mirror {mirror.url} {message}: this node was brought back from an old copy, or runs twice",
            where=str(self._data.path),
            next="Nothing was appended. Stop the other node if there is one; else restore this one from the store, "
            f"which begins a new epoch: {recover_command(store=mirror.url)}",
        )

    # -- what is remembered ------------------------------------------------------------------------------------------

    def _note(self, mirror: Mirror, place: int) -> None:
        """Remember how far a mirror has got. A note that a power cut loses is found again when the mirror is met."""
        with self._data.reading() as connection:
            if Tables(connection).mirrors().get(mirror.url) == place:
                return
        with self._data.writing(durable=False) as connection:
            Tables(connection).set_mirror(mirror.url, place)

    @contextmanager
    def _turn(self, limit: float) -> Iterator[bool]:
        """Be the only one that pushes, of all threads and processes; False where that cannot be had in time."""
        if not self._guard.acquire(timeout=limit):
            yield False
            return
        lock = FileLock(self._lock_path)
        try:
            try:
                mine = lock.acquire(wait=limit)
            except DiademError:
                mine = False
            yield mine
        finally:
            lock.release()
            self._guard.release()
