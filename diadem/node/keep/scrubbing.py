"""Scrub: prove copies on a schedule, a slice at a time, at a pace that leaves the disk to others.

What is proven counts from the moment at which the statement that says so is in the log; a run that is killed has lost
at most a minute of reading. A run that was stopped is gone on with: what it proved is not read again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from diadem.custody import statements
from diadem.errors import DiademError, Interrupted, Unreachable, UsageError
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener, Progress, silent
from diadem.model.replicas import DROPPED, MISSING, PRESENT, READING_PROOFS, SUSPECT, PackageState, ReplicaState
from diadem.model.report import Level, Report
from diadem.node.context import Context
from diadem.node.follow.replay import COPY_MISSING
from diadem.node.hiring import workers_for
from diadem.node.jobs import Job, working
from diadem.node.keep.mending_parity import check_parity
from diadem.node.keep.placing import another_package, bundle_of, damage_found, not_there
from diadem.node.keep.proving import prove
from diadem.node.keep.reading_at_once import Reading, read_at_once, read_there
from diadem.node.workers import Workers
from diadem.store.contract import Pace

#: Seconds of reading after which what was proven is stated in the log.
_STATE_EVERY = 60.0
#: Packages in one statement.
_BATCH = 1000
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Damage(Display):
    """A copy that was found damaged.

    Attributes
    ----------
    package, store, path : str
        Which copy.
    state : str
        ``suspect``, or ``missing`` where nothing of it is there.
    report : Report
        What was found: file, leaf, range.
    """

    package: str
    store: str
    path: str
    state: str
    report: Report

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "package": self.package,
            "store": self.store,
            "path": self.path,
            "state": self.state,
            "findings": [finding.to_dict() for finding in self.report.findings],
        }


@dataclass
class Scrubbed(Display):
    """What a scrub proved, and what it found.

    Attributes
    ----------
    proven : int
        Copies whose every byte was read and is right.
    bytes : int
        Bytes read.
    damaged : list of Damage
        Copies that are not what they were.
    unread : list of (store, reason)
        Stores that did not answer, or did not for one copy, which is named: nothing is said of these copies.
    skipped : int
        Copies that this run, before it was stopped, had proven already.
    levels : set of str
        What was read: ``leaves``, ``full``.
    notes : list of str
        What else was found: parity that is damaged.
    seconds : float
        Time taken.
    """

    proven: int = 0
    bytes: int = 0
    skipped: int = 0
    damaged: list[Damage] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)
    levels: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    part: str = "1/1"
    started: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every copy that was to be read was read and is right."""
        return not self.damaged and not self.unread

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "ok": self.ok,
            "proven": self.proven,
            "bytes": self.bytes,
            "skipped": self.skipped,
            "part": self.part,
            "levels": sorted(self.levels),
            "started": self.started,
            "seconds": round(self.seconds, 3),
            "damaged": [damage.to_dict() for damage in self.damaged],
            "notes": self.notes,
            "unread": [{"store": store, "reason": reason} for store, reason in self.unread],
        }


@dataclass(frozen=True, slots=True)
class ScrubPlan:
    """What to read.

    Attributes
    ----------
    store : str or None
        One store, or all.
    part, of : int
        Which slice of the packages: 3 of 28. Slices are by package id, so that a package stays in its slice.
    level : Level or None
        None: leaves where leaves and manifest are known to agree, else full.
    due : bool
        Only copies whose proof is older than nine tenths of the policy's interval.
    package : str or None
        One package only.
    """

    store: str | None = None
    part: int = 1
    of: int = 1
    level: Level | None = None
    due: bool = False
    package: str | None = None

    @property
    def words(self) -> str:
        """The plan in one line: a run that was stopped is recognised by it."""
        parts = [
            self.store or "all stores",
            f"part {self.part}/{self.of}" if self.of > 1 else "",
            "only what is due" if self.due else "",
            f"level {self.level}" if self.level else "",
            self.package or "",
        ]
        return ", ".join(part for part in parts if part)


def part_of(text: str) -> tuple[int, int]:
    """``3/28`` as two numbers.

    Raises
    ------
    UsageError
        It is not a part of a whole.
    """
    first, slash, second = text.partition("/")
    if slash and first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second):
        return int(first), int(second)
    raise UsageError(f"'{text}' is not a part", next="Write 3/28 for the third of 28 parts.")


def scrub(
    context: Context,
    plan: ScrubPlan,
    *,
    executor: Executor | None = None,
    pace: Pace | None = None,
    listener: Listener = silent,
) -> Scrubbed:
    """Read copies and compare every byte with what was sealed.

    Raises
    ------
    Unreachable
        A worker of the executor does not see a store, and nothing was read; or the executor broke.
    Interrupted
        On Ctrl-C; what was proven is kept, and the next run resumes.
    """
    result = Scrubbed(part=f"{plan.part}/{plan.of}")
    started = time.monotonic()
    names = [plan.store] if plan.store else list(context.stores.names)
    workers = workers_for(context, executor, stores=names)
    with working(context, "scrub", plan.words) as job:
        result.started = job.started
        listener = job.listening(listener)
        try:
            for name in names:
                _scrub_store(context, name, plan, job, result, pace, workers, listener)
        except KeyboardInterrupt as error:
            raise Interrupted(
                f"the scrub was stopped; {result.proven} copies are proven and stay so",
                next="Run the same command again: it resumes where it stopped.",
            ) from error
        finally:
            result.seconds = time.monotonic() - started
    return result


