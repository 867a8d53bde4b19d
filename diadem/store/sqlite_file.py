"""A SQLite file of the node that many threads and processes write, one transaction at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from diadem.errors import DiademError, IntegrityError, Refused, StoreError, Unreachable, UsageError
from diadem.model.ports import Closing
from diadem.store.system import flush_folder

#: Seconds to wait for another writer. A transaction takes milliseconds; a thousand in a queue take seconds.
PATIENCE: Final = 120.0
#: Milliseconds to wait for others before the write-ahead file is emptied.
_BRIEFLY: Final = 200
#: Seconds until what SQLite refused without waiting is asked for again.
_AGAIN: Final = 0.01
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNWRITABLE: Final = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH})
BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
#: What sqlite3 raises: the words of an error quote the file, and those of a damaged one are not always UTF-8.
SQLITE_FAULTS: Final = (sqlite3.Error, UnicodeDecodeError)
#: What SQLite puts beside a file. One that was left without its file would be played into the next of that name.
BESIDE: Final = ("-wal", "-shm", "-journal")
#: Bytes free below which a disk counts as full: SQLite wants room even to read.
_FULL: Final = 1 << 20


class SqliteFile(Closing):
    """One connection to a file, shared by the threads of this process.

    Parameters
    ----------
    path : Path
        The file; made where there is none.
    what : str
        What people call it in a message: ``log``.
    advice : str
        What to do where it is damaged.
    read_only : bool
        Refuse every write.
    """

    def __init__(self, path: Path, *, what: str, advice: str, read_only: bool = False) -> None:
        self.path = path
        self._what, self._advice = what, advice
        self._lock = threading.RLock()
        self._old_pages = False
        self._within = False  # a transaction of `writing`, which is not the same as one of the connection
        with self._translated():
            if not read_only:
                _begin_private(path)
            self._connection = sqlite3.connect(
                path, timeout=PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            self._settle(read_only=read_only)

    def _settle(self, *, read_only: bool) -> None:
        """WAL, so that readers never wait; FULL, so that what was committed survives a power cut; no old bytes."""
        write_ahead(self._connection, PATIENCE)
        settings = [
            "synchronous=FULL",
            "fullfsync=ON",
            "checkpoint_fullfsync=ON",
            "secure_delete=ON",
        ]
        for setting in [*settings, "cell_size_check=ON", *(["query_only=ON"] if read_only else [])]:
            self._connection.execute(f"PRAGMA {setting}").fetchall()

    def prepare(self, schema: Sequence[str], *, application: int, version: int) -> None:
        """Make the tables of a file that is still empty; check that another is of this sort and version.

        Parameters
        ----------
        schema : sequence of str
            SQL statements that make the tables.
        application, version : int
            ``PRAGMA application_id`` and ``user_version``: another file is never taken for one.

        Raises
        ------
        Refused
            A later version of DIADEM wrote it.
        IntegrityError
            It is another file.
        """
        with self.writing() as connection:
            found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
            if found == [application, version]:
                return
            if found[0] == application:
                raise Refused(
                    f"the {self._what} is of version {found[1]}, not {version}",
                    where=str(self.path),
                    next="Update DIADEM.",
                )
            if found != [0, 0] or connection.execute("SELECT 1 FROM sqlite_master").fetchone() is not None:
                raise IntegrityError(
                    f"the file is not the {self._what} of a node", where=str(self.path), next=self._advice
                )
            for statement in schema:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {application:d}")
            connection.execute(f"PRAGMA user_version = {version:d}")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, while no other thread of this process uses it. Fetch what you need before you leave."""
        with self._lock, self._translated():
            yield self._connection

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction, serialised with those of all threads and processes: all of it is kept, or nothing.

        One that is not `durable` may be lost with the power, but never in parts; it costs no flush. Within another one
        of the same thread it is a part of that: one that fails leaves nothing of itself there, also where that goes on.
        """
        with self._lock, self._translated():
            if self._within:
                with self._part():
                    yield self._connection
                return
            self._give_up()  # of who was interrupted when SQLite had begun, or could not roll back
            self._connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            try:
                self._within = True
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(*SQLITE_FAULTS):  # the disk that failed may fail again
                    self._give_up()
                raise
            finally:
                self._within = False
            if self._old_pages:
                self.erase(0)

    def _give_up(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    @contextmanager
    def _part(self) -> Iterator[None]:
        self._connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # a full disk ends the whole of it
                with contextlib.suppress(*SQLITE_FAULTS):
                    self._connection.execute("ROLLBACK TO part")
                    self._connection.execute("RELEASE part")
            raise
        self._connection.execute("RELEASE part")

    @contextmanager
    def erasing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; nothing that it deletes or overwrites is left in the file, nor beside it: see `erase`."""
        with self._lock:
            with self.writing() as connection:
                yield connection
            self.erase()

    def erase(self, wait: int = _BRIEFLY) -> None:
        """Empty the write-ahead file, which holds pages as they were; in the file itself they are written over.

        Where somebody else still reads or writes after so many milliseconds, it is tried again after each transaction,
        without waiting. What the file system or the disk keeps is theirs.
        """
        with self._lock:
            try:
                self._connection.execute(f"PRAGMA busy_timeout={wait}").fetchall()
                busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except SQLITE_FAULTS:
                busy = 1
            finally:
                self._connection.execute(f"PRAGMA busy_timeout={PATIENCE * 1000:.0f}").fetchall()
            self._old_pages = bool(busy)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLITE_FAULTS as error:
            raise self._ours(error) from error

    def _ours(self, error: Exception) -> DiademError:
        primary, where, what = primary_code(error), str(self.path), self._what
        if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
            return UsageError(f"the {what} is closed", where=where, next="Open the node again: diadem.open_node(…)")
        if (failure := disk_failure(error, self.path, what)) is not None:
            return failure
        if primary in BUSY:
            return Unreachable(
                f"another program kept the {what} for more than {PATIENCE:.0f} seconds", where=where, next="Try again."
            )
        if primary in _DAMAGED or primary is None or isinstance(error, sqlite3.IntegrityError):
            return IntegrityError(f"the {what}'s file is damaged: {error}", where=where, next=self._advice)
        return IntegrityError(f"the {what}'s file is not as DIADEM writes it: {error}", where=where, next=self._advice)

    def close(self) -> None:
        """Fold the write-ahead file into the file and let go of it."""
        with self._lock, self._translated():
            self._connection.close()

    def make_durable(self) -> None:
        """Force the names in the folder to disk, after the file was made or renamed."""
        flush_folder(str(self.path.parent))


