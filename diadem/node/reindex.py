"""Rebuilding the catalogue from what matters: the packages in the stores, and the log.

The catalogue is a cache. Packages say what they hold; the log says who took each in and when, where copies were
written, what was proven, and what was given up on purpose. A store that does not answer is taken from the log alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from diadem.archive.package import Package
from diadem.catalogue import Catalogue, PackageEntry
from diadem.catalogue.database import chunks
from diadem.catalogue.reindex_scratch import Places, ReindexScratch
from diadem.custody import statements
from diadem.custody.log_entry import Entry
from diadem.errors import DiademError, Unreachable
from diadem.model.display import Display
from diadem.model.manifest import PackageId, shown_id
from diadem.model.ports import Listener, Progress, silent
from diadem.model.replicas import DROPPED, IN_PLACE, MISSING, PRESENT, SUSPECT, PackageState, ReplicaState
from diadem.model.report import Level
from diadem.model.statement_kinds import COPY_KINDS
from diadem.node.config import StoreSettings
from diadem.node.context import Context
from diadem.node.follow.catalogue_rows import entry_from_log, package_entry
from diadem.node.follow.follow import apply_all
from diadem.node.follow.package_log import as_ingest
from diadem.node.jobs import JobState, jobs, looked_after, workers_for, working
from diadem.node.keep.adopted import enter_adopted, folders, where
from diadem.node.keep.copies import PackageCopies
from diadem.node.keep.removal import finish_removals
from diadem.node.open import catalogue_at, change_over
from diadem.node.take.arrival import ingest_draft, record_ingest
from diadem.node.tasks import PackageRead, PackageToRead, read_packages
from diadem.node.unlisted import Unlisted, killed_archives, unlisted
from diadem.node.workers import Workers
from diadem.pack.pack import Outcome
from diadem.package.examine import open_tag_files
from diadem.package.tags import CONTINUES, OMITTED
from diadem.package.verify import verify
from diadem.store.contract import Store, Stored
from diadem.store.own_files import parity_packages
from diadem.store.system import or_else
from diadem.workers.executors import InOrder


@dataclass(frozen=True, slots=True)
class Reindexed(Display):
    """What a reindex found.

    Attributes
    ----------
    packages, copies, statements : int
        What the catalogue has now.
    notes : sequence of str
        What deserves a look: copies that are missing, damaged tag files, stores that did not answer.
    """

    packages: int
    copies: int
    statements: int
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "packages": self.packages,
            "copies": self.copies,
            "statements": self.statements,
            "notes": list(self.notes),
        }


#: Statements that the new catalogue follows in one transaction, packages that are compared at once, and packages of
#: one task: their tag files, up to a few MiB each, are in memory together.
_PAGE, _BATCH = 500, 24
#: Notes that are told one by one.
_NOTED = 1000


def reindex(
    context: Context, *, executor: Executor | None = None, into: str | None = None, listener: Listener = silent
) -> Reindexed:
    """Build the catalogue anew and put it in the place of the old one; others may archive meanwhile.

    What the stores hold and the log does not say is stated: packages that somebody copied there, copies that are gone.
    """
    workers = workers_for(context, executor)
    with catalogue_at(context, into) as target, working(context, "reindex", "") as job, context.locked("reindex"):
        finished = finish_removals(context)  # else what was given up would be found, and count again
        killed = killed_archives(context)
        strays = list(unlisted(context, killed))
        target.forget_drafts()
        for left in context.folder.glob(_SIGHTINGS.format("*")):
            left.unlink(missing_ok=True)
        with ReindexScratch(context.folder / _SIGHTINGS.format(uuid.uuid4().hex[:8])) as sightings:
            fresh = target.draft()
            with or_else(fresh.discard):
                work = _Rebuild(context, fresh, sightings, workers, job.listening(listener))
                work.fill()
                fresh.complete()  # what takes minutes is done before others have to wait
                copies = sightings.count()
                with context.follower.replacing():
                    replace(context, catalogue=fresh).follower.catch_up()  # what was said while the stores were read
                    target.take_over(fresh)
                    if into is not None:
                        change_over(context, target, into)
            entered = finish_archives(context, strays, killed)
            stated = state_found(context, sightings.arrived(), sightings.lost())
            notes = (*finished, *work.notes.told(), *entered, *stated)
    return Reindexed(context.catalogue.count(), copies, context.ledger.total, notes)


_SIGHTINGS = ".reindex-{}.sqlite"


class _Notes(list[str]):
    """What deserves a look: of many the first ones, and how many more there are. A dead store has a million."""

    def __init__(self) -> None:
        super().__init__()
        self._more = 0

    def append(self, note: str) -> None:
        """Keep a note, or count it."""
        if len(self) < _NOTED:
            super().append(note)
        else:
            self._more += 1

    def told(self) -> tuple[str, ...]:
        """All of it."""
        return (*self, *((f"and {self._more:,} more",) if self._more else ()))


@dataclass(slots=True)
class _Rebuild:
    """Fills an empty catalogue from the stores and the log; the sightings are empty, too."""

    context: Context
    fresh: Catalogue
    sightings: ReindexScratch
    #: Who reads packages; None for this process.
    workers: Workers | None
    listener: Listener
    notes: _Notes = field(default_factory=_Notes)
    #: What is said while the stores are read, they may or may not show.
    total: int = field(init=False)

    def __post_init__(self) -> None:
        self.total = self.context.ledger.total

    def fill(self) -> None:
        """All of it; what is to be stated stands in the sightings afterwards."""
        for page in chunks(islice(self.context.ledger.all_entries(), self.total)):
            self.sightings.hear(_written(page))
        for settings in self.context.settings.stores:
            if self.context.stores.reachable(settings.name):
                self._read_store(settings)
            else:
                why = self.context.stores.why_away(settings.name)
                self.notes.append(f"{settings.name} does not answer: its copies are as the log says ({why})")
        for package_id, root in enter_adopted(self.context, self.fresh, self.sightings.ingest, self.notes):
            self.sightings.see(package_id, IN_PLACE, root)
        self._enter_lost()
        self._follow_log()
        self._revive()
        self._compare()
        self._note_parity()

    # The stores

    def _read_store(self, settings: StoreSettings) -> None:
        """Enter every package of a store."""
        store = self.context.stores.open(settings.name)
        number = 0
        hints = True
        for found in self._readings(store, settings):
            self.fresh.enter([one.prepared for one in found if one.prepared is not None])
            for one in found:
                self.listener(Progress("reindex", number := number + 1, 0, one.path, unit="packages"))
                if not one.fault:
                    self.sightings.see(one.id, settings.name, one.path)
                else:
                    self.notes.append(f"{one.path} in {settings.name} is damaged: {one.fault}")
                    if (owner := self.sightings.owner(settings.name, one.path)) is not None:
                        self.sightings.see(owner, settings.name, None)  # something is there, and it is not whole
                if one.unhinted and hints:
                    hints = False
                    self.notes.append(f"the hints in {settings.name} could not be written: {one.unhinted}")

    def _readings(self, store: Store, settings: StoreSettings) -> Iterator[list[PackageRead]]:
        """The packages of a store as they are read, here or by workers."""
        sought = (self._sought(part) for part in chunks(store.packages(), _BATCH))
        workers = self.workers
        if workers is None:
            yield from (read_packages(store, packages) for packages in sought)
            return
        with ThreadPoolExecutor(workers.ahead, "diadem-enter") as threads:
            try:
                yield from InOrder(threads, partial(workers.read_packages, settings), sought, ahead=workers.ahead)
            except BaseException:
                workers.stop()
                raise

    def _sought(self, stored: Sequence[Stored]) -> list[PackageToRead]:
        known = self.fresh.known([str(one.id) for one in stored])
        sought = []
        for one in stored:
            said = self.sightings.ingest(str(one.id))
            sought.append(PackageToRead(one.path, said, wanted=str(one.id) not in known))
        return sought

    # The log

    def _enter_lost(self) -> None:
        """Enter the packages that no store gives, as the log and the old catalogue have them.

        A package whose last copies are damaged or away is the one that must not vanish from the status; of one that was
        deleted on purpose it stays known that it was.
        """
        for page in self.sightings.ingested():
            known = self.fresh.known([package_id for package_id, _ in page])
            for package_id, said in page:
                if package_id not in known:
                    self.fresh.add_package(self._from_log(package_id, said))
                    if not PackageCopies(self.context, package_id).log().is_deleted():
                        name = shown_id(package_id)
                        self.notes.append(f"{name} can be read in no store that answers; it is entered as the log says")

    def _from_log(self, package_id: str, said: Mapping[str, Any]) -> PackageEntry:
        old = self.context.catalogue
        tags: Mapping[str, bytes] = {}
        with suppress(DiademError):
            tags = old.tag_files(package_id)
        entry = entry_from_log(package_id, said, tags)
        with suppress(DiademError):
            entry = replace(entry, title=old.get(package_id).title)
        return entry

    def _follow_log(self) -> None:
        """Let the new catalogue follow the log, as far as it went when the reindex began."""
        number = 0
        for page in chunks(islice(self.context.ledger.all_entries(), self.total), _PAGE):
            with self.fresh.together():
                apply_all(self.fresh, page)
            number += len(page)
            self.listener(Progress("log", number, self.total, page[-1].statement.kind, unit="statements"))

    def _revive(self) -> None:
        """Enter anew what was deleted once, and archived again since."""
        context = self.context
        for page in chunks(state.id for state in self.fresh.package_states() if state.tombstoned):
            seen = self.sightings.seen(page)
            for package_id in page:
                places = {store: paths for store, paths in seen.get(package_id, {}).items() if paths}
                store = next((name for name in places if name in context.stores.names), None)
                if store and not PackageCopies(context, package_id).log().is_deleted():
                    package = Package(context.stores.open(store).bundle(places[store][0]))
                    said = self.sightings.ingest(package_id)
                    self.fresh.add_package(package_entry(package, places[store][0], said))

    # Both

    def _compare(self) -> None:
        """What the log says of copies against what was seen; notes those that it does not know, and those in vain."""
        for page in chunks(self.fresh.package_states(), _PAGE):
            seen = self.sightings.seen([package.id for package in page])
            for package in page:
                self._compare_one(package, seen.get(package.id, {}))

    def _compare_one(self, package: PackageState, seen: Places) -> None:
        said = {replica.store: replica for replica in package.replicas}
        for store, paths in seen.items():
            known = said.get(store)
            if (path := self._place(package.id, store, paths, known)) is not None:
                self.sightings.arrive(package.id, store, path)
            if not paths and known is not None and known.state == PRESENT:
                self.sightings.lose(package.id, store)
        stores = self.context.stores
        for store, replica in said.items():
            away = store in stores.names and not stores.reachable(store)
            if replica.state == PRESENT and store not in seen and not away:
                self.fresh.set_replica(package.id, store, replica.path, state=MISSING)
                self.sightings.lose(package.id, store)

    def _place(self, package: str, store: str, paths: Sequence[str], known: ReplicaState | None) -> str | None:
        """Enter where a copy lies; its path, where the log does not have it there. It was never proven there."""
        if known is not None and known.path in paths:
            if known.state in (DROPPED, MISSING):
                self.fresh.set_replica(package, store, known.path, state=PRESENT)
                return known.path
        elif paths and known is not None and known.adopted:  # its folder was followed by a rescan
            self.fresh.set_replica(package, store, paths[0], state=known.state)
        elif paths:
            self.fresh.set_replica(package, store, paths[0], state=PRESENT, written=self.context.clock())
            return paths[0]
        elif known is not None and known.state == PRESENT:
            self.fresh.set_replica(package, store, known.path, state=SUSPECT)
        return None

    def _note_parity(self) -> None:
        """Parity files lie beside the copies of folder stores."""
        for settings, store in self.context.stores.opened():
            if store.is_folder:
                for package in parity_packages(Path(store.url)):
                    for replica in self.fresh.replicas(package) if self.fresh.has(package) else ():
                        if replica.store == settings.name:
                            self.fresh.set_replica(
                                package, settings.name, replica.path, state=replica.state, parity=True
                            )


def _written(page: Iterable[Entry]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Statements that say that a copy was written, or a package received: kind, package and predicate."""
    for entry in page:
        if entry.statement.kind == "receipt":
            yield "receipt", entry.statement.subjects[0].name, as_ingest(entry)
        elif entry.statement.kind in COPY_KINDS:
            yield entry.statement.kind, entry.statement.subjects[0].name, entry.statement.predicate


