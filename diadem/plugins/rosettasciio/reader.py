"""Readers of RosettaSciIO that need a word before they are called. Imported in the worker only."""

from __future__ import annotations

from typing import Any


def read_emd(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Read an EMD file; without the packages that decode Velox spectra, its images alone, and say so.

    Parameters
    ----------
    path : str
        The file.
    lazy : bool
        Whether arrays stay in the file.

    Returns
    -------
    list of dict
        RosettaSciIO's signal dictionaries; the first has ``issues`` where something could not be read.
    """
    from rsciio.emd import file_reader

    try:
        signals: list[dict[str, Any]] = file_reader(path, lazy=lazy)
    except ModuleNotFoundError as error:
        signals = file_reader(path, lazy=lazy, select_type="image")
        if not signals:
            raise
        message = f"only the images could be read: spectra need the package '{error.name or 'sparse'}'"
        signals[0]["issues"] = [{"code": "reader-missing", "message": message}]
    return signals


def read_zspy(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Read a zspy folder or archive without asking for write access, which RosettaSciIO does when lazy."""
    from rsciio.zspy import file_reader

    signals: list[dict[str, Any]] = file_reader(path, lazy=lazy, mode="r")
    return signals
