"""TESCAN's header: a side file of INI sections, or the same in a TIFF tag without the sections' names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from diadem.hooks.fields import Block
from diadem.hooks.text import decode, ini
from diadem.hooks.tiff_blocks import Vendor, cut

#: Bytes of a side file that are read; real ones have 2 to 5 kB.
_LARGEST = 1 << 20
#: Types of the tag's records; the first is a picture of the image.
_RECORDS = {2: "MAIN", 3: "SEM"}
_LINES = re.compile(rb"(?:[A-Za-z0-9][\w.]*=[^\r\n\x00]*\r?\n){4,}")


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Headers of a picture of TESCAN; none of another.

    Parameters
    ----------
    path : str
        The picture.
    files : sequence of str
        All files of the dataset; those named `.hdr` are looked at.

    Yields
    ------
    Block
        ``tescan-header`` for a side file, ``tescan-tag`` for the tag.
    """
    for file in files:
        if file.lower().endswith(".hdr"):
            sections = _header(file)
            if ("MAIN" in sections and len(sections) > 1) or "MAIN" in (sections := _unnamed(sections)):
                yield Block("tescan-header", sections, file=file)
    yield from cut(path, Vendor("tescan-tag", {50431: parse}))


def _header(file: str) -> dict[str, dict[str, str]]:
    with Path(file).open("rb") as stream:
        return ini(decode(stream.read(_LARGEST)))


def _unnamed(sections: Mapping[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Sections of a header that does not name them, by the keys of the first lines."""
    lines = sections.get("", {})
    return {"MAIN": lines, "SEM": lines} if {"PixelSizeX", "Device", "HV"} <= set(lines) else {}


def parse(data: bytes) -> dict[str, dict[str, str]]:
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
