"""Which of EM-MENU's values are which fields.

The tilts are left out: whether they are degrees or radians is nowhere proven.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from typing import Any

from diadem.hooks.fields import Derived, Found, Table, Tree
from diadem.hooks.times import moments
from diadem.terms.matter import electron_wavelength

_PIXEL = (
    "TVIPS_bin4.tif: PhysicalPixelSizeX 15600 (nm) x BinningX 4 / (TemMagnification 32000 x TemMagnificationCorrection "
    "x TemPostMagnification) = PixelSizeX 1.4208 nm"
)
_FIRST = "TVIPS_bin4.tif: version 1's integers are version 2's numbers times 10 or 10000"
_OTHERS = (
    "TVIPS_bin4.tif: TemHighTension 99000 of a microscope of 100 kV; 400 ms where 400 s or µs are no exposures of a TEM"
)
_DATE = "TVIPS_bin4.tif: Date 0x07e1040c is 2017-04-12, as in ImageName; Time is seconds of the day; no zone is stated"
_STAGE = "TVIPS_bin4.tif: -9.2e-8 and 7e-9 can only be metres: in any smaller unit they are less than an atom"

#: `TemMode` of diffraction, as RosettaSciIO tells camera lengths from magnifications.
_DIFFRACTION = 3


def _second(tree: Tree) -> dict[str, Any]:
    """Members of version 2; none of version 1."""
    found: dict[str, Any] = tree["TVIPS"]
    return found if found["Version"] == 2 else {}


def _tuning(tree: Tree) -> Iterator[Found]:
    known = _second(tree)
    for name, field, unit in (
        ("TemHighTension", "beam.acceleration_voltage", "V"),
        ("ExposureTime", "camera.exposure", "ms"),
    ):
        if known.get(name, 0) > 0:
            yield Found(field, known[name], f"TVIPS/{name}", known[name], unit)
    for name, field in (("CameraType", "detector.name"), ("TemType", "instrument.name")):
        if known.get(name):
            yield Found(field, known[name], f"TVIPS/{name}", known[name])
    spot = known.get("TemIllumination", [0])[0]
    if spot > 0 and spot == int(spot):
        yield Found("beam.spot_index", spot, "TVIPS/TemIllumination/0", spot, "1")
    if known.get("BinningX", 0) > 0 and known["BinningX"] == known["BinningY"]:
        yield Found("camera.binning", known["BinningX"], "TVIPS/BinningX", known["BinningX"], "1")


def _image(tree: Tree) -> Iterator[Found]:
    """Magnification and pixel size, unless it is a diffraction pattern."""
    known = _second(tree)
    if not known or known["TemMode"] == _DIFFRACTION:
        return
    for name, field, unit in (
        ("TemMagnification", "optics.magnification", "1"),
        ("PixelSizeX", "image.pixel_size_x", "nm"),
        ("PixelSizeY", "image.pixel_size_y", "nm"),
    ):
        if known[name] > 0:
            yield Found(field, known[name], f"TVIPS/{name}", known[name], unit)


def _diffraction(tree: Tree) -> Iterator[Found]:
    """Camera length, in the unit with which it explains the size of a pixel.

    One pixel is its physical size over camera length and wavelength; `PixelSizeX` is taken as 1/nm.
    """
    known = _second(tree)
    if not known or known["TemMode"] != _DIFFRACTION or known["TemHighTension"] <= 0:
        return
    pixel = known["PhysicalPixelSizeX"] * 1e-9 * known["BinningX"]
    correction = (known["TemMagnificationCorrection"] or 1) * (known["TemPostMagnification"] or 1)
    for unit, length in (("mm", 1e-3), ("cm", 1e-2), ("m", 1.0)):
        camera = known["TemMagnification"] * length * correction
        if camera > 0 and math.isclose(
            pixel / (camera * electron_wavelength(known["TemHighTension"])), known["PixelSizeX"] * 1e9, rel_tol=0.05
        ):
            raw = known["TemMagnification"]
            yield Found("optics.camera_length", raw, "TVIPS/TemMagnification", raw, unit)
            for direction in "XY":
                size, key = known[f"PixelSize{direction}"], f"TVIPS/PixelSize{direction}"
                yield Found(f"image.reciprocal_pixel_size_{direction.lower()}", size, key, size, "1/nm")
            return


def _stage(tree: Tree) -> Iterator[Found]:
    """Stage position, unless all is zero."""
    position = _second(tree).get("TemStagePosition", [0])
    if any(position):
        for place, axis in enumerate("xyz"):
            yield Found(f"stage.{axis}", position[place], f"TVIPS/TemStagePosition/{place}", position[place], "m")


def _first(tree: Tree) -> Iterator[Found]:
    """Version 1 alone."""
    known = tree["TVIPS"]
    if known["Version"] != 1:
        return
    for name, field, factor, unit in (
        ("HighTension", "beam.acceleration_voltage", 0.1, "V"),
        ("ExposureTimeV1", "camera.exposure", 1e-4, "ms"),
    ):
        if known[name] > 0:
            yield Found(field, known[name] * factor, f"TVIPS/{name}", known[name], unit, "converted")
    if known["Binning"] > 0:
        yield Found("camera.binning", round(known["Binning"] * 1e-4), "TVIPS/Binning", known["Binning"], "1")


def _kind(tree: Tree) -> Iterator[Found]:
    if tree["TVIPS"]:
        yield Found("instrument.kind", "tem", "TVIPS", "TemData", status="derived")


def moment(date: int, seconds: int) -> dt.datetime | None:
    """The local time of a date of year, month and day in two, one and one bytes, and seconds of the day."""
    try:
        day = dt.datetime(date >> 16, date >> 8 & 0xFF, date & 0xFF)  # noqa: DTZ001 - no zone is stated
    except ValueError:
        return None
    return day + dt.timedelta(seconds=seconds) if 0 <= seconds < 86400 else None


def _time(tree: Tree) -> Iterator[Found]:
    known = tree["TVIPS"]
    date, seconds = ("Date", "Time") if known["Version"] == 2 else ("DateV1", "TimeV1")
    local = moment(known[date], known[seconds])
    key = f"TVIPS/{date} + TVIPS/{seconds}"
    yield from moments("time.acquired_start", key, [known[date], known[seconds]], local=local)


TABLE: Table = (
    Derived("tuning", _tuning, cite=_OTHERS),
    Derived("image", _image, cite=_PIXEL),
    Derived("diffraction", _diffraction, cite="the file itself: camera length, wavelength and pixel size agree"),
    Derived("stage", _stage, cite=_STAGE),
    Derived("version-1", _first, cite=_FIRST),
    Derived("kind", _kind, cite="the structure is of a transmission microscope's camera program"),
    Derived("acquisition-time", _time, cite=_DATE),
)