def finish_archives(context: Context, found: Iterable[Unlisted], killed: Sequence[JobState]) -> Iterator[str]:
    """State the ingest of packages that killed archives left, in the name of who archived it where that is known.

    Every byte is read first; the user's signature is there where the key opens without asking. Of which source or
    user nobody can tell is stated by the node alone, as something that was found. What cannot be stated stops nothing.
    """
    finished = all(context.stores.reachable(name) for name in context.stores.names)
    for one in found:
        try:
            note, well = _finish_archive(context, one)
        except DiademError as error:
            note, well = f"{one.path} in {one.store} is in no log and was not entered: {error.message}", False
        finished = finished and well
        if note:
            yield note
    if finished:
        for job in killed:
            looked_after(context, job)


def _finish_archive(context: Context, one: Unlisted) -> tuple[str, bool]:
    """State what a killed archive left: what is to be told, "" where nothing, and whether nothing is left to do."""
    bundle = context.stores.open(one.store).bundle(one.path)
    report = verify(bundle, level=Level.FULL, expected_id=one.package)
    if not report.ok:
        return f"{one.path} in {one.store} is in no log and is not whole: archive {one.job.words} again", False
    known = {user.name for user in context.settings.users if not user.successor}
    package, job = Package(bundle, outcome=Outcome(created=False, proof="read-back")), one.job
    info = dict(package.bag_info)
    before = str(PackageId(info[CONTINUES])) if CONTINUES in info else None
    left_out = {"omitted": int(info[OMITTED])} if info.get(OMITTED, "").isdecimal() else {}
    sure = bool(job.source) and job.user in known
    owner, source = (context.as_user(job.user), job.source) if sure else (context, _found_in(one.store))
    if not record_ingest(
        owner, package, one.path, one.store, source, predecessor=before, more=left_out, with_user=sure
    ):
        return "", True
    return f"{one.path} in {one.store} is in the log now: the archive of {job.words} was killed before", True


