"""The arrays of a dataset as NXdata: written piece by piece, so that memory does not grow with the array."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from diadem.model.signals import Axis as StatedAxis
from diadem.model.signals import Signal
from diadem.terms.units import symbol, to_si

#: NXem has images and their stacks of up to four dimensions, and spectra along three of space.
MOST_DIMENSIONS: Final = 4
#: Bytes of a chunk of the file, which is what a reader unpacks at once.
_CHUNK: Final = 1 << 20
#: Bytes from which on an array is compressed.
_LARGE: Final = 1 << 16
#: Units of an axis of space in a spectrum image.
_SPACE: Final = ("m", "px")
#: Names of axes that are of energies, whatever their unit.
_ENERGY: Final = re.compile(r"energy|\be?loss\b", re.IGNORECASE)
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


def unfit(signal: Signal) -> str:
    """Why NXem has no place for an array of which the record says so much; or "".

    It has spectra, counts by energy, at points of space: any other array of energies would be taken for a picture.
    """
    if not 0 < len(signal.shape) <= MOST_DIMENSIONS:
        return f"it has {len(signal.shape)} dimensions, and NXem has arrays of one to {MOST_DIMENSIONS} dimensions"
    around = [axis for axis in signal.axes if axis.unit != "eV"]
    energies = len(signal.axes) - len(around)
    if energies > 1:
        return "it has energies along two axes"
    if energies and "c" in signal.dtype:
        return "it has complex numbers along its energies"
    for axis in around:
        if axis.unit is None and (_ENERGY.search(axis.name) or (energies and not _counts(axis))):
            said = f"not understood: {axis.unit_as_stored}" if axis.unit_as_stored else "not stated"
            return f"the unit of its axis '{axis.name}' is {said}"
        if energies and axis.unit not in (None, *_SPACE):
            return f"it has spectra along '{axis.name}', which is in {axis.unit}"
    return ""


def _counts(axis: StatedAxis) -> bool:
    """Whether an axis without a unit numbers its points."""
    even = axis.document.get("values") is None and axis.scale in (None, 1.0) and axis.offset in (None, 0.0)
    return axis.size < 2 or even


def plot_of(signal: Any) -> Plot:
    """How a HyperSpy signal that is not `unfit` stands in NXem."""
    import numpy as np

    array = signal.data
    known = sorted([*signal.axes_manager.navigation_axes, *signal.axes_manager.signal_axes], key=_place)
    axes = [(_title(one), one.axis, symbol(one.units).replace("px", "pixel")) for one in known]
    energies = [place for place, one in enumerate(known) if to_si(one.units)[0] == "eV"]
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
    if energies:
        energy = axes.pop(energies[0])
        around = [(title, points, unit or "pixel") for title, points, unit in axes]
        names = (*names[len(names) - len(around) :], "axis_energy")
        array = np.moveaxis(array, energies[0], -1)
        return _plot(f"spectrum_{len(around)}d", "intensity", array, names, [*around, energy])
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


def _in_letters(unit: Any) -> str:
    """A unit as it is written, with u for micro: readers of the sign do not know the Greek letter, or the other way."""
    return str(unit or "").strip().replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")


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
