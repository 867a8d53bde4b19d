"""Archiving many sessions: the space for all is checked first, each is a package of its own, and a run that was
stopped goes on: what is archived already is recognised.

On an executor a session goes the same way, in a thread that waits while a worker reads, packs and copies. This process
alone signs, writes the log and enters; see `diadem.node.tasks`.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, nullcontext
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
from diadem.node.apart import require_no_secrets
from diadem.node.context import Context
from diadem.node.hiring import workers_for
from diadem.node.instruments import with_instruments
from diadem.node.jobs import Job, working
from diadem.node.take.archive import ArchiveOptions, archive_plan, require_finished, source_lock
from diadem.node.take.arrival import Archived
from diadem.node.take.continuation import related
from diadem.node.take.first_copy import first_folder
from diadem.node.workers import Workers
from diadem.pack.plan import PackPlan, omitted_dict, parts_of, plan_session
from diadem.store.folder import RESERVE
from diadem.store.source import SourceFile
from diadem.store.system import READ_FLAGS, long_path
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
    wishes: ArchiveOptions,
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
    prospects = PlannedSessions(sessions, partial(_planned, context, wishes=wishes), ordered=shared)
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
    context: Context, prospects: PlannedSessions, wishes: ArchiveOptions, job: Job, listener: Listener
) -> Generator[SessionResult]:
    for number in range(len(prospects.sessions)):
        job.check_cancelled()
        yield _one(context, prospects, number, wishes, listener)


def _at_once(
    context: Context, workers: Workers, prospects: PlannedSessions, wishes: ArchiveOptions, job: Job, listener: Listener
) -> Generator[SessionResult]:
    """Each session in a thread of this process, which waits for the worker that does the heavy part."""
    turns = FolderLocks(context)
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


def _planned(context: Context, session: PlannedSession, *, wishes: ArchiveOptions) -> PackPlan | DiademError:
    try:
        sources, shallow = parts_of(session)
        require_no_secrets(context, sources or [Path(session.folder)], shallow=shallow)
        metadata = with_instruments(context.folder, wishes.metadata)
        readers = tuple(context.tools.readers)
        return plan_session(session, store=first_folder(context), readers=readers, metadata=metadata)
    except DiademError as error:
        return error


def _would(
    context: Context, session: PlannedSession, plan: PackPlan | DiademError, wishes: ArchiveOptions, listener: Listener
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
    wishes: ArchiveOptions,
    listener: Listener,
    *,
    dry_run: bool = False,
) -> None:
    if not wishes.now:
        parts = [Path(file.path) for file in plan.files.values()]
        require_finished(context, Path(session.folder), wishes, listener, parts=parts, dry_run=dry_run)


def _one(
    context: Context,
    prospects: PlannedSessions,
    number: int,
    wishes: ArchiveOptions,
    listener: Listener,
    turns: FolderLocks | None = None,
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
                    already_locked=turns is not None,
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


#: Files of all sessions whose plans are kept; of the rest, each folder is listed again when its turn comes, so that a
#: run over 100,000 sessions needs no more memory than one over a thousand.
_KEPT = 20_000


class PlannedSessions:
    """Every session listed once.

    Parameters
    ----------
    sessions : sequence of PlannedSession
        As planned.
    planned : callable
        Lists one; an error in the place of its plan.
    ordered : bool
        Whether it is to be found out which sessions must be archived before others.
    """

    def __init__(
        self,
        sessions: Sequence[PlannedSession],
        planned: Callable[[PlannedSession], PackPlan | DiademError],
        *,
        ordered: bool,
    ) -> None:
        self.sessions = sessions
        self.sizes: list[int] = []
        self.after: dict[int, set[int]] = {}
        self.allocated = 0
        self._planned = planned
        self._plans: dict[int, PackPlan | DiademError] = {}
        self._room = _KEPT
        overlap = SessionOverlap(session.folder for session in sessions) if ordered else None
        for number, session in enumerate(sessions):
            plan = planned(session)
            self._keep(number, plan)
            if (
                overlap is not None
                and isinstance(plan, PackPlan)
                and (before := overlap.add(number, session.folder, plan))
            ):
                self.after[number] = before

    def _keep(self, number: int, plan: PackPlan | DiademError) -> None:
        files, size = 0, 0
        if isinstance(plan, PackPlan):
            files, size = len(plan.files), plan.tree.size
            self.allocated += plan.tree.allocated
        self.sizes.append(size)
        if files < self._room:
            self._room -= files + 1
            self._plans[number] = plan

    def plan(self, number: int) -> PackPlan | DiademError:
        """The plan of a session, or why there is none. It is given away: the next call lists the folder again."""
        plan = self._plans.pop(number, None)
        return plan if plan is not None else self._planned(self.sessions[number])


#: Bytes that are read at the beginning, in the middle and at the end of a file.
_BLOCK = 4096


@dataclass(slots=True)
class _Leaders:
    """Sessions whose leaders have one name and size: the newest of each content, and those not yet looked into."""

    by_content: dict[bytes, int] = field(default_factory=dict)
    unread: list[tuple[int, str]] = field(default_factory=list)

    def newest(self, content: bytes) -> int | None:
        """The newest session whose leader has this content; files that were not needed before are read now."""
        for number, path in self.unread:
            if (found := sample(path)) is not None:
                self.by_content[found] = number
        self.unread.clear()
        return self.by_content.get(content)


class SessionOverlap:
    """Sessions of one run, told in their order. Keeps a few numbers of each.

    Parameters
    ----------
    folders : iterable of str
        Of all sessions: a folder that is named twice is looked at file by file.
    """

    def __init__(self, folders: Iterable[str]) -> None:
        shared = (folder for folder, count in Counter(folders).items() if count > 1)
        self._in_folder: dict[str, dict[int, int]] = {folder: {} for folder in shared}
        self._leaders: dict[int, _Leaders] = {}

    def add(self, number: int, folder: str, plan: PackPlan) -> set[int]:
        """Take a session in; the numbers of earlier ones to which it may belong."""
        files = list(plan.files.values())
        earlier = {found for file in files if (found := self._led_by(file)) is not None}
        if (known := self._in_folder.get(folder)) is not None:
            earlier.update(known[key] for file in files if (key := _key(file)) in known)
            known.update((_key(file), number) for file in files)
        readable = (file for file in sorted(files, key=_rank) if os.access(file.path, os.R_OK))
        if (leader := next(readable, None)) is not None:
            self._leaders.setdefault(_key(leader), _Leaders()).unread.append((number, leader.path))
        return earlier

    def _led_by(self, file: SourceFile) -> int | None:
        """The newest session whose leader this file may be."""
        leaders = self._leaders.get(_key(file))
        content = sample(file.path) if leaders is not None else None
        return leaders.newest(content) if leaders is not None and content is not None else None


def _key(file: SourceFile) -> int:
    return hash((file.name, file.size))


def _rank(file: SourceFile) -> tuple[int, bytes]:
    return -file.size, file.name


def sample(path: str) -> bytes | None:
    """A digest of a few blocks of a file; None where it cannot be read."""
    try:
        descriptor = os.open(long_path(path), READ_FLAGS)
    except OSError:
        return None
    with open(descriptor, "rb") as file:  # noqa: PTH123
        try:
            size = file.seek(0, os.SEEK_END)
            digest = hashlib.blake2b(digest_size=16)
            for place in (0, size // 2, max(0, size - _BLOCK)):
                file.seek(place)
                digest.update(file.read(_BLOCK))
        except OSError:
            return None
    return digest.digest()


@dataclass(slots=True)
class _Turn:
    """One lock, and how many threads are at work under it."""

    users: int = 0
    taking: threading.Lock = field(default_factory=threading.Lock)
    held: ExitStack | None = None


class FolderLocks:
    """The locks of one run.

    Parameters
    ----------
    context : Context
        The node.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._turns: dict[str, _Turn] = {}
        self._guard = threading.Lock()

    @contextmanager
    def of(self, source: Path) -> Iterator[None]:
        """Hold the lock of a folder as long as any thread of this run is at work in it."""
        name = source_lock(source)
        with self._guard:
            turn = self._turns.setdefault(name, _Turn())
            turn.users += 1
        try:
            with turn.taking:
                if turn.held is None:
                    held = ExitStack()
                    held.enter_context(self._context.locked(name))
                    turn.held = held
            yield
        finally:
            with self._guard:
                turn.users -= 1
                if not turn.users:
                    del self._turns[name]
                    if turn.held is not None:
                        turn.held.close()
