"""Which values of Phenom's projects (``.elid``) are which fields.

Quantities of the pictures have their unit as an attribute; those of the X-ray analyses and the positions have none, and
are in SI units: in Elid2Version0.elid `high_tension` 15000 is the picture's -15 kV, `working_distance` 0.00814175 its
8.14175 mm, `fieldSize` 1.9516e-05 its 20 pixels of 975.779 nm.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.hooks.times import moments

_SCAN = "acquisition/scan"
_EDS = f"{_SCAN}/detectors/EDS"
_ATTRIBUTE = "the unit is an attribute of the element"
_SI = (
    "in SI units, as high_tension, working_distance and fieldSize of the same file are, which pictures have with units"
)
_POSITION = f"{_SI}; the positions equal the stage's axes, beside which radius and height are in m"
_RADIANS = f"{_SI}; 0.4974 are 28.5 degrees, where the detector is"


def _positive(value: Any) -> float:
    """The magnitude: the gun is at a negative potential."""
    return abs(float(value))


def _quantity(field: str, key: str) -> Rule:
    return Rule(field, f"{key}/value", "", _positive, unit_key=f"{key}/unit", cite=_ATTRIBUTE)


def _plausible(tree: Tree) -> bool:
    """Whether the detector was not live for longer than it was on: maps of Elid2Version0.elid say 4.05 s of 3.00 s."""
    live, real = look_up(tree, f"{_EDS}/live_time"), look_up(tree, f"{_EDS}/real_time")
    return live is not None and real is not None and float(live) <= float(real)


def _time(tree: Tree) -> Iterator[Found]:
    """ISO 8601; local and of an unknown zone where no offset is written."""
    raw = str(look_up(tree, "time"))
    local = dt.datetime.fromisoformat(raw)
    if local.hour or local.minute or local.second or "T" in raw:
        yield from moments("time.acquired_start", "time", raw, local=local)


TABLE: Table = (
    _quantity("beam.acceleration_voltage", f"{_SCAN}/highVoltage"),
    Rule("beam.acceleration_voltage", f"{_EDS}/high_tension", "V", _positive, cite=_SI),
    _quantity("beam.emission_current", f"{_SCAN}/emissionCurrent"),
    _quantity("scan.dwell_time", f"{_SCAN}/dwellTime"),
    _quantity("optics.working_distance", "workingDistance"),
    Rule("optics.working_distance", f"{_EDS}/working_distance", "m", cite=_SI),
    Rule("optics.field_of_view_x", f"{_SCAN}/fieldSize", "m", cite=_SI),
    Rule("stage.x", "samplePosition/x", "m", cite=_POSITION),
    Rule("stage.y", "samplePosition/y", "m", cite=_POSITION),
    Rule("instrument.model", "instrument/type", cite="PhenomXL"),
    Rule("instrument.serial", "instrument/uniqueID", cite="MVE027364-0026-L, beside the edition G5 XL"),
    Rule("instrument.software", "instrument/softwareVersion", cite="version of the instrument's program"),
    Rule("person.operator", "currentUser", cite="the user that is logged in"),
    Rule("eds.live_time", f"{_EDS}/live_time", "s", when=_plausible, cite=_SI),
    Rule("eds.real_time", f"{_EDS}/real_time", "s", when=_plausible, cite=_SI),
    Rule("eds.resolution", f"{_EDS}/detector_resolution", "eV", cite="126.05, a silicon drift detector's, Mn K alpha"),
    Rule("detector.type", f"{_EDS}/detector_type", cite="FastSDD_C2"),
    Rule("detector.elevation", f"{_EDS}/detector_elevation", "rad", cite=_RADIANS),
    Rule("detector.azimuth", f"{_EDS}/detector_azimuth", "rad", cite=_RADIANS),
    Derived("acquisition-time", _time, cite="ISO 8601; no zone is stated in Elid2Version0.elid"),
)
