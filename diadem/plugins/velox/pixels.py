"""Pixels of a Velox file that stay in it: read when they are asked for, from a file that is open only meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

#: Names of the halves of complex numbers: Fourier transforms (even and odd width), and differential phase contrast.
_COMPLEX = (
    ("realFloatHalfEven", "imagFloatHalfEven"),
    ("realFloatHalfOdd", "imagFloatHalfOdd"),
    ("realFloat", "imagFloat"),
)


def dtype_of(stored: np.dtype[Any]) -> np.dtype[Any]:
    """The type that a reader gives for a stored one.

    Raises
    ------
    ValueError
        It is a structure that is no complex number.
    """
    if not stored.names:
        return stored
    if stored.names in _COMPLEX and all(stored[name].str == "<f4" for name in stored.names):
        return np.dtype("complex64")
    raise ValueError(f"pixels of an unknown type: {stored.names}")


class Pixels:
    """An array in the order of a reader, read in part when indexed.

    Parameters
    ----------
    path : str
        The file.
    name : str
        Of the dataset in it.
    order : sequence of int
        For each of this array's axes the dataset's axis.
    fixed : dict of int to int
        Places along the dataset's other axes.
    """

    def __init__(self, path: str, dataset: Any, order: Sequence[int], fixed: dict[int, int] | None = None) -> None:
        self._path, self._name = path, str(dataset.name)
        self._order, self._fixed = tuple(order), dict(fixed or {})
        self.shape = tuple(int(dataset.shape[axis]) for axis in self._order)
        self.dtype = dtype_of(dataset.dtype)
        self.ndim = len(self.shape)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """A part as an array in memory; whole numbers and slices with a positive step are understood."""
        keys = [*(key if isinstance(key, tuple) else (key,))]
        keys += [slice(None)] * (self.ndim - len(keys))
        wanted: list[Any] = [0] * (self.ndim + len(self._fixed))
        for axis, place in self._fixed.items():
            wanted[axis] = place
        for axis, part in zip(self._order, keys, strict=True):
            # Steps are taken in memory: the library is slow with them.
            wanted[axis] = part if isinstance(part, int) else slice(part.start, part.stop)
        kept = [(axis, part) for axis, part in zip(self._order, keys, strict=True) if not isinstance(part, int)]
        with h5py.File(self._path, "r") as root:
            found = root[self._name][tuple(wanted)]
        stored = sorted(axis for axis, _ in kept)
        found = np.transpose(found, [stored.index(axis) for axis, _ in kept])
        found = found[tuple(slice(None, None, part.step) for _, part in kept)]
        return np.ascontiguousarray(found).view(self.dtype) if found.dtype.names else np.asarray(found)


class Unread:
    """An array of which shape and type are known, and which only a reader can make: the sum of streams of events."""

    def __init__(self, shape: Sequence[int], dtype: str) -> None:
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.ndim = len(self.shape)
