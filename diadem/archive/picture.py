"""A dataset as it can be looked at: an image with a scale bar, a spectrum with axes, a map and the patterns behind it.

Drawn from the arrays that `Package.load` gives, so that every byte that is shown was proven and axes are those of the
record. Of a large array only a part is read, evenly spread: images by strides, maps at so many places that `BUDGET`
holds. HyperSpy's signals are not made of them, which takes seconds and memory that a picture does not need.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from PIL import Image

from diadem.archive import plot
from diadem.archive.load.dataset import arrays_of
from diadem.archive.load.signals import place_of
from diadem.archive.plot import Axis, Contrast
from diadem.errors import NotFound, ReaderError, UsageError
from diadem.extract.axes import describe_axes, in_order, places_first

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from diadem.archive.package import Package
    from diadem.model.signals import Signal

#: Bytes of the chunks that are read for one picture.
BUDGET: Final = 64 << 20
LEAST, MOST = 64, 4096
#: A place of a scan or a frame of a stack; "mean" for what all of them have in common.
At = int | Sequence[int] | Literal["mean"]
#: Places along a side of a map below which no more are left out.
_FEWEST: Final = 16
#: What is drawn where nobody says which signal: images before what is a map, spectra last.
RANKS: Final = {"image": 0, "spectrum_image": 1, "4dstem": 1, "image_stack": 1, "volume": 2, "spectrum_line": 3}
#: Signals that are tried.
_TRIED: Final = 4
#: Points of a curve that are kept.
_POINTS: Final = 1 << 16
#: Real numbers beyond these are drawn as these: a picture has no room for them, nor has the difference of two.
_FARTHEST: Final = 1e300


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a dataset, which notebooks display.

    Attributes
    ----------
    png : bytes
        The file.
    width, height : int
        Its pixels.
    about : str
        Caption: ``HAADF, 512 × 512, scale bar 500 nm``.
    """

    png: bytes
    width: int
    height: int
    about: str

    def __repr__(self) -> str:
        """What it shows."""
        return f"<Picture {self.width} × {self.height}: {self.about}>"

    def save(self, path: str | Path) -> Path:
        """Write the PNG."""
        Path(path).write_bytes(self.png)
        return Path(path)

    def _repr_png_(self) -> bytes:
        return self.png


@dataclass(frozen=True, slots=True)
class Part:
    """What was read of a signal for one picture; it can be drawn in several ways.

    `values` are rows and columns, perhaps thinned, or the points of a curve; `axes` of what is shown, down and across,
    or along the curve. `pattern`: whether it is a diffraction pattern, few bright spots on much that is dark.
    """

    values: NDArray[Any]
    axes: tuple[Axis, ...]
    told: tuple[str, ...]
    pattern: bool = False

    @property
    def is_curve(self) -> bool:
        """Whether it is drawn as a line."""
        return len(self.axes) == 1

    def to_dict(self) -> dict[str, Any]:
        """The numbers behind it, as a JSON object: a curve's points; how an image's values are spread."""
        axes = [{"name": one.name, "size": one.size, **one.steps()} for one in self.axes]
        about: dict[str, Any] = {"about": ", ".join(self.told), "axes": axes}
        if self.is_curve:
            return {**about, "values": [float(f"{one:.6g}") for one in self.values]}
        if self.values.dtype.names:
            return about
        levels = plot.levels_of(self.values, range(101))
        low, high = plot.levels_of(self.values, (0.1, 99.9))
        counts, _ = np.histogram(self.values, 64, (low, high if high > low else low + 1))
        return {**about, "percentiles": levels, "histogram": {"range": [low, high], "counts": counts.tolist()}}

    def draw(self, size: int, contrast: Contrast) -> Picture:
        """A picture whose longer side has at most so many pixels."""
        if self.is_curve:
            (axis,) = self.axes
            drawn = plot.spectrum(self.values, axis, size)
            scale = f"{axis.name or 'x'} {axis.range_text()}" if axis.unit else ""
        else:
            coloured = bool(self.values.dtype.names)
            grey = None if coloured else plot.grey(self.values, contrast, pattern=self.pattern)
            pixels = plot.colours(self.values) if grey is None else Image.fromarray(grey)
            drawn, scale = plot.image(pixels, self.axes, size)
        sink = io.BytesIO()
        drawn.save(sink, "PNG", compress_level=3)
        return Picture(sink.getvalue(), drawn.width, drawn.height, ", ".join(filter(None, (*self.told, scale))))


