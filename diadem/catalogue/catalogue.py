"""`Catalogue`: what a node knows of its packages and their copies. A cache: the stores and the log can restore it.

It opens the database, and runs each call as one transaction. What can be asked is the list at its end, by subject;
each function stands, with what it says of itself, in the module of its subject.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from sqlalchemy import Connection, Row, select

from diadem.catalogue import (
    amended_facts,
    belonging,
    database,
    facet_counts,
    known_samples,
    log_statements,
    package_rows,
    packages,
    page,
    quality,
    replica_states,
    tables,
)
from diadem.catalogue.database import Database, IndexedText, ServerAddress, is_on_server
from diadem.catalogue.facts import PackageEntry
from diadem.catalogue.sqlite import SqliteDatabase
from diadem.errors import Refused, UsageError
from diadem.model.ports import Closing
from diadem.model.replicas import PackageState
from diadem.store.system import move

#: Indexes whose entries come in no order while a catalogue is filled: made at the end, they cost a tenth.
BY_VALUE: Final = tuple(index for index in tables.numbers.indexes if index.name == "numbers_by_key")
#: Rows that are held at once when a catalogue is copied, and packages whose words are.
_ROWS: Final = 2000
_TEXTS: Final = 100
_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")


def _reads(
    question: Callable[Concatenate[Connection, _Given], _Found],
) -> Callable[Concatenate[Catalogue, _Given], _Found]:
    """A function on a connection as a method that asks in a transaction of its own, or in that of `together`.

    One that gives rows as they come would give them after its transaction: it has a method that is written out.
    """

    @wraps(question)
    def ask(catalogue: Catalogue, /, *given: _Given.args, **named: _Given.kwargs) -> _Found:
        with catalogue.reading() as connection:
            return question(connection, *given, **named)

    return ask


def _writes(
    change: Callable[Concatenate[Connection, _Given], _Found],
) -> Callable[Concatenate[Catalogue, _Given], _Found]:
    """The same of one that writes."""

    @wraps(change)
    def make(catalogue: Catalogue, /, *given: _Given.args, **named: _Given.kwargs) -> _Found:
        with catalogue.writing() as connection:
            return change(connection, *given, **named)

    return make


class Catalogue(Closing):
    """Packages, their facts, replicas, proofs and statements in one database. Safe for many threads and processes.

    Every call is one transaction: a process that is killed leaves nothing half written and blocks nobody.
    Made by `open`.
    """

    def __init__(self, place: Database, *, read_only: bool) -> None:
        self._place = place
        self.read_only = read_only
        self._own = threading.local()
        self._filling = False

    @classmethod
    def open(cls, url_or_path: str | Path, *, create: bool = False, read_only: bool = False) -> Self:
        """Open a catalogue, or with `create` make it: by its file, or ``postgresql://user@host/database?schema=name``.

        One that is `read_only` is never written; a snapshot is read without locks then, also on a share. Raises
        `NotFound`; `IntegrityError` where it is damaged or of an earlier version, and to be built anew; `Refused` where
        a later version of DIADEM made it; `Unreachable` where its server does not answer.
        """
        return cls._opened(_database_at(url_or_path, read_only=read_only), create=create, read_only=read_only)

    @classmethod
    def _opened(cls, place: Database, *, create: bool, read_only: bool = False) -> Self:
        made = cls(place, read_only=read_only)
        try:
            place.require(create=create and not read_only, read_only=read_only)
        except BaseException:
            made.close()
            raise
        return made

    @property
    def address(self) -> str:
        """What `open` takes: the path of its file, or the URL of its server without any password."""
        return self._place.address

    def close(self) -> None:
        """Close its connections."""
        self._place.close()

    # Transactions

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let all calls of this thread be one transaction: all of them count, or where one raises, none.

        Other writers wait so long. A call that raises and is caught inside leaves nothing of its own.
        """
        with self.writing() as connection:
            outer, self._own.connection = getattr(self._own, "connection", None), connection
            try:
                yield
            finally:
                self._own.connection = outer

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads, or that of `together`."""
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is not None:
            yield connection
            return
        with self._place.transaction(writing=False) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes, or a part of that of `together`; counts of values follow at its end.

        Raises `Refused` where the catalogue is open for reading only.
        """
        if self.read_only:
            raise Refused(
                "this catalogue is open for reading only", where=self.address, next="Work on the node's own machine."
            )
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is not None:
            with self._place.translated(), connection.begin_nested():
                yield connection
            return
        with self._place.transaction(writing=True) as connection:
            try:
                yield connection
                if not self._filling:
                    facet_counts.settle(connection)
            finally:
                facet_counts.abandon(connection)

    # The whole

    def size(self) -> int:
        """Bytes that it takes on its disk."""
        return self._place.size()

    def analyse(self) -> None:
        """Let the database count what it has, after very much was written; a server does so by itself in minutes."""
        self._place.analyse()

    def draft(self) -> Self:
        """A new, empty catalogue beside this one, to be filled and put in its place.

        It cannot be searched: the indexes by value, in which rows come in no order, are made when it is full.
        """
        made = self._opened(self._place.draft(), create=True)
        made.prepare_to_fill()
        return made

    def prepare_to_fill(self) -> None:
        """Do for a while without the indexes by value, and without counts of values."""
        self._filling = True
        with self.writing() as connection:
            for index in BY_VALUE:
                index.drop(connection, checkfirst=True)

    def complete(self) -> None:
        """Make them."""
        self._filling = False
        with self.writing() as connection:
            facet_counts.fill(connection)
            for index in BY_VALUE:
                index.create(connection, checkfirst=True)

    def take_over(self, draft: Self) -> None:
        """Take over everything that a draft holds, in one transaction; the draft is gone afterwards."""
        if draft._filling:
            draft.complete()
        self._place.take_over(draft._place)

    def forget_drafts(self) -> None:
        """Remove drafts that a process which was killed has left. Nobody may be filling one."""
        self._place.forget_drafts()

    def discard(self) -> None:
        """Close it and remove all that it holds: a draft that is not wanted."""
        self._place.discard()

    @staticmethod
    def set_aside(url_or_path: str | Path) -> None:
        """Give what is damaged another name, so that a new catalogue can be made in its place."""
        _database_at(url_or_path, read_only=False).set_aside()

    def snapshot(self, path: Path) -> None:
        """Write a consistent, compact SQLite file while others write; it appears under its name when it is whole."""
        partial = path.with_name(f".{path.name}.partial")
        draft = path.with_name(f".{path.name}.draft")
        partial.unlink(missing_ok=True)
        try:
            if not self._place.snapshot(partial):
                self._copy(draft, partial)
            move(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    def _copy(self, draft: Path, path: Path) -> None:
        """Table by table, where the database is not a file."""
        place = _database_at(draft, read_only=False)
        place.discard()
        with self._opened(place, create=True):
            try:
                with self.reading() as source, place.transaction(writing=True) as sink:
                    _copy_tables(source, sink)
                place.snapshot(path)
            finally:
                place.discard()

    # Packages

    def add_package(self, entry: PackageEntry) -> None:
        """Add a package with its datasets, facts and words; of one that is there everything is written anew."""
        self.add_packages([entry])

    def add_packages(self, entries: Iterable[PackageEntry]) -> None:
        """Add many packages in one transaction, which costs a third of one by one."""
        self.enter([packages.prepare(entry) for entry in entries])  # reads the records, while others may write

    enter = _writes(packages.enter)
    enter_owed = _writes(packages.enter_owed)
    note_ingests = _writes(packages.note_ingests)
    tombstone = _writes(packages.tombstone)
    forget = _writes(packages.forget)
    get = _reads(package_rows.get)
    known = _reads(packages.known)
    has = _reads(packages.has)
    is_whole = _reads(packages.is_whole)
    count = _reads(packages.count)
    unread = _reads(packages.unread)
    owed = _reads(packages.owed)
    of_payload = _reads(packages.of_payload)
    by_traces = _reads(packages.by_traces)
    continued = _reads(packages.continued)
    continuations = _reads(packages.continuations)
    tag_files = _reads(packages.tag_files)
    dataset = _reads(package_rows.dataset)
    datasets_of = _reads(package_rows.datasets_of)
    dataset_paths = _reads(quality.dataset_paths)

    # Copies and their proofs

    set_replica = _writes(replica_states.set_replica)
    add_copies = _writes(replica_states.add_copies)
    forget_replica = _writes(replica_states.forget_replica)
    add_proof = _writes(replica_states.add_proof)
    add_proofs = _writes(replica_states.add_proofs)
    replicas = _reads(replica_states.replicas)
    count_replicas = _reads(replica_states.count_replicas)
    consistent = _reads(replica_states.consistent)
    package_state = _reads(replica_states.package_state)

    def package_states(self, required: Sequence[str] = ()) -> Iterator[PackageState]:
        """See `replica_states.package_states`."""
        with self.reading() as connection:
            yield from replica_states.package_states(connection, required)

    # Statements of the log, and what people say in them

    add_statements = _writes(log_statements.add_statements)
    forget_statements = _writes(log_statements.forget_statements)
    statements = _reads(log_statements.statements)
    count_statements = _reads(log_statements.count_statements)
    known_indices = _reads(log_statements.known_indices)
    places_after = _reads(log_statements.places_after)
    speaks_for = _reads(log_statements.speaks_for)
    assessments = _reads(log_statements.assessments)
    derivations = _reads(log_statements.derivations)
    identifiers = _reads(log_statements.identifiers)
    sheets = _reads(log_statements.sheets)
    sample_statements = _reads(log_statements.sample_statements)
    sample_places = _reads(log_statements.sample_places)
    add_assessment = _writes(quality.add_assessment)
    restate_judgements = _writes(quality.restate_judgements)
    add_derivation = _writes(quality.add_derivation)
    cautions = _reads(quality.cautions)
    restate_record = _writes(amended_facts.restate_record)
    succeed = _writes(amended_facts.succeed)
    corrections = _reads(amended_facts.corrections)

    # Access

    access_facts = _reads(belonging.access_facts)
    amended_within = _reads(belonging.amended_within)
    ids_reached = _reads(belonging.ids_reached)

    # Samples

    add_sample = _writes(known_samples.add_sample)
    samples = _reads(known_samples.samples)
    count_samples = _reads(known_samples.count_samples)
    samples_named = _reads(known_samples.samples_named)
    names_of_samples = _reads(known_samples.names_of_samples)
    family = _reads(known_samples.family)
    sample_texts = _reads(known_samples.sample_texts)
    datasets_naming = _reads(known_samples.datasets_naming)

    # Search

    search = _reads(page.search)
    facets = _reads(page.facets)
    stated = _reads(page.stated)


def _database_at(address: str | Path, *, read_only: bool) -> Database:
    """The database that an address names, whether or not a catalogue is there. Raises `UsageError`."""
    text = str(address)
    scheme, separator, rest = text.partition("://")
    if not separator or scheme == "sqlite":
        return SqliteDatabase(Path(rest.removeprefix("/") if separator else text), read_only=read_only)
    if not is_on_server(text):
        raise UsageError(
            f"a catalogue in '{scheme}' is not known to this version",
            where=text,
            next="Name a file on a local disk, or postgresql://user@host/database",
        )
    try:
        from diadem.catalogue.postgres import PostgresDatabase
    except ImportError as error:
        raise UsageError(
            "a catalogue on PostgreSQL needs the extra [postgres]", next="Run: pip install 'diadem-em[postgres]'"
        ) from error
    return PostgresDatabase(ServerAddress.parse(text), read_only=read_only)


def _copy_tables(source: Connection, target: Connection) -> None:
    """Fill the empty tables of a catalogue of the same version; memory stays flat however large it is.

    The index of words is made anew from the phrases: each database has its own.
    """
    for table in tables.metadata.sorted_tables:
        if table is not tables.schema_version:
            every = select(table).order_by(*table.primary_key.columns)
            database.insert_rows(target, table, _rows(source, every))
    columns = tables.phrases.c
    said = select(columns.package, columns.key, columns.words, columns.everywhere).where(columns.words != "")
    ordered = _rows(source, said.order_by(columns.package, columns.key, columns.rank))
    packages = groupby(ordered, key=lambda row: int(row.package))
    texts = ((package, [IndexedText(row.key, row.words, row.everywhere) for row in rows]) for package, rows in packages)
    for some in database.chunks(texts, _TEXTS):
        database.of(target).write_texts(target, some)


def _rows(connection: Connection, statement: Any) -> Iterator[Row[Any]]:
    return chain.from_iterable(database.streamed(connection, statement, _ROWS))
