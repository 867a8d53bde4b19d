"""`node.services`: what the operating system runs for a node is installed, looked at and removed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from diadem.errors import Refused, UsageError
from diadem.model.display import Display, DisplayList, FixedRows
from diadem.model.plain_text import count_text, first_of, quoted
from diadem.model.times import read_time
from diadem.node.context import Context
from diadem.node.jobs import JobState, jobs
from diadem.node.locks import SERVE_LOCK, held_if_free
from diadem.node.services.launchd import Launchd
from diadem.node.services.service import SERVICES, Service, ServiceFile, System, call, content, file_of, services_of
from diadem.node.services.systemd import Systemd
from diadem.node.services.task_scheduler import TaskScheduler
from diadem.node.watch.report import LastWatcher
from diadem.store.whole import make_folders, write_whole

#: How long after its last run nobody would say that a scrub or a repair is kept up by something else, such as cron.
_RECENT: Final = timedelta(days=8)
#: What is said of a service that should always run and does not; the same by hand, which shows why.
_ENDS: Final = "it was started as a service, and does not run"
_BY_HAND: Final = {"watch": "diadem watch", "serve": "diadem serve"}
#: Watched folders that a promise names.
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class ServiceState(Display):
    """One service of a node.

    Attributes
    ----------
    name : str
        ``watch``, ``serve``, ``scrub`` or ``repair``.
    files : sequence of ServiceFile
        What the system reads.
    started : bool or None
        Whether the system runs it, now or at its hour; None where it does not answer.
    words : str
        The same as the system says it, or why it could not be started.
    running : bool
        Whether it is at work now, whoever started it.
    last : str
        When it was at work last, whoever started it; UTC, "" for never or unknown.
    outcome : str
        How that ended: ``done``, ``failed: …``; "" where it runs, or nobody knows.
    commands : sequence of str
        What a person can type to start it where that did not work, or to end it.
    """

    _display_keys = ("name", "installed", "started", "running", "last", "outcome", "words")

    name: str
    files: Sequence[ServiceFile]
    started: bool | None = None
    words: str = ""
    running: bool = False
    last: str = ""
    outcome: str = ""
    commands: Sequence[str] = ()

    @property
    def installed(self) -> bool:
        """Whether all of its files are there and say what this node wants, or what a person made of them."""
        return all(one.state in ("installed", "outdated", "edited", "written", "unchanged") for one in self.files)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "name": self.name,
            "installed": self.installed,
            "files": [file.to_dict() for file in self.files],
            **{key: getattr(self, key) for key in ("started", "words", "running", "last", "outcome")},
            "commands": list(self.commands),
        }


@dataclass(frozen=True, slots=True)
class Promise(Display):
    """What is to be done for the node again and again: by which service, whether somebody does it, and why not."""

    service: str
    kept: bool
    words: str
    command: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class ServiceReport(Display):
    """The services of a node.

    Attributes
    ----------
    system : str
        ``systemd``, ``launchd`` or ``Task Scheduler``.
    services : sequence of ServiceState
        Each, or those that were named.
    promises : sequence of Promise
        What somebody has to do again and again, and whether somebody does.
    notes : sequence of str
        What a person should know beside.
    """

    system: str
    services: Sequence[ServiceState]
    promises: Sequence[Promise] = ()
    notes: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        """Whether every promise is kept, and what was to be started is."""
        return all(one.kept for one in self.promises) and not any(one.commands for one in self.services)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "ok": self.ok,
            "system": self.system,
            "services": [one.to_dict() for one in self.services],
            "promises": [one.to_dict() for one in self.promises],
            "notes": list(self.notes),
        }


def system_here() -> System:
    """What starts programs on this machine; systemd where nobody knows."""
    systems: dict[str, type[System]] = {"darwin": Launchd, "win32": TaskScheduler}
    return systems.get(sys.platform, Systemd)()


@dataclass(frozen=True, slots=True)
class ServiceVerbs(DisplayList):
    """What the operating system runs for a node: `node.services`.

    Parameters
    ----------
    context : Context
        The node.
    """

    _display_name = "services"

    context: Context

    def __iter__(self) -> Iterator[ServiceState]:
        """Each service."""
        return iter(self.status().services)

    def install(self, *names: str, replace: bool = False, dry_run: bool = False) -> ServiceReport:
        """Write the files with which the operating system runs services of this node, and start these.

        They belong to the account that calls; no administrator is needed. What is installed already stays as it is.

        Parameters
        ----------
        *names : str
            ``watch``, ``serve``, ``scrub``, ``repair``. Default: all but ``serve``, and that too where the node was
            served before.
        replace : bool
            Also in the place of a file that was edited, or that is somebody else's.
        dry_run : bool
            Show what would be written; write nothing.

        Raises
        ------
        Refused
            A file was edited, or is not of this node.
        UsageError
            There is no such service; a path cannot stand in its files.

        Examples
        --------
        >>> report = node.services.install("scrub", dry_run=True)  # doctest: +SKIP
        >>> print(report.services[0].files[0].text)  # doctest: +SKIP
        """
        system, chosen = system_here(), self._chosen(names)
        with self.context.locked("services"):
            found = {service.name: self._files(system, service) for service in chosen}
            for file in (file for files in found.values() for file in files):
                if file.state in ("edited", "foreign", "of another node") and not replace:
                    what = {"edited": "was edited", "foreign": "is not from DIADEM"}.get(file.state, f"is {file.state}")
                    raise Refused(
                        f"the file of a service {what}, and nothing was written",
                        where=str(file.path),
                        next=f"To write it anew: diadem service install {' '.join(names or found)} --replace",
                    )
            states = [self._installed(system, service, found[service.name], dry_run=dry_run) for service in chosen]
        return ServiceReport(system.name, FixedRows(states), (), system.notes())

    def status(self) -> ServiceReport:
        """What is installed and runs, how it ended last, and what nobody does of what this node needs."""
        system = system_here()
        states = []
        for service in services_of(self.context).values():
            state = ServiceState(service.name, FixedRows(self._files(system, service)))
            if not all(file.state == "missing" for file in state.files):
                started, words = system.state(service)
                state = replace(state, started=started, words=words)
                if state.installed and not started:
                    state = replace(state, commands=_typed(system.start_commands(service)))
            states.append(self._at_work(state))
        return ServiceReport(system.name, FixedRows(states), FixedRows(self._promises(states)), ())

    def remove(self, *names: str, edited: bool = False) -> ServiceReport:
        """End services, and remove their files; nothing that DIADEM has not written is touched.

        Parameters
        ----------
        *names : str
            Default: all.
        edited : bool
            Also files that were edited.

        Raises
        ------
        Refused
            A file was edited.
        UsageError
            There is no such service.
        """
        system, states = system_here(), []
        with self.context.locked("services"):
            found = [(service, self._files(system, service)) for service in self._chosen(names or (*SERVICES,))]
            for file in (file for _, files in found for file in files):
                if file.state == "edited" and not edited:
                    raise Refused(
                        "the file of a service was edited, and nothing was removed",
                        where=str(file.path),
                        next=f"Remove it as well: diadem service remove {' '.join(names)} --edited".replace("  ", " "),
                    )
            for service, files in found:
                ours = [file for file in files if file.state in ("installed", "outdated", "edited")]
                if ours:
                    states.append(_removed(system, service, files, ours))
        return ServiceReport(system.name, FixedRows(states))

    def _chosen(self, names: Sequence[str]) -> list[Service]:
        every = services_of(self.context)
        if unknown := [name for name in names if name not in every]:
            raise UsageError(f"there is no service '{unknown[0]}'", next=f"There are: {', '.join(every)}")
        was_served = bool(self.context.settings.server.listen)  # else it would open a port that nobody asked for
        wanted = names or [name for name in every if name != "serve" or was_served]
        return [service for name, service in every.items() if name in wanted]

    def _files(self, system: System, service: Service) -> list[ServiceFile]:
        return [file_of(system, service, path, text) for path, text in system.texts(service).items()]

    def _installed(
        self, system: System, service: Service, files: Sequence[ServiceFile], *, dry_run: bool
    ) -> ServiceState:
        new = [file for file in files if file.state != "installed"]
        if dry_run:
            told = [replace(file, state="would be written" if file in new else "unchanged") for file in files]
            return ServiceState(service.name, FixedRows(told), commands=_typed(system.start_commands(service)))
        started, words = system.state(service)
        if new and started:  # with what it says now
            for command in system.stop_commands(service):
                call(command)
        for file in new:
            make_folders(file.path.parent)
            write_whole(file.path, content(system, service, file.text))
        told = [replace(file, state="written" if file in new else "unchanged") for file in files]
        if new or not started:
            for command in system.start_commands(service):
                started, words = call(command)
                if not started:
                    return ServiceState(
                        service.name, FixedRows(told), False, words, commands=_typed(system.start_commands(service))
                    )
            words = system.state(service)[1]
        return ServiceState(service.name, FixedRows(told), True, words)

    def _at_work(self, state: ServiceState) -> ServiceState:
        """With what the node knows of it, whoever started it."""
        if state.name == "watch":
            watcher = LastWatcher.of(self.context)
            return replace(state, running=watcher.running, last=watcher.seen)
        if state.name == "serve":
            with held_if_free(self.context.folder, SERVE_LOCK) as free:
                return replace(state, running=not free)
        job = self._last(state.name)
        if job is None:
            return state
        outcome = "" if job.state == "running" else f"{job.state}: {job.message}".removesuffix(": ")
        return replace(state, running=job.state == "running", last=job.started, outcome=outcome)

    def _last(self, kind: str) -> JobState | None:
        return next((job for job in jobs(self.context.folder) if job.kind == kind), None)

    def _promises(self, states: Sequence[ServiceState]) -> Iterator[Promise]:
        settings, policy = self.context.settings, self.context.policy
        needed = {}
        if settings.watched:
            named = first_of([one.folder for one in settings.watched], _NAMED)
            needed["watch"] = f"{count_text(len(settings.watched), 'folder')} to be watched ({named})"
        if settings.server.listen:
            needed["serve"] = f"other nodes to be answered at {settings.server.listen}"
        if any(not store.retired for store in settings.stores):
            days = f"{policy.scrub.interval.days} days"
            needed["scrub"] = f"every copy to be read every {days}"
            needed["repair"] = "damaged and missing copies to be written again"
        unkept = {state.name: self._unkept(state) for state in states if state.name in needed}
        lacking = " ".join(name for name, (_, why) in unkept.items() if why and why != _ENDS)
        for name, (who, why) in unkept.items():
            command = _BY_HAND.get(name, "") if why == _ENDS else f"diadem service install {lacking}" if why else ""
            yield Promise(name, not why, f"{needed[name]}: {why or who}", command)

    def _unkept(self, state: ServiceState) -> tuple[str, str]:
        """Who does what a service does; and why nobody does, "" where somebody does."""
        if state.installed and state.started:
            return "a service", _ENDS if state.name in _BY_HAND and not state.running else ""
        if state.running:
            return "it runs, and was not started as a service", ""
        watch = state.name == "watch"
        longest = self.context.policy.watch.waiting if watch else _RECENT
        timed = not watch or LastWatcher.of(self.context).once  # as cron does it
        recent = state.last and self.context.clock() - read_time(state.last) <= longest
        if timed and recent and not state.outcome.startswith(("failed", "killed")):
            return "no service, but it was done lately", ""
        if not state.installed:
            return "", "nobody does that"
        return "", "installed, not started" if state.started is False else "installed, nobody knows whether started"


def _removed(
    system: System, service: Service, files: Sequence[ServiceFile], ours: Sequence[ServiceFile]
) -> ServiceState:
    started, words = system.state(service)
    commands: Sequence[str] = ()
    if started is not False:
        for command in system.stop_commands(service):
            ended, said = call(command)
            if not ended:
                words = said if started else words
                commands = _typed(system.stop_commands(service))
    for file in ours:
        file.path.unlink(missing_ok=True)
    system.forget(service)
    told = [replace(file, state="removed") if file in ours else file for file in files]
    return ServiceState(service.name, FixedRows(told), False if not commands else None, words, commands=commands)


def _typed(commands: Sequence[Sequence[str]]) -> list[str]:
    """Commands as a person types them."""
    return [" ".join(quoted(word) for word in command) for command in commands]
