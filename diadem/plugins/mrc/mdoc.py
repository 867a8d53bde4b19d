"""SerialEM's lists of sections (``.mdoc``): ``key = value`` in lines, sections in brackets.

Keys and units: SerialEM's help, "About the Image Metadata Output File".
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from diadem.hooks.fields import Found, Tree
from diadem.hooks.text import decode
from diadem.hooks.times import moments
from diadem.terms.dates import moment_of

_SECTION = re.compile(r"\[(ZValue|FrameSet|MontSection|Image)\s*=\s*(.*?)\s*\]")
_TITLE = re.compile(r"\[T\s*=\s*(.*?)\s*\]")
#: Sections that are kept in the tree; a tilt series has about a hundred.
_MOST = 10_000


def is_mdoc(path: str) -> bool:
    """Whether a file is such a list."""
    with Path(path).open("rb") as stream:
        return bool(parse(stream.read(1 << 16)))


def parse(data: bytes) -> dict[str, Any]:
    """A list as a tree: keys before the first section, ``Titles``, and ``Sections``; none where it has no section."""
    top: dict[str, Any] = {}
    titles: list[str] = []
    sections: list[dict[str, str]] = []
    place: dict[str, Any] = top
    for line in decode(data).splitlines():
        if section := _SECTION.match(line):
            if len(sections) == _MOST:
                break
            place = {section[1]: section[2]}
            sections.append(place)
        elif title := _TITLE.match(line):
            titles.append(title[1])
        elif line.startswith("["):
            place = {}
        else:
            key, equals, value = line.partition("=")
            if equals and key.strip():
                place.setdefault(key.strip(), value.strip())
    return {**top, "Titles": titles, "Sections": sections} if sections else {}


def software(tree: Tree) -> Iterator[Found]:
    for place, title in enumerate(tree["Titles"]):
        if title.startswith("SerialEM:"):
            yield Found("instrument.software", "SerialEM", f"Titles/{place}", title)
            return


def moment(text: str) -> dt.datetime | None:
    """``03-May-23  13:59:32``, ``03-May-2023  13:59:32``."""
    day, _, hour = text.strip().partition(" ")
    return moment_of(day, hour)


def times(tree: Tree) -> Iterator[Found]:
    """Times of the first and of the last section, where all stand in the order in which they were taken.

    A list that has been sorted by tilt is an edited one, from which sections are often taken out: its earliest need not
    be the first of the series.
    """
    sections: list[Mapping[str, str]] = tree["Sections"]
    taken = [moment(section.get("DateTime", "")) for section in sections]
    known = [local for local in taken if local is not None]
    if len(known) < len(taken) or known != sorted(known):
        return
    for field, place in (("time.acquired_start", 0), ("time.acquired_end", len(known) - 1)):
        if field == "time.acquired_start" or place:
            key = f"Sections/{place}/DateTime"
            yield from moments(field, key, sections[place]["DateTime"], local=known[place])
