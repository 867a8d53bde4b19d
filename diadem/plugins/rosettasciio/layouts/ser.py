"""TIA .ser (Emispec, FEI), alone or as parts of an .emi: elements of equal length, each between a header and a tag.

Source: C. B. Boothroyd, "TIA ser file format"; ncempy's documentation of the same.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import PurePosixPath

import numpy as np

from diadem.errors import ReaderError
from diadem.model.layout import ArrayLayout, ByteRange, FileLayout
from diadem.model.ports import RangeReader
from diadem.plugins.rosettasciio.layouts.header import too_short, unpack_at

#: NumPy's type by the code in an element.
TYPES = {1: "|u1", 2: "<u2", 3: "<u4", 4: "|i1", 5: "<i2", 6: "<i4", 7: "<f4", 8: "<f8", 9: "<c8", 10: "<c16"}
#: Kinds of elements.
SPECTRA, IMAGES = 0x4120, 0x4122
#: Bytes from the start of an element to its array, by kind.
BEFORE = {SPECTRA: 26, IMAGES: 50}
#: Kind of the tags with the position of an element besides its time.
PLACED = 0x4142
_TAG = {PLACED: 24}
_SHORT_TAG = 8
#: From this version on, places in the file have eight bytes.
_WIDE_VERSION = 0x220
#: Elements that are looked at; a file of more is proven first.
_MAX_ELEMENTS = 4_000_000


@dataclass(frozen=True, slots=True)
class Series:
    """The head of a .ser file.

    Attributes
    ----------
    kind, tag : int
        Of its elements (`SPECTRA`, `IMAGES`) and of the tags behind them.
    total, valid : int
        Elements that were to be recorded, and those that were.
    dimensions : int
        Along which the elements lie; described from `described` on.
    table : int
        Where it begins: places of all elements, then of their tags.
    place : str
        Code of `struct` for a place in the file.
    version : int
        Of the format.
    """

    kind: int
    tag: int
    total: int
    valid: int
    dimensions: int
    table: int
    place: str
    version: int

    @property
    def described(self) -> int:
        """First byte of the descriptions of the dimensions."""
        return 22 + struct.calcsize(f"<{self.place}I")

    @property
    def tail(self) -> int:
        """Bytes of the tag behind an element's array."""
        return _TAG.get(self.tag, _SHORT_TAG)


def layout(files: Mapping[str, RangeReader], name: str) -> FileLayout | None:
    """The series of a .ser file, or those of all .ser files of an .emi.

    None where elements do not lie at equal distances, or not all of them were recorded.

    Raises
    ------
    ReaderError
        A .ser file is shorter than it says.
    """
    if not name.lower().endswith(".emi"):
        return _series_layout(files, name)
    stem = PurePosixPath(name).with_suffix("").name
    parts = sorted(other for other in files if _belongs(PurePosixPath(other).name, stem))
    if not parts or any(other != name and other not in parts for other in files):
        return None
    try:
        found = [_series_layout(files, part) for part in parts]
    except ReaderError:
        return None  # the reader passes over parts that it cannot read
    whole = [part for part in found if part is not None]
    if len(whole) < len(found):
        return None
    header = {part: ranges for one in whole for part, ranges in one.header.items()}
    return FileLayout([array for one in whole for array in one.arrays], header)


def _belongs(name: str, stem: str) -> bool:
    """Whether the reader takes a file for a part: the stem, an underscore, one digit."""
    number = name.removeprefix(stem + "_").removesuffix(".ser")
    return len(number) == 1 and number.isdigit() and name == f"{stem}_{number}.ser"


def _series_layout(files: Mapping[str, RangeReader], name: str) -> FileLayout | None:
    """The layout of one .ser file."""
    reader = files[name]
    series = head(reader, name)
    if series is None or not 0 < series.valid <= _MAX_ELEMENTS:
        return None
    if series.total != series.valid and series.dimensions != 1:
        return None
    starts = element_starts(reader, name, series)
    step = starts[1] - starts[0] if len(starts) > 1 else 0
    if any(b - a != step for a, b in pairwise(starts)):
        return None
    array = _array(reader, name, series, starts[0], step)
    if array is None:
        return None
    length = prod(array.shape[1:]) * np.dtype(array.dtype).itemsize
    before, tag = BEFORE[series.kind], series.tail
    end = starts[-1] + before + length + tag
    if end > reader.size:
        raise too_short(name, end, reader.size)
    if step and step < before + length:
        return None
    return FileLayout([array], {name: _header(starts, before, length, tag, reader.size)})


def head(reader: RangeReader, name: str) -> Series | None:
    """The fixed part of the header; None where it is none of a series. Raises `ReaderError` if the file ends in it."""
    order, mark, version, kind, tag, total, valid = unpack_at(reader, name, 0, "<HHHIIII")
    if (order, mark) != (0x4949, 0x0197) or kind not in BEFORE:
        return None
    place = "Q" if version >= _WIDE_VERSION else "I"
    table, dimensions = unpack_at(reader, name, 22, f"<{place}I")
    return Series(kind, tag, total, valid, dimensions, table, place, version)


def element_starts(reader: RangeReader, name: str, series: Series) -> Sequence[int]:
    """Where each valid element begins. Raises `ReaderError` if the file ends before the table does."""
    size = struct.calcsize("<" + series.place)
    data = reader.read_at(series.table, series.valid * size)
    if len(data) < series.valid * size:
        raise too_short(name, series.table + series.valid * size, reader.size)
    return struct.unpack(f"<{series.valid}{series.place}", data)


def _array(reader: RangeReader, name: str, series: Series, start: int, step: int) -> ArrayLayout | None:
    """Spectra as (element, channel), images as (element, row, column) with the last stored row first."""
    before = BEFORE[series.kind]
    if series.kind == SPECTRA:
        code, channels = unpack_at(reader, name, start + 20, "<HI")
        shape: tuple[int, ...] = (series.valid, channels)
    else:
        code, columns, rows = unpack_at(reader, name, start + 40, "<HII")
        shape = (series.valid, rows, columns)
    if code not in TYPES or 0 in shape:
        return None
    item = np.dtype(TYPES[code]).itemsize
    if series.kind == SPECTRA:
        return ArrayLayout(name, start + before, TYPES[code], shape, (step, item))
    row = shape[2] * item
    first = start + before + (shape[1] - 1) * row
    return ArrayLayout(name, first, TYPES[code], shape, (step, -row, item))


def _header(starts: Sequence[int], before: int, length: int, tag: int, size: int) -> list[ByteRange]:
    """Everything up to the first array, each element's header and tag, and everything after the last array."""
    ranges = [(0, starts[0] + before), (starts[-1] + before + length, size)]
    for start in starts:
        ranges += [(start, start + before), (start + before + length, start + before + length + tag)]
    return ranges