def state_found(
    context: Context, arrived: Iterable[tuple[str, str, str]], lost: Iterable[tuple[str, str]]
) -> Iterator[str]:
    """State what the stores hold beside what the log says, for people: the catalogue is made anew already.

    Packages that no statement names; copies that have `arrived`, of which it did not know; copies that are `lost`.
    """
    yield from _state_packages(context)
    yield from _state_copies(context, arrived)
    yield from _state_losses(context, lost)


def _state_packages(context: Context) -> Iterator[str]:
    """State the ingest of packages that lie in a store and that no statement names: somebody copied them there.

    Their bytes are not proven by this: a scrub reads them. While an archive is at work, what is not in the log may be
    its package, which is there a moment before its statement.
    """
    unsaid = [state for state in context.catalogue.package_states() if not state.signed and not state.tombstoned]
    archiving = bool(unsaid) and any(job.kind == "archive" and job.state == "running" for job in jobs(context.folder))
    for state in unsaid:
        for replica in state.replicas:
            if replica.state != PRESENT or replica.adopted:
                continue
            in_place = replica.store == IN_PLACE
            place = f"the adopted folder {replica.path}" if in_place else f"{replica.path} in {replica.store}"
            if archiving:
                yield f"{place} is not in the log; an archive is at work, so it may be about to be: reindex again"
            elif not _state_ingest(context, state.id, replica):
                pass
            elif in_place:
                yield f"{place} was not in the log: its archive was killed; it is entered; read it: diadem rescan"
            else:
                yield f"{place} was not in the log: somebody copied it there; it is entered, and to be scrubbed"
            break


