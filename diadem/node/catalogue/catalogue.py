"""`Catalogue`: what a node knows of its packages and their copies. A cache: the stores and the log can restore it."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine, delete, func, select

from diadem.errors import NotFound, Refused, UsageError
from diadem.model.ids import PREFIX
from diadem.model.replicas import PackageState, ReplicaState
from diadem.model.times import time_text
from diadem.node.catalogue import migrations, reading, searching, sqlite, tables, writing
from diadem.node.catalogue.entries import PackageEntry
from diadem.node.catalogue.results import PackageRow, SearchResult

Clock = Callable[[], datetime.datetime]
#: Levels at which leaves and SHA-256 were hashed in one pass over the same bytes.
_WHOLE = ("written", "server", "full")


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Catalogue:
    """Packages, their facts, replicas, proofs and statements in one file. Safe for many threads and processes.

    Every call is one transaction: a process that is killed leaves nothing half written and blocks nobody.
    Made by `open`.
    """

    def __init__(self, engine: Engine, path: Path, *, read_only: bool) -> None:
        self._engine = engine
        self.path = path
        self.read_only = read_only

    @classmethod
    def open(
        cls, url_or_path: str | Path, *, create: bool = False, read_only: bool = False, clock: Clock = _now
    ) -> Self:
        """Open a catalogue; one of an earlier version is brought up to date, a copy of it kept beside it.

        Parameters
        ----------
        url_or_path : str or path
            The file, or ``sqlite:///`` and the file.
        create : bool
            Make it if it is not there.
        read_only : bool
            Never write. A snapshot is read without locks, also on a share.
        clock : callable
            Now, for the name of the copy.

        Raises
        ------
        NotFound, IntegrityError, Refused
            It is not there, it is damaged, or a later version of DIADEM made it.
        """
        path = _path(url_or_path)
        if not path.exists() and (read_only or not create):
            raise NotFound("there is no catalogue", where=str(path), next="Run: diadem reindex")
        made = cls(sqlite.engine(path, read_only=read_only), path, read_only=read_only)
        try:
            made._prepare(clock)
        except BaseException:
            made.close()
            raise
        return made

    def _prepare(self, clock: Clock) -> None:
        if not self.read_only:
            migrations.migrate(self._engine, self.path, clock=clock)
            return
        found = migrations.version(self._engine, self.path)
        migrations.require_known(found, self.path)
        if found < migrations.MIGRATIONS[-1].version:
            raise Refused(
                f"the catalogue has version {found}, an earlier one",
                where=str(self.path),
                next="Let the node's own machine open it once with this version of DIADEM.",
            )

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        """The catalogue itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _reading(self) -> AbstractContextManager[Connection]:
        return sqlite.transaction(self._engine, self.path, writing=False)

    def _writing(self) -> AbstractContextManager[Connection]:
        if self.read_only:
            raise Refused(
                "this catalogue is open for reading only", where=str(self.path), next="Work on the node's own machine."
            )
        return sqlite.transaction(self._engine, self.path, writing=True)

    # Packages

    def add_package(self, entry: PackageEntry) -> None:
        """Add a package with its datasets, facts and words; of one that is there everything is written anew."""
        prepared = writing.prepare(entry)  # reads the record, while others may write
        with self._writing() as connection:
            writing.write_package(connection, prepared)

    def tombstone(
        self, package_id: str, *, reason: str, at: datetime.datetime, statement_id: str | None = None
    ) -> None:
        """Note that a package was deleted on purpose; search finds it no more. Raises `NotFound`."""
        tombstone = {"reason": reason, "at": time_text(at), "statement_id": statement_id}
        with self._writing() as connection:
            writing.write_tombstone(connection, package_id, tombstone)

    def get(self, id_or_prefix: str) -> PackageRow:
        """A package by its id, payload id or the beginning of one.

        Raises
        ------
        NotFound
            There is none.
        UsageError
            It is no id, or several begin so: the message names them.
        """
        with self._reading() as connection:
            return reading.package_rows(connection, [reading.resolve(connection, id_or_prefix)])[0]

    def has(self, package_id: str) -> bool:
        """Whether it knows a package, by its whole id."""
        with self._reading() as connection:
            return writing.find(connection, package_id.removeprefix(PREFIX)) is not None

    def by_traces(self, traces: Sequence[int]) -> list[str]:
        """Ids of packages whose source has one of these traces, the one with most of them first."""
        with self._reading() as connection:
            return reading.by_traces(connection, traces)

    def note_ingest(self, package_id: str, at: datetime.datetime) -> None:
        """Note when the log says that a package was taken in. Raises `NotFound`."""
        with self._writing() as connection:
            writing.write_ingest(connection, package_id, time_text(at))

    def tag_files(self, package_id: str) -> Mapping[str, bytes]:
        """Tag files of a package by bag path, as far as they were kept. Raises `NotFound`."""
        with self._reading() as connection:
            return reading.tag_files_of(connection, reading.resolve(connection, package_id))

    def predecessor(self, package_id: str) -> str | None:
        """Id of the package that one continues. Raises `NotFound`."""
        return self.get(package_id).continues

    def continuations(self, package_id: str) -> tuple[str, ...]:
        """Ids of the packages that continue one, directly. Raises `NotFound`."""
        with self._reading() as connection:
            return tuple(reading.continuations(connection, reading.resolve(connection, package_id)))

    # Replicas and proofs

    def set_replica(
        self,
        package_id: str,
        store: str,
        path: str,
        *,
        state: str,
        adopted: bool | None = None,
        written: datetime.datetime | None = None,
        parity: bool | None = None,
        place: str | None = None,
    ) -> None:
        """Add a replica or change what is known of it; None leaves a value as it is.

        A replica that is not present loses its proofs, and proofs of what lay there before `written` do not count.

        Raises
        ------
        NotFound
            There is no such package.
        UsageError
            There is no such state.
        """
        with self._writing() as connection:
            writing.write_replica(
                connection,
                package_id,
                store,
                path,
                state=state,
                adopted=adopted,
                written=written,
                parity=parity,
                place=place,
            )

    def forget_replica(self, package_id: str, store: str) -> None:
        """Forget a replica and its proofs. Raises `NotFound` where there is no such package."""
        with self._writing() as connection:
            writing.remove_replica(connection, package_id, store)

    def replicas(self, package_id: str) -> tuple[ReplicaState, ...]:
        """Replicas of a package in any state, by store. Raises `NotFound`."""
        with self._reading() as connection:
            return tuple(reading.replicas_of(connection, reading.resolve(connection, package_id)))

    def add_proof(
        self,
        package_id: str,
        store: str,
        *,
        level: str,
        at: datetime.datetime,
        ok: bool,
        statement_id: str | None = None,
    ) -> None:
        """Note a check of a replica; of each level and outcome the latest is kept. Raises `NotFound`."""
        with self._writing() as connection:
            writing.require(connection, package_id)
            writing.write_proofs(connection, [package_id], store, level=level, at=at, ok=ok, statement_id=statement_id)

    def add_proofs(
        self,
        package_ids: Iterable[str],
        store: str,
        *,
        level: str,
        at: datetime.datetime,
        ok: bool,
        statement_id: str | None = None,
    ) -> int:
        """The same for many packages of a store at once; unknown ones are passed over. Returns how many."""
        with self._writing() as connection:
            return writing.write_proofs(
                connection, package_ids, store, level=level, at=at, ok=ok, statement_id=statement_id
            )

    # Statements

    def add_statement(
        self,
        *,
        epoch: int,
        index: int,
        statement_id: str,
        kind: str,
        subjects: Sequence[str],
        time: datetime.datetime,
        line: bytes,
    ) -> None:
        """Note a statement of the log; one that is known already is left as it is.

        Parameters
        ----------
        epoch, index : int
            Its place in the log.
        statement_id : str
            64 hex digits.
        kind : str
            ``ingest``, ``fixity`` …
        subjects : sequence of str
            SHA-256 of what it is about, 64 hex digits each; of a package its id.
        time : datetime
            When it was made, UTC.
        line : bytes
            The envelope.
        """
        row = {"statement_id": statement_id, "epoch": epoch, "index": index, "kind": kind, "line": line}
        with self._writing() as connection:
            named = [subject.removeprefix(PREFIX) for subject in subjects]
            writing.write_statement(connection, row | {"time": time_text(time)}, named)

    def statements(self, sha256: str) -> list[bytes]:
        """Envelopes of the statements about a subject (a package id or any SHA-256), in the order of the log."""
        with self._reading() as connection:
            return reading.statements_of(connection, sha256.removeprefix(PREFIX))

    def count_statements(self) -> int:
        """How many statements are noted."""
        with self._reading() as connection:
            return int(connection.scalar(select(func.count()).select_from(tables.statements)) or 0)

    def known_statements(self) -> set[str]:
        """Ids of all statements that are noted."""
        with self._reading() as connection:
            return set(connection.scalars(select(tables.statements.c.statement_id)))

    def forget_statements(self) -> None:
        """Forget all statements: `reindex` reads them from the log again."""
        with self._writing() as connection:
            connection.execute(delete(tables.statements))

    # The whole

    def count(self) -> int:
        """How many packages there are, those deleted on purpose left aside."""
        with self._reading() as connection:
            return reading.count(connection)

    def package_states(self, required: Sequence[str] = ()) -> Iterator[PackageState]:
        """All packages with their replicas, as the policy judges them, those deleted on purpose included.

        Parameters
        ----------
        required : sequence of str
            Keys of fields that must be stated; those that a package lacks are its `missing_fields`.
        """
        with self._reading() as connection:
            yield from reading.package_states(connection, required)

    def package_state(self, package_id: str) -> PackageState:
        """One package with its replicas, as the policy judges it. Raises `NotFound`."""
        with self._reading() as connection:
            return reading.package_state(connection, reading.resolve(connection, package_id))

    def count_replicas(self, store: str) -> int:
        """How many packages a store has, damaged ones included."""
        with self._reading() as connection:
            return reading.count_replicas(connection, store)

    def consistent(self, package_id: str) -> bool:
        """Whether leaves and SHA-256 of a package were once hashed together, so that leaves alone prove its files."""
        with self._reading() as connection:
            return reading.was_proven(connection, reading.resolve(connection, package_id), _WHOLE)

    def search(
        self, query: str = "", *, limit: int | None = 50, offset: int = 0, order: str = "newest"
    ) -> SearchResult:
        """Find packages."""
        with self._reading() as connection:
            return searching.search(connection, query, limit=limit, offset=offset, order=order)

    def draft(self) -> Catalogue:
        """A new, empty catalogue beside this one, to be filled and put in its place."""
        path = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.draft")
        return Catalogue.open(path, create=True)

    def discard(self) -> None:
        """Close it and remove its files: a draft that is not wanted."""
        self.close()
        for suffix in sqlite.SUFFIXES:
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def take_over(self, draft: Catalogue) -> None:
        """Take over everything that a draft holds, in one transaction; the draft is gone afterwards."""
        draft.close()
        self._engine.dispose()
        sqlite.replace_content(self.path, draft.path)
        draft.discard()

    def snapshot(self, path: Path) -> None:
        """Write a consistent, compact copy while others write; it appears under its name when it is whole."""
        partial = path.with_name(f".{path.name}.partial")
        partial.unlink(missing_ok=True)
        try:
            sqlite.copy(self.path, partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _path(url_or_path: str | Path) -> Path:
    text = str(url_or_path)
    scheme, separator, rest = text.partition("://")
    if separator and scheme != "sqlite":
        raise UsageError(
            f"a catalogue in '{scheme}' is not known to this version", where=text, next="Name a file on a local disk."
        )
    return Path(rest.removeprefix("/") if separator else text)
