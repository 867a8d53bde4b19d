"""Archiving many sessions: the space for all is checked first, each is a package of its own, and a run that was
stopped goes on: what is archived already is recognised."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from diadem.archive.plan import PackPlan, omitted_dict
from diadem.archive.splitting import parts_of, plan_session
from diadem.errors import DiademError, StoreError
from diadem.model.plain_text import count_text
from diadem.model.ports import Listener, silent
from diadem.model.scan import PlannedSession
from diadem.node.apart import require_no_secrets
from diadem.node.archived import Archived, Wishes
from diadem.node.archiving import archive_plan, require_finished
from diadem.node.context import Context
from diadem.node.jobs import working
from diadem.node.packing_first import first_folder
from diadem.store.local_store import RESERVE

#: Folders that a job names.
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class SessionResult:
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
    """

    session: PlannedSession
    state: str
    archived: Archived | None = None
    error: DiademError | None = None
    files: int = 0
    bytes: int = 0
    omitted: Sequence[Mapping[str, str]] = ()

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
    dry_run: bool = False,
    listener: Listener = silent,
) -> Iterator[SessionResult]:
    """Archive sessions one after the other; one that fails stops none of the others.

    Raises
    ------
    StoreError
        The first store has not enough space for all of them; nothing was begun.
    Interrupted
        On Ctrl-C; what is archived is archived, and the next run goes on.
    """
    context.require_writable()
    plans = [(session, _planned(context, session, wishes)) for session in sessions]
    _require_space(context, [plan for _, plan in plans if isinstance(plan, PackPlan)])
    if dry_run:
        yield from (_would(context, session, plan, wishes) for session, plan in plans)
        return
    with working(context, "archive", _words(sessions)) as job:
        heard = job.listening(listener)
        for session, plan in plans:
            job.check_cancelled()
            result = (
                _told(session, plan) if isinstance(plan, DiademError) else _one(context, session, plan, wishes, heard)
            )
            job.count(f"{session.title}: {result.error.message}" if result.error else "")
            yield result


def _words(sessions: Sequence[PlannedSession]) -> str:
    """``4 sessions of /data/a, /data/b, /data/c and 1 more``: a run that was stopped is recognised by it."""
    folders = sorted({session.folder for session in sessions})
    named, more = ", ".join(folders[:_NAMED]), len(folders) - _NAMED
    return f"{count_text(len(sessions), 'session')} of {named}" + (f" and {more:,} more" if more > 0 else "")


def _planned(context: Context, session: PlannedSession, wishes: Wishes) -> PackPlan | DiademError:
    try:
        sources, shallow = parts_of(session)
        require_no_secrets(context, sources or [Path(session.folder)], shallow=shallow)
        return plan_session(
            session, store=first_folder(context), readers=tuple(context.tools.readers), metadata=wishes.metadata
        )
    except DiademError as error:
        return error


def _told(session: PlannedSession, plan: PackPlan | DiademError) -> SessionResult:
    if isinstance(plan, DiademError):
        return SessionResult(session, "failed", error=plan)
    left_out = [omitted_dict(omission) for omission in plan.tree.omissions]
    return SessionResult(session, "planned", files=len(plan.files), bytes=plan.tree.size, omitted=left_out)


def _would(context: Context, session: PlannedSession, plan: PackPlan | DiademError, wishes: Wishes) -> SessionResult:
    if isinstance(plan, PackPlan) and not wishes.wait:
        try:
            _require_finished(context, session, plan, wishes, silent)
        except DiademError as error:
            return SessionResult(session, "failed", error=error, files=len(plan.files), bytes=plan.tree.size)
    return _told(session, plan)


def _require_finished(
    context: Context, session: PlannedSession, plan: PackPlan, wishes: Wishes, listener: Listener
) -> None:
    if not wishes.now:
        parts = [Path(file.path) for file in plan.files.values()]
        require_finished(context, Path(session.folder), wishes, listener, parts=parts)


def _one(
    context: Context, session: PlannedSession, plan: PackPlan, wishes: Wishes, listener: Listener
) -> SessionResult:
    files, size = len(plan.files), plan.tree.size
    folder = Path(session.folder)
    try:
        _require_finished(context, session, plan, wishes, listener)
        archived = archive_plan(
            context, plan, folder, replace(wishes, as_one=True), started=time.monotonic(), listener=listener
        )
    except DiademError as error:
        if error.exit_code == 6:
            raise
        return SessionResult(session, "failed", error=error, files=files, bytes=size)
    return SessionResult(session, archived.what, archived, files=files, bytes=size)


def _require_space(context: Context, plans: Iterable[PackPlan]) -> None:
    """Refuse before the first byte where the stores that are filled first cannot hold everything."""
    needed = sum(plan.tree.allocated for plan in plans)
    frees = [(store.free(), settings.name) for settings, store in context.stores.opened() if not settings.retired]
    known = [(free, name) for free, name in frees if free is not None]
    if known and len(known) == len(frees) and max(known)[0] < needed + RESERVE:
        free, largest = max(known)
        raise StoreError(
            f"the sessions have {needed:,} bytes, and the store with most space, '{largest}', has {free:,} free",
            next="Add a store, or archive fewer sessions: edit the plan.",
        )
