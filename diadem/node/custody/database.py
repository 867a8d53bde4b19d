"""The log's file: one SQLite database that many threads and processes write, one transaction at a time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from diadem.errors import DiademError, IntegrityError, NotFound, StoreError, Unreachable
from diadem.node.store_place import recover_command
from diadem.store.system import flush_folder

#: Name of the log's file in its folder.
FILE: Final = "log.sqlite"
#: Seconds to wait for another writer. One append takes milliseconds; a thousand in a queue take seconds.
PATIENCE: Final = 120.0
#: `PRAGMA application_id` of the log ("Dlog") and `user_version`: another file is never taken for one.
APPLICATION: Final = 0x446C6F67
VERSION: Final = 1
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR})
_UNWRITABLE: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
#: What to do about a log that is damaged.
ADVICE: Final = (
    f"Keep the file for inspection, and make the node anew, in a new folder, from a store: {recover_command()}"
)


class Database:
    """One connection to the log's file, shared by the threads of this process.

    Parameters
    ----------
    path : Path
        The file.
    create : bool
        Make it where there is none.
    read_only : bool
        Refuse every write.
    """

    def __init__(self, path: Path, *, create: bool = False, read_only: bool = False) -> None:
        if not create and not path.is_file():
            raise NotFound(
                "there is no log", where=str(path), next="Name the folder of a node, or make one: diadem init."
            )
        self.path = path
        self._lock = threading.RLock()
        with self._translated():
            self._connection = sqlite3.connect(
                path, timeout=PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            self._settle(read_only=read_only)

    def _settle(self, *, read_only: bool) -> None:
        """WAL, so that readers never wait; FULL, so that what was committed survives a power cut."""
        settings = ["journal_mode=WAL", "synchronous=FULL", "fullfsync=ON", "checkpoint_fullfsync=ON"]
        for setting in [*settings, "cell_size_check=ON", *(["query_only=ON"] if read_only else [])]:
            self._connection.execute(f"PRAGMA {setting}").fetchall()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, while no other thread of this process uses it. Fetch what you need before you leave."""
        with self._lock, self._translated():
            yield self._connection

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction, serialised with those of all threads and processes: all of it is kept, or nothing.

        One that is not `durable` may be lost with the power, but never in parts; it costs no flush.
        """
        with self._lock, self._translated():
            self._connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._ours(error) from error

    def _ours(self, error: sqlite3.Error) -> DiademError:
        code = getattr(error, "sqlite_errorcode", None)
        primary = (code & 0xFF) if isinstance(code, int) else None
        where = str(self.path)
        if primary in _UNWRITABLE:
            return StoreError(
                f"the log cannot be written: {error}", where=where, next="Free space, or mend the rights."
            )
        if primary in _BUSY:
            return Unreachable(
                f"another program kept the log for more than {PATIENCE:.0f} seconds", where=where, next="Try again."
            )
        if primary == sqlite3.SQLITE_CANTOPEN:
            return StoreError(
                f"the log cannot be opened: {error}", where=where, next="Check the folder and its rights."
            )
        if primary in _DAMAGED or primary is None or isinstance(error, sqlite3.IntegrityError):
            return IntegrityError(f"the log's file is damaged: {error}", where=where, next=ADVICE)
        return IntegrityError(f"the log's file is not as DIADEM writes it: {error}", where=where, next=ADVICE)

    def close(self) -> None:
        """Fold the write-ahead file into the log and let go of it."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        """The database itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def make_durable(self) -> None:
        """Force the names in the folder to disk, after the file was made or renamed."""
        flush_folder(str(self.path.parent))
