"""Dates and times of day as instruments' computers write them: what each text may mean.

Order, separators, names of months and marks of the half of the day are those of the computer's language; `dates.toml`
beside this module has the words. Nothing is guessed: every reading is given, and an instant or another stamp of the
same file decides, or nothing does. The clock of the reading machine is never asked.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final

#: Years that an acquisition can be of: no digital electron micrograph is older, and clocks have not run on so far.
YEARS: Final = range(1975, 2101)
#: Windows FILETIME counts 100 ns from here; `Microsoft, FILETIME structure (minwinbase.h)`.
_FILETIME_START: Final = dt.datetime(1601, 1, 1, tzinfo=dt.UTC)
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
#: Day 0 of Microsoft's DATE (OLE automation), which is local by convention.
_OLE_START: Final = dt.datetime(1899, 12, 30)  # noqa: DTZ001 - of no zone
_LONGEST_OFFSET: Final = dt.timedelta(hours=14)
_QUARTER: Final = dt.timedelta(minutes=15)
#: Two stamps of one event: of clocks in two zones, and of days that both writers have counted differently.
_SAME_EVENT: Final = dt.timedelta(days=1, hours=3)
#: Characters of a text that are looked at.
_LONGEST: Final = 64

_NUMBERS: Final = re.compile(r"\d+")
_WORDS: Final = re.compile(r"[^\W\d_]{3,}")
#: Numbers of a date without a month's name: more or fewer are no date.
_THREE: Final = 3
_DOTTED: Final = re.compile(r"\d{1,2}\.\s*\d{1,2}\.\s*(\d{4}|\d\d)(\D|\Z)")
_CLOCK: Final = re.compile(r"(\d{1,2})([:.h])(\d\d)(?:(?:\2|m)(\d\d)(?:[.,](\d+))?)?s?")
#: As the C library writes it, whose language is English on every computer: ``Sat Aug 27 20:54:32 2016``.
_C_TIME: Final = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2} +\d{1,2}) (\d\d:\d\d:\d\d) (\d{4})")
#: Between day and time of day Renishaw's times have a mark of their own.
_ISO: Final = re.compile(r"(\d{4}-\d\d-\d\d[T #]\d\d:\d\d:\d\d(?:\.\d+)?)\s*(Z|[-+]\d\d:?\d\d)?\Z")


def _plain(word: str) -> str:
    """A word without accents and capitals."""
    return "".join(
        letter for letter in unicodedata.normalize("NFD", word.casefold()) if not unicodedata.combining(letter)
    )


@cache
def _words() -> Mapping[str, Any]:
    return tomllib.loads(resources.files("diadem.terms").joinpath("dates.toml").read_text("utf-8"))


@cache
def _months() -> Mapping[str, int]:
    """Months by every beginning of their names that is of one month alone, and by the names themselves."""
    found: dict[str, int] = {}
    whole = {_plain(name): number for number, names in enumerate(_words()["months"], 1) for name in names.split()}
    for name, number in whole.items():
        for length in range(3, len(name)):
            beginning = name[:length]
            found[beginning] = number if found.get(beginning, number) == number else 0
    return {**found, **whole}


def month(name: str) -> int | None:
    """Number of a month by its name, or three letters of it or more, in the languages of instruments' computers."""
    return _months().get(_plain(name)) or None


def full_year(year: int) -> int:
    """A year whose century may be left out: of two digits it is one of 1970 to 2069."""
    return year if year > 99 else year + (2000 if year < 70 else 1900)


def dates(text: str) -> list[dt.date]:
    """What a date may be: one where only one reading is a day, several where the order of its numbers is open.

    ``27.08.2016``, ``8/27/2016``, ``2016-08-27``, ``27-Aug-16``, ``12 mag 2019``, ``2016年8月27日`` … Month first comes
    before day first. With dots it is day.month.year in every language that writes dots (Unicode CLDR).
    """
    text = text[:_LONGEST]
    numbers = _NUMBERS.findall(text)
    named = [number for word in _WORDS.findall(text) if (number := month(word))]
    found: Iterator[dt.date | None] = iter(())
    if len(numbers) == _THREE and not named:
        found = _numeric(*numbers, dotted=bool(_DOTTED.match(text.strip())))
    elif len(numbers) == _THREE - 1 and len(named) == 1:
        day, year = numbers if len(numbers[1]) in (2, 4) and len(numbers[0]) <= 2 else reversed(numbers)
        found = iter((_day(year, named[0], day),))
    return list(dict.fromkeys(day for day in found if day is not None))


def _numeric(first: str, second: str, third: str, *, dotted: bool) -> Iterator[dt.date | None]:
    """Readings of three numbers. A year of four digits can only stand first or last."""
    if len(first) == 4:
        yield _day(first, int(second), third)
        return
    if not dotted:
        yield _day(third, int(first), second)
    yield _day(third, int(second), first)
    if not dotted and len(third) <= 2 and len(first) == 2:
        yield _day(first, int(second), third)


def _day(year: str, number: int, day: str) -> dt.date | None:
    """A day of a year of ours; None where there is no such day."""
    try:
        found = dt.date(full_year(int(year)), number, int(day)) if len(year) in (2, 4) and len(day) <= 2 else None
    except ValueError:
        return None
    return found if found is not None and found.year in YEARS else None


