"""What a watcher would do with a folder: nothing is written, and nothing has to be silent."""

from __future__ import annotations

from collections.abc import Iterator

from diadem.errors import DiademError, NotFound
from diadem.model.plain_text import count_text
from diadem.model.ports import Listener
from diadem.node.take.finished import Unfinished, judge
from diadem.node.take.looks import Look, examined
from diadem.node.watch.folder import FolderWatch, problem_of
from diadem.node.watch.judging import BEFORE, held_by
from diadem.node.watch.memory import Note
from diadem.node.watch.plan import Line, WatchPlan
from diadem.node.watch.taking import divided
from diadem.node.watch.told import Watched
from diadem.node.watch.units import Unit, list_units, look_at

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
