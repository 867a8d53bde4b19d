"""When a watched session is silent, what is noted of it, and when what failed is tried again."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from diadem.errors import DiademError, Refused, StoreError
from diadem.hooks.offers import ReaderOffer
from diadem.model.times import read_time
from diadem.node.take.folder_look import Look
from diadem.node.take.quiet import Unfinished, judge
from diadem.node.watch.memory import Note, moment_text

#: First and longest wait before what failed is tried again, in seconds …
_FIRST, _LONGEST = 60.0, 3600.0
#: … and where it was refused for what it is: reading it all again helps only where somebody has changed a rule.
_FIRST_REFUSED, _LONGEST_REFUSED = 3600.0, 86400.0
#: The least wait.
_MOMENT: Final = datetime.timedelta(milliseconds=100)
#: Said of what lay there when the folder was added with `new_only`.
BEFORE: Final = "it was there before"
NO_FILE: Final = "there is no file in it"
_ZERO: Final = datetime.timedelta()


def judged(
    before: Note,
    seen: Look,
    *,
    held: tuple[str, str] | None,
    wanted: bool,
    session: str,
    quiet: datetime.timedelta,
    under: str,
    readers: Sequence[ReaderOffer],
) -> tuple[Note, datetime.timedelta | None]:
    """What is to be noted of a session, and after which time it may be archived: zero is now, None that nobody knows.

    `held` is why the plan holds it, state and words; `wanted` says that the plan wants also what was there before;
    `session` is its path, for advice; `under` what plan and policy say, see `Note`; `readers` know which files are not
    whole, which is looked at where nothing else speaks against the session.
    """
    note = replace(before, files=len(seen.files), bytes=seen.bytes, quiet=quiet.total_seconds())
    if held is not None:
        return replace(note, state=held[0], words=held[1]), None
    if not seen.files:
        return replace(note, state="empty", words=NO_FILE, look=None), None
    if seen.digest == before.digest and (before.packages or not wanted):
        state, words = ("archived", before.words if before.state == "archived" else "")
        if not before.packages:
            state, words = "left", BEFORE
        return replace(note, state=state, words=words, look=None), None
    earlier = before.look
    if earlier is None or not earlier.same(seen):  # it looks otherwise than before
        if earlier is not None:  # what failed of it before is no matter any more
            note = replace(note, failures=0, again="", under="")
        age = min(seen.age(seen.newest_ns), quiet)
        changed = seen.taken - age if seen.own_clock and age > _ZERO else seen.taken
        bare = replace(seen, files={}, in_use={}, short={})  # there may be many files, and the digest stands for them
        note = replace(note, look=bare, changed=moment_text(changed), seen=moment_text(seen.taken))
    found = judge(earlier, seen, quiet, readers=readers, watched=True)
    if isinstance(found, Unfinished):
        return replace(note, state="waiting", words=found.held.told(session)), found.wait or _MOMENT
    if note.again and note.under == under and seen.taken < read_time(note.again):
        return replace(note, state="failed"), None
    return replace(note, state="waiting", words=""), _ZERO


# -- what failed ---------------------------------------------------------------------------------------------------


def wait_after(error: DiademError, failures: int) -> float:
    """Seconds until what failed so many times is tried again."""
    own = isinstance(error, Refused) and not isinstance(error, StoreError)
    first, longest = (_FIRST_REFUSED, _LONGEST_REFUSED) if own else (_FIRST, _LONGEST)
    return float(min(longest, first * 2 ** min(failures - 1, 20)))


@dataclass
class StoreBackoff:
    """While no store can take sessions of some size, none is tried: each would fail alike."""

    #: Bytes of the smallest session that found no room; 0 where no store answers.
    size: int = 0
    #: By the steady clock.
    until: float = float("-inf")
    #: Why; "" while there is none.
    words: str = ""
    #: How often in a row.
    failures: int = 0

    def holds(self, size: int, steady: float) -> bool:
        """Whether a session of this size has to wait."""
        return bool(self.words) and steady < self.until and size >= self.size

    def note(self, error: DiademError, size: int, steady: float) -> float:
        """Wait for what happened; returns how many seconds."""
        self.failures += 1
        wait = wait_after(error, self.failures)
        self.size = size if isinstance(error, StoreError) else 0
        self.until, self.words = steady + wait, error.message
        return wait

    def end(self) -> None:
        """A store has taken something."""
        self.words, self.failures = "", 0
