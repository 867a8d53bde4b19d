"""Rebuilding the catalogue from what matters: the packages in the stores, and the log.

The catalogue is a cache. Packages say what they hold; the log says who took each in and when, where copies were
written, what was proven, and what was given up on purpose. A store that does not answer is taken from the log alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from diadem.archive.package import Package
from diadem.errors import DiademError
from diadem.model.ids import PackageId
from diadem.model.ports import Listener, Progress, silent
from diadem.model.replicas import DROPPED, MISSING, PRESENT, SUSPECT, ReplicaState
from diadem.model.report import Level
from diadem.node.adopted import enter_adopted
from diadem.node.catalogue import Catalogue
from diadem.node.changing_catalogue import change_over, moving
from diadem.node.context import Context
from diadem.node.dropping import finish_removals
from diadem.node.entries import entry_from_log, package_entry
from diadem.node.following import catch_up, is_deleted, replacing
from diadem.node.hinting import Hinting
from diadem.node.jobs import working
from diadem.node.replay import apply
from diadem.node.stating_found import state_found
from diadem.package.opening import read_manifest
from diadem.package.verify import verify
from diadem.store.parity_file import parity_packages


@dataclass(frozen=True, slots=True)
class Reindexed:
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


#: Statements that the new catalogue follows in one transaction.
_PAGE = 500
#: Package id to the predicate of its `ingest` statement; store and path to the id that a copy there should have.
Ingests = Mapping[str, Mapping[str, Any]]
Places = Mapping[tuple[str, str], str]


def reindex(context: Context, *, into: str | None = None, listener: Listener = silent) -> Reindexed:
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
    with moving(context, into) as target, working(context, "reindex", "") as job, context.locked("reindex"):
        finished = finish_removals(context)  # else what was given up would be found, and count again
        target.forget_drafts()
        fresh = target.draft()
        try:
            result, arrived, lost = _fill(context, fresh, job.listening(listener))
            with replacing(context):
                catch_up(replace(context, catalogue=fresh))  # what was said while the stores were read
                target.take_over(fresh)
                if into is not None:
                    change_over(context, target, into)
        except BaseException:
            fresh.discard()
            raise
        notes = (*finished, *result.notes, *state_found(context, arrived, lost))
    return replace(result, packages=context.catalogue.count(), statements=context.ledger.total, notes=notes)


def _fill(
    context: Context, fresh: Catalogue, listener: Listener
) -> tuple[Reindexed, list[tuple[str, str, str]], list[tuple[str, str]]]:
    """Fill an empty catalogue; also returns copies of which the log does not know, and those that it has in vain."""
    notes: list[str] = []
    total = context.ledger.total  # what is said while the stores are read, they may or may not show
    ingests, places = _listen(context, total)
    found: dict[tuple[str, str], list[str]] = {}
    for settings in context.settings.stores:
        if context.stores.reachable(settings.name):
            found |= _read_store(context, fresh, settings.name, ingests, places, notes, listener)
        else:
            why = context.stores.why_away(settings.name)
            notes.append(f"{settings.name} does not answer: its copies are as the log says ({why})")
    found |= _read_adopted(context, fresh, ingests, notes)
    _enter_lost(context, fresh, ingests, notes)
    _apply_all(context, fresh, total, listener)
    _revive(context, fresh, found, ingests)
    arrived, lost = _compare(context, fresh, found)
    _note_parity(context, fresh)
    return Reindexed(fresh.count(), len(found), total, tuple(notes)), arrived, lost


def _apply_all(context: Context, fresh: Catalogue, total: int, listener: Listener) -> None:
    """Let the new catalogue follow the log, as far as it went when the reindex began."""
    entries = enumerate(islice(context.ledger.all_entries(), total))
    while page := list(islice(entries, _PAGE)):
        with fresh.together():
            for number, entry in page:
                listener(Progress("log", number, total, entry.statement.kind, unit="statements"))
                apply(fresh, entry)


def _revive(context: Context, fresh: Catalogue, found: Mapping[tuple[str, str], list[str]], ingests: Ingests) -> None:
    """Enter anew what was deleted once, and archived again since."""
    buried = {state.id for state in fresh.package_states() if state.tombstoned}
    alive = {one for one in buried if not is_deleted(context.ledger.of_subject(PackageId(one).hex))}
    for (package_id, store), paths in found.items():
        if package_id in alive and paths and store in context.stores.names:
            package = Package(context.stores.open(store).bundle(paths[0]))
            path = _path(package_id, paths[0], ingests)
            fresh.add_package(package_entry(package, path, ingests.get(package_id)))
            alive.discard(package_id)


def _listen(context: Context, total: int) -> tuple[dict[str, Mapping[str, Any]], dict[tuple[str, str], str]]:
    """What the log says of each package's ingest, and where copies were written."""
    ingests: dict[str, Mapping[str, Any]] = {}
    places: dict[tuple[str, str], str] = {}
    for entry in islice(context.ledger.all_entries(), total):
        if entry.statement.kind in ("ingest", "replicate"):
            said, package_id = entry.statement.predicate, entry.statement.subjects[0].name
            places[str(said["store"]), str(said.get("path", ""))] = package_id
            if entry.statement.kind == "ingest":
                ingests.setdefault(package_id, said)
    return ingests, places


