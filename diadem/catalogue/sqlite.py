"""All that is SQLite's own: opening, transactions, text search, copies of the file.

`postgres.py` has the same for PostgreSQL; what both must have stands in `database.py`.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Insert,
    Table,
    create_engine,
    event,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql.compiler import SQLCompiler

from diadem.catalogue.database import Said, TextHits
from diadem.catalogue.expressions import Among, Contains, ContainsOne
from diadem.catalogue.order import EVERYTHING, Stretch
from diadem.catalogue.words import Every, Without, Wording, Words
from diadem.errors import DiademError, IntegrityError, NotFound, Refused
from diadem.store.sqlite_file import SQLITE_FAULTS, disk_failure, primary_code, write_ahead
from diadem.store.system import move

#: The file and those that SQLite keeps beside it.
SUFFIXES: Final = ("", "-wal", "-shm")
#: Seconds that a writer waits for another one.
BUSY_SECONDS: Final = 60
#: Rows that go to the database in one call.
_BATCH: Final = 5000
#: KiB of pages that one connection keeps.
_CACHE = 16_000
#: See `database.Database`.
LOOKS_UP_WORDS: Final = True
#: The table of texts: `whole` holds for all datasets of a package, `some` for those that the facts name.
_TEXT_TABLE: Final = (
    'CREATE VIRTUAL TABLE texts USING fts5(whole, some, tokenize = "unicode61 remove_diacritics 0", columnsize = 0)'
)
#: Letters of private use: words for SQLite, and none for `words`. One stands between texts, one nowhere, and from
#: `_KEYED` on one for each key.
_BETWEEN, _NOWHERE, _KEYED = "\ue000", "\ue001", 0xE100
#: Bytes that the write-ahead log may keep on the disk after a large transaction.
_LOG = 64 << 20
_WRITING = "catalogue_writing"
#: SQLite file format, 1.3: byte 18 is 2 for a file with a write-ahead log, 1 for one without.
_VERSION_AT = 18


def engine(path: Path, *, read_only: bool) -> Engine:
    """Connections to the file. A snapshot, which nobody writes, is read without any lock, also on a share."""
    mode = ("ro&immutable=1" if _is_snapshot(path) else "ro") if read_only else "rwc"
    address = _address(path, mode)

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            if not read_only:
                write_ahead(connection, BUSY_SECONDS)
            for setting in _settings(read_only):
                connection.execute(f"PRAGMA {setting}").close()
        except BaseException:
            connection.close()
            raise
        return connection

    # the connection that was used last is used next: each has a cache of its own
    made = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_use_lifo=True)
    event.listen(made, "begin", _begin)
    return made


def _address(path: Path, mode: str) -> str:
    """The file as SQLite's URI. A share is written with four slashes: SQLite knows no host but this one."""
    name = quote(path.absolute().as_posix())
    return f"file://{name if name.startswith('/') else '/' + name}?mode={mode}"


def _settings(read_only: bool) -> list[str]:
    shared = [f"busy_timeout = {BUSY_SECONDS * 1000}", f"cache_size = -{_CACHE}", "foreign_keys = ON", "temp_store = 2"]
    # A catalogue can be made anew, so a commit need not reach the disk before the next; it is never half a one.
    own = ["synchronous = NORMAL", f"journal_size_limit = {_LOG}"]
    # A snapshot may come from a store that anyone writes: its schema calls no function that reaches outside.
    return [*shared, "trusted_schema = OFF"] if read_only else [*shared, *own]


