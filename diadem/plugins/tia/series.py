"""A TIA series (.ser) without its pixels: dimensions, calibration, times and positions of its elements.

Source: C. B. Boothroyd, "TIA ser file format".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from diadem.errors import ReaderError
from diadem.model.ports import RangeReader
from diadem.plugins.rosettasciio.layouts.header import Cursor, too_short, unpack_at
from diadem.plugins.rosettasciio.layouts.ser import BEFORE, PLACED, SPECTRA, TYPES, Series, element_starts, head

#: Elements of a series that is described.
MAX_ELEMENTS = 4_000_000
#: Dimensions; TIA knows series of one and maps of two.
_MAX_DIMENSIONS = 8
_LONGEST_TEXT = 4096


class NoElements(OSError):
    """Nothing was recorded: the values of a single spectrum may stand in the .emi file."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of an axis: `offset` is the position of the element number `element`, `delta` the distance to the next."""

    offset: float
    delta: float
    element: int

    @property
    def start(self) -> float:
        """Position of the first element."""
        return self.offset - self.element * self.delta


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
class Recorded:
    """A series.

    Attributes
    ----------
    series : Series
        Its head.
    dimensions : sequence of Dimension
        Fastest first.
    starts : sequence of int
        First byte of each element.
    dtype : str
        NumPy's name of the values' type.
    shape : tuple of int
        Of one element: (channels,) or (rows, columns).
    axes : sequence of Calibration
        Of one element: (energy,) or (x, y).
    stamps : sequence of Stamp
        Of the first, second and last element.
    """

    series: Series
    dimensions: Sequence[Dimension]
    starts: Sequence[int]
    dtype: str
    shape: tuple[int, ...]
    axes: Sequence[Calibration]
    stamps: Sequence[Stamp]

    @property
    def before(self) -> int:
        """Bytes from the start of an element to its array."""
        return BEFORE[self.series.kind]

    @property
    def length(self) -> int:
        """Bytes of an element's array."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def spectra(self) -> bool:
        """Whether its elements are spectra."""
        return self.series.kind == SPECTRA


def read_series(reader: RangeReader, name: str) -> Recorded:
    """Read what is not pixels.

    Raises
    ------
    NoElements
        Nothing was recorded.
    ReaderError
        It is no series, or shorter than it says.
    """
    series = head(reader, name)
    if series is None:
        raise ReaderError("this is no TIA series", where=name)
    if not series.valid:
        raise NoElements("the series has no element")
    if series.valid > MAX_ELEMENTS or series.dimensions > _MAX_DIMENSIONS:
        raise ReaderError(f"{series.valid:,} elements in {series.dimensions:,} dimensions", where=name)
    dimensions = _dimensions(reader, name, series)
    starts = element_starts(reader, name, series)
    dtype, shape, axes = _element(reader, name, series, starts[0])
    length = prod(shape) * np.dtype(dtype).itemsize
    if max(starts) + BEFORE[series.kind] + length + series.tail > reader.size:
        raise too_short(name, max(starts) + BEFORE[series.kind] + length + series.tail, reader.size)
    tags = [start + BEFORE[series.kind] + length for start in (*starts[:2], starts[-1])]
    return Recorded(series, dimensions, starts, dtype, shape, axes, [_stamp(reader, name, series, at) for at in tags])


def _dimensions(reader: RangeReader, name: str, series: Series) -> list[Dimension]:
    cursor = Cursor(reader, name)
    cursor.skip(series.described)
    found = []
    for _ in range(series.dimensions):
        size, offset, delta, element = cursor.unpack("<IddI")
        description, units = _text(cursor, name), _text(cursor, name)
        found.append(Dimension(size, Calibration(offset, delta, element), description, units))
    return found


def _text(cursor: Cursor, name: str) -> str:
    (length,) = cursor.unpack("<I")
    if length > _LONGEST_TEXT:
        raise ReaderError(f"a text of {length:,} characters", where=name)
    return cursor.take(length).decode("utf-8", "replace")


def _element(
    reader: RangeReader, name: str, series: Series, start: int
) -> tuple[str, tuple[int, ...], list[Calibration]]:
    """Type, shape and calibration that the first element has, and all of them."""
    shape: tuple[int, ...]
    if series.kind == SPECTRA:
        *energy, code, channels = unpack_at(reader, name, start, "<ddIHI")
        axes, shape = [Calibration(*energy)], (channels,)
    else:
        *both, code, columns, rows = unpack_at(reader, name, start, "<ddIddIHII")
        axes, shape = [Calibration(*both[:3]), Calibration(*both[3:])], (rows, columns)
    if code not in TYPES or 0 in shape:
        raise ReaderError(f"elements of type {code} and shape {shape}", where=name)
    return TYPES[code], shape, axes


def _stamp(reader: RangeReader, name: str, series: Series, start: int) -> Stamp:
    """What stands behind an element; no time where the tag is not of the kind that the head says."""
    kind, _, time = unpack_at(reader, name, start, "<HHI")
    position = unpack_at(reader, name, start + 8, "<dd") if series.tag == PLACED else None
    return Stamp(time if kind == series.tag else 0, None if position is None else (position[0], position[1]))
