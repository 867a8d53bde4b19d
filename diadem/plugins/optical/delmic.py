"""Which values of Odemis' HDF5 files (Delmic) are which fields.

The state of every component of the microscope is there as pairs of value and unit: ``[0.002027, "s"]``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree
from diadem.hooks.times import moments
from diadem.terms.dates import from_epoch

_SETTINGS = "ExtraSettings"
_NAMED = re.compile(r"(.*?)\s*\(s/n: ([^)]+)\)\Z")
#: Attributes of the component that scans the beam, by Odemis' names, to fields. It has a dwell time and a
#: magnification; the top level's `Magnification` is that of the optical path.
_BEAM: Mapping[str, str] = {
    "dwellTime": "scan.dwell_time",
    "magnification": "optics.magnification",
    "accelVoltage": "beam.acceleration_voltage",
    "probeCurrent": "beam.probe_current",
    "horizontalFoV": "optics.field_of_view_x",
    "rotation": "scan.rotation",
}
_UNITS = "each value has its unit beside it: dwellTime [0.002027, 's'], as IntegrationTime 0.002027 of the same scan"


def _pair(component: Any, name: str) -> tuple[Any, str] | None:
    """A value with its unit; None where there is no such attribute."""
    found = component.get(name) if isinstance(component, Mapping) else None
    if isinstance(found, Sequence) and not isinstance(found, str) and len(found) == 2:
        return found[0], found[1] if isinstance(found[1], str) else ""
    return None


def _beam(tree: Tree) -> Iterator[Found]:
    """State of the scanned beam."""
    for name, component in (tree.get(_SETTINGS) or {}).items():
        if _pair(component, "dwellTime") is None or _pair(component, "magnification") is None:
            continue
        for attribute, field in _BEAM.items():
            if (pair := _pair(component, attribute)) is not None:
                yield Found(field, pair[0], f"{_SETTINGS}/{name}/{attribute}", pair[0], pair[1])
        return


def _column(tree: Tree) -> Iterator[Found]:
    """Voltage and current, where a component of their own controls the beam."""
    for name, component in (tree.get(_SETTINGS) or {}).items():
        if "beam" not in name.lower() or _pair(component, "dwellTime") is not None:
            continue
        for attribute in ("accelVoltage", "probeCurrent"):
            if (pair := _pair(component, attribute)) is not None:
                yield Found(_BEAM[attribute], pair[0], f"{_SETTINGS}/{name}/{attribute}", pair[0], pair[1])


def _stage(tree: Tree) -> Iterator[Found]:
    """Position of the sample's stage, where it is in metres."""
    for name, component in (tree.get(_SETTINGS) or {}).items():
        pair = _pair(component, "position")
        if "stage" not in name.lower() or pair is None or pair[1] != "m" or not isinstance(pair[0], Mapping):
            continue
        for axis in "xyz":
            if axis in pair[0]:
                yield Found(f"stage.{axis}", pair[0][axis], f"{_SETTINGS}/{name}/position/{axis}", pair[0][axis], "m")
        return


def _detector(tree: Tree) -> Iterator[Found]:
    """Name and serial number: ``Andor Clara (s/n: 1234)``."""
    raw = str(tree["HardwareName"])
    match = _NAMED.match(raw)
    yield Found("detector.name", match[1] if match else raw, "HardwareName", raw)
    if match:
        yield Found("detector.serial", match[2], "HardwareName", raw)


def _exposure(tree: Tree) -> Iterator[Found]:
    """Exposure of the camera that made the picture: the component's whose exposure is the integration time."""
    integrated = float(tree["IntegrationTime"])
    for name, component in (tree.get(_SETTINGS) or {}).items():
        pair = _pair(component, "exposureTime")
        if pair is not None and pair[1] == "s" and math.isclose(float(pair[0]), integrated, rel_tol=1e-3):
            yield Found("camera.exposure", pair[0], f"{_SETTINGS}/{name}/exposureTime", pair[0], pair[1])
            return


def _time(tree: Tree) -> Iterator[Found]:
    raw = tree["AcquisitionDate"]
    yield from moments("time.acquired_start", "AcquisitionDate", raw, instant=from_epoch(float(raw)))


TABLE: Table = (
    Derived("scanned-beam", _beam, cite=_UNITS),
    Derived("column", _column, cite=_UNITS),
    Derived("sample-stage", _stage, cite=_UNITS),
    Derived("exposure", _exposure, cite=f"{_UNITS}; IntegrationTime of the picture is the same"),
    Derived("detector", _detector, cite="name and serial number of the detector's hardware"),
    Rule("instrument.software", "SVIData/WriterVersion", cite="program and version: Odemis 3.5.2"),
    Derived("acquisition-time", _time, cite="TOffset of the image, in s since 1970 UTC"),
)
