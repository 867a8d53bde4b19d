"""What the catalogue asks of a database, whichever it is; `sqlite.py` and `postgres.py` answer, each for its own.

Here stands what both have alike: how a catalogue is addressed, opened and versioned, and how transactions run.
"""

from __future__ import annotations

import datetime
import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple, Self, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    Insert,
    Row,
    Select,
    Table,
    func,
    insert,
    inspect,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from diadem.catalogue.package_key import EVERYTHING, Stretch
from diadem.catalogue.tables import ADDED, VERSION, metadata, packages, packages_owed, schema_version
from diadem.catalogue.words import Wording, Words
from diadem.errors import DiademError, IntegrityError, NotFound, Refused, StoreError, UsageError
from diadem.model.plain_text import count_text, duration_words
from diadem.model.times import time_text

#: Values that fit into one question.
CHUNK: Final = 500
#: Seconds that a writer waits for another one.
BUSY_SECONDS: Final = 60
#: Options of a connection: whose it is, whether its transaction writes, and whether nothing need be there yet.
_OWN, WRITING, NEW = "catalogue_database", "catalogue_writing", "catalogue_new"
#: Packages that `reindex` reads in a second from disks of this machine: benchmarks/README.md, building anew.
_REBUILT: Final = 400
_Item = TypeVar("_Item")
REBUILD: Final = "It is a cache, and can be rebuilt. Run: diadem reindex"


class OfLaterVersion(Refused):
    """A later version of DIADEM made the catalogue."""


class IndexedText(NamedTuple):
    """A text of a package: the number of its key, its words, and whether all datasets state it."""

    key: int
    words: str
    everywhere: bool


class TextHits(NamedTuple):
    """Packages whose texts fulfil a wording, each once; the column that is their key; and what it is asked with.

    The question is the same for many stretches, so that it is put together, and planned, once.
    """

    source: Select[Any]
    key: ColumnElement[int]
    values: Mapping[str, Any] = MappingProxyType({})


