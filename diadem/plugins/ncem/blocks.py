"""Blocks of an EMD file of the Berkeley dialect: attributes of its groups, and small datasets that stand for them.

EMD 0.1 and 0.2 (https://emdatasets.com/format) have groups `microscope`, `user`, `sample` and `comments` at the root.
Prismatic and py4DSTEM before 0.13 have them below ``metadata/metadata_0``; py4DSTEM since then writes dictionaries, one
dataset for each key, below ``metadatabundle`` (EMD 1.0).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import h5py
import numpy as np

from diadem.hooks.fields import Block
from diadem.plugins.velox.container import is_velox

_GROUPS = ("microscope", "user", "sample", "comments", "calibration")
#: Objects of a file that are visited, attributes and small values that are taken, and bytes of one of them.
_MOST_OBJECTS, _MOST_VALUES, _MOST_BYTES = 20_000, 20_000, 65_536

Values = dict[str, Any]


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001  the format has one file
    """Cut the blocks of a file; none of a Velox file.

    Parameters
    ----------
    path : str
        The file.
    files : sequence of str
        The same, alone.

    Yields
    ------
    Block
        Each set of known groups; each dictionary; Prismatic's parameters; the attributes of everything.
    """
    with h5py.File(path, "r") as root:
        if is_velox(root):
            return
        groups = _groups(root)
        for place in ("", *groups):
            inside = {name: _child(root[place or "/"], name) for name in _GROUPS}
            known = {name: _attributes(item) for name, item in inside.items() if isinstance(item, h5py.Group)}
            if any(known.values()):
                yield Block("ncem-groups", known, place=place)
        for place in groups:
            yield from _special(root, place)
        yield Block("ncem-attributes", _all(root, groups), place="attributes")


def _groups(root: Any) -> list[str]:
    """Paths of groups; those that hard links lead to, each once."""
    found: list[str] = []

    def visit(name: str, item: Any) -> bool | None:
        if isinstance(item, h5py.Group):
            found.append(name)
        return True if len(found) >= _MOST_OBJECTS else None

    root.visititems(visit)
    return found


def _child(group: Any, name: str) -> Any:
    """What a hard link of a group leads to; None for links to elsewhere, and to nothing."""
    return group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None


def _special(root: Any, place: str) -> Iterator[Block]:
    """A dictionary of py4DSTEM, or the parameters of a simulation by Prismatic."""
    group = root[place]
    if place.endswith("/simulation_parameters"):
        yield Block("prismatic-parameters", _attributes(group), place=place)
    elif _text(group.attrs.get("emd_group_type")) == "metadata":
        yield Block("py4dstem-dictionary", _datasets(group), place=place)


def _attributes(item: Any) -> Values:
    """Attributes as plain values; one that cannot be read is left out."""
    found: Values = {}
    for name in item.attrs:
        if len(found) >= _MOST_VALUES:
            break
        try:
            value = item.attrs[name]
        except (OSError, TypeError, ValueError, RuntimeError):
            continue
        if getattr(value, "nbytes", 0) <= _MOST_BYTES:
            found[str(name)] = _plain(value)
    return found


def _datasets(group: Any) -> Values:
    """Small datasets of a group as plain values, dictionaries within it as mappings."""
    found: Values = {}
    for name in group:
        if len(found) >= _MOST_VALUES:
            break
        item = _child(group, name)
        if isinstance(item, h5py.Dataset) and item.nbytes <= _MOST_BYTES:
            found[str(name)] = _plain(item[()])
        elif isinstance(item, h5py.Group):
            found[str(name)] = {inner: _plain(item[inner][()]) for inner in _small(item)}
    return found


def _small(group: Any) -> list[str]:
    """Names of the small datasets of a group."""
    children = ((name, _child(group, name)) for name in list(group)[:_MOST_VALUES])
    return [name for name, item in children if isinstance(item, h5py.Dataset) and item.nbytes <= _MOST_BYTES]


def _plain(value: Any) -> Any:
    """A value as text, number or list."""
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value.ravel()[:1024]] if value.size != 1 else _plain(value.ravel()[0])
    if isinstance(value, bytes):
        return _text(value)
    return value.item() if isinstance(value, np.generic) and not isinstance(value, np.void) else value


def _text(value: Any) -> str:
    """A text, also one of bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _all(root: Any, groups: Sequence[str]) -> Values:
    """Attributes of the root and all groups, and of the data in them, by path."""
    tree: Values = {}
    total = 0
    for place in ("", *groups):
        group = root[place or "/"]
        inside = [(f"{place}/{name}".lstrip("/"), _child(group, name)) for name in list(group)[:1024]]
        data = [(path, item) for path, item in inside if isinstance(item, h5py.Dataset)]
        for path, item in [(place or "/", group), *data]:
            if total >= _MOST_VALUES:
                return tree
            if found := _attributes(item):
                tree[path] = found
                total += len(found)
    return tree
