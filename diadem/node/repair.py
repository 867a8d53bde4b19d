"""Repair: pays every debt that can be paid now. Damaged bytes first, then missing copies, then parity.

Each repair is stated before the next is begun, so that a run that is stopped has lost nothing. A copy counts again only
after it was read whole.
"""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from diadem.custody import statements
from diadem.errors import DiademError, Interrupted, Unreachable, machine_errors
from diadem.model.display import Display
from diadem.model.ports import Listener, silent
from diadem.model.replicas import DROPPED, MISSING, PRESENT, SUSPECT, PackageState, ReplicaState
from diadem.model.report import Level, Report
from diadem.node.archive_state import case_of_copies
from diadem.node.context import Context
from diadem.node.follow.package_log import written_places
from diadem.node.jobs import Job, working
from diadem.node.keep.copies import Copy, Debt, PackageCopies
from diadem.node.keep.mend import NotRepaired, Repair, mend, prove_files
from diadem.node.keep.parity import drop_parity, make_parity, parity_of
from diadem.node.keep.removal import finish_removals
from diadem.node.open import CATALOGUE_FILE
from diadem.node.read_copy import UNREAD
from diadem.node.unlisted import killed_archives, unlisted
from diadem.package.examine import open_tag_files
from diadem.policy.commands import REPAIR_SET_ASIDE, write_off
from diadem.policy.engine import copy_actions, still_wanted
from diadem.policy.status import Action
from diadem.policy.tally import is_lost, safe_elsewhere
from diadem.store.contract import Pace
from diadem.store.system import FileLock


