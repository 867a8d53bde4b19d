"""Times of acquisition, as far as a file knows them.

A file that states an offset is *known*; one with an instant (epoch, FILETIME) beside its local text lets the offset be
*derived*; local text alone has an offset that is *unknown*. How texts are read is told by `diadem.terms.dates`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

from diadem.hooks.fields import AMBIGUOUS, Found
from diadem.terms.dates import YEARS, decided, offset_of, text_of

_QUARTER = dt.timedelta(minutes=15)


def moments(
    field: str,
    key: str,
    raw: Any,
    *,
    local: dt.datetime | Sequence[dt.datetime] | None = None,
    instant: dt.datetime | None = None,
    same: dt.datetime | None = None,
) -> Iterator[Found]:
    """A time as the record has it, and the offset where there is one.

    Parameters
    ----------
    field : str
        ``time.acquired_start`` or ``time.acquired_end``.
    key, raw
        As in `Found`.
    local : datetime or sequence of datetime, optional
        The file's local time; with a time zone where the file states the offset. Of several readings
        (`diadem.terms.dates.moments_of`) the one is taken that can be; where nothing decides, the record says that the
        date can be two.
    instant : datetime, optional
        The same moment in UTC, from an epoch or FILETIME.
    same : datetime, optional
        The same event by another stamp of the file, to decide between readings.
    """
    if isinstance(local, Sequence):
        readings, local = local, decided(local, instant, same)
        if local is None and instant is None and len(readings) > 1:
            yield Found(field, " or ".join(map(text_of, readings)), key, raw, status=AMBIGUOUS)
    if local is not None and local.year not in YEARS:
        local = None
    if local is not None and local.tzinfo is not None:
        yield from _with_offset(field, key, raw, local, "known")
    elif local is not None and instant is not None and (offset := offset_of(local, instant)) is not None:
        yield from _with_offset(field, key, raw, local.replace(tzinfo=dt.timezone(offset)), "derived")
    elif local is not None:
        # An instant that contradicts the local text is a second statement; the local text alone has no offset.
        yield Found(field, text_of(local), key, raw, status="stated", offset_status="unknown")
        if instant is not None:
            yield Found(field, text_of(instant), key, raw, status="stated", offset_status="known")
    elif instant is not None and instant.year in YEARS:
        yield Found(field, text_of(instant), key, raw, status="stated", offset_status="known")


def _with_offset(field: str, key: str, raw: Any, local: dt.datetime, status: str) -> Iterator[Found]:
    """A time and its offset. Only where a file states UTC it is ``Z``: a clock in London in winter tells local time."""
    how = "stated" if status == "known" else "derived"
    written = text_of(local)
    if status == "derived":
        written = written.replace("Z", "+00:00")
    yield Found(field, written, key, raw, status=how, offset_status=status)
    offset = local.utcoffset()
    assert offset is not None
    if not written.endswith("Z") and offset.total_seconds() % _QUARTER.total_seconds() == 0:
        yield Found("time.utc_offset", written[-6:], key, raw, status=how)
