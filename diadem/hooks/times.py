"""Times of acquisition, as far as a file knows them.

A file that states an offset is *known*; one with an instant (epoch, FILETIME) beside its local text lets the offset be
*derived*; local text alone has an offset that is *unknown*. The clock of the reading machine is never asked.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from diadem.hooks.fields import Found

#: Windows FILETIME counts 100 ns from here; `Microsoft, FILETIME structure (minwinbase.h)`.
_FILETIME_START = dt.datetime(1601, 1, 1, tzinfo=dt.UTC)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
#: Years that an acquisition can be of: no digital electron micrograph is older, and clocks have not run on so far.
YEARS = range(1975, 2101)
_LONGEST_OFFSET = dt.timedelta(hours=14)
_STEP = dt.timedelta(minutes=15)
_NUMERIC = re.compile(r"(\d{1,2})[/.\-](\d{1,2})[/.\-](\d{4}|\d\d)\Z")
_NAMED = re.compile(r"(\d{1,2})[.\s-]+(?:de\s+)?([^\W\d_]{3,})\.?[.\s-]+(?:de\s+)?(\d{4})\Z")
_ORDERED = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})\Z")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?\s*(Z|[-+]\d\d:?\d\d)?\Z")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d)(\.\d{1,9})?)?\s*([AaPp]\.?[Mm]\.?)?\Z")

#: First three letters of months in English, German, French, Spanish, Italian, Portuguese, Dutch and the Nordic
#: languages; none stands for two months. French `juin` and `juillet` need four.
_MONTHS: Mapping[str, int] = {
    **dict.fromkeys(("jan", "ene", "gen"), 1), **dict.fromkeys(("feb", "fév", "fev"), 2),
    **dict.fromkeys(("mar", "mär", "mrz", "mrt", "maa"), 3), **dict.fromkeys(("apr", "avr", "abr"), 4),
    **dict.fromkeys(("may", "mai", "maj", "mei", "mag"), 5), **dict.fromkeys(("jun", "juin", "giu"), 6),
    **dict.fromkeys(("jul", "juil", "lug"), 7), **dict.fromkeys(("aug", "aoû", "ago", "aou"), 8),
    **dict.fromkeys(("sep", "set"), 9), **dict.fromkeys(("oct", "okt", "ott", "out"), 10),
    **dict.fromkeys(("nov",), 11), **dict.fromkeys(("dec", "dez", "déc", "dic", "des"), 12),
}  # fmt: skip


def from_filetime(ticks: int) -> dt.datetime | None:
    """The instant of a Windows FILETIME; None for 0 and what is no year of ours."""
    return _sane(_FILETIME_START, dt.timedelta(microseconds=ticks // 10) if 0 < ticks < 1 << 62 else None)


def from_epoch(seconds: float) -> dt.datetime | None:
    """The instant of seconds since 1970 UTC; None for 0 and what is no year of ours."""
    return _sane(_EPOCH, dt.timedelta(seconds=float(seconds)) if 0 < seconds < 1e11 else None)


def _sane(start: dt.datetime, passed: dt.timedelta | None) -> dt.datetime | None:
    moment = None if passed is None else start + passed
    return moment if moment is not None and moment.year in YEARS else None


def clock(text: str) -> dt.time | None:
    """A time of day: ``14:05:09.25``, ``2:05:09 PM``."""
    match = _CLOCK.match(text.strip())
    if match is None:
        return None
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    if match[5]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match[5][0] in "Pp" else 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    return dt.time(hour, minute, second, round(float(match[4] or 0) * 1e6) % 1_000_000)


def days(text: str) -> list[dt.date]:
    """What a numeric date such as ``03/04/2019`` may mean: month first, day first; one where only one is a date."""
    match = _NUMERIC.match(text.strip())
    if match is None:
        return []
    first, second, year = int(match[1]), int(match[2]), int(match[3])
    year += 0 if year > 99 else 2000 if year < 70 else 1900
    found = []
    for month, day in ((first, second), (second, first)):
        try:
            found.append(dt.date(year, month, day))
        except ValueError:
            continue
    return list(dict.fromkeys(found))


def several_days(text: str) -> list[dt.date]:
    """What a date may mean: year first, with a month's name, or numeric (see `days`)."""
    text = text.strip()
    ordered, named = _ORDERED.match(text), _NAMED.match(text)
    if ordered:
        parts = (int(ordered[1]), int(ordered[2]), int(ordered[3]))
    elif named and (month := month_of(named[2])):
        parts = (int(named[3]), month, int(named[1]))
    else:
        return days(text)
    try:
        return [dt.date(*parts)]
    except ValueError:
        return []


def month_of(name: str) -> int | None:
    """Number of a month by its name or the beginning of it, in the languages that instruments' computers speak."""
    name = name.lower()
    return _MONTHS.get(name[:4]) or _MONTHS.get(name[:3])


def moments_of(date: str, time: str) -> list[dt.datetime]:
    """Local times that a date and a clock may mean; one where the date is unmistakable."""
    hour = clock(time)
    return [] if hour is None else [dt.datetime.combine(day, hour) for day in several_days(date)]