@dataclass
class Repaired(Display):
    """What a repair did.

    Attributes
    ----------
    mended : list of (package, store, Repair)
        Leaves and files that were replaced by proven ones.
    copies : list of (package, Copy)
        Copies that were written.
    parity : list of (package, store)
        Parity files that were made.
    set_aside : list of (package, store, path, place)
        Files that did not belong there, and where in the store they lie now.
    left : list of NotRepaired
        What could not be mended.
    debts : list of Debt
        Copies that could not be written.
    planned : list of mapping
        With a dry run: what would be done.
    notes : list of str
        What else was tidied up.
    problems : list of str
        What else could not be done: a store that did not take the newest of the log.
    wanting : list of str
        What the policy wants and nobody can do now, and what it waits for.
    away : list of str
        Stores that do not answer: their copies count as they were last proven.
    """

    mended: list[tuple[str, str, Repair]] = field(default_factory=list)
    copies: list[tuple[str, Copy]] = field(default_factory=list)
    parity: list[tuple[str, str]] = field(default_factory=list)
    set_aside: list[tuple[str, str, str, str]] = field(default_factory=list)
    left: list[NotRepaired] = field(default_factory=list)
    debts: list[Debt] = field(default_factory=list)
    planned: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    wanting: list[str] = field(default_factory=list)
    away: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing is left to be mended or copied."""
        return not self.left and not self.debts and not self.problems and not self.wanting

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "ok": self.ok,
            "mended": [{"package": one, "store": store, **made.to_dict()} for one, store, made in self.mended],
            "copies": [{"package": one, **copy.to_dict()} for one, copy in self.copies],
            "parity": [{"package": one, "store": store} for one, store in self.parity],
            "set_aside": [
                {"package": one, "store": store, "path": path, "place": place}
                for one, store, path, place in self.set_aside
            ],
            "left": [one.to_dict() for one in self.left],
            "debts": [debt.to_dict() for debt in self.debts],
            "planned": self.planned,
            "notes": self.notes,
            "problems": self.problems,
            "wanting": self.wanting,
            "away": self.away,
            "seconds": round(self.seconds, 3),
        }


def repair(
    context: Context,
    package: str | None = None,
    *,
    store: str | None = None,
    dry_run: bool = False,
    set_aside: bool = False,
    max_rate: float | None = None,
    listener: Listener = silent,
) -> Repaired:
    """Mend damaged copies, write missing ones, make parity; as far as it can be done now: see `diadem.Node.repair`."""
    one = context.catalogue.get(package).id if package else None
    if store is not None:
        context.settings.store(store)  # an unknown name is a mistake, not a store in which all is well
    started = time.monotonic()
    run = _Repair(context, one, store, set_aside, Pace(max_rate) if max_rate else None)
    if dry_run:
        run.result.planned = [action.to_dict() for action in run.actions()]
        run.note_wanting()
        return run.result
    with working(context, "repair", f"{one or 'everything'} in {store or 'all stores'}") as job:
        try:
            run.listener = job.listening(listener)
            run.tidy()
            run.mend(job)
            run.sweep(folders=False)
            todo = run.actions()
            if run.copy(todo, job):
                todo = run.actions()  # a copy that was just written may want parity
            run.make_parity(todo, job)
            run.note_wanting()
        except KeyboardInterrupt as error:
            raise Interrupted("the repair was stopped; what was done is in the log", next="Run it again.") from error
        finally:
            run.result.seconds = time.monotonic() - started
    return run.result


@dataclass
class _Repair:
    """One run: over everything, or one package, or the copies in one store."""

    context: Context
    package: str | None
    store: str | None
    set_aside: bool
    pace: Pace | None
    result: Repaired = field(default_factory=Repaired)
    listener: Listener = silent

    def actions(self) -> list[Action]:
        """What the policy wants done now."""
        return [
            one for one in copy_actions(case_of_copies(self.context, self.package)) if self.store in (None, one.store)
        ]

    def note_wanting(self) -> None:
        """Say what the policy still wants, and why it was not done; of one store only whether it answers."""
        states, result = self.context.stores.states(), self.result
        away = [one for one in states if not one.reachable and self.store in (None, one.name)]
        if self.store is not None:
            result.wanting = [f"{state.name} does not answer ({state.url})" for state in away]
            return
        result.away = [state.name for state in away if state.kind != "cold"]
        result.wanting = list(
            still_wanted(case_of_copies(self.context, self.package), {one.package for one in result.left})
        )

    # -- tidying up ------------------------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Finish what a crash interrupted, and bring log and catalogue to where they should be."""
        context, notes = self.context, self.result.notes
        if looked := context.follower.catch_up():
            notes.append(f"the catalogue was behind the log: {looked} packages were looked at again")
        notes += finish_removals(context)
        if killed := killed_archives(context):
            from diadem.node.reindex import finish_archives

            notes += finish_archives(context, list(unlisted(context, killed)), killed)
        if read := context.follower.read_again():
            notes.append(f"{read} packages of which no copy could be read before were read")
        for url, reason in context.ledger.mirrors.push().items():
            self.result.problems.append(f"the log could not be mirrored to {url}: {reason}")
        notes += [f"removed {path}, left by a run that was killed" for path in _sweep_own(context.folder)]
        self.sweep(folders=True)

    def sweep(self, *, folders: bool) -> None:
        """Remove what dead writers left.

        In folders before the mending: what dead menders left there is put in order, and no package looks like a
        leftover. Elsewhere after it, since a copy that has lost its tag manifest does.
        """
        for settings, store in self.context.stores.opened():
            if store.is_folder == folders:
                with suppress(DiademError):
                    self.result.notes += [
                        f"removed {swept.path} in {settings.name}, left by a run that was killed"
                        for swept in store.sweep(keep=_KnownPlaces(self.context, settings.name))
                    ]

    # -- mending ---------------------------------------------------------------------------------------------------

    def mend(self, job: Job) -> None:
        """Mend copies that are known to be damaged or missing, in stores that answer."""
        known = self.context.catalogue
        packages = [known.package_state(self.package)] if self.package else known.package_states()
        damaged = [
            (package.id, replica)
            for package in packages
            for replica in package.replicas
            if replica.state in (SUSPECT, MISSING) and not (replica.adopted or package.tombstoned)
        ]
        for package_id, replica in damaged:
            if self.store in (None, replica.store) and self.context.stores.reachable(replica.store):
                job.check_cancelled()
                try:
                    self._mend(PackageCopies(self.context, package_id), replica)
                except Unreachable as error:
                    self._leave(package_id, replica, error.message)

    def _leave(self, package: str, replica: ReplicaState, reason: str) -> None:
        self.result.left.append(NotRepaired(package, replica.store, replica.path, None, reason))

    def _mend(self, copies: PackageCopies, replica: ReplicaState) -> None:
        """Mend one copy; it counts again only after it was read whole and is right."""
        with copies.locked():
            package = copies.state()  # somebody may have mended or dropped it meanwhile
            if replica not in package.replicas:
                return
            report = self._read(copies, replica)
            if not report.ok and _is_gone(copies, replica):
                self._write_anew(copies, replica)
                return
            if any(finding.code in UNREAD for finding in report.findings):  # it is there: now it may be read
                report = self._read(copies, replica)
            if not report.ok:
                try:
                    report = self._mended(copies, package, replica, report)
                except (Interrupted, Unreachable):
                    raise
                except (DiademError, OSError) as error:
                    self._leave(package.id, replica, error.message if isinstance(error, DiademError) else str(error))
                    return
            if report.ok:
                copies.state_proven(replica, report)
            elif not any((one.package, one.store) == (package.id, replica.store) for one in self.result.left):
                first = next(finding for finding in report.findings if str(finding.severity) == "error")
                where = (package.id, replica.store, first.path or "")
                self.result.left.append(NotRepaired(*where, first.leaf, first.message))

    def _read(self, copies: PackageCopies, replica: ReplicaState) -> Report:
        return copies.check(replica, level=Level.FULL, pace=self.pace, listener=self.listener)

    def _write_anew(self, copies: PackageCopies, replica: ReplicaState) -> None:
        """Copy the package to where nothing of it is left."""
        context, result = self.context, self.result
        written, debts = copies.replicate([replica.store], listener=self.listener, pace=self.pace, held=True)
        result.copies += [(copies.id, copy) for copy in written]
        away = [name for name in context.stores.names if not context.stores.reachable(name)]
        if not debts or not is_lost(copies.state(), away):  # a source that was to be read may be gone too
            result.debts += debts
        elif not any(one.package == copies.id for one in result.left):
            same = safe_elsewhere(copies.same_files())
            self._leave(
                copies.id,
                replica,
                f"no copy is left at its place in any store{'; ' + same if same else ''}: one that was moved is found"
                f" by: diadem reindex; else put one back, or {write_off(copies.id)}",
            )

    def _mended(self, copies: PackageCopies, package: PackageState, replica: ReplicaState, report: Report) -> Report:
        """Mend what a report names, as far as it can be done, and read again what is not proven by the report."""
        context, result = self.context, self.result
        store = context.stores.open(replica.store)

        def told(made: Repair) -> None:
            draft = statements.repair(
                package.id,
                payload_id=package.payload_id,
                store=context.settings.stated_store(replica.store),
                path=made.path,
                leaf=made.leaf,
                source=made.source.replace("replica:", ""),
                before=made.before,
                after=made.after,
            )
            context.say([draft])
            result.mended.append((package.id, replica.store, made))

        with parity_of(store, copies.id) as parity:
            mended = mend(
                copies.id,
                store,
                replica.path,
                report,
                name=replica.store,
                parity=parity,
                # What they give is proven before it is used.
                replicas={
                    one.store: bundle for one, bundle in copies.readable(but=replica) if one.state in (PRESENT, SUSPECT)
                },
                tag_files=context.catalogue.tag_files(package.id),
                quarantine=self.set_aside,
                repaired=told,
                listener=self.listener,
                pace=self.pace,
            )
        result.left += mended.left
        result.set_aside += [(package.id, replica.store, path, place) for path, place in mended.set_aside.items()]
        for path in mended.extras:  # a file browser left it, or a person
            if store.is_folder:
                why, command = "it does not belong there, and stays until you use --set-aside", REPAIR_SET_ASIDE
            else:
                why, command = "it does not belong there: remove it from the store by hand, then scrub again", ""
            result.left.append(NotRepaired(package.id, replica.store, path, None, why, command))
        # A finding without a path may mean that nothing was read; and where nothing was written, something else has
        # changed. Else the copy was read whole and is right but for what was written to: only this is read again.
        if mended.complete and mended.touched and all(finding.path is not None for finding in report.findings):
            return prove_files(copies.bundle(replica), copies.id, mended.touched, listener=self.listener)
        return self._read(copies, replica)

    # -- copies and parity -----------------------------------------------------------------------------------------

    def copy(self, todo: Iterable[Action], job: Job) -> bool:
        """Write the copies that the policy wants; whether it wanted any."""
        wanted: dict[str, list[str]] = {}
        for action in todo:
            if action.kind == "replicate":
                wanted.setdefault(action.package, []).append(action.store)
        for package, stores in wanted.items():
            job.check_cancelled()
            copies, debts = PackageCopies(self.context, package).replicate(
                stores, listener=self.listener, pace=self.pace
            )
            self.result.copies += [(package, copy) for copy in copies]
            self.result.debts += debts
        return bool(wanted)

    def make_parity(self, todo: Iterable[Action], job: Job) -> None:
        """Write the parity that the policy wants; a copy of which there can be none is looked at."""
        for action in todo:
            if action.kind != "parity":
                continue
            job.check_cancelled()
            copies = PackageCopies(self.context, action.package)
            replica = next((one for one in copies.in_order() if one.store == action.store), None)
            if replica is None:  # somebody has given it up meanwhile
                continue
            try:
                with machine_errors():
                    _write_parity(copies, replica, self.listener)
                self.result.parity.append((action.package, action.store))
            except Interrupted:
                raise
            except DiademError as error:
                if error.exit_code == 1:
                    with suppress(Unreachable):
                        report = copies.check(replica, listener=self.listener)
                        if not report.ok:
                            copies.note_damage(replica, report)
                reason = f"no parity: {error.message}"
                self.result.left.append(NotRepaired(action.package, action.store, "", None, reason))


