"""Spectrometers and cathodoluminescence: what of the trees of RosettaSciIO's readers is found by more than a key.

Only RosettaSciIO takes these formats apart; functions here are named by `formats.toml`.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from diadem.hooks.fields import Found, Tree, look_up
from diadem.hooks.formats import Dictionary
from diadem.hooks.times import moments, universal
from diadem.terms.dates import clock, iso

# -- Delmic: the state of every component of the microscope is there as pairs of value and unit: [0.002027, "s"] -----

_SETTINGS = "ExtraSettings"


def _pair(component: Any, name: str) -> tuple[Any, str] | None:
    """A value with its unit; None where there is no such attribute."""
    found = component.get(name) if isinstance(component, Mapping) else None
    if isinstance(found, Sequence) and not isinstance(found, str) and len(found) == 2:
        return found[0], found[1] if isinstance(found[1], str) else ""
    return None


def delmic_columns(tree: Tree) -> Iterator[str]:
    """Where components are whose names say that they control a beam."""
    yield from (f"{_SETTINGS}/{name}/" for name in tree.get(_SETTINGS) or {} if "beam" in name.lower())


def delmic_stage(tree: Tree) -> Iterator[Found]:
    """Position of the sample's stage, where it is in metres."""
    for name, component in (tree.get(_SETTINGS) or {}).items():
        pair = _pair(component, "position")
        if "stage" not in name.lower() or pair is None or pair[1] != "m" or not isinstance(pair[0], Mapping):
            continue
        for axis in "xyz":
            if axis in pair[0]:
                yield Found(f"stage.{axis}", pair[0][axis], f"{_SETTINGS}/{name}/position/{axis}", pair[0][axis], "m")
        return


def delmic_exposure(tree: Tree) -> Iterator[Found]:
    """Exposure of the camera that made the picture: the component's whose exposure is the integration time."""
    integrated = float(tree["IntegrationTime"])
    for name, component in (tree.get(_SETTINGS) or {}).items():
        pair = _pair(component, "exposureTime")
        if pair is not None and pair[1] == "s" and math.isclose(float(pair[0]), integrated, rel_tol=1e-3):
            yield Found("camera.exposure", pair[0], f"{_SETTINGS}/{name}/exposureTime", pair[0], pair[1])
            return


# -- Digital Surf, and the settings that Attolight's program adds to its files ---------------------------------------

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


def attolight_settings(comment: str) -> Iterator[tuple[str, str, str, str]]:
    """Section, name, value and unit of each line of Attolight's settings."""
    section = ""
    for line in comment.splitlines():
        if line.startswith("$_"):
            section = line[2:].strip()
        elif match := _LINE.match(line):
            yield section, match[1], match[2], match[3] or ""


def attolight(header: Tree) -> Iterator[Found]:
    """Quantities of the settings, and the camera."""
    for section, name, value, unit in attolight_settings(str(header.get("H60_Comment") or "")):
        key, raw = f"H60_Comment/{section}/{name}", f"{value} {unit}".strip()
        if field := _QUANTITIES.get((section, name)):
            yield Found(field, value.replace(",", "."), key, raw, unit)  # as the computer's language has it
        elif (section, name) == _CAMERA:
            yield Found("detector.name", value, key, raw)


def surf_time(header: Tree) -> Iterator[Found]:
    """The time of measurement; all zero where nobody has set it."""
    parts = ("H45_Year", "H44_Month", "H43_Day", "H42_Hours", "H41_Minutes", "H40_Seconds")
    numbers = [int(header.get(part) or 0) for part in parts]
    if any(numbers):
        local = dt.datetime(*numbers)  # type: ignore[arg-type]  # noqa: DTZ001 - no zone is stated
        yield from moments("time.acquired_start", "H45_Year + H42_Hours", numbers, local=local)


# -- Renishaw --------------------------------------------------------------------------------------------------------

#: Dictionaries inside one another that are searched.
_DEEPEST = 12


def renishaw_exposure(tree: Tree) -> Iterator[Found]:
    """Exposure of one accumulation, wherever the scan's settings lie."""
    for key, value in _named("Exposure Time", tree.get("WXDM_0"), "WXDM_0", 0):
        yield Found("camera.exposure", value, key, value, "ms")
        return


def _named(name: str, tree: Any, place: str, depth: int) -> Iterator[tuple[str, Any]]:
    if not isinstance(tree, Mapping) or depth > _DEEPEST:
        return
    if name in tree:
        yield f"{place}/{name}", tree[name]
    for key, inner in tree.items():
        yield from _named(name, inner, f"{place}/{key}", depth + 1)


def renishaw_software(tree: Tree) -> Iterator[Found]:
    name, version = (str(look_up(tree, f"WDF1_1/{key}") or "") for key in ("app_name", "app_version"))
    if name:
        key = "WDF1_1/app_name + WDF1_1/app_version"
        yield Found("instrument.software", f"{name} {version.replace('-', '.')}".strip(), key, f"{name} {version}")


def renishaw_times(tree: Tree) -> Iterator[Found]:
    """Start and end: Windows FILETIMEs, of which the reader has made texts without a zone."""
    for name, field in (("time_start", "time.acquired_start"), ("time_end", "time.acquired_end")):
        if (raw := look_up(tree, f"WDF1_1/{name}")) is not None and (moment := iso(str(raw))):
            yield from universal(field, f"WDF1_1/{name}", raw, moment)


def read_renishaw(path: str, lazy: bool = False) -> list[Dictionary]:
    """Read a ``.wdf`` file; RosettaSciIO 0.15 numbers the axes of the white-light picture the other way round."""
    from rsciio.renishaw import file_reader

    signals: list[Dictionary] = file_reader(path, lazy=lazy)
    for signal in signals:
        axes = signal["axes"]
        if [(axis.get("name"), axis.get("index_in_array")) for axis in axes] == [("y", 1), ("x", 0)]:
            for place, axis in enumerate(axes):
                axis["index_in_array"] = place
    return signals


# -- TriVista -------------------------------------------------------------------------------------------------------


def trivista_times(tree: Tree) -> Iterator[Found]:
    """The file's time and the record's, both local, which may be years apart (linescan.tvf): the file's first.

    In .NET's invariant culture, whatever the language of the system: 06/27/2022, 09/29/2016, 06/14/2022 in the files.
    """
    for key in ("XmlMain/DateTime", "Document/RecordTime"):
        day, _, hour = str(raw := look_up(tree, key) or "").partition(" ")
        with suppress(ValueError):
            date, time = dt.datetime.strptime(day, "%m/%d/%Y"), clock(hour)  # noqa: DTZ007 - the file states no offset
            local = None if time is None else dt.datetime.combine(date, time)
            yield from moments("time.acquired_start", key, raw, local=local)
