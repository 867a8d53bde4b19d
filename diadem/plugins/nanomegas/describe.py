"""What signals a TopSpin file holds, without reading the patterns, which the reader takes into memory all at once.

RosettaSciIO 0.15 takes every calibration of a picture for nanometres, names that of a pattern "Angle", and gives X to
the rows. The type beside the numbers decides, in SI units: 55 um of a Merlin chip at 2.8 m are the 2.1e-5 of its angle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diadem.plugins.nanomegas.topspin import document, element, sessions

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET

    import h5py
    import numpy as np

#: Type of a calibration: the unit that is shown, and its factor from SI.
_TYPES = {"Position": ("nm", 1e9), "Angle": ("mrad", 1e3)}


@dataclass(frozen=True, slots=True)
class Promised:
    """An array that is in the file, by shape and type."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def signals(path: str) -> list[dict[str, Any]]:
    """Signals of a file in the order of RosettaSciIO, with the file's own calibrations.

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
        scanned = _api._get_4D_axes(item)  # noqa: SLF001 - where the beam stood is told pattern by pattern
        axes = [axis for axis in scanned if axis["size"] != 1 or not axis["navigate"]]
        first = item[next(iter(item))]
        dtype = first["Data"].dtype
        _calibrate(axes[-2:], element(first["Metadata"][()]).find("Calibration"))
    else:
        axes = [{"name": axis, "size": size, "navigate": False} for axis, size in zip("yx", item.shape, strict=True)]
        values = element(text.encode()).iterfind(".//Value[@Serializer='ImageDataSerializer']")
        own = (value for value in values if value.findtext("Id") == name.rpartition("/")[2])
        _calibrate(axes, next((value.find("Calibration") for value in own), None))
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


def _calibrate(axes: list[dict[str, Any]], calibration: ET.Element | None) -> None:
    """Give the axes y and x their scale, offset and unit; none where the type is not known."""
    for axis, name in zip(axes, "YX", strict=True):
        found = None if calibration is None else calibration.find(name)
        unit, factor = _TYPES.get("" if found is None else found.findtext("Type/Text") or "", ("", 0.0))
        axis.update(units=unit, scale=1.0, offset=0.0)
        if found is not None and factor:
            axis["scale"], axis["offset"] = (
                float(found.findtext(key) or "nan") * factor for key in ("Scale", "Offset")
            )