def _is_gone(copies: PackageCopies, replica: ReplicaState) -> bool:
    """Whether nothing of this package lies at its place: the folder is empty or gone, or another package took it."""
    try:
        bundle = copies.bundle(replica)
        files = bundle.listing().files
    except Unreachable:  # no answer is no answer
        raise
    except DiademError:
        return True
    except OSError:  # something is there, and cannot be listed
        return False
    return not files or bool(copies.another_at(bundle))


def _write_parity(copies: PackageCopies, replica: ReplicaState, listener: Listener) -> None:
    catalogue, store = copies.context.catalogue, copies.context.stores.open(replica.store)
    opened = open_tag_files(store.bundle(replica.path), expected_id=copies.id)
    make_parity(store, replica.path, opened, listener=listener)
    with catalogue.together():  # it took a while: what others found of the copy, or did to it, stays
        now = copies.now(replica)
        if now is not None and now.state != DROPPED:
            catalogue.set_replica(copies.id, now.store, now.path, state=now.state, parity=True)
            return
    drop_parity(store, copies.id)


class _KnownPlaces:
    """The paths in one store at which copies were written that nobody has given up: nobody sweeps there.

    The log is read when the first path is asked about: mostly none is.
    """

    def __init__(self, context: Context, store: str) -> None:
        self._context, self._store = context, store

    def __contains__(self, path: object) -> bool:
        """Whether a copy lies, or should lie, at this path, whatever it has lost."""
        return path in self._paths

    @cached_property
    def _paths(self) -> set[str]:
        written = written_places(self._context.ledger.all_entries())
        kept = {(place.store, place.path) for places in written.values() for place in places}
        for package in self._context.catalogue.package_states():
            kept |= {(one.store, one.path) for one in package.replicas if one.state != DROPPED}
        return {path for store, path in kept if store == self._store}