def moment_of(date: str, time: str, same: dt.datetime | None = None) -> dt.datetime | None:
    """The local time that a date and a clock mean.

    Parameters
    ----------
    date, time : str
        As written.
    same : datetime, optional
        The same event by another stamp of the file whose date is unmistakable; it decides between two meanings.

    Returns
    -------
    datetime or None
        None where day and month cannot be told apart.
    """
    found = moments_of(date, time)
    if len(found) > 1 and same is not None:
        found = [local for local in found if abs(local - same) < dt.timedelta(days=1, hours=3)]
    return found[0] if len(found) == 1 else None


def iso(text: Any) -> dt.datetime | None:
    """A time of ISO 8601, with an offset where one is written; fractions beyond microseconds are cut off."""
    match = _ISO.match(str(text).strip())
    if match is None:
        return None
    fraction = (match[3] or "")[:7]
    offset = (match[4] or "").replace("Z", "+00:00")
    try:
        found = dt.datetime.fromisoformat(f"{match[1]}T{match[2]}{fraction.ljust(7, '0') if fraction else ''}{offset}")
    except ValueError:
        return None
    return found.astimezone(dt.UTC) if found.utcoffset() == dt.timedelta() and match[4] == "Z" else found


def exif(text: Any) -> dt.datetime | None:
    """A local time of TIFF and Exif: ``2022:02:10 13:00:35``."""
    try:
        return dt.datetime.strptime(str(text).strip(), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - no zone is stated
    except ValueError:
        return None


def fitting(candidates: Sequence[dt.datetime], instant: dt.datetime | None) -> dt.datetime | None:
    """The one local time that can be: the only one, or the only one whose offset from `instant` can exist."""
    if len(candidates) == 1:
        return candidates[0]
    possible = [local for local in candidates if instant is not None and offset_of(local, instant) is not None]
    return possible[0] if len(possible) == 1 else None


def offset_of(local: dt.datetime, instant: dt.datetime) -> dt.timedelta | None:
    """Offset from UTC of a local time whose instant is known; None unless it is a multiple of 15 min up to 14 h.

    The two may be written up to two minutes apart.
    """
    apart = local.replace(tzinfo=dt.UTC) - instant
    offset = round(apart / _STEP) * _STEP
    return offset if abs(offset) <= _LONGEST_OFFSET and abs(apart - offset) <= dt.timedelta(minutes=2) else None


def moments(
    field: str,
    key: str,
    raw: Any,
    *,
    local: dt.datetime | None = None,
    instant: dt.datetime | None = None,
) -> Iterator[Found]:
    """A time as the record has it, and the offset where there is one.

    Parameters
    ----------
    field : str
        ``time.acquired_start`` or ``time.acquired_end``.
    key, raw
        As in `Found`.
    local : datetime, optional
        The file's local time; with a time zone where the file states the offset.
    instant : datetime, optional
        The same moment in UTC, from an epoch or FILETIME.
    """
    if local is not None and local.year not in YEARS:
        local = None
    if local is not None and local.tzinfo is not None:
        yield from _with_offset(field, key, raw, local, "known")
    elif local is not None and instant is not None and (offset := offset_of(local, instant)) is not None:
        yield from _with_offset(field, key, raw, local.replace(tzinfo=dt.timezone(offset)), "derived")
    elif local is not None:
        # An instant that contradicts the local text is a second statement; the local text alone has no offset.
        yield Found(field, text(local), key, raw, status="stated", offset_status="unknown")
        if instant is not None:
            yield Found(field, text(instant), key, raw, status="stated", offset_status="known")
    elif instant is not None and instant.year in YEARS:
        yield Found(field, text(instant), key, raw, status="stated", offset_status="known")


def _with_offset(field: str, key: str, raw: Any, local: dt.datetime, status: str) -> Iterator[Found]:
    """A time and its offset. Only where a file states UTC it is ``Z``: a clock in London in winter tells local time."""
    how = "stated" if status == "known" else "derived"
    written = text(local)
    if status == "derived":
        written = written.replace("Z", "+00:00")
    yield Found(field, written, key, raw, status=how, offset_status=status)
    offset = local.utcoffset()
    assert offset is not None
    if not written.endswith("Z") and offset.total_seconds() % _STEP.total_seconds() == 0:
        yield Found("time.utc_offset", written[-6:], key, raw, status=how)


def text(moment: dt.datetime) -> str:
    """RFC 3339, without trailing zeros in fractions of a second, ``Z`` for UTC."""
    base = moment.strftime("%Y-%m-%dT%H:%M:%S") if moment.year > 999 else ""
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    if moment.tzinfo is None:
        return base + fraction
    if moment.tzinfo is dt.UTC:
        return base + fraction + "Z"
    minutes = round((moment.utcoffset() or dt.timedelta()).total_seconds() / 60)
    sign, minutes = "-" if minutes < 0 else "+", abs(minutes)
    return f"{base}{fraction}{sign}{minutes // 60:02d}:{minutes % 60:02d}"
