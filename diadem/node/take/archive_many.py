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
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
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
from diadem.node.take.archive import ArchiveOptions, archive_plan, require_finished, source_lock
from diadem.node.take.arrival import Archived, first_folder
from diadem.node.take.continuation import related_as_known
from diadem.node.workers import Workers
from diadem.pack.plan import PackPlan, omitted_dict, parts_of, plan_session
from diadem.store.folder import RESERVE
from diadem.store.system import READ_FLAGS, long_path
from diadem.workers.executors import run_agenda

#: Folders that a job names.
_NAMED: Final = 3
#: Files of all sessions whose plans are kept; of the rest, each folder is listed again when its turn comes, so that a
#: run over 100,000 sessions needs no more memory than one over a thousand.
_KEPT: Final = 20_000
#: Bytes that are read at the beginning, in the middle and at the end of a file to tell its content from others'.
_BLOCK: Final = 4096


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
    options: ArchiveOptions,
    *,
    executor: Executor | None = None,
    dry_run: bool = False,
    listener: Listener = silent,
) -> Generator[SessionResult]:
    """Archive sessions one after the other, or many at once on an executor; one that fails stops none of the others."""
    context.require_writable()
    planned = PlannedSessions(context, sessions, options, ordered=executor is not None and not dry_run)
    _require_space(context, planned.allocated)
    if dry_run:
        for number, session in enumerate(sessions):
            yield _would(context, session, planned.plan(number), options, listener)
        return
    workers = workers_for(context, executor, folders=dict.fromkeys(one.folder for one in sessions))
    folders = sorted({session.folder for session in sessions})
    more = f" and {len(folders) - _NAMED:,} more" if len(folders) > _NAMED else ""
    # A run that was stopped is recognised by these words.
    words = f"{count_text(len(sessions), 'session')} of {', '.join(folders[:_NAMED])}{more}"
    with working(context, "archive", words) as job:
        heard = job.listening(listener)
        results = (
            _one_by_one(context, planned, options, job, heard)
            if workers is None
            else _at_once(context.with_workers(workers), workers, planned, options, job, heard)
        )
        with closing(results):
            for result in results:
                job.count(f"{result.session.title}: {result.error.message}" if result.error else "")
                yield result


def _one_by_one(
    context: Context, planned: PlannedSessions, options: ArchiveOptions, job: Job, listener: Listener
) -> Generator[SessionResult]:
    for number in range(len(planned.sessions)):
        job.check_cancelled()
        yield _one(context, planned, number, options, listener)


def _at_once(
    context: Context, workers: Workers, planned: PlannedSessions, options: ArchiveOptions, job: Job, listener: Listener
) -> Generator[SessionResult]:
    """Each session in a thread of this process, which waits for the worker that does the heavy part."""
    locks = FolderLocks(context)
    done = 0

    def waits(progress: Progress) -> None:  # how far each of many is, it says when it is done
        if progress.stage == "wait":
            listener(progress)

    with ThreadPoolExecutor(workers.ahead, "diadem-session") as threads:

        def begin(number: int) -> Future[SessionResult]:
            return threads.submit(_one, context, planned, number, options, waits, locks)

        agenda = Agenda(planned.sizes, planned.after)
        ended = run_agenda(agenda, begin, ahead=workers.ahead, heed=job.check_cancelled, stop=workers.stop)
        with closing(ended):
            for _, future in ended:
                result = future.result()
                done += result.bytes
                listener(Progress("archive", done, max(done, sum(planned.sizes)), result.session.title))
                yield result
                if workers.broken:
                    raise workers.refusal()


def _one(
    context: Context,
    planned: PlannedSessions,
    number: int,
    options: ArchiveOptions,
    listener: Listener,
    locks: FolderLocks | None = None,
) -> SessionResult:
    session, plan = planned.sessions[number], planned.plan(number)
    if isinstance(plan, DiademError):
        return SessionResult(session, "failed", error=plan)
    files, size, folder = len(plan.files), plan.tree.size, Path(session.folder)
    try:
        with machine_errors():
            require_finished(context, folder, options, listener, parts=_parts(plan))
            with nullcontext() if locks is None else locks.of(folder):
                archived = archive_plan(
                    context,
                    plan,
                    folder,
                    replace(options, as_one=True),
                    started=time.monotonic(),
                    already_locked=locks is not None,
                    listener=listener,
                )
    except DiademError as error:
        if error.exit_code == 6:
            raise
        return SessionResult(session, "failed", error=error, files=files, bytes=size)
    return SessionResult(session, archived.what, archived, files=files, bytes=size)


def _would(
    context: Context, session: PlannedSession, plan: PackPlan | DiademError, options: ArchiveOptions, listener: Listener
) -> SessionResult:
    """What archiving a session would do; files that may be archived already are read, nothing is written."""
    if isinstance(plan, DiademError):
        return SessionResult(session, "failed", error=plan)
    left_out = [omitted_dict(omission) for omission in plan.tree.omissions]
    known = related_as_known(context, plan, Path(session.folder), listener).to_dict()
    would = SessionResult(session, "planned", None, None, len(plan.files), plan.tree.size, left_out, known)
    try:
        if not options.wait:
            require_finished(context, Path(session.folder), options, silent, parts=_parts(plan), dry_run=True)
    except DiademError as error:
        return replace(would, state="failed", error=error)
    return would


