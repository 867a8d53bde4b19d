"""A TIA series (.ser, Emispec and FEI): spectra or images one after the other, each between a header and a tag.

Source: C. B. Boothroyd, "TIA ser file format"; ncempy's documentation of the same.

RosettaSciIO reads every pixel to tell what signals there are, and two things of its axes are put right here. Offsets
are positions of the first element, in the unit of the scale (proven by the positions that stand behind the elements of
a map). Axes are lengths or reciprocal lengths by their size: TIA writes both in SI units, and no pixel is as large as a
centimetre or, in a diffraction pattern, as small as a hundred per metre.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from diadem.errors import ReaderError
from diadem.hooks.binary import Cursor, too_short, unpack_at
from diadem.hooks.fields import look_up
from diadem.hooks.formats import pieces
from diadem.model.layout import ArrayLayout, ByteRange
from diadem.model.ports import RangeReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Elements of a series that is described.
MAX_ELEMENTS = 4_000_000
#: Elements that a map may be planned for.
_MAX_PLANNED = 1 << 26
#: Dimensions; TIA knows series of one and maps of two.
_MAX_DIMENSIONS = 8
_LONGEST_TEXT = 4096
#: NumPy's type by the code in an element.
_TYPES = {1: "|u1", 2: "<u2", 3: "<u4", 4: "|i1", 5: "<i2", 6: "<i4", 7: "<f4", 8: "<f8", 9: "<c8", 10: "<c16"}
#: Kinds of elements.
SPECTRA, IMAGES = 0x4120, 0x4122
#: Bytes from the start of an element to its array, by kind.
_BEFORE = {SPECTRA: 26, IMAGES: 50}
#: Kind of the tags with the position of an element besides its time; bytes of such a tag, and of others.
PLACED, _PLACED_TAG, _TAG = 0x4142, 24, 8
#: From this version on, places in the file have eight bytes.
_WIDE_VERSION = 0x220
#: Scales in metres and in 1/m: below the first a pixel is a length, above the second a reciprocal one.
_LARGEST_PIXEL, _SMALLEST_FREQUENCY = 1e-2, 1e2
#: Bytes of elements that are read together where they do not lie at equal distances.
_CHUNK = 4 << 20
#: Pieces of an array, with which the memory of its graph grows; and the largest piece, of a map hardly recorded.
_MOST_CHUNKS, _LARGEST_CHUNK = 20_000, 1 << 28

Axis = dict[str, Any]


class NoElements(OSError):
    """Nothing was recorded: the values of a single spectrum may stand in the .emi file.

    `needed` are the bytes of the head, with room for the places of what was to be recorded.
    """

    def __init__(self, needed: int) -> None:
        super().__init__("the series has no element")
        self.needed = needed


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of an axis: `offset` is the position of the element number `element`, `delta` the distance to the next."""

    offset: float
    delta: float
    element: int


@dataclass(frozen=True, slots=True)
class Dimension:
    """One along which elements lie."""

    size: int
    calibration: Calibration
    description: str
    units: str


@dataclass(frozen=True, slots=True)
class Stamp:
    """Of an element: seconds since 1970 in UTC, 0 where nobody noted them; position of the beam in metres, or None."""

    time: int
    position: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Series:
    """A series without its values."""

    #: Of its elements, of the tags behind them, of the format.
    kind: int
    tag: int
    version: int
    #: Elements that were to be recorded, and those that were.
    total: int
    valid: int
    #: First byte of the descriptions of the dimensions, which stand fastest first.
    described: int
    dimensions: Sequence[Dimension]
    #: First byte of each element.
    starts: Sequence[int]
    dtype: str
    #: Of one element: (channels,) and (energy,), or (rows, columns) and (x, y).
    shape: tuple[int, ...]
    calibrations: Sequence[Calibration]
    #: Of the first, second and last element.
    stamps: Sequence[Stamp]

    @property
    def spectra(self) -> bool:
        """Whether its elements are spectra."""
        return self.kind == SPECTRA

    @property
    def before(self) -> int:
        """Bytes from the start of an element to its array."""
        return _BEFORE[self.kind]

    @property
    def length(self) -> int:
        """Bytes of an element's array."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def tail(self) -> int:
        """Bytes of the tag behind an element's array."""
        return _PLACED_TAG if self.tag == PLACED else _TAG

    @property
    def end(self) -> int:
        """The byte after the last element's tag."""
        return max(self.starts) + self.before + self.length + self.tail

    def headers(self, size: int) -> list[ByteRange]:
        """All of a file of this size but the arrays."""
        ranges = [(0, self.starts[0] + self.before), (self.end - self.tail, size)]
        for start in self.starts:
            behind = start + self.before + self.length
            ranges += [(start, start + self.before), (behind, behind + self.tail)]
        return ranges


