"""Dates and times of day as a Windows PC of any language writes them: what each text may mean.

DigitalMicrograph takes the text from the system, so order, separators and marks of the half of the day are those of
the PC's language. Nothing is guessed: all readings are given, and an instant or another date of the file decides.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

from diadem.hooks.times import YEARS

#: Names of months in short dates of Windows: English, German, French, Spanish.
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january janv jän ene",
            "feb february févr",
            "mar march mär mrz mars",
            "apr april avr abr",
            "may mai",
            "jun june juni juin",
            "jul july juli juil",
            "aug august août ago",
            "sep sept september set",
            "oct october okt oktober",
            "nov november",
            "dec december dez dezember déc dic",
        ),
        start=1,
    )
    for name in names.split()
}
_BEFORE_NOON = frozenset({"am", "上午", "午前", "오전", "πμ"})
_AFTER_NOON = frozenset({"pm", "下午", "午後", "오후", "μμ"})
_NUMBERS = re.compile(r"\d+")
_WORDS = re.compile(r"[^\W\d_]{3,}")
_CLOCK = re.compile(r"(\d{1,2})[:.h](\d\d)(?:[:.m](\d\d))?(?:[.,]\d+)?s?")
#: Numbers of a date: more are no date.
_DATE_NUMBERS = 3


def dates(text: str) -> list[dt.date]:
    """What a date may be: one where only one reading is a day, several where the order of day and month is open.

    Parameters
    ----------
    text : str
        ``27.08.2016``, ``8/27/2016``, ``2016-08-27``, ``27-Aug-16``, ``2016年8月27日`` …
    """
    numbers = _NUMBERS.findall(text[:64])
    words = [word.lower() for word in _WORDS.findall(text[:64])]
    named = [_MONTHS[word] for word in words if word in _MONTHS]
    found = []
    if len(numbers) == _DATE_NUMBERS and not named:
        found = list(_numeric(*numbers))
    elif len(numbers) == _DATE_NUMBERS - 1 and len(named) == 1:
        found = [_day(numbers[1], named[0], numbers[0]), _day(numbers[0], named[0], numbers[1])]
    return list(dict.fromkeys(day for day in found if day is not None and day.year in YEARS))


def _numeric(first: str, second: str, third: str) -> Iterator[dt.date | None]:
    """Readings of three numbers. A year of four digits can only stand first or last; month first before day first."""
    if len(first) == 4:
        yield _day(first, int(second), third)
        return
    yield _day(third, int(first), second)
    yield _day(third, int(second), first)
    if len(third) <= 2 and len(first) == 2:
        yield _day(first, int(second), third)


def _day(year: str, month: int, day: str) -> dt.date | None:
    """A day, or None where there is no such day. Years of two digits are of 1970 to 2069."""
    number = int(year) if len(year) > 2 else int(year) + (2000 if int(year) < 70 else 1900)
    try:
        return dt.date(number, month, int(day))
    except ValueError:
        return None


def clocks(text: str) -> list[dt.time]:
    """What a time of day may be: two readings where a mark beside it is not understood.

    Parameters
    ----------
    text : str
        ``20:55:59``, ``8:55:59 PM``, ``08:55:59 p.m.``, ``20.55.59``, ``下午 8:55:59`` …
    """
    match = _CLOCK.search(text[:64])
    if match is None:
        return []
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    if hour > 23 or minute > 59 or second > 59:
        return []
    mark = re.sub(r"[\s. ]", "", text[: match.start()] + text[match.end() : 64]).lower()
    return [dt.time(each, minute, second) for each in _hours(hour, mark)]


def _hours(hour: int, mark: str) -> list[int]:
    """Hours that a number and a mark may mean."""
    if not mark or hour > 12:
        return [hour]
    morning, afternoon = hour % 12, hour % 12 + 12
    if mark in _BEFORE_NOON:
        return [morning]
    return [afternoon] if mark in _AFTER_NOON else [morning, afternoon]


def moments_of(date: str, clock: str) -> list[dt.datetime]:
    """All local times that a date and a time of day may mean together."""
    return [dt.datetime.combine(day, hour) for day in dates(date) for hour in clocks(clock)]


#: Marks of the C library, whose language is English on every PC: ``Sat Aug 27 20:54:32 2016``.
_C_TIME = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})")


def c_time(text: str) -> dt.datetime | None:
    """A time as C's `ctime` writes it, or None."""
    match = _C_TIME.match(text.strip())
    month = _MONTHS.get(match[1].lower(), 0) if match else 0
    if match is None or not month:
        return None
    hour, minute, second = (int(match[group]) for group in (3, 4, 5))
    try:
        return dt.datetime.combine(dt.date(int(match[6]), month, int(match[2])), dt.time(hour, minute, second))
    except ValueError:
        return None