def _parts(plan: PackPlan) -> Iterator[Path]:
    return (Path(file.path) for file in plan.files.values())


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


# -- the sessions of a run before any is begun ---------------------------------------------------------------------


def session_plan(context: Context, session: PlannedSession, metadata: Mapping[str, Any] | None) -> PackPlan:
    """What is packed of a session that a scan, a person or a watcher has planned."""
    readers = tuple(context.tools.readers)
    said = with_instruments(context.folder, metadata)
    return plan_session(session, store=first_folder(context), readers=readers, metadata=said)


class PlannedSessions:
    """Every session of a run listed once: how much it holds, and, with `ordered`, which must be archived before it."""

    def __init__(
        self, context: Context, sessions: Sequence[PlannedSession], options: ArchiveOptions, *, ordered: bool
    ) -> None:
        self.sessions = sessions
        self.sizes: list[int] = []
        self.after: dict[int, set[int]] = {}
        self.allocated = 0
        self._context, self._metadata = context, options.metadata
        self._plans: dict[int, PackPlan | DiademError] = {}
        room = _KEPT
        overlap = SessionOverlap(session.folder for session in sessions) if ordered else None
        for number, session in enumerate(sessions):
            plan = self._planned(session)
            files, size = 0, 0
            if isinstance(plan, PackPlan):
                files, size = len(plan.files), plan.tree.size
                self.allocated += plan.tree.allocated
                if overlap is not None and (before := overlap.add(number, session.folder, plan)):
                    self.after[number] = before
            self.sizes.append(size)
            if files < room:
                room -= files + 1
                self._plans[number] = plan

    def plan(self, number: int) -> PackPlan | DiademError:
        """The plan of a session, or why there is none. It is given away: the next call lists the folder again."""
        plan = self._plans.pop(number, None)
        return plan if plan is not None else self._planned(self.sessions[number])

    def _planned(self, session: PlannedSession) -> PackPlan | DiademError:
        try:
            sources, shallow = parts_of(session)
            require_no_secrets(self._context, sources or [Path(session.folder)], shallow=shallow)
            return session_plan(self._context, session, self._metadata)
        except DiademError as error:
            return error


class SessionOverlap:
    """Which sessions of one run may belong together, so that one must be archived before the other is looked at.

    A session that holds all files of an earlier one continues it, or is the same; so it holds the largest of them, its
    *leader*. Names and sizes recur in every session (`scan 1.tif`, 4 MB), and are told apart by a few blocks of
    content. Sessions are told in their order, with all their `folders`: one that is named twice is looked at file by
    file. A few numbers of each session are kept.
    """

    def __init__(self, folders: Iterable[str]) -> None:
        shared = (folder for folder, count in Counter(folders).items() if count > 1)
        self._in_folder: dict[str, dict[int, int]] = {folder: {} for folder in shared}
        self._leaders: dict[int, _Leaders] = {}

    def add(self, number: int, folder: str, plan: PackPlan) -> set[int]:
        """Take a session in; the numbers of earlier ones to which it may belong."""
        files = {hash((file.name, file.size)): file for file in plan.files.values()}
        earlier = set()
        for key, file in files.items():
            if (leaders := self._leaders.get(key)) is not None and (content := sample(file.path)) is not None:
                earlier |= leaders.newest(content)
        if (known := self._in_folder.get(folder)) is not None:
            earlier.update(known[key] for key in files if key in known)
            known.update(dict.fromkeys(files, number))
        for key, file in sorted(files.items(), key=lambda item: (-item[1].size, item[1].name)):
            if os.access(file.path, os.R_OK):
                self._leaders.setdefault(key, _Leaders()).unread.append((number, file.path))
                break
        return earlier


@dataclass(slots=True)
class _Leaders:
    """Sessions whose leaders have one name and size: the newest of each content, and those not yet looked into."""

    by_content: dict[bytes, int] = field(default_factory=dict)
    unread: list[tuple[int, str]] = field(default_factory=list)

    def newest(self, content: bytes) -> set[int]:
        """The newest session whose leader has this content; files that were not needed before are read now."""
        for number, path in self.unread:
            if (found := sample(path)) is not None:
                self.by_content[found] = number
        self.unread.clear()
        return {self.by_content[content]} if content in self.by_content else set()


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


class FolderLocks:
    """Locks of folders, shared by the threads of one run: other processes wait, its own sessions do not."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._locks: dict[str, _FolderLock] = {}
        self._guard = threading.Lock()

    @contextmanager
    def of(self, source: Path) -> Iterator[None]:
        """Hold the lock of a folder as long as any thread of this run is at work in it."""
        name = source_lock(source)
        with self._guard:
            lock = self._locks.setdefault(name, _FolderLock())
            lock.users += 1
        try:
            with lock.taking:
                if lock.held is None:
                    held = ExitStack()
                    held.enter_context(self._context.locked(name))
                    lock.held = held
            yield
        finally:
            with self._guard:
                lock.users -= 1
                if not lock.users:
                    del self._locks[name]
                    if lock.held is not None:
                        lock.held.close()


@dataclass(slots=True)
class _FolderLock:
    """One lock, and how many threads are at work under it."""

    users: int = 0
    taking: threading.Lock = field(default_factory=threading.Lock)
    held: ExitStack | None = None
