"""What the header of a block file states, and in which units."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree
from diadem.hooks.times import moments
from diadem.terms.dates import from_ole

_READER = "RosettaSciIO, blockfile/_api.py, comments beside the fields"


def _acquired(tree: Tree) -> Iterator[Found]:
    """The serial date; HyperSpy writes the second day of 1970 where it knows none."""
    raw = float(tree["Acquisition_time"])
    yield from moments("time.acquired_start", "Acquisition_time", raw, local=from_ole(raw))


def _has_scale(tree: Tree) -> bool:
    """Whether the step of the scan is one: 1 x 1 beside no voltage is what is written where nothing is known."""
    return (tree["SX"], tree["SY"]) != (1.0, 1.0) or tree["Beam_energy"] > 0


def _precession(raw: Any) -> str | None:
    """Precession, where the note has an angle that is not zero."""
    number = re.match(r"\d+(?:[.,]\d+)?", str(raw))
    return "PED" if number is not None and float(number[0].replace(",", ".")) > 0 else None


HEADER: Table = (
    Rule("beam.acceleration_voltage", "Beam_energy", "V", cite=_READER),
    Rule("optics.camera_length", "Camera_length", "0.1 mm", cite=_READER),
    Rule("scan.rotation", "Scan_rotation", "0.01 deg", cite=_READER),
    Rule("image.pixel_size_x", "SX", "nm", when=_has_scale, cite=_READER),
    Rule("image.pixel_size_y", "SY", "nm", when=_has_scale, cite=_READER),
    Rule("signal.technique", "Notes/Precession angle", read=_precession),
    Derived("acquisition-time", _acquired, _READER + "; zone unknown"),
)
