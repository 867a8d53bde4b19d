"""Looks into files whose suffix several formats share; called in the worker, after the walk that refuses bad HDF5."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def _head(path: str, size: int = 4096) -> bytes:
    """First bytes of a file."""
    with Path(path).open("rb") as stream:
        return stream.read(size)


def _inside(path: str, test: Callable[[Any], bool]) -> bool:
    """Whether the root of an HDF5 file passes a test."""
    import h5py

    with h5py.File(path, "r") as file:
        return test(file)


def is_hspy(path: str) -> bool:
    """HyperSpy marks its files, and keeps its signals in `Experiments`."""
    return _inside(path, lambda root: root.attrs.get("file_format") == "HyperSpy" or "Experiments" in root)


def is_emd(path: str) -> bool:
    """Velox has `Data` and an application's record; NCEM and py4DSTEM mark groups with `emd_group_type`."""
    return _inside(path, _is_emd)


def _is_emd(root: Any) -> bool:
    """Whether a root is one of the three dialects of EMD."""
    if "emd_group_type" in root.attrs or {"version_major", "version_minor"} <= set(root.attrs):
        return True
    if "Data" in root and any(name in root for name in ("Version", "Experiment", "Application", "Presentation")):
        return True
    return _any_group(root, lambda group: "emd_group_type" in group.attrs)


def is_delmic(path: str) -> bool:
    """Odemis numbers its acquisitions from `Acquisition0`."""
    return _inside(path, lambda root: "Acquisition0" in root)


def is_tofwerk(path: str) -> bool:
    """TofDAQ names its version in an attribute of the root."""
    return _inside(path, lambda root: "TofDAQ Version" in root.attrs or "FullSpectra" in root)


def is_usid(path: str) -> bool:
    """USID numbers its measurements from `Measurement_000`."""
    return _inside(path, lambda root: "Measurement_000" in root)


def is_arina(path: str) -> bool:
    """A DECTRIS master names itself so and keeps links to its data files in `entry/data`."""
    name = Path(path).name.lower()
    return name.endswith("_master.h5") and _inside(path, lambda root: "entry" in root and "data" in root["entry"])


def _any_group(root: Any, test: Callable[[Any], bool]) -> bool:
    """Whether a group directly below the root passes a test; links to other files are not followed."""
    import h5py

    for name in root:
        if isinstance(root.get(name, getlink=True), h5py.HardLink):
            item = root[name]
            if isinstance(item, h5py.Group) and test(item):
                return True
    return False


def is_jobinyvon(path: str) -> bool:
    """LabSpec writes an XML document `LSX_Data`."""
    return b"<LSX_Data" in _head(path)


def is_protochips(path: str) -> bool:
    """Protochips' first column is the time, the second its notes, which begin with the calibration or date."""
    first = _head(path).split(b"\n", 1)[0].replace(b" ", b"")
    return first.startswith(b"Time,Notes,")


def is_impulse(path: str) -> bool:
    """Impulse writes the time stamp and the time of the experiment."""
    return _head(path).startswith(b"TimeStamp,Experiment time")


def is_mrcz(path: str) -> bool:
    """MRCZ adds 1000 times the compressor's number to MRC's mode; its own suffix also marks uncompressed files."""
    mode = int.from_bytes(_head(path, 16)[12:16], "little")
    return path.lower().endswith(".mrcz") or 1000 <= mode < 4000
