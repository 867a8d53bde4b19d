"""RosettaSciIO's reader of TopSpin files, with the axes that the file states. Imported in the worker only."""

from __future__ import annotations

from typing import Any

from diadem.plugins.nanomegas.describe import signals


def read_topspin(path: str, lazy: bool = False) -> list[dict[str, Any]]:
    """Read all signals.

    Parameters
    ----------
    path : str
        The .app5 file.
    lazy : bool
        Not supported by RosettaSciIO, which says so.

    Returns
    -------
    list of dict
        RosettaSciIO's signal dictionaries, with the axes of `diadem.plugins.nanomegas.describe.signals`.
    """
    from rsciio.topspin import file_reader

    read: list[dict[str, Any]] = file_reader(path, lazy=lazy, show_progressbar=False)
    for signal, described in zip(read, signals(path), strict=True):
        signal["axes"] = described["axes"]
    return read
