"""DECTRIS' master files, by the application definition NXmx of the NeXus standard, which the files name themselves.

Quantities have an attribute `units`. Left out: `photon_energy`, which is set by hand for what the detector counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from diadem.hooks.fields import Block

_DETECTOR = "entry/instrument/detector"
_ITEMS = 500


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001
    """Settings of the detector; its tables of corrections stay in the file.

    Parameters
    ----------
    path : str
        A ``_master.h5`` file.
    files : sequence of str
        Not needed.
    """
    import h5py

    with h5py.File(path, "r") as file:
        group = file.get(_DETECTOR)
        tree = _group(group) if isinstance(group, h5py.Group) else {}
    if tree:
        yield Block("nxmx-master", tree, place=_DETECTOR)


def _group(group: Any, depth: int = 0) -> dict[str, Any]:
    """Single values, those with a unit as ``{"value", "units"}``, and groups of them."""
    import h5py

    found: dict[str, Any] = {}
    for name in list(group)[:_ITEMS]:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Group):
            if depth < 1 and (inner := _group(item, depth + 1)):
                found[name] = inner
        elif item.shape == () and item.dtype.kind in "SOiuf":
            value = _plain(item[()])
            units = _plain(item.attrs.get("units", ""))
            found[name] = {"value": value, "units": units} if units else value
    return found


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
