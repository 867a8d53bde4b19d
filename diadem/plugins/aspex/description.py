"""ASPEX's description of a TIFF file: lines of ``key=value unit``, with the pixel size first.

Programs that join ASPEX's pictures and spectra write the same lines with keys of their own (``operator``,
``beam_current``); both are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from diadem.hooks.fields import Block, Derived, Found, Rule, Table, Tree
from diadem.hooks.text import decode, ini, quantity
from diadem.hooks.tiff_blocks import Vendor, cut
from diadem.hooks.times import moments
from diadem.terms.dates import exif, moments_of

_SAID = "the unit stands beside the value"
_TEXT = "ImageDescription/"
#: Key, field, unit where none stands beside the value, and whether zero and less are no measurement.
_QUANTITIES: Sequence[tuple[str, str, str, bool]] = (
    ("accelerating_voltage", "beam.acceleration_voltage", "", True),
    ("beam_current", "beam.current", "", True),
    ("working_distance", "optics.working_distance", "", True),
    ("Mag", "optics.magnification", "1", True),
    ("Stage_X", "stage.x", "", False),
    ("Stage_Y", "stage.y", "", False),
    ("Stage_Z", "stage.z", "", False),
    ("Stage_R", "stage.rotation", "", False),
    ("Stage_T", "stage.tilt", "", False),
    ("take_off_angle", "detector.elevation", "deg", True),
    ("Live_Time", "eds.live_time", "s", True),
    ("Acquisition_Time", "eds.real_time", "s", True),
)
_BARE = (
    "Gold.tif: a bare 35, 120.03 and 211.81 beside Dead_Percent=43.0%, which is 1 - 120.03 / 211.81; 35 degrees of "
    "take-off, as no other angle is one"
)
_TEXTS: Mapping[str, str] = {
    "Instrument": "instrument.model",
    "operator": "person.operator",
    "sample_description": "sample.name",
}


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Blocks of a TIFF file of ASPEX; none of another.

    Parameters
    ----------
    path : str
        The file.
    files : sequence of str
        Not asked: everything is in the file.
    """
    del files
    yield from cut(path, Vendor("aspex-tiff", {270: parse}, media_type="text/plain"))


def parse(data: bytes) -> dict[str, str] | None:
    """Values by name; None where the description is another's."""
    if not data.startswith(b"Pixel_Size=") or b"Stage_" not in data:
        return None
    return ini(decode(data.split(b"\x00", 1)[0])).get("", {})


def _measured(tree: Tree) -> Iterator[Found]:
    """Numbers, each in the unit beside it."""
    for key, field, usual, above_zero in _QUANTITIES:
        raw = str(tree["ImageDescription"].get(key, ""))
        found = quantity(raw)
        if found is None or (above_zero and found[0] <= 0):
            continue
        unit = usual or found[1]
        if unit:
            yield Found(field, found[0], _TEXT + key, raw, unit)


def _pixels(tree: Tree) -> Iterator[Found]:
    """The size of a pixel, which is the same in both directions."""
    raw: Any = tree["ImageDescription"].get("Pixel_Size", "")
    found = quantity(raw)
    if found is not None and found[0] > 0 and found[1]:
        for direction in "xy":
            yield Found(f"image.pixel_size_{direction}", found[0], _TEXT + "Pixel_Size", raw, found[1])


def _time(tree: Tree) -> Iterator[Found]:
    """When it was analysed; the file's own date tells the day from the month."""
    said = tree["ImageDescription"]
    date, hour = said.get("Analysis_Date", ""), said.get("Analysis_Time", "")
    key, same = f"{_TEXT}Analysis_Date + Analysis_Time", exif(tree.get("DateTime"))
    yield from moments("time.acquired_start", key, f"{date} {hour}", local=moments_of(date, hour), same=same)


def _kind(tree: Tree) -> Iterator[Found]:
    """ASPEX made scanning electron microscopes and nothing else."""
    del tree
    for field, value in (("instrument.kind", "sem"), ("beam.species", "electron")):
        yield Found(field, value, "ImageDescription", "Pixel_Size", status="derived")


TABLE: Table = (
    Derived("measured", _measured, cite=f"{_SAID}; {_BARE}"),
    Derived("pixel-size", _pixels, cite=_SAID),
    *(Rule(field, _TEXT + key, cite="the key's name") for key, field in _TEXTS.items()),
    Derived("acquisition-time", _time, cite="local, no zone is stated; day and month by the file's own date"),
    Derived("kind", _kind, cite="what the maker made"),
)
