"""What earlier scans have read, kept in the user's own cache folder: never needed, never trusted blindly.

One SQLite file. An entry counts only while everything about its files that the system tells is as it was. Several scans
may use it at once. A damaged one is thrown away, and one that cannot be used is done without; both are said.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from blake3 import blake3

from diadem.errors import NotFound
from diadem.store.system import user_cache

T = TypeVar("T")

#: Part of the file's name: another layout is another file.
_LAYOUT = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS entry (
    path BLOB NOT NULL, kind TEXT NOT NULL, state BLOB NOT NULL, content BLOB NOT NULL, proof BLOB NOT NULL,
    used INTEGER NOT NULL, PRIMARY KEY (path, kind)) WITHOUT ROWID
"""
_PUT = "INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?)"
#: Entries written together, and seconds after which they are written anyway.
_BATCH, _BATCH_SECONDS = 256, 2.0
#: Seconds to wait for another scan that is writing.
_PATIENCE = 30.0
#: Days after which an entry that is still good is marked as used again, and after which an unused one is dropped.
_MARK_DAYS, _KEEP_DAYS = 30, 400
#: SQLite's result codes for a file that is damaged, or is something else.
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT})


def cache_folder() -> Path | None:
    """Where a scan keeps what it read; None for an account without a home."""
    try:
        return user_cache("scan")  # a scan stays out of this folder
    except NotFound:
        return None


class ScanCache:
    """Entries by absolute path and kind, in a folder that is made if absent; None keeps nothing.

    To be used from one thread. `notices` say what the user should be told: thrown away, not usable.
    """

    def __init__(self, folder: Path | None) -> None:
        self.notices: list[str] = []
        self.path = folder / f"scan-{_LAYOUT}.sqlite" if folder is not None else None
        self._today = int(time.time() // 86400)
        self._pending: list[tuple[bytes, str, bytes, bytes, bytes, int]] = []
        self._flushed = time.monotonic()
        self._database: sqlite3.Connection | None = None
        if self.path is not None:
            self._database = self._connect()

    def get(self, path: bytes, kind: str, state: bytes) -> bytes | None:
        """The content kept for a path, if its state is the same; None otherwise."""
        query = "SELECT state, content, proof, used FROM entry WHERE path = ? AND kind = ?"
        found = self._guarded(lambda database: database.execute(query, (path, kind)).fetchone())
        if found is None or found[0] != state:
            return None
        content, proof, used = found[1:]
        if not isinstance(content, bytes) or proof != _proof(path, kind, state, content):
            return None
        if used < self._today - _MARK_DAYS:
            self.put(path, kind, state, content)
        return content

    def put(self, path: bytes, kind: str, state: bytes, content: bytes) -> None:
        """Keep something; written with others a little later, or by `flush`."""
        self._pending.append((path, kind, state, content, _proof(path, kind, state, content), self._today))
        if len(self._pending) >= _BATCH or time.monotonic() - self._flushed > _BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting, in one transaction."""
        pending, self._pending, self._flushed = self._pending, [], time.monotonic()
        if pending:
            self._guarded(lambda database: _write(database, pending))

    def close(self) -> None:
        """Write what is waiting, and drop what nobody has used for a year."""
        self.flush()
        unused = self._today - _KEEP_DAYS
        self._guarded(lambda database: database.execute("DELETE FROM entry WHERE used < ?", (unused,)))
        self._let_go()

    def _connect(self) -> sqlite3.Connection | None:
        """Open the database; a damaged one is replaced by an empty one, once."""
        for attempt in (1, 2):
            try:
                return self._open()
            except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
                if attempt == 2 or not (_is_damage(error) and self._throw_away()):
                    self._give_up(error)
                    break
        return None

    def _open(self) -> sqlite3.Connection:
        assert self.path is not None
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))  # names and samples are the user's own business
        database = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
        try:
            database.execute(_TABLES)
            database.execute("SELECT path, kind, state, content, proof, used FROM entry LIMIT 1").fetchone()
        except BaseException:
            database.close()
            raise
        return database

    def _guarded(self, action: Callable[[sqlite3.Connection], T]) -> T | None:
        """Do something with the database; a failure ends its use, or replaces it by an empty one."""
        if self._database is None:
            return None
        try:
            return action(self._database)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if _is_damage(error) and self._throw_away():
                self._database = self._connect()
            else:
                self._give_up(error)
            return None

    def _throw_away(self) -> bool:
        """Remove a damaged cache; False where another program holds it."""
        assert self.path is not None
        self._let_go()
        try:
            for ending in ("", "-journal"):
                Path(f"{self.path}{ending}").unlink(missing_ok=True)
        except OSError:
            return False
        self.notices.append(f"the cache was damaged and has been thrown away: {self.path}")
        return True

    def _give_up(self, error: Exception) -> None:
        self._let_go()
        self.notices.append(f"the cache cannot be used, so nothing is kept for the next run: {self.path}: {error}")

    def _let_go(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def _is_damage(error: Exception) -> bool:
    # The words of an error quote the file, and those of a damaged one are not always UTF-8.
    return isinstance(error, UnicodeDecodeError) or getattr(error, "sqlite_errorcode", None) in _DAMAGED


def state_of(*parts: object) -> bytes:
    """A digest of everything that an entry depends on."""
    return blake3("\0".join(map(str, parts)).encode("utf-8", "surrogatepass")).digest(16)


def _proof(path: bytes, kind: str, state: bytes, content: bytes) -> bytes:
    """A digest of an entry, so that damage inside a page is noticed."""
    return blake3(b"\0".join((path, kind.encode(), state, content))).digest(16)


def _write(database: sqlite3.Connection, entries: list[tuple[bytes, str, bytes, bytes, bytes, int]]) -> None:
    database.execute("BEGIN IMMEDIATE")
    try:
        database.executemany(_PUT, entries)
        database.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise
