"""A catalogue in a file of its own, by SQLite: opening, text search, copies of the file."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Final, Self
from urllib.parse import quote

from sqlalchemy import BigInteger, Connection, Engine, Table, create_engine, event, literal_column, select, text
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import LRUCache

from diadem.catalogue.database import BUSY_SECONDS, WRITING, Database, IndexedText, TextHits
from diadem.catalogue.package_key import EVERYTHING, Stretch
from diadem.catalogue.words import Every, Without, Wording, Words
from diadem.errors import DiademError, NotFound, Refused
from diadem.store.sqlite_file import BUSY, SQLITE_FAULTS, disk_failure, primary_code, write_ahead
from diadem.store.system import move

#: The file and those that SQLite keeps beside it.
_SUFFIXES: Final = ("", "-wal", "-shm")
#: Rows that go to the database in one call.
_BATCH: Final = 5000
#: KiB of pages that one connection keeps.
_CACHE = 16_000
#: The table of texts: `whole` holds for all datasets of a package, `some` for those that the facts name.
_TEXT_TABLE: Final = (
    'CREATE VIRTUAL TABLE texts USING fts5(whole, some, tokenize = "unicode61 remove_diacritics 0", columnsize = 0)'
)
#: Letters of private use: words for SQLite, and none for `words`. One stands between texts, one nowhere, and from
#: `_KEYED` on one for each key.
_BETWEEN, _NOWHERE, _KEYED = "\ue000", "\ue001", 0xE100
#: Bytes that the write-ahead log may keep on the disk after a large transaction.
_LOG = 64 << 20
_SHARED: Final = (f"cache_size = -{_CACHE}", "foreign_keys = ON", "temp_store = 2")
#: A catalogue can be made anew, so a commit need not reach the disk before the next; it is never half a one.
_OWN: Final = ("synchronous = NORMAL", f"journal_size_limit = {_LOG}")
#: A snapshot may come from a store that anyone writes: its schema calls no function that reaches outside.
_FOREIGN: Final = ("trusted_schema = OFF",)
#: SQLite file format, 1.3: byte 18 is 2 for a file with a write-ahead log, 1 for one without.
_VERSION_AT = 18


class _EqualDialect(SQLiteDialect_pysqlite):
    """SQLAlchemy's description of SQLite; all instances are equal.

    Each engine has its own instance, and SQLAlchemy looks up a compiled statement by it. Equal instances let all
    catalogues of a process share the compiled statements. What SQLite can do depends on its version alone, which does
    not change within a process.
    """

    driver = "diadem"
    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return type(other) is _EqualDialect

    def __hash__(self) -> int:
        return hash(_EqualDialect)


registry.register(f"{_EqualDialect.name}.{_EqualDialect.driver}", __name__, _EqualDialect.__name__)
#: The compiled statements that all catalogues of this process share; 500 is what SQLAlchemy keeps for one engine.
_COMPILED: Final[LRUCache[Any, Any]] = LRUCache(500)


class SqliteDatabase(Database):
    """A catalogue in a file, which SQLite makes. A snapshot, which nobody writes, is read without any lock."""

    LOOKS_UP_WORDS: ClassVar[bool] = True
    FAULTS: ClassVar[tuple[type[Exception], ...]] = (DBAPIError, *SQLITE_FAULTS)
    INSERT: ClassVar[Any] = staticmethod(insert)

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path, self._read_only = path, read_only
        self._file = path.absolute()  # who changes the working folder meanwhile means the same file

    @property
    def address(self) -> str:
        """The path."""
        return str(self._path)

    @cached_property
    def engine(self) -> Engine:
        """Its connections: the one that was used last is used next, for each has a cache of its own."""
        made = create_engine(
            f"{_EqualDialect.name}+{_EqualDialect.driver}://",
            creator=self._connect,
            poolclass=QueuePool,
            pool_use_lifo=True,
            execution_options={"compiled_cache": _COMPILED},
        )
        event.listen(made, "begin", _begin)
        return made

    def _connect(self) -> sqlite3.Connection:
        mode = ("ro&immutable=1" if self._is_snapshot() else "ro") if self._read_only else "rwc"
        connection = sqlite3.connect(
            _uri(self._file, mode), uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            if not self._read_only:
                write_ahead(connection, BUSY_SECONDS)
            for setting in (*_SHARED, *(_FOREIGN if self._read_only else _OWN)):
                connection.execute(f"PRAGMA {setting}").close()
        except BaseException:
            connection.close()
            raise
        return connection

    def _is_snapshot(self) -> bool:
        try:
            with self._path.open("rb") as file:
                return file.read(_VERSION_AT + 1)[_VERSION_AT:] == b"\x01"
        except OSError:
            return False

    def ours(self, error: BaseException) -> DiademError:
        """See `Database.ours`."""
        code, where = primary_code(error), self.address
        if code in BUSY:
            again = "Wait until the other process is done, then try again."
            return Refused(f"another process has held the catalogue for {BUSY_SECONDS} s", where=where, next=again)
        if code == sqlite3.SQLITE_CANTOPEN and not os.path.lexists(self._path):
            return NotFound("there is no catalogue", where=where, next="Run: diadem reindex")
        if (failure := disk_failure(error, self._path, "catalogue")) is not None:
            return failure
        if "no such module" in str(error):
            again = "Use the Python of python.org, conda-forge or your system."
            return Refused("the SQLite of this Python has no text search (FTS5)", where=where, next=again)
        return self.damaged(str(error))

    # Its place

    def exists(self) -> bool:
        """Whether there is such a file."""
        return self._path.exists()

    def make(self) -> None:
        """SQLite makes the file itself."""

    def analyse(self) -> None:
        """Nothing to do: the questions are asked so that no statistics are needed."""

    def _files(self) -> list[tuple[str, Path]]:
        return [(suffix, self._path.with_name(self._path.name + suffix)) for suffix in _SUFFIXES]

    def size(self) -> int:
        """Bytes of its files."""
        size = 0
        for _, path in self._files():
            with suppress(OSError):
                size += path.stat().st_size
        return size

    def close(self) -> None:
        """Close its connections."""
        if "engine" in self.__dict__:
            self.engine.dispose()

    def draft(self) -> Self:
        """A file beside it."""
        return type(self)(self._path.with_name(f".{self._path.name}.{uuid.uuid4().hex[:8]}.draft"))

    def forget_drafts(self) -> None:
        """Remove such files."""
        for path in self._path.parent.glob(f".{self._path.name}.*.draft*"):
            path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Close it and remove its files."""
        self.close()
        for _, path in self._files():
            path.unlink(missing_ok=True)

    def set_aside(self) -> None:
        """Give its files another name: ``catalogue.sqlite.damaged``."""
        self.close()
        for suffix, path in self._files():
            if path.exists():
                move(path, self._path.with_name(f"{self._path.name}.damaged{suffix}"))

    def take_over(self, draft: Self) -> None:
        """Take over the content of another file, in one transaction: readers see the old or the new."""
        draft.close()
        self.close()
        with (
            self.translated(),
            closing(sqlite3.connect(_uri(draft._path, "ro"), uri=True)) as source,
            closing(sqlite3.connect(_uri(self._path, "rwc"), uri=True, timeout=BUSY_SECONDS)) as target,
        ):
            source.backup(target)
            write_ahead(target, BUSY_SECONDS)
        draft.discard()

    def snapshot(self, path: Path) -> bool:
        """Copy the file: the copy is compact, and nobody needs a lock to read it."""
        uri = _uri(self._path, "ro")
        with self.translated(), closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as source:
            source.execute("VACUUM INTO ?", (str(path),)).close()
        return True

    # In a transaction

    def create_texts(self, connection: Connection) -> None:
        """Make the table of texts."""
        connection.execute(text(_TEXT_TABLE))

    def write_texts(self, connection: Connection, packages: Iterable[tuple[int, Iterable[IndexedText]]]) -> None:
        """Make the words of packages searchable: those that hold for all datasets apart from the others."""
        rows = []
        for package, given in packages:
            said = list(given)
            parts = [[(one.key, one.words) for one in said if one.everywhere == where] for where in (True, False)]
            rows.append((package, *map(_text_of, parts)))
        if rows:
            connection.exec_driver_sql("INSERT INTO texts(rowid, whole, some) VALUES (?, ?, ?)", rows)

    def remove_text(self, connection: Connection, package: int) -> None:
        """Take them out again."""
        connection.execute(text("DELETE FROM texts WHERE rowid = :package"), {"package": package})

    def text_search(self, wording: Wording, stretch: Stretch = EVERYTHING) -> TextHits:
        """Packages whose texts fulfil a wording, in falling or rising order without sorting."""
        key = literal_column("texts.rowid", BigInteger)
        matching = text("texts MATCH :match").bindparams(match=_expression(wording))
        hits = select(key).select_from(text("texts")).where(matching)
        return TextHits(hits if stretch == EVERYTHING else hits.where(stretch.has(key)), key)

    def exact(self, words: Words) -> bool:  # noqa: ARG002
        """The index of words has them in their order."""
        return True

    def insert_rows(self, connection: Connection, table: Table, rows: Iterable[Sequence[Any]]) -> None:
        """In a third of the time of the usual way."""
        remaining = iter(rows)
        while batch := [tuple(row) for row in islice(remaining, _BATCH)]:
            connection.exec_driver_sql(_insertion(table), batch)


