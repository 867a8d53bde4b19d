"""Rebuilding the catalogue from what matters: the packages in the stores, and the log.

The catalogue is a cache. Packages say what they hold; the log says who took each in and when, where copies were
written, what was proven, and what was given up on purpose. A store that does not answer is taken from the log alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from diadem.archive.package import Package
from diadem.catalogue import Catalogue, PackageEntry
from diadem.catalogue.sightings import Places, Sightings, pages
from diadem.custody.entries import Entry
from diadem.errors import DiademError
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener, Progress, silent
from diadem.model.replicas import DROPPED, MISSING, PRESENT, SUSPECT, PackageState, ReplicaState
from diadem.model.statement_kinds import COPY_KINDS
from diadem.node.config import StoreSettings
from diadem.node.context import Context
from diadem.node.follow.entries import entry_from_log, package_entry
from diadem.node.follow.follower import is_deleted
from diadem.node.follow.replay import apply_all
from diadem.node.follow.taken_in import as_ingest
from diadem.node.hiring import workers_for
from diadem.node.interrupted_archives import killed_archives, unlisted
from diadem.node.jobs import working
from diadem.node.keep.adopted import IN_PLACE, enter_adopted
from diadem.node.keep.dropping import finish_removals
from diadem.node.open import catalogue_at, change_over
from diadem.node.reindex_reading import Found, Sought, read_packages
from diadem.node.stating_found import finish_archives, state_found
from diadem.node.tasks import EnterTask
from diadem.node.workers import Workers
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

    Parameters
    ----------
    context : Context
        The node; where `into` is given, its catalogue may be away.
    into : str, optional
        Where the catalogue lies from now on; see `Node.reindex`.
    listener : callable
        Is told how far it is.

    Raises
    ------
    IntegrityError
        The log is damaged.
    Refused
        There is another catalogue already in the place that was asked for.
    """
    workers = workers_for(context, executor)
    with catalogue_at(context, into) as target, working(context, "reindex", "") as job, context.locked("reindex"):
        finished = finish_removals(context)  # else what was given up would be found, and count again
        killed = killed_archives(context)
        strays = list(unlisted(context, killed))
        target.forget_drafts()
        for left in context.folder.glob(_SIGHTINGS.format("*")):
            left.unlink(missing_ok=True)
        with Sightings(context.folder / _SIGHTINGS.format(uuid.uuid4().hex[:8])) as sightings:
            fresh = target.draft()
            with or_else(fresh.discard):
                work = _Reindex(context, fresh, sightings, workers, job.listening(listener))
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


