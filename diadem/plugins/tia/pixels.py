"""The values of a series as a lazy array that reads the elements that are asked for."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from diadem.plugins.tia.series import Recorded

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Bytes of elements that are read together.
_CHUNK = 4 << 20


class Elements:
    """Elements one after the other; the file is open while some are read.

    Parameters
    ----------
    path : str
        The .ser file.
    recorded : Recorded
        What its head says.
    """

    def __init__(self, path: str, recorded: Recorded) -> None:
        self.shape = (len(recorded.starts), *recorded.shape)
        self.dtype = np.dtype(recorded.dtype)
        self.ndim = len(self.shape)
        self._path = path
        self._starts = np.asarray(recorded.starts, np.int64)
        self._before = recorded.before

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Some elements, or parts of them: a slice of elements, then slices of their axes."""
        first, *inner = key if isinstance(key, tuple) else (key,)
        starts = self._starts[first]
        each = self.shape[1:]
        values = np.empty((len(starts), *each), self.dtype)
        with open(self._path, "rb") as stream:  # noqa: PTH123 - np.fromfile wants the position of this very file
            for place, start in enumerate(starts):
                stream.seek(int(start) + self._before)
                values[place] = np.fromfile(stream, self.dtype, prod(each)).reshape(each)
        return values[(slice(None), *inner)]


def pixels(path: str, recorded: Recorded, shape: tuple[int, ...]) -> Any:
    """A Dask array of the whole series.

    Parameters
    ----------
    path : str
        The .ser file.
    recorded : Recorded
        What its head says.
    shape : tuple of int
        Of the signal. Where fewer elements were recorded than planned, the rest is zero, or NaN in fractions.
    """
    import dask.array

    da: Any = dask.array
    elements = Elements(path, recorded)
    many = max(1, min(elements.shape[0], _CHUNK // max(1, recorded.length)))
    data = da.from_array(elements, chunks=(many, *recorded.shape), name=False, meta=np.empty((0,), elements.dtype))
    missing = prod(shape) // prod(recorded.shape) - elements.shape[0]
    if missing:
        fill = np.nan if elements.dtype in (np.dtype("f4"), np.dtype("f8")) else 0
        rest = da.full((missing, *recorded.shape), fill, dtype=elements.dtype, chunks=(many, *recorded.shape))
        data = da.concatenate([data, rest])
    data = data.reshape(shape)
    return data if recorded.spectra else data[..., ::-1, :]
