"""DENSsolutions' DigiHeater logs: three lines of header, then a table of temperatures."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from diadem.hooks.fields import Block, Found, Tree
from diadem.hooks.times import moments
from diadem.terms.dates import clock

_FIRST = re.compile(r"(\d\d)/(\d\d)/'(\d\d) (\d\d:\d\d)\t(Digiheater \S+)\Z")
#: Lines that are looked at, empty ones before the header among them, and characters in a line.
_LINES, _LONGEST = 8, 1000


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001
    """The header of a log: date, version, calibration.

    Parameters
    ----------
    path : str
        A ``.dens`` file.
    files : sequence of str
        Not needed.
    """
    with Path(path).open(encoding="latin-1") as stream:
        lines = [line for _ in range(_LINES) if (line := stream.readline(_LONGEST).rstrip("\r\n"))]
    if lines and (match := _FIRST.match(lines[0])):
        tree = {"Date": lines[0].partition("\t")[0], "Version": match[5], **_calibration(lines[1:3])}
        yield Block("digiheater-header", tree, place="header")


def _calibration(lines: Sequence[str]) -> dict[str, str]:
    """The pairs of ``name = value`` of the second and third line."""
    pairs = (part.partition("=") for line in islice(lines, 2) for part in line.split("\t"))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def time(tree: Tree) -> Iterator[Found]:
    """The date has an apostrophe before the year, as no language's dates have: the order is the program's own."""
    match = _FIRST.match(f"{tree['Date']}\t{tree['Version']}")
    hour = clock(match[4]) if match else None
    if match and hour:
        day = dt.date(2000 + int(match[3]), int(match[2]), int(match[1]))
        yield from moments("time.acquired_start", "Date", tree["Date"], local=dt.datetime.combine(day, hour))
