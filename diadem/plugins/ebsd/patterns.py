"""EDAX' files of patterns: ``.up1`` of bytes, ``.up2`` of two bytes a pixel.

All numbers are little-endian: version, width, height and the first pattern's byte as 32 bits; from version 3 on one
byte, columns and rows, a byte that is 1 for a hexagonal grid, and two steps in um as 64-bit floats. The patterns follow
each other row by row to the end. PyEBSDIndex, in the public domain, reads them so.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

from diadem.errors import ReaderError
from diadem.hooks.fields import Block
from diadem.hooks.formats import CutShort, Files, Opened, Signal
from diadem.model.layout import ArrayLayout

#: Steps above a metre are none: what stands there was not written, or is infinite.
_LONGEST_STEP = 1e6

_FIRST, _SECOND = struct.Struct("<4I"), struct.Struct("<x2IB2d")
_LENGTH = _FIRST.size + _SECOND.size
#: Pixels along a side.
_WIDEST = 16384


def is_up(path: str) -> bool:
    """There is no magic number; the head must be one."""
    with Path(path).open("rb") as stream:
        return bool(head(stream.read(_LENGTH)))


def head(data: bytes) -> dict[str, Any]:
    """Numbers of the head by name; none where it is not one.

    Parameters
    ----------
    data : bytes
        The beginning of a file.
    """
    if len(data) < _FIRST.size:
        return {}
    version, width, height, offset = _FIRST.unpack_from(data)
    if version not in (1, 3, 4, 5) or not (0 < width <= _WIDEST and 0 < height <= _WIDEST):
        return {}
    found = {
        "Version": version, "Pattern Width": width, "Pattern Height": height, "Offset": offset, "Hexagonal": 0
    }  # fmt: skip
    if version == 1:
        return found if offset == _FIRST.size else {}
    if len(data) < _LENGTH or offset < _LENGTH:
        return {}
    columns, rows, hexagonal, x, y = _SECOND.unpack_from(data, _FIRST.size)
    return {**found, "Columns": columns, "Rows": rows, "Hexagonal": hexagonal, "Step X": x, "Step Y": y}


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open a file of patterns."""
    data = files[files.entry].read_at(0, _LENGTH)
    tree = head(data)
    if not tree:
        raise ReaderError("its head is none of version 1 or 3", where=files.entry)
    used = data[: tree["Offset"]]
    block = Block("edax-patterns", tree, used, place="head", byte_range=(0, len(used)))
    return Opened(_patterns(files, tree), [block])


def _patterns(files: Files, tree: Mapping[str, Any]) -> Iterator[Signal]:
    """One signal; of a hexagonal grid, or one that is not named, the patterns follow each other."""
    kind, size = "|u1" if files.entry.lower().endswith("1") else "<u2", files[files.entry].size
    frame = tree["Pattern Width"] * tree["Pattern Height"] * int(kind[-1])
    rows, columns = (tree.get(name, 0) for name in ("Rows", "Columns"))
    mapped = bool(columns and rows) and not tree["Hexagonal"]
    needed = tree["Offset"] + frame * (columns * rows if mapped else 1)
    if size < needed:
        raise CutShort(files.entry, needed, size)
    places = [rows, columns][-(1 + (rows > 1)) :] if mapped else [(size - tree["Offset"]) // frame]
    shape = (*places, tree["Pattern Height"], tree["Pattern Width"])
    strides = tuple(int(kind[-1]) * prod(shape[axis + 1 :]) for axis in range(len(shape)))
    axes = []
    for name, length in zip(("y", "x", "dy", "dx")[-len(shape) :], shape, strict=True):
        step = tree.get(f"Step {name.upper()}", 0.0) if mapped else 0.0
        axes.append(
            {
                "name": name,
                "size": length,
                "scale": step if 0 < step < _LONGEST_STEP else 1.0,
                "offset": 0.0,
                "units": "um" if 0 < step < _LONGEST_STEP else "",
                "navigate": name in "xy",
            }
        )
    metadata = {"General": {"title": "Patterns"}, "Signal": {"signal_type": ""}}
    yield Signal(axes, array=ArrayLayout(files.entry, tree["Offset"], kind, shape, strides), metadata=metadata)
