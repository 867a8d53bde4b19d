"""When a watched session is silent, in which words it waits, and when what failed is tried again. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from diadem.errors import DiademError, Refused, StoreError, Unreachable
from diadem.model.plain_text import duration_words
from diadem.model.times import read_time
from diadem.node.take.folder_look import Look
from diadem.node.take.quiet import Finished, Unfinished
from diadem.node.watch.memory import Note, moment_text
from diadem.node.watch.plan import Line, WatchPlan

if TYPE_CHECKING:
    from diadem.node.take.quiet import Finished, Unfinished


#: First and longest wait before what failed is tried again, in seconds …
_FIRST, _LONGEST = 60.0, 3600.0
#: … and where it was refused for what it is: reading it all again helps only where somebody has changed a rule.
_FIRST_REFUSED, _LONGEST_REFUSED = 3600.0, 86400.0
#: Reasons that are no matter of time.
_HELD: Final = ("lock", "in-use", "short")
_ZERO: Final = datetime.timedelta()


def silence(earlier: Look | None, now: Look, quiet: datetime.timedelta) -> Finished | Unfinished:
    """Whether a session is finished, and was seen to be silent.

    To the rule of `judge` one thing is added: two looks of this machine that saw the same, `quiet` apart by the clock
    that nobody sets. Times of files are claims of a clock that may have been wrong; what was watched is known.

    Parameters
    ----------
    earlier : Look or None
        The first of the looks since which nothing has changed; None where there was none, or the machine was started
        since.
    now : Look
        The look of now.
    quiet : timedelta
        For how long nothing may have changed.
    """
    from diadem.node.take.quiet import Reason, Unfinished, judge

    found = judge(earlier, now, quiet)
    seen = now.since(earlier) if earlier is not None and earlier.same(now) else _ZERO
    if seen >= quiet:
        return found
    held = tuple(reason for reason in found.reasons if reason.code in _HELD) if isinstance(found, Unfinished) else ()
    return Unfinished(
        (Reason("recent", (), f"waiting for {duration_words(quiet)} without a change"), *held), quiet - seen
    )


def held_words(found: Unfinished, session: str) -> str:
    """What speaks against a session besides time, in words: locks, files in use, files that are not whole."""
    from diadem.node.take.quiet import Unfinished

    held = tuple(reason for reason in found.reasons if reason.code in _HELD)
    return Unfinished(held, found.wait).told(session) if held else ""


def wait_after(error: DiademError, failures: int) -> float:
    """Seconds until what failed so many times is tried again."""
    own = isinstance(error, Refused) and not isinstance(error, StoreError)
    first, longest = (_FIRST_REFUSED, _LONGEST_REFUSED) if own else (_FIRST, _LONGEST)
    return float(min(longest, first * 2 ** min(failures - 1, 20)))


def is_of_stores(error: DiademError) -> bool:
    """Whether it failed for want of a store that can take it, so that others will fail alike."""
    return isinstance(error, StoreError | Unreachable)


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


@dataclass
class StoreBackoff:
    """While no store can take sessions of some size, none is tried: each would fail alike.

    Attributes
    ----------
    size : int
        Bytes of the smallest session that found no room; 0 where no store answers.
    until : float
        By the steady clock.
    words : str
        Why; "" where there is no pause.
    failures : int
        How often in a row.
    """

    size: int = 0
    until: float = float("-inf")
    words: str = ""
    failures: int = 0

    def holds(self, size: int, steady: float) -> bool:
        """Whether a session of this size has to wait."""
        return bool(self.words) and steady < self.until and size >= self.size

    def note(self, error: DiademError, size: int, steady: float) -> float:
        """StoreBackoff for what happened; returns for how many seconds."""
        self.failures += 1
        wait = wait_after(error, self.failures)
        self.size = size if isinstance(error, StoreError) else 0
        self.until, self.words = steady + wait, error.message
        return wait

    def end(self) -> None:
        """A store has taken something."""
        self.words, self.failures = "", 0
