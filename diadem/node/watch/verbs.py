"""The watched folders of a node: added, taken away, listed, watched; and the plan of exceptions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.errors import NotFound, Refused, UsageError
from diadem.model.display import Display, DisplayList, FixedRows
from diadem.model.plain_text import without_surrogates
from diadem.model.ports import Listener, silent
from diadem.model.times import read_time, time_text
from diadem.node.config import WatchSettings
from diadem.node.context import Context
from diadem.node.mirrors import PLAN_FILE, mirror_settings
from diadem.node.watch.memory import WAITING, Memory
from diadem.node.watch.report import FolderReport, LastWatcher, WatchReport, folder_report
from diadem.policy.case import WatchedFolder, WatchState
from diadem.store.whole import write_whole

if TYPE_CHECKING:
    from diadem.node.watch.hand_in import Handed
    from diadem.node.watch.plan import Line, WatchPlan
    from diadem.node.watch.report import Watched


#: Most folders between a watched one and its sessions.
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class PlanReport(Display):
    """The plan of exceptions, and where it lies.

    Attributes
    ----------
    path : Path
        The file that was written, or taken.
    taken : bool
        Whether a file was taken as the node's plan.
    plan : WatchPlan
        What it says, with every mistake.
    lines : int
        How many lines it has.
    """

    path: Path
    taken: bool
    plan: WatchPlan
    lines: int

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        mistakes = self.plan.to_dict()["mistakes"]
        return {"path": str(self.path), "taken": self.taken, "lines": self.lines, "mistakes": mistakes}


@dataclass(frozen=True, slots=True)
class WatchVerbs(DisplayList):
    """The watched folders of a node: `node.watched`.

    Parameters
    ----------
    context : Context
        The node.
    """

    _display_name = "watched folders"

    context: Context

    def __iter__(self) -> Iterator[FolderReport]:
        """Each watched folder."""
        return iter(self.ls())

    def ls(self) -> Sequence[FolderReport]:
        """Each watched folder: its options, and what waits."""
        report = self.report()
        return FixedRows(report.folders if report is not None else ())

    def add(
        self,
        folder: str | os.PathLike[str],
        *,
        store: str = "",
        set: Sequence[str] = (),  # noqa: A002
        new_only: bool = False,
        poll: bool = False,
        depth: int = 1,
    ) -> FolderReport:
        """Watch a folder from now on; a running watcher sees it at its next look. Add it again to change its options.

        Parameters
        ----------
        folder : path
            Where an instrument writes its sessions, each into a folder of its own.
        store : str
            Which store is filled first.
        set : sequence of str
            What is said of every session: ``instrument.name=Titan``.
        new_only : bool
            Skip what is there now, until it changes.
        poll : bool
            Look at intervals, even where the system reports changes.
        depth : int
            How many folders down the sessions are: 2 where each user has a folder.

        Raises
        ------
        NotFound
            There is no such folder or store.
        UsageError
            It is a file; a fact cannot be understood.
        Refused
            It holds the node or a store, lies in one, or lies in or above another watched folder.
        """
        from diadem.node.separation import relation_of
        from diadem.node.watch.folder import FolderWatch

        settings = self._checked(
            WatchSettings(
                str(Path(folder).absolute()), store, tuple(set), new_only, poll, depth, time_text(self.context.clock())
            )
        )
        with self.context.locked("watch-settings"):
            self.context.reread_settings()
            others = [one for one in self.context.settings.watched if one.folder != settings.folder]
            for other in others:
                if how := relation_of(Path(settings.folder), Path(other.folder)):
                    raise Refused(
                        f"the folder {how} the watched folder {other.folder}: its sessions would be archived twice",
                        where=settings.folder,
                        next=f"Remove the other one first: diadem watch rm {other.folder}",
                    )
            if new_only and len(others) == len(self.context.settings.watched):  # it was not watched before
                FolderWatch(self.context, settings).baseline()
            self.context.change_settings(
                lambda current: replace(
                    current,
                    watched=(*(one for one in current.watched if one.folder != settings.folder), settings),
                )
            )
        mirror_settings(self.context)
        return folder_report(self.context, settings)

    def rm(self, folder: str | os.PathLike[str]) -> WatchSettings:
        """Stop watching a folder. Its files and packages stay.

        Raises
        ------
        NotFound
            It is not watched.
        """
        place = str(Path(folder).absolute())
        watched = {one.folder: one for one in self.context.settings.watched}
        if place not in watched:
            known = ", ".join(watched) or "none"
            raise NotFound(
                "this folder is not watched",
                where=place,
                next=f"Watched folders: {known}. Add it: diadem watch add FOLDER",
            )
        self.context.change_settings(
            lambda current: replace(current, watched=tuple(one for one in current.watched if one.folder != place))
        )
        mirror_settings(self.context)
        Memory.read(self.context.folder, place).forget()
        return watched[place]

    def run(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        once: bool = False,
        every: float = 60.0,
        store: str = "",
        set: Sequence[str] = (),  # noqa: A002
        new_only: bool = False,
        poll: bool = False,
        depth: int = 1,
        dry_run: bool = False,
        listener: Listener = silent,
    ) -> Iterator[Handed | Watched]:
        """Watch; see `Node.watch`."""
        from diadem.node.watch.folder import FolderWatch
        from diadem.node.watch.watcher import watch

        place = "" if folder is None else str(Path(folder).absolute())
        alone = self._alone(WatchSettings(place, store or "", tuple(set or ()), new_only, poll, depth))
        if not dry_run:
            return watch(self.context, folder=alone, once=once, every=every, listener=listener)
        plan, folders = self._plan(), [alone] if alone is not None else self.context.settings.watched
        return (told for one in folders for told in FolderWatch(self.context, one).dry_run(plan, listener))

    def plan(self, file: str | os.PathLike[str] | None = None) -> PlanReport:
        """The plan of exceptions: written for a person to edit, or taken as a person has edited it.

        Parameters
        ----------
        file : path, optional
            A CSV. One that is there is taken as the node's plan; one that is not is written, with a line for each
            session that is not archived. Default: the node's own, to which lines are added.

        Raises
        ------
        DocumentError
            It cannot be read as a whole.
        """
        from diadem.node.watch.plan import WatchPlan, plan_bytes, require_plan

        own = self.context.folder / PLAN_FILE
        if file is not None and Path(file).exists():
            plan = require_plan(Path(file))
            own.parent.mkdir(exist_ok=True)
            write_whole(own, Path(file).read_bytes())
            return PlanReport(Path(file), taken=True, plan=plan, lines=len(plan.lines))
        plan = require_plan(own) if own.exists() else WatchPlan()
        target = Path(file) if file is not None else own
        if plan.mistakes:  # written anew, a line would say what was understood of it
            return PlanReport(own, taken=False, plan=plan, lines=len(plan.lines))
        lines = list(self._lines(plan))
        target.parent.mkdir(exist_ok=True)
        write_whole(target, plan_bytes(lines))
        return PlanReport(target, taken=False, plan=plan, lines=len(lines))

    def report(self) -> WatchReport | None:
        """Whether a watcher lives, and what it waits for; None where the node is read from another PC."""
        if not self.context.writable:
            return None
        last, wanted = LastWatcher.of(self.context), list(self.context.settings.watched)
        if last.running and last.folder and last.folder not in {one.folder for one in wanted}:
            wanted.append(WatchSettings(last.folder))
        return WatchReport(
            last.running,
            last.process,
            last.since if last.running else last.seen,
            [folder_report(self.context, one, running=last.running) for one in wanted],
            self._plan(),
        )

    def state(self) -> WatchState:
        """What the policy asks of the watched folders: who watches, what is not there, what waits since when."""
        context = self.context
        if not context.writable:
            return WatchState()
        last, now, folders = LastWatcher.of(context), context.clock(), []
        for folder in (one.folder for one in context.settings.watched):
            memory = Memory.read(context.folder, folder)
            waiting = tuple(
                (name, read_time(note.waits), note.told(now))
                for name, note in sorted(memory.notes.items())
                if note.waits and note.state in WAITING
            )
            away = read_time(memory.away) if memory.away else None
            is_looked_into = last.folder in ("", folder)
            folders.append(WatchedFolder(without_surrogates(folder), is_looked_into, away, memory.problem, waiting))
        seen = read_time(last.seen) if last.seen else None
        return WatchState(running=last.running, once=last.once, seen=seen, folders=tuple(folders))

    def _checked(self, settings: WatchSettings) -> WatchSettings:
        """Raise where a folder cannot be watched like this; see `add`. Nothing is kept."""
        from diadem.node.watch.folder import problem_of
        from diadem.serialization.metadata_pairs import metadata_from_pairs

        place = Path(settings.folder)
        if not place.exists():
            raise NotFound("there is no such folder", where=str(place), next="Check the path.")
        if not place.is_dir():
            raise UsageError("this is a file, not a folder", where=str(place), next="Name the folder that it is in.")
        if settings.store:
            self.context.settings.store(settings.store)
        if not 1 <= settings.depth <= _DEEPEST:
            raise UsageError(
                f"{settings.depth} is not a depth", next=f"Use 1 to {_DEEPEST}: how many folders down sessions are."
            )
        metadata_from_pairs(settings.set)
        if problem := problem_of(self.context, place):
            raise Refused(
                f"{problem}: it would be archived in itself",
                where=str(place),
                next="Watch the folder in which an instrument writes; what is handed in is watched anyway.",
            )
        return settings

    def _alone(self, wished: WatchSettings) -> WatchSettings | None:
        """The settings of one folder that is to be watched alone: its own where it is kept; None for no folder."""
        has_options = wished != WatchSettings(wished.folder)
        if not wished.folder:
            if has_options:
                raise UsageError("these options are for one folder", next="Name it: diadem watch FOLDER")
            return None
        kept = next((one for one in self.context.settings.watched if one.folder == wished.folder), None)
        if kept is not None and has_options:
            raise UsageError(
                "this folder has options of its own", where=wished.folder, next="Change them: diadem watch add FOLDER"
            )
        self._checked(wished)
        return kept if kept is not None else wished

    def _plan(self) -> WatchPlan:
        from diadem.node.watch.plan import read_watch_plan

        return read_watch_plan(self.context.folder / PLAN_FILE)

    def _lines(self, plan: WatchPlan) -> Iterator[Line]:
        """What the plan says, and a line for each session that is not archived and of which it says nothing."""
        from diadem.node.watch.plan import Line

        said = {line.folder for line in plan.lines.values()}
        yield from plan.lines.values()
        for settings in self.context.settings.watched:
            for name, note in sorted(Memory.read(self.context.folder, settings.folder).notes.items()):
                place = str(Path(settings.folder) / name)
                if place not in said and note.state != "archived":
                    yield Line(0, place, state=note.state, why=note.told(self.context.clock()))
