"""TESCAN's header: a side file of INI sections, or the same in a TIFF tag without the sections' names."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping

from diadem.hooks.fields import Found, Tree, look_up
from diadem.hooks.text import decode, ini
from diadem.hooks.times import moments, universal
from diadem.terms.dates import decided, exif, moments_of, offset_of
from diadem.terms.fields import ion_of

#: Types of the tag's records; the first is a picture of the image.
_RECORDS = {2: "MAIN", 3: "SEM"}
_LINES = re.compile(rb"(?:[A-Za-z0-9][\w.]*=[^\r\n\x00]*\r?\n){4,}")


def sections(data: bytes) -> dict[str, dict[str, str]] | None:
    """A side file; sections of one that does not name them by the keys of its first lines. None of another's."""
    found = ini(decode(data))
    if "MAIN" in found and len(found) > 1:
        return found
    lines = found.get("", {})
    return {"MAIN": lines, "SEM": lines} if {"PixelSizeX", "Device", "HV"} <= set(lines) else None


def records(data: bytes) -> dict[str, dict[str, str]]:
    """The tag's records of text as sections.

    Each record is its length in four bytes, its type in two, and its content. Where the records do not lie so, lines of
    ``key=value`` are looked for.
    """
    found: dict[str, dict[str, str]] = {}
    start = 0
    while start + 6 <= len(data):
        length = int.from_bytes(data[start : start + 4], "little")
        kind = int.from_bytes(data[start + 4 : start + 6], "little")
        if length < 2 or start + 4 + length > len(data):
            break
        lines = ini(decode(data[start + 6 : start + 4 + length])).get("", {}) if kind > 1 else {}
        if lines:
            found[_section(kind, lines)] = lines
        start += 4 + length
    return found or _scattered(data)


def _scattered(data: bytes) -> dict[str, dict[str, str]]:
    """Sections by their content, wherever they stand."""
    found: dict[str, dict[str, str]] = {}
    for match in _LINES.finditer(data):
        lines = ini(decode(match[0])).get("", {})
        if {"Device", "PixelSizeX", "HV", "WD", "AcceleratorVoltage"} & set(lines):
            found.setdefault(_section(0, lines), lines)
    return found


def _section(kind: int, lines: Mapping[str, str]) -> str:
    """Name of a section as it is in a side file."""
    if "PixelSizeX" in lines:
        return "MAIN"
    if any(key in lines for key in ("ColumnTilt", "ColumnType", "FIBColumn")):
        return "FIB"
    return _RECORDS.get(kind, "SEM" if not kind else f"record {kind}")


def has_one_column(tree: Tree) -> bool:
    """Whether the header has the column that made the image, and no other; a tag's sections stand below its name."""
    above = "TESCAN/" if "TESCAN" in tree else ""
    return sum(isinstance(look_up(tree, f"{above}{name}"), Mapping) for name in ("SEM", "FIB")) == 1


def ions(section: Mapping[str, str]) -> Iterator[Found]:
    """Species of an ion column by the names of its source."""
    for key, raw in section.items():
        if re.search("gun|source|ion|column|species", key, re.IGNORECASE) and (ion := ion_of(raw)):
            yield Found("beam.species", ion, key, raw, status="derived")
            return


def acquired(tree: Tree) -> Iterator[Found]:
    """Start of the scan: universal time where the tag's clock has the picture written before it, else of no known zone.

    A picture is not written before it is scanned: then the two are clocks of two zones, whole quarters of an hour
    apart. TIFF's DateTime is the local one: Exif 2.31 has the tag OffsetTime for its offset from UTC.
    """
    main = "TESCAN/MAIN" if "TESCAN" in tree else "MAIN"
    date, clock = (str(look_up(tree, f"{main}/{part}") or "") for part in ("Date", "Time"))
    key, raw, readings = f"{main}/Date + {main}/Time", f"{date} {clock}", moments_of(date, clock)
    written, scanned = exif(look_up(tree, "DateTime")), decided(readings)
    apart = None if written is None or scanned is None else offset_of(written, scanned.replace(tzinfo=dt.UTC))
    if scanned is not None and apart is not None and apart < dt.timedelta():
        yield from universal("time.acquired_start", f"{key} + DateTime", f"{raw} {tree['DateTime']}", scanned)
    else:
        yield from moments("time.acquired_start", key, raw, local=readings, same=written)
