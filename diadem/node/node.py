"""`Node`: the archive of one place, as the user holds it. Every verb of the command line is a method of this name."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from diadem.catalogue.results import Named, Opener, id_of
from diadem.errors import NotFound, Refused
from diadem.model.display import Display, Document, Rows
from diadem.model.plain_text import count_text, quoted
from diadem.model.ports import Closing, Listener
from diadem.model.progress_bar import progress_bar
from diadem.model.reopenable import Reopenable
from diadem.model.times import time_text
from diadem.node.context import POLICY_FILE, Context
from diadem.node.instruments import read_instruments
from diadem.node.mirrors import mirror_settings
from diadem.node.open import remember_node
from diadem.node.stores import claim
from diadem.node.users import UserVerbs

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from diadem.archive.overview import Overview
    from diadem.archive.package import Package
    from diadem.catalogue import Facets, SearchResult
    from diadem.custody.report import CustodyReport
    from diadem.export.form import ExportedForm
    from diadem.model.access import Decision, Revocation
    from diadem.model.amendments import Amendment
    from diadem.model.assessments import Assessment
    from diadem.model.lineage import Caution, Derivation
    from diadem.model.policy import Policy
    from diadem.model.scan import PlannedSession
    from diadem.node.access.grant import Granted, GrantState
    from diadem.node.give.export import Exported
    from diadem.node.give.restore import RestoredSession
    from diadem.node.jobs import JobState
    from diadem.node.keep.drop import Dropped
    from diadem.node.keep.rescan import Rescan
    from diadem.node.keep.scrub import Scrubbed
    from diadem.node.key_verbs import KeyVerbs
    from diadem.node.quality.amend import Amendments
    from diadem.node.quality.assess import Assessments
    from diadem.node.quality.judgement_sheet import JudgementVerbs
    from diadem.node.quality.machine import MachineJudged
    from diadem.node.reindex import Reindexed
    from diadem.node.repair import Repaired
    from diadem.node.samples.verbs import SampleVerbs
    from diadem.node.saved_searches import QueryVerbs
    from diadem.node.services.verbs import ServiceVerbs
    from diadem.node.store_verbs import StoreVerbs
    from diadem.node.take.archive_many import SessionResult
    from diadem.node.take.arrival import Archived
    from diadem.node.take.derive import Derived
    from diadem.node.watch.hand_in import Handed
    from diadem.node.watch.report import Watched
    from diadem.node.watch.verbs import WatchVerbs
    from diadem.policy.status import Status
    from diadem.scan.scan import Scan

StrPath = str | os.PathLike[str]
#: Sessions that the card of a node shows.
_NEWEST: Final = 6
#: Packages of a search that are exported at most: a million, of which a catalogue is made in a night.
MOST_EXPORTED: Final = 1_000_000


class Node(Closing, Reopenable, Display):
    """A group's archive: packages in stores, one policy, a catalogue, and a signed log.

    Made by `diadem.Node.create`, opened by `diadem.open_node`. Use it in a ``with`` block, or `close` it: closing
    leaves a snapshot of the catalogue in the stores.
    """

    _display_keys = (
        "user", "path", "id", "newest: id date title instrument sample datasets",
        "stores: name kind url reachable free",
        "next",
    )  # fmt: skip
    _internal = frozenset({"at", "recovered", "remember", "remirror"})

    def __init__(self, context: Context) -> None:
        self.context = context

    def _display_title(self) -> str:
        count = self.context.catalogue.count()
        return f"{self.name}: {count_text(count, 'package')} in {count_text(len(self.context.stores.names), 'store')}"

    def _display_document(self) -> dict[str, Any]:
        newest = [row.to_dict() for row in self.search(limit=_NEWEST)]
        return {
            "user": self.user,
            "path": str(self.path),
            "id": self.id,
            "stores": [state.to_dict() for state in self.stores],
            "newest": newest,
            "next": "node.search('…'), node.status(), node.archive(folder)",
        }

    def _display_pictures(self) -> Mapping[str, str]:
        found = self.search(limit=_NEWEST)
        drawn = found.source.thumbnails(found.rows) if found.source is not None else {}
        return {row.title: drawn[row.id] for row in found if row.id in drawn}

    def __repr__(self) -> str:
        """Name and place in short."""
        return f"<Node {self.name}, {self.path}>"

    @property
    def name(self) -> str:
        """What people call the node."""
        return self.context.settings.name

    @property
    def id(self) -> str:
        """64 hex digits: SHA-256 of the node's root key."""
        return self.context.settings.id

    @property
    def path(self) -> Path:
        """The node's directory."""
        return self.context.folder

    @property
    def user(self) -> str:
        """Who is at work: ``alice@hu-berlin``."""
        return self.context.address

    @property
    def stores(self) -> StoreVerbs:
        """The stores: iterate over them, `add`, `ls`, `rm`, `move`."""
        from diadem.node.store_verbs import StoreVerbs

        return StoreVerbs(self.context)

    @property
    def users(self) -> UserVerbs:
        """The users: iterate over them, `add`, `ls`."""
        return UserVerbs(self.context)

    @property
    def keys(self) -> KeyVerbs:
        """The node's own keys: `rotate`."""
        from diadem.node.key_verbs import KeyVerbs

        return KeyVerbs(self.context)

    @property
    def samples(self) -> SampleVerbs:
        """The samples: iterate over them, `ls`, `add`, `show`, `link`, `split`, `send`, `receive` and others."""
        from diadem.node.samples.verbs import SampleVerbs

        return SampleVerbs(self.context)

    @property
    def queries(self) -> QueryVerbs:
        """The saved searches: iterate over them, `get`, `save`, `delete`; ``@name`` in a search stands for one."""
        from diadem.node.saved_searches import QueryVerbs

        return QueryVerbs(self.context)

    @property
    def judgements(self) -> JudgementVerbs:
        """Assessments of many packages as a sheet: `export`, `import_`."""
        from diadem.node.quality.judgement_sheet import JudgementVerbs

        return JudgementVerbs(self.context)

    @property
    def watched(self) -> WatchVerbs:
        """The watched folders: iterate over them, `add`, `ls`, `rm`, `plan`, `report`."""
        from diadem.node.watch.verbs import WatchVerbs

        return WatchVerbs(self.context)

    @property
    def services(self) -> ServiceVerbs:
        """What the operating system runs for this node: iterate over it, `install`, `status`, `remove`."""
        from diadem.node.services.verbs import ServiceVerbs

        return ServiceVerbs(self.context)

    @property
    def jobs(self) -> list[JobState]:
        """Long jobs, the newest first: what runs, what was killed, how each ended."""
        from diadem.node.jobs import jobs

        return Rows(jobs(self.context.folder))

    def stop_job(self, job: str) -> JobState:
        """Stop a running job; the same command resumes it.

        Raises
        ------
        NotFound
            No such job is running.
        """
        from diadem.node.jobs import stop

        return stop(self.context, job)

    def doctor(self) -> dict[str, Any]:
        """Check the node: clock, disks, permissions, keys, stores, log, versions; each with what to do."""
        from diadem.node.doctor import examine

        return Document(examine(self.context))

    # -- taking in ----------------------------------------------------------------------------------------------------

    def archive(
        self,
        source: StrPath,
        *,
        metadata: Mapping[str, Any] | None = None,
        strict: bool = False,
        as_one: bool = False,
        wait: bool = False,
        now: bool = False,
        in_place: bool = False,
        store: str | None = None,
        listener: Listener = progress_bar,
    ) -> Archived:
        """Archive a session: one package, in as many stores as the policy wants.

        Parameters
        ----------
        source : path
            A folder, or one file. It is never changed. A package (its folder, an unpacked export, or a ZIP of
            ``export``) is proven and taken in under its own id; `as_one` packs it into a new one.
        metadata : mapping, optional
            Session, sample, people, instrument, as for `diadem.pack`.
        strict : bool
            Refuse if any file cannot be archived.
        as_one : bool
            One package, even where the folder looks like several sessions.
        wait, now : bool
            Wait until the session is finished; or do not ask whether it is.
        in_place : bool
            Adopt the folder where it is: sealed, but not copied.
        store : str, optional
            Which store is filled first.
        listener : Listener
            Told of progress.

        Returns
        -------
        Archived
            The package, its copies, and copies that are owed because a store does not answer.

        Raises
        ------
        Refused
            The session is not finished, or is several; metadata that the policy requires are missing.
        Unreachable
            No store can take it.
        """
        from diadem.node.take.archive import ArchiveOptions, archive

        options = ArchiveOptions(metadata, strict, as_one, wait, now, in_place, store)
        found = archive(self.context, Path(source).absolute(), options, listener=listener)
        return replace(found, package=self._given(found.package))

    def plan(
        self,
        source: StrPath,
        *,
        metadata: Mapping[str, Any] | None = None,
        as_one: bool = False,
        wait: bool = False,
        now: bool = False,
        listener: Listener = progress_bar,
    ) -> dict[str, Any]:
        """What `archive` would do with a folder: files, datasets, names, and how it relates to what is archived.

        Nothing is written; files that may be archived already are read. ``refused`` says why `archive` with the same
        options would not take it, as an error in its fixed shape, or is None.
        """
        from diadem.node.take.archive import ArchiveOptions, planned

        options = ArchiveOptions(metadata, as_one=as_one, wait=wait, now=now)
        return Document(planned(self.context, Path(source).absolute(), options, listener))

    def sessions_of(self, source: StrPath | Scan, *, listener: Listener = progress_bar) -> list[PlannedSession]:
        """The sessions to archive: of a folder, of a scan, or of a plan that was written and edited (.xlsx, .csv)."""
        from diadem.scan.scan import Scan, sessions_of

        if not isinstance(source, Scan) and Path(source).is_dir():
            source = self.context.tools.scan(source, listener=listener)
        return Rows(sessions_of(source))

    def archive_all(
        self,
        sessions: StrPath | Scan | Iterable[PlannedSession],
        *,
        metadata: Mapping[str, Any] | None = None,
        strict: bool = False,
        wait: bool = False,
        now: bool = False,
        dry_run: bool = False,
        executor: Executor | None = None,
        listener: Listener = progress_bar,
    ) -> Generator[SessionResult]:
        """Archive many sessions, each as a package of its own; one that fails stops none of the others.

        Parameters
        ----------
        sessions : Scan, path, or iterable of PlannedSession
            What `diadem.scan` found, a folder, a plan that was written and edited, or sessions at hand.
        metadata : mapping, optional
            For all of them.
        strict, wait, now : bool
            As for `archive`.
        dry_run : bool
            Say what would be archived.
        executor : concurrent.futures.Executor, optional
            Where to read, extract and pack, many sessions at once: a `diadem.WorkerPool`, a process pool, a Dask
            cluster (`distributed.Client.get_executor()`). Folders and stores must mean the same there; credentials of
            stores are taken from the environment there. This process alone signs and enters.
        listener : Listener
            Told of progress.

        Yields
        ------
        SessionResult
            As each is done: in the order of the sessions, on an executor as they end, the largest begun first. A
            run that is stopped can be repeated: what is archived already is recognised.

        Raises
        ------
        StoreError
            There is not enough space for all of them; nothing was begun.
        Unreachable, Refused
            A worker does not see a store or a folder, or has other versions, and nothing was begun; or the executor
            broke.
        """
        from diadem.node.take.archive import ArchiveOptions
        from diadem.node.take.archive_many import archive_all
        from diadem.scan.scan import Scan

        chosen = (
            self.sessions_of(sessions, listener=listener)
            if isinstance(sessions, str | os.PathLike | Scan)
            else [session for session in sessions if session.archive]
        )
        options = ArchiveOptions(metadata, strict=strict, wait=wait, now=now)
        done = archive_all(self.context, chosen, options, executor=executor, dry_run=dry_run, listener=listener)
        return (self._result_given(one) for one in done)

    def watch(
        self,
        folder: StrPath | None = None,
        *,
        once: bool = False,
        every: float = 60.0,
        store: str = "",
        set: Sequence[str] = (),  # noqa: A002
        new_only: bool = False,
        poll: bool = False,
        depth: int = 1,
        dry_run: bool = False,
        listener: Listener = progress_bar,
    ) -> Iterator[Handed | Watched]:
        """Archive what instruments write into the watched folders, and what people hand in, once it is finished.

        Parameters
        ----------
        folder : path, optional
            This folder alone, with the options that follow; see `WatchVerbs.add`. It need not be one that is kept.
        once : bool
            One look, and then end.
        every : float
            Seconds between looks where the system reports no changes.
        store, set, new_only, poll, depth
            Of `folder`; see `WatchVerbs.add`.
        dry_run : bool
            Show what would be archived, and what waits; nothing is written.
        listener : Listener
            Told of progress.

        Yields
        ------
        Handed, Watched
            Each hand-in, and each session of a watched folder, whose state is new. Nothing of it is moved, changed or
            deleted.

        Raises
        ------
        Refused
            Another process watches for this node.
        """
        return self.watched.run(
            folder,
            once=once,
            every=every,
            store=store,
            set=set,
            new_only=new_only,
            poll=poll,
            depth=depth,
            dry_run=dry_run,
            listener=listener,
        )

    def rescan(
        self, *, full: bool = False, look_in: Sequence[StrPath] = (), listener: Listener = progress_bar
    ) -> Iterator[Rescan]:
        """Look at the folders that were adopted: follow what was renamed, tell what was edited or deleted.

        Nothing is written in them, and an edit is never called damage; the copy no longer counts until it is whole.

        Parameters
        ----------
        full : bool
            Read and compare every file.
        look_in : sequence of path
            Where to look for a folder that was moved.
        listener : Listener
            Told of progress.
        """
        from diadem.node.keep.adopted import rescan

        return rescan(self.context, full=full, look_in=[Path(one) for one in look_in], listener=listener)

    def _given(self, package: Package) -> Package:
        """A package as a node gives it: with corrections, doubts and custody, and found again by other processes."""
        from diadem.archive.package import Home
        from diadem.node.keep.copies import CopiesAtHand, PackageCopies
        from diadem.node.quality.amend import effective

        amend = partial(effective, self.context, package.id)
        damaged = PackageCopies(self.context, package.id).note_report
        given = package.replaced(home=Home(self, self.custody, self.warnings, amend, damaged))
        addressed = self.context.tools.addressed
        return given if addressed is None else addressed(given, CopiesAtHand(self.context, given), self.again)

    def _result_given(self, done: SessionResult) -> SessionResult:
        if done.archived is None:
            return done
        return replace(done, archived=replace(done.archived, package=self._given(done.archived.package)))

    # -- finding and giving back --------------------------------------------------------------------------------------

    def search(self, query: str = "", *, limit: int = 100, offset: int = 0) -> SearchResult:
        """Find packages by words and by values with units.

        Parameters
        ----------
        query : str
            ``HAADF voltage>=200kV sample:S-12``; empty for all, the newest first.
        limit, offset : int
            Which rows of the result.

        Raises
        ------
        UsageError
            The query cannot be understood; points at the word.
        """
        from diadem.node.result_source import ResultSource

        asked = self.queries.expanded(query) if "@" in query else query
        found = self.context.catalogue.search(asked, limit=limit, offset=offset)
        opener = Opener(self)
        return replace(found, source=ResultSource(opener)).opened_by(opener)

    def facets(self, query: str = "", fields: Sequence[str] | None = None, *, top: int = 10) -> Facets:
        """How many of the packages that a search finds have which instrument, year, sample and so on.

        Parameters
        ----------
        query : str
            As for `search`.
        fields : sequence of str, optional
            What is counted by: any text or number of the record, ``year``, ``store``, ``quality``; by default
            instrument, year, voltage and nine others.
        top : int
            Values of each field at most, the most frequent first.

        Raises
        ------
        UsageError
            The query cannot be understood, or there is no such field.
        """
        asked = self.queries.expanded(query) if "@" in query else query
        return self.context.catalogue.facets(asked, fields=fields, top=top)

    def get(self, package_id: str | Named) -> Package:
        """A package, in the best of its copies; its ``record`` is the effective one.

        Parameters
        ----------
        package_id : str, PackageRow or Package
            ``diadem:<64 hex>``, or the first 8 or more of its hex digits; a row of a search; a package.

        Raises
        ------
        NotFound
            The node does not have it, or no store that has it answers.
        """
        from diadem.node.keep.copies import PackageCopies

        return self._given(PackageCopies(self.context, self.context.catalogue.get(id_of(package_id)).id).best()[0])

    def show(self, package: str | Named) -> Overview:
        """A package at a glance: when and by whom, its datasets, copies, assessments, corrections. ``print`` it.

        Parameters
        ----------
        package : str, PackageRow or Package
            As for `get`.

        Raises
        ------
        NotFound
            The node does not have it, or no store that has it answers.
        """
        from diadem.archive.package import Package
        from diadem.node.overview import node_overview

        if isinstance(package, Package) and package.home is not None and package.home.node is self:  # it gave it
            return node_overview(self.context, package)
        return node_overview(self.context, self.get(package))

    def previews(self, package: str) -> Mapping[str, bytes]:
        """The small pictures of a package's datasets that its page shows.

        Parameters
        ----------
        package : str
            Its id, or the first 8 or more hex digits.

        Returns
        -------
        mapping of str to bytes
            PNG or JPEG by the dataset's id in the record, as they were drawn when the package was sealed. Datasets
            without a picture, and those that the page had no room for, are not in it.

        Raises
        ------
        NotFound
            The node does not have it, or no store that has it answers.
        IntegrityError
            The page is damaged in the copy that was read.
        """
        return self.get(package).previews()

    def restore(
        self,
        package: str | Named,
        folder: StrPath,
        *,
        chain: bool = True,
        only: Sequence[str] | str = (),
        listener: Listener = progress_bar,
    ) -> RestoredSession:
        """Restore a session: original names, folders, times and write permission, every byte proven.

        Parameters
        ----------
        package : str
            Any package of the session.
        folder : path
            A new or empty folder.
        chain : bool
            The whole session, each file in its newest version; False: what this package holds alone.
        only : str or sequence of str
            These files alone: names, paths or ends of paths, folders, ids of datasets, with ``*`` for any letters, in
            upper or lower case: ``"HAADF*"``. The other files of a dataset come along.
        listener : Listener
            Told of progress.

        Raises
        ------
        NotFound
            It was deleted, or no store that has one of its packages answers; or no file is called as `only` says.
        IntegrityError
            A file is damaged in every copy; nothing is left behind.
        """
        from diadem.node.give.restore import restore_session

        found = self.context.catalogue.get(id_of(package)).id
        return restore_session(self.context, found, Path(folder), chain=chain, only=only, listener=listener)

    def export(
        self,
        package: str,
        path: StrPath,
        *,
        for_: str,
        only: str | None = None,
        redact: bool = False,
        chain: bool = False,
        custody: bool = True,
        dry_run: bool = False,
        listener: Listener = progress_bar,
    ) -> Exported:
        """Make a ZIP for someone without DIADEM; see `diadem.Node.export`."""
        from diadem.node.give.export import export

        found = self.context.catalogue.get(package).id
        return export(
            self.context,
            found,
            Path(path).absolute(),
            to=for_,
            only=only or "package",
            redact=redact,
            chain=chain,
            custody=custody,
            dry_run=dry_run,
            listener=listener,
        )

    def _export_form(
        self, package: str, path: StrPath, form: str, *, to: str, dataset: str, search: bool, **more: Any
    ) -> ExportedForm:
        """Export in a form that a plugin offers; see `diadem.Node.export`."""
        from diadem.node.give.export_form import export_form

        if search:
            found = self.search(package, limit=MOST_EXPORTED)
            if not len(found):
                raise NotFound(f"nothing is found by '{package}'", next=f"Try it: diadem search {quoted(package)}")
            ids = [row.id for row in found]
        else:
            ids = [self.context.catalogue.get(package).id]
        query = package if search else None
        return export_form(self.context, ids, path, form, to=to, dataset=dataset, query=query, **more)

    def site(
        self,
        path: StrPath,
        query: str = "",
        *,
        packages: bool = False,
        for_: str = "",
        dry_run: bool = False,
        listener: Listener = progress_bar,
    ) -> ExportedForm:
        """Write a searchable catalogue of what a search finds: a folder with a page that any browser shows.

        It needs no server and no network; what is in it is what you may read, corrected as the owners said.

        Parameters
        ----------
        path : path
            A new or empty folder.
        query : str
            As for `search`; empty for all.
        packages : bool
            Put the packages beside it, whole, every byte proven.
        for_ : str
            For whom; the log records it. By default who makes it.
        dry_run : bool
            Say what would be done, and write nothing.
        listener : callable
            Told of progress.

        Raises
        ------
        NotFound
            Nothing is found, or no store that has a package answers.
        Refused
            The folder has content, or no store can hold the statement that it was given out.
        IntegrityError
            A file is damaged in every copy; nothing was written.

        Examples
        --------
        >>> node.site("catalogue", "sample:S-12", packages=True)
        """
        return self._export_form(
            query, path, "site", to=for_, dataset="", search=True, options={"packages": packages}, dry_run=dry_run,
            listener=listener,
        )  # fmt: skip

    # -- keeping ------------------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """What the policy says of every package, store and of the node itself, and what to do now."""
        from diadem.node.archive_state import status_of

        return status_of(self.context, lambda: self.watched.state())  # noqa: PLW0108 - imported where folders are watched

    @property
    def policy(self) -> Policy:
        """What the group wants of its copies, checks, metadata and transfers, as `policy.toml` says it now."""
        return self.context.policy

    def scrub(
        self,
        store: str | None = None,
        *,
        part: str = "1/1",
        level: str | None = None,
        due: bool = False,
        package: str | None = None,
        max_rate: float | None = None,
        executor: Executor | None = None,
        listener: Listener = progress_bar,
    ) -> Scrubbed:
        """Read copies whole and compare every byte with what was sealed.

        Parameters
        ----------
        store : str, optional
            One store; default all.
        part : str
            ``3/28``: the third of 28 parts of the packages.
        level : {"leaves", "full"}, optional
            Default: leaves where leaves and files are known to agree, else full.
        due : bool
            Only copies whose proof is older than nine tenths of what the policy allows.
        package : str, optional
            One package only.
        max_rate : float, optional
            Bytes per second, of all workers together.
        executor : concurrent.futures.Executor, optional
            Where to read, many copies at once; see `archive_all`.
        listener : Listener
            Told of progress.

        Raises
        ------
        NotFound, UsageError
            There is no such store or package; it is not a part, or no level.
        Unreachable, Refused
            A worker does not see a store, or has other versions, and nothing was read; or the executor broke.
        Interrupted
            On Ctrl-C; what was proven stays so, and the next run resumes.
        """
        from diadem.node.keep.scrub import scrub

        return scrub(
            self.context,
            store,
            part=part,
            level=level,
            due=due,
            package=package,
            max_rate=max_rate,
            executor=executor,
            listener=listener,
        )

    def repair(
        self,
        package: str | None = None,
        *,
        store: str | None = None,
        dry_run: bool = False,
        set_aside: bool = False,
        max_rate: float | None = None,
        listener: Listener = progress_bar,
    ) -> Repaired:
        """Mend damaged copies, write missing ones, make parity: as far as it can be done now.

        Parameters
        ----------
        package, store : str, optional
            One package, or the copies in one store; default everything.
        dry_run : bool
            Say what would be done.
        set_aside : bool
            Move files that do not belong to a package into the store's ``.diadem/quarantine``.
        max_rate : float, optional
            Bytes per second.
        listener : Listener
            Told of progress.

        Raises
        ------
        NotFound
            There is no such store or package.
        Interrupted
            On Ctrl-C; what was done is in the log, and the next run resumes.
        """
        from diadem.node.repair import repair

        return repair(
            self.context,
            package,
            store=store,
            dry_run=dry_run,
            set_aside=set_aside,
            max_rate=max_rate,
            listener=listener,
        )

    def drop(
        self,
        package: str,
        store: str,
        *,
        reason: str,
        below_minimum: bool = False,
        clock_is_right: bool = False,
        dry_run: bool = False,
        listener: Listener = progress_bar,
    ) -> Dropped:
        """Drop one copy, after reading the copies that remain whole.

        Parameters
        ----------
        package, store : str
            Which copy.
        reason : str
            Kept in the log.
        below_minimum : bool
            Once the retention is over: also where fewer copies remain than the policy wants. One proven copy stays.
        clock_is_right : bool
            As for `delete`.
        dry_run : bool
            Prove and decide, but remove nothing.
        listener : Listener
            Told of progress.

        Raises
        ------
        Refused
            Too few other copies are proven; or, with `below_minimum`, the retention is not over, or is over only by a
            clock that leaps past the log.
        """
        from diadem.node.keep.drop import drop

        found = self.context.catalogue.get(package).id
        return drop(
            self.context,
            found,
            store,
            reason=reason,
            below_minimum=below_minimum,
            clock_is_right=clock_is_right,
            dry_run=dry_run,
            listener=listener,
        )

    def delete(
        self,
        package: str,
        *,
        reason: str,
        lost: bool = False,
        clock_is_right: bool = False,
        dry_run: bool = False,
        listener: Listener = progress_bar,
    ) -> Dropped:
        """Delete a package from every store once its retention is over; a signed tombstone remains.

        Parameters
        ----------
        package : str
            Which one.
        reason : str
            Kept in the log.
        lost : bool
            Write it off, whatever its retention: no copy of it is left. Every store that answers is looked into first.
        clock_is_right : bool
            Say that time passed as the clock tells it, although the log was silent for more than a year.
        dry_run : bool
            Decide, but remove and state nothing.
        listener : Listener
            Told of the look into the stores.

        Raises
        ------
        Refused
            Its retention is not over, or is over only by a clock that leaps past the log; or a store that has a copy
            does not answer; with `lost`, a copy or something of
            it is there or may be there.
        """
        from diadem.node.keep.drop import delete, write_off

        found = self.context.catalogue.get(package).id
        if lost:
            return write_off(self.context, found, reason=reason, dry_run=dry_run, listener=listener)
        return delete(self.context, found, reason=reason, clock_is_right=clock_is_right, dry_run=dry_run)

    def reindex(
        self, *, executor: Executor | None = None, into: str | None = None, listener: Listener = progress_bar
    ) -> Reindexed:
        """Rebuild the catalogue from the stores and the log.

        Parameters
        ----------
        executor : concurrent.futures.Executor, optional
            Where packages are read: processes, or a Dask cluster whose workers see the stores at the same addresses.
        into : str, optional
            Build it in another place, and have it there from now on: ``file``, the one in the node's folder, or
            ``postgresql://user@host/database``. The former catalogue is removed.
        listener : Listener
            Told of progress.
        """
        from diadem.node.reindex import reindex

        return reindex(self.context, executor=executor, into=into, listener=listener)

    # -- what people say of data --------------------------------------------------------------------------------------

    def assess(
        self,
        package: str,
        verdict: str,
        *,
        purpose: str = "",
        criterion: str | None = None,
        dataset: str | None = None,
        signal: str | None = None,
        value: float | None = None,
        unit: str = "",
        comment: str = "",
        evidence: Sequence[str] = (),
        scheme: str | None = None,
        replaces: str | None = None,
    ) -> Assessment:
        """Assess a package, or a dataset of it, for a purpose: a statement signed by the current user.

        Of one assessor the last on a target, purpose and criterion counts. Those of others are kept beside it, and
        where they differ that is shown; nothing is averaged.

        Parameters
        ----------
        package : str
            Its id or the beginning of it.
        verdict : {"accept", "limited", "reject"}
            The assessment.
        purpose : str
            What the data are to be used for: ``imaging``. May be left out where a scheme has one.
        criterion : str, optional
            What was looked at: ``drift``.
        dataset : str, optional
            Its id, or the path of its primary file; default the whole package.
        signal : str, optional
            Id of a signal of the dataset.
        value : float, optional
            What was measured, in `unit`.
        comment : str
            Why.
        evidence : sequence of str
            Packages and addresses that show it.
        scheme : str, optional
            One of the policy's lists of criteria; `criterion` must be of it.
        replaces : str, optional
            The beginning of the id of one's own assessment that no longer counts, as where its purpose was mistyped.

        Raises
        ------
        NotFound
            There is no such package, dataset or scheme.
        UsageError
            The verdict or the criterion is none of those that there are.
        """
        from diadem.node.quality.assess import Judgement, assess

        found = self._living(package)
        said = Judgement(
            verdict=verdict,
            purpose=purpose,
            criterion=criterion or "",
            dataset=dataset or "",
            signal=signal or "",
            value=value,
            unit=unit,
            comment=comment,
            evidence=evidence,
            scheme=scheme or "",
            replaces=replaces or "",
        )
        return assess(self.context, found, said)

    def assess_by_machine(self, package: str, *, purpose: str = "", listener: Listener = progress_bar) -> MachineJudged:
        """Let the checks of all plugins assess the data, and state what they find in the current user's name.

        What they find is ``limited`` with the reason, never ``reject``; where they find nothing they say nothing.

        Parameters
        ----------
        package : str
            Its id or the beginning of it.
        purpose : str
            What the data are to be used for; default any use.
        listener : Listener
            Told of progress.

        Raises
        ------
        NotFound
            There is no such package, or no store that has it answers.
        DigestMismatch
            A file is damaged.
        """
        from diadem.node.quality.machine import assess_by_machine

        found = self._living(package)
        return assess_by_machine(self.context, found, purpose=purpose, listener=listener)

    def assessments(self, package: str) -> Assessments:
        """Every assessment of a package: what counts, what was said before, and who disagrees."""
        from diadem.node.quality.assess import assessments

        return assessments(self.context, self.context.catalogue.get(package).id)

    def amend(
        self, package: str, values: Mapping[str, Any], *, dataset: str | None = None, reason: str = ""
    ) -> Amendment:
        """Correct the record of a package; the package itself stays as it was sealed.

        The owner's amendments change what `get` gives as ``record`` and what `search` finds. Anybody else's is an
        extra assertion, which is shown and found and never preferred.

        Parameters
        ----------
        package : str
            Its id or the beginning of it.
        values : mapping of str to Any
            By field: ``{"sample.identifier": "S-12", "voltage …": "300 kV"}``; None withdraws what is stated.
        dataset : str, optional
            Its id, or the path of its primary file; default all datasets and the session.
        reason : str
            Why.

        Raises
        ------
        UnknownField, UsageError
            There is no such field, or it cannot hold the value.
        NotFound
            There is no such package or dataset.
        """
        from diadem.node.quality.amend import amend

        found = self._living(package)
        return amend(self.context, found, values, dataset=dataset or "", reason=reason)

    def amendments(self, package: str) -> Amendments:
        """Every amendment of a package's record, and where the owner's contradict each other."""
        from diadem.node.quality.amend import amendments

        return amendments(self.context, self.context.catalogue.get(package).id)

    def derive(
        self,
        result: Any,
        from_: Any,
        *,
        software: Mapping[str, str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        name: str | None = None,
        comment: str = "",
        listener: Listener = progress_bar,
    ) -> Derived:
        """Archive what an analysis has made, and state what it was made from.

        Parameters
        ----------
        result : HyperSpy signal, Matplotlib figure, path, or package id
            A signal is written as .hspy, a figure as .png; a package of this node is only linked.
        from_ : iterable
            Packages (ids, `Package`, rows of a search), datasets (``ID:path``), or signals loaded from packages.
        software : mapping of str to str, optional
            Version by name; default what this process works with, as far as it is known: HyperSpy, NumPy, Python …
        parameters : mapping, optional
            Parameters of the programs, JSON values.
        name : str, optional
            What the result is called; default its title.
        comment : str
            In a person's words.
        listener : Listener
            Told of progress.

        Returns
        -------
        Derived
            The package and what was stated.

        Raises
        ------
        NotFound
            There is no such source, or no such file.
        UsageError
            There is no source; the result cannot be archived; parameters that are not a JSON object.
        """
        from diadem.node.take.derive import derive_result

        return derive_result(
            self.context,
            result,
            from_,
            software=software,
            parameters=parameters,
            comment=comment,
            name=name or "",
            listener=listener,
        )

    def derivations(self, package: str) -> list[Derivation]:
        """What is stated of what a package was made from, and of what was made from it."""
        found = self.context.catalogue.get(package).id
        return Rows(self.context.catalogue.derivations(found))

    def warnings(self, package: str) -> list[Caution]:
        """Warnings about a package and about everything that it was made from, each with its purpose and assessor."""
        found = self.context.catalogue.get(package).id
        return Rows(self.context.catalogue.cautions([found]).get(found, []))

    def _living(self, package: str) -> str:
        """The whole id of a package that was not deleted."""
        row = self.context.catalogue.get(package)
        if row.tombstone is not None:
            raise NotFound("the package was deleted", where=row.id, next=f"See: diadem custody {row.id[7:19]}")
        return row.id

    # -- who may what -------------------------------------------------------------------------------------------------

    def grant(
        self,
        what: str | Sequence[str],
        to: str,
        rights: Sequence[str] = ("read",),
        *,
        expires: date | datetime | str | None = None,
        not_before: date | datetime | str | None = None,
        purpose: str = "",
        require: Sequence[str] = (),
        recipient: str = "",
        dry_run: bool = False,
    ) -> Granted:
        """Allow somebody to use packages of yours: a statement that you sign.

        Colleagues and people of other nodes see nothing that was not granted to them, unless the policy opens packages
        to the node. Of a project or a sample, those packages are meant that are yours and belong to it, now or later.
        Whoever can read the node's folder or a store through the operating system is not bound by grants.

        Parameters
        ----------
        what : str or sequence of str
            Packages, by their ids; or one ``project:NAME`` or ``sample:NAME``.
        to : str
            ``bob``, ``marie@nmi``, or ``*@nmi`` for everybody of a node.
        rights : sequence of {"list", "read", "assess"}
            What they may; who may read or assess a package may also find it.
        expires, not_before : date, datetime or str, optional
            When it ends and begins: ``2027-01-01`` (from the beginning of that day, UTC) or a moment. Default: when it
            is revoked; now.
        purpose : str
            What for.
        require : sequence of {"direct-only"}
            That no hub carries the bytes.
        recipient : str
            Id of the person's node, if it has no name here.
        dry_run : bool
            Show what it would open; grant nothing.

        Raises
        ------
        Refused
            Not all of the packages are yours.
        NotFound
            There is no such package, sample, user or node.
        UsageError
            What is meant cannot be granted together, or the grant would never be in force.
        """
        from diadem.node.access.grant import grant

        return grant(
            self.context,
            (what,) if isinstance(what, str) else tuple(what),
            to,
            rights,
            expires=expires,
            not_before=not_before,
            purpose=purpose,
            require=require,
            recipient=recipient,
            dry_run=dry_run,
        )

    def revoke(self, grant: str, *, reason: str = "") -> Revocation:
        """Revoke a grant. What was delivered before stays delivered.

        Parameters
        ----------
        grant : str
            Its id or the beginning of it, 8 digits or more.
        reason : str
            Why.

        Raises
        ------
        NotFound
            There is no such grant.
        Refused
            It is somebody else's: only who gave it, or who has followed them, can revoke it.
        """
        from diadem.node.access.grant import revoke

        return revoke(self.context, grant, reason=reason)

    def grants(self, what: str | None = None, to: str | None = None) -> list[GrantState]:
        """Every grant, the newest last, each with whether it is in force.

        Parameters
        ----------
        what : str, optional
            Only those that are of a package, ``project:NAME`` or ``sample:NAME``.
        to : str, optional
            Only those to somebody, by address.
        """
        from diadem.node.access.grant import grants

        return Rows(grants(self.context, what, to))

    def why(self, who: str, package: str, right: str = "read") -> Decision:
        """Whether somebody may do something with a package, and why, or why not; also which grant came closest.

        Parameters
        ----------
        who : str
            ``bob``, ``marie@nmi``.
        package : str
            Its id or the beginning of it.
        right : {"list", "read", "assess"}
            What they want to do.

        Raises
        ------
        NotFound
            There is no such package, user or node.
        """
        from diadem.node.access.grant import why

        return why(self.context, who, package, right)

    # -- custody ------------------------------------------------------------------------------------------------------

    def custody(self, package: str) -> CustodyReport:
        """Who took a package in, copied, checked, mended and gave it away: each step, and what it is worth.

        Parameters
        ----------
        package : str
            Its id or the beginning of it; or the SHA-256 of any other subject of the log.

        Raises
        ------
        NotFound
            The log says nothing about it.
        IntegrityError
            The log is damaged.
        """
        from diadem.node.custody_chains import custody

        return custody(self.context, package)

    def export_custody(self, package: str, path: StrPath, *, since: Sequence[str] = ()) -> Path:
        """Write a package's chain for others to check offline with `diadem custody verify`.

        Parameters
        ----------
        package : str
            As for `custody`.
        path : path
            A new file.
        since : sequence of str
            Checkpoints that the receiver holds: the chain proves that the log still begins with what they saw.

        Raises
        ------
        Unreachable
            What happened last is in no store yet: nothing leaves the node before it is durable in two places.
        """
        from diadem.node.custody_chains import export_custody

        return export_custody(self.context, package, Path(path), since=since)

    def export_relays(self, package: str, path: StrPath) -> list[Path]:
        """Write beside a package's chain what hubs stated of its route, and what came with it of other nodes.

        Parameters
        ----------
        package : str
            Its id or the beginning of it.
        path : path
            Where `export_custody` wrote the chain: further files are named after it.

        Returns
        -------
        list of Path
            None where no hub carried the package, and it came with no custody of other nodes.

        Raises
        ------
        Unreachable
            What happened last is in no store yet.
        UsageError
            Such a file is there already.
        """
        from diadem.node.custody_chains import export_relays

        return export_relays(self.context, package, Path(path))

    # -- the node itself ----------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Name, id, place, stores and recovery file as a JSON object."""
        settings = self.context.settings
        return {
            "name": settings.name,
            "id": settings.id,
            "path": str(self.path),
            "user": self.user,
            "machine": settings.machine,
            "policy": str(self.path / POLICY_FILE),
            "stores": [state.to_dict() for state in self.stores],
            "recovery": {"file": settings.recovery_file, "confirmed": settings.recovery_confirmed},
        }

    def instruments(self) -> list[dict[str, Any]]:
        """The instruments that `instruments.toml` describes: ``when`` a dataset is of it, what it ``is``.

        Raises
        ------
        DocumentError
            The file says what no instrument can be; names path, rule and an example.
        """
        return Rows(read_instruments(self.path))

    def confirm_recovery(self) -> None:
        """Confirm that the recovery file was moved away from this machine.

        Raises
        ------
        Refused
            It is still where it was written.
        """
        if place := self.context.settings.recovery_in_place:
            raise Refused(
                "the recovery file was not moved: it is still there, on this machine",
                where=place,
                next="Move it to a USB stick that is kept elsewhere, or print it and delete it; then confirm again: "
                "diadem init --confirm-recovery",
            )
        now = time_text(self.context.clock())
        self.context.change_settings(lambda settings: replace(settings, recovery_confirmed=now))
        mirror_settings(self.context)

    def remirror(self) -> None:
        """Say in every store that answers which machine writes the node now, and bring its mirror up to date."""
        self.context.require_writable()
        for settings, store in self.context.stores.opened():
            claim(store, settings, self.context.settings)
        mirror_settings(self.context)
        self.context.ledger.mirrors.push()

    def remember(self) -> str:
        """Use this node where none is named; the folder of the one that was used before, or ""."""
        self.context.require_writable()
        return remember_node(self.path)

    def close(self) -> None:
        """Leave a snapshot of the catalogue in the stores if something changed, and release everything."""
        from diadem.node.mirrors import close

        close(self.context)
