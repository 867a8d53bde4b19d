"""The arrays of a dataset as NXdata: written piece by piece, so that memory does not grow with the array."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from diadem.terms.units import meanings

#: NXem has images and their stacks of up to four dimensions, and spectra along three of space.
MOST_DIMENSIONS: Final = 4
#: Bytes of a chunk of the file, which is what a reader unpacks at once.
_CHUNK: Final = 1 << 20
#: Bytes from which on an array is compressed.
_LARGE: Final = 1 << 16
#: Units of an axis of space in a spectrum image.
_SPACE: Final = ("m", "px")
#: HyperSpy's word for no unit.
_UNDEFINED: Final = "<undefined>"


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: how NXem calls it, what the record calls it, with the unit as written; its points, their unit or ""."""

    name: str
    title: str
    points: Any
    unit: str


@dataclass(frozen=True, slots=True)
class Plot:
    """How an array stands in NXem.

    Attributes
    ----------
    group, data : str
        Its kind of picture, ``image_2d``, ``spectrum_1d``, ``stack_2d``; and its name there.
    array : dask array or numpy array
        The values, the colours of a picture as a stack.
    axes : sequence of Axis
        In the order of the array.
    """

    group: str
    data: str
    array: Any
    axes: Sequence[Axis]

    @property
    def kind(self) -> str:
        """``image`` or ``spectrum``."""
        return "spectrum" if self.group.startswith("spectrum") else "image"


def plot_of(signal: Any) -> Plot:
    """How a HyperSpy signal of up to four dimensions stands in NXem."""
    import numpy as np

    array = signal.data
    known = sorted([*signal.axes_manager.navigation_axes, *signal.axes_manager.signal_axes], key=_place)
    axes = [(_title(one), one.axis, _unit(one.units)) for one in known]
    if array.dtype.names:  # colours
        import dask.array as da

        colours = array.dtype.names
        stacked: Any = da if hasattr(array, "dask") else np
        array = stacked.stack([array[colour] for colour in colours])
        axes = [("colour " + ", ".join(colours), np.arange(len(colours)), ""), *axes]
        return _plot("stack_2d", "real", array, ("indices_image", "axis_j", "axis_i"), axes)
    if array.dtype == bool:
        array = array.astype("u1")
    names: tuple[str, ...] = ("axis_m", "axis_k", "axis_j", "axis_i")
    if _is_spectrum(axes) and array.dtype.kind != "c":
        around = [(title, points, unit or "pixel") for title, points, unit in axes[:-1]]
        names = (*names[len(names) - len(around) :], "axis_energy")
        return _plot(f"spectrum_{len(around)}d", "intensity", array, names, [*around, axes[-1]])
    data = "complex" if array.dtype.kind == "c" else "real"
    return _plot(f"image_{len(axes)}d", data, array, names[len(names) - len(axes) :], axes)


def _place(axis: Any) -> int:
    return int(axis.index_in_array)


def _title(axis: Any) -> str:
    """What the record calls it, with its unit as it is written, which NeXus need not know: ``i (points)``."""
    unit = _in_letters(axis.units)
    return str(axis.name) if unit in ("", _UNDEFINED) else f"{axis.name} ({unit})"


def _plot(group: str, data: str, array: Any, names: Sequence[str], axes: Sequence[tuple[str, Any, str]]) -> Plot:
    return Plot(group, data, array, [Axis(name, *one) for name, one in zip(names, axes, strict=True)])


def _unit(written: Any) -> str:
    text = _in_letters(written)
    found = meanings(text) if text not in ("", _UNDEFINED) else ()
    return "" if not found else "pixel" if found[0].unit == "px" else text


def _in_letters(unit: Any) -> str:
    """A unit with u for micro: libraries write it as a sign or as the Greek letter, and readers know one of them."""
    return str(unit or "").strip().replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")


def _is_spectrum(axes: Sequence[tuple[str, Any, str]]) -> bool:
    """Whether NXem has it as a spectrum: counts by energy, at points of space."""
    *around, last = [(meanings(unit)[0].unit if unit else "", points) for _, points, unit in axes]
    counted = all(len(points) < 2 or (points[0] == 0 and points[1] == 1) for unit, points in around if not unit)
    return last[0] == "eV" and counted and all(unit in ("", *_SPACE) for unit, _ in around)


def write_plot(group: Any, plot: Plot, title: str, read: Callable[[int], None]) -> None:
    """Write an array and its axes into a group of an open file; `read` is told how many bytes each piece has."""
    import numpy as np

    group.attrs["NX_class"] = "NXdata"
    group.attrs["signal"] = plot.data
    group.attrs["axes"] = [axis.name for axis in plot.axes]
    for number, axis in enumerate(plot.axes):
        group.attrs[f"{axis.name}_indices"] = np.uint32(number)
        points = group.create_dataset(axis.name, data=axis.points)
        points.attrs["long_name"] = axis.title
        if axis.unit:
            points.attrs["units"] = axis.unit
    group["title"] = title
    array = plot.array
    dataset = _empty(group, plot.data, array, array.dtype)
    if (plot.group, plot.data) != ("image_2d", "complex"):  # there NXem has forgotten it
        dataset.attrs["long_name"] = title
    real = _empty(group, "real", array, array.real.dtype) if plot.data == "complex" else None
    if real is not None:  # which NXem requires beside
        real.attrs["long_name"] = f"{title}, real part"
    for place, values in _pieces(array):
        dataset[place] = values
        if real is not None:
            real[place] = values.real
        read(values.nbytes)


def _empty(group: Any, name: str, array: Any, dtype: Any) -> Any:
    """An array of the file without values, in chunks if it is large."""
    if math.prod(array.shape) * dtype.itemsize < _LARGE:
        return group.create_dataset(name, shape=array.shape, dtype=dtype)
    chunk = [sizes[0] for sizes in array.chunks] if hasattr(array, "chunks") else list(array.shape)
    while math.prod(chunk) * dtype.itemsize > _CHUNK:
        longest = max(range(len(chunk)), key=lambda axis: (chunk[axis] > 1, -axis))  # the slowest that can be divided
        chunk[longest] = -(-chunk[longest] // 2)
    options = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    return group.create_dataset(name, shape=array.shape, dtype=dtype, chunks=tuple(chunk), **options)


def _pieces(array: Any) -> Iterator[tuple[tuple[slice, ...], Any]]:
    """The array in the pieces in which it is read, one at a time."""
    if not hasattr(array, "dask"):
        yield (slice(None),) * array.ndim, array
        return
    starts = [list(itertools.accumulate(sizes, initial=0)) for sizes in array.chunks]
    for block in itertools.product(*(range(len(sizes)) for sizes in array.chunks)):
        place = tuple(slice(at[n], at[n + 1]) for at, n in zip(starts, block, strict=True))
        yield place, array.blocks[block].compute(scheduler="synchronous")
