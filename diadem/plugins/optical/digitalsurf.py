"""Which values of Digital Surf's files are which fields: the header, and the settings that Attolight's program adds.

The header is described in Digital Surf's "Surface file format"; the settings are lines such as
``$Beam Energy = 4996.00 V``. Left out, as unproven: the stage's position, which has no unit there, and `Beam Current`,
which is the gun's (12.82 µA of an emission of 110.1 µA).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks.fields import Derived, Found, Table, Tree
from diadem.hooks.times import moments

_LINE = re.compile(r"\$([^=$\n]+?) = (\S+)(?: (\S+))?\s*\Z")
_UNIT = "the unit stands behind the number: 'Beam Energy = 4996.00 V'"

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


def _objects(tree: Tree) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Headers, with the names that the reader gives them."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and isinstance(value.get("Header"), Mapping):
            yield f"{name}/Header", value["Header"]


def settings(comment: str) -> Iterator[tuple[str, str, str, str]]:
    """Section, name, value and unit of each line of Attolight's settings."""
    section = ""
    for line in comment.splitlines():
        if line.startswith("$_"):
            section = line[2:].strip()
        elif match := _LINE.match(line):
            yield section, match[1], match[2], match[3] or ""


def _settings(tree: Tree) -> Iterator[Found]:
    for place, header in _objects(tree):
        for section, name, value, unit in settings(str(header.get("H60_Comment") or "")):
            key, raw = f"{place}/H60_Comment/{section}/{name}", f"{value} {unit}".strip()
            if field := _QUANTITIES.get((section, name)):
                yield Found(field, value.replace(",", "."), key, raw, unit)  # as the computer's language has it
            elif (section, name) == _CAMERA:
                yield Found("detector.name", value, key, raw)


def _operator(tree: Tree) -> Iterator[Found]:
    for place, header in _objects(tree):
        if name := str(header.get("H07_Operator_Name") or "").strip():
            yield Found("person.operator", name, f"{place}/H07_Operator_Name", name)


def _time(tree: Tree) -> Iterator[Found]:
    """The time of measurement; all zero where nobody has set it."""
    for place, header in _objects(tree):
        parts = ("H45_Year", "H44_Month", "H43_Day", "H42_Hours", "H41_Minutes", "H40_Seconds")
        numbers = [int(header.get(part) or 0) for part in parts]
        if any(numbers):
            local = dt.datetime(*numbers)  # type: ignore[arg-type]  # noqa: DTZ001 - no zone is stated
            key = f"{place}/H45_Year + {place}/H42_Hours"
            yield from moments("time.acquired_start", key, numbers, local=local)


TABLE: Table = (
    Derived("attolight-settings", _settings, cite=_UNIT),
    Derived("operator", _operator, cite="Digital Surf's header: operator name"),
    Derived("acquisition-time", _time, cite="Digital Surf's header: seconds, minutes, hours, day, month, year"),
)
