"""The signed log of a node: statements in the order in which they were said, and what proves that none was changed.

Read from the top: making and opening, appending, the mirrors; then reading, proving and checking what is there.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from diadem.custody.log_entry import MAX_EPOCHS, Entry, log_origin, place_of, position_of
from diadem.custody.log_mirrors import LogMirrors
from diadem.custody.log_tables import FILE, Batch, LogFile, Row, edge, signed_checkpoint
from diadem.errors import DiademError, IntegrityError, NotFound, Refused, UsageError
from diadem.model.ports import Closing, Listener, Progress, silent
from diadem.model.statements import Draft, Statement
from diadem.serialization.validation import read_statement, validate_draft
from diadem.trust import tree
from diadem.trust.envelope import Envelope, sign
from diadem.trust.keys import PrivateKey, PublicKey
from diadem.trust.note import Checkpoint
from diadem.trust.tree import Frontier, Subtree

__all__ = ["Entry", "Ledger", "Overtaken"]

Clock = Callable[[], datetime]
#: Entries that are read from the file at once.
_PAGE: Final = 500
#: Earlier checkpoints that an export proves itself consistent with, besides those that its reader names.
_SHOWN: Final = 64
#: Problems after which nobody reads on.
_ENOUGH: Final = 100


class Overtaken(Refused):
    """A statement that was prepared, and does not follow the last on its subject any more."""

    code = "overtaken"


class Ledger(Closing):
    """The log of a node. Safe to use from many threads, and from many processes at once.

    Make one with `create`, `open`, or `diadem.custody.log_recovery.recover`.

    Attributes
    ----------
    node : str
        Node id, 64 hex digits.
    origin : str
        Origin of the checkpoints, without the epoch.
    epoch : int
        The tree that is written now. Each recovery begins a new one; the entries of earlier ones stay.
    mirrors : LogMirrors
        Where every batch is copied to, and what is owed to them.
    fault : DiademError or None
        Why nothing can be appended, where the key cannot be opened.
    """

    def __init__(self, file: LogFile, log_key: PrivateKey | None, clock: Clock) -> None:
        self._file, self._log_key, self._clock = file, log_key, clock
        self._verified: Checkpoint | None = None
        self._verified_text = ""
        self._identity = file.identity()
        self.node, self.origin, self.epoch = self._identity.node, self._identity.origin, self._identity.newest
        self.fault: DiademError | None = None
        self._tell: Callable[[Sequence[Entry]], None] = lambda _: None
        self._edge()
        if self.size_of(self._identity.first):
            self.entry(0, epoch=self._identity.first)  # whose log it is stands there, hashed and signed
        if log_key is not None:
            file.add_missing_index()
        self.mirrors = LogMirrors(file, self._identity)
        if log_key is not None and log_key.public != self.log_key():
            raise file.wrong_key()

    # -- making and opening ------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: Path, *, origin: str, log_key: PrivateKey, node: str, epoch: int = 1, clock: Clock) -> Self:
        """A new, empty log in the node's ``log/``, which is made where it is not there.

        The origin names the log in its checkpoints: unique in the world, one line, no spaces and no plus sign. The
        clock gives aware times, and is asked once an append. Raises `Refused` where there is a log already.
        """
        folder.mkdir(parents=True, exist_ok=True)
        file = LogFile(folder / FILE, create=True)
        try:
            with file.writing():
                file.begin(node, origin)
                file.begin_epoch(origin, epoch, log_key)
            file.make_durable()
            return cls(file, log_key, clock)
        except BaseException:
            file.close()
            raise

    @classmethod
    def open(cls, folder: Path, log_key: PrivateKey | None = None, *, clock: Clock) -> Self:
        """The log in a folder; for reading only without its key.

        Raises `NotFound`, `IntegrityError` where the newest checkpoint does not fit the tree or the file is not a log,
        `Refused` where the key is another log's.
        """
        file = LogFile(folder / FILE, read_only=log_key is None)
        try:
            return cls(file, log_key, clock)
        except BaseException:
            file.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    # -- writing -----------------------------------------------------------------------------------------------------

    def append(
        self, drafts: Sequence[Draft], keys: Sequence[PrivateKey], *, user_keys: Sequence[PrivateKey] = ()
    ) -> list[Entry]:
        """Sign statements and append them: one transaction with its checkpoint, then the mirrors.

        All of them are in the log, on the disk, when this returns; or none is. A mirror that does not answer stops
        nothing: what it lacks is kept as debt (`LogMirrors.pending`, `push`). Every key signs every draft.

        Raises `DocumentError`, before anything is written, where a draft is not what its kind demands; `Refused` where
        the log was opened for reading only, or a mirror holds a longer or another log than this one.
        """
        signing = [*keys, *user_keys]
        for draft in drafts:
            validate_draft(draft)
        if not drafts:
            return []
        if not signing:
            raise UsageError("a statement needs a key to sign it")
        return self._append(lambda size: self._entered(drafts, signing, size))

    def prepared(self, draft: Draft) -> Statement:
        """A statement as it would be appended now, for somebody to sign whose key is elsewhere.

        Raises `DocumentError` where the draft is not what its kind demands.
        """
        validate_draft(draft)
        prev = {subject.sha256: self._file.last_about(subject.sha256) for subject in draft.subjects}
        return draft.entered(node=self.node, time=self._clock(), salt=secrets.token_hex(16), prev=prev)

    def append_signed(self, envelope: Envelope) -> Entry:
        """Append a statement that was `prepared` here and signed elsewhere: one transaction with its checkpoint.

        Whose signature it is, and whether they may say this, is for the caller to judge. Raises as `append` does, and
        `Overtaken` where something else was said of a subject meanwhile.
        """
        statement = read_statement(envelope.payload)
        if statement.node != self.node or statement.known is None:
            raise Refused("the statement was not prepared for this log", next="Have it prepared here.")

        def entered(size: int) -> list[Entry]:
            if any(self._file.last_about(sha256) != last for sha256, last in statement.prev.items()):
                raise Overtaken(
                    "something else was said of it after the statement was prepared", next="Have it prepared again."
                )
            return [Entry.of(self.epoch, size, envelope, statement)]

        return self._append(entered)[0]

    def _append(self, entered: Callable[[int], list[Entry]]) -> list[Entry]:
        """Write the entries that are made once the size of the log is known and stays; then mirrors and listener."""
        if self.fault is not None:
            raise self.fault
        if self._log_key is None:
            raise Refused(
                "this log was opened for reading", where=str(self._file.path), next="Open it with the node's log key."
            )
        self.mirrors.check()
        with self._file.writing():
            frontier = self._edge()
            start = frontier.size
            entries = entered(start)
            grown = [part for entry in entries for part in frontier.append(entry.leaf)]
            text = signed_checkpoint(self.origin, self.epoch, frontier, self._log_key)
            self._file.add_batch(Batch(self.epoch, start, frontier.size, text), entries, grown)
        self.mirrors.push_quietly()
        self._tell(entries)
        return entries

    def listen(self, listener: Callable[[Sequence[Entry]], None]) -> None:
        """Have one listener, in place of any before, told of what is appended from now on, once it is on the disk."""
        self._tell = listener

    def _entered(self, drafts: Sequence[Draft], keys: Sequence[PrivateKey], size: int) -> list[Entry]:
        """The drafts as signed entries, each linked to what was said before on its subjects."""
        now = self._clock()
        newest: dict[str, str | None] = {}
        entries = []
        for index, draft in enumerate(drafts, size):
            subjects = [subject.sha256 for subject in draft.subjects]
            prev = {sha: newest[sha] if sha in newest else self._file.last_about(sha) for sha in subjects}
            statement = draft.entered(node=self.node, time=now, salt=secrets.token_hex(16), prev=prev)
            entry = Entry.of(self.epoch, index, sign(statement.to_payload(), keys), statement)
            newest.update(dict.fromkeys(subjects, entry.statement_id))
            entries.append(entry)
        return entries

    def show(self, epoch: int, size: int) -> None:
        """Note that the checkpoint of so many entries leaves this node; a log opened for reading notes nothing."""
        if self._log_key is not None:
            with self._file.writing(durable=False):
                self._file.show(epoch, size)

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Entries of this epoch."""
        return self.size_of(self.epoch)

    def size_of(self, epoch: int) -> int:
        """Entries of an epoch."""
        return self._file.size(epoch)

    @property
    def total(self) -> int:
        """Entries of all epochs."""
        return sum(map(self.size_of, self.epochs))

    @property
    def epochs(self) -> tuple[int, ...]:
        """Every epoch that this log holds, oldest first."""
        return tuple(sorted(self._identity.keys))

    def log_key(self, epoch: int | None = None) -> PublicKey:
        """The key that signs the checkpoints of an epoch."""
        return self._identity.keys[epoch or self.epoch]

    def checkpoint(self, *, epoch: int | None = None, size: int | None = None) -> str:
        """The signed note of the newest checkpoint, or of the one after so many entries.

        Raises `NotFound` where no transaction ended at that size.
        """
        epoch = epoch or self.epoch
        batch = self._file.newest_batch(epoch) if size is None else self._file.batch_to(epoch, size)
        if batch is None:
            raise NotFound(f"there is no checkpoint of {size} entries in epoch {epoch}", where=str(self._file.path))
        return batch.checkpoint

    def entry(self, index: int, *, epoch: int | None = None) -> Entry:
        """The entry at an index. Raises `NotFound` where there is none."""
        epoch = epoch or self.epoch
        row = self._file.row(place_of(epoch, index)) if index >= 0 else None
        return self._parsed(row, f"there is no entry {index} in epoch {epoch}")

    def by_id(self, statement_id: str) -> Entry:
        """The entry of a statement, by its whole id."""
        return self._parsed(self._file.row_of(statement_id), f"there is no statement {statement_id[:12]}… in the log")

    def of_subject(self, sha256: str, kinds: Sequence[str] = ()) -> list[Entry]:
        """Everything that the log says about a subject, or what some kinds do, of all epochs, oldest first."""
        return [self._parsed(row) for row in self._file.rows_about(sha256, kinds)]

    def bytes_about(self, sha256: str) -> int:
        """Bytes of everything that the log says about a subject."""
        return self._file.bytes_about(sha256)

    def of_access(self, start: int = 0) -> list[Entry]:
        """Every entry from a place (`Entry.place`) on that says which key is whose or who may what, oldest first."""
        return [self._parsed(row) for row in self._file.rows_of_access(start)]

    def keys(self) -> list[Entry]:
        """Every entry that says which key is whose, and every recovery, of all epochs, oldest first."""
        return [self._parsed(row) for row in self._file.rows_of_keys()]

    def of_kind(self, kind: str) -> list[Entry]:
        """Every entry of a kind, of all epochs, oldest first. Looks through the whole log: for what is rare."""
        return [self._parsed(row) for row in self._file.rows_of_kind(kind)]

    def entries(self, start: int = 0, stop: int | None = None, *, epoch: int | None = None) -> Iterator[Entry]:
        """The entries of an epoch from `start` to `stop` (exclusive; None: to the end), read in pages."""
        epoch = epoch or self.epoch
        end = place_of(epoch, stop) if stop is not None else place_of(epoch + 1, 0)
        return self._between(place_of(epoch, start), end)

    def all_entries(self) -> Iterator[Entry]:
        """The entries of all epochs, as they were written."""
        return self._between(0, place_of(MAX_EPOCHS, 0))

    def _between(self, start: int, stop: int) -> Iterator[Entry]:
        while rows := self._file.rows(start, stop, _PAGE):
            yield from map(self._parsed, rows)
            start = rows[-1].place + 1

    def _parsed(self, row: Row | None, absent: str = "") -> Entry:
        """The entry of a row, if it is still the line that the tree was made of, and what the row says that it is."""
        if row is None:
            raise NotFound(absent, where=str(self._file.path), next="Look at it with `diadem custody ID`.")
        epoch, index = position_of(row.place)
        try:
            entry = Entry.from_line(epoch, index, row.line)
        except UsageError as error:
            message = f"entry {index} of epoch {epoch} cannot be read: {error.message}"
            raise self._file.damaged(message) from None
        if entry.statement_id != row.id:
            raise self._file.damaged(f"entry {index} of epoch {epoch} is not the statement {row.id[:12]}… that it was")
        if (entry.leaf, entry.statement.kind, entry.statement.node) != (row.leaf, row.kind, self.node):
            raise self._file.damaged(f"entry {index} of epoch {epoch} is not what was logged")
        return entry

    # -- the tree ----------------------------------------------------------------------------------------------------

    def _opened(self, text: str, epoch: int) -> Checkpoint:
        """A checkpoint of our own, its signature checked."""
        try:
            return self._identity.opened(text, epoch)
        except IntegrityError as error:
            raise self._file.damaged(f"a checkpoint of epoch {epoch} does not hold: {error.message}") from None

    def _edge(self) -> Frontier:
        """The right edge of the tree, which must fit the newest checkpoint."""
        batch = self._file.newest_batch(self.epoch)
        if batch is None:
            raise self._file.damaged("it has no checkpoint")
        if self._verified is None or self._verified_text != batch.checkpoint:
            self._verified, self._verified_text = self._opened(batch.checkpoint, self.epoch), batch.checkpoint
        frontier = edge(self._file.hashes(self.epoch), batch.stop)
        if self._verified.size != batch.stop or self._verified.root != frontier.root():
            raise self._file.damaged("its tree is not the one of its newest checkpoint")
        return frontier

    # -- proving: each proof is checked against a signed checkpoint before it is given to anyone ---------------------

    def inclusion(self, index: int, size: int | None = None, *, epoch: int | None = None) -> list[bytes]:
        """Proof that an entry is in the tree of the first `size` entries (RFC 9162); None: of all."""
        epoch = epoch or self.epoch
        return tree.inclusion_proof(index, self._file.hashes(epoch), self.size_of(epoch) if size is None else size)

    def consistency(self, first: int, size: int | None = None, *, epoch: int | None = None) -> list[bytes]:
        """Proof that the tree of `size` entries begins with that of the `first` (RFC 9162); None: of all."""
        epoch = epoch or self.epoch
        return tree.consistency_proof(first, self.size_of(epoch) if size is None else size, self._file.hashes(epoch))

    def root(self, size: int, *, epoch: int | None = None) -> bytes:
        """Root of the tree of the first `size` entries, 32 bytes."""
        return edge(self._file.hashes(epoch or self.epoch), size).root()

    def compare(self, text: str) -> Checkpoint:
        """Compare the log with a checkpoint that it signed earlier, and that someone kept.

        Raises `IntegrityError` where it did not, or where it no longer begins with what the checkpoint saw.
        """
        for epoch in reversed(self.epochs):
            if text.startswith(log_origin(self.origin, epoch) + "\n"):
                seen = self._identity.opened(text, epoch)
                if seen.size > self.size_of(epoch) or self.root(seen.size, epoch=epoch) != seen.root:
                    raise self._file.damaged(f"it does not begin with the {seen.size} entries that the checkpoint saw")
                return seen
        raise IntegrityError("a checkpoint of another log", where=text.partition("\n")[0][:120])

    def require_linked(self, found: Sequence[Entry], sha256: str) -> None:
        """That the entries about a subject follow each other without a gap; else the file has lost one.

        Only where a recovery could not read all of an epoch may a later epoch follow what is lost.
        """
        before: Entry | None = None
        for entry in found:
            prev = entry.statement.prev[sha256]
            begun = before.epoch if before is not None else self._identity.first
            if prev != (before.statement_id if before else None) and entry.epoch == begun:
                message = f"entry {entry.index} of epoch {entry.epoch} does not follow the one before it"
                raise self._file.damaged(message)
            before = entry

    def prove(self, entries: Iterable[Entry], size: int, *, epoch: int) -> list[list[bytes]]:
        """Inclusion proofs of entries of one epoch in its tree of `size` entries.

        Raises `IntegrityError` where an entry, or the tree, is not what the checkpoint was signed over.
        """
        opened = self._opened(self.checkpoint(epoch=epoch, size=size), epoch)
        proofs = []
        for entry in entries:
            proof = self.inclusion(entry.index, size, epoch=epoch)
            if not tree.verify_inclusion(entry.leaf, entry.index, size, proof, opened.root):
                raise self._file.damaged(f"entry {entry.index} of epoch {epoch} is not what was logged")
            proofs.append(proof)
        return proofs

    def shown(self, epoch: int, size: int, also: Iterable[int] = ()) -> list[tuple[int, bytes, list[bytes]]]:
        """Earlier trees that were shown outside: size, root, and the proof that the tree of `size` begins with it.

        The newest of them, and those of the sizes in `also`.
        """
        newest = self._opened(self.checkpoint(epoch=epoch, size=size), epoch).root
        found = []
        for known in sorted({*self._file.shown(epoch, _SHOWN), *also}):
            if 0 < known < size:
                root, proof = self.root(known, epoch=epoch), self.consistency(known, size, epoch=epoch)
                if not tree.verify_consistency(known, size, root, newest, proof):
                    raise self._file.damaged(f"it does not begin with the {known} entries of an earlier checkpoint")
                found.append((known, root, proof))
        return found

    # -- checking all of it: for a scrub, and where damage is suspected ----------------------------------------------

    def check(self, *, listener: Listener = silent) -> tuple[str, ...]:
        """Read everything, and say in words what is not as it was written, at most a hundred things.

        Every entry is parsed and hashed; the tree, every checkpoint, the indexes, and the link of each statement to the
        one before it are compared with what that gives. Other processes may append meanwhile.
        """
        problems = [f"its file: {fault}" for fault in self._file.faults(_ENOUGH)]
        newest: dict[str, str] = {}
        done, total = 0, self.total
        for epoch in self.epochs:
            size = self.size_of(epoch)
            for problem in self._check_epoch(epoch, size, newest):
                problems.append(problem)
                if len(problems) >= _ENOUGH:
                    return tuple(problems)
            done += size
            listener(Progress("check", done, total, item=f"epoch {epoch}", unit="files"))
        return tuple(problems)

    def _check_epoch(self, epoch: int, size: int, newest: dict[str, str]) -> Iterator[str]:
        frontier = Frontier()
        batches = self._file.batches(epoch)
        stops = {batch.stop: batch.checkpoint for batch in batches}
        if [batch.start for batch in batches] != [0, *(batch.stop for batch in batches[:-1])]:
            yield f"epoch {epoch}: its transactions do not follow each other"
        try:
            for entry in self.entries(0, size, epoch=epoch):
                if entry.index != frontier.size:
                    yield f"epoch {epoch}: entry {frontier.size} is not there"
                    return
                yield from self._check_entry(entry, frontier.append(entry.leaf), newest)
                text = stops.pop(frontier.size, None)
                if text is not None and self._opened(text, epoch).root != frontier.root():
                    yield f"epoch {epoch}: the checkpoint of {frontier.size} entries is not of these entries"
        except IntegrityError as error:
            yield f"epoch {epoch}: {error.message}"
            return
        if frontier.size != size:
            yield f"epoch {epoch}: entry {frontier.size} is not there"

    def _check_entry(self, entry: Entry, grown: list[Subtree], newest: dict[str, str]) -> Iterator[str]:
        """What the file keeps beside the entry itself: subtrees, index, and the link to what was said before."""
        where = f"epoch {entry.epoch}, entry {entry.index}"
        if any(self._file.hash_of(entry.epoch, part.start, part.stop) != part.hash for part in grown):
            yield f"{where}: the tree is another one"
        if not all(self._file.is_about(entry.place, sha256) for sha256 in entry.statement.prev):
            yield f"{where}: the index by subject has lost it"
        for sha256, prev in entry.statement.prev.items():
            if prev != newest.get(sha256) and (sha256 in newest or entry.epoch == self._identity.first):
                yield f"{where}: it does not follow the last statement on {sha256[:12]}…"
            newest[sha256] = entry.statement_id