def _scrub_store(
    context: Context,
    name: str,
    plan: ScrubPlan,
    job: Job,
    result: Scrubbed,
    pace: Pace | None,
    workers: Workers | None,
    listener: Listener,
) -> None:
    settings = context.settings.store(name)
    if not context.stores.reachable(settings.name):
        result.unread.append((name, context.stores.why_away(name)))
        return
    todo = list(_due(context, name, plan, job, result))
    if workers is None:
        _read_all(context, name, todo, plan, job, result, pace, listener)
    else:
        _read_at_once(context, name, todo, plan, job, result, pace, workers, listener)


def _due(
    context: Context, name: str, plan: ScrubPlan, job: Job, result: Scrubbed
) -> Iterator[tuple[PackageState, ReplicaState]]:
    now, begun = context.clock(), job.started_at
    interval = context.policy.scrub.interval_for(context.settings.store(name).kind)
    packages: list[tuple[datetime | None, PackageState, ReplicaState]] = []
    for package in context.catalogue.package_states():
        if plan.package not in (None, package.id) or int(PackageId(package.id).hex[:8], 16) % plan.of != plan.part - 1:
            continue
        for replica in package.replicas:
            if replica.store != name or replica.adopted or replica.state == DROPPED:
                continue
            wanted = READING_PROOFS if plan.level is not Level.FULL else {str(Level.FULL)}
            read = replica.proven_level in wanted and replica.state == PRESENT
            if job.resumed and read and replica.proven_at is not None and replica.proven_at >= begun:
                result.skipped += 1
                continue
            if plan.due and _is_fresh(replica, now, interval):
                continue
            packages.append((replica.proven_at, package, replica))
    packages.sort(key=lambda item: (item[0] is not None, item[0], item[1].id))  # never proven first, then the oldest
    return ((package, replica) for _, package, replica in packages)


def _is_fresh(replica: ReplicaState, now: datetime, interval: timedelta) -> bool:
    """Whether the last proof is within nine tenths of the interval; one from the future proves nothing.

    A task that reads each night what is due would else read a copy in the night after the rule has turned red.
    """
    return replica.proven and replica.proven_at is not None and -_DAY <= now - replica.proven_at <= interval * 0.9


def _read_all(
    context: Context,
    name: str,
    todo: Sequence[tuple[PackageState, ReplicaState]],
    plan: ScrubPlan,
    job: Job,
    result: Scrubbed,
    pace: Pace | None,
    listener: Listener,
) -> None:
    total, done = sum(package.bytes for package, _ in todo), 0
    batch = _Batch(context, name, plan)
    try:
        for package, replica in todo:
            job.check_cancelled()
            heard = _within(listener, done, total, name)
            done += package.bytes
            try:
                report = check(context, package.id, replica, level=plan.level, pace=pace, listener=heard)
            except Unreachable as error:
                context.stores.require_there(name)  # it answers: only this copy did not, and the others are read
                result.unread.append((name, f"{replica.path}: {error.message}"))
                continue
            _note_read(context, package.id, replica, report, batch, result)
    except Unreachable as error:
        result.unread.append((name, error.message))
    finally:
        batch.state()


def _read_at_once(
    context: Context,
    name: str,
    todo: Sequence[tuple[PackageState, ReplicaState]],
    plan: ScrubPlan,
    job: Job,
    result: Scrubbed,
    pace: Pace | None,
    workers: Workers,
    listener: Listener,
) -> None:
    """The same on workers."""
    total, done = sum(package.bytes for package, _ in todo), 0
    copies = [
        Reading(package.id, package.bytes, replica, plan.level or usual_level(context, package.id))
        for package, replica in todo
    ]
    batch = _Batch(context, name, plan)
    try:
        for read in read_at_once(context, name, copies, workers, pace=pace, heed=job.check_cancelled):
            done += read.copy.bytes
            listener(Progress("scrub", done, total, f"{name} {read.copy.replica.path}"))
            if read.report is None:
                result.unread.append((name, f"{read.copy.replica.path}: {read.silence}"))
            else:
                _note_read(context, read.copy.package, read.copy.replica, read.report, batch, result)
    except Unreachable as error:
        if workers.broken:
            raise
        result.unread.append((name, error.message))
    finally:
        batch.state()


def _note_read(
    context: Context, package_id: str, replica: ReplicaState, report: Report, batch: _Batch, result: Scrubbed
) -> None:
    """Keep what was found of one copy: what is proven is stated later, with others; damage at once."""
    result.bytes += report.checked.get("bytes", 0)
    if report.ok:
        if replica.parity:
            _check_parity(context, package_id, replica, result)
        result.proven += 1
        result.levels.add(str(report.level))
        batch.add(package_id, replica, report)
    elif _is_kept(context, package_id, replica):
        result.damaged.append(note_damage(context, package_id, replica, report))


