"""Repair: pays every debt that can be paid now. Damaged bytes first, then missing copies, then parity.

Each repair is stated before the next is begun, so that a run that is stopped has lost nothing. A copy counts again only
after it was read whole.
"""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from diadem.custody import statements
from diadem.errors import DiademError, Interrupted, Unreachable, machine_errors
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener, silent
from diadem.model.replicas import DROPPED, MISSING, PRESENT, SUSPECT, PackageState, ReplicaState
from diadem.model.report import Level, Report
from diadem.model.statements import Draft
from diadem.node.archive_state import archive_state
from diadem.node.context import Context
from diadem.node.interrupted_archives import killed_archives, unlisted
from diadem.node.jobs import Job, working
from diadem.node.keep.dropping import finish_removals
from diadem.node.keep.known_places import KnownPlaces
from diadem.node.keep.mending import MendJob, mend
from diadem.node.keep.mending_outcome import Mended, Repair
from diadem.node.keep.mending_parity import drop_parity, make_parity, parity_of
from diadem.node.keep.mending_proof import prove_files
from diadem.node.keep.mending_sources import Replica
from diadem.node.keep.placing import (
    Copy,
    Debt,
    another_package,
    bundle_of,
    replicate,
    same_files,
    state_proven,
)
from diadem.node.keep.proving import UNREAD
from diadem.node.keep.scrubbing import check, note_damage
from diadem.node.open import CATALOGUE_FILE
from diadem.node.stating_found import finish_archives
from diadem.package.examine import open_tag_files
from diadem.policy.commands import REPAIR_SET_ASIDE, write_off
from diadem.policy.engine import judge, wanting_of
from diadem.policy.tally import is_lost, safe_elsewhere
from diadem.store.contract import Pace
from diadem.store.system import FileLock


@dataclass(frozen=True, slots=True)
class Left(Display):
    """What could not be mended.

    Attributes
    ----------
    package, store, path : str
        The copy, and the file in it.
    leaf : int or None
        Of that file.
    reason : str
        Why, and what would help.
    command : str
        What mends it; "" where no command does.
    """

    package: str
    store: str
    path: str
    leaf: int | None
    reason: str
    command: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}


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
    left : list of Left
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
    left: list[Left] = field(default_factory=list)
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


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """What to repair: everything, or one package, or the copies in one store."""

    package: str | None = None
    store: str | None = None
    dry_run: bool = False
    quarantine: bool = False

    @property
    def words(self) -> str:
        """The plan in one line."""
        return f"{self.package or 'everything'} in {self.store or 'all stores'}"


def repair(context: Context, plan: RepairPlan, *, pace: Pace | None = None, listener: Listener = silent) -> Repaired:
    """Mend damaged copies, write missing ones, make parity; as far as it can be done now.

    Raises
    ------
    Interrupted
        On Ctrl-C; what was done is stated, and the next run resumes.
    """
    result, started = Repaired(), time.monotonic()
    if plan.dry_run:
        result.planned = [action.to_dict() for action in _actions(context, plan)]
        _note_wanting(context, plan, result)
        return result
    with working(context, "repair", plan.words) as job:
        listener = job.listening(listener)
        try:
            _tidy(context, result)
            _mend_all(context, plan, job, result, pace, listener)
            _sweep(context, result, folders=False)
            _copy_all(context, plan, job, result, pace, listener)
            _make_parity(context, plan, job, result, listener)
            _note_wanting(context, plan, result)
        except KeyboardInterrupt as error:
            raise Interrupted("the repair was stopped; what was done is in the log", next="Run it again.") from error
        finally:
            result.seconds = time.monotonic() - started
    return result


def _tidy(context: Context, result: Repaired) -> None:
    """Finish what a crash interrupted, and bring log and catalogue to where they should be."""
    if looked := context.follower.catch_up():
        result.notes.append(f"the catalogue was behind the log: {looked} packages were looked at again")
    result.notes += finish_removals(context)
    killed = killed_archives(context)
    result.notes += finish_archives(context, list(unlisted(context, killed)), killed)
    if read := context.follower.read_again():
        result.notes.append(f"{read} packages of which no copy could be read before were read")
    for url, reason in context.ledger.push().items():
        result.problems.append(f"the log could not be mirrored to {url}: {reason}")
    result.notes += [f"removed {path}, left by a run that was killed" for path in _sweep_own(context.folder)]
    _sweep(context, result, folders=True)


