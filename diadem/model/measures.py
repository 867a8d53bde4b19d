"""Durations and sizes as people write them in a policy: ``90 days``, ``500 GB``; and back in words."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from diadem.errors import UsageError

_SECONDS: Final = {"s": 1, "min": 60, "h": 3600, "hour": 3600, "day": 86400, "week": 7 * 86400}
#: Months and years of the policy are plain counts of days, so that an interval does not depend on where it begins.
_UNITS: Final = {**_SECONDS, "month": 30 * 86400, "year": 365 * 86400}
_DECIMAL: Final = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15}
_SIZES: Final = {**_DECIMAL, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_MEASURE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?) ?([A-Za-z]{1,6})\Z", re.ASCII)


def read_duration(text: str) -> timedelta:
    """The duration that a text says.

    Parameters
    ----------
    text : str
        A number and ``s``, ``min``, ``h``, ``days``, ``weeks``, ``months`` (30 days) or ``years`` (365 days).

    Raises
    ------
    UsageError
        It says none.
    """
    number, unit = _parts(text, "duration", "10 min, 90 days, 1 year")
    word = unit if unit in _UNITS else unit.removesuffix("s")
    if word not in _UNITS or unit in ("ss", "mins", "hs"):
        raise _refused(text, "duration", "10 min, 90 days, 1 year")
    return timedelta(seconds=number * _UNITS[word])


def read_size(text: str) -> int:
    """The bytes that a text says.

    Parameters
    ----------
    text : str
        A number and ``B``, ``kB``, ``MB``, ``GB``, ``TB``, ``PB`` (powers of 1000) or ``KiB`` … ``TiB`` (of 1024).

    Raises
    ------
    UsageError
        It says none.
    """
    number, unit = _parts(text, "size", "200 MB, 500 GB, 2 TB")
    if unit not in _SIZES:
        raise _refused(text, "size", "200 MB, 500 GB, 2 TB")
    return round(number * _SIZES[unit])


def read_rate(text: str) -> float:
    """The bytes a second that a text says: a size as `read_size` takes it, with or without ``/s``.

    Raises
    ------
    UsageError
        It says none, or nothing a second.
    """
    number, unit = _parts(text.removesuffix("/s"), "rate", "20 MB, 1.5 GB/s")
    if unit not in _SIZES or not number:
        raise _refused(text, "rate", "20 MB, 1.5 GB/s")
    return number * _SIZES[unit]


def _parts(text: str, kind: str, examples: str) -> tuple[float, str]:
    match = _MEASURE.match(text)
    if match is None:
        raise _refused(text, kind, examples)
    return float(match.group(1)), match.group(2)


def _refused(text: str, kind: str, examples: str) -> UsageError:
    return UsageError(f"'{text[:80]}' is not a {kind}", next=f"Write a number and a unit: {examples}.")
