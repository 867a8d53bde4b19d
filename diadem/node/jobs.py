"""Long jobs: each has a file that says what it is doing, an operating-system lock while it lives, and can be stopped.

::

    <node>/jobs/<started>-<kind>-<8 hex>.json     what, with which words, since when, how it ended; its time of change
                                                  is when it was heard of last
    <node>/jobs/<…>.lock                          held while its process lives
    <node>/jobs/<…>.stop                          a wish that it stops

A job that did not end and whose lock is free was killed; the next run with the same words goes on with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.errors import DiademError, Interrupted, NotFound, StoreError, UsageError
from diadem.model.display import Display
from diadem.model.ports import Listener, Progress
from diadem.model.times import read_time, time_text
from diadem.node.context import Context
from diadem.store.system import PATIENCE, FileLock, or_else, translated
from diadem.store.whole import write_whole

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from diadem.node.workers import Workers

#: Ended jobs whose files are kept.
_KEPT = 50
#: A job that began longer ago is begun anew, not gone on with: what it proved is not news any more.
_STALE = timedelta(days=30)
_KILLED = "its process ended without a word"
#: Seconds between two looks whether a job is to stop.
_LOOK = 0.5


@dataclass(frozen=True, slots=True)
class JobState(Display):
    """A job as its file says.

    Attributes
    ----------
    id : str
        Name of its file.
    kind, words : str
        ``scrub``, ``repair`` …, and what exactly.
    state : str
        ``running``, ``done``, ``failed``, ``stopped`` (by a person) or ``killed``.
    started, ended : str
        UTC; "" where it has not ended. Of one that was killed, when what it left was looked after.
    message : str
        Why it failed or stopped, or what of it failed.
    process : int
        Who is at it.
    user : str
        In whose name: ``alice``.
    source : str
        Of an archive, what its statements name as the source; "" where that is more than one thing.
    """

    _display_keys = (
        "kind",
        "state",
        "words",
        "started",
        "ended",
        "user",
        "message",
        "id",
    )

    id: str
    kind: str
    words: str
    state: str
    started: str
    ended: str = ""
    message: str = ""
    process: int = 0
    user: str = ""
    source: str = ""

    @property
    def resumable(self) -> bool:
        """Whether the next run with the same words goes on with it."""
        return self.state in ("killed", "stopped", "failed")

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "resumable": self.resumable}


class Job:
    """The job that this process is at."""

    def __init__(self, folder: Path, state: JobState, *, resumed: bool) -> None:
        self._folder = folder
        self.state = state
        self.resumed = resumed
        self._counted = 0
        self._failures: list[str] = []

    @property
    def started_at(self) -> datetime:
        """When it began, the first time."""
        return read_time(self.state.started)

    def count(self, failure: str = "") -> None:
        """Count one of many things that are done one after the other, and why it failed; "" where it did not."""
        self._counted += 1
        if failure:
            self._failures.append(failure)

    @property
    def outcome(self) -> tuple[str, str]:
        """How it ends where it goes through: its state, and what failed on the way."""
        if not self._failures:
            return "done", ""
        failed = len(self._failures)
        message = f"{failed:,} of {self._counted:,} failed: {self._failures[0]}"
        return "failed" if failed == self._counted else "done", message

    def check_cancelled(self) -> None:
        """Stop here if somebody wished so: raises `Interrupted`, and what was done is kept."""
        if self._is_unwanted():
            raise Interrupted(
                f"the job was stopped with: diadem jobs --stop {self.state.id}",
                next="Run the same command again: it resumes where it stopped.",
            )

    def _is_unwanted(self) -> bool:
        return os.path.lexists(self._folder / f"{self.state.id}.stop")  # which never raises, whatever the disk says

    def listening(self, listener: Listener) -> Listener:
        """A listener that passes everything on, and looks now and then whether the job is to stop.

        Where it is, `KeyboardInterrupt` is raised: everybody on the way up treats it as they treat Ctrl-C.
        """
        looked = time.monotonic()

        def tell(progress: Progress) -> None:
            nonlocal looked
            listener(progress)
            if (now := time.monotonic()) - looked > _LOOK:
                looked = now
                with contextlib.suppress(OSError):  # a sign of life
                    os.utime(self._folder / f"{self.state.id}.json")
                if self._is_unwanted():
                    raise KeyboardInterrupt

        return tell


@contextmanager
def working(context: Context, kind: str, words: str, *, source: str = "") -> Iterator[Job]:
    """Be at a long job: listed while it lasts, gone on with if the last one with these words did not end."""
    context.require_keys()
    folder = context.folder / "jobs"
    with translated(str(folder), "nothing was begun"):
        folder.mkdir(exist_ok=True)
        state, lock, resumed = _taken(context, folder, kind, words, source)
    job = Job(folder, state, resumed=resumed)
    try:
        yield job
    except Interrupted as error:
        _end(context, folder, state, "stopped", error.message)
        raise
    except GeneratorExit:  # whoever asked for results, one by one, wants no more
        _end(context, folder, state, "stopped", "")
        raise
    except KeyboardInterrupt as error:
        _end(context, folder, state, "stopped", "")
        raise Interrupted(
            f"the {kind} was stopped; what was done is kept",
            next="Run the same command again: it resumes where it stopped.",
        ) from error
    except BaseException as error:
        _end(context, folder, state, "failed", error.message if isinstance(error, DiademError) else repr(error))
        raise
    else:
        _end(context, folder, state, *job.outcome)
    finally:
        lock.remove()


def workers_for(
    context: Context, executor: Executor | None, *, stores: Iterable[str] | None = None, folders: Iterable[str] = ()
) -> Workers | None:
    """Workers on an executor that see the stores and folders of a run; None where there is no executor.

    They are looked at before anything is begun. Stores that do not answer this machine are not asked for; where none
    are named, all that are not retired are.

    Raises
    ------
    Unreachable, Refused
        See `Workers.look`.
    UsageError
        The node was opened without the means to work elsewhere.
    """
    if executor is None:
        return None
    from diadem.node.workers import Workers

    if context.tools.work is None:
        raise UsageError("this node cannot work on an executor", next="Open it with diadem.open_node.")
    workers = Workers(executor, context.tools.work)
    wanted = [one.name for one in context.settings.stores if not one.retired] if stores is None else list(stores)
    reached = [context.settings.store(name) for name in wanted if context.stores.reachable(name)]
    workers.look(reached, list(folders), context.tools.identity)
    return workers


def _taken(context: Context, folder: Path, kind: str, words: str, source: str) -> tuple[JobState, FileLock, bool]:
    """The job to be at, its lock held: the last one with these words where it did not end, else a new one."""
    with context.locked("jobs"):  # so that two that begin at once do not go on with the same one
        _forget_old(folder)
        last = next((job for job in _states(folder) if (job.kind, job.words) == (kind, words)), None)
        resumed = last is not None and last.resumable and context.clock() - read_time(last.started) < _STALE
        if last and resumed:
            state = replace(last, state="running", ended="", message="")
        else:
            now = time_text(context.clock())
            name = f"{now.replace(':', '').replace('-', '')}-{kind}-{uuid.uuid4().hex[:8]}"
            state = JobState(name, kind, words, "running", now)
        state = replace(state, process=os.getpid(), user=context.user, source=source)
        lock = FileLock(folder / f"{state.id}.lock")
        lock.acquire(wait=PATIENCE)
        with or_else(lock.remove):
            with contextlib.suppress(FileNotFoundError):
                (folder / f"{state.id}.stop").unlink()
            _write(folder, state)
    return state, lock, resumed


def jobs(folder: Path) -> list[JobState]:
    """Every job of the node in a folder, the newest first."""
    with translated(str(folder / "jobs"), "the jobs were not listed"):
        return _states(folder / "jobs")


def heard_of(context: Context, job: JobState) -> float:
    """When a job was heard of last, in seconds since 1970; when it began where its file is gone."""
    with contextlib.suppress(OSError):
        return (context.folder / "jobs" / f"{job.id}.json").stat().st_mtime
    return read_time(job.started).timestamp()


def looked_after(context: Context, job: JobState) -> None:
    """Note that what a killed job left was looked after; the next run with the same words still goes on with it."""
    with context.locked("jobs"), contextlib.suppress(DiademError, OSError):
        if _read(context.folder / "jobs" / f"{job.id}.json") == replace(job, state="running", message=""):
            _write(context.folder / "jobs", replace(job, ended=time_text(context.clock())))


def stop(context: Context, job_id: str) -> JobState:
    """Ask a running job to stop; it does so within a second or a file, and can be gone on with.

    Raises
    ------
    NotFound
        There is no such job running.
    """
    for job in jobs(context.folder):
        if job.id.startswith(job_id) and job.state == "running":
            wish = context.folder / "jobs" / f"{job.id}.stop"
            with translated(str(wish), "the job goes on"):
                wish.touch()
            return job
    raise NotFound(f"no job '{job_id}' is running", next="See: diadem jobs")


def _end(context: Context, folder: Path, state: JobState, how: str, message: str) -> None:
    """Note how a job ended. What it did is done, whatever becomes of the note: without one it counts as killed."""
    with contextlib.suppress(DiademError, OSError):
        _write(folder, replace(state, state=how, ended=time_text(context.clock()), message=message))
    with contextlib.suppress(OSError):
        (folder / f"{state.id}.stop").unlink()


def _write(folder: Path, state: JobState) -> None:
    document = {name: getattr(state, name) for name in state.__slots__}
    write_whole(folder / f"{state.id}.json", json.dumps(document, indent=1).encode())


def _states(folder: Path) -> list[JobState]:
    def age(path: Path) -> tuple[str, float]:
        """When a job began, to the second, and then which was heard of last."""
        with contextlib.suppress(OSError):
            return path.name.partition("-")[0], path.stat().st_mtime
        return path.name, 0.0

    # A set: a file that is exchanged while the folder is read may be listed twice.
    paths = sorted(set(folder.glob("*.json")), key=age, reverse=True)
    return [_judged(folder, state) for path in paths if (state := _read(path)) is not None]


def _judged(folder: Path, state: JobState) -> JobState:
    """A job that says it is running and whose lock is free was killed."""
    if state.state != "running":
        return state
    lock = FileLock(folder / f"{state.id}.lock")
    try:
        if not lock.acquire():
            return state
    except StoreError:  # nobody can tell
        return state
    try:
        state = _read(folder / f"{state.id}.json") or state  # it may have ended in this very moment
    finally:
        lock.remove()
    return replace(state, state="killed", message=_KILLED) if state.state == "running" else state


def _read(path: Path) -> JobState | None:
    try:
        return JobState(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _forget_old(folder: Path) -> None:
    ended = [job for job in _states(folder) if job.state != "running"]
    for job in ended[_KEPT:]:
        for suffix in (".json", ".lock", ".stop"):
            with contextlib.suppress(OSError):
                (folder / f"{job.id}{suffix}").unlink()
