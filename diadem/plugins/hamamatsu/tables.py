"""Which of HPD-TA's settings are which fields."""

from __future__ import annotations

from collections.abc import Iterator

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.hooks.text import quantity
from diadem.hooks.times import moments
from diadem.terms.dates import exif, moments_of


def _exposure(tree: Tree) -> Iterator[Found]:
    """Exposure of one frame, with its unit: ``1004 us``."""
    key = "Comment/Acquisition/ExposureTime"
    raw = str(look_up(tree, key) or "")
    found = quantity(raw)
    if found is not None and found[0] > 0 and found[1]:
        yield Found("camera.exposure", found[0], key, raw, found[1])


def _binning(tree: Tree) -> Iterator[Found]:
    key = "Comment/Acquisition/pntBinning"
    parts = str(look_up(tree, key) or "").split(",")
    if len(parts) == 2 and parts[0] == parts[1] and parts[0].isdecimal():
        yield Found("camera.binning", int(parts[0]), key, look_up(tree, key), "1")


def _software(tree: Tree) -> Iterator[Found]:
    name, version = (
        str(look_up(tree, f"Comment/Application/{part}") or "") for part in ("Software", "SoftwareVersion")
    )
    if name:
        key = "Comment/Application/Software + Comment/Application/SoftwareVersion"
        yield Found("instrument.software", f"{name} {version}".strip(), key, [name, version])


def _time(tree: Tree) -> Iterator[Found]:
    """Local time; the date is in the order of the computer's language, which TIFF's own DateTime decides."""
    date, hour = (str(look_up(tree, f"Comment/Application/{part}") or "") for part in ("Date", "Time"))
    readings, same = moments_of(date, hour), exif(tree.get("DateTime"))
    key = "Comment/Application/Date + Comment/Application/Time"
    yield from moments("time.acquired_start", key, f"{date} {hour}", local=readings, same=same)


TABLE: Table = (
    Rule("detector.name", "Comment/Camera/CameraName", cite="the key's name"),
    Rule(
        "detector.serial",
        "Comment/Camera/SerialNumber",
        read=lambda text: text.removeprefix("S/N:").strip(),
        cite="the key's name",
    ),
    Rule("instrument.model", "Comment/Streak camera/DeviceName", cite="the streak camera that made the picture"),
    Derived("exposure", _exposure, cite="the unit stands beside the value"),
    Derived("binning", _binning, cite="the key's name; 2,2 beside a picture of 672 x 512 of a camera of 1344 x 1024"),
    Derived("software", _software, cite="the keys' names"),
    Derived("acquisition-time", _time, cite="test_hamamatsu_streak_FOCUS.tif: 10/02/2022 beside DateTime 2022:02:10"),
)
