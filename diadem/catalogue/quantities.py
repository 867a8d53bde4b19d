"""Numbers with units, and dates, as people write them in a search."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from typing import Final

from diadem.terms.units import convert

#: Two numbers are equal if they differ by no more than this part of the greater: what a file keeps in 32 bits
#: (relative steps of 1.2e-7) and what comes of another unit is found by the round number. Comparisons count equal
#: numbers in or out by the same rule.
TOLERANCE: Final = 1e-6
_NUMBER = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?)(.*)\Z", re.DOTALL)
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]")
#: The International System of Units, 9th edition, table 7; and the u that stands for µ.
_PREFIXES: Final[Mapping[str, float]] = {
    "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "c": 1e-2, "k": 1e3, "M": 1e6,
    "G": 1e9, "T": 1e12,
}  # fmt: skip
#: Units that a prefix may stand before, and everything that fields are in.
_BASES: Final = ("V", "A", "eV", "m", "s", "rad", "Pa", "Hz", "K", "x")
FIELD_UNITS: Final = ("V", "A", "eV", "m", "1/m", "s", "1/s", "rad", "deg", "Pa", "K", "bit", "1")
#: Of numbers without a unit: 50k, 1.5M.
_THOUSANDS: Final[Mapping[str, float]] = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
#: IEC 80000-13.
_BYTES: Final[Mapping[str, float]] = {
    "": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "pb": 1e15,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?)?)?)?\Z")
#: The last moment that there is.
_LAST: Final = datetime.datetime(9999, 12, 31)  # noqa: DTZ001
#: Days as people say them, and how many days ago they were.
_SPOKEN = {"today": 0, "yesterday": 1}


class Unreadable(ValueError):
    """A value that cannot be understood; says why, and what could be written."""

    def __init__(self, why: str, instead: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.instead = instead


def is_number(text: str) -> bool:
    """Whether a text is a number without a unit."""
    found = _NUMBER.match(text)
    return found is not None and not found[2]


def is_unit(text: str) -> bool:
    """Whether a text is a unit of some field."""
    return _bytes_factor(text) is not None or any(_converted(1.0, text, wanted) is not None for wanted in FIELD_UNITS)


def split(text: str) -> tuple[float, str]:
    """The number and its unit. Raises `Unreadable`."""
    found = _NUMBER.match(text.strip())
    if found is None or _DECIMAL_COMMA.match(text.strip()):
        comma = _DECIMAL_COMMA.match(text.strip())
        raise Unreadable(f"'{text}' is not a number", "Write a decimal point: 0.5nm." if comma else None)
    number = float(found[1])
    if not math.isfinite(number):
        raise Unreadable(f"'{text}' is not a number that fits")
    return number, found[2].strip()


def in_unit(number: float, written: str, wanted: str) -> float:
    """A number in the unit of a field: "1" and "" are none; as the unit that was written, "" is the field's own.

    Raises `Unreadable` where the unit is not known, or of another kind; says which unit the field has.
    """
    if not written:
        return number
    found = _converted(number, written, wanted or "1")
    if found is not None and math.isfinite(found):
        return found
    has = f"this field is in {wanted}" if wanted not in ("", "1") else "this field is a number without a unit"
    raise Unreadable(f"'{written}' is {'a unit of another kind' if is_unit(written) else 'no known unit'}; {has}")


def _converted(number: float, written: str, wanted: str) -> float | None:
    """The number in the wanted unit; None where the units do not go together."""
    if wanted == "1" and written in _THOUSANDS:
        return number * _THOUSANDS[written]
    if (found := convert(number, written, wanted)) is not None:
        return found
    prefix, base = written[:1], written[1:]
    return convert(number * _PREFIXES[prefix], base, wanted) if prefix in _PREFIXES and base in _BASES else None


def in_bytes(number: float, written: str) -> float:
    """A size in bytes: ``10GB``, ``1.5 TiB``. Raises `Unreadable`."""
    factor = _bytes_factor(written)
    if factor is None:
        raise Unreadable(f"'{written}' is not a size", "Write for example 10GB or 500 MiB.")
    return number * factor


def _bytes_factor(written: str) -> float | None:
    return _BYTES.get(written.lower())


def around(number: float) -> tuple[float, float]:
    """The smallest and greatest number that count as equal."""
    margin = abs(number) * TOLERANCE
    return number - margin, number + margin


def period(text: str, *, in_utc: bool = False) -> tuple[datetime.datetime, datetime.datetime | None]:
    """Beginning and end (exclusive) of a year, month, day, minute or second. The year 9999 has no end.

    `in_utc`: whether what is asked for is in UTC, in which ``today`` and ``yesterday`` begin at midnight here. Raises
    `Unreadable`, which says how to write one.
    """
    if (back := _SPOKEN.get(text.strip().casefold())) is not None:
        first = datetime.datetime.combine(datetime.date.today() - datetime.timedelta(days=back), datetime.time())  # noqa: DTZ011
        end = first + datetime.timedelta(days=1)
        return (_utc(first), _utc(end)) if in_utc else (first, end)
    found = _DATE.match(text.strip())
    if found is None:
        raise Unreadable(
            f"'{text}' is not a date", "Write 2026, 2026-03 or 2026-03-14, year first; today or yesterday."
        )
    year, month, day, hour, minute, second = (int(part) if part else None for part in found.groups())
    try:
        start = datetime.datetime(year or 0, month or 1, day or 1, hour or 0, minute or 0, second or 0)  # noqa: DTZ001
        return start, _after(start, month, day, hour, second)
    except ValueError as error:
        raise Unreadable(f"there is no day '{text}'") from error


def _utc(moment: datetime.datetime) -> datetime.datetime:
    """A moment of this machine's clock as one of UTC."""
    return moment.astimezone(datetime.UTC).replace(tzinfo=None)


def _after(
    start: datetime.datetime, month: int | None, day: int | None, hour: int | None, second: int | None
) -> datetime.datetime | None:
    try:
        if month is None:
            return start.replace(year=start.year + 1)
        if day is None:
            return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        if hour is None:
            return start + datetime.timedelta(days=1)
        return start + datetime.timedelta(seconds=60 if second is None else 1)
    except (ValueError, OverflowError):  # after the last year that there is
        return None


def limits(operator: str, text: str) -> tuple[str | None, str | None]:
    """Lower and upper text of a range; the same twice for one value; the operator's, with None for no limit."""
    if operator in ("<", "<="):
        return None, text
    if operator in (">", ">="):
        return text, None
    first, dots, last = text.partition("..")
    if not dots:
        return text, text
    if not first and not last:
        raise Unreadable("a range needs a beginning or an end", "Write for example 100kV..300kV, or 2026-01..2026-03.")
    return first or None, last or None


def moments(operator: str, text: str, *, in_utc: bool) -> tuple[datetime.datetime | None, datetime.datetime | None]:
    """Beginning, and end that is not of it; None for no limit."""
    lower, upper = limits(operator, text)
    begin = period(lower, in_utc=in_utc) if lower is not None else None
    end = period(upper, in_utc=in_utc) if upper is not None else None
    if operator == ">":
        return (begin[1] or _LAST) if begin else None, None
    if operator == "<":
        return None, end[0] if end else None
    if begin and end and begin[0] > end[0]:
        raise Unreadable("the range ends before it begins")
    return begin[0] if begin else None, end[1] if end else None
