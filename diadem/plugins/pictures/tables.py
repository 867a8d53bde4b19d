"""What of Exif's values is no data: the field of Renishaw's pictures, and a time with its offset."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from diadem.hooks.fields import Found, Tree
from diadem.hooks.times import moments
from diadem.terms.dates import exif, iso


def field_of_view(tree: Tree) -> Iterator[Found]:
    """Field of view and pixel size of a picture of Renishaw's microscope."""
    field = tree.get("FieldOfViewXY")
    if tree.get("Make") != "Renishaw" or tree.get("FocalPlaneResolutionUnit") != 5 or not isinstance(field, list):
        return
    for direction, length, side in zip("xy", field, ("width", "height"), strict=False):
        if length > 0:
            yield Found(f"optics.field_of_view_{direction}", length, "FieldOfViewXY", field, "um")
            if tree.get(side):
                key = f"FieldOfViewXY + {side}"
                size = length / tree[side]
                yield Found(f"image.pixel_size_{direction}", size, key, [length, tree[side]], "um", "derived")


def acquired(tree: Tree) -> Iterator[Found]:
    """When the picture was taken, with the offset where it is written."""
    raw = str(tree.get("DateTimeOriginal") or "")
    local, offset = exif(raw), str(tree.get("OffsetTimeOriginal") or "")
    if local is None:
        return
    zoned = iso(f"{local.isoformat()}{offset}") if offset else None
    moment: dt.datetime = zoned or local
    key = "DateTimeOriginal + OffsetTimeOriginal" if zoned else "DateTimeOriginal"
    yield from moments("time.acquired_start", key, f"{raw} {offset}".strip(), local=moment)