class Database(ABC):
    """Where one catalogue lies: a file, or a schema of a server."""

    #: Whether the words of a few packages that lie together are looked up quickly in the index of words. Then this
    #: index also gives packages in order without sorting.
    LOOKS_UP_WORDS: ClassVar[bool]
    #: What SQLAlchemy and its driver raise.
    FAULTS: ClassVar[tuple[type[Exception], ...]]
    #: The `insert` of its dialect.
    INSERT: ClassVar[Any]

    @property
    @abstractmethod
    def address(self) -> str:
        """What `Catalogue.open` takes; a password is never in it."""

    @property
    @abstractmethod
    def engine(self) -> Engine:
        """Its connections, each of which begins a transaction as the options `WRITING` and `NEW` say."""

    def require(self, *, create: bool, read_only: bool) -> None:
        """See that a catalogue of this version is there, or where it may be created, make it.

        Raises `NotFound`; `IntegrityError` where an earlier version of DIADEM made it, or something else is there, and
        `Refused` where that is only to be read; `OfLaterVersion`.
        """
        if not self.exists():
            if not create:
                raise NotFound("there is no catalogue", where=self.address, next="Run: diadem reindex")
            self.make()
        with self.transaction(writing=False, new=True) as connection:
            found = _version(connection)
        kept_out: StoreError | None = None
        if found == VERSION - 1 and not read_only:
            try:
                found = self._add_what_is_new()
            except StoreError as error:  # its disk is full, or its tables are another role's
                kept_out = error
        if found == 0 and not read_only:
            with self.transaction(writing=True, new=True) as connection:
                if _version(connection) == 0:  # else another process has just made them
                    for statement in _statements(connection.dialect):
                        connection.exec_driver_sql(statement)
                    self.create_texts(connection)
                    _note_version(connection)
            return
        if found > VERSION:
            raise OfLaterVersion(
                f"the catalogue has version {found}, and this version of DIADEM knows {VERSION}",
                where=self.address,
                next="Install the newer DIADEM that wrote it."
                if read_only
                else "Install the newer DIADEM that wrote it, or rebuild it for this version: diadem reindex",
            )
        if found < VERSION and read_only:
            raise Refused(
                f"the catalogue has version {found}, an earlier one",
                where=self.address,
                next="Let the node's own machine archive or scrub something with this version of DIADEM.",
            )
        if found < VERSION:
            count = 0
            with suppress(DiademError), self.transaction(writing=False, new=True) as connection:
                count = connection.scalar(select(func.count()).select_from(packages)) or 0
            what = f"an earlier version of DIADEM made the catalogue ({found}, this one makes {VERSION})"
            first = ""
            if kept_out is not None:
                what += f", and what it lacks cannot be added: {kept_out.message}"
                first = f"{kept_out.next} " if kept_out.next else ""
            raise IntegrityError(
                what,
                where=self.address,
                next=f"{first}It is a cache, rebuilt from log and stores: {_rebuild_time(count)}. Run: diadem reindex",
            ) from kept_out

    def _add_what_is_new(self) -> int:
        """Raise the tables of the version before by what they lack; their version now."""
        with self.transaction(writing=True, new=True) as connection:
            if _version(connection) == VERSION - 1:  # else another process has just done so
                for statement in ADDED:
                    connection.exec_driver_sql(statement)
                packages_owed.create(connection)
                _note_version(connection)
            return _version(connection)

    @contextmanager
    def transaction(self, *, writing: bool, new: bool = False) -> Iterator[Connection]:
        """One transaction: all of it or nothing; of a `new` catalogue nothing is expected to be there yet.

        Readers see the state of one moment, whoever writes. Of writers there is one at a time.
        """
        options: dict[str, Any] = {_OWN: self, WRITING: writing, NEW: new}
        with self.translated(), self.engine.connect().execution_options(**options) as made, made.begin():
            yield made

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Errors of the database in our words."""
        try:
            yield
        except self.FAULTS as error:
            raise self.ours(_first(error)) from error

    @abstractmethod
    def ours(self, error: BaseException) -> DiademError:
        """The error that says what happened and what to do."""

    def damaged(self, said: str) -> IntegrityError:
        """A catalogue that is none any more."""
        return IntegrityError(f"the catalogue is damaged: {said}", where=self.address, next=REBUILD)

    # Its place

    @abstractmethod
    def exists(self) -> bool:
        """Whether there is a catalogue."""

    @abstractmethod
    def make(self) -> None:
        """Make room for one, unless there is."""

    @abstractmethod
    def size(self) -> int:
        """Bytes that it takes on its disk."""

    @abstractmethod
    def analyse(self) -> None:
        """Let the database count what it has: very much was written."""

    @abstractmethod
    def close(self) -> None:
        """Close all connections."""

    @abstractmethod
    def draft(self) -> Self:
        """A place for a new catalogue beside this one, of a name that says what it is."""

    @abstractmethod
    def forget_drafts(self) -> None:
        """Remove drafts that were left behind. Nobody may be filling one."""

    @abstractmethod
    def discard(self) -> None:
        """Close, and remove everything."""

    @abstractmethod
    def set_aside(self) -> None:
        """Give way to a new catalogue; what is damaged is kept under another name."""

    @abstractmethod
    def take_over(self, draft: Self) -> None:
        """Take over all that a draft holds, in one transaction."""

    def snapshot(self, path: Path) -> bool:  # noqa: ARG002
        """Write a consistent, compact SQLite file while others write; False where it must be copied table by table."""
        return False

    # What each says in its own way, in a transaction

    @abstractmethod
    def create_texts(self, connection: Connection) -> None:
        """Make the index of words."""

    @abstractmethod
    def write_texts(self, connection: Connection, packages: Iterable[tuple[int, Iterable[IndexedText]]]) -> None:
        """Make the words of packages searchable."""

    @abstractmethod
    def remove_text(self, connection: Connection, package: int) -> None:
        """Take them out again."""

    @abstractmethod
    def text_search(self, wording: Wording, stretch: Stretch = EVERYTHING) -> TextHits:
        """Packages of a stretch whose texts fulfil a wording, or where it is not `exact`, a few more."""

    @abstractmethod
    def exact(self, words: Words) -> bool:
        """Whether the index of words alone decides on a phrase."""

    @abstractmethod
    def insert_rows(self, connection: Connection, table: Table, rows: Iterable[Sequence[Any]]) -> None:
        """Insert many rows, each with a value for every column of the table, as fast as this database can."""

    @classmethod
    @cache
    def upsert(cls, table: Table) -> Insert:
        """Insert a row; where one is there with the same primary key, it gets the new values of the rest."""
        statement, unique = cls.INSERT(table), [column.name for column in table.primary_key]
        changed = {column.name: statement.excluded[column.name] for column in table.c if column.name not in unique}
        made: Insert = statement.on_conflict_do_update(index_elements=unique, set_=changed)
        return made


def of(connection: Connection) -> Database:
    """The database of a connection."""
    found: Database = connection.get_execution_options()[_OWN]
    return found


def insert_rows(connection: Connection, table: Table, rows: Iterable[Sequence[Any]]) -> None:
    """See `Database.insert_rows`."""
    of(connection).insert_rows(connection, table, rows)


def insert_values(connection: Connection, table: Table, values: Iterable[Mapping[str, Any]]) -> None:
    """The same of rows by the names of their columns."""
    columns = [column.name for column in table.c]
    insert_rows(connection, table, ([row[name] for name in columns] for row in values))


def chunks(items: Iterable[_Item], size: int = CHUNK) -> Iterator[list[_Item]]:
    """Items, in their order, as many at a time as fit into one question."""
    remaining = iter(items)
    while some := list(islice(remaining, size)):
        yield some


def streamed(connection: Connection, statement: Select[Any], size: int) -> Iterator[Sequence[Row[Any]]]:
    """Rows of a question, so many at a time; it is closed when nobody wants more."""
    with connection.execute(statement.execution_options(yield_per=size)) as result:
        yield from result.partitions()


def _first(error: BaseException) -> BaseException:
    """What came first: a full disk ends the whole transaction, and then its parts cannot be undone any more."""
    found: BaseException | None = error
    while found is not None and "no such savepoint" in str(found):
        found = found.__context__
    chosen = found if isinstance(found, DBAPIError | sqlite3.Error) else error
    return (chosen.orig or chosen) if isinstance(chosen, DBAPIError) else chosen


#: What makes the tables and their indexes, in order, by the name of the database: compiled once in a process.
_STATEMENTS: dict[str, tuple[str, ...]] = {}


def _statements(dialect: Dialect) -> tuple[str, ...]:
    if dialect.name not in _STATEMENTS:
        made: list[DDLElement] = []
        for table in metadata.sorted_tables:
            made.append(CreateTable(table))
            made += [CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name))]
        _STATEMENTS[dialect.name] = tuple(str(statement.compile(dialect=dialect)) for statement in made)
    return _STATEMENTS[dialect.name]


def _rebuild_time(count: int) -> str:
    """``for its 2,000 packages in about 5 s, longer where stores answer slowly``."""
    seconds = count / _REBUILT
    unit = next((unit for unit in (3600, 60) if seconds >= 2 * unit), 1)
    time = duration_words(datetime.timedelta(seconds=max(1, round(seconds / unit)) * unit))
    return f"for its {count_text(count, 'package')} in about {time}, longer where stores answer slowly"


def _version(connection: Connection) -> int:
    """The version of the tables; 0 where there are none."""
    if not inspect(connection).has_table(schema_version.name):
        return 0
    return int(connection.scalar(select(func.max(schema_version.c.version))) or 0)


def _note_version(connection: Connection) -> None:
    now = time_text(datetime.datetime.now(datetime.UTC))
    connection.execute(insert(schema_version), {"version": VERSION, "applied_at": now})


# Addresses

SCHEMES: Final = ("postgresql", "postgres")
#: The schema, where the address names none.
DEFAULT_SCHEMA: Final = "diadem"
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}\Z")
_EXAMPLE: Final = "postgresql://diadem@db.example.org/diadem"


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a catalogue lies on a server: server and database, as libpq reads them, and its schema."""

    server: str
    schema: str

    @classmethod
    def parse(cls, address: str, *, schema: str = DEFAULT_SCHEMA) -> Self:
        """Read an address; the schema counts where it names none. Raises `UsageError`, also where it has a password."""
        try:
            parts = urlsplit(address)
            password = parts.password
            asked = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError as error:
            raise UsageError(
                f"the address of the catalogue cannot be read: {error}", next=f"Write {_EXAMPLE}"
            ) from error
        if password is not None or any(name in ("password", "passfile") for name, _ in asked):
            raise UsageError(
                "a password must not be in the address of the catalogue: it is kept in node.toml and in every store",
                next="Leave it out. The password is found in ~/.pgpass, in PGPASSWORD, or in the keyring.",
            )
        named = [value for name, value in asked if name == "schema"]
        chosen = named[-1] if named else schema
        if not _SCHEMA.match(chosen):
            raise UsageError(
                f"'{chosen}' cannot be the name of a schema", next="Use small letters, digits and underscores."
            )
        if not unquote(parts.path).strip("/"):
            raise UsageError("the address of the catalogue names no database", next=f"Write {_EXAMPLE}")
        rest = urlencode([one for one in asked if one[0] != "schema"], quote_via=quote)
        return cls(f"postgresql://{parts.netloc}{parts.path}{'?' if rest else ''}{rest}", chosen)

    def with_schema(self, schema: str) -> Self:
        """Another schema of the same database."""
        return replace(self, schema=schema)

    def __str__(self) -> str:
        """The whole address."""
        return f"{self.server}{'&' if '?' in self.server else '?'}schema={self.schema}"


def is_on_server(address: str) -> bool:
    """Whether an address names a server and no file."""
    return address.partition("://")[0] in SCHEMES


def complete(address: str, *, schema: str) -> str:
    """An address with its schema, so that it means the same everywhere. Raises `UsageError`."""
    return str(ServerAddress.parse(address, schema=schema))
