"""The scale of ImageJ's pictures."""

from __future__ import annotations

from collections.abc import Iterator

from diadem.hooks.fields import Found, Tree, look_up
from diadem.terms.units import convert


def pixel_size(tree: Tree) -> Iterator[Found]:
    """Sizes of pixels, of lengths or reciprocal lengths as the unit says."""
    written = str(look_up(tree, "ImageDescription/unit") or "").replace("\\u00B5", "µ").replace("\\u00b5", "µ")
    if not written or tree.get("ResolutionUnit", 1) != 1:
        return
    for field, wanted in (("image.pixel_size", "m"), ("image.reciprocal_pixel_size", "1/m")):
        if convert(1.0, written, wanted) is None:
            continue
        for direction in "xy":
            density = tree.get(f"{direction.upper()}Resolution")
            if density:
                key = f"{direction.upper()}Resolution + ImageDescription/unit"
                yield Found(f"{field}_{direction}", 1 / density, key, [density, written], written, "derived")
