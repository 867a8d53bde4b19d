"""Files of TIA made for tests: series (.ser) of arrays, and .emi files with documents."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CODES = {"|u1": 1, "<u2": 2, "<u4": 3, "|i1": 4, "<i2": 5, "<i4": 6, "<f4": 7, "<f8": 8, "<c8": 9, "<c16": 10}
PLACED, TIMED = 0x4142, 0x4152


@dataclass
class Dimension:
    """One along which elements lie."""

    size: int
    offset: float = 0.0
    delta: float = 1.0
    element: int = 0
    description: str = "Number"
    units: str = ""


@dataclass
class Made:
    """A series: elements of one shape, one or two-dimensional, each with a time, and a position if there are any."""

    elements: Any
    dimensions: Sequence[Dimension]
    delta: float = 1e-9
    version: int = 0x210
    total: int = 0
    times: Sequence[int] = (1456138587,)
    positions: Sequence[tuple[float, float]] = field(default=())

    def content(self) -> bytes:
        """The file."""
        kind = 0x4120 if self.elements.ndim == 2 else 0x4122
        place = "Q" if self.version >= 0x220 else "I"
        count = len(self.elements)
        dimensions = b"".join(map(self._dimension, self.dimensions))
        start = 22 + struct.calcsize(f"<{place}I") + len(dimensions)
        tag = PLACED if self.positions else TIMED
        pieces = [self._element(number, tag) for number in range(count)]
        first = start + 2 * count * struct.calcsize("<" + place)
        starts = np.cumsum([first, *(len(before) + len(behind) for before, behind in pieces)])[:-1]
        tags = [begin + len(before) for begin, (before, _) in zip(starts, pieces, strict=True)]
        head = struct.pack("<HHHIIII", 0x4949, 0x197, self.version, kind, tag, self.total or count, count)
        head += struct.pack(f"<{place}I", start, len(self.dimensions)) + dimensions
        table = struct.pack(f"<{2 * count}{place}", *starts, *tags)
        return head + table + b"".join(before + behind for before, behind in pieces)

    def _dimension(self, one: Dimension) -> bytes:
        description, units = one.description.encode(), one.units.encode()
        head = struct.pack("<IddI", one.size, one.offset, one.delta, one.element)
        return head + struct.pack("<I", len(description)) + description + struct.pack("<I", len(units)) + units

    def _element(self, number: int, tag: int) -> tuple[bytes, bytes]:
        values = self.elements[number]
        code = CODES[values.dtype.str]
        if values.ndim == 1:
            head = struct.pack("<ddIHI", -20.0, self.delta, 0, code, values.size)
        else:
            axis = (-1e-7, self.delta, 0)
            head = struct.pack("<ddIddIHII", *axis, *axis, code, values.shape[1], values.shape[0])
        time = self.times[min(number, len(self.times) - 1)]
        behind = struct.pack("<HHI", tag, 0, time)
        if self.positions:
            behind += struct.pack("<dd", *self.positions[number])
        return head + values.tobytes(), behind


def emi(*documents: tuple[str, str]) -> bytes:
    """An .emi file: each document with the path of its series, or "" for one that is shown only."""
    content = b"JLM\0" + bytes(16)
    for document, path in documents:
        named = b"\x60\x00\x40\x04" + struct.pack("<I", len(path)) + path.encode() if path else bytes(8)
        xml = document.encode()
        content += bytes(40) + named + b"\x32\x00\x42\x04\x02\x00\x60\x00\x19\x04" + struct.pack("<I", len(xml)) + xml
    return content + bytes(64)


def object_info(
    date: str = "Mon Feb 22 11:56:27 2016",
    *,
    acquired: str = "",
    labels: Sequence[tuple[str, str, str]] = (),
    more: str = "",
) -> str:
    """One document."""
    data = "".join(
        f"<Data><Label>{label}</Label><Value>{value}</Value><Unit>{unit}</Unit></Data>" for label, value, unit in labels
    )
    described = f"<ExperimentalDescription><Root>{data}</Root>\n\t</ExperimentalDescription>" if labels else ""
    return (
        f"<ObjectInfo><Uuid>u</Uuid>{described}<AcquireDate>{date}</AcquireDate>"
        f"<AcquireInfo>{acquired}</AcquireInfo>{more}</ObjectInfo>"
    )


#: What TIA describes of a scanning microscope.
STEM = (("High tension", "200", "kV"), ("Mode", " STEM nP SA Zoom Diffraction", ""), ("Magnification", "115000", "x"))
TEM = (("High tension", "200", "kV"), ("Mode", " TEM uP SA Zoom Image", ""), ("Magnification", "5500", "x"))
