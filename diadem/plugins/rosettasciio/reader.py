"""Readers of RosettaSciIO that need a word before they are called. Imported where files are read only."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import Any


def read_emd(path: Any, lazy: bool = True) -> list[dict[str, Any]]:
    """Read an EMD file; without the packages that decode Velox spectra, what can be read, and say so.

    Parameters
    ----------
    path : str or file object
        The file.
    lazy : bool
        Whether arrays stay in the file.

    Returns
    -------
    list of dict
        RosettaSciIO's signal dictionaries; the first has ``issues`` where something could not be read.
    """
    import h5py

    from diadem.plugins.velox.container import is_velox

    with h5py.File(path, "r") as root:
        velox = is_velox(root)
    if velox:
        return _read_velox(path, lazy)
    from rsciio.emd import file_reader

    signals: list[dict[str, Any]] = file_reader(path, lazy=lazy)
    return signals


def _read_velox(path: Any, lazy: bool) -> list[dict[str, Any]]:
    """Read a Velox file; a lazy reader keeps it open for its arrays."""
    import h5py

    reader = _velox_reader(lazy)
    root = h5py.File(path, "r")
    missing: ModuleNotFoundError | None = None
    try:
        reader.read_file(root)
    except ModuleNotFoundError as error:
        missing = error
        if not reader.dictionaries:
            raise
    finally:
        if not lazy or not reader.dictionaries:
            root.close()
    signals: list[dict[str, Any]] = list(reader.dictionaries)
    for signal in signals:
        _put_axes_in_order(signal)
    if missing is not None:
        message = f"the spectrum images could not be read: they need the package '{missing.name or 'sparse'}'"
        signals[0]["issues"] = [{"code": "reader-missing", "message": message}]
    return signals


def _velox_reader(lazy: bool) -> Any:
    """RosettaSciIO's reader; streams of events get the shape of their own scan, not that of the file's last image."""
    from rsciio.emd._emd_velox import FeiEMDReader

    from diadem.plugins.velox.order import order_of
    from diadem.plugins.velox.scan import shape_of_stream

    class Reader(FeiEMDReader):  # type: ignore[misc]
        def _read_spectrum_stream(self) -> None:
            with suppress(KeyError, ValueError, TypeError, IndexError):
                order = order_of(self.d_grp.file)
                self.spatial_shape = shape_of_stream(self.d_grp.file, order.streams[0], order)
            super()._read_spectrum_stream()

    return Reader(lazy=lazy)


def _put_axes_in_order(signal: dict[str, Any]) -> None:
    """Number the axes of energy-loss spectrum images as their array has them; RosettaSciIO 0.15 swaps y and x."""
    axes = signal["axes"]
    if [(axis["name"], axis.get("index_in_array")) for axis in axes[:2]] == [("y", 1), ("x", 0)]:
        for place, axis in enumerate(axes):
            axis["index_in_array"] = place


def read_zspy(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Read a zspy folder or archive without asking for write access, which RosettaSciIO does when lazy.

    Raises
    ------
    ReaderError
        It names code to decode its arrays by that is not known to be harmless.
    """
    from diadem.plugins.hyperspy.zarr import Store

    with closing(Store(path)) as store:
        store.require_known_codecs()
    from rsciio.zspy import file_reader

    signals: list[dict[str, Any]] = file_reader(path, lazy=lazy, mode="r")
    return signals
