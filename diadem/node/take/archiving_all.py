"""Archiving many sessions: the space for all is checked first, each is a package of its own, and a run that was
stopped goes on: what is archived already is recognised.

On an executor a session goes the same way, in a thread that waits while a worker reads, packs and copies. This process
alone signs, writes the log and enters; see `diadem.node.tasks`.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from diadem.errors import DiademError, StoreError, machine_errors
from diadem.model.agenda import Agenda
from diadem.model.display import Display
from diadem.model.plain_text import count_text
from diadem.model.ports import Listener, Progress, silent
from diadem.model.scan import PlannedSession
from diadem.node.context import Context
from diadem.node.instruments import with_instruments
from diadem.node.jobs import Job, workers_for, working
from diadem.node.separation import require_no_secrets
from diadem.node.take.archived import Archived, Wishes
from diadem.node.take.archiving import archive_plan, require_finished
from diadem.node.take.continuing import related
from diadem.node.take.packing_first import first_folder
from diadem.node.take.prospects import Prospects
from diadem.node.take.turns import Turns
from diadem.node.workers import Workers
from diadem.pack.plan import PackPlan, omitted_dict, parts_of, plan_session
from diadem.store.folder import RESERVE
from diadem.workers.executors import run_agenda

#: Folders that a job names.
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class SessionResult(Display):
    """What became of one session.

    Attributes
    ----------
    session : PlannedSession
        As planned.
    state : str
        ``new``, ``continuation``, ``already``, ``failed``, or ``planned`` for a dry run.
    archived : Archived or None
        What was archived.
    error : DiademError or None
        Why it was not, or would not be.
    files, bytes : int
        How much the session holds.
    omitted : sequence of mapping
        Of a dry run: what would be left out; path, kind, reason.
    known : mapping
        Of a dry run: how it relates to what is archived, as ``archived`` of `Node.plan`; empty where that was not
        looked at.
    """

    session: PlannedSession
    state: str
    archived: Archived | None = None
    error: DiademError | None = None
    files: int = 0
    bytes: int = 0
    omitted: Sequence[Mapping[str, str]] = ()
    known: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        document: dict[str, Any] = {
            "title": self.session.title,
            "date": self.session.date,
            "folder": self.session.folder,
            "state": self.state,
            "files": self.files,
            "bytes": self.bytes,
            "omitted": list(self.omitted),
            "known": dict(self.known),
        }
        if self.archived is not None:
            document |= self.archived.to_dict()
        if self.error is not None:
            document["error"] = self.error.to_dict()
        return document


def archive_all(
    context: Context,
    sessions: Sequence[PlannedSession],
    wishes: Wishes,
    *,
    executor: Executor | None = None,
    dry_run: bool = False,
    listener: Listener = silent,
) -> Generator[SessionResult]:
    """Archive sessions one after the other, or many at once on an executor; one that fails stops none of the others.

    Raises
    ------
    StoreError
        The first store has not enough space for all of them; nothing was begun.
    Unreachable
        A worker of the executor does not see a store or a folder, and nothing was begun; or the executor broke.
    Interrupted
        On Ctrl-C; what is archived is archived, and the next run resumes.
    """
    context.require_writable()
    shared = executor is not None and not dry_run
    prospects = Prospects(sessions, partial(_planned, context, wishes=wishes), ordered=shared)
    _require_space(context, prospects.allocated)
    if dry_run:
        yield from (_would(context, session, prospects.plan(n), wishes, listener) for n, session in enumerate(sessions))
        return
    workers = workers_for(context, executor, folders=dict.fromkeys(one.folder for one in sessions))
    with working(context, "archive", _words(sessions)) as job:
        heard = job.listening(listener)
        results = (
            _one_by_one(context, prospects, wishes, job, heard)
            if workers is None
            else _at_once(context.with_workers(workers), workers, prospects, wishes, job, heard)
        )
        with closing(results):
            for result in results:
                job.count(f"{result.session.title}: {result.error.message}" if result.error else "")
                yield result


def _one_by_one(
    context: Context, prospects: Prospects, wishes: Wishes, job: Job, listener: Listener
) -> Generator[SessionResult]:
    for number in range(len(prospects.sessions)):
        job.check_cancelled()
        yield _one(context, prospects, number, wishes, listener)


def _at_once(
    context: Context, workers: Workers, prospects: Prospects, wishes: Wishes, job: Job, listener: Listener
) -> Generator[SessionResult]:
    """Each session in a thread of this process, which waits for the worker that does the heavy part."""
    turns = Turns(context)
    agenda = Agenda(prospects.sizes, prospects.after)
    done = 0
    with ThreadPoolExecutor(workers.ahead, "diadem-session") as threads:

        def begin(number: int) -> Future[SessionResult]:
            return threads.submit(_one, context, prospects, number, wishes, partial(_waits, listener), turns)

        ended = run_agenda(agenda, begin, ahead=workers.ahead, heed=job.check_cancelled, stop=workers.stop)
        with closing(ended):
            for _, future in ended:
                result = future.result()
                done += result.bytes
                listener(Progress("archive", done, max(done, sum(prospects.sizes)), result.session.title))
                yield result
                if workers.broken:
                    raise workers.refusal()


def _waits(listener: Listener, progress: Progress) -> None:
    """Of many sessions at once only what each waits for is told; how far they are, each says when it is done."""
    if progress.stage == "wait":
        listener(progress)


def _words(sessions: Sequence[PlannedSession]) -> str:
    """``4 sessions of /data/a, /data/b, /data/c and 1 more``: a run that was stopped is recognised by it."""
    folders = sorted({session.folder for session in sessions})
    named, more = ", ".join(folders[:_NAMED]), len(folders) - _NAMED
    return f"{count_text(len(sessions), 'session')} of {named}" + (f" and {more:,} more" if more > 0 else "")


def _planned(context: Context, session: PlannedSession, *, wishes: Wishes) -> PackPlan | DiademError:
    try:
        sources, shallow = parts_of(session)
        require_no_secrets(context, sources or [Path(session.folder)], shallow=shallow)
        metadata = with_instruments(context.folder, wishes.metadata)
        readers = tuple(context.tools.readers)
        return plan_session(session, store=first_folder(context), readers=readers, metadata=metadata)
    except DiademError as error:
        return error


def _would(
    context: Context, session: PlannedSession, plan: PackPlan | DiademError, wishes: Wishes, listener: Listener
) -> SessionResult:
    """What archiving a session would do; files that may be archived already are read, nothing is written."""
    if isinstance(plan, DiademError):
        return SessionResult(session, "failed", error=plan)
    left_out = [omitted_dict(omission) for omission in plan.tree.omissions]
    known = related(context, plan, Path(session.folder), listener).to_dict()
    would = SessionResult(session, "planned", None, None, len(plan.files), plan.tree.size, left_out, known)
    try:
        if not wishes.wait:
            _require_finished(context, session, plan, wishes, silent, dry_run=True)
    except DiademError as error:
        return replace(would, state="failed", error=error)
    return would


def _require_finished(
    context: Context,
    session: PlannedSession,
    plan: PackPlan,
    wishes: Wishes,
    listener: Listener,
    *,
    dry_run: bool = False,
) -> None:
    if not wishes.now:
        parts = [Path(file.path) for file in plan.files.values()]
        require_finished(context, Path(session.folder), wishes, listener, parts=parts, dry_run=dry_run)


def _one(
    context: Context,
    prospects: Prospects,
    number: int,
    wishes: Wishes,
    listener: Listener,
    turns: Turns | None = None,
) -> SessionResult:
    session, plan = prospects.sessions[number], prospects.plan(number)
    if isinstance(plan, DiademError):
        return SessionResult(session, "failed", error=plan)
    files, size = len(plan.files), plan.tree.size
    folder = Path(session.folder)
    try:
        with machine_errors():
            _require_finished(context, session, plan, wishes, listener)
            with nullcontext() if turns is None else turns.of(folder):
                archived = archive_plan(
                    context,
                    plan,
                    folder,
                    replace(wishes, as_one=True),
                    started=time.monotonic(),
                    held=turns is not None,
                    listener=listener,
                )
    except DiademError as error:
        if error.exit_code == 6:
            raise
        return SessionResult(session, "failed", error=error, files=files, bytes=size)
    return SessionResult(session, archived.what, archived, files=files, bytes=size)


def _require_space(context: Context, needed: int) -> None:
    """Refuse before the first byte where the stores that are filled first cannot hold everything."""
    frees = [(store.free(), settings.name) for settings, store in context.stores.opened() if not settings.retired]
    known = [(free, name) for free, name in frees if free is not None]
    if known and len(known) == len(frees) and max(known)[0] < needed + RESERVE:
        free, largest = max(known)
        raise StoreError(
            f"the sessions have {needed:,} bytes, and the store with most space, '{largest}', has {free:,} free",
            next="Add a store, or archive fewer sessions: edit the plan.",
        )
