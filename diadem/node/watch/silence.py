"""When a watched session is silent, in which words it waits, and when what failed is tried again. Pure."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Final

from diadem.errors import DiademError, Refused, StoreError, Unreachable
from diadem.model.plain_text import duration_words
from diadem.node.take.looks import Look

if TYPE_CHECKING:
    from diadem.node.take.finished import Finished, Unfinished

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
    from diadem.node.take.finished import Reason, Unfinished, judge

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
    from diadem.node.take.finished import Unfinished

    held = tuple(reason for reason in found.reasons if reason.code in _HELD)
    return Unfinished(held, found.wait).told(session) if held else ""


def waiting_words(
    changed: datetime.datetime, seen: datetime.datetime, quiet: datetime.timedelta, now: datetime.datetime
) -> str:
    """Since when a session has been silent, and for how long it has to be.

    Parameters
    ----------
    changed : datetime
        The newest time in it.
    seen : datetime
        When it was first seen as it is now.
    quiet : timedelta
        For how long nothing may change.
    now : datetime
        The time at which this is read.
    """
    wanted = duration_words(quiet)
    if _ZERO <= now - changed < quiet:
        return f"changed {ago(now - changed)}; archived after {wanted} without a change"
    return f"first seen like this {ago(now - seen)}; archived after {wanted} without a change"


def ago(span: datetime.timedelta) -> str:
    """``just now``, ``40 seconds ago``, ``3 minutes ago``, ``2 hours ago``, ``5 days ago``."""
    seconds = int(max(span, _ZERO).total_seconds())
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= 2 * size:
            return f"{seconds // size:,} {unit}s ago"
    return "1 second ago" if seconds else "just now"


def wait_after(error: DiademError, failures: int) -> float:
    """Seconds until what failed so many times is tried again."""
    own = isinstance(error, Refused) and not isinstance(error, StoreError)
    first, longest = (_FIRST_REFUSED, _LONGEST_REFUSED) if own else (_FIRST, _LONGEST)
    return float(min(longest, first * 2 ** min(failures - 1, 20)))


def is_of_stores(error: DiademError) -> bool:
    """Whether it failed for want of a store that can take it, so that others will fail alike."""
    return isinstance(error, StoreError | Unreachable)


def times(number: int) -> str:
    """``once``, ``twice``, ``3 times``."""
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")
