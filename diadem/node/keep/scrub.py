"""Scrub: prove copies on a schedule, a slice at a time, at a pace that leaves the disk to others.

What is proven counts from the moment at which the statement that says so is in the log; a run that is killed has lost
at most a minute of reading. A run that was stopped is gone on with: what it proved is not read again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from diadem.catalogue.database import chunks
from diadem.custody import statements
from diadem.errors import Interrupted, Unreachable, UsageError
from diadem.model.agenda import Agenda, bundles
from diadem.model.display import Display
from diadem.model.manifest import PackageId, shown_id
from diadem.model.policy import SCRUB_LEVELS
from diadem.model.ports import Listener, Progress, silent
from diadem.model.replicas import DROPPED, PRESENT, READING_PROOFS, ReplicaState
from diadem.model.report import Level, Report
from diadem.model.statements import Draft
from diadem.node.context import Context
from diadem.node.jobs import Job, workers_for, working
from diadem.node.keep.copies import Damage, PackageCopies
from diadem.node.keep.parity import check_parity
from diadem.node.read_copy import CopyRead
from diadem.node.tasks import CopyToRead
from diadem.store.contract import Pace

if TYPE_CHECKING:
    from diadem.node.workers import Workers

#: Seconds of reading, and packages, after which what was proven is stated in the log.
_STATE_EVERY, _BATCH = 60.0, 1000
_DAY = timedelta(days=1)
#: Bytes and copies of one share of a worker at most: one that is lost has read no more for nothing. Shares for each
#: worker at least, so that none waits long for the last one.
_MOST_BYTES, _MOST_COPIES, _SHARES = 256 << 20, 200, 4


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


def part_of(text: str) -> tuple[int, int]:
    """``3/28`` as two numbers. Raises `UsageError` where it is not a part of a whole."""
    first, slash, second = text.partition("/")
    if slash and first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second):
        return int(first), int(second)
    raise UsageError(f"'{text}' is not a part", next="Write 3/28 for the third of 28 parts.")


def scrub(
    context: Context,
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
    """Read copies and compare every byte with what was sealed: see `diadem.Node.scrub`.

    Slices are by package id, so that a package stays in its slice.
    """
    if level not in (None, *SCRUB_LEVELS):
        raise UsageError(f"'{level}' is not a level of a scrub", next="Use leaves or full.")
    number, of = part_of(part)
    one = context.catalogue.get(package).id if package else None
    names = [store] if store else list(context.stores.names)
    workers = workers_for(context, executor, stores=names)
    result, started = Scrubbed(part=f"{number}/{of}"), time.monotonic()
    # A run that was stopped is recognised by these words.
    words = [store or "all stores", f"part {number}/{of}" if of > 1 else "", "only what is due" if due else ""]
    words += [f"level {level}" if level else "", one or ""]
    with working(context, "scrub", ", ".join(filter(None, words))) as job:
        result.started = job.state.started
        run = _Scrub(
            context,
            job,
            result,
            part=(number, of),
            level=Level(level) if level else None,
            due=due,
            package=one,
            pace=Pace(max_rate) if max_rate else None,
            workers=workers,
            listener=job.listening(listener),
        )
        try:
            for name in names:
                run.store(name)
        except KeyboardInterrupt as error:
            raise Interrupted(
                f"the scrub was stopped; {result.proven} copies are proven and stay so",
                next="Run the same command again: it resumes where it stopped.",
            ) from error
        finally:
            result.seconds = time.monotonic() - started
    return result


@dataclass
class _Scrub:
    """One run, store by store."""

    context: Context
    job: Job
    result: Scrubbed
    part: tuple[int, int]
    level: Level | None
    due: bool
    package: str | None
    pace: Pace | None
    workers: Workers | None
    listener: Listener
    #: What is proven and not yet stated, by level, and since when.
    _proven: dict[str, list[tuple[CopyToRead, Report]]] = field(default_factory=dict)
    _since: float = 0.0

    def store(self, name: str) -> None:
        """Read what is to be read in a store."""
        context = self.context
        if not context.stores.reachable(context.settings.store(name).name):
            self.result.unread.append((name, context.stores.why_away(name)))
            return
        todo = self._todo(name)
        self._since = time.monotonic()
        read = self._here(name, todo) if self.workers is None else self._elsewhere(name, todo, self.workers)
        try:
            with closing(read):
                for copy, report, silence in read:
                    if report is None:
                        self.result.unread.append((name, f"{copy.replica.path}: {silence}"))
                    else:
                        self._note(copy, report)
                    if sum(map(len, self._proven.values())) >= _BATCH or time.monotonic() - self._since > _STATE_EVERY:
                        self._state(name)
        except Unreachable as error:
            if self.workers is not None and self.workers.broken:
                raise
            self.result.unread.append((name, error.message))
        finally:
            self._state(name)

    def _todo(self, name: str) -> list[CopyToRead]:
        """The copies to read in a store: those never proven first, then the oldest."""
        context, (number, of) = self.context, self.part
        now, begun = context.clock(), self.job.started_at
        interval = context.policy.scrub.interval_for(context.settings.store(name).kind)
        wanted = READING_PROOFS if self.level is not Level.FULL else {str(Level.FULL)}
        found: list[CopyToRead] = []
        known = context.catalogue
        for package in [known.package_state(self.package)] if self.package else known.package_states():
            if int(PackageId(package.id).hex[:8], 16) % of != number - 1:
                continue
            for replica in package.replicas:
                if replica.store != name or replica.adopted or replica.state == DROPPED:
                    continue
                at = replica.proven_at
                read = replica.proven_level in wanted and replica.state == PRESENT
                if self.job.resumed and read and at is not None and at >= begun:
                    self.result.skipped += 1
                elif not self.due or not _is_fresh(replica, now, interval):
                    found.append(CopyToRead(package.id, replica, self.level, package.bytes))
        return sorted(
            found, key=lambda copy: (copy.replica.proven_at is not None, copy.replica.proven_at, copy.package)
        )

    # -- reading, here and by workers ------------------------------------------------------------------------------

    def _here(self, name: str, todo: Sequence[CopyToRead]) -> Generator[tuple[CopyToRead, Report | None, str]]:
        total, done = sum(copy.bytes for copy in todo), 0
        for copy in todo:
            self.job.check_cancelled()

            def tell(progress: Progress, before: int = done) -> None:
                now = before + progress.done
                self.listener(Progress("scrub", now, max(total, now), f"{name} {progress.item}"))

            done += copy.bytes
            copies = PackageCopies(self.context, copy.package)
            try:
                report = copies.check(copy.replica, level=copy.level, pace=self.pace, listener=tell)
            except Unreachable as error:
                self.context.stores.require_there(name)  # it answers: only this copy did not, and the others are read
                yield copy, None, error.message
            else:
                yield copy, report, ""

    def _elsewhere(
        self, name: str, todo: Sequence[CopyToRead], workers: Workers
    ) -> Generator[tuple[CopyToRead, Report | None, str]]:
        """In shares of similar size, begun in their order; `Unreachable` where the rest need not be tried."""
        from diadem.workers.executors import run_agenda

        total, done = sum(copy.bytes for copy in todo), 0
        most = min(_MOST_BYTES, total // (_SHARES * workers.width) + 1)
        count = min(_MOST_COPIES, len(todo) // (_SHARES * workers.width) + 1)
        shares = [[todo[at] for at in share] for share in bundles((one.bytes for one in todo), most=most, count=count)]
        rate = self.pace.bytes_per_second / workers.width if self.pace is not None else None
        settings = self.context.settings.store(name)
        with ThreadPoolExecutor(workers.ahead, "diadem-share") as threads:

            def begin(number: int) -> Future[Sequence[CopyRead]]:
                share = [replace(one, level=self._level(one)) for one in shares[number]]
                return threads.submit(workers.prove, settings, share, rate=rate)

            ended = run_agenda(
                Agenda([0] * len(shares)),
                begin,
                ahead=workers.ahead,
                heed=self.job.check_cancelled,
                stop=workers.stop,
            )
            with closing(ended):
                for number, future in ended:
                    for copy, report, silence in self._answered(name, shares[number], future):
                        done += copy.bytes
                        self.listener(Progress("scrub", done, total, f"{name} {copy.replica.path}"))
                        yield copy, report, silence
                    if workers.broken:
                        raise workers.refusal()

    def _level(self, copy: CopyToRead) -> Level:
        return copy.level or PackageCopies(self.context, copy.package).usual_level()

    def _answered(
        self, name: str, share: Sequence[CopyToRead], future: Future[Sequence[CopyRead]]
    ) -> Generator[tuple[CopyToRead, Report | None, str]]:
        try:
            answers = future.result()
        except Unreachable as error:
            self.context.stores.require_there(name)
            yield from ((copy, None, error.message) for copy in share)
            return
        for copy, read in zip(share, answers, strict=True):
            if read.report is None or not read.report.ok:
                self.context.stores.require_there(name)
            yield copy, PackageCopies(self.context, copy.package).judged(copy.replica, read), read.silence

    # -- what was found --------------------------------------------------------------------------------------------

    def _note(self, copy: CopyToRead, report: Report) -> None:
        """Keep what was found of one copy: what is proven is stated later, with others; damage at once."""
        self.result.bytes += report.checked.get("bytes", 0)
        copies = PackageCopies(self.context, copy.package)
        if report.ok:
            if copy.replica.parity:
                self._check_parity(copies, copy.replica)
            self.result.proven += 1
            self.result.levels.add(str(report.level))
            self._proven.setdefault(str(report.level), []).append((copy, report))
        elif (
            now := copies.now(copy.replica)
        ) is not None and now.state != DROPPED:  # it may have been dropped meanwhile
            self.result.damaged.append(copies.note_damage(copy.replica, report))

    def _check_parity(self, copies: PackageCopies, replica: ReplicaState) -> None:
        """Parity that is damaged is worth nothing: it is forgotten, and `repair` writes it anew."""
        report = check_parity(self.context.stores.open(replica.store), copies.id)
        if report is None or not report.ok:
            catalogue = self.context.catalogue
            with catalogue.together():  # what others found of the copy meanwhile stays
                if (now := copies.now(replica)) is not None:
                    catalogue.set_replica(copies.id, now.store, now.path, state=now.state, parity=False)
            self.result.notes.append(
                f"the parity of {shown_id(copies.id)} in {replica.store} is damaged; repair writes it again"
            )

    def _state(self, name: str) -> None:
        """State what was proven, and is not known to be otherwise by now; then let it count."""
        proven, self._proven = self._proven, {}
        self._since = time.monotonic()
        for level, found in proven.items():
            still = [(copy.package, report) for copy, report in found if self._is_as_read(copy)]
            if not still:
                continue
            self.context.say([self._draft(name, level, some) for some in chunks(still, statements.CHECKED_TOGETHER)])

    def _draft(self, name: str, level: str, proven: Sequence[tuple[str, Report]]) -> Draft:
        """The statement of some packages whose copies in a store are proven."""
        packages, checked = [package for package, _ in proven], Counter[str]()
        for _, report in proven:
            checked.update(report.checked)
        return statements.fixity(
            packages,
            store=self.context.settings.stated_store(name),
            level=level,
            part="{}/{}".format(*self.part),
            proven=packages,
            checked={"packages": len(packages), **checked},
        )

    def _is_as_read(self, copy: CopyToRead) -> bool:
        """Whether what was read still counts: somebody may have found damage, or dropped or rewritten the copy."""
        now = PackageCopies(self.context, copy.package).now(copy.replica)
        if now is None or now.state not in (copy.replica.state, PRESENT):
            return False
        return now.written_at == copy.replica.written_at


def _is_fresh(replica: ReplicaState, now: datetime, interval: timedelta) -> bool:
    """Whether the last proof is within nine tenths of the interval; one from the future proves nothing.

    A task that reads each night what is due would else read a copy in the night after the rule has turned red.
    """
    return replica.proven and replica.proven_at is not None and -_DAY <= now - replica.proven_at <= interval * 0.9
