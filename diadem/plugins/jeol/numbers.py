"""Numbers of JEOL's headers: of 32 bits, and of two of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from diadem.hooks.fields import Found, Tree


def single(value: Any) -> float:
    """A number of 32 bits with the digits that it was written with: 22.3, not 22.299999237060547."""
    number = float(value)
    for digits in (6, 7, 8):
        short = float(f"{number:.{digits}g}")
        if struct.pack("<f", short) == struct.pack("<f", number):
            return short
    return number


def field_of_view(instrument: Tree) -> Iterator[Found]:
    """Width of the scanned field: the size of the screen that magnifications refer to, over the magnification."""
    size, magnification = single(instrument["ScanSize"]), instrument["Mag"]
    said = [size, magnification]
    yield Found("optics.field_of_view_x", size / magnification, "ScanSize + Mag", said, "mm", status="derived")
