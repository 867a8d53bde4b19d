"""EM-MENU's `TemData` structure, to which tag 37706 points, versions 1 and 2; and what its values say together.

Members are those of EM-MENU's help file, as tifffile lists them.
"""

from __future__ import annotations

import datetime as dt
import math
import struct
from collections.abc import Iterator
from typing import Any

from diadem.hooks.fields import Block, Found, Tree
from diadem.hooks.tiff import Page, Tiff, piece
from diadem.hooks.times import moments
from diadem.terms.units import electron_wavelength

_TAG = 37706
#: Members of version 1 after `Version`; all are integers of four bytes but the comment.
_FIRST = (  # noqa: SIM905 - a list of 40 lines reads worse
    "HighTension SphericalAberration IlluminationAperture Magnification PostMagnification FocalLength Defocus "
    "Astigmatism AstigmatismDirection BiprismVoltage SpecimenTiltAngle SpecimenTiltDirection "
    "IlluminationTiltDirection IlluminationTiltAngle ImageMode EnergySpread ChromaticAberration ShutterType "
    "DefocusSpread CcdNumber CcdSize OffsetXV1 OffsetYV1 PhysicalPixelSize Binning ReadoutSpeed GainV1 SensitivityV1 "
    "ExposureTimeV1 FlatCorrected DeadPxCorrected ImageMean ImageStd DisplacementX DisplacementY DateV1 TimeV1 "
    "ImageMin ImageMax ImageStatisticsQuality"
).split()
#: Members of version 2: name and `struct` letters; texts are UTF-16.
_SECOND = (
    ("ImageName", "160s"), ("ImageFolder", "160s"), ("ImageSizeX", "i"), ("ImageSizeY", "i"), ("ImageSizeZ", "i"),
    ("ImageSizeE", "i"), ("ImageDataType", "i"), ("Date", "i"), ("Time", "i"), ("Comment", "1024s"),
    ("ImageHistory", "1024s"), ("Scaling", "16f"), ("ImageStatistics", "32d"), ("ImageType", "i"),
    ("ImageDisplayType", "i"), ("PixelSizeX", "f"), ("PixelSizeY", "f"), ("ImageDistanceZ", "f"),
    ("ImageDistanceE", "f"), ("ImageMisc", "32f"), ("TemType", "160s"), ("TemHighTension", "f"),
    ("TemAberrations", "32f"), ("TemEnergy", "32f"), ("TemMode", "i"), ("TemMagnification", "f"),
    ("TemMagnificationCorrection", "f"), ("TemPostMagnification", "f"), ("TemStageType", "i"),
    ("TemStagePosition", "5f"), ("TemImageShift", "2f"), ("TemBeamShift", "2f"), ("TemBeamTilt", "2f"),
    ("TilingParameters", "7f"), ("TemIllumination", "3f"), ("TemShutter", "i"), ("TemMisc", "32f"),
    ("CameraType", "160s"), ("PhysicalPixelSizeX", "f"), ("PhysicalPixelSizeY", "f"), ("OffsetX", "i"),
    ("OffsetY", "i"), ("BinningX", "i"), ("BinningY", "i"), ("ExposureTime", "f"), ("Gain", "f"), ("ReadoutRate", "f"),
    ("FlatfieldDescription", "160s"), ("Sensitivity", "f"), ("Dose", "f"), ("CamMisc", "32f"),
    ("FeiMicroscopeInformation", "1024s"), ("FeiSpecimenInformation", "1024s"), ("Magic", "I"),
)  # fmt: skip
_FIRST_SIZE = 4 + 80 + 4 * len(_FIRST)
_SECOND_SIZE = struct.calcsize("<" + "".join(letters for _, letters in _SECOND))
#: At the end of version 2.
_MAGIC = 0xAAAAAAAA
#: `TemMode` of diffraction, as RosettaSciIO tells camera lengths from magnifications.
_DIFFRACTION = 3


def look(file: Tiff, page: Page, tree: dict[str, Any]) -> Iterator[Block]:
    """What a page has."""
    tag = page.tags.get(_TAG)
    offset = int(file.numbers(tag)[0]) if tag is not None and file.numbers(tag) else 0
    data = file.bytes_at(offset, _FIRST_SIZE + _SECOND_SIZE) if offset else b""
    if members := parse(data):
        tree["TVIPS"] = members
        yield piece("tvips-tiff", page, "TVIPS", data[: _FIRST_SIZE if members["Version"] == 1 else None], offset)


def parse(data: bytes) -> dict[str, Any]:
    """Members of the structure by name; none where it is of neither version."""
    if len(data) < _FIRST_SIZE:
        return {}
    found: dict[str, Any] = {"Version": struct.unpack_from("<i", data)[0]}
    numbers = struct.unpack_from(f"<{len(_FIRST)}i", data, 84)
    found.update(zip(_FIRST, numbers, strict=True))
    found["CommentV1"] = data[4:84].split(b"\x00", 1)[0].decode("cp1252", "replace")
    if found["Version"] == 1:
        return found
    if found["Version"] != 2 or len(data) < _FIRST_SIZE + _SECOND_SIZE:
        return {}
    found.update(_second(data))
    return found if found["Magic"] == _MAGIC else {}


def _second(data: bytes) -> Iterator[tuple[str, Any]]:
    """Members of version 2."""
    start = _FIRST_SIZE
    for name, letters in _SECOND:
        values = struct.unpack_from(f"<{letters}", data, start)
        start += struct.calcsize(f"<{letters}")
        if letters.endswith("s"):
            yield name, values[0].decode("utf-16-le", "ignore").split("\x00", 1)[0]
        else:
            yield name, values[0] if len(values) == 1 else list(values)


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
