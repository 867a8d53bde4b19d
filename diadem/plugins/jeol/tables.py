"""Which values of JEOL's headers are which fields.

Left out, as unproven: `AccNA` and `Currnnt` (the same 2.562 on days a year apart: no measurement), `WorkD` (5.5 and 6.0
side by side), `StageZ`, `ScanR`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.hooks.times import moments
from diadem.terms.dates import from_ole

_KILOVOLTS = (
    "the limits beside AccKV in View000_0000006.pts say 'kV', 20 to 2000; the same 200 stands in AccV and Volt of a "
    "JEM-2100F, which has 200 kV"
)
_MAGNIFICATION = "the limits beside Mag in View000_0000006.pts say 'mag.'; ScanSize / Mag is the view's PositionMM"
_MILLIMETRES = (
    "rawdata.ASW: ScanSize 178 / Mag 40000 = 0.00445, the length that the view's PositionMM, in mm by its name, has"
)
_SECONDS = (
    "View000_0000006.pts: DwellTime(msec) 0.1 x 512 x 512 pixels x 14 sweeps = 367.0 s, RealTime 366.9; "
    "met03.EDS: 1 - live/real = 14.2 %, as its DeadTime value says"
)
_DEGREES = "22.3 and 90 of ElevAng and DirAng can be no radians; ElevAng equals the take-off angle TakeAng at zero tilt"
_RESOLUTION = "its name says manganese K alpha; 138 is the width of a Si(Li) detector's line in eV"
_DATE = "days since 1899-12-30, Microsoft's DATE; the images' order and the file names agree; local, no zone is stated"
_DETECTOR = "the detector that Analysis Station names, beside its angles"


def _single(value: Any) -> float:
    """A number of 32 bits with the digits that it was written with: 22.3, not 22.299999237060547."""
    number = float(value)
    for digits in (6, 7, 8):
        short = float(f"{number:.{digits}g}")
        if struct.pack("<f", short) == struct.pack("<f", number):
            return short
    return number


def _time(key: str, field: str) -> Derived:
    def read(tree: Tree) -> Iterator[Found]:
        raw = look_up(tree, key)
        yield from moments(field, key, raw, local=from_ole(raw))

    return Derived("acquisition-time", read, cite=_DATE)


def _field_of_view(tree: Tree) -> Iterator[Found]:
    """Width of the scanned field: the size of the screen that magnifications refer to, over the magnification."""
    size, magnification = _single(look_up(tree, "Instrument/ScanSize")), look_up(tree, "Instrument/Mag")
    key = "Instrument/ScanSize + Instrument/Mag"
    yield Found("optics.field_of_view_x", size / magnification, key, [size, magnification], "mm", status="derived")


IMAGE: Table = (
    Rule("beam.acceleration_voltage", "Instrument/AccV", "kV", _single, cite=_KILOVOLTS),
    Rule("optics.magnification", "Instrument/Mag", cite=_MAGNIFICATION),
    Rule("instrument.model", "Instrument/Name", cite="the instrument's name: JEM-2100F(UHR)"),
    Rule("scan.dwell_time", "Map/DwellTime", "ms", cite="0.1, as DwellTime(msec) of the map beside it"),
    Rule("scan.frames", "Map/SweepCount", cite="14, as Sweep of the map beside it"),
    Derived("field-of-view", _field_of_view, cite=_MILLIMETRES),
    _time("Image/Created", "time.acquired_start"),
)

_MEASURED = "PTTD Data/AnalyzableMap MeasData"
_SEM_PAGE = "PTTD Param/Params/PARAMPAGE0_SEM"

#: The date of a map is that of its last frame: it follows the elements' maps of the same measurement by 8 minutes, of
#: which the 14 sweeps with their flybacks take most.
MAP: Table = (
    Rule("beam.acceleration_voltage", f"{_MEASURED}/MeasCond/AccKV", "kV", _single, cite=_KILOVOLTS),
    Rule("optics.magnification", f"{_MEASURED}/MeasCond/Mag", cite=_MAGNIFICATION),
    Rule("instrument.model", f"{_SEM_PAGE}/SEM", cite="as Name in the images of the same project"),
    Rule("scan.dwell_time", f"{_MEASURED}/Doc/DwellTime(msec)", "ms", cite=_SECONDS),
    Rule("scan.frames", f"{_MEASURED}/Doc/Sweep", cite=_SECONDS),
    Rule("eds.real_time", f"{_MEASURED}/Doc/RealTime", "s", cite=_SECONDS),
    Rule("eds.live_time", f"{_MEASURED}/Doc/LiveTime", "s", cite=_SECONDS),
    Rule("eds.resolution", f"{_SEM_PAGE}/MnKaRES", "eV", _single, cite=_RESOLUTION),
    Rule("detector.type", f"{_SEM_PAGE}/DetT", cite=_DETECTOR),
    Rule("detector.elevation", f"{_SEM_PAGE}/ElevAng", "deg", _single, cite=_DEGREES),
    Rule("detector.azimuth", f"{_SEM_PAGE}/DirAng", "deg", _single, cite=_DEGREES),
    _time("Date", "time.acquired_end"),
)

_PARAMETERS = "Footer/Parameters"

SPECTRUM: Table = (
    Rule("beam.acceleration_voltage", f"{_PARAMETERS}/AccKV", "kV", cite=_KILOVOLTS),
    Rule("instrument.model", f"{_PARAMETERS}/SEM", cite="as Name in the images of the same instrument"),
    Rule("person.operator", "Header/username", cite="the login; a map of this instrument has it in its path"),
    Rule("eds.real_time", "Header/real time", "s", cite=_SECONDS),
    Rule("eds.live_time", "Header/live time", "s", cite=_SECONDS),
    Rule("eds.resolution", f"{_PARAMETERS}/MnKaRES", "eV", cite=_RESOLUTION),
    Rule("detector.type", f"{_PARAMETERS}/DetT", cite=_DETECTOR),
    Rule("detector.elevation", f"{_PARAMETERS}/ElevAng", "deg", _single, cite=_DEGREES),
    Rule("detector.azimuth", f"{_PARAMETERS}/DirAng", "deg", _single, cite=_DEGREES),
    _time("Header/filedate", "time.acquired_start"),
)