def _begin(connection: Connection) -> None:
    # Who will write says so at once: one who has read first could not wait for another writer.
    writing = connection.get_execution_options().get(_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


@contextmanager
def transaction(made: Engine, path: Path, *, writing: bool) -> Iterator[Connection]:
    """One transaction: all of it or nothing. Readers see the state at its first statement, whoever writes.

    Raises
    ------
    NotFound, IntegrityError, Refused, StoreError
        There is no catalogue, it is damaged, another process holds it, or the disk is full.
    """
    with translated(path), made.connect().execution_options(**{_WRITING: writing}) as connection, connection.begin():
        yield connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Errors of the database in our words."""
    try:
        yield
    except DBAPIError as error:
        raise _error(_first(error), path) from error
    except SQLITE_FAULTS as error:
        raise _error(error, path) from error


def _first(error: BaseException) -> BaseException:
    """What came first: a full disk ends the whole transaction, and then its parts cannot be undone any more."""
    found: BaseException | None = error
    while found is not None and "no such savepoint" in str(found):
        found = found.__context__
    chosen = found if isinstance(found, DBAPIError | sqlite3.Error) else error
    return (chosen.orig or chosen) if isinstance(chosen, DBAPIError) else chosen


def _error(error: BaseException, path: Path) -> DiademError:
    code, where = primary_code(error), str(path)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        again = "Wait until the other process is done, then try again."
        return Refused(f"another process has held the catalogue for {BUSY_SECONDS} s", where=where, next=again)
    if code == sqlite3.SQLITE_CANTOPEN and not os.path.lexists(path):
        return NotFound("there is no catalogue", where=where, next="Run: diadem reindex")
    if (failure := disk_failure(error, path, "catalogue")) is not None:
        return failure
    if "no such module" in str(error):
        again = "Use the Python of python.org, conda-forge or your system."
        return Refused("the SQLite of this Python has no text search (FTS5)", where=where, next=again)
    return damaged(path, str(error))


def damaged(path: Path, said: str) -> IntegrityError:
    """A file that is not a catalogue any more."""
    again = "It is a cache, and can be rebuilt. Run: diadem reindex"
    return IntegrityError(f"the catalogue is damaged: {said}", where=str(path), next=again)


def _is_snapshot(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(_VERSION_AT + 1)[_VERSION_AT:] == b"\x01"
    except OSError:
        return False


@cache
def upsert(table: Table, *unique: str) -> Insert:
    """Insert a row; where one is there with the same values in `unique`, it gets the new values of the rest."""
    statement = sqlite_insert(table)
    changed = {column.name: statement.excluded[column.name] for column in table.c if column.name not in unique}
    return statement.on_conflict_do_update(index_elements=list(unique), set_=changed)


def insert_rows(connection: Connection, table: Table, rows: Iterable[Sequence[Any]]) -> None:
    """Insert many rows, each with a value for every column of the table, in a third of the time of the usual way."""
    remaining = iter(rows)
    while batch := [tuple(row) for row in islice(remaining, _BATCH)]:
        connection.exec_driver_sql(_insertion(table), batch)


@cache
def _insertion(table: Table) -> str:
    return f"INSERT INTO {table.name} VALUES ({', '.join('?' * len(table.c))})"  # noqa: S608  (a table of ours)


def create_texts(connection: Connection) -> None:
    """Make the table of texts."""
    connection.execute(text(_TEXT_TABLE))


def write_texts(connection: Connection, packages: Iterable[tuple[int, Iterable[Said]]]) -> None:
    """Make the words of packages searchable."""
    rows = [(package, *_whole_and_some(list(said))) for package, said in packages]
    if rows:
        connection.exec_driver_sql("INSERT INTO texts(rowid, whole, some) VALUES (?, ?, ?)", rows)


def _whole_and_some(said: Sequence[Said]) -> tuple[str, str]:
    whole, some = (text_of((one.key, one.words) for one in said if one.everywhere == where) for where in (True, False))
    return whole, some


def remove_text(connection: Connection, package: int) -> None:
    """Take them out again."""
    connection.execute(text("DELETE FROM texts WHERE rowid = :package"), {"package": package})


def text_search(wording: Wording, stretch: Stretch = EVERYTHING) -> TextHits:
    """Packages whose texts fulfil a wording, in falling or rising order without sorting."""
    key = literal_column("texts.rowid", BigInteger)
    matching = text("texts MATCH :match").bindparams(match=_expression(wording))
    hits = select(key).select_from(text("texts")).where(matching)
    return TextHits(hits if stretch == EVERYTHING else hits.where(key >= stretch.low, key < stretch.high), key)


def exact(_: Words) -> bool:
    """The index of words has them in their order."""
    return True


@compiles(Among, "sqlite")
def _among(element: Among, compiler: SQLCompiler, **options: Any) -> str:
    column, given = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({given}))"  # noqa: S608  (parts that are compiled)


@compiles(Contains, "sqlite")
def _contains(element: Contains, compiler: SQLCompiler, **options: Any) -> str:
    column, given = (compiler.process(clause, **options) for clause in element.clauses)
    return f"instr({column}, {given}) > 0"


@compiles(ContainsOne, "sqlite")
def _contains_one(element: ContainsOne, compiler: SQLCompiler, **options: Any) -> str:
    column, given = (compiler.process(clause, **options) for clause in element.clauses)
    return f"EXISTS (SELECT 1 FROM json_each({given}) AS given WHERE instr({column}, given.value) > 0)"  # noqa: S608


def text_of(facts: Iterable[tuple[int, str]]) -> str:
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


class SqlitePlace:
    """A catalogue in a file of its own.

    Parameters
    ----------
    path : Path
        The file.
    read_only : bool
        Whether it is never written. A snapshot, which nobody writes, is then read without any lock, also on a share.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path, self._read_only = path, read_only
        self._engine: Engine | None = None

    @property
    def address(self) -> str:
        """The path."""
        return str(self._path)

    def exists(self) -> bool:
        """Whether there is such a file."""
        return self._path.exists()

    def make(self) -> None:
        """SQLite makes the file itself."""

    def transaction(self, *, writing: bool, new: bool = False) -> AbstractContextManager[Connection]:  # noqa: ARG002
        """See `transaction`."""
        if self._engine is None:
            self._engine = engine(self._path, read_only=self._read_only)
        return transaction(self._engine, self._path, writing=writing)

    def translated(self) -> AbstractContextManager[None]:
        """See `translated`."""
        return translated(self._path)

    def size(self) -> int:
        """Bytes of its files."""
        size = 0
        for suffix in SUFFIXES:
            with suppress(OSError):
                size += self._path.with_name(self._path.name + suffix).stat().st_size
        return size

    def analyse(self) -> None:
        """Nothing to do: the questions are asked so that no statistics are needed."""

    def close(self) -> None:
        """Close its connections."""
        if self._engine is not None:
            self._engine.dispose()

    def draft(self) -> Self:
        """A file beside it, of a name that says what it is."""
        return type(self)(self._path.with_name(f".{self._path.name}.{uuid.uuid4().hex[:8]}.draft"))

    def forget_drafts(self) -> None:
        """Remove such files."""
        for path in self._path.parent.glob(f".{self._path.name}.*.draft*"):
            path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Close it and remove its files."""
        self.close()
        for suffix in SUFFIXES:
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def set_aside(self) -> None:
        """Give its files another name: ``catalogue.sqlite.damaged``."""
        self.close()
        for suffix in SUFFIXES:
            path = self._path.with_name(self._path.name + suffix)
            if path.exists():
                move(path, self._path.with_name(f"{self._path.name}.damaged{suffix}"))

    def take_over(self, draft: Self) -> None:
        """Take over the content of another file."""
        draft.close()
        self.close()
        replace_content(self._path, draft._path)
        draft.discard()

    def snapshot(self, path: Path) -> bool:
        """Copy the file."""
        copy(self._path, path)
        return True


def copy(path: Path, target: Path) -> None:
    """A consistent, compact copy of the file while others write: one that nobody needs a lock to read."""
    with translated(path), closing(sqlite3.connect(_address(path, "ro"), uri=True)) as source:
        source.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}").close()
        source.execute("VACUUM INTO ?", (str(target),)).close()


def replace_content(path: Path, draft: Path) -> None:
    """Give the file the content of another one, in one transaction: readers see the old or the new."""
    with (
        translated(path),
        closing(sqlite3.connect(_address(draft, "ro"), uri=True)) as source,
        closing(sqlite3.connect(_address(path, "rwc"), uri=True, timeout=BUSY_SECONDS)) as target,
    ):
        target.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}").close()
        source.backup(target)
        write_ahead(target, BUSY_SECONDS)