#: Names of drafts of small files, see `write_whole`; and of those of a catalogue that is built.
_DRAFT: Final = re.compile(r"\..+\.[0-9a-f]{8}\Z")
_BUILT: Final = (".reindex-*.sqlite*", f".{CATALOGUE_FILE}.*.draft*")
#: Seconds after which a draft, which is written in milliseconds, has no writer any more.
_OLD: Final = 3600


def _sweep_own(folder: Path) -> Iterator[Path]:
    """Remove what dead runs have left in the node's own folder."""
    places = [folder, *(path for path in folder.iterdir() if path.is_dir()), folder / "keys" / "users"]
    drafts = [path for place in places if place.is_dir() for path in place.iterdir() if _DRAFT.match(path.name)]
    left = [path for path in drafts if _is_old_file(path)]
    building = FileLock(folder / "locks" / "reindex.lock")
    try:
        if building.acquire():
            left += [path for pattern in _BUILT for path in folder.glob(pattern)]
        for path in left:
            path.unlink(missing_ok=True)
            yield path
    finally:
        building.release()


def _is_old_file(path: Path) -> bool:
    """Whether a draft has no writer any more; one that its writer has just published is gone."""
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and time.time() - found.st_mtime > _OLD


def _sweep(context: Context, result: Repaired, *, folders: bool) -> None:
    """Remove what dead writers left.

    In folders before the mending: what dead menders left there is put in order, and no package looks like a leftover.
    Elsewhere after it, since a copy that has lost its tag manifest does.
    """
    for settings, store in context.stores.opened():
        if store.is_folder != folders:
            continue
        with suppress(DiademError):
            result.notes += [
                f"removed {swept.path} in {settings.name}, left by a run that was killed"
                for swept in store.sweep(keep=KnownPlaces(context, settings.name))
            ]


def _note_wanting(context: Context, plan: RepairPlan, result: Repaired) -> None:
    """Say what the policy still wants, and why it was not done; of a repair of one store only whether it answers."""
    away = [state for state in context.stores.states() if not state.reachable and plan.store in (None, state.name)]
    if plan.store is not None:
        result.wanting = [f"{state.name} does not answer ({state.url})" for state in away]
        return
    result.away = [state.name for state in away if state.kind != "cold"]
    packages = [context.catalogue.package_state(plan.package)] if plan.package else None
    told = {one.package for one in result.left}
    state = archive_state(context, packages)
    result.wanting = list(wanting_of(context.policy, state, context.clock(), told))


def _actions(context: Context, plan: RepairPlan) -> Iterator[Any]:
    status = judge(context.policy, archive_state(context), context.clock())
    for action in status.actions:
        if action.kind not in ("repair", "replicate", "parity"):
            continue
        if plan.package in (None, action.package) and plan.store in (None, action.store):
            yield action


# -- mending -------------------------------------------------------------------------------------------------------


def _mend_all(
    context: Context, plan: RepairPlan, job: Job, result: Repaired, pace: Pace | None, listener: Listener
) -> None:
    for package in list(context.catalogue.package_states()):
        if plan.package not in (None, package.id) or package.tombstoned:
            continue
        for replica in package.replicas:
            wanted = replica.state in (SUSPECT, MISSING) and not replica.adopted
            if wanted and plan.store in (None, replica.store) and context.stores.reachable(replica.store):
                job.check_cancelled()
                try:
                    _mend(context, package, replica, plan, result, pace, listener)
                except Unreachable as error:
                    result.left.append(Left(package.id, replica.store, replica.path, None, error.message))


