"""Readers of RosettaSciIO that need a word before they are called. Imported in the worker only."""

from __future__ import annotations

from contextlib import suppress
from typing import Any


def read_emd(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Read an EMD file; without the packages that decode Velox spectra, what can be read, and say so.

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
        signals = _read_before_stream(path, lazy)
        if not signals:
            raise
        message = f"the spectrum images could not be read: they need the package '{error.name or 'sparse'}'"
        signals[0]["issues"] = [{"code": "reader-missing", "message": message}]
    return signals


def _read_before_stream(path: str, lazy: bool) -> list[dict[str, Any]]:
    """Images and single spectra of a Velox file, which RosettaSciIO reads before it decodes streams of events."""
    import h5py

    try:
        from rsciio.emd._emd_velox import FeiEMDReader
    except ImportError:
        return []
    reader = FeiEMDReader(lazy=lazy)
    with suppress(ModuleNotFoundError):
        reader.read_file(h5py.File(path, "r"))
    return list(getattr(reader, "dictionaries", ()))


def read_zspy(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Read a zspy folder or archive without asking for write access, which RosettaSciIO does when lazy."""
    from rsciio.zspy import file_reader

    signals: list[dict[str, Any]] = file_reader(path, lazy=lazy, mode="r")
    return signals
