"""Which of the tags are which fields: calibrations here, the image's tags as in DigitalMicrograph's own files."""

from __future__ import annotations

from collections.abc import Iterator

from diadem.hooks.fields import Derived, Found, Table, Tree, look_up
from diadem.plugins.gatan.tables import IMAGE
from diadem.terms.units import convert


def _pixels(tree: Tree) -> Iterator[Found]:
    """Sizes of pixels, of lengths or of reciprocal lengths as the unit says."""
    for axis in "XY":
        scale, unit = (look_up(tree, f"Calibrations/{axis} {part}") for part in ("scale", "unit"))
        if not isinstance(scale, float) or not scale or not isinstance(unit, str):
            continue
        for field, wanted in (("image.pixel_size", "m"), ("image.reciprocal_pixel_size", "1/m")):
            if unit and convert(1.0, unit, wanted) is not None:
                yield Found(f"{field}_{axis.lower()}", abs(scale), f"Calibrations/{axis} scale", scale, unit)


TABLE: Table = (
    Derived("pixel-size", _pixels, cite="the unit stands in a tag beside the scale"),
    *IMAGE,
)
