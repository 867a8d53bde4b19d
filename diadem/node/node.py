"""`Node`: the archive of one place, as the user holds it. Every verb of the command line is a method of this name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from diadem.catalogue.results import Named, Opener, id_of
from diadem.errors import Refused
from diadem.model.display import Display, Document, Rows
from diadem.model.plain_text import count_text
from diadem.model.ports import Listener
from diadem.model.progress_bar import progress_bar
from diadem.model.reopenable import Reopenable
from diadem.model.times import time_text
from diadem.node.access_verbs import AccessVerbs
from diadem.node.context import POLICY_FILE
from diadem.node.instruments import read_instruments
from diadem.node.keeping_verbs import KeepingVerbs
from diadem.node.mirrors import mirror_settings
from diadem.node.open import remember_node
from diadem.node.quality_verbs import QualityVerbs
from diadem.node.stores import claim
from diadem.node.taking_verbs import TakingVerbs
from diadem.node.users import UserVerbs

if TYPE_CHECKING:
    from diadem.archive.overview import Overview
    from diadem.archive.package import Package
    from diadem.catalogue import Facets, SearchResult
    from diadem.custody.report import CustodyReport
    from diadem.model.policy import Policy
    from diadem.node.give.export import Exported
    from diadem.node.give.restore import RestoredSession
    from diadem.node.jobs import JobState
    from diadem.node.key_verbs import KeyVerbs
    from diadem.node.quality.judgement_sheet import JudgementVerbs
    from diadem.node.samples.verbs import SampleVerbs
    from diadem.node.saved_searches import QueryVerbs
    from diadem.node.store_verbs import StoreVerbs
    from diadem.policy.status import Status

StrPath = str | os.PathLike[str]
#: Sessions that the card of a node shows.
_NEWEST: Final = 6


class Node(TakingVerbs, KeepingVerbs, QualityVerbs, AccessVerbs, Reopenable, Display):
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
    def jobs(self) -> list[JobState]:
        """Long jobs, the newest first: what runs, what was killed, how each ended."""
        from diadem.node.jobs import jobs

        return Rows(jobs(self.context))

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
        from diadem.node.doctor import as_document, examine

        return Document(as_document(list(examine(self.context))))

    # -- finding ---------------------------------------------------------------------------------------------------

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

    def _given(self, package: Package) -> Package:
        """A package as a node gives it: with corrections, doubts and custody, and found again by other processes."""
        from diadem.archive.package import Home
        from diadem.node.keep.copies import CopiesAtHand
        from diadem.node.quality.amend import effective

        amend = partial(effective, self.context, package.id)
        given = package.replaced(home=Home(self, self.custody, self.warnings, amend))
        addressed = self.context.tools.addressed
        return given if addressed is None else addressed(given, CopiesAtHand(self.context, given), self.again)

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

    @property
    def policy(self) -> Policy:
        """What the group wants of its copies, checks, metadata and transfers, as `policy.toml` says it now."""
        return self.context.policy

    def status(self) -> Status:
        """What the policy says of every package, store and of the node itself, and what to do now."""
        from diadem.node.archive_state import status_of

        return status_of(self.context, self.watched.state())

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
        """Write what hubs stated of a package's route, and what this node permitted them, beside its chain.

        Parameters
        ----------
        package : str
            Its id or the beginning of it.
        path : path
            Where `export_custody` wrote the chain: further files are named after it.

        Returns
        -------
        list of Path
            None where no hub carried the package.

        Raises
        ------
        Unreachable
            What happened last is in no store yet.
        UsageError
            Such a file is there already.
        """
        from diadem.node.custody_chains import export_relays

        return export_relays(self.context, package, Path(path))

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
            dry_run=dry_run,
            listener=listener,
        )

    # -- closing ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave a snapshot of the catalogue in the stores if something changed, and release everything."""
        from diadem.node.mirrors import close

        close(self.context)

    def __enter__(self) -> Self:
        """The node itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()
