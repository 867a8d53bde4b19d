"""Dates such as ``01-OCT-1991``, also with months as programs in other languages write them."""

from __future__ import annotations

import datetime as dt
import re

from diadem.hooks import times

#: Beginnings of the names of months in English, German, French, Spanish, Italian, Portuguese, Dutch, Danish, Norwegian,
#: Swedish, Polish and Czech. What means two months in two of these languages (``lis``, ``srp``, ``jui``) is left out.
_MONTHS = (
    "jan gen ene sty led",
    "feb fév fev lut úno",
    "mar mär mrz mrt maa mac bře",
    "apr avr abr kwi dub",
    "may mai mei maj mag kvě",
    "jun juin giu cze červen červn",
    "jul juil lug lip červenec",
    "aug aoû aou ago sie",
    "sep set wrz zář",
    "oct okt ott out paź říj",
    "nov",
    "dec dez déc dic des gru pro",
)
_NUMBERS = {name: number for number, names in enumerate(_MONTHS, 1) for name in names.split()}
_DATE = re.compile(r"(\d{1,2})[-\s./]+([^\W\d_]{3,12})\.?[-\s./]+(\d{4}|\d\d)\Z")
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)\Z")


def month(name: str) -> int | None:
    """Number of a month, 1 to 12, from its name or the first letters of it; None where it is not certain."""
    lower = name.lower().rstrip(".")
    beginnings = [known for known in _NUMBERS if lower.startswith(known)]
    return _NUMBERS[max(beginnings, key=len)] if beginnings else None


def date(text: str) -> dt.date | None:
    """The day that a text means, or None where it is no date or may be two.

    Parameters
    ----------
    text : str
        ``01-OCT-1991``, ``29-Aug-22``, ``1991-10-01``; ``13/04/2019`` but not ``03/04/2019``.
    """
    text = text.strip()
    try:
        if iso := _ISO.match(text):
            return dt.date(int(iso[1]), int(iso[2]), int(iso[3]))
        if (named := _DATE.match(text)) and (number := month(named[2])):
            year = int(named[3])
            year += 0 if year > 99 else 2000 if year < 70 else 1900
            return dt.date(year, number, int(named[1]))
    except ValueError:
        return None
    possible = times.days(text)
    return possible[0] if len(possible) == 1 else None
