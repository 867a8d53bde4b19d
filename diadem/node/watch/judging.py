"""What a look at a session means, beside what is remembered of it and what the plan says."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from diadem.model.times import read_time
from diadem.node.take.finished import Finished, Unfinished
from diadem.node.take.looks import Look
from diadem.node.watch.memory import Note, moment_text
from diadem.node.watch.plan import Line, WatchPlan
from diadem.node.watch.silence import held_words, silence

_ZERO: Final = datetime.timedelta()
#: The least wait.
_MOMENT: Final = datetime.timedelta(milliseconds=100)
#: Said of what lay there when the folder was added with `new_only`.
BEFORE: Final = "it was there before"


def judged(
    before: Note,
    seen: Look,
    line: Line,
    plan: WatchPlan,
    *,
    session: str,
    quiet: datetime.timedelta,
    under: str,
    examine: Callable[[Look], Look],
) -> tuple[Note, datetime.timedelta | None]:
    """What is to be noted of a session.

    Parameters
    ----------
    before : Note
        What was noted.
    seen : Look
        The look of now.
    line, plan : Line, WatchPlan
        What a person wants.
    session : str
        Its path, for advice.
    quiet : timedelta
        For how long nothing may have changed.
    under : str
        What the plan and the policy say; see `Note`.
    examine : callable
        Adds to a look which files are not whole. Called where nothing else speaks against the session.

    Returns
    -------
    note : Note
        What is known now.
    wait : timedelta or None
        After which time it may be archived; zero is now, None that nobody knows.
    """
    size = sum(one.size for one in seen.files.values())
    note = replace(before, files=len(seen.files), bytes=size, quiet=quiet.total_seconds())
    if (held := held_by(line, plan)) is not None:
        return replace(note, state=held[0], words=held[1]), None
    if not seen.files:
        return replace(note, state="empty", words="there is no file in it", look=None), None
    wanted = not before.packages and line.archive == "yes"  # also what was there before
    if seen.digest == before.digest and not wanted:
        state, words = ("archived", before.words if before.state == "archived" else "")
        if not before.packages:
            state, words = "left", BEFORE
        return replace(note, state=state, words=words, look=None), None
    earlier = before.look
    if earlier is None or not earlier.same(seen):
        note = _seen_anew(note, seen, quiet)
    found = silence(earlier, seen, quiet)
    if isinstance(found, Finished):
        found = silence(earlier, examine(seen), quiet)
    if isinstance(found, Unfinished):
        return replace(note, state="waiting", words=held_words(found, session)), found.wait or _MOMENT
    if note.again and note.under == under and seen.taken < read_time(note.again):
        return replace(note, state="failed"), None
    return replace(note, state="waiting", words=""), _ZERO


def _seen_anew(note: Note, seen: Look, quiet: datetime.timedelta) -> Note:
    """A session that looks otherwise than before; what failed of it before is no matter any more."""
    if note.look is not None:
        note = replace(note, failures=0, again="", under="")
    age = min(seen.age(seen.newest_ns), quiet)
    changed = seen.taken - age if seen.own_clock and age > _ZERO else seen.taken
    bare = replace(seen, files={}, in_use={}, short={})  # there may be many files, and the digest stands for them
    return replace(note, look=bare, changed=moment_text(changed), seen=moment_text(seen.taken))


def held_by(line: Line, plan: WatchPlan) -> tuple[str, str] | None:
    """Why the plan holds a session: state and words."""
    if plan.broken:
        return "held", f"the plan cannot be read: {plan.broken}"
    if line.mistake:
        return "held", f"row {line.number} of the plan: {line.mistake}"
    if line.archive == "no":
        return "no", f"excluded by row {line.number} of the plan"
    if line.archive == "later":
        return "later", f"postponed by row {line.number} of the plan"
    return None
