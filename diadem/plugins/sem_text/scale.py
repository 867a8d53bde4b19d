"""Sizes of the field and of pixels, where JEOL's lines agree."""

from __future__ import annotations

from collections.abc import Iterator

from diadem.hooks.fields import Found, Tree
from diadem.hooks.text import positive, quantity


def _view(tree: Tree) -> list[float]:
    """Width and height of the field in micrometres, where the magnification agrees; else nothing."""
    lengths = [positive(part) or 0.0 for part in str(tree.get("$CM_FIELD_OF_VIEW", "")).split()]
    known = len(lengths) == 2 and all(lengths)
    agrees = known and 0.09 <= lengths[0] * (positive(tree.get("$CM_MAG")) or 0.0) / 1e6 <= 0.2
    return lengths if agrees else []


def field_of_view(tree: Tree) -> Iterator[Found]:
    """The field of view, and pixel sizes from it."""
    raw, lengths = tree.get("$CM_FIELD_OF_VIEW", ""), _view(tree)
    for direction, length in zip("xy", lengths, strict=False):
        yield Found(f"optics.field_of_view_{direction}", length, "$CM_FIELD_OF_VIEW", raw, "um")
    counts = [positive(part) for part in str(tree.get("$CM_IMAGE_SIZE", "")).split()]
    for direction, length, count in zip("xy", lengths, counts, strict=False):
        if count:
            key = "$CM_FIELD_OF_VIEW + $CM_IMAGE_SIZE"
            said = [raw, tree["$CM_IMAGE_SIZE"]]
            yield Found(f"image.pixel_size_{direction}", length / count, key, said, "um", "derived")


def bar(tree: Tree) -> Iterator[Found]:
    """Pixel size from the bar where nothing is more exact: its length with a unit, over its pixels."""
    keys = "$$SM_MICRON_MARKER", "$$SM_MICRON_BAR"
    label, pixels = quantity(str(tree.get(keys[0], ""))), positive(tree.get(keys[1]))
    exact = _view(tree) and tree.get("$CM_IMAGE_SIZE")
    if exact or label is None or label[0] <= 0 or not label[1] or pixels is None:
        return
    for direction in "xy":
        raw = [tree[key] for key in keys]
        yield Found(f"image.pixel_size_{direction}", label[0] / pixels, " + ".join(keys), raw, label[1], "derived")