def read_series(reader: RangeReader, name: str) -> Series:
    """Read what is not pixels; raises `NoElements`, or `ReaderError` where it is shorter than it says, or no series."""
    order, mark, version, kind, tag, total, valid = unpack_at(reader, name, 0, "<HHHIIII")
    if (order, mark) != (0x4949, 0x0197) or kind not in _BEFORE:
        raise ReaderError("this is not a TIA series", where=name)
    place = "Q" if version >= _WIDE_VERSION else "I"
    table, count = unpack_at(reader, name, 22, f"<{place}I")
    if not valid:
        raise NoElements(table + 2 * total * struct.calcsize("<" + place))
    if valid > MAX_ELEMENTS or count > _MAX_DIMENSIONS:
        raise ReaderError(f"{valid:,} elements in {count:,} dimensions", where=name)
    described = 22 + struct.calcsize(f"<{place}I")
    dimensions = _dimensions(reader, name, described, count)
    starts = unpack_at(reader, name, table, f"<{valid}{place}")
    dtype, shape, calibrations = _element(reader, name, kind, starts[0])
    found = Series(kind, tag, version, total, valid, described, dimensions, starts, dtype, shape, calibrations, ())
    ends = [start + found.before + found.length for start in (*starts[:2], starts[-1])]
    if found.end > reader.size:
        raise too_short(name, found.end, reader.size)
    return replace(found, stamps=[_stamp(reader, name, tag, end) for end in ends])


def _dimensions(reader: RangeReader, name: str, described: int, count: int) -> list[Dimension]:
    cursor = Cursor(reader, name)
    cursor.skip(described)
    found = []
    for _ in range(count):
        size, offset, delta, element = cursor.unpack("<IddI")
        description, units = _text(cursor, name), _text(cursor, name)
        found.append(Dimension(size, Calibration(offset, delta, element), description, units))
    return found


def _text(cursor: Cursor, name: str) -> str:
    (length,) = cursor.unpack("<I")
    if length > _LONGEST_TEXT:
        raise ReaderError(f"a text of {length:,} characters", where=name)
    return cursor.take(length).decode("utf-8", "replace")


def _element(reader: RangeReader, name: str, kind: int, start: int) -> tuple[str, tuple[int, ...], list[Calibration]]:
    """Type, shape and calibration that the first element has, and all of them."""
    shape: tuple[int, ...]
    if kind == SPECTRA:
        *energy, code, channels = unpack_at(reader, name, start, "<ddIHI")
        axes, shape = [Calibration(*energy)], (channels,)
    else:
        *both, code, columns, rows = unpack_at(reader, name, start, "<ddIddIHII")
        axes, shape = [Calibration(*both[:3]), Calibration(*both[3:])], (rows, columns)
    if code not in _TYPES or 0 in shape:
        raise ReaderError(f"elements of type {code} and shape {shape}", where=name)
    return _TYPES[code], shape, axes


def _stamp(reader: RangeReader, name: str, tag: int, start: int) -> Stamp:
    """What stands behind an element; no time where the tag is not of the kind that the head says."""
    kind, _, time = unpack_at(reader, name, start, "<HHI")
    position = unpack_at(reader, name, start + 8, "<dd") if tag == PLACED else None
    return Stamp(time if kind == tag else 0, None if position is None else (position[0], position[1]))


# -- axes ----------------------------------------------------------------------------------------------------------


def axes(series: Series, first: Mapping[str, Any] | None) -> list[Axis]:
    """Axes of the signal, slow to fast.

    By the first document of its .emi file RosettaSciIO tells the unit of an image without calibration.
    """
    outer = _outer(series)
    if series.spectra:
        energy = {"name": "Energy", "size": series.shape[0], "navigate": False}
        place = {"index_in_array": len(series.dimensions)}
        return [*outer, {**energy, **place, **_scaled(series.calibrations[0], "eV")}]
    across, down = series.calibrations
    for name, size, calibration in (("y", series.shape[0], down), ("x", series.shape[1], across)):
        unit = _unit(calibration.delta, "meters" if first is None else _by_mode(first, series))
        outer.append({"name": name, "size": size, "navigate": False, **_scaled(calibration, unit)})
    return outer


