"""`Catalogue`: what a node knows of its packages and their copies. A cache: the stores and the log can restore it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select

from diadem.catalogue import reading, replicating, standing, states, tables, writing
from diadem.catalogue.entries import CopyEntry, PackageEntry, StatementEntry
from diadem.catalogue.quality import QualityCatalogue
from diadem.catalogue.results import PackageRow, SearchResult, StatedDataset
from diadem.catalogue.samples import SampleCatalogue
from diadem.catalogue.standing import Standing
from diadem.model.access import Reach, Visible
from diadem.model.manifest import PREFIX
from diadem.model.replicas import PackageState, ReplicaState
from diadem.model.times import time_text

if TYPE_CHECKING:
    from diadem.catalogue.facets import Facets

#: Levels at which leaves and SHA-256 were hashed in one pass over the same bytes.
_WHOLE = ("written", "server", "full")


class Catalogue(SampleCatalogue, QualityCatalogue):
    """Packages, their facts, replicas, proofs and statements in one file. Safe for many threads and processes.

    Every call is one transaction: a process that is killed leaves nothing half written and blocks nobody.
    Made by `open`.
    """

    # Packages

    def known(self, package_ids: Iterable[str]) -> set[str]:
        """Those of many packages that it knows, by their whole ids."""
        with self._reading() as connection:
            return {PREFIX + found for found in writing.known(connection, package_ids)}

    def add_package(self, entry: PackageEntry) -> None:
        """Add a package with its datasets, facts and words; of one that is there everything is written anew."""
        self.add_packages([entry])

    def add_packages(self, entries: Iterable[PackageEntry]) -> None:
        """Add many packages in one transaction, which costs a third of one by one."""
        self.enter([writing.prepare(entry) for entry in entries])  # reads the records, while others may write

    def enter(self, prepared: Sequence[writing.Prepared]) -> None:
        """The same of packages that were prepared, perhaps elsewhere."""
        with self._writing() as connection:
            writing.write_packages(connection, prepared)

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
            It is not an id, or several begin so: the message names them.
        """
        with self._reading() as connection:
            return reading.package_rows(connection, [reading.resolve(connection, id_or_prefix)])[0]

    def has(self, package_id: str) -> bool:
        """Whether it knows a package, by its whole id."""
        with self._reading() as connection:
            return writing.find(connection, package_id.removeprefix(PREFIX)) is not None

    def is_whole(self, package_id: str) -> bool:
        """Whether it has an owner and datasets of a package that was not deleted; False also where it has none."""
        rule = (tables.packages.c.id == package_id.removeprefix(PREFIX), tables.packages.c.tombstone.is_(None))
        columns = (tables.packages.c.owner, tables.packages.c.datasets)
        with self._reading() as connection:
            row = connection.execute(select(*columns).where(*rule)).first()
            return row is not None and bool(row.owner) and bool(row.datasets)

    def by_traces(self, traces: Sequence[int], *, limit: int) -> list[str]:
        """Ids of packages whose source has one of these traces, the one with most of them first, then the newest."""
        with self._reading() as connection:
            return reading.by_traces(connection, traces, limit)

    def of_payload(self, payload_id: str) -> list[str]:
        """Ids of the packages that hold the same files, those deleted on purpose left aside."""
        columns = tables.packages.c
        rule = (columns.payload_id == payload_id, columns.tombstone.is_(None))
        with self._reading() as connection:
            ids = connection.scalars(select(columns.id).where(*rule).order_by(columns.id))
            return [PREFIX + found for found in ids]

    def note_ingests(self, times: Mapping[str, datetime.datetime]) -> None:
        """Note when the log says that packages, by their ids, were taken in. Unknown ones are passed over."""
        with self._writing() as connection:
            writing.write_ingests(connection, {one.removeprefix(PREFIX): time_text(at) for one, at in times.items()})

    def continued(self, package_ids: Iterable[str]) -> frozenset[str]:
        """Those of some packages that others continue."""
        predecessor = tables.packages.c.predecessor
        digits = [one.removeprefix(PREFIX) for one in package_ids]
        with self._reading() as connection:
            found = connection.scalars(select(predecessor).where(predecessor.in_(digits)).distinct())
            return frozenset(PREFIX + str(one) for one in found)

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
            replicating.write_replica(
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

    def add_copies(self, copies: Sequence[CopyEntry]) -> None:
        """Enter copies that the log says were written, and how that proved them. Unknown packages are passed over."""
        with self._writing() as connection:
            replicating.write_copies(connection, copies)

    def forget_replica(self, package_id: str, store: str) -> None:
        """Forget a replica and its proofs. Raises `NotFound` where there is no such package."""
        with self._writing() as connection:
            replicating.remove_replica(connection, package_id, store)

    def replicas(self, package_id: str) -> tuple[ReplicaState, ...]:
        """Replicas of a package in any state, by store. Raises `NotFound`."""
        with self._reading() as connection:
            return tuple(states.replicas_of(connection, reading.resolve(connection, package_id)))

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
            replicating.write_proofs(
                connection, [package_id], store, level=level, at=at, ok=ok, statement_id=statement_id
            )

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
            return replicating.write_proofs(
                connection, package_ids, store, level=level, at=at, ok=ok, statement_id=statement_id
            )

    # Statements

    def add_statements(self, entries: Sequence[StatementEntry]) -> None:
        """Note statements of the log; those that are known already are left as they are."""
        with self._writing() as connection:
            writing.write_statements(connection, entries)

    def statements(self, sha256: str) -> list[bytes]:
        """Envelopes of the statements about a subject (a package id or any SHA-256), in the order of the log."""
        with self._reading() as connection:
            return reading.statements_of(connection, sha256.removeprefix(PREFIX))

    def count_statements(self) -> int:
        """How many statements are noted."""
        with self._reading() as connection:
            return int(connection.scalar(select(func.count()).select_from(tables.statements)) or 0)

    def known_indices(self, epoch: int, start: int, stop: int) -> set[int]:
        """Which of the statements from `start` to `stop` (exclusive) of an epoch are noted."""
        columns = tables.statements.c
        rule = (columns.epoch == epoch, columns.index >= start, columns.index < stop)
        with self._reading() as connection:
            return set(connection.scalars(select(columns.index).where(*rule)))

    def places_after(self, epoch: int, index: int) -> list[tuple[int, int]]:
        """Epoch and index of the statements that come later in the log and are noted already: mostly there are none."""
        columns = tables.statements.c
        later = (columns.epoch > epoch) | ((columns.epoch == epoch) & (columns.index > index))
        with self._reading() as connection:
            rows = connection.execute(select(columns.epoch, columns.index).where(later))
            return [(int(found), int(at)) for found, at in rows]

    def forget_statements(self) -> None:
        """Forget all statements: `reindex` reads them from the log again."""
        with self._writing() as connection:
            connection.execute(delete(tables.statements))

    # The whole

    def count(self) -> int:
        """How many packages there are, those deleted on purpose left aside."""
        with self._reading() as connection:
            return reading.count(connection)

    def unread(self) -> list[str]:
        """Ids of packages that were entered as the log says, for none of their copies could be read."""
        columns = tables.packages.c
        with self._reading() as connection:
            ids = connection.scalars(select(columns.id).where(columns.datasets == 0, columns.tombstone.is_(None)))
            return [PREFIX + found for found in ids]

    def package_states(self, required: Sequence[str] = ()) -> Iterator[PackageState]:
        """All packages with their replicas, as the policy judges them, those deleted on purpose included.

        Parameters
        ----------
        required : sequence of str
            Keys of fields that must be stated; those that a package lacks are its `missing_fields`.
        """
        with self._reading() as connection:
            yield from states.package_states(connection, required)

    def package_state(self, package_id: str) -> PackageState:
        """One package with its replicas, as the policy judges it. Raises `NotFound`."""
        with self._reading() as connection:
            return states.package_state(connection, reading.resolve(connection, package_id))

    def standing(self, digits: str) -> Standing:
        """What access to a package depends on, by its 64 hex digits, known or not: always as many questions."""
        with self._reading() as connection:
            return standing.standing(connection, digits)

    def amended_within(self, reach: Reach) -> list[tuple[str, str]]:
        """Hex ids and owners of packages of some owners, of which it was amended what project or sample they are of."""
        with self._reading() as connection:
            return standing.amended_within(connection, reach)

    def ids_reached(self, visible: Visible) -> frozenset[str]:
        """Which packages somebody may find, by their digits."""
        with self._reading() as connection:
            return standing.ids_reached(connection, visible)

    def count_replicas(self, store: str) -> int:
        """How many packages a store has, damaged ones included."""
        with self._reading() as connection:
            return states.count_replicas(connection, store)

    def consistent(self, package_id: str) -> bool:
        """Whether leaves and SHA-256 of a package were once hashed together, so that leaves alone prove its files."""
        with self._reading() as connection:
            return states.was_proven(connection, reading.resolve(connection, package_id), _WHOLE)

    def search(
        self,
        query: str = "",
        *,
        limit: int | None = 50,
        offset: int = 0,
        order: str = "newest",
        within: Visible | None = None,
    ) -> SearchResult:
        """Find packages, newest first, those of one day by id.

        The language, in short:

        - Words are looked for whole in titles, names of files, samples, people and all texts that datasets state;
          case and accents do not count. ``nano*`` finds what begins so, ``"silver nanowires"`` words in a row.
        - ``key operator value``: ``kV=200``, ``pixel<5nm``, ``mag:10k..50k``, ``sample:S-12``, ``date:2026-03``. Keys
          are all fields of a record, what they end in (``dwell_time``), and short names (`vocabulary.names`). A number
          without a unit is in the field's own (of ``kV`` in kV). Numbers are equal up to a millionth. Of texts ``:``
          means that the words are in it, ``=`` that they are all of it; ``!=`` is ``not … =``.
        - ``sample:S-12`` finds what names that sample, or what was made from it, by any of their names.
        - ``and`` (or nothing between), ``or``, ``not``, parentheses. What is said of datasets must hold for one and
          the same dataset: ``kV=200 HAADF`` finds packages in which one image has both. What is said of the whole
          package (title, sample, people, date, owner, store, copies, size) holds for each of its datasets.
        - ``quality:accept purpose:EELS assessed-by:bob`` is one judgement that says all of this; ``not:assessed`` what
          nobody has judged; ``derived-from:`` and ``source-of:`` follow links between packages.

        Parameters
        ----------
        query : str
            What is looked for; "" for all packages.
        limit : int or None
            Rows at most; None for all.
        offset : int
            Rows to leave out before.
        order : {"newest", "oldest"}
            By the day of the session.
        within : Visible, optional
            Only packages that somebody may find.

        Returns
        -------
        SearchResult
            With `limit`, the total may be *at least* that many: see `SearchResult.exact`.

        Raises
        ------
        UsageError
            The query cannot be understood; shows it with carets under the word.
        """
        from diadem.catalogue import page

        with self._reading() as connection:
            return page.search(connection, query, limit=limit, offset=offset, order=order, within=within)

    def facets(self, query: str = "", *, fields: Sequence[str] | None = None, top: int = 10) -> Facets:
        """How many of the packages that a search finds have which instrument, year, sample and so on.

        Parameters
        ----------
        query : str
            As for `search`.
        fields : sequence of str, optional
            What is counted by: any text or number of the record, ``year``, ``store``, ``quality``; by default twelve.
        top : int
            Values of each field at most, the most frequent first.

        Returns
        -------
        Facets
            Where very many packages match, the newest of them are counted: see `Facets.exact`.

        Raises
        ------
        UsageError
            The query cannot be understood, or there is no such field.
        """
        from diadem.catalogue import page

        with self._reading() as connection:
            return page.facets(connection, query, fields, top)

    def stated(self, query: str, ids: Sequence[str], fields: Sequence[str]) -> list[StatedDataset]:
        """The datasets of some packages that a search finds, with what they state of some fields.

        Raises
        ------
        UsageError
            The query cannot be understood, or there is no such field of a record.
        """
        from diadem.catalogue import page

        with self._reading() as connection:
            return page.stated(connection, query, ids, fields)
