"""The mirrors of a log: what each holds, bringing it up to date, and noticing that one knows more than the log does.

A mirror has one object a push, never changed, and a small one that says how far it goes::

    nodes/<first 16 hex of the node id>/log/<epoch>/<first index>.jsonl    envelopes, one a line; then the checkpoint
    nodes/<first 16 hex of the node id>/head.json                          epoch, size and checkpoint of the newest

Keys are relative to a store's ``.diadem/``. An object holds whole transactions of the log, so that its last line, the
signed checkpoint, vouches for every line of it and of those before.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from diadem.custody.keyring import KeyRing
from diadem.custody.log_entry import MAX_ENTRIES, MAX_EPOCHS, Entry, log_origin, place_of, position_of
from diadem.custody.log_tables import Batch, LogFile, LogIdentity, edge
from diadem.custody.remedies import recover_command
from diadem.errors import DiademError, DocumentError, IntegrityError, Refused, UsageError
from diadem.model.canonical import decode, encode
from diadem.store.own_files import home_of
from diadem.store.system import FileLock
from diadem.trust.note import MAX_NOTE, open_checkpoint
from diadem.trust.tree import Frontier, leaf_hash

HEAD_FORMAT: Final = "diadem-head/1"
LOCK: Final = "push.lock"
#: Bytes of the object that says how far a mirror goes: a checkpoint and a few words.
_MAX_HEAD: Final = MAX_NOTE + 4096
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


class Mirror(Protocol):
    """Where the log is copied to: a store's own files (`diadem.store.contract.Store`)."""

    @property
    def url(self) -> str:
        """The mirror's address; by it the log remembers how far the mirror has got."""

    def get(self, key: str) -> bytes | None:
        """A file, or None where there is none."""

    def put(self, key: str, data: bytes, *, create: bool = False) -> bool:
        """Write a file, whole and durable when this returns; with `create` never over another.

        False: it was there, with other content.
        """

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys of the files below a folder, sorted."""


@dataclass(frozen=True, slots=True)
class Superseded:
    """That the log went on elsewhere: what a mirror holds, in words, and its address."""

    message: str
    mirror: str


# -- what a mirror holds -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Head:
    """How far a mirror goes, by its own word: epoch and size of the newest checkpoint, and that signed note."""

    node: str
    origin: str
    epoch: int
    size: int
    checkpoint: str

    def to_bytes(self) -> bytes:
        """The object."""
        return encode({"format": HEAD_FORMAT, **asdict(self)}, where="head.json") + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Head:
        """The head that such an object says. Raises `DocumentError` where it is none."""
        found = decode(data.removesuffix(b"\n"), where="head.json", limit=_MAX_HEAD)
        if not isinstance(found, dict) or found.get("format") != HEAD_FORMAT:
            raise DocumentError(f"no object of the form {HEAD_FORMAT}", where="head.json")
        texts = [found.get(name) for name in ("node", "origin", "checkpoint")]
        if not all(isinstance(text, str) for text in texts):
            raise DocumentError("node, origin and checkpoint are expected as texts", where="head.json")
        for name, limit in (("epoch", MAX_EPOCHS), ("size", MAX_ENTRIES)):
            if type(found.get(name)) is not int or not 0 <= found[name] < limit:
                raise DocumentError("its epoch and size are not counts", where="head.json")
        return cls(found["node"], found["origin"], found["epoch"], found["size"], found["checkpoint"])


def read_head(mirror: Mirror, node: str) -> Head | None:
    """How far a mirror goes by its own word; None where it does not say, or says it of another node.

    The word is not proven: recovery reads and checks every batch.
    """
    data = mirror.get(head_key(node))
    try:
        head = Head.from_bytes(data) if data is not None else None
    except DocumentError:
        return None
    return head if head is not None and head.node == node else None


def head_key(node: str) -> str:
    """Key of the object that says how far the mirror goes."""
    return f"{home_of(node)}/head.json"


def log_folder(node: str) -> str:
    """Folder of all batches of a node."""
    return f"{home_of(node)}/log"


def batch_key(node: str, epoch: int, start: int) -> str:
    """Key of the object that begins with an entry."""
    return f"{log_folder(node)}/{epoch:04d}/{start:010d}.jsonl"


def position_of_key(key: str) -> tuple[int, int] | None:
    """Epoch and first index of such a key; None for another."""
    folder, _, name = key.rpartition("/")
    epoch, start = folder.rpartition("/")[2], name.removesuffix(".jsonl")
    if not name.endswith(".jsonl") or not (epoch + start).isascii() or not (epoch.isdigit() and start.isdigit()):
        return None
    if len(epoch) > 7 or len(start) > 12 or not 0 < int(epoch) < MAX_EPOCHS:
        return None
    return int(epoch), int(start)


def pack_batch(lines: Sequence[bytes], checkpoint: str) -> bytes:
    """The object of some entries and the checkpoint after them."""
    last = encode({"checkpoint": checkpoint}, where="batch")
    return b"".join(line + b"\n" for line in [*lines, last])


def unpack_batch(data: bytes, where: str) -> tuple[list[bytes], str]:
    """Lines and checkpoint of such an object. The lines are not looked into.

    Raises `DocumentError` where it does not end with a checkpoint: torn, or something else.
    """
    *lines, last, rest = data.split(b"\n") if data.count(b"\n") > 1 else [b"", b"", b"?"]
    if rest:
        raise DocumentError("its last line is cut off, or there is no entry in it", where=where)
    found: Any = decode(last, where=where, limit=_MAX_HEAD)
    if not isinstance(found, dict) or found.keys() != {"checkpoint"} or not isinstance(found["checkpoint"], str):
        raise DocumentError("its last line is not a checkpoint", where=where)
    return lines, found["checkpoint"]


# -- the mirrors of one log --------------------------------------------------------------------------------------------


class LogMirrors:
    """The mirrors of one log.

    Attributes
    ----------
    stores : iterable of Mirror
        The mirrors; looked at anew at each push, so that it may be a live list.
    """

    def __init__(self, file: LogFile, log: LogIdentity) -> None:
        self.stores: Iterable[Mirror] = ()
        self._file, self._log = file, log
        self._met: set[str] = set()
        self._resting: dict[str, float] = {}
        self._fault: OtherLog | IntegrityError | None = None
        self._guard = threading.RLock()  # a thread that was interrupted while it had it does not wait for itself
        self._lock = FileLock(file.path.parent / LOCK)

    def check(self) -> None:
        """Compare the log with its mirrors, each once in the life of this object; a few small reads a mirror.

        A mirror that does not answer is compared when it does, before anything is written to it. Raises `Refused` where
        one holds more than this log, or another: this one was brought back from a backup, or copied.
        """
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
        """Why nothing more can be appended, where a mirror says that the log went on elsewhere; None where none does.

        One small read of each mirror that answers, each time: another node may have begun since. Nothing is noted.
        """
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
        """Pay everything; URL and reason of each mirror that could not be paid. Raises as `check` does."""
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

    def lack(self, place: int) -> str:
        """Why no mirror has the entry at a place, though all were pushed to; "" where one has it."""
        if self.reached() > place:
            return ""
        failed = self.push()
        if self.reached() > place:
            return ""
        return "; ".join(f"{url}: {reason}" for url, reason in failed.items()) or "no store answers"

    def reached(self) -> int:
        """The place of the first entry that no mirror is known to have."""
        return max(self._file.mirrors().values(), default=0)

    def pending(self) -> int:
        """Batches that no mirror is known to have: if this disk is lost now, they are lost with it."""
        return self._file.count_unmirrored()

    def forget(self, url: str) -> None:
        """Count a mirror no more that is given up, or lies elsewhere now. One that comes back is met anew."""
        with self._file.writing():
            self._file.forget_mirror(url)
        self._met.discard(url)

    def _listed(self) -> tuple[Mirror, ...]:
        try:
            return tuple(iter(self.stores))  # a tuple of the list itself would ask for its length first
        except (DiademError, OSError):  # a live list of stores, none of which can be opened
            return ()

    def _rests(self, url: str) -> bool:
        return time.monotonic() < self._resting.get(url, 0.0)

    @contextmanager
    def _turn(self, limit: float) -> Iterator[bool]:
        """Be the only one that pushes, of all threads and processes; False where that cannot be had in time."""
        if not self._guard.acquire(timeout=limit):
            yield False
            return
        try:
            self._lock.release()  # which an interruption may have left held
            try:
                mine = self._lock.acquire(wait=limit)
            except DiademError:
                mine = False
            yield mine
        finally:
            try:
                self._lock.release()
            finally:
                self._guard.release()

    # -- one mirror --------------------------------------------------------------------------------------------------

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
        """Compare a mirror with the log; returns the place of the first entry that the mirror lacks.

        What it has is read before what we have: a writer beside us does no harm.
        """
        place = self._followed(mirror, self._said(mirror))
        end = place_of(self._log.newest, self._file.size(self._log.newest))
        if place < end:
            self._followed(mirror, end)
        return place

    def _said(self, mirror: Mirror) -> int:
        """How far the mirror's head says that it goes; raises where that is further than, or beside, our log."""
        head = read_head(mirror, self._log.node)
        if head is None:
            return place_of(self._log.first, 0)
        if head.epoch > self._log.newest and self._is_begun(mirror, head):
            raise self._refused(mirror, f"holds epoch {head.epoch} of this log, and this is epoch {self._log.newest}")
        if head.epoch not in self._log.keys:
            return place_of(self._log.first, 0)
        try:
            seen = self._log.opened(head.checkpoint, head.epoch)
        except IntegrityError:  # damaged, or another log's: what the objects hold decides
            return place_of(head.epoch, 0)
        size = self._file.size(head.epoch)
        if seen.size > size and head.epoch < self._log.newest:
            return place_of(head.epoch + 1, 0)  # it kept entries that the recovery could not read
        if seen.size > size:
            raise self._refused(mirror, f"holds {seen.size} entries of this log, and here are {size}")
        if edge(self._file.hashes(head.epoch), seen.size).root() != seen.root:
            raise self._refused(mirror, "holds another log of this node")
        return place_of(head.epoch, seen.size)

    def _is_begun(self, mirror: Mirror, head: Head) -> bool:
        """Whether an epoch that we do not know is the node's: its checkpoint, or its beginning, is signed by its keys.

        Whoever can write in a store can say so, and would else stop the node.
        """
        for key in set(self._log.keys.values()):
            with suppress(IntegrityError):
                open_checkpoint(head.checkpoint, key, log_origin(self._log.origin, head.epoch))
                return True
        with suppress(DocumentError, UsageError):
            lines, _ = unpack_batch(mirror.get(batch_key(self._log.node, head.epoch, 0)) or b"", "")
            entries = [Entry.from_line(head.epoch, index, line) for index, line in enumerate(lines)]
            ring = KeyRing(self._log.node, entries)
            return entries[0].statement.kind == "recovery" and ring.judge(entries[0]).problem is None
        return False

    def _followed(self, mirror: Mirror, place: int) -> int:
        """The end of the run of objects that begins at a place and that our log has too: mostly there is none."""
        while True:
            epoch, start = position_of(place)
            data = mirror.get(batch_key(self._log.node, epoch, start))
            try:
                lines = self._compared(mirror, data, epoch, start) if data is not None else []
            except DocumentError:  # damaged: it is written again
                lines = []
            if not lines:
                return place
            place += len(lines)

    def _compared(self, mirror: Mirror, data: bytes, epoch: int, start: int) -> list[bytes]:
        """The lines of an object, all of which our log has too.

        Raises
        ------
        DocumentError
            It cannot be read, or nobody signed it.
        OtherLog
            It holds what our log does not.
        """
        lines, checkpoint = unpack_batch(data, batch_key(self._log.node, epoch, start))
        grown = self._grown(epoch, start, lines)  # damage of this log itself is no fault of the mirror
        try:
            seen = self._log.opened(checkpoint, epoch)
        except (IntegrityError, KeyError) as error:
            raise DocumentError("its checkpoint is not signed by this log") from error
        if (seen.size, seen.root) != (grown.size, grown.root()):
            raise DocumentError("its checkpoint was signed over other entries")
        ours = self._lines(epoch, start, start + len(lines))
        if ours != lines[: len(ours)]:
            raise self._refused(mirror, f"holds another entry {start} in epoch {epoch} of this log")
        if len(ours) < len(lines):
            raise self._refused(
                mirror, f"holds {start + len(lines)} entries of this log, and here are {start + len(ours)}"
            )
        return lines

    def _pay(self, mirror: Mirror) -> None:
        """Write what the mirror lacks, object by object; then say how far it goes."""
        begun = place = self._file.mirrors().get(mirror.url, 0)
        while (owed := self._owed(place)) is not None:
            last, lines = owed
            key, data = batch_key(self._log.node, last.epoch, last.start), pack_batch(lines, last.checkpoint)
            start = place_of(last.epoch, last.start)
            if mirror.put(key, data, create=True):
                place = start + len(lines)
            elif (place := self._followed(mirror, start)) == start:
                mirror.put(key, data)  # what is there cannot be read
        if place != begun:
            epoch, size = position_of(place)
            batch = self._file.batch_to(epoch, size)
            text = batch.checkpoint if batch else ""
            mirror.put(head_key(self._log.node), Head(self._log.node, self._log.origin, epoch, size, text).to_bytes())
            self._note(mirror, place)

    def _owed(self, place: int) -> tuple[Batch, list[bytes]] | None:
        """The next object that a mirror lacks, and its lines: as many transactions as belong into one."""
        found = self._file.batches_after(place, _OBJECT_BATCHES)
        if not found:
            return None
        first, (epoch, size) = found[0], position_of(place)
        if first.start > (size if first.epoch == epoch else 0):  # else the mirror would have a gap, and not know it
            raise self._file.damaged(f"a transaction before entry {first.start} of epoch {first.epoch} is lost")
        batches = [
            batch for batch in found if batch.epoch == first.epoch and batch.stop <= first.start + _OBJECT_ENTRIES
        ]
        batches = batches or [first]
        lines = self._lines(first.epoch, first.start, batches[-1].stop)
        while len(batches) > 1 and sum(map(len, lines)) > _OBJECT_BYTES:
            batches.pop()
            del lines[batches[-1].stop - first.start :]
        last = Batch(first.epoch, first.start, batches[-1].stop, batches[-1].checkpoint)
        grown, seen = self._grown(last.epoch, last.start, lines), self._log.opened(last.checkpoint, last.epoch)
        if (seen.size, seen.root) != (grown.size, grown.root()):  # a damaged log is not spread
            where = f"the entries {last.start} to {last.stop - 1} of epoch {last.epoch}"
            raise self._file.damaged(f"{where} are not what was logged")
        return last, lines

    def _lines(self, epoch: int, start: int, stop: int) -> list[bytes]:
        return [row.line for row in self._file.rows(place_of(epoch, start), place_of(epoch, stop), stop - start)]

    def _grown(self, epoch: int, start: int, lines: Sequence[bytes]) -> Frontier:
        """The tree of an epoch up to a place, with lines after it."""
        frontier = edge(self._file.hashes(epoch), start)
        for line in lines:
            frontier.append(leaf_hash(line))
        return frontier

    def _note(self, mirror: Mirror, place: int) -> None:
        """Remember how far a mirror has got. A note that a power cut loses is found again when the mirror is met."""
        if self._file.mirrors().get(mirror.url) != place:
            with self._file.writing(durable=False):
                self._file.set_mirror(mirror.url, place)

    def _refused(self, mirror: Mirror, message: str) -> OtherLog:
        return OtherLog(
            f"the mirror {mirror.url} {message}: this node was brought back from an old copy, or runs twice",
            where=str(self._file.path),
            next="Nothing was appended. Stop the other node if there is one; else restore this one from the store, "
            f"which begins a new epoch: {recover_command(store=mirror.url)}",
        )