def clocks(text: str) -> list[dt.time]:
    """What a time of day may be: two readings where a mark beside it is not understood.

    ``20:55:59.5``, ``8:55:59 PM``, ``08:55:59 p.m.``, ``20.55.59``, ``下午 8:55:59`` …
    """
    text = text[:_LONGEST]
    match = _CLOCK.search(text)
    if match is None:
        return []
    mark = re.sub(r"[\s.]", "", text[: match.start()] + text[match.end() :]).lower()
    hour, minute, second = int(match[1]), int(match[3]), int(match[4] or 0)
    if hour > 23 or minute > 59 or second > 59 or any(letter.isdigit() for letter in mark):
        return []
    # Digits after the sixth are cut off: rounded, the last moment of a second would be the next one's first.
    fraction = int((match[5] or "")[:6].ljust(6, "0"))
    return [dt.time(each, minute, second, fraction) for each in _hours(hour, mark)]


def _hours(hour: int, mark: str) -> list[int]:
    """Hours that a number and a mark may mean."""
    if not mark or hour > 12 or mark in _words()["no_mark"]:
        return [hour]
    morning, afternoon = hour % 12, hour % 12 + 12
    if mark in _words()["before_noon"]:
        return [morning]
    return [afternoon] if mark in _words()["after_noon"] else [morning, afternoon]


def clock(text: str) -> dt.time | None:
    """The time of day that a text means; None where it is none, or may be two."""
    found = clocks(text)
    return found[0] if len(found) == 1 else None


def moments_of(date: str, clock: str) -> list[dt.datetime]:
    """All local times that a date and a time of day may mean together."""
    return [dt.datetime.combine(day, hour) for day in dates(date) for hour in clocks(clock)]


def moment_of(date: str, clock: str, same: dt.datetime | None = None) -> dt.datetime | None:
    """The local time that a date and a time of day mean; None where `decided` cannot tell day and month apart."""
    return decided(moments_of(date, clock), same=same)


def decided(
    readings: Sequence[dt.datetime], instant: dt.datetime | None = None, same: dt.datetime | None = None
) -> dt.datetime | None:
    """The one of several readings that can be; None where nothing decides.

    `instant` is the moment in UTC, from the same file: only one reading may have an offset from it that can exist.
    `same` is the same event by another stamp of the file, whose date is unmistakable.
    """
    if len(readings) > 1 and instant is not None:
        readings = [local for local in readings if offset_of(local, instant) is not None]
    elif len(readings) > 1 and same is not None:
        readings = [local for local in readings if abs(local - same.replace(tzinfo=None)) < _SAME_EVENT]
    return readings[0] if len(readings) == 1 else None


def offset_of(local: dt.datetime, instant: dt.datetime) -> dt.timedelta | None:
    """Offset from UTC of a local time whose instant is known; None unless it is a multiple of 15 min up to 14 h.

    The two may be written up to two minutes apart.
    """
    apart = local.replace(tzinfo=dt.UTC) - instant
    offset = round(apart / _QUARTER) * _QUARTER
    return offset if abs(offset) <= _LONGEST_OFFSET and abs(apart - offset) <= dt.timedelta(minutes=2) else None


def from_filetime(ticks: int) -> dt.datetime | None:
    """The instant of a Windows FILETIME; None for 0 and what is no year of ours."""
    return _sane(_FILETIME_START, dt.timedelta(microseconds=ticks // 10) if 0 < ticks < 1 << 62 else None)


def from_epoch(seconds: float) -> dt.datetime | None:
    """The instant of seconds since 1970 UTC; None for 0 and what is no year of ours."""
    return _sane(_EPOCH, dt.timedelta(seconds=float(seconds)) if 0 < seconds < 1e11 else None)


def from_ole(days: Any) -> dt.datetime | None:
    """The local time of Microsoft's DATE, to the millisecond that its digits are good for; None as above."""
    real = isinstance(days, float) and 0 < days < 1e5
    return _sane(_OLE_START, dt.timedelta(milliseconds=round(days * 86_400_000)) if real else None)


def _sane(start: dt.datetime, passed: dt.timedelta | None) -> dt.datetime | None:
    moment = None if passed is None else start + passed
    return moment if moment is not None and moment.year in YEARS else None


def c_time(text: str) -> dt.datetime | None:
    """A time as C's `ctime` writes it, ``Sat Aug 27 20:54:32 2016``, or None."""
    match = _C_TIME.match(text.strip())
    return moment_of(f"{match[1]} {match[3]}", match[2]) if match is not None else None


def iso(text: Any) -> dt.datetime | None:
    """A time of ISO 8601, with an offset where one is written; fractions beyond microseconds are cut off."""
    match = _ISO.match(str(text).strip())
    try:
        return dt.datetime.fromisoformat(match[1] + (match[2] or "")) if match is not None else None
    except ValueError:
        return None


def is_moment(text: str) -> bool:
    """Whether the calendar has a day, or a time of it in ISO 8601; a leap second is one."""
    return iso(text.replace(":60", ":59") if "T" in text else f"{text}T00:00:00") is not None


def exif(text: Any) -> dt.datetime | None:
    """A local time of TIFF and Exif: ``2022:02:10 13:00:35``."""
    try:
        return dt.datetime.strptime(str(text).strip(), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - no zone is stated
    except ValueError:
        return None


def text_of(moment: dt.datetime) -> str:
    """RFC 3339, without trailing zeros in fractions of a second, ``Z`` for UTC."""
    text = re.sub(r"(\.\d*[1-9])0+(?!\d)", r"\1", moment.isoformat())
    return text.removesuffix("+00:00") + "Z" if moment.tzinfo is dt.UTC else text
