"""RosettaSciIO's reader of pictures, with its axes in the order of the array."""

from __future__ import annotations

from typing import Any


def read(path: str, lazy: bool = False) -> list[dict[str, Any]]:
    """Read a picture.

    Parameters
    ----------
    path : str
        The file.
    lazy : bool
        Whether the array stays in the file.

    Returns
    -------
    list of dict
        RosettaSciIO's signal dictionaries. Its axes stand in the order of the array, but their `index_in_array` says
        the opposite: this is left out.
    """
    from rsciio.image import file_reader

    signals: list[dict[str, Any]] = file_reader(path, lazy=lazy)
    for signal in signals:
        for axis in signal.get("axes") or []:
            axis.pop("index_in_array", None)
            if "scale" in axis:
                axis["scale"] = float(axis["scale"])
    return signals
