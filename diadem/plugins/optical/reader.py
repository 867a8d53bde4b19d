"""RosettaSciIO's reader of Renishaw's files, with the axes of its picture in order. Imported in the worker only."""

from __future__ import annotations

from typing import Any


def read_renishaw(path: str, lazy: bool = False) -> list[dict[str, Any]]:
    """Read a ``.wdf`` file; RosettaSciIO 0.15 numbers the axes of the white-light picture the other way round.

    Parameters
    ----------
    path : str
        The file.
    lazy : bool
        Which RosettaSciIO refuses.

    Returns
    -------
    list of dict
        RosettaSciIO's signal dictionaries.
    """
    from rsciio.renishaw import file_reader

    signals: list[dict[str, Any]] = file_reader(path, lazy=lazy)
    for signal in signals:
        axes = signal["axes"]
        if [(axis.get("name"), axis.get("index_in_array")) for axis in axes] == [("y", 1), ("x", 0)]:
            for place, axis in enumerate(axes):
                axis["index_in_array"] = place
    return signals