class _Reindex:
    """Fills an empty catalogue from the stores and the log.

    Parameters
    ----------
    context : Context
        The node.
    fresh : Catalogue
        The empty one.
    sightings : Sightings
        Empty, too.
    workers : Workers or None
        Who reads packages; None for this process.
    listener : Listener
        Told of progress.
    """

    def __init__(
        self,
        context: Context,
        fresh: Catalogue,
        sightings: Sightings,
        workers: Workers | None,
        listener: Listener,
    ) -> None:
        self._context, self._fresh, self._sightings = context, fresh, sightings
        self._workers, self._listener = workers, listener
        self.notes = _Notes()
        #: What is said while the stores are read, they may or may not show.
        self.total = context.ledger.total

    def fill(self) -> None:
        """All of it; what is to be stated stands in the sightings afterwards."""
        for page in pages(islice(self._context.ledger.all_entries(), self.total)):
            self._sightings.hear(_written(page))
        for settings in self._context.settings.stores:
            if self._context.stores.reachable(settings.name):
                self._read_store(settings)
            else:
                why = self._context.stores.why_away(settings.name)
                self.notes.append(f"{settings.name} does not answer: its copies are as the log says ({why})")
        for package_id, root in enter_adopted(self._context, self._fresh, self._sightings.ingest, self.notes):
            self._sightings.see(package_id, IN_PLACE, root)
        self._enter_lost()
        self._follow_log()
        self._revive()
        self._compare()
        _note_parity(self._context, self._fresh)

    # The stores

    def _read_store(self, settings: StoreSettings) -> None:
        """Enter every package of a store."""
        store = self._context.stores.open(settings.name)
        number = 0
        hints = True
        for found in self._readings(store, settings):
            self._fresh.enter([one.prepared for one in found if one.prepared is not None])
            for one in found:
                self._listener(Progress("reindex", number := number + 1, 0, one.path, unit="packages"))
                self._see(settings.name, one)
                if one.unhinted and hints:
                    hints = False
                    self.notes.append(f"the hints in {settings.name} could not be written: {one.unhinted}")

    def _readings(self, store: Store, settings: StoreSettings) -> Iterator[list[Found]]:
        """The packages of a store as they are read, here or by workers."""
        sought = (self._sought(part) for part in pages(store.packages(), _BATCH))
        workers = self._workers
        if workers is None:
            yield from (read_packages(store, packages) for packages in sought)
            return
        with ThreadPoolExecutor(workers.ahead, "diadem-enter") as threads:
            tasks = (EnterTask(settings, packages) for packages in sought)
            try:
                yield from InOrder(threads, workers.enter, tasks, ahead=workers.ahead)
            except BaseException:
                workers.stop()
                raise

    def _sought(self, stored: Sequence[Stored]) -> list[Sought]:
        known = self._fresh.known([str(one.id) for one in stored])
        sought = []
        for one in stored:
            said = self._sightings.ingest(str(one.id))
            sought.append(Sought(one.path, _made_at(said, one.path), said, wanted=str(one.id) not in known))
        return sought

    def _see(self, store: str, found: Found) -> None:
        if not found.fault:
            self._sightings.see(found.id, store, found.path)
            return
        self.notes.append(f"{found.path} in {store} is damaged: {found.fault}")
        if (owner := self._sightings.owner(store, found.path)) is not None:
            self._sightings.see(owner, store, None)  # something is there, and it is not whole

    # The log

    def _enter_lost(self) -> None:
        """Enter the packages that no store gives, as the log and the old catalogue have them.

        A package whose last copies are damaged or away is the one that must not vanish from the status; of one that was
        deleted on purpose it stays known that it was.
        """
        for page in self._sightings.ingested():
            known = self._fresh.known([package_id for package_id, _ in page])
            for package_id, said in page:
                if package_id not in known:
                    self._fresh.add_package(_from_log(self._context.catalogue, package_id, said))
                    if not is_deleted(self._context.ledger.of_subject(PackageId(package_id).hex)):
                        short = f"{package_id[:19]}…"
                        self.notes.append(
                            f"{short} can be read in no store that answers; it is entered as the log says"
                        )

    def _follow_log(self) -> None:
        """Let the new catalogue follow the log, as far as it went when the reindex began."""
        number = 0
        for page in pages(islice(self._context.ledger.all_entries(), self.total), _PAGE):
            with self._fresh.together():
                apply_all(self._fresh, page)
            number += len(page)
            self._listener(Progress("log", number, self.total, page[-1].statement.kind, unit="statements"))

    def _revive(self) -> None:
        """Enter anew what was deleted once, and archived again since."""
        context = self._context
        for page in pages(state.id for state in self._fresh.package_states() if state.tombstoned):
            seen = self._sightings.seen(page)
            for package_id in page:
                places = {store: paths for store, paths in seen.get(package_id, {}).items() if paths}
                store = next((name for name in places if name in context.stores.names), None)
                if store and not is_deleted(context.ledger.of_subject(PackageId(package_id).hex)):
                    package = Package(context.stores.open(store).bundle(places[store][0]))
                    said = self._sightings.ingest(package_id)
                    self._fresh.add_package(package_entry(package, _made_at(said, places[store][0]), said))

    # Both

    def _compare(self) -> None:
        """What the log says of copies against what was seen; notes those that it does not know, and those in vain."""
        for page in pages(self._fresh.package_states(), _PAGE):
            seen = self._sightings.seen([package.id for package in page])
            for package in page:
                self._compare_one(package, seen.get(package.id, {}))

    def _compare_one(self, package: PackageState, seen: Places) -> None:
        said = {replica.store: replica for replica in package.replicas}
        for store, paths in seen.items():
            known = said.get(store)
            if (path := _place(self._context, self._fresh, package.id, store, paths, known)) is not None:
                self._sightings.arrive(package.id, store, path)
            if not paths and known is not None and known.state == PRESENT:
                self._sightings.lose(package.id, store)
        stores = self._context.stores
        for store, replica in said.items():
            away = store in stores.names and not stores.reachable(store)
            if replica.state == PRESENT and store not in seen and not away:
                self._fresh.set_replica(package.id, store, replica.path, state=MISSING)
                self._sightings.lose(package.id, store)


def _written(page: Iterable[Entry]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Statements that say that a copy was written, or a package received: kind, package and predicate."""
    for entry in page:
        if entry.statement.kind == "receipt":
            yield "receipt", entry.statement.subjects[0].name, as_ingest(entry)
        elif entry.statement.kind in COPY_KINDS:
            yield entry.statement.kind, entry.statement.subjects[0].name, entry.statement.predicate


def _made_at(said: Mapping[str, Any] | None, found_at: str) -> str:
    """The path that a package was made with."""
    return found_at if said is None or said.get("adopted") else str(said.get("path", found_at))


def _from_log(old: Catalogue, package_id: str, said: Mapping[str, Any]) -> PackageEntry:
    tags: Mapping[str, bytes] = {}
    with suppress(DiademError):
        tags = old.tag_files(package_id)
    entry = entry_from_log(package_id, said, tags)
    with suppress(DiademError):
        entry = replace(entry, title=old.get(package_id).title)
    return entry


def _place(
    context: Context,
    fresh: Catalogue,
    package_id: str,
    store: str,
    paths: Sequence[str],
    known: ReplicaState | None,
) -> str | None:
    """Enter where a copy lies; its path, where the log does not have it there. It was never proven there."""
    if known is not None and known.path in paths:
        if known.state in (DROPPED, MISSING):
            fresh.set_replica(package_id, store, known.path, state=PRESENT)
            return known.path
    elif paths and known is not None and known.adopted:  # its folder was followed by a rescan
        fresh.set_replica(package_id, store, paths[0], state=known.state)
    elif paths:
        fresh.set_replica(package_id, store, paths[0], state=PRESENT, written=context.clock())
        return paths[0]
    elif known is not None and known.state == PRESENT:
        fresh.set_replica(package_id, store, known.path, state=SUSPECT)
    return None


def _note_parity(context: Context, fresh: Catalogue) -> None:
    """Parity files lie beside the copies of folder stores."""
    for settings, store in context.stores.opened():
        if store.is_folder:
            for package_id in parity_packages(Path(store.url)):
                for replica in fresh.replicas(package_id) if fresh.has(package_id) else ():
                    if replica.store == settings.name:
                        fresh.set_replica(package_id, settings.name, replica.path, state=replica.state, parity=True)
