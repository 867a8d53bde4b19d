"""EM-MENU's `TemData` structure, to which tag 37706 points, versions 1 and 2; and what its values say together."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from typing import Any

from diadem.hooks.binary import Structure
from diadem.hooks.fields import Block, Found, Tree
from diadem.hooks.tiff import Page, Tiff, piece
from diadem.hooks.times import moments
from diadem.terms.units import electron_wavelength

_TAG = 37706
#: Version 1, and what version 2 has behind it.
_FIRST, _SECOND = (Structure("diadem.plugins.tvips", name) for name in ("first", "second"))
#: At the end of version 2.
_MAGIC = 0xAAAAAAAA
#: `TemMode` of diffraction, as RosettaSciIO tells camera lengths from magnifications.
_DIFFRACTION = 3


def look(file: Tiff, page: Page, tree: dict[str, Any]) -> Iterator[Block]:
    """What a page has."""
    tag = page.tags.get(_TAG)
    offset = int(file.numbers(tag)[0]) if tag is not None and file.numbers(tag) else 0
    data = file.bytes_at(offset, _FIRST.size + _SECOND.size) if offset else b""
    if members := parse(data):
        tree["TVIPS"] = members
        yield piece("tvips-tiff", page, "TVIPS", data[: _FIRST.size if members["Version"] == 1 else None], offset)


def parse(data: bytes) -> dict[str, Any]:
    """Members of the structure by name; none where it is of neither version."""
    if len(data) < _FIRST.size:
        return {}
    found = _FIRST.read(data, text=lambda raw: raw.split(b"\0", 1)[0].decode("cp1252", "replace"))
    if found["Version"] == 1:
        return found
    if found["Version"] != 2 or len(data) < _FIRST.size + _SECOND.size:
        return {}
    found |= _SECOND.read(data, _FIRST.size, text=lambda raw: raw.decode("utf-16-le", "ignore").split("\0", 1)[0])
    return found if found["Magic"] == _MAGIC else {}


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


def acquired(tree: Tree) -> Iterator[Found]:
    """Local time: year, month and day in two, one and one bytes of a number, and seconds of the day."""
    known = tree["TVIPS"]
    names = ("Date", "Time") if known["Version"] == 2 else ("DateV1", "TimeV1")
    date, seconds = (known[name] for name in names)
    if 0 <= seconds < 86400:
        day = dt.datetime(date >> 16, date >> 8 & 0xFF, date & 0xFF)  # noqa: DTZ001 - no zone is stated
        local = day + dt.timedelta(seconds=seconds)
        key = " + ".join(f"TVIPS/{name}" for name in names)
        yield from moments("time.acquired_start", key, [date, seconds], local=local)
