"""RosettaSciIO's reader of Bruker's files, with the width of a map's pixels. Imported in the worker only."""

from __future__ import annotations

from typing import Any


def read_bruker(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Read a ``.bcf`` or ``.spx`` file; RosettaSciIO 0.15 gives a map's pixels their height as their width.

    Parameters
    ----------
    path : str
        The file.
    lazy : bool
        Whether arrays stay in the file.

    Returns
    -------
    list of dict
        RosettaSciIO's signal dictionaries.
    """
    from rsciio.bruker import file_reader

    signals: list[dict[str, Any]] = file_reader(path, lazy=lazy)
    for signal in signals:
        width = signal["original_metadata"].get("Microscope", {}).get("DX")
        for axis in signal["axes"]:
            if axis["name"] == "width" and width is not None:
                axis["scale"] = width
    return signals