def _mend(
    context: Context,
    package: PackageState,
    replica: ReplicaState,
    plan: RepairPlan,
    result: Repaired,
    pace: Pace | None,
    listener: Listener,
) -> None:
    """Mend one copy; it counts again only after it was read whole and is right."""
    with context.locked(f"package-{PackageId(package.id).hex[:32]}"):
        package = context.catalogue.package_state(package.id)  # somebody may have mended or dropped it meanwhile
        if replica not in package.replicas:
            return
        report = check(context, package.id, replica, level=Level.FULL, pace=pace, listener=listener)
        if not report.ok and _is_gone(context, replica, package.id):
            _write_anew(context, package, replica, result, listener, pace)
            return
        if any(finding.code in UNREAD for finding in report.findings):  # it is there: now it may be read
            report = check(context, package.id, replica, level=Level.FULL, pace=pace, listener=listener)
        if not report.ok:
            try:
                report = _mended(context, package, replica, report, plan, result, listener, pace)
            except (Interrupted, Unreachable):
                raise
            except (DiademError, OSError) as error:
                message = error.message if isinstance(error, DiademError) else str(error)
                result.left.append(Left(package.id, replica.store, replica.path, None, message))
                return
        if report.ok:
            state_proven(context, package.id, replica, report)
        elif not any(one.package == package.id and one.store == replica.store for one in result.left):
            first = next(finding for finding in report.findings if str(finding.severity) == "error")
            result.left.append(Left(package.id, replica.store, first.path or "", first.leaf, first.message))


def _is_gone(context: Context, replica: ReplicaState, package_id: str) -> bool:
    """Whether nothing of this package lies at its place: the folder is empty or gone, or another package took it."""
    try:
        bundle = bundle_of(context, package_id, replica)
        files = bundle.listing().files
    except Unreachable:  # no answer is no answer
        raise
    except DiademError:
        return True
    except OSError:  # something is there, and cannot be listed
        return False
    if not files:
        return True
    return bool(another_package(context, bundle, package_id))


def _write_anew(
    context: Context,
    package: PackageState,
    replica: ReplicaState,
    result: Repaired,
    listener: Listener,
    pace: Pace | None,
) -> None:
    copies, debts = replicate(context, package.id, [replica.store], listener=listener, pace=pace, held=True)
    result.copies += [(package.id, copy) for copy in copies]
    package = context.catalogue.package_state(package.id)  # a source that was to be read may be gone too
    if not debts or not is_lost(package, _away(context)):
        result.debts += debts
    elif not any(one.package == package.id for one in result.left):
        result.left.append(Left(package.id, replica.store, replica.path, None, _nothing_left(context, package.id)))


def _away(context: Context) -> list[str]:
    return [name for name in context.stores.names if not context.stores.reachable(name)]


def _nothing_left(context: Context, package_id: str) -> str:
    """What to do where no copy is left."""
    same = safe_elsewhere(same_files(context, package_id))
    what = f"no copy is left at its place in any store{'; ' + same if same else ''}"
    return f"{what}: one that was moved is found by: diadem reindex; else put one back, or {write_off(package_id)}"


def _mended(
    context: Context,
    package: PackageState,
    replica: ReplicaState,
    report: Report,
    plan: RepairPlan,
    result: Repaired,
    listener: Listener,
    pace: Pace | None,
) -> Report:
    """Mend what a report names, as far as it can be done, and read again what is not proven by the report."""
    mended = _mend_copy(context, package, replica, report, plan, result, listener, pace)
    result.left += [Left(package.id, replica.store, one.path, one.leaf, one.reason) for one in mended.unmended]
    result.set_aside += [(package.id, replica.store, path, place) for path, place in mended.set_aside.items()]
    for path in mended.extras:
        result.left.append(_stranger(context, package.id, replica, path))
    if _is_read_but_for(mended, report):
        bundle = bundle_of(context, package.id, replica)
        return prove_files(bundle, PackageId(package.id), mended.touched, listener=listener)
    return check(context, package.id, replica, level=Level.FULL, pace=pace, listener=listener)


def _stranger(context: Context, package_id: str, replica: ReplicaState, path: str) -> Left:
    """A file that does not belong into a package: a file browser left it, or a person."""
    if context.stores.open(replica.store).is_folder:
        why, command = "it does not belong there, and stays until you use --set-aside", REPAIR_SET_ASIDE
    else:
        why, command = "it does not belong there: remove it from the store by hand, then scrub again", ""
    return Left(package_id, replica.store, path, None, why, command)


