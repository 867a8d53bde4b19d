"""One watched folder: looked at, judged, archived session by session, remembered."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from diadem.errors import DiademError, NotFound
from diadem.model.plain_text import count_text
from diadem.model.ports import Listener
from diadem.model.times import read_time, time_text
from diadem.node.apart import HOLDS, IS, LIES_IN, lie, stores_of
from diadem.node.config import WatchSettings
from diadem.node.context import Context
from diadem.node.take.archive import ArchiveOptions
from diadem.node.take.folder_look import Look, examined
from diadem.node.take.quiet import Unfinished, judge
from diadem.node.watch.events import Events, WakeUp
from diadem.node.watch.memory import NO_ROOM, WAITING, Memory, Note, away_words, note_words
from diadem.node.watch.plan import Line, WatchPlan
from diadem.node.watch.report import Watched, unexpected
from diadem.node.watch.silence import BEFORE, StoreBackoff, held_by, is_of_stores, judged, wait_after
from diadem.node.watch.units import (
    Changed,
    Listing,
    Moment,
    Unit,
    UnitArchived,
    archive_unit,
    divided,
    list_units,
    look_at,
)
from diadem.store.disks import is_network_folder

#: Seconds after which everything is looked at although the system tells of changes: it may have forgotten one.
_SAFETY: Final = 600.0
#: A session is not looked at again before this many times as long as its last look took.
_SPACED: Final = 20.0
#: Least seconds between two looks at one session.
_LEAST: Final = 0.1
#: Of what is told, what is another at each look.
_FIGURES: Final = re.compile(r"\d+ \w+|just now")
#: States that hold while the session is as it was.
_SETTLED: Final = ("archived", "left")
#: States that end when somebody edits the plan.
_HELD: Final = ("no", "later", "held")


@dataclass
class _Pace:
    """When a session is looked at again, by the steady clock."""

    due: float = float("-inf")
    earliest: float = float("-inf")


@dataclass
class FolderWatch:
    """A watched folder, for as long as a watcher lives.

    Attributes
    ----------
    context : Context
        The node.
    settings : WatchSettings
        What is wished of the folder.
    steady : callable
        The clock that nobody sets, in seconds.
    every : float
        Seconds between two looks where the system tells nothing.
    pause : StoreBackoff
        Shared by all folders of a node.
    bell : WakeUp or None
        Rung when the system tells of a change; None never listens.
    """

    context: Context
    settings: WatchSettings
    steady: Callable[[], float]
    every: float
    pause: StoreBackoff
    bell: WakeUp | None = None
    memory: Memory = field(init=False)
    _events: Events | None = None
    _again: float = float("-inf")
    _paces: dict[str, _Pace] = field(default_factory=dict)
    _said: dict[str, str] = field(default_factory=dict)
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
        """Look at what is due, and archive what is silent. Raises `Interrupted`."""
        self._own = is_network_folder(self.root) is None
        self._listen()
        moment = self.moment()
        listing = self._listed(moment)
        if listing is None:
            self.memory.write(now=True)
            yield from self._folder_news()
            return
        if self.settings.new_only and not self.memory.known:
            added = self.settings.added
            self._leave(listing, moment, before=read_time(added) if added else None)
        self._turn(listing, moment)
        yield from self._folder_news()
        for unit in listing.units.values():
            pace = self._paces.setdefault(unit.name, _Pace())
            if max(pace.due, pace.earliest) <= self.steady():
                yield from self._visit(unit, listing, plan, listener)
        self.memory.write()

    def baseline(self) -> None:
        """Take what lies there now for what was there before. Raises `NotFound`."""
        self._own = is_network_folder(self.root) is None
        moment = self.moment()
        try:
            listing = list_units(self.root, self.settings.depth, tuple(self.context.tools.readers), moment)
        except OSError as error:
            raise NotFound("the folder cannot be listed", where=str(self.root), next="Check the path.") from error
        self._leave(listing, moment)
        self.memory.write(now=True)

    def wait(self) -> float:
        """Seconds until something is due."""
        now = self.steady()
        dues = [max(pace.due, pace.earliest) for pace in self._paces.values()]
        return max(_LEAST, min([self.every, *(due - now for due in dues)]))

    def close(self) -> None:
        """Keep what is known, and listen no longer."""
        self.end()
        self.memory.write(now=True)

    def end(self) -> None:
        """Listen no longer."""
        if self._events is not None:
            self._events.end()
            self._events = None

    # -- the folder ------------------------------------------------------------------------------------------------

    def moment(self) -> Moment:
        """Now, by both clocks. Where they have moved apart, what was seen before no longer counts."""
        now, steady = self.context.clock(), self.steady()
        apart = now.timestamp() - steady
        if self._apart is not None and abs(apart - self._apart) > 5.0:  # a clock was set, or the machine slept
            self.memory.notes = {name: replace(note, look=None) for name, note in self.memory.notes.items()}
            self._paces.clear()
        self._apart = apart
        return Moment(now, steady, self._own)

    def _listen(self) -> None:
        """Begin to listen where nobody does, and note what the system told."""
        if self.bell is None:  # one look
            return
        if self.settings.poll:
            self.memory.how = "checked at intervals, as asked"
            return
        if self._events is None and self.steady() >= self._again:
            self._again = self.steady() + _SAFETY
            events = Events(self.root, self.bell)
            why = events.begin()
            self.memory.how = f"checked at intervals: {why}" if why else "the system reports changes"
            self._events = None if why else events
        if self._events is not None:
            if self._events.begun():  # what changed between the look before and now is not told
                for pace in self._paces.values():
                    pace.due = float("-inf")
            for path in self._events.taken():
                self._mark(path)
            if why := self._events.failure:
                self.memory.how = f"checked at intervals: {why}"
                self.end()
                self._paces.clear()

    def _mark(self, path: str) -> None:
        """Note that something has changed at a path."""
        name = "/".join(path.split("/")[: self.settings.depth])
        for one in {name, path}:
            if one in self._paces:
                self._paces[one].due = float("-inf")

    def _listed(self, moment: Moment) -> Listing | None:
        """What lies in the folder; None where it is not there, or nothing of it may be archived."""
        memory = self.memory
        memory.problem = problem_of(self.context, self.root)
        if memory.problem:
            return None
        try:
            listing = list_units(self.root, self.settings.depth, tuple(self.context.tools.readers), moment)
        except OSError:
            listing = Listing()
        if not listing.units and (memory.notes or not self.root.is_dir()):
            memory.away = memory.away or time_text(moment.now)
            self.end()  # what listened to a disk that has gone hears nothing of the one that comes back
            self._again = float("-inf")
            self._paces.clear()
            memory.notes = {name: replace(note, look=None) for name, note in memory.notes.items()}
            return None
        memory.away = ""
        return listing

    def _turn(self, listing: Listing, moment: Moment) -> None:
        """Let what is loose be looked at where it has changed: its look costs nothing."""
        self.memory.keep_only(listing.units)
        self.memory.aside = dict(listing.aside)
        self._paces = {name: pace for name, pace in self._paces.items() if name in listing.units}
        for name, seen in listing.looks.items():
            note = self.memory.notes.get(name)
            if note is not None and seen.digest not in (note.digest, note.look.digest if note.look else ""):
                self._paces.setdefault(name, _Pace()).due = moment.steady

    def _leave(self, listing: Listing, moment: Moment, *, before: datetime.datetime | None = None) -> None:
        """Leave what is there; where memory was lost, what is there since `before` is taken."""
        for unit in listing.units.values():
            try:
                seen = look_at(unit, listing, moment)
            except NotFound:
                continue
            if before is not None and seen.age(seen.newest_ns) < moment.now - before:
                continue
            size = sum(one.size for one in seen.files.values())
            self.memory.notes[unit.name] = Note("left", BEFORE, len(seen.files), size, digest=seen.digest)
        self.memory.known = True

    def _folder_news(self) -> Iterator[Watched]:
        memory = self.memory
        if memory.problem:
            told = Watched(self.settings.folder, "", "refused", memory.problem)
        elif memory.away:
            told = Watched(self.settings.folder, "", "away", away_words(memory))
        else:
            told = Watched(self.settings.folder, "", "there", memory.how)
        if self._is_news(told) and (told.state != "there" or self.bell is not None):
            yield told

    def _is_news(self, told: Watched, words: str | None = None) -> bool:
        """Whether something else is to be told than the last time; `words` are those that change with time no more."""
        said = f"{told.state} {_FIGURES.sub('', told.words if words is None else words)}"
        is_new = bool(told.archived) or self._said.get(told.session) != said
        self._said[told.session] = said
        return is_new

    # -- one session -----------------------------------------------------------------------------------------------

    def _visit(self, unit: Unit, listing: Listing, plan: WatchPlan, listener: Listener) -> Iterator[Watched]:
        """Look at a session, note what was seen, and archive it where it is silent."""
        before = self.memory.notes.get(unit.name, Note())
        try:
            yield from self._looked(unit, before, listing, plan, listener)
        except Exception as failure:  # one session stops no other, whatever is wrong with it
            error = failure if isinstance(failure, DiademError) else unexpected(failure)
            if error.exit_code == 6:
                raise
            now = self.steady()
            self._paces[unit.name] = _Pace(now + wait_after(error, before.failures + 1), now)
            waits = before.waits or time_text(self.context.clock())
            note = replace(before, state="failed", words=error.message, failures=before.failures + 1, waits=waits)
            self.memory.notes[unit.name] = note
            told = Watched(self.settings.folder, unit.name, note.state, note.words, note.files, note.bytes, (), error)
            if self._is_news(told):
                yield told

    def _looked(
        self, unit: Unit, before: Note, listing: Listing, plan: WatchPlan, listener: Listener
    ) -> Iterator[Watched]:
        moment = self.moment()
        try:
            seen = look_at(unit, listing, moment)
        except NotFound:  # it has gone a moment ago
            self._paces.pop(unit.name, None)
            return
        line = plan.line(unit.path)
        quiet = line.wait or self.context.policy.archive.quiet
        note, wait = judged(
            before,
            seen,
            line,
            plan,
            session=str(unit.path),
            quiet=quiet,
            under=self._under(line),
            examine=lambda one: examined(one, tuple(self.context.tools.readers)),
        )
        note = replace(note, waits=(before.waits or time_text(moment.now)) if note.state in WAITING else "")
        self.memory.notes[unit.name] = note
        self._next(unit, note, wait, moment)
        if wait is not None and not wait:
            yield from self._archive(unit, seen, note, line, listener)
            return
        told = self._told(unit, note)
        if note.state not in _SETTLED and self._is_news(told, note.words):
            yield told

    def _under(self, line: Line) -> str:
        """What is to be another before what was refused is tried at once."""
        return f"{line.mark}|{','.join(self.context.policy.metadata.required)}|{','.join(self.settings.set)}"

    def _next(self, unit: Unit, note: Note, wait: datetime.timedelta | None, moment: Moment) -> None:
        """When it is looked at again."""
        now = self.steady()
        due = now + (_SAFETY if self._events is not None else self.every)
        if wait is not None:
            due = min(due, moment.steady + wait.total_seconds())
        if note.state in _HELD or note.again:
            due = min(due, now + self.every)
        self._paces[unit.name] = _Pace(due, now + max(_LEAST, _SPACED * (now - moment.steady)))

    def _told(self, unit: Unit, note: Note) -> Watched:
        words = note_words(note, self.context.clock())
        return Watched(self.settings.folder, unit.name, note.state, words, note.files, note.bytes)

    def _archive(self, unit: Unit, seen: Look, note: Note, line: Line, listener: Listener) -> Iterator[Watched]:
        if self.pause.holds(note.bytes, self.steady()):
            self.memory.notes[unit.name] = replace(note, words=f"{NO_ROOM}: {self.pause.words}")
            self._paces[unit.name].due = max(self.pause.until, self.steady() + _LEAST)
            told = self._told(unit, self.memory.notes[unit.name])
            if self._is_news(told, self.memory.notes[unit.name].words):
                yield told
            return
        self.memory.notes[unit.name] = replace(note, state="archiving", words="it is being archived")
        self.memory.write(now=True)
        self.memory.notes[unit.name] = note
        as_one = line.as_one if line.as_one is not None else note.as_one
        try:
            wishes = ArchiveOptions(line.stated(self.settings.set) or None, store=self.settings.store or None)
            taken = archive_unit(self.context, unit, seen, wishes, as_one=as_one, listener=listener)
            error = taken.error
        except DiademError as failure:
            if failure.exit_code == 6:
                raise
            taken, error = UnitArchived((), as_one=bool(note.as_one)), failure
        except Exception as failure:  # one session stops no other, whatever is wrong with it
            error = unexpected(failure)
            taken = UnitArchived((), as_one=bool(note.as_one))
        told = self._archived(unit, seen, note, line, taken, error)
        self.memory.write(now=True)
        yield told

    def _archived(
        self, unit: Unit, seen: Look, note: Note, line: Line, taken: UnitArchived, error: DiademError | None
    ) -> Watched:
        """Note what became of it."""
        packages = tuple(str(one) for archived in taken.archived for one in archived.held_by or [archived.package.id])
        now = self.context.clock()
        if isinstance(error, Changed):
            new = replace(note, look=None, words="")
            self._paces[unit.name] = _Pace()
        elif error is not None:
            failures = note.failures + 1
            wait = wait_after(error, failures)
            if is_of_stores(error):
                wait = self.pause.note(error, note.bytes, self.steady())
            again = now + datetime.timedelta(seconds=wait)
            new = replace(
                note, state="failed", words=error.message, failures=failures, again=time_text(again),
                under=self._under(line),
            )  # fmt: skip
        else:
            self.pause.end()
            new = replace(
                note, state="archived", words=taken.words, digest=seen.digest, packages=packages, look=None,
                as_one=taken.as_one, waits="", failures=0, again="", under="",
            )  # fmt: skip
        self.memory.notes[unit.name] = new
        told = Watched(
            self.settings.folder, unit.name, new.state, new.words or (error.message if error else ""), note.files,
            note.bytes, taken.archived, error,
        )  # fmt: skip
        self._is_news(told, new.words)
        return told


def problem_of(context: Context, folder: Path) -> str:
    """Why nothing of a folder may be archived: how it lies to the node or to a store. "" where it may."""
    for name, place in (("the node", context.folder), *stores_of(context)):
        how = lie(folder, place)
        if how in (IS, HOLDS, LIES_IN):
            return f"the folder {how} {name}"
    return ""


#: Sessions that are named.
_NAMED = 3


def dry_run(folder: FolderWatch, plan: WatchPlan, listener: Listener) -> Iterator[Watched]:
    """Each session that is not archived, and what is to come of it."""
    place = folder.settings.folder
    if problem := problem_of(folder.context, folder.root):
        yield Watched(place, "", "refused", problem)
        return
    moment = folder.moment()
    readers = tuple(folder.context.tools.readers)
    try:
        listing = list_units(folder.root, folder.settings.depth, readers, moment)
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
        known = folder.memory.notes.get(unit.name, Note())
        line = plan.line(unit.path)
        if known.packages and known.digest == seen.digest:
            continue
        state, words = _outlook(folder, unit, seen, known, line, plan, listener)
        yield Watched(place, unit.name, state, words, len(seen.files), sum(one.size for one in seen.files.values()))


def _outlook(
    folder: FolderWatch, unit: Unit, seen: Look, known: Note, line: Line, plan: WatchPlan, listener: Listener
) -> tuple[str, str]:
    """State and words of one session."""
    if (held := held_by(line, plan)) is not None:
        return held
    if not seen.files:
        return "empty", "there is no file in it"
    was_there = folder.settings.new_only and not folder.memory.known
    if (was_there or known.digest == seen.digest) and line.archive != "yes":
        return "left", BEFORE
    readers = tuple(folder.context.tools.readers)
    found = judge(None, examined(seen, readers), line.wait or folder.context.policy.archive.quiet)
    if isinstance(found, Unfinished):
        return "waiting", found.told(str(unit.path))
    as_one = line.as_one if line.as_one is not None else known.as_one
    try:
        sessions = divided(folder.context, unit, as_one=as_one, listener=listener)
    except DiademError as error:
        return "failed", error.message
    named = ", ".join(session.title for session in sessions[:_NAMED]) + (", …" if len(sessions) > _NAMED else "")
    return "would archive", f"as {count_text(len(sessions), 'session')}: {named}" if sessions else "as one session"
