"""Groups of an HDF5 file; links to other files are not followed, long arrays not read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py

from diadem.plugins.hyperspy.tree import LONGEST_LIST, Group


class Hdf5Group:
    """A group that is read attribute by attribute.

    Parameters
    ----------
    group : h5py.Group
        It.
    """

    def __init__(self, group: h5py.Group) -> None:
        self._group = group

    def values(self) -> Iterator[tuple[str, Any]]:
        """Attributes and small arrays by name."""
        for name in self._group.attrs:
            yield str(name), self._group.attrs[name]
        for name, item in self._inside():
            if isinstance(item, h5py.Dataset) and item.size is not None and item.size <= LONGEST_LIST:
                yield name, _read(item)

    def groups(self) -> Iterator[tuple[str, Group]]:
        """Groups in it by name."""
        for name, item in self._inside():
            if isinstance(item, h5py.Group):
                yield name, Hdf5Group(item)

    def _inside(self) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
        for name in self._group:
            if isinstance(self._group.get(name, getlink=True), h5py.HardLink):
                yield str(name), self._group[name]


def _read(dataset: h5py.Dataset) -> Any:
    """The whole of a small array; texts as texts."""
    if dataset.external is not None or dataset.is_virtual:
        return None
    return dataset.asstr()[()] if h5py.check_string_dtype(dataset.dtype) is not None else dataset[()]


def experiments(file: h5py.File) -> Iterator[tuple[str, Hdf5Group]]:
    """Signals in the order of the reader: groups in `Experiments` that have data."""
    if not isinstance(file.get("Experiments", getlink=True), h5py.HardLink):
        return
    for name in file["Experiments"]:
        if isinstance(file["Experiments"].get(name, getlink=True), h5py.HardLink):
            group = file["Experiments"][name]
            if isinstance(group, h5py.Group) and "data" in group:
                yield str(name), Hdf5Group(group)