def _read_store(
    context: Context,
    fresh: Catalogue,
    name: str,
    ingests: Ingests,
    places: Places,
    notes: list[str],
    listener: Listener,
) -> dict[tuple[str, str], list[str]]:
    """Enter every package of a store; returns package and store of each copy, and the paths at which it lies."""
    found: dict[tuple[str, str], list[str]] = {}
    store = context.stores.open(name)
    hinting = Hinting(store, name, notes)
    for number, stored in enumerate(store.packages()):
        listener(Progress("reindex", number, 0, stored.path, unit="packages"))
        try:
            bundle = store.bundle(stored.path)
            opened = read_manifest(bundle)
            package = Package(bundle, opened=opened)
            if package.id not in ingests:  # one damaged line of a tag manifest makes another id: no package
                verify(package.bundle, level=Level.QUICK, expected_id=package.id).raise_for_findings()
            if not fresh.has(package.id):
                fresh.add_package(
                    package_entry(package, _path(package.id, stored.path, ingests), ingests.get(package.id))
                )
            found.setdefault((package.id, name), []).append(stored.path)
            if found[package.id, name] == [stored.path]:
                hinting.write(opened, stored.path)
        except (DiademError, OSError) as error:
            message = error.message if isinstance(error, DiademError) else str(error)
            notes.append(f"{stored.path} in {name} is damaged: {message}")
            if (owner := places.get((name, stored.path))) is not None:
                found.setdefault((owner, name), [])  # something is there, and it is not whole
    return found


def _path(package_id: str, found_at: str, ingests: Ingests) -> str:
    """The path that the package was made with."""
    said = ingests.get(package_id, {})
    return found_at if said.get("adopted") else str(said.get("path", found_at))


def _read_adopted(
    context: Context, fresh: Catalogue, ingests: Ingests, notes: list[str]
) -> dict[tuple[str, str], list[str]]:
    return {copy: [path] if path else [] for copy, path in enter_adopted(context, fresh, ingests, notes).items()}


def _enter_lost(context: Context, fresh: Catalogue, ingests: Ingests, notes: list[str]) -> None:
    """Enter the packages that no store gives, as the log and the old catalogue have them.

    A package whose last copies are damaged or away is the one that must not vanish from the status; of one that was
    deleted on purpose it stays known that it was.
    """
    for package_id, said in ingests.items():
        if fresh.has(package_id):
            continue
        tags: Mapping[str, bytes] = {}
        with suppress(DiademError):
            tags = context.catalogue.tag_files(package_id)
        entry = entry_from_log(package_id, said, tags)
        with suppress(DiademError):
            entry = replace(entry, title=context.catalogue.get(package_id).title)
        fresh.add_package(entry)
        if not is_deleted(context.ledger.of_subject(PackageId(package_id).hex)):
            notes.append(f"{package_id[:19]}… can be read in no store that answers; it is entered as the log says")


def _compare(
    context: Context, fresh: Catalogue, found: Mapping[tuple[str, str], list[str]]
) -> tuple[list[tuple[str, str, str]], list[tuple[str, str]]]:
    """What the log says of copies against what was found; returns those that it does not know, and those in vain."""
    arrived, lost = [], []
    said: dict[tuple[str, str], ReplicaState] = {}
    for package in fresh.package_states():
        said |= {(package.id, replica.store): replica for replica in package.replicas}
    for (package_id, store), paths in found.items():
        if fresh.has(package_id):
            known = said.get((package_id, store))
            if (path := _place(context, fresh, package_id, store, paths, known)) is not None:
                arrived.append((package_id, store, path))
            if not paths and known is not None and known.state == PRESENT:
                lost.append((package_id, store))
    for (package_id, store), replica in said.items():
        if replica.state == PRESENT and (package_id, store) not in found:
            if store in context.stores.names and not context.stores.reachable(store):
                continue
            fresh.set_replica(package_id, store, replica.path, state=MISSING)
            lost.append((package_id, store))
    return arrived, lost


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
