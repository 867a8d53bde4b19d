"""The size of a pixel from the steps of the scan."""

from __future__ import annotations

import math
from collections.abc import Iterator

from diadem.hooks.fields import Found, Tree, look_up
from diadem.hooks.text import number


def _describes(tree: Tree) -> bool:
    """Whether the XML is of an image of this size; a resized copy keeps it."""
    for name, own in (("Width", "ImageWidth"), ("Height", "ImageLength")):
        stated = number(look_up(tree, f"FibicsXML/Image/{name}"))
        if stated and own in tree and stated != tree[own]:
            return False
    return True


def steps(tree: Tree) -> Iterator[Found]:
    """Lengths of the two steps of the scan."""
    if not _describes(tree):
        return
    for direction, first, second in (("x", "Ux", "Uy"), ("y", "Vx", "Vy")):
        keys = [f"FibicsXML/Scan/{name}" for name in (first, second)]
        raw = [look_up(tree, key) for key in keys]
        parts = [number(value) for value in raw]
        if parts[0] is not None and parts[1] is not None and (length := math.hypot(parts[0], parts[1])):
            yield Found(f"image.pixel_size_{direction}", length, " + ".join(keys), raw, "um", "derived")