# -- the node's own folder ---------------------------------------------------------------------------------------------


#: Names of drafts of small files, see `write_whole`; and of those of a catalogue that is built.
_DRAFT: Final = re.compile(r"\..+\.[0-9a-f]{8}\Z")
_BUILT: Final = (".reindex-*.sqlite*", f".{CATALOGUE_FILE}.*.draft*")
#: Seconds after which a draft, which is written in milliseconds, has no writer any more.
_OLD: Final = 3600


def _sweep_own(folder: Path) -> Iterator[Path]:
    """Remove what dead runs have left in the node's own folder."""
    places = [folder, *(path for path in folder.iterdir() if path.is_dir()), folder / "keys" / "users"]
    drafts = [path for place in places if place.is_dir() for path in place.iterdir() if _DRAFT.match(path.name)]
    left = []
    for path in drafts:
        with suppress(OSError):  # its writer has just published it: then it is gone
            found = path.stat()
            if stat.S_ISREG(found.st_mode) and time.time() - found.st_mtime > _OLD:
                left.append(path)
    building = FileLock(folder / "locks" / "reindex.lock")
    try:
        if building.acquire():
            left += [path for pattern in _BUILT for path in folder.glob(pattern)]
        for path in left:
            path.unlink(missing_ok=True)
            yield path
    finally:
        building.release()