def _is_kept(context: Context, package_id: str, replica: ReplicaState) -> bool:
    """Whether a copy is still to be there: it may have been dropped while it was read."""
    now = _now(context, package_id, replica)
    return now is not None and now.state != DROPPED


def _is_as_read(context: Context, package_id: str, replica: ReplicaState) -> bool:
    """Whether what was read still counts: somebody may have found damage since, or dropped or rewritten the copy."""
    now = _now(context, package_id, replica)
    return now is not None and now.state in (replica.state, PRESENT) and now.written_at == replica.written_at


def _now(context: Context, package_id: str, replica: ReplicaState) -> ReplicaState | None:
    """A copy as it is known now; None where it lies there no more."""
    known = context.catalogue.replicas(package_id)
    return next((now for now in known if (now.store, now.path) == (replica.store, replica.path)), None)


def _check_parity(context: Context, package_id: str, replica: ReplicaState, result: Scrubbed) -> None:
    """Parity that is damaged is worth nothing: it is forgotten, and `repair` writes it anew."""
    report = check_parity(context.stores.open(replica.store), PackageId(package_id))
    if report is None or not report.ok:
        with context.catalogue.together():  # what others found of the copy meanwhile stays
            if (now := _now(context, package_id, replica)) is not None:
                context.catalogue.set_replica(package_id, now.store, now.path, state=now.state, parity=False)
        result.notes.append(f"the parity of {package_id[:19]}… in {replica.store} is damaged; repair writes it again")


#: Package id, the copy as it was known before it was read, and what was found.
_Proven = tuple[str, ReplicaState, Report]


class _Batch:
    """Copies that were proven and are not yet stated."""

    def __init__(self, context: Context, store: str, plan: ScrubPlan) -> None:
        self._context, self._store, self._plan = context, store, plan
        self._proven: dict[str, list[_Proven]] = {}
        self._since = time.monotonic()

    def add(self, package_id: str, replica: ReplicaState, report: Report) -> None:
        self._proven.setdefault(str(report.level), []).append((package_id, replica, report))
        if sum(map(len, self._proven.values())) >= _BATCH or time.monotonic() - self._since > _STATE_EVERY:
            self.state()

    def state(self) -> None:
        """State what was proven, and is not known to be otherwise by now; then let it count."""
        context = self._context
        proven, self._proven = self._proven, {}
        self._since = time.monotonic()
        for level, found in proven.items():
            still = [one for one in found if _is_as_read(context, one[0], one[1])]
            if not still:
                continue
            packages, checked = [one[0] for one in still], Counter[str]()
            for _, _, report in still:
                checked.update(report.checked)
            draft = statements.fixity(
                packages,
                store=self._store,
                store_id=context.settings.store(self._store).id,
                level=level,
                part=f"{self._plan.part}/{self._plan.of}",
                proven=packages,
                checked={"packages": len(packages), **checked},
            )
            context.say([draft])


def check(
    context: Context,
    package_id: str,
    replica: ReplicaState,
    *,
    level: Level | None = None,
    pace: Pace | None = None,
    listener: Listener = silent,
) -> Report:
    """Read one copy whole. What cannot be read is a finding, never an exception.

    Raises
    ------
    Unreachable
        The store does not answer, or did not while it was read: nothing is said of the copy.
    """
    chosen = level or usual_level(context, package_id)
    report = _read(context, package_id, replica, chosen, pace, listener)
    if not report.ok and not replica.adopted:
        context.stores.require_there(replica.store)
    return report


def _read(
    context: Context, package_id: str, replica: ReplicaState, chosen: Level, pace: Pace | None, listener: Listener
) -> Report:
    if context.workers is not None and not replica.adopted:
        return read_there(context, context.workers, package_id, replica, chosen)
    try:
        other = another_package(context, bundle_of(context, package_id, replica), package_id)
    except Unreachable:
        raise
    except (DiademError, OSError):  # `prove` says what is wrong with it
        other = ""
    if other:
        return not_there(replica, package_id, other)
    bundle = partial(bundle_of, context, package_id, replica)
    return prove(bundle, package_id, replica.path, level=chosen, pace=pace, listener=listener)


def usual_level(context: Context, package_id: str) -> Level:
    """`leaves` where this node has hashed the whole package, leaves and files together, once; else `full`."""
    return Level.LEAVES if context.catalogue.consistent(package_id) else Level.FULL


def note_damage(context: Context, package_id: str, replica: ReplicaState, report: Report) -> Damage:
    """State what was found wrong with a copy, and let the copy count no longer."""
    gone = any(finding.code == COPY_MISSING for finding in report.findings)
    context.say([damage_found(context, package_id, replica, report)])
    return Damage(package_id, replica.store, replica.path, MISSING if gone else SUSPECT, report)


def _within(listener: Listener, before: int, total: int, store: str) -> Listener:
    """A listener that counts one package as a part of the run."""

    def tell(progress: Progress) -> None:
        listener(
            Progress("scrub", before + progress.done, max(total, before + progress.done), f"{store} {progress.item}")
        )

    return tell
