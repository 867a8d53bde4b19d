"""The settings that Attolight's program adds to Digital Surf's files, and the header's time."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping

from diadem.hooks.fields import Found, Tree
from diadem.hooks.times import moments

_LINE = re.compile(r"\$([^=$\n]+?) = (\S+)(?: (\S+))?\s*\Z")

#: Section and name of a setting to field; the unit is the file's own.
_QUANTITIES: Mapping[tuple[str, str], str] = {
    ("SEM", "Beam Energy"): "beam.acceleration_voltage",
    ("SEM", "Emission Current"): "beam.emission_current",
    ("SEM", "Extractor Voltage"): "beam.extraction_voltage",
    ("SEM", "Real Magnification"): "optics.magnification",
    ("SITE IMAGE", "Field of view"): "optics.field_of_view_x",
    ("SCAN", "HYP Dwelltime"): "scan.dwell_time",
    ("SCAN", "Rotate"): "scan.rotation",
    ("CHANNELS", "Exposure Time"): "camera.exposure",
}
_CAMERA = ("CHANNELS", "Camera Model")


def settings(comment: str) -> Iterator[tuple[str, str, str, str]]:
    """Section, name, value and unit of each line of Attolight's settings."""
    section = ""
    for line in comment.splitlines():
        if line.startswith("$_"):
            section = line[2:].strip()
        elif match := _LINE.match(line):
            yield section, match[1], match[2], match[3] or ""


def attolight(header: Tree) -> Iterator[Found]:
    """Quantities of the settings, and the camera."""
    for section, name, value, unit in settings(str(header.get("H60_Comment") or "")):
        key, raw = f"H60_Comment/{section}/{name}", f"{value} {unit}".strip()
        if field := _QUANTITIES.get((section, name)):
            yield Found(field, value.replace(",", "."), key, raw, unit)  # as the computer's language has it
        elif (section, name) == _CAMERA:
            yield Found("detector.name", value, key, raw)


def time(header: Tree) -> Iterator[Found]:
    """The time of measurement; all zero where nobody has set it."""
    parts = ("H45_Year", "H44_Month", "H43_Day", "H42_Hours", "H41_Minutes", "H40_Seconds")
    numbers = [int(header.get(part) or 0) for part in parts]
    if any(numbers):
        local = dt.datetime(*numbers)  # type: ignore[arg-type]  # noqa: DTZ001 - no zone is stated
        yield from moments("time.acquired_start", "H45_Year + H42_Hours", numbers, local=local)
