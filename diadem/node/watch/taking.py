"""Archiving what is silent: as one session, or divided as a scan divides it, and never while it changes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from diadem.errors import DiademError, NotFound, Refused
from diadem.export.zip_bag import packages_in
from diadem.model.plain_text import count_text
from diadem.model.ports import Listener
from diadem.model.scan import PlannedSession
from diadem.node.context import Context
from diadem.node.instruments import with_instruments
from diadem.node.take.archived import Archived, Wishes
from diadem.node.take.archiving import archive, archive_plan, has_several_places
from diadem.node.take.archiving_all import archive_all
from diadem.node.take.looks import Look, look
from diadem.node.take.packing_first import first_folder
from diadem.node.watch.units import Unit
from diadem.pack.plan import plan_session

#: Sessions that are named.
_NAMED = 3
#: How a file of the name ``*`` is written as a part.
_STAR, _NAMED_STAR = "*", "[*]"


class Changed(Refused):
    """The session changed while it was read: nothing of it is in the archive, and it is waited for anew."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What archiving one unit did.

    Attributes
    ----------
    archived : sequence of Archived
        One for each session.
    as_one : bool
        Whether it is one session.
    error : DiademError or None
        Why a session was not archived; the first, where several were not.
    words : str
        What of it no session takes, and why; "" where all is taken.
    """

    archived: Sequence[Archived]
    as_one: bool
    error: DiademError | None = None
    words: str = ""


def take(context: Context, unit: Unit, seen: Look, wishes: Wishes, *, as_one: bool | None, listener: Listener) -> Taken:
    """Archive a unit.

    Parameters
    ----------
    context : Context
        The node.
    unit : Unit
        What was silent.
    seen : Look
        The look that found it so: what is read has to be what that saw, else nothing becomes visible.
    wishes : Wishes
        Metadata and store.
    as_one : bool or None
        Whether it is one session; None: as a scan finds it.
    listener : Listener
        Told of progress.

    Raises
    ------
    Changed
        It is not as it was seen.
    DiademError
        See `archive`.
    """
    wishes = replace(wishes, now=True, as_one=True, still=lambda: _require_same(unit, seen))
    _require_same(unit, seen)
    if len(unit.files) > 1:
        return Taken([_files(context, unit, wishes, listener)], as_one=True)
    sessions = [] if as_one or unit.files else _sessions(context, unit.folder, listener)
    chosen = [session for session in sessions if session.archive]
    if len(chosen) < (1 if as_one is False else 2):
        wishes = replace(wishes, as_one=not packages_in(unit.path))  # a package is taken in as it is
        return Taken([archive(context, unit.path, wishes, listener=listener)], as_one=True)
    return _each(context, sessions, chosen, wishes, listener)


def divided(context: Context, unit: Unit, *, as_one: bool | None, listener: Listener) -> list[PlannedSession]:
    """The sessions as which a unit would be archived; none where it is one. Raises `NotFound`."""
    chosen = [] if as_one or unit.files else _sessions(context, unit.folder, listener)
    chosen = [session for session in chosen if session.archive]
    return chosen if len(chosen) >= (1 if as_one is False else 2) else []


def _sessions(context: Context, folder: Path, listener: Listener) -> list[PlannedSession]:
    if not has_several_places(folder):
        return []
    return list(context.tools.scan(folder, listener=listener).sessions)


def _each(
    context: Context,
    sessions: Sequence[PlannedSession],
    chosen: Sequence[PlannedSession],
    wishes: Wishes,
    listener: Listener,
) -> Taken:
    results = list(archive_all(context, chosen, wishes, listener=listener))
    errors = [result.error for result in results if result.error is not None]
    changed = next((error for error in errors if isinstance(error, Changed)), None)
    left = [session for session in sessions if not session.archive]
    named = "; ".join(f"{session.title or session.folder} ({session.why})" for session in left[:_NAMED])
    more = f"; and {len(left) - _NAMED:,} more" if len(left) > _NAMED else ""
    words = f"{count_text(len(left), 'part')} of it not archived: {named}{more}" if left else ""
    return Taken(
        [result.archived for result in results if result.archived is not None],
        as_one=False,
        error=changed or next(iter(errors), None),
        words=words,
    )


def _files(context: Context, unit: Unit, wishes: Wishes, listener: Listener) -> Archived:
    """Loose files that are one dataset."""
    parts = tuple(_NAMED_STAR if name == _STAR else name for name in unit.files)
    session = PlannedSession(
        id="", archive=True, title=Path(unit.files[0]).stem, date="", folder=str(unit.folder), parts=parts
    )
    metadata = with_instruments(context.folder, wishes.metadata)
    readers = tuple(context.tools.readers)
    plan = plan_session(session, store=first_folder(context), readers=readers, metadata=metadata)
    return archive_plan(context, plan, unit.path, wishes, started=time.monotonic(), listener=listener)


def _require_same(unit: Unit, seen: Look) -> None:
    """Raise `Changed` where a unit is not as it was seen: whoever pauses for long enough may go on at any moment."""
    parts = [unit.folder / name for name in unit.files]
    try:
        now = look(unit.folder, parts=parts, now=seen.taken, steady=seen.steady, own_clock=seen.own_clock)
    except NotFound as error:
        raise Changed("it was removed while it was archived", where=str(unit.path)) from error
    if not now.same(seen):
        raise Changed("it changed while it was archived", where=str(unit.path))
