"""How sessions come in: the verbs of a node that archive and watch. `diadem.Node` has them."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.model.display import Document, Rows
from diadem.model.ports import Listener
from diadem.model.progress_bar import progress_bar

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from diadem.archive.package import Package
    from diadem.model.scan import PlannedSession
    from diadem.node.context import Context
    from diadem.node.keep.rescan import Rescan
    from diadem.node.take.archive_many import SessionResult
    from diadem.node.take.arrival import Archived
    from diadem.node.watch.hand_in import Handed
    from diadem.node.watch.report import Watched
    from diadem.node.watch.verbs import WatchVerbs
    from diadem.scan.scan import Scan

StrPath = str | os.PathLike[str]


class TakingVerbs:
    """Archiving one session or many, watching folders, looking at adopted ones."""

    context: Context
    if TYPE_CHECKING:

        def _given(self, package: Package) -> Package:
            """See `diadem.node.node.Node._given`."""

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

        wishes = ArchiveOptions(metadata, strict, as_one, wait, now, in_place, store)
        found = archive(self.context, Path(source).absolute(), wishes, listener=listener)
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

        wishes = ArchiveOptions(metadata, as_one=as_one, wait=wait, now=now)
        return Document(planned(self.context, Path(source).absolute(), wishes, listener))

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
        wishes = ArchiveOptions(metadata, strict=strict, wait=wait, now=now)
        done = archive_all(self.context, chosen, wishes, executor=executor, dry_run=dry_run, listener=listener)
        return (self._result_given(one) for one in done)

    def _result_given(self, done: SessionResult) -> SessionResult:
        if done.archived is None:
            return done
        return replace(done, archived=replace(done.archived, package=self._given(done.archived.package)))

    @property
    def watched(self) -> WatchVerbs:
        """The watched folders: iterate over them, `add`, `ls`, `rm`, `plan`, `report`."""
        from diadem.node.watch.verbs import WatchVerbs

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
