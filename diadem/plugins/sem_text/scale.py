"""Sizes of the field and of pixels, where JEOL's lines agree."""

from __future__ import annotations

from collections.abc import Iterator

from diadem.hooks.fields import Found, Tree
from diadem.hooks.text import positive, quantity


def bar(tree: Tree) -> Iterator[Found]:
    """Pixel size from the bar where nothing is more exact: its length with a unit, over its pixels."""
    if _view(tree) and tree.get("$CM_IMAGE_SIZE"):
        return
    label, pixels = quantity(str(tree.get("$$SM_MICRON_MARKER", ""))), positive(tree.get("$$SM_MICRON_BAR"))
    if label is None or label[0] <= 0 or not label[1] or pixels is None:
        return
    raw = [tree["$$SM_MICRON_MARKER"], tree["$$SM_MICRON_BAR"]]
    for direction in "xy":
        key = "$$SM_MICRON_MARKER + $$SM_MICRON_BAR"
        yield Found(f"image.pixel_size_{direction}", label[0] / pixels, key, raw, label[1], "derived")


def _view(tree: Tree) -> list[float]:
    """Width and height of the field in micrometres, where the magnification agrees; else nothing."""
    parts = [positive(part) for part in str(tree.get("$CM_FIELD_OF_VIEW", "")).split()]
    lengths = [part for part in parts if part is not None]
    magnification = positive(tree.get("$CM_MAG"))
    if len(parts) != 2 or len(lengths) != 2 or magnification is None:
        return []
    return lengths if 0.09 <= lengths[0] * magnification / 1e6 <= 0.2 else []


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