def _outer(series: Series) -> list[Axis]:
    """Axes along which the elements lie, slowest first."""
    dimensions = list(series.dimensions)
    if not dimensions:
        raise ValueError("the elements of this series lie along no dimension")  # the reader cannot read it either
    planned = prod(dimension.size for dimension in dimensions)
    if planned > _MAX_PLANNED or series.valid > planned:
        raise ValueError(f"{series.valid:,} elements in a map of {planned:,}")
    if len(dimensions) == 1 and series.total != series.valid:
        return [] if series.valid == 1 else [{**_axis(dimensions[0], ["x"]), "size": series.valid}]
    names = ["x", "y"][: len(dimensions)]
    ordered = dimensions if not _rows_first(series) else dimensions[::-1]
    return [_axis(dimension, names) for dimension in ordered if series.spectra or dimension.size != 1]


def _rows_first(series: Series) -> bool:
    """Whether the first dimension is the fastest: the second element has the same y as the first."""
    if series.valid < 2:
        return False
    first, second = (stamp.position for stamp in series.stamps[:2])
    return first is not None and second is not None and first[1] == second[1]


def _axis(dimension: Dimension, names: list[str]) -> Axis:
    """One outer axis; lengths take the names `x` and `y`, the last one first."""
    units = dimension.units or None
    name = names.pop() if units == "meters" else None
    if units == "meters" and abs(dimension.calibration.delta) >= _LARGEST_PIXEL:
        units = ""  # a list of positions, counted
    return {"name": name, "size": dimension.size, "navigate": True, **_scaled(dimension.calibration, units)}


def _scaled(calibration: Calibration, units: str | None) -> Axis:
    """Scale and offset; metres as nm, as people of the field read them."""
    factor, unit = {"meters": (1e9, "nm"), "1/meters": (1e-9, "1 / nm")}.get(units or "", (1.0, units))
    first = calibration.offset - calibration.element * calibration.delta
    return {"scale": calibration.delta * factor, "offset": first * factor, "units": unit}


def _unit(delta: float, guessed: str) -> str:
    """Metres or 1/m by the size of a pixel; between them, where nothing was calibrated, no unit."""
    if 0 < abs(delta) < _LARGEST_PIXEL:
        return "meters"
    if abs(delta) > _SMALLEST_FREQUENCY:
        return "1/meters"
    return guessed if delta == 0 else ""


def _by_mode(first: Mapping[str, Any], series: Series) -> str:
    """The unit that the reader takes by the microscope's mode."""
    mode = look_up(first, "ObjectInfo/ExperimentalDescription/Mode/Value")
    acquired = look_up(first, "ObjectInfo/AcquireInfo")
    if not isinstance(mode, str) or not isinstance(acquired, Mapping):
        return "meters"
    dimension = series.dimensions[0]
    if "STEM" in mode:
        return "1/meters" if "CameraNamePath" in acquired or (dimension.units and dimension.size > 1) else "meters"
    return "1/meters" if "Diffraction" in mode else "meters"


# -- the array -----------------------------------------------------------------------------------------------------


def layout(series: Series, name: str, shape: Sequence[int]) -> ArrayLayout | None:
    """Where the values lie, images with the last stored row first; None where the elements do not fill the shape at
    equal distances.
    """
    starts, outer = series.starts, shape[: len(shape) - len(series.shape)]
    step = starts[1] - starts[0] if len(starts) > 1 else 0
    even = step >= 0 and all(after - before == step for before, after in pairwise(starts))
    if not even or prod(outer) != len(starts) or 0 < step < series.before + series.length:
        return None
    first, rows = starts[0] + series.before, not series.spectra
    return ArrayLayout.records(name, first, series.dtype, outer, step, series.shape, up=rows)


def scattered(reader: RangeReader, series: Series, shape: tuple[int, ...]) -> Any:
    """A Dask array of a series whose elements do not lie at equal distances, or do not fill its map.

    Where fewer elements were recorded than planned, the rest is zero, or NaN in fractions.
    """
    planned, dtype = prod(shape) // prod(series.shape), np.dtype(series.dtype)
    at_once = max(_CHUNK, series.length * -(-planned // _MOST_CHUNKS))
    if at_once > _LARGEST_CHUNK:
        raise ReaderError(
            f"a map is planned for {planned:,} elements of {series.length:,} bytes; it is too large to load"
        )
    fill = np.nan if dtype in (np.dtype("f4"), np.dtype("f8")) else 0

    def element(number: int) -> NDArray[Any]:
        if number >= len(series.starts):
            return np.full(series.shape, fill, dtype)
        data = reader.read_at(series.starts[number] + series.before, series.length)
        return np.frombuffer(data, dtype).reshape(series.shape)

    data = pieces(element, (planned, *series.shape), dtype, at_once=at_once).reshape(shape)
    return data if series.spectra else data[..., ::-1, :]
