"""The signed log of a node: statements in the order in which they were said, and what proves that none was changed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Self

from diadem.custody import database
from diadem.custody.database import Database
from diadem.custody.entries import Entry, position_of
from diadem.custody.log_checking import LogChecker
from diadem.custody.log_reading import FORMAT
from diadem.custody.mirror import Mirror
from diadem.custody.pushing import MirrorDesk, Superseded
from diadem.custody.tables import Batch, Tables
from diadem.custody.trees import signed_checkpoint
from diadem.errors import DiademError, Refused, UsageError
from diadem.model.statements import Draft, Statement
from diadem.serialization.validation import read_statement, validate_draft
from diadem.trust.envelope import Envelope, sign
from diadem.trust.keys import PrivateKey
from diadem.trust.tree import Frontier

__all__ = ["Entry", "Ledger", "Overtaken"]

Clock = Callable[[], datetime]


class Overtaken(Refused):
    """A statement that was prepared, and does not follow the last on its subject any more."""

    code = "overtaken"


class Ledger(LogChecker):
    """The log of a node. Safe to use from many threads, and from many processes at once.

    Make one with `create`, `open`, or `diadem.custody.recovering.recover`.
    """

    def __init__(self, data: Database, log_key: PrivateKey | None, clock: Clock) -> None:
        super().__init__(data)
        if log_key is not None:
            self._complete()
        self._log_key = log_key
        #: Why nothing can be appended, where the key cannot be opened.
        self.fault: DiademError | None = None
        self._clock = clock
        self._tell: Callable[[Sequence[Entry]], None] = lambda _: None
        self._desk = MirrorDesk(data, self.node, self.origin, self._keys)
        if log_key is not None and log_key.public != self._keys[self.epoch]:
            raise Refused(
                "this key does not sign the checkpoints of this log",
                where=str(data.path),
                next=database.advice(data.path),
            )

    def _complete(self) -> None:
        """Add to a log of an earlier version the index that it lacks."""
        with self._data.reading() as connection:
            there = Tables(connection).has_access_index()
        if not there:
            with self._data.writing() as connection:
                Tables(connection).add_access_index()

    # -- making and opening ------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: Path, *, origin: str, log_key: PrivateKey, node: str, epoch: int = 1, clock: Clock) -> Self:
        """A new, empty log.

        Parameters
        ----------
        folder : Path
            The node's ``log/``; made where it is not there.
        origin : str
            Names the log in its checkpoints: unique in the world, one line, no spaces and no plus sign.
        log_key : PrivateKey
            Signs the checkpoints.
        node : str
            Node id, 64 hex digits.
        epoch : int
            From 1.
        clock : callable
            Gives aware times; asked once an append.

        Raises
        ------
        Refused
            There is a log already.
        """
        folder.mkdir(parents=True, exist_ok=True)
        data = Database(folder / database.FILE, create=True)
        try:
            with data.writing() as connection:
                tables = Tables(connection)
                prepare(tables, node, origin, data.path)
                begin_epoch(tables, origin, epoch, log_key)
            data.make_durable()
            return cls(data, log_key, clock)
        except BaseException:
            data.close()
            raise

    @classmethod
    def open(cls, folder: Path, log_key: PrivateKey | None = None, *, clock: Clock) -> Self:
        """The log in a folder.

        Parameters
        ----------
        folder : Path
            The node's ``log/``.
        log_key : PrivateKey or None
            Signs checkpoints; None opens the log for reading only.
        clock : callable
            Gives aware times.

        Raises
        ------
        NotFound
            There is none.
        IntegrityError
            It is damaged: the newest checkpoint does not fit the tree, or the file is not a log.
        Refused
            The key is not the one of this log.
        """
        data = Database(folder / database.FILE, read_only=log_key is None)
        try:
            return cls(data, log_key, clock)
        except BaseException:
            data.close()
            raise

    # -- writing -----------------------------------------------------------------------------------------------------

    def append(
        self, drafts: Sequence[Draft], keys: Sequence[PrivateKey], *, user_keys: Sequence[PrivateKey] = ()
    ) -> list[Entry]:
        """Sign statements and append them: one transaction with its checkpoint, then the mirrors.

        All of them are in the log, on the disk, when this returns; or none is. A mirror that does not answer stops
        nothing: what it lacks is kept as debt (`pending`, `push`).

        Parameters
        ----------
        drafts : sequence of Draft
            What is said. Each gets this node's id, the time, a salt, and the previous statement on each subject.
        keys, user_keys : sequence of PrivateKey
            Keys of the node and of users; every one signs every draft.

        Returns
        -------
        list of Entry
            In the order of the drafts.

        Raises
        ------
        DocumentError
            A draft is not what its kind demands. Nothing was written.
        Refused
            The log was opened for reading only, or a mirror holds a longer or another log than this one.
        """
        signing = [*keys, *user_keys]
        for draft in drafts:
            validate_draft(draft)
        if not drafts:
            return []
        if not signing:
            raise UsageError("a statement needs a key to sign it")
        key = self._writing_key()
        self.check_mirrors()
        with self._data.writing() as connection:
            tables = Tables(connection)
            tip = self._tip(tables)
            entries = self._entered(tables, drafts, signing, tip.size)
            self._write(tables, entries, tip.frontier, key)
        self._desk.push_quietly()
        self._tell(entries)
        return entries

    def prepared(self, draft: Draft) -> Statement:
        """A statement as it would be appended now, for somebody to sign whose key is elsewhere.

        Raises
        ------
        DocumentError
            The draft is not what its kind demands.
        """
        validate_draft(draft)
        with self._data.reading() as connection:
            tables = Tables(connection)
            prev = {subject.sha256: tables.last_about(subject.sha256) for subject in draft.subjects}
        return draft.entered(node=self.node, time=self._clock(), salt=secrets.token_hex(16), prev=prev)

    def append_signed(self, envelope: Envelope) -> Entry:
        """Append a statement that was `prepared` here and signed elsewhere: one transaction with its checkpoint.

        Whose signature it is, and whether they may say this, is for the caller to judge.

        Raises
        ------
        DocumentError
            It is not a statement as its kind demands. Nothing was written.
        Refused
            It was prepared for another log; or as for `append`.
        Overtaken
            Something else was said of a subject meanwhile.
        """
        statement = read_statement(envelope.payload)
        if statement.node != self.node or statement.known is None:
            raise Refused("the statement was not prepared for this log", next="Have it prepared here.")
        key = self._writing_key()
        self.check_mirrors()
        with self._data.writing() as connection:
            tables = Tables(connection)
            tip = self._tip(tables)
            if any(tables.last_about(sha256) != last for sha256, last in statement.prev.items()):
                raise Overtaken(
                    "something else was said of it after the statement was prepared", next="Have it prepared again."
                )
            entry = Entry.of(self.epoch, tip.size, envelope, statement)
            self._write(tables, [entry], tip.frontier, key)
        self._desk.push_quietly()
        self._tell([entry])
        return entry

    def listen(self, listener: Callable[[Sequence[Entry]], None]) -> None:
        """Have a listener told of everything that is appended from now on, once it is on the disk."""
        self._tell = listener

    def _writing_key(self) -> PrivateKey:
        if self.fault is not None:
            raise self.fault
        if self._log_key is None:
            raise Refused(
                "this log was opened for reading", where=str(self._data.path), next="Open it with the node's log key."
            )
        return self._log_key

    def _entered(self, tables: Tables, drafts: Sequence[Draft], keys: Sequence[PrivateKey], size: int) -> list[Entry]:
        """The drafts as signed entries, each linked to what was said before on its subjects."""
        now = self._clock()
        newest: dict[str, str | None] = {}
        entries = []
        for index, draft in enumerate(drafts, size):
            subjects = [subject.sha256 for subject in draft.subjects]
            prev = {sha: newest[sha] if sha in newest else tables.last_about(sha) for sha in subjects}
            statement = draft.entered(node=self.node, time=now, salt=secrets.token_hex(16), prev=prev)
            entry = Entry.of(self.epoch, index, sign(statement.to_payload(), keys), statement)
            newest.update(dict.fromkeys(subjects, entry.statement_id))
            entries.append(entry)
        return entries

    def _write(self, tables: Tables, entries: Sequence[Entry], frontier: Frontier, key: PrivateKey) -> None:
        start = frontier.size
        grown = [part for entry in entries for part in frontier.append(entry.leaf)]
        text = signed_checkpoint(self.origin, self.epoch, frontier, key)
        tables.add_batch(Batch(self.epoch, start, frontier.size, text), entries, grown)

    def show(self, epoch: int, size: int) -> None:
        """Note that the checkpoint of so many entries leaves this node; a log opened for reading notes nothing."""
        if self._log_key is not None:
            with self._data.writing(durable=False) as connection:
                Tables(connection).show(epoch, size)

    # -- mirrors -----------------------------------------------------------------------------------------------------

    @property
    def mirrors(self) -> Sequence[Mirror]:
        """Where every batch is copied to; looked at anew at each push, so that it may be a live list."""
        return self._desk.mirrors

    @mirrors.setter
    def mirrors(self, mirrors: Sequence[Mirror]) -> None:
        self._desk.mirrors = mirrors

    def check_mirrors(self) -> None:
        """Compare the log with its mirrors, each once in the life of this object; a few small reads a mirror.

        A mirror that does not answer is compared when it does, before anything is written to it.

        Raises
        ------
        Refused
            A mirror holds more than this log does, or another log: this one was brought back from a backup, or copied.
        """
        self._desk.check()

    def superseded(self) -> Superseded | None:
        """Why nothing more can be appended, where a mirror says that the log went on elsewhere; None where none does.

        One small read of each mirror that answers, each time: another node may have begun since.
        """
        return self._desk.superseded()

    def push(self) -> dict[str, str]:
        """Bring every mirror up to date.

        Returns
        -------
        dict of str to str
            URL of each mirror that could not be, and why, in words. Empty: all debt is paid.

        Raises
        ------
        Refused
            As for `check_mirrors`.
        """
        return self._desk.push()

    def pending(self) -> int:
        """Batches that are in no mirror yet: if this disk is lost now, they are lost with it."""
        return self._desk.pending()

    def mirrored(self) -> tuple[int, int]:
        """Epoch and size up to which the log is in at least one mirror."""
        return position_of(self._desk.reached())


def prepare(tables: Tables, node: str, origin: str, path: Path) -> None:
    """Make the tables of a log. Raises `Refused` where there are some."""
    if tables.exist():
        raise Refused("there is a log here already", where=str(path), next="Open it, or name another folder.")
    about = {"format": FORMAT, "node": node, "origin": origin}
    tables.create(about, application=database.APPLICATION, version=database.VERSION)


def begin_epoch(tables: Tables, origin: str, epoch: int, key: PrivateKey) -> None:
    """Note a new epoch and the checkpoint of its empty tree."""
    tables.add_epoch(epoch, key.public.to_text())
    tables.add_batch(Batch(epoch, 0, 0, signed_checkpoint(origin, epoch, Frontier(), key)), (), ())