def write_ahead(connection: sqlite3.Connection, patience: float) -> None:
    """Give a file its write-ahead log (WAL), waiting so many seconds for others.

    Of several that give it to a new file at once, SQLite refuses all but one without waiting, whatever its timeout.
    """
    until = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlite3.OperationalError as error:
            if primary_code(error) not in BUSY or time.monotonic() > until:
                raise
            time.sleep(_AGAIN)
        else:
            return


def leave_write_ahead(connection: sqlite3.Connection) -> None:
    """Have what is committed in the file itself, with an error where the disk is full: before it gets another name.

    To close a file with a write-ahead log says nothing of that, and leaves the log beside it.
    """
    (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    if mode != "delete":
        raise sqlite3.OperationalError(f"its journal is kept as {mode}")


def primary_code(error: BaseException) -> int | None:
    """SQLite's primary result code (sqlite3.h, SQLITE_BUSY …); None where it was not SQLite that failed."""
    code = getattr(error, "sqlite_errorcode", None)
    return (code & 0xFF) if isinstance(code, int) else None


def disk_failure(error: BaseException, path: Path, what: str) -> StoreError | None:
    """The error for what a disk does to a sound file: full, over its quota, read-only, failing, away; else None."""
    code, where, again = primary_code(error), str(path), "then run the same command again"
    if code == sqlite3.SQLITE_FULL or (code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _is_full(path)):
        return StoreError(f"the disk of the {what} is full", where=where, next=f"Free space, {again}.")
    if code in _UNWRITABLE:
        return StoreError(
            f"the {what} cannot be written to: {error}",
            where=where,
            next=f"Check whether its disk is read-only, and the permissions of its folder, {again}.",
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreError(
            f"the {what} cannot be opened: {error}",
            where=where,
            next=f"Check its folder, its permissions and its disk, {again}.",
        )
    if code == sqlite3.SQLITE_IOERR:
        return StoreError(
            f"the disk of the {what} failed: {error}",
            where=where,
            next=f"Check the disk and the quota, {again}.",
        )
    if code == sqlite3.SQLITE_NOMEM:
        return StoreError(
            f"there is not enough memory for the {what}", where=where, next=f"End other programs, {again}."
        )
    return None


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _FULL
    except OSError:
        return False


def _begin_private(path: Path) -> None:
    """Make a file that is not there for this account alone; SQLite gives the files beside it the same permissions.

    A write-ahead file of one that was moved aside is removed by SQLite, beside an empty file and under its own lock.
    """
    with contextlib.suppress(OSError):  # it is there; or SQLite says why it cannot be made
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