def _state_ingest(context: Context, package_id: str, replica: ReplicaState) -> bool:
    """State that a package was found; False where somebody else has just stated its ingest."""
    copies = PackageCopies(context, package_id)
    with copies.locked():
        if copies.log().ingest() is not None:
            return False
        if replica.store == IN_PLACE:
            package, source, more = Package(folders(context).bundle(package_id)), replica.path, where(replica.path)
        else:
            package = Package(context.stores.open(replica.store).bundle(replica.path))
            source, more = _found_in(replica.store), {}
        context.say([ingest_draft(context, package, replica.path, replica.store, source, more=more)])
        return True


def _found_in(store: str) -> str:
    """The source of a package of which only its place is known."""
    return f"found in the store {store}"


def _state_copies(context: Context, arrived: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """State copies that lie where the log has none: copied by hand, or by a run that was killed before it said so.

    Who is writing one just now holds the package's lock until it is stated.
    """
    for package_id, name, path in arrived:
        copies = PackageCopies(context, package_id)
        with copies.locked():
            log = copies.log()
            if log.ingest() is None or log.places().get(name) == path:
                continue
            try:
                open_tag_files(context.stores.open(name).bundle(path), expected_id=package_id)
            except (DiademError, OSError):  # it was being removed while the stores were read
                context.follower.derive(package_id)
                continue
            draft = statements.replicate(
                package_id,
                payload_id=context.catalogue.get(package_id).payload_id,
                source=name,  # it comes from the store in which it is
                store=context.settings.stated_store(name),
                path=path,
                proof="none",
                by=context.address,
            )
            context.say([draft])
            found = f"a copy of {shown_id(package_id)} at {path} in {name}"
            yield f"{found} was not in the log: it is entered, to be scrubbed"


def _state_losses(context: Context, lost: Iterable[tuple[str, str]]) -> Iterator[str]:
    """State what is wrong with copies that are not as the log says."""
    for package_id, store in lost:
        copies = PackageCopies(context, package_id)
        with copies.locked():
            replicas = context.catalogue.replicas(package_id) if context.catalogue.has(package_id) else ()
            for replica in replicas:
                if replica.store == store and replica.state in (MISSING, SUSPECT):
                    with suppress(Unreachable):
                        report = copies.check(replica, level=Level.QUICK)
                        if not report.ok:
                            damage = copies.note_damage(replica, report)
                            what = "is not" if damage.state == MISSING else "is damaged"
                            command = "diadem rescan" if replica.adopted else "diadem repair"
                            yield f"{shown_id(package_id)} {what} in {store}, at {replica.path}: {command}"
