"""RosettaSciIO's reader of TIA's files, with the axes as `describe` has them: what is put right there is right here."""

from __future__ import annotations

import logging
from typing import Any

from diadem.plugins.tia.describe import Signal, describe


def read(path: str, lazy: bool = False) -> list[Signal]:
    """Read an .emi file and its series, or a .ser file alone.

    Parameters
    ----------
    path : str
        The file.
    lazy : bool
        Whether arrays stay in the files.

    Returns
    -------
    list of dict
        RosettaSciIO's signal dictionaries. Where its axes cannot be checked they have no calibration: it gives offsets
        in another unit than scales.
    """
    from rsciio.tia import file_reader

    signals: list[Signal] = file_reader(path, lazy=lazy)
    try:
        described = describe(path)
    except Exception as error:  # a file of a kind that only the reader knows
        logging.getLogger(__name__).debug("description of %s: %r", path, error)
        described = []
    for number, signal in enumerate(signals):
        like = described[number] if len(described) == len(signals) else None
        if like is not None and like["data"].shape == signal["data"].shape:
            signal["axes"] = like["axes"]
        else:
            signal["axes"] = [_uncalibrated(axis) for axis in signal["axes"]]
    return signals


def _uncalibrated(axis: dict[str, Any]) -> dict[str, Any]:
    """An axis that counts."""
    if axis.get("navigate") is False and str(axis.get("name")) == "Energy":
        return axis
    return {**axis, "scale": 1.0, "offset": 0.0, "units": ""}
