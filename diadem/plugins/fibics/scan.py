"""Fibics' XML of named items, and the size of a pixel from the steps of the scan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks.fields import Found, Tree, look_up
from diadem.hooks.text import entries, number, xml


def parse(data: bytes) -> dict[str, Any] | None:
    """The document below its root, lists of ``<item name="HV">…</item>`` as mappings; None of another's root."""
    root, tree = xml(data)
    if root != "Fibics" or not isinstance(tree, dict):
        return None
    return {name: _items(section) for name, section in tree.items()}


def _items(section: Any) -> Any:
    if not isinstance(section, Mapping) or "item" not in section:
        return section
    named = {str(item["@name"]): item.get("#text", "") for item in entries(section, "item") if "@name" in item}
    return {**{name: value for name, value in section.items() if name != "item"}, **named}


def steps(tree: Tree) -> Iterator[Found]:
    """Lengths of the two steps of the scan, where the document is of an image of this size: a resized copy keeps it."""
    for name, own in (("Width", "ImageWidth"), ("Height", "ImageLength")):
        stated = number(look_up(tree, f"FibicsXML/Image/{name}"))
        if stated and own in tree and stated != tree[own]:
            return
    for direction, first, second in (("x", "Ux", "Uy"), ("y", "Vx", "Vy")):
        keys = [f"FibicsXML/Scan/{name}" for name in (first, second)]
        raw = [look_up(tree, key) for key in keys]
        parts = [number(value) for value in raw]
        if parts[0] is not None and parts[1] is not None and (length := math.hypot(parts[0], parts[1])):
            yield Found(f"image.pixel_size_{direction}", length, " + ".join(keys), raw, "um", "derived")
