"""SerialEM's lists of sections (``.mdoc``): ``key = value`` in lines, sections in brackets.

Keys and units: SerialEM's help, "About the Image Metadata Output File".
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.hooks.text import decode, number, positive
from diadem.hooks.times import moments
from diadem.terms.dates import moment_of

_HELP = "SerialEM's help, About the Image Metadata Output File:"
_SECTION = re.compile(r"\[(ZValue|FrameSet|MontSection|Image)\s*=\s*(.*?)\s*\]")
_TITLE = re.compile(r"\[T\s*=\s*(.*?)\s*\]")
#: Sections that are kept in the tree; a tilt series has about a hundred.
_MOST = 10_000
_FIRST = "Sections/0/"


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


def _either(field: str, key: str, unit: str, read: Any, cite: str) -> Iterator[Rule]:
    """Of the first section, or of all."""
    for place in (_FIRST, ""):
        yield Rule(field, f"{place}{key}", unit, read, cite=f"{_HELP} {cite}")


def _is_still(tree: Tree, key: str) -> bool:
    """Whether all sections have the same value: in a series what changes is no value of the stack."""
    return len({section.get(key) for section in tree["Sections"]}) == 1


def _stage(tree: Tree) -> Iterator[Found]:
    """Position, where all sections have the same."""
    key = f"{_FIRST}StagePosition"
    raw = str(look_up(tree, key) or "") if _is_still(tree, "StagePosition") else ""
    parts = [number(part) for part in raw.split()]
    if len(parts) == 2:
        for axis, value in zip("xy", parts, strict=True):
            if value is not None:
                yield Found(f"stage.{axis}", value, key, raw, "um")
    key = f"{_FIRST}StageZ"
    raw = str(look_up(tree, key) or "") if _is_still(tree, "StageZ") else ""
    if (height := number(raw)) is not None:
        yield Found("stage.z", height, key, raw, "um")


def _pixels(tree: Tree) -> Iterator[Found]:
    for key in (f"{_FIRST}PixelSpacing", "PixelSpacing"):
        if (size := positive(raw := look_up(tree, key))) is not None:
            for direction in "xy":
                yield Found(f"image.pixel_size_{direction}", size, key, raw, "Å")
            return


def _binning(tree: Tree) -> Iterator[Found]:
    """Whole numbers; 0.5 is a picture of super-resolution."""
    raw = look_up(tree, f"{_FIRST}Binning")
    if (binning := positive(raw)) is not None and binning == int(binning):
        yield Found("camera.binning", int(binning), f"{_FIRST}Binning", raw, "1")


def _defocus(tree: Tree) -> Iterator[Found]:
    """Where it stays the same."""
    raw = look_up(tree, f"{_FIRST}Defocus")
    if _is_still(tree, "Defocus") and (value := number(raw)):
        yield Found("optics.defocus", value, f"{_FIRST}Defocus", raw, "um")


def _slit(tree: Tree) -> Iterator[Found]:
    """Width of the energy slit; zero where it is out."""
    key = f"{_FIRST}FilterSlitAndLoss"
    raw = str(look_up(tree, key) or "")
    if raw.split() and (width := positive(raw.split(maxsplit=1)[0])) is not None:
        yield Found("optics.energy_filter_slit", width, key, raw, "eV")


def _software(tree: Tree) -> Iterator[Found]:
    for place, title in enumerate(tree["Titles"]):
        if title.startswith("SerialEM:"):
            yield Found("instrument.software", "SerialEM", f"Titles/{place}", title)
            return


def moment(text: str) -> dt.datetime | None:
    """``03-May-23  13:59:32``, ``03-May-2023  13:59:32``."""
    day, _, hour = text.strip().partition(" ")
    return moment_of(day, hour)


def _times(tree: Tree) -> Iterator[Found]:
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


TABLE: Table = (
    *_either("beam.acceleration_voltage", "Voltage", "kV", positive, "kilovolts"),
    *_either("optics.magnification", "Magnification", "1", positive, "film magnification"),
    *_either("camera.exposure", "ExposureTime", "s", positive, "in seconds"),
    *_either("beam.spot_index", "SpotSize", "1", positive, "spot size number"),
    Rule(
        "stage.alpha",
        f"{_FIRST}TiltAngle",
        "deg",
        number,
        when=lambda tree: _is_still(tree, "TiltAngle"),
        cite=f"{_HELP} degrees",
    ),
    Derived("stage", _stage, cite=f"{_HELP} microns"),
    Derived("pixel-size", _pixels, cite=f"{_HELP} angstroms"),
    Derived("binning", _binning, cite=f"{_HELP} Binning"),
    Derived("defocus", _defocus, cite=f"{_HELP} microns"),
    Derived("slit", _slit, cite=f"{_HELP} width in eV"),
    Derived("software", _software, cite="the title that SerialEM writes"),
    Derived("acquisition-time", _times, cite=f"{_HELP} date and time of the section; no zone is stated"),
)