def _uri(path: Path, mode: str) -> str:
    """The file as SQLite's URI. A share is written with four slashes: SQLite knows no host but this one."""
    name = quote(path.absolute().as_posix())
    return f"file://{name if name.startswith('/') else '/' + name}?mode={mode}"


def _begin(connection: Connection) -> None:
    # Who will write says so at once: one who has read first could not wait for another writer.
    writing = connection.get_execution_options().get(WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


@cache
def _insertion(table: Table) -> str:
    return f"INSERT INTO {table.name} VALUES ({', '.join('?' * len(table.c))})"  # noqa: S608  (a table of ours)


def _text_of(facts: Iterable[tuple[int, str]]) -> str:
    """What is written of texts, as pairs of their key's code and their words.

    All of them come first as they are; then each again with a letter before every word that stands for its key, so
    that ``operator:curie`` is looked up as one word. No phrase goes from one text to the next: a word stands between
    that nobody can ask for.
    """
    plain, keyed = [], []
    for code, words in facts:
        letter = chr(_KEYED + code)
        plain.append(words)
        keyed.append(f"{letter} {' '.join(letter + word for word in words.split())} {letter}")
    return f" {_BETWEEN} ".join((*plain, *keyed))


def _expression(wording: Wording) -> str:
    """A wording in the language of the text search."""
    if isinstance(wording, Words):
        found = _phrase(wording)
        return f"{{whole}} : ({found})" if wording.everywhere else found
    if isinstance(wording, Without):
        return f"({_expression(wording.part)}) NOT ({_expression(wording.denied)})"
    return "(" + (" AND " if isinstance(wording, Every) else " OR ").join(map(_expression, wording.parts)) + ")"


def _phrase(asked: Words) -> str:
    """Words that follow one another in a text of one of the keys, or of any."""
    more = " *" if asked.open else ""
    if asked.codes is None:
        return f'"{" ".join(asked.words)}"{more}'
    found = []
    for letter in (chr(_KEYED + code) for code in asked.codes):
        words = [letter + word for word in asked.words]
        words = [letter, *words, *([] if asked.open else [letter])] if asked.whole else words
        found.append(f'"{" ".join(words)}"{more}')
    return f"({' OR '.join(found)})" if found else f'"{_NOWHERE}"'
