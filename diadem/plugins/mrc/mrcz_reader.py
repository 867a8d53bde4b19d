"""RosettaSciIO's reader of MRCZ files, without units that its writer has lost. Imported in the worker only."""

from __future__ import annotations

from typing import Any


def read(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Read an MRCZ file.

    Parameters
    ----------
    path : str
        The file.
    lazy : bool
        Whether the array stays in the file.

    Returns
    -------
    list of dict
        RosettaSciIO's signal dictionaries. RosettaSciIO 0.15 writes the numbers of the axes and names them nanometres,
        also where they were micrometres: a file that HyperSpy has saved states no unit.
    """
    from rsciio.mrcz import file_reader

    signals: list[dict[str, Any]] = file_reader(path, lazy=lazy)
    for signal in signals:
        if "General" in (signal.get("metadata") or {}):
            for axis in signal.get("axes") or []:
                axis["units"] = None
    return signals