def sizes_of(signal: Signal) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Sizes of the scan or stack that a signal of a record is, and of what lies behind each of its places."""
    by = "spectrum" if signal.kind.startswith(("spectrum", "time")) else "image"
    axes = [axis.document for axis in signal.axes]
    order, count = places_first(axes, signal.shape, {"Signal": {"record_by": by}})
    sizes = tuple(signal.shape[place] for place in order)
    return sizes[:count], sizes[count:]


@contextmanager
def opened(package: Package, path: str) -> Iterator[Scene]:
    """A dataset that is looked at in several ways; what it needs is open until the ``with`` ends."""
    with arrays_of(package, path) as arrays:
        yield Scene(package, path, arrays)


@dataclass(frozen=True, slots=True)
class Scene:
    """An opened dataset, of which parts are read for pictures; made by `opened`."""

    package: Package
    path: str
    arrays: Sequence[Mapping[str, Any]]

    @property
    def held(self) -> int:
        """Bytes of arrays that are in memory, for their reader cannot leave them in the file."""
        return sum(one["data"].nbytes for one in self.arrays if isinstance(one["data"], np.ndarray))

    def part(
        self,
        *,
        signal: int | str | None = None,
        size: int = 512,
        at: At | None = None,
        crop: Sequence[int] | None = None,
    ) -> Part:
        """As much as a picture of this size shows; parameters and errors as of `Package.picture`."""
        if not LEAST <= size <= MOST:
            raise UsageError(f"a picture has {LEAST} to {MOST} pixels, not {size}")
        if signal is None:
            candidates = self._candidates()
        else:
            candidates = [self.arrays[place_of(signal, [_title(one) for one in self.arrays], self.path)]]
        for one in candidates:
            if (found := _read(one, size, at, crop, self.path)) is not None:
                return found
        raise ReaderError(
            "there is nothing in it that can be drawn", where=self.path, next="See .signals for what it holds."
        )

    def _candidates(self) -> Sequence[Mapping[str, Any]]:
        """The signals, those first that have most to show."""
        try:
            kinds = {one.id: one.kind for one in self.package[self.path].signals}
        except NotFound:
            return self.arrays
        ranked = sorted(range(len(self.arrays)), key=lambda at: RANKS.get(kinds.get(f"s{at + 1}", ""), 4))
        return [self.arrays[at] for at in ranked[:_TRIED]]


def _title(array: Mapping[str, Any]) -> str:
    metadata = array.get("metadata")
    general = metadata.get("General") if isinstance(metadata, Mapping) else None
    return str(general.get("title") or "") if isinstance(general, Mapping) else ""


def _read(array: Mapping[str, Any], size: int, at: At | None, crop: Sequence[int] | None, where: str) -> Part | None:
    """What a picture shows of one signal; None where it is empty, or of a kind that has none."""
    data = array["data"]
    shape = tuple(int(n) for n in getattr(data, "shape", ()))
    if not shape or 0 in shape:
        return None
    if data.dtype.kind not in "biufc" and not {"R", "G", "B"} <= set(data.dtype.names or ()):  # nor colours
        return None
    said = in_order(array.get("axes") or [])
    order, count = places_first(said, shape, array.get("metadata") or {})  # places of the scan first
    data = data if list(order) == sorted(order) else data.transpose(order)
    described = describe_axes(said, shape)
    axes = [_axis(described[place] if place < len(described) else {}, shape[place]) for place in order]
    outer, inner = axes[:count], axes[count:]
    if not inner or len(inner) > 2:  # a plain array, or a volume
        outer, inner = axes[:-2], axes[-2:]
    told = [f"{_title(array) or where.rpartition('/')[2]}, {' × '.join(f'{axis.size:,}' for axis in axes)}"]
    pattern = inner[-1].unit in ("1/m", "rad")
    picked: list[Any] = []  # what is taken of each axis, all at once: of two cuts in a row, the first is read whole
    if at is not None:
        pattern = len(outer) == 2
        if at == "mean":
            data = _mean(data, len(outer), told, where)
        else:
            picked += _place(at, outer, where)
            told.append(f"at {', '.join(map(str, at if isinstance(at, Sequence) else [at]))}")
        outer = []
    while len(outer) > 2:
        told.append(f"{outer[0].name or 'index'} {outer[0].size // 2}")
        picked, outer = [*picked, outer[0].size // 2], outer[1:]
    if len(inner) == 1 and not outer:
        return _curve(data, picked, inner[0], told)
    if len(outer) == 1 and len(inner) == 2:
        told.append(f"frame {outer[0].size // 2} of {outer[0].size:,}")
        picked, outer = [*picked, outer[0].size // 2], []
    shown = outer if len(outer) == 2 else [*outer, *inner]  # a map, an image, or a line of spectra
    parts = [slice(0, axis.size) for axis in shown]
    if crop is not None:
        parts = _rectangle(crop, shown, told, where)
        shown = [axis.cut(part.start, part.stop - part.start) for axis, part in zip(shown, parts, strict=True)]
    if len(outer) == 2:
        return Part(_map(data, picked, parts, len(inner), size, told), tuple(shown), tuple(told))
    return Part(_thinned(data, picked, parts, size), tuple(shown), tuple(told), pattern)


def _axis(said: Mapping[str, Any], size: int) -> Axis:
    """An axis of the record; without a unit that counts, or even steps, it counts elements."""
    name, unit = str(said.get("name", "")), said.get("unit")
    scale, offset = said.get("scale"), said.get("offset", 0.0)
    if unit in (None, "px", "1") or not scale or not math.isfinite(offset + size * scale):
        return Axis(name, size)
    return Axis(name, size, scale, offset, str(unit))


def _place(at: At, outer: Sequence[Axis], where: str) -> tuple[int, ...]:
    sizes = tuple(axis.size for axis in outer)
    wanted: tuple[Any, ...] = tuple(at) if isinstance(at, Sequence) else (at,)
    if isinstance(at, str):
        raise UsageError(f"'{at}' is not a place", where=where, next='Write at=(row, column), or at="mean".')
    if not sizes:
        raise UsageError("this is one picture, without places or frames", where=where, next="Leave `at` out.")
    if len(wanted) != len(sizes) or not all(-n <= int(one) < n for one, n in zip(wanted, sizes, strict=True)):
        said = ", ".join(map(str, wanted))
        raise UsageError(f"there is no place ({said})", where=where, next=f"There are {' × '.join(map(str, sizes))}.")
    return tuple(map(int, wanted))


def _rectangle(crop: Sequence[int], shown: Sequence[Axis], told: list[str], where: str) -> list[slice]:
    """A part of what is shown: first row, first column, rows, columns."""
    starts, sizes = tuple(crop[:2]), tuple(crop[2:])
    if len(crop) != 4 or not all(
        start >= 0 and size > 0 and start + size <= axis.size
        for start, size, axis in zip(starts, sizes, shown, strict=True)
    ):
        whole = " × ".join(str(axis.size) for axis in shown)
        raise UsageError(f"there is no part {tuple(crop)}", where=where, next=f"It has {whole} rows and columns.")
    parts = [slice(start, start + size) for start, size in zip(starts, sizes, strict=True)]
    told.append(" × ".join(f"{part.start} to {part.stop - 1}" for part in parts))
    return parts


# -- reading a part ------------------------------------------------------------------------------------------------


def _numbers(data: Any) -> NDArray[Any]:
    """The array in memory as real numbers, read a chunk at a time; colours stay what they are."""
    if hasattr(data, "compute"):
        from dask.local import get_sync

        data = data.compute(scheduler=get_sync)  # by its name, Dask would import `distributed` first
    array = np.asarray(data)
    if array.dtype.names:
        return array
    array = np.abs(array) if array.dtype.kind == "c" else array
    small = array.dtype.kind in "bui" and array.dtype.itemsize <= 2  # as exact in half of the memory
    if small or array.dtype == np.float32:
        return array.astype(np.float32, copy=False)
    return np.clip(array.astype(np.float64, copy=False), -_FARTHEST, _FARTHEST)


def _thinned(data: Any, picked: Sequence[int], parts: Sequence[slice], size: int) -> NDArray[Any]:
    """Rows and columns as many as a picture can show twice; of a large array as many as it has."""
    sizes = [part.stop - part.start for part in parts]
    wanted = size if math.prod(sizes) * data.dtype.itemsize > BUDGET // 4 else 2 * size
    steps = [slice(part.start, part.stop, max(1, n // wanted)) for part, n in zip(parts, sizes, strict=True)]
    return _numbers(data[(*picked, *steps)])


def _curve(data: Any, picked: Sequence[int], axis: Axis, told: Sequence[str]) -> Part:
    """A curve; of very many points as many as are worth keeping."""
    step = -(-axis.size // _POINTS)
    values = np.nan_to_num(_numbers(data[(*picked, slice(None, None, step))]), nan=0.0, posinf=0.0, neginf=0.0)
    along = Axis(axis.name, len(values), axis.scale * step, axis.offset, axis.unit)
    return Part(values, (along,), (*told, *([f"1 of {step} points"] if step > 1 else [])))


def _touched(data: Any, slices: Sequence[slice]) -> float:
    """Bytes of the chunks that a selection touches."""
    if not hasattr(data, "chunks"):
        return 0.0
    share = 1.0
    for chunks, chosen, n in zip(data.chunks, slices, data.shape, strict=True):
        ends = np.cumsum(chunks)
        hit = np.unique(np.searchsorted(ends, np.arange(*chosen.indices(n)), side="right"))
        share *= float(np.take(chunks, hit).sum()) / n
    return share * float(data.size) * float(data.dtype.itemsize)


def _mean(data: Any, outer: int, told: list[str], where: str) -> Any:
    """What the places of a scan, or the frames of a stack, have in common: of as many as the budget allows."""
    if not outer:
        raise UsageError("this is one picture, without places or frames", where=where, next="Leave `at` out.")
    rest = [slice(None)] * (data.ndim - outer)
    step, most = 1, max(data.shape[:outer])
    while step < most and _touched(data, [*([slice(None, None, step)] * outer), *rest]) > BUDGET:
        step *= 2
    if step < most or not hasattr(data, "chunks"):
        part = data[(slice(None, None, step),) * outer]
    else:  # what is read with one place in the middle comes along
        middle = [
            (n // 2 // chunks[0] * chunks[0], chunks[0]) for n, chunks in zip(data.shape, data.chunks, strict=True)
        ]
        part = data[tuple(slice(start, start + size) for start, size in middle[:outer])]
    told.append(f"mean of {math.prod(part.shape[:outer]):,} of {math.prod(data.shape[:outer]):,}")
    return part.mean(axis=tuple(range(outer)), dtype=np.complex128 if data.dtype.kind == "c" else np.float64)


def _map(
    data: Any, picked: Sequence[int], parts: Sequence[slice], inner: int, size: int, told: list[str]
) -> NDArray[Any]:
    """The sum of what stands at each place of a scan, of so many places and channels as the budget allows."""
    data = data[(*picked, *parts)]
    usual = max(1, max(data.shape[:2]) // (2 * size))
    places, channels = _steps(data, usual)
    # Channels are taken from the middle of their steps: in the corner of a pattern there is nothing to see.
    cut = _cut(data, places)
    part = data[(*cut, *(slice(channels // 2, None, channels),) * inner)]
    told.append("sum at each place" if inner else "map")
    if places > usual:
        rows, columns = (one.step for one in cut)
        told.append(f"1 of {places} places in each direction" if rows == columns else f"1 of {rows} × {columns} places")
    if channels > 1:
        told.append(f"1 of {channels} channels")
    return _numbers(part.sum(axis=tuple(range(2, 2 + inner))) if inner else part)


def _steps(data: Any, usual: int) -> tuple[int, int]:
    """Steps between places and between channels, the smallest with which the chunks that are read hold the budget.

    Which of the two helps depends on how the array lies in its file: place by place, or channel by channel. Where
    neither does enough, what touches the least: to leave out parts of a chunk saves nothing, for it is proven whole.
    """
    inner, longer = data.ndim - 2, max(data.shape[:2])
    ways = []
    for places in _doubled(usual):
        if places > usual and longer // places < _FEWEST:
            break
        for channels in _doubled(1, min(data.shape[2:]) if inner else 1):
            cost = _touched(data, [*_cut(data, places), *[slice(channels // 2, None, channels)] * inner])
            ways.append((cost, places, channels))
    return min(ways, key=lambda way: (max(way[0], BUDGET), way[1] ** 2 * way[2] ** inner))[1:]


def _cut(data: Any, places: int) -> list[slice]:
    """One of so many places in each direction; of a side that has few, more of them."""
    return [slice(None, None, max(1, min(places, n // _FEWEST))) for n in data.shape[:2]]


def _doubled(first: int, most: int = 1 << 40) -> Iterator[int]:
    while first <= most:
        yield first
        first *= 2
