"""The experiment's log: when an acquisition was started and finished, by the clock on the wall.

Since Velox 3 its lines have the offset from UTC; before, local time alone (2.10 and 2.13 are an hour ahead of the
epoch of the first frame, in Central European winter).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from diadem.terms.dates import offset_of

_LINE = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)([+-]\d{4})? (Started|Finished) acquisition", re.ASCII)
#: The oldest program that is known to write local time: two real files, 2.10 and 2.13.
_LOCAL_SINCE = (2, 10)
_MOST_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log.

    Attributes
    ----------
    what : str
        ``Started`` or ``Finished``.
    moment : datetime
        With a time zone where the line has one.
    raw : str
        The line's time as written.
    """

    what: str
    moment: dt.datetime
    raw: str


def entries(quoted: str) -> list[Entry]:
    """Beginnings and ends in a log.

    Parameters
    ----------
    quoted : str
        The text as stored, with ``%20`` for a blank.
    """
    found = []
    for line in unquote(quoted).splitlines()[:_MOST_ENTRIES]:
        match = _LINE.match(line)
        if match is None:
            continue
        try:
            moment = dt.datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3] or ''}")
        except ValueError:
            continue
        found.append(Entry(match[4], moment, f"{match[1]} {match[2]}{match[3] or ''}"))
    return found


def offset(log: Sequence[Entry], instants: Sequence[dt.datetime]) -> dt.timedelta | None:
    """Offset of the log's clock from UTC: stated, or from an acquisition whose instant is known; None without either.

    Parameters
    ----------
    log : sequence of Entry
        Of one file.
    instants : sequence of datetime
        When acquisitions began, in UTC.
    """
    for entry in log:
        if entry.moment.tzinfo is not None:
            return entry.moment.utcoffset()
    for entry in log:
        for instant in instants:
            apart = offset_of(entry.moment, instant) if entry.what == "Started" else None
            if apart is not None:
                return apart
    return None


def is_local(log: Sequence[Entry], apart: dt.timedelta, program: Any) -> bool:
    """Whether the log's clock is the one on the wall; one that shows UTC under an old program may be just that.

    Parameters
    ----------
    log : sequence of Entry
        Of one file.
    apart : timedelta
        Its offset from UTC.
    program : object
        ``applicationVersion`` of the file.
    """
    if apart or any(entry.moment.tzinfo is not None for entry in log):
        return True
    match = re.match(r"(\d{1,4})\.(\d{1,4})\.", str(program))
    return match is not None and (int(match[1]), int(match[2])) >= _LOCAL_SINCE
