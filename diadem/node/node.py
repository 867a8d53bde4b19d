"""`Node`: the archive of one place, as the user holds it. Every verb of the command line is a method of this name."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from diadem.model.ports import Listener, silent
from diadem.model.report import Level
from diadem.model.times import time_text
from diadem.node.context import POLICY_FILE
from diadem.node.default import remember_node
from diadem.node.mirroring import mirror_settings
from diadem.node.quality_verbs import QualityVerbs
from diadem.node.store_verbs import StoreVerbs
from diadem.node.stores import claim
from diadem.node.user_verbs import UserVerbs
from diadem.store.base import Pace

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from diadem.archive.package import Package
    from diadem.archive.scan import Scan
    from diadem.model.scan import PlannedSession
    from diadem.node.archived import Archived
    from diadem.node.archiving_all import SessionResult
    from diadem.node.catalogue import Facets, SearchResult
    from diadem.node.custody.report import CustodyReport
    from diadem.node.dropping import Dropped
    from diadem.node.exporting_outcome import Exported
    from diadem.node.jobs import JobState
    from diadem.node.judgement_verbs import JudgementVerbs
    from diadem.node.queries import QueryVerbs
    from diadem.node.reindexing import Reindexed
    from diadem.node.repairing import Repaired
    from diadem.node.rescanned import Rescan
    from diadem.node.restoring import RestoredSession
    from diadem.node.rules.facts import Status
    from diadem.node.sample_verbs import SampleVerbs
    from diadem.node.scrubbing import Scrubbed
    from diadem.node.watch.handed import Handed
    from diadem.node.watch.told import Watched
    from diadem.node.watch_verbs import WatchVerbs

StrPath = str | os.PathLike[str]


class Node(QualityVerbs):
    """A group's archive: packages in stores, one policy, a catalogue, and a signed log.

    Made by `diadem.Node.create`, opened by `diadem.open_node`. Use it in a ``with`` block, or `close` it: closing
    leaves a snapshot of the catalogue in the stores.

    Parameters
    ----------
    context : Context
        The opened node.
    """

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
        return StoreVerbs(self.context)

    @property
    def users(self) -> UserVerbs:
        """The users: iterate over them, `add`, `ls`."""
        return UserVerbs(self.context)

    @property
    def samples(self) -> SampleVerbs:
        """The samples: iterate over them, `ls`, `add`, `show`, `link`, `split`, `send`, `receive` and others."""
        from diadem.node.sample_verbs import SampleVerbs

        return SampleVerbs(self.context)

    @property
    def queries(self) -> QueryVerbs:
        """The saved searches: iterate over them, `get`, `save`, `delete`; ``@name`` in a search stands for one."""
        from diadem.node.queries import QueryVerbs

        return QueryVerbs(self.context)

    @property
    def judgements(self) -> JudgementVerbs:
        """Judgements of many packages as a sheet: `export`, `import_`."""
        from diadem.node.judgement_verbs import JudgementVerbs

        return JudgementVerbs(self.context)

    @property
    def jobs(self) -> list[JobState]:
        """Long jobs, the newest first: what runs, what was killed, how each ended."""
        from diadem.node.jobs import jobs

        return jobs(self.context)

    def stop_job(self, job: str) -> JobState:
        """Ask a running job to end; the same command goes on with it.

        Raises
        ------
        NotFound
            No such job is running.
        """
        from diadem.node.jobs import stop

        return stop(self.context, job)

    def doctor(self) -> dict[str, Any]:
        """Look the node over: clock, disks, permissions, keys, stores, log, versions; each with what to do."""
        from diadem.node.doctor import as_document, examine

        return as_document(list(examine(self.context)))

    # -- taking in -------------------------------------------------------------------------------------------------

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
        listener: Listener = silent,
    ) -> Archived:
        """Archive a session: one package, in as many stores as the policy wants.

        Parameters
        ----------
        source : path
            A folder, or one file. It is never changed.
        metadata : mapping, optional
            Session, sample, people, instrument, as for `diadem.pack`.
        strict : bool
            Refuse where anything cannot be archived.
        as_one : bool
            One package, even where the folder looks like several sessions.
        wait, now : bool
            Wait until the session is finished; or do not ask whether it is.
        in_place : bool
            Adopt the folder where it lies: sealed, but not copied.
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
        from diadem.node.archived import Wishes
        from diadem.node.archiving import archive

        wishes = Wishes(metadata, strict, as_one, wait, now, in_place, store)
        return archive(self.context, Path(source).absolute(), wishes, listener=listener)

    def plan(
        self,
        source: StrPath,
        *,
        metadata: Mapping[str, Any] | None = None,
        as_one: bool = False,
        wait: bool = False,
        now: bool = False,
        listener: Listener = silent,
    ) -> dict[str, Any]:
        """What `archive` would do with a folder: files, datasets, names, and how it relates to what is archived.

        Nothing is written; files that may be archived already are read. ``refused`` says why `archive` with the same
        options would not take it, as an error in its fixed shape, or is None.
        """
        from diadem.node.archived import Wishes
        from diadem.node.archiving import planned

        wishes = Wishes(metadata, as_one=as_one, wait=wait, now=now)
        return planned(self.context, Path(source).absolute(), wishes, listener)

    def sessions_of(self, source: StrPath | Scan, *, listener: Listener = silent) -> list[PlannedSession]:
        """The sessions to archive: of a folder, of a scan, or of a plan that was written and edited (.xlsx, .csv)."""
        from diadem.archive.scan import Scan
        from diadem.archive.splitting import sessions_of

        if not isinstance(source, Scan) and Path(source).is_dir():
            source = self.context.tools.scan(source, listener=listener)
        return sessions_of(source)

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
        listener: Listener = silent,
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
        from diadem.archive.scan import Scan
        from diadem.node.archived import Wishes
        from diadem.node.archiving_all import archive_all

        chosen = (
            self.sessions_of(sessions, listener=listener)
            if isinstance(sessions, str | os.PathLike | Scan)
            else [session for session in sessions if session.archive]
        )
        wishes = Wishes(metadata, strict=strict, wait=wait, now=now)
        return archive_all(self.context, chosen, wishes, executor=executor, dry_run=dry_run, listener=listener)

    @property
    def watched(self) -> WatchVerbs:
        """The watched folders: iterate over them, `add`, `ls`, `rm`, `plan`, `report`."""
        from diadem.node.watch_verbs import WatchVerbs

        return WatchVerbs(self.context)

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
        listener: Listener = silent,
    ) -> Iterator[Handed | Watched]:
        """Archive what instruments write into the watched folders, and what people hand in, once it is finished.

        Parameters
        ----------
        folder : path, optional
            This folder alone, with the options that follow; see `WatchVerbs.add`. It need not be one that is kept.
        once : bool
            One look, and then end.
        every : float
            Seconds between looks where the system tells of no changes.
        store, set, new_only, poll, depth
            Of `folder`; see `WatchVerbs.add`.
        dry_run : bool
            Say what would be archived, and what is waited for; nothing is written.
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
        self, *, full: bool = False, look_in: Sequence[StrPath] = (), listener: Listener = silent
    ) -> Iterator[Rescan]:
        """Look at the folders that were adopted: follow what was renamed, tell what was edited or deleted.

        Nothing is written in them, and an edit is never called damage; the copy counts no longer until it is whole.

        Parameters
        ----------
        full : bool
            Read and compare every file.
        look_in : sequence of path
            Where to look for a folder that was moved.
        listener : Listener
            Told of progress.
        """
        from diadem.node.adopted import rescan

        return rescan(self.context, full=full, look_in=[Path(one) for one in look_in], listener=listener)

    # -- finding ---------------------------------------------------------------------------------------------------

    def get(self, package_id: str) -> Package:
        """A package, in the best of its copies; its ``record`` is the effective one.

        Parameters
        ----------
        package_id : str
            ``diadem:<64 hex>``, or the first 8 or more of its hex digits.

        Raises
        ------
        NotFound
            The node does not have it, or no store that has it answers.
        """
        from diadem.node.amending import effective
        from diadem.node.placing import best_package

        package, _ = best_package(self.context, self.context.catalogue.get(package_id).id)
        package.told_by = self.custody
        package.amended_by = partial(effective, self.context, package.id)
        package.warned_by = self.warnings
        return package

    def restore(
        self, package: str, folder: StrPath, *, chain: bool = True, listener: Listener = silent
    ) -> RestoredSession:
        """Give a session back: original names, folders, times and write permission, every byte proven.

        Parameters
        ----------
        package : str
            Any package of the session.
        folder : path
            A new or empty folder.
        chain : bool
            The whole session, each file in its newest version; False: what this package holds alone.
        listener : Listener
            Told of progress.

        Raises
        ------
        NotFound
            It was deleted, or no store that has one of its packages answers.
        IntegrityError
            A file is damaged in every copy; nothing is left behind.
        """
        from diadem.node.restoring import restore_session

        found = self.context.catalogue.get(package).id
        return restore_session(self.context, found, Path(folder), chain=chain, listener=listener)

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

        found = self.context.catalogue.search(self.queries.expanded(query), limit=limit, offset=offset)
        return replace(found, source=ResultSource(self.context))

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
        return self.context.catalogue.facets(self.queries.expanded(query), fields=fields, top=top)

    def status(self) -> Status:
        """What the policy says of every package, store and of the node itself, and what to do now."""
        from diadem.node.state import judged

        return judged(self.context)

    # -- the node itself -------------------------------------------------------------------------------------------

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

    def confirm_recovery(self) -> None:
        """Say that the recovery file was moved away from this machine."""
        now = time_text(self.context.clock())
        self.context.change_settings(lambda settings: replace(settings, recovery_confirmed=now))
        mirror_settings(self.context)

    def remirror(self) -> None:
        """Say in every store that answers which machine writes the node now, and bring its mirror up to date."""
        self.context.require_writable()
        for settings, store in self.context.stores.opened():
            claim(store, settings, self.context.settings)
        mirror_settings(self.context)
        self.context.ledger.push()

    def remember(self) -> None:
        """Use this node where none is named."""
        self.context.require_writable()
        remember_node(self.path)

    # -- custody ---------------------------------------------------------------------------------------------------

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
        from diadem.node.custody_verbs import custody

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
        Refused
            What happened last is in no store yet: nothing leaves the node before it is durable in two places.
        """
        from diadem.node.custody_verbs import export_custody

        return export_custody(self.context, package, Path(path), since=since)

    def export(
        self,
        package: str,
        path: StrPath,
        *,
        for_: str,
        only: str | None = None,
        redact: bool = False,
        chain: bool = False,
        dry_run: bool = False,
        listener: Listener = silent,
    ) -> Exported:
        """Give out a package to someone without DIADEM: a ZIP with a page that explains it. The log keeps that.

        Parameters
        ----------
        package : str
            Which one.
        path : path
            A new file: ``session.zip``.
        for_ : str
            For whom: ``Marie Curie <m@x.org>``.
        only : {"raw", "record"}, optional
            The instrument's files alone, or the metadata alone. Default: the package, byte for byte.
        redact : bool
            Take names of people, computers and places on disks out of what DIADEM derived, and list where they still
            stand in the instrument's files. What comes out is an ordinary bag, not the package any more.
        chain : bool
            All packages of the session.
        dry_run : bool
            Say what would be done, and write nothing.
        listener : Listener
            Told of progress.

        Raises
        ------
        Refused
            There is such a file, or no store can hold the statement that it was given out.
        IntegrityError
            A file is damaged in every copy; nothing was exported.
        """
        from diadem.node.exporting_outcome import Wishes
        from diadem.node.exporting_package import export

        wishes = Wishes(for_, only or "package", redact, chain, dry_run)
        found = self.context.catalogue.get(package).id
        return export(self.context, found, Path(path).absolute(), wishes, listener=listener)

    # -- copies ----------------------------------------------------------------------------------------------------

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
        listener: Listener = silent,
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
            Only copies whose proof is older than the policy allows.
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
        Unreachable, Refused
            A worker does not see a store, or has other versions, and nothing was read; or the executor broke.
        Interrupted
            On Ctrl-C; what was proven stays so, and the next run goes on.
        """
        from diadem.node.scrubbing import ScrubPlan, part_of, scrub

        number, of = part_of(part)
        one = self.context.catalogue.get(package).id if package else None
        plan = ScrubPlan(store, number, of, Level(level) if level else None, due, one)
        pace = Pace(max_rate) if max_rate else None
        return scrub(self.context, plan, executor=executor, pace=pace, listener=listener)

    def repair(
        self,
        package: str | None = None,
        *,
        store: str | None = None,
        dry_run: bool = False,
        set_aside: bool = False,
        max_rate: float | None = None,
        listener: Listener = silent,
    ) -> Repaired:
        """Mend damaged copies, write missing ones, make parity: as far as it can be done now.

        Parameters
        ----------
        package, store : str, optional
            One package, or the copies in one store; default everything.
        dry_run : bool
            Say what would be done.
        set_aside : bool
            Move files that have no place in a package into the store's ``.diadem/quarantine``.
        max_rate : float, optional
            Bytes per second.
        listener : Listener
            Told of progress.

        Raises
        ------
        Interrupted
            On Ctrl-C; what was done is in the log, and the next run goes on.
        """
        from diadem.node.repairing import RepairPlan, repair

        one = self.context.catalogue.get(package).id if package else None
        plan = RepairPlan(one, store, dry_run, set_aside)
        return repair(self.context, plan, pace=Pace(max_rate) if max_rate else None, listener=listener)

    def drop(
        self, package: str, store: str, *, reason: str, dry_run: bool = False, listener: Listener = silent
    ) -> Dropped:
        """Remove one copy, after the copies that remain were read whole just now.

        Parameters
        ----------
        package, store : str
            Which copy.
        reason : str
            Stands in the log.
        dry_run : bool
            Prove and judge, but remove nothing.
        listener : Listener
            Told of progress.

        Raises
        ------
        Refused
            Too few other copies are proven.
        """
        from diadem.node.dropping import drop

        found = self.context.catalogue.get(package).id
        return drop(self.context, found, store, reason=reason, dry_run=dry_run, listener=listener)

    def delete(
        self,
        package: str,
        *,
        reason: str,
        lost: bool = False,
        dry_run: bool = False,
        listener: Listener = silent,
    ) -> Dropped:
        """Delete a package from every store once its retention is over; a signed tombstone remains.

        Parameters
        ----------
        package : str
            Which one.
        reason : str
            Stands in the log.
        lost : bool
            Write it off, whatever its retention: no copy of it is left. Every store that answers is looked into first.
        dry_run : bool
            Judge, but remove and state nothing.
        listener : Listener
            Told of the look into the stores.

        Raises
        ------
        Refused
            Its retention is not over, or a store that has a copy does not answer; with `lost`, a copy or something of
            it is there or may be there.
        """
        from diadem.node.dropping import delete
        from diadem.node.writing_off import write_off

        found = self.context.catalogue.get(package).id
        if lost:
            return write_off(self.context, found, reason=reason, dry_run=dry_run, listener=listener)
        return delete(self.context, found, reason=reason, dry_run=dry_run)

    def reindex(
        self, *, executor: Executor | None = None, into: str | None = None, listener: Listener = silent
    ) -> Reindexed:
        """Build the catalogue anew from the stores and the log.

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
        from diadem.node.reindexing import reindex

        return reindex(self.context, executor=executor, into=into, listener=listener)

    # -- closing ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave a snapshot of the catalogue in the stores if something changed, and release everything."""
        from diadem.node.closing import close

        close(self.context)

    def __enter__(self) -> Self:
        """The node itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()
