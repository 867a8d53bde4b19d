"""A folder of sessions: looked at, judged, archived session by session once each is silent, remembered.

`FolderWatch` is the folder of an instrument; `hand_in.HandInFolder` is the `incoming/` folder of a store, which is
watched in the same way. They differ in what counts as a session, what is noted of it, and what a person is told.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Final

from diadem.errors import DiademError, NotFound, StoreError, Unreachable, machine_error
from diadem.model.plain_text import count_text
from diadem.model.ports import Listener
from diadem.model.times import read_time, time_text
from diadem.node.config import WatchSettings
from diadem.node.context import Context
from diadem.node.separation import HOLDS, IS, LIES_IN, relation_of, stores_of
from diadem.node.take.archive import ArchiveOptions
from diadem.node.take.arrival import Archived, stores_in_order
from diadem.node.take.folder_look import Look, Moment
from diadem.node.take.quiet import Finished, Unfinished
from diadem.node.watch.events import Events, WakeUp
from diadem.node.watch.memory import NO_ROOM, WAITING, Memory, Note, StoreBackoff, wait_after
from diadem.node.watch.plan import Line, WatchPlan
from diadem.node.watch.report import News, Watched
from diadem.node.watch.units import (
    Changed,
    Listing,
    Unit,
    UnitArchived,
    archive_unit,
    list_units,
    look_at,
    sessions_in,
)
from diadem.store.disks import is_network_folder

#: Seconds after which everything is looked at although the system tells of changes: it may have forgotten one.
_SAFETY: Final = 600.0
#: A session is not looked at again before this many times as long as its last look took.
_SPACED: Final = 20.0
#: Least seconds between two looks at one session.
_LEAST: Final = 0.1
#: Sessions that a dry run names.
_NAMED: Final = 3
#: Said of what lay there when the folder was added with `new_only`.
BEFORE: Final = "it was there before"
#: States that end when somebody edits the plan.
_HELD: Final = ("no", "later", "held")


@dataclass
class _Pace:
    """When a session is looked at again, by the steady clock."""

    due: float = float("-inf")
    earliest: float = float("-inf")


@dataclass
class FolderWatch:
    """A watched folder, for as long as a watcher lives."""

    context: Context
    settings: WatchSettings
    #: The clock that nobody sets, in seconds.
    steady: Callable[[], float] = time.monotonic
    #: Seconds between two looks where the system tells nothing.
    every: float = 60.0
    #: Shared by all folders of a node.
    backoff: StoreBackoff = field(default_factory=StoreBackoff)
    #: Rung when the system tells of a change; None never listens.
    bell: WakeUp | None = None
    memory: Memory = field(init=False)
    #: Whether each session is one package; None where a scan says it.
    as_one: ClassVar[bool | None] = None
    #: States that hold while the session is as it was, of which nothing is told.
    settled: ClassVar[Sequence[str]] = ("archived", "left")
    _events: Events | None = None
    _listen_again: float = float("-inf")
    _paces: dict[str, _Pace] = field(default_factory=dict)
    #: What failed before, in the listing of this round.
    _put_off: tuple[Sequence[Unit], Listing] | None = None
    #: Why what is known cannot be kept; "" where it can.
    _unwritten: str = ""
    _news: News = field(default_factory=News)
    _apart: float | None = None
    _own: bool = True

    def __post_init__(self) -> None:
        """Remember."""
        self.memory = Memory.read(self.context.folder, self.settings.folder)

    @property
    def root(self) -> Path:
        """The folder."""
        return Path(self.settings.folder)

    def round(self, plan: WatchPlan, listener: Listener) -> Iterator[Watched]:
        """Look at what is due, and archive what is silent; `retry` what failed before. Raises `Interrupted`."""
        self._put_off = None
        self._own = is_network_folder(self.root) is None
        self._listen()
        moment, memory = self._moment(), self.memory
        listing = self._listed(moment)
        if listing is None:
            self.rest()
            self._remember(now=True)
            yield from self._folder_news()
            return
        if self.settings.new_only and not memory.known:
            added = self.settings.added
            self._leave(listing, moment, before=read_time(added) if added else None)
        memory.keep_only(listing.units)
        memory.aside = dict(listing.aside)
        self._paces = {name: self._paces.get(name) or _Pace() for name in listing.units}
        for name, seen in listing.looks.items():  # what is loose and has changed: its look costs nothing
            note = memory.notes.get(name)
            if note is not None and seen.digest not in (note.digest, note.look.digest if note.look else ""):
                self._paces[name].due = moment.steady
        yield from self._folder_news()
        failed = {name for name, note in memory.notes.items() if note.failures}
        self._put_off = [unit for name, unit in listing.units.items() if name in failed], listing
        others = [unit for name, unit in listing.units.items() if name not in failed]
        yield from self._visits(others, listing, plan, listener)
        self._remember()
        yield from self._folder_news()

    def retry(self, plan: WatchPlan, listener: Listener) -> Iterator[Watched]:
        """Look at what failed before, once everything else was looked at: it may fail for all that come after it."""
        (units, listing), self._put_off = self._put_off or ((), Listing()), None
        if units:
            yield from self._visits(units, listing, plan, listener)
            self._remember()
            yield from self._folder_news()

    def _visits(
        self, units: Sequence[Unit], listing: Listing, plan: WatchPlan, listener: Listener
    ) -> Iterator[Watched]:
        for unit in units:
            pace = self._paces.setdefault(unit.name, _Pace())
            if max(pace.due, pace.earliest) <= self.steady():
                yield from self._visit(unit, listing, plan, listener)

    def baseline(self) -> None:
        """Take what lies there now for what was there before. Raises `NotFound`."""
        self._own = is_network_folder(self.root) is None
        moment = self._moment()
        try:
            listing = self._list(moment)
        except OSError as error:
            raise NotFound("the folder cannot be listed", where=str(self.root), next="Check the path.") from error
        self._leave(listing, moment)
        self.memory.write(now=True)

    def rest(self) -> None:
        """Nothing of it is due while it cannot be seen; all of it is once it can."""
        self._paces.clear()

    def wait(self) -> float:
        """Seconds until something is due."""
        now = self.steady()
        dues = [max(pace.due, pace.earliest) for pace in self._paces.values()]
        return max(_LEAST, min([self.every, *(due - now for due in dues)]))

    def is_due(self) -> bool:
        """Whether something is to be looked at now."""
        return bool(self._paces) and self.wait() <= _LEAST

    def close(self) -> None:
        """Keep what is known, and listen no longer."""
        self.end()
        self._remember(now=True)

    def end(self) -> None:
        """Listen no longer."""
        if self._events is not None:
            self._events.end()
            self._events = None

    # -- the folder ------------------------------------------------------------------------------------------------

    def _moment(self) -> Moment:
        """Now, by both clocks. Where they have moved apart, what was seen before no longer counts."""
        now, steady = self.context.clock(), self.steady()
        apart = now.timestamp() - steady
        if self._apart is not None and abs(apart - self._apart) > 5.0:  # a clock was set, or the machine slept
            self.memory.forget_looks()
            self._paces.clear()
        self._apart = apart
        return Moment(now, steady, self._own)

    def _list(self, moment: Moment) -> Listing:
        return list_units(self.root, self.settings.depth, tuple(self.context.tools.readers), moment)

    def _listen(self) -> None:
        """Begin to listen where nobody does, and note what the system told."""
        if self.bell is None:  # one look
            return
        if self.settings.poll:
            self.memory.how = "checked at intervals, as asked"
            return
        if self._events is None and self.steady() >= self._listen_again:
            self._listen_again = self.steady() + _SAFETY
            events = Events(self.root, self.bell)
            why = events.begin()
            self.memory.how = f"checked at intervals: {why}" if why else "the system reports changes"
            self._events = None if why else events
        if self._events is not None:
            changed = self._events.taken()
            names = {"/".join(path.split("/")[: self.settings.depth]) for path in changed} | changed
            begun = self._events.begun()  # what changed between the look before and now is not told
            for name, pace in self._paces.items():
                if begun or name in names:
                    pace.due = float("-inf")
            if why := self._events.failure:
                self.memory.how = f"checked at intervals: {why}"
                self.end()
                self._paces.clear()

    def _listed(self, moment: Moment) -> Listing | None:
        """What lies in the folder; None where it is not there, or nothing of it may be archived."""
        memory = self.memory
        memory.problem = problem_of(self.context, self.root)
        if memory.problem:
            return None
        try:
            listing = self._list(moment)
        except OSError:
            listing = Listing()
        if not listing.units and (memory.notes or not self.root.is_dir()):
            memory.away = memory.away or time_text(moment.now)
            self.end()  # what listened to a disk that has gone hears nothing of the one that comes back
            self._listen_again = float("-inf")
            memory.forget_looks()
            return None
        memory.away = ""
        return listing

    def _leave(self, listing: Listing, moment: Moment, *, before: datetime.datetime | None = None) -> None:
        """Leave what is there; where memory was lost, what is there since `before` is taken."""
        for unit in listing.units.values():
            try:
                seen = look_at(unit, listing, moment)
            except NotFound:
                continue
            if before is not None and seen.age(seen.newest_ns) < moment.now - before:
                continue
            self.memory.notes[unit.name] = Note("left", BEFORE, len(seen.files), seen.bytes, digest=seen.digest)
        self.memory.known = True

    def _remember(self, *, now: bool = False) -> bool:
        """Keep what is known, and whether that was possible: a disk that is full ends no watcher."""
        try:
            self.memory.write(now=now)
        except StoreError as error:
            self._unwritten = f"what is known of it cannot be kept, and all is looked at anew later: {error.message}"
            return False
        self._unwritten = ""
        return True

    def _folder_news(self) -> Iterator[Watched]:
        state, words = self.memory.folder_state()
        if state == "there" and self._unwritten:
            state, words = "failed", self._unwritten
        if self._news.is_new("", f"{state} {words}") and (state != "there" or self.bell is not None):
            yield Watched(self.settings.folder, "", state, words)

    # -- one session -----------------------------------------------------------------------------------------------

    def _visit(self, unit: Unit, listing: Listing, plan: WatchPlan, listener: Listener) -> Iterator[Watched]:
        """Look at a session, note what was seen, and archive it where it is silent."""
        before = self.memory.notes.get(unit.name, Note(as_one=self.as_one))
        try:
            yield from self._looked(unit, before, listing, plan, listener)
        except Exception as failure:  # one session stops no other, whatever is wrong with it
            error = _error_of(failure)
            now = self.steady()
            self._paces[unit.name] = _Pace(now + wait_after(error, before.failures + 1), now)
            waits = before.waits or time_text(self.context.clock())
            note = replace(before, state="failed", words=error.message, failures=before.failures + 1, waits=waits)
            self.memory.notes[unit.name] = note
            if self._news.is_new(unit.name, f"failed {note.words}"):
                yield self._told(unit, note, note.words, error=error)

    def _looked(
        self, unit: Unit, before: Note, listing: Listing, plan: WatchPlan, listener: Listener
    ) -> Iterator[Watched]:
        moment = self._moment()
        try:
            seen = look_at(unit, listing, moment)
        except NotFound:  # it has gone a moment ago
            self._paces.pop(unit.name, None)
            return
        line = plan.line(unit.path)
        note, verdict = self._judged(unit, before, seen, line, held=plan.hold(line))
        note = replace(note, waits=(before.waits or time_text(moment.now)) if note.state in WAITING else "")
        self.memory.notes[unit.name] = note
        now = self.steady()
        due = now + (_SAFETY if self._events is not None else self.every)
        if isinstance(verdict, Unfinished):
            due = min(due, moment.steady + (verdict.wait.total_seconds() or _LEAST))
        if note.state in _HELD or note.again:
            due = min(due, now + self.every)
        self._paces[unit.name] = _Pace(due, now + max(_LEAST, _SPACED * (now - moment.steady)))
        if isinstance(verdict, Finished):
            self._paces[unit.name].due = moment.steady
            if not self.backoff.holds(note.bytes, now):
                yield self._archive(unit, seen, note, line, listener)
                return
            note = self.memory.notes[unit.name] = replace(note, words=f"{NO_ROOM}: {self.backoff.words}")
            self._paces[unit.name].due = max(self.backoff.until, now + _LEAST)
        if note.state not in self.settled and self._news.is_new(unit.name, f"{note.state} {note.words}"):
            yield self._told(unit, note, note.told(self.context.clock()))

    def _judged(
        self,
        unit: Unit,
        before: Note,
        seen: Look,
        line: Line,
        *,
        held: tuple[str, str] | None,
        watched: bool = True,
    ) -> tuple[Note, Finished | Unfinished | None]:
        """What is to be noted of a session, and whether it is finished; None where that does not matter now.

        `held` is why the plan holds it, state and words; of what is `watched` only looks count, see `judge`.
        """
        note = replace(before, files=len(seen.files), bytes=seen.bytes)
        if held is not None:
            return replace(note, state=held[0], words=held[1]), None
        if seen.files and seen.digest == before.digest:
            if before.packages:
                words = before.words if before.state == "archived" else ""
                return replace(note, state="archived", words=words, look=None), None
            if line.archive != "yes":
                return replace(note, state="left", words=BEFORE, look=None), None
        return before.judged(
            seen,
            line.wait or self.context.policy.archive.quiet,
            session=str(unit.path),
            watched=watched,
            under=self._under(line),
            readers=tuple(self.context.tools.readers),
        )

    def _under(self, line: Line) -> str:
        """What is to be another before what was refused is tried at once."""
        return f"{line.mark}|{','.join(self.context.policy.metadata.required)}|{','.join(self.settings.set)}"

    def _told(
        self,
        unit: Unit,
        note: Note,
        words: str,
        archived: Sequence[Archived] = (),
        error: DiademError | None = None,
    ) -> Watched:
        return Watched(self.settings.folder, unit.name, note.state, words, note.files, note.bytes, archived, error)

    def _archive(self, unit: Unit, seen: Look, note: Note, line: Line, listener: Listener) -> Watched:
        """Archive a session, and note what became of it."""
        notes = self.memory.notes
        notes[unit.name] = replace(note, state="archiving", words="it is being archived")
        self._remember(now=True)
        notes[unit.name] = note
        as_one = line.as_one if line.as_one is not None else note.as_one
        taken = UnitArchived((), as_one=bool(note.as_one))
        error: DiademError | None
        try:
            options = ArchiveOptions(line.stated(self.settings.set) or None, store=self.settings.store or None)
            taken = archive_unit(self.context, unit, seen, options, as_one=as_one, listener=listener)
            error = taken.error
        except Exception as failure:  # one session stops no other, whatever is wrong with it
            error = _error_of(failure)
        if isinstance(error, Changed):
            note = replace(note, look=None, words="")
            self._paces[unit.name] = _Pace()
        elif error is not None:
            failures = note.failures + 1
            wait: float | None = None
            if isinstance(error, StoreError | Unreachable):  # where it is the store, others will fail alike
                names = stores_in_order(self.context, self.settings.store or None)
                away = not any(self.context.stores.reachable(name) for name in names)
                wait = self.backoff.note(error, str(unit.path), note.bytes, self.steady(), away=away)
            if wait is None:
                wait = wait_after(error, failures)
            again = time_text(self.context.clock() + datetime.timedelta(seconds=wait))
            note = replace(
                note, state="failed", words=error.message, failures=failures, again=again, under=self._under(line)
            )
        else:
            self.backoff.end()
            note = self._archived(note, seen, taken)
        notes[unit.name] = note
        self._news.is_new(unit.name, f"{note.state} {note.words}")
        self._remember(now=True)
        return self._told(unit, note, note.words or (error.message if error else ""), taken.archived, error)

    def _archived(self, note: Note, seen: Look, taken: UnitArchived) -> Note:
        """What is noted of a session that was archived."""
        packages = tuple(str(one) for done in taken.archived for one in done.held_by or [done.package.id])
        return replace(
            note, state="archived", words=taken.words, digest=seen.digest, packages=packages, look=None,
            as_one=taken.as_one, waits="", failures=0, again="", under="",
        )  # fmt: skip

    # -- what would be done ----------------------------------------------------------------------------------------

    def dry_run(self, plan: WatchPlan, listener: Listener) -> Iterator[Watched]:
        """Each session that is not archived, and what is to come of it. Nothing is written or has to be silent."""
        place = self.settings.folder
        if problem := problem_of(self.context, self.root):
            yield Watched(place, "", "refused", problem)
            return
        moment = self._moment()
        try:
            listing = self._list(moment)
        except OSError as error:
            yield Watched(place, "", "away", f"it cannot be listed: {error.strerror or error}")
            return
        for name, words in sorted(listing.aside.items()):
            yield Watched(place, name, "no", words)
        for unit in listing.units.values():
            try:
                seen = look_at(unit, listing, moment)
            except NotFound:
                continue
            known = self.memory.notes.get(unit.name, Note())
            if known.packages and known.digest == seen.digest:
                continue
            if self.settings.new_only and not self.memory.known:  # what is there now is what was there before
                known = Note(digest=seen.digest)
            line = plan.line(unit.path)
            anew = replace(known, look=None, again="")
            note, verdict = self._judged(unit, anew, seen, line, held=plan.hold(line), watched=False)
            state, words = note.state, note.words
            if isinstance(verdict, Finished):
                as_one = line.as_one if line.as_one is not None else known.as_one
                state, words = self._outlook(unit, as_one, listener)
            yield Watched(place, unit.name, state, words, len(seen.files), seen.bytes)

    def _outlook(self, unit: Unit, as_one: bool | None, listener: Listener) -> tuple[str, str]:
        """State and words of a session that is finished."""
        try:
            found = sessions_in(self.context, unit, as_one=as_one, listener=listener)
        except DiademError as error:
            return "failed", error.message
        sessions = [session for session in found if session.archive]
        named = ", ".join(session.title for session in sessions[:_NAMED]) + (", …" if len(sessions) > _NAMED else "")
        return "would archive", f"as {count_text(len(sessions), 'session')}: {named}" if sessions else "as one session"


def problem_of(context: Context, folder: Path) -> str:
    """Why nothing of a folder may be archived: how it lies to the node or to a store. "" where it may."""
    for name, place in (("the node", context.folder), *stores_of(context)):
        how = relation_of(folder, place)
        if how in (IS, HOLDS, LIES_IN):
            return f"the folder {how} {name}"
    return ""


def _error_of(failure: Exception) -> DiademError:
    """What is told of a session that failed, in whatever way. Raises where somebody stopped the work."""
    if isinstance(failure, DiademError):
        if failure.exit_code == 6:
            raise failure
        return failure
    told = machine_error(failure) if isinstance(failure, OSError) else None
    return told or DiademError(
        f"this should not have happened: {type(failure).__name__}: {failure}",
        next="Please report it. It is tried again; other sessions are archived as usual.",
    )
