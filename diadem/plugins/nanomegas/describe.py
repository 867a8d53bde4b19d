"""What signals a TopSpin file holds, without reading the patterns, which the reader takes into memory all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diadem.plugins.nanomegas.topspin import document, sessions

if TYPE_CHECKING:
    import h5py
    import numpy as np


@dataclass(frozen=True, slots=True)
class Promised:
    """An array that is in the file, by shape and type."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def signals(path: str) -> list[dict[str, Any]]:
    """Signals of a file, in the order and with the axes of RosettaSciIO.

    Parameters
    ----------
    path : str
        The .app5 file.

    Returns
    -------
    list of dict
        As RosettaSciIO's, with an array that has shape and type only.
    """
    import h5py

    with h5py.File(path, "r") as file:
        return [_signal(file, place, name) for place, names in sessions(file) for name in names]


def _signal(file: h5py.File, place: str, name: str) -> dict[str, Any]:
    import h5py
    from rsciio.topspin import _api

    text = file[place][()].decode()
    item = file[name]
    if isinstance(item, h5py.Group):
        scanned = _api._get_4D_axes(item)  # noqa: SLF001 - the reader's own axes, so that both agree
        axes = [axis for axis in scanned if axis["size"] != 1 or not axis["navigate"]]
        dtype = item[next(iter(item))]["Data"].dtype
    else:
        axes = _api._get_2D_axes(text, name.rpartition("/")[2])  # noqa: SLF001
        for axis, size in zip(axes, item.shape, strict=True):
            axis["size"] = size
        dtype = item.dtype
    for number, axis in enumerate(axes):
        axis["index_in_array"] = number
    return {
        "data": Promised(tuple(int(axis["size"]) for axis in axes), dtype),
        "axes": axes,
        "metadata": {
            "General": {"title": document(text.encode()).get("Title", "")},
            "Signal": {"signal_type": "electron_diffraction" if isinstance(item, h5py.Group) else ""},
        },
        "original_metadata": {},
        "mapping": {},
    }