def _is_read_but_for(mended: Mended, report: Report) -> bool:
    """Whether a copy was read whole and is right but for what was written to, so that only this is read again.

    A finding without a path may mean that nothing was read; and where nothing was written, something else has changed.
    """
    named = all(finding.path is not None for finding in report.findings)
    return mended.complete and bool(mended.touched) and named


def _mend_copy(
    context: Context,
    package: PackageState,
    replica: ReplicaState,
    report: Report,
    plan: RepairPlan,
    result: Repaired,
    listener: Listener,
    pace: Pace | None,
) -> Mended:
    def told(made: Repair) -> None:
        context.say([_repair_draft(context, package, replica, made)])
        result.mended.append((package.id, replica.store, made))

    store = context.stores.open(replica.store)
    with parity_of(store, PackageId(package.id)) as parity:
        return mend(
            MendJob(
                PackageId(package.id),
                store,
                replica.path,
                report,
                parity=parity,
                replicas=_others(context, package, replica),
                tag_files=context.catalogue.tag_files(package.id),
                quarantine=plan.quarantine,
            ),
            repaired=told,
            listener=listener,
            pace=pace,
        )


def _others(context: Context, package: PackageState, damaged: ReplicaState) -> Sequence[Replica]:
    """The other copies that answer, sound ones first; what they give is proven before it is used."""
    found = []
    for replica in sorted(package.replicas, key=lambda one: (one.state != PRESENT, one.adopted)):
        if replica.state in (PRESENT, SUSPECT) and (replica.store, replica.path) != (damaged.store, damaged.path):
            with suppress(DiademError):
                found.append(Replica(replica.store, bundle_of(context, package.id, replica)))
    return found


def _repair_draft(context: Context, package: PackageState, replica: ReplicaState, made: Repair) -> Draft:
    return statements.repair(
        package.id,
        payload_id=package.payload_id,
        store=replica.store,
        store_id=context.settings.store(replica.store).id,
        path=made.path,
        leaf=made.leaf,
        source=made.source.replace("replica:", ""),
        before=made.before,
        after=made.after,
    )


# -- copying -------------------------------------------------------------------------------------------------------


def _copy_all(
    context: Context, plan: RepairPlan, job: Job, result: Repaired, pace: Pace | None, listener: Listener
) -> None:
    wanted: dict[str, list[str]] = {}
    for action in _actions(context, plan):
        if action.kind == "replicate":
            wanted.setdefault(action.package, []).append(action.store)
    for package_id, stores in wanted.items():
        job.check_cancelled()
        copies, debts = replicate(context, package_id, stores, listener=listener, pace=pace)
        result.copies += [(package_id, copy) for copy in copies]
        result.debts += debts


def _make_parity(context: Context, plan: RepairPlan, job: Job, result: Repaired, listener: Listener) -> None:
    for action in list(_actions(context, plan)):
        if action.kind != "parity":
            continue
        job.check_cancelled()
        try:
            with machine_errors():
                _write_parity(context, action.package, action.store, listener)
            result.parity.append((action.package, action.store))
        except Interrupted:
            raise
        except DiademError as error:
            replica = next(
                (one for one in context.catalogue.replicas(action.package) if one.store == action.store), None
            )
            if replica is not None and error.exit_code == 1:
                with suppress(Unreachable):
                    report = check(context, action.package, replica, listener=listener)
                    if not report.ok:
                        note_damage(context, action.package, replica, report)
            result.left.append(Left(action.package, action.store, "", None, f"no parity: {error.message}"))


def _write_parity(context: Context, package_id: str, name: str, listener: Listener) -> None:
    store = context.stores.open(name)
    replica = next(one for one in context.catalogue.replicas(package_id) if one.store == name)
    opened = open_tag_files(store.bundle(replica.path), expected_id=package_id)
    make_parity(store, replica.path, opened, listener=listener)
    with context.catalogue.together():  # it took a while: what others found of the copy, or did to it, stays
        known = context.catalogue.replicas(package_id)
        now = next((one for one in known if (one.store, one.path) == (name, replica.path)), None)
        if now is not None and now.state != DROPPED:
            context.catalogue.set_replica(package_id, name, now.path, state=now.state, parity=True)
            return
    drop_parity(store, PackageId(package_id))
