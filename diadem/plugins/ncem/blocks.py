"""Blocks of an EMD file of the Berkeley dialect: attributes of its groups, and small datasets that stand for them.

EMD 0.1 and 0.2 (https://emdatasets.com/format) have groups `microscope`, `user`, `sample` and `comments` at the root.
Prismatic and py4DSTEM before 0.13 have them below ``metadata/metadata_0``; py4DSTEM since then writes dictionaries, one
dataset for each key, below ``metadatabundle`` (EMD 1.0).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import h5py

from diadem.hooks import hdf5
from diadem.hooks.fields import Block

_GROUPS = ("microscope", "user", "sample", "comments", "calibration")
#: Groups of a file, arrays of a group, and attributes in all that are looked at.
_MOST_GROUPS, _MOST_ARRAYS, _MOST_VALUES = 20_000, 1024, 20_000


def blocks(root: Any) -> Iterator[Block]:
    """Blocks: each set of known groups, each dictionary, Prismatic's parameters, the attributes of everything."""
    groups = _groups(root)
    for place in ("", *groups):
        inside = {name: hdf5.child(root[place or "/"], name) for name in _GROUPS}
        known = {name: hdf5.attributes(item) for name, item in inside.items() if isinstance(item, h5py.Group)}
        if any(known.values()):
            yield Block("ncem-groups", known, place=place)
    for place in groups:
        group = root[place]
        if place.endswith("/simulation_parameters"):
            yield Block("prismatic-parameters", hdf5.attributes(group), place=place)
        elif hdf5.plain(group.attrs.get("emd_group_type")) == "metadata":
            # Dictionaries within it are mappings.
            within = {name: hdf5.values(inner) for name, inner in hdf5.groups(group).items()}
            yield Block("py4dstem-dictionary", {**hdf5.values(group), **within}, place=place)
    yield Block("ncem-attributes", _all(root, groups), place="attributes")


def _groups(root: Any) -> list[str]:
    """Paths of groups; those that hard links lead to, each once."""
    found: list[str] = []

    def visit(name: str, item: Any) -> bool | None:
        if isinstance(item, h5py.Group):
            found.append(name)
        return True if len(found) >= _MOST_GROUPS else None

    root.visititems(visit)
    return found


def _all(root: Any, groups: Sequence[str]) -> dict[str, Any]:
    """Attributes of the root and all groups, and of the data in them, by path."""
    tree: dict[str, Any] = {}
    left = hdf5.Left(_MOST_VALUES)
    for place in ("", *groups):
        group = root[place or "/"]
        inside = islice(hdf5.children(group), _MOST_ARRAYS)
        data = [(f"{place}/{name}".lstrip("/"), item) for name, item in inside if isinstance(item, h5py.Dataset)]
        for path, item in [(place or "/", group), *data]:
            if not left:
                return tree
            if found := hdf5.attributes(item, left):
                tree[path] = found
    return tree
