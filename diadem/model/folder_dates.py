"""What the names of folders say of the day of a session."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable

#: 2026-03-14, 2026_03_14, 20260314.
_YEAR_FIRST = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_. ]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")
#: 14.03.2026; with dots the day comes first wherever dates are written so.
_DAY_FIRST = re.compile(r"(?<!\d)(0?[1-9]|[12]\d|3[01])\.(0?[1-9]|1[0-2])\.((?:19|20)\d\d)(?!\d)")
#: 260314 at the start of a name.
_SHORT = re.compile(r"\A(\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?!\d)")
#: 2026/03/14, also with words after month and day.
_NESTED = re.compile(r"(?:\A|/)((?:19|20)\d\d)/(0[1-9]|1[0-2])(?!\d)[^/]*/(0[1-9]|[12]\d|3[01])(?!\d)[^/]*\Z")
EDGES = " \t_-.,+~"
#: A session whose files state days further apart than this has no days of its own by them alone.
SESSION_DAYS = datetime.timedelta(days=7)
#: No microscope whose files are read here wrote a true date before this; clocks that lost theirs begin at 1970 or 1980.
EARLIEST = datetime.date(1985, 1, 1)
#: What a folder of a project spans: beyond it, some of its files are of another time or clock.
_PROJECT_DAYS = datetime.timedelta(days=3653)


def date_in(name: str) -> datetime.date | None:
    """The date that a folder's name carries, or None."""
    found = _dated(name)
    return found[0] if found else None


def leading_date(name: str) -> datetime.date | None:
    """The date with which a folder's name begins, or None."""
    found = _dated(name.lstrip(EDGES))
    return found[0] if found and found[1][0] == 0 else None


def session_days(
    days: Iterable[datetime.date], named: datetime.date | None, *, latest: datetime.date
) -> tuple[datetime.date, datetime.date] | None:
    """First and last day of a session, by what its files state and what its folder is named; None where neither tells.

    Parameters
    ----------
    days : iterable of date
        The days that its files state.
    named : date or None
        What the name of its folder says.
    latest : date
        What lies after it is of a clock that is wrong, as is what lies before `EARLIEST`: tomorrow, for time zones.

    Returns
    -------
    (date, date) or None
        The files' days where they lie within a week; else the folder's; else all that the files state, where that
        is within ten years.
    """
    stated = sorted(day for day in days if EARLIEST <= day <= latest)
    if stated and stated[-1] - stated[0] <= SESSION_DAYS:
        return stated[0], stated[-1]
    if named is not None:
        return named, named
    if stated and stated[-1] - stated[0] <= _PROJECT_DAYS:
        return stated[0], stated[-1]
    return None


def date_of_path(path: str) -> datetime.date | None:
    """The date that a path spells as nested folders, ``2026/03/14``, or None."""
    match = _NESTED.search(path)
    return _date(*match.groups()) if match else None


def _dated(name: str) -> tuple[datetime.date, tuple[int, int]] | None:
    for pattern, order in ((_YEAR_FIRST, (1, 3, 4)), (_DAY_FIRST, (3, 2, 1)), (_SHORT, (1, 2, 3))):
        for match in pattern.finditer(name):
            year, month, day = match.group(*order)
            if date := _date(year if len(year) == 4 else f"20{year}", month, day):
                return date, match.span()
    return None


def _date(year: str, month: str, day: str) -> datetime.date | None:
    try:
        return datetime.date(int(year), int(month), int(day))
    except ValueError:
        return None


def title_of(name: str) -> str:
    """A folder's name without its date; "" where nothing else is in it."""
    if found := _dated(name):
        start, end = found[1]
        before, after = name[:start].rstrip(EDGES), name[end:].lstrip(EDGES)
        name = f"{before} {after}"
    return name.strip(EDGES)
