"""What EM-MENU's values say together, and numbers that are no plain ones."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from typing import Any

from diadem.hooks.fields import Found, Tree
from diadem.hooks.times import moments
from diadem.terms.matter import electron_wavelength

#: `TemMode` of diffraction, as RosettaSciIO tells camera lengths from magnifications.
_DIFFRACTION = 3


def whole(raw: Any) -> float | None:
    """A spot: a whole number above zero."""
    return raw if raw > 0 and raw == int(raw) else None


def ten_thousandth(raw: Any) -> int | None:
    """A binning of version 1."""
    return round(raw * 1e-4) if raw > 0 else None


def diffraction(tree: Tree) -> Iterator[Found]:
    """Camera length, in the unit with which it explains the size of a pixel.

    One pixel is its physical size over camera length and wavelength; `PixelSizeX` is taken as 1/nm.
    """
    known = tree["TVIPS"]
    if known["TemMode"] != _DIFFRACTION or known["TemHighTension"] <= 0:
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


def moment(date: int, seconds: int) -> dt.datetime | None:
    """The local time of a date of year, month and day in two, one and one bytes, and seconds of the day."""
    try:
        day = dt.datetime(date >> 16, date >> 8 & 0xFF, date & 0xFF)  # noqa: DTZ001 - no zone is stated
    except ValueError:
        return None
    return day + dt.timedelta(seconds=seconds) if 0 <= seconds < 86400 else None


def acquired(tree: Tree) -> Iterator[Found]:
    """Local time of the picture."""
    known = tree["TVIPS"]
    date, seconds = ("Date", "Time") if known["Version"] == 2 else ("DateV1", "TimeV1")
    local = moment(known[date], known[seconds])
    key = f"TVIPS/{date} + TVIPS/{seconds}"
    yield from moments("time.acquired_start", key, [known[date], known[seconds]], local=local)
