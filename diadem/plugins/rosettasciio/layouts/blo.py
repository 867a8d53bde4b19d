"""Blockfile (NanoMEGAS ASTAR): a header, a virtual image, then square patterns of bytes, each after a 6-byte marker."""

from __future__ import annotations

from collections.abc import Mapping

from diadem.hooks.binary import too_short, unpack_at
from diadem.model.layout import ArrayLayout, FileLayout
from diadem.model.ports import RangeReader

_MAGIC = 0x0102
#: Before each pattern: 0x55AA and the number of the pattern.
_MARKER = 6


def layout(files: Mapping[str, RangeReader], name: str) -> FileLayout | None:
    """All patterns as (rows, columns, height, width).

    None where the header is not the usual one.

    Raises
    ------
    ReaderError
        The file is shorter than its header says.
    """
    reader = files[name]
    mark, magic, image, patterns = unpack_at(reader, name, 0, "<6sHII")
    edge, _, columns, rows = unpack_at(reader, name, 20, "<4H")
    if mark != b"IMGBLO" or magic != _MAGIC or 0 in (edge, columns, rows):
        return None
    step = _MARKER + edge * edge
    end = patterns + rows * columns * step
    if end > reader.size:
        raise too_short(name, end, reader.size)
    if unpack_at(reader, name, patterns, "<H") != (0x55AA,):
        return None
    strides = (columns * step, step, edge, 1)
    array = ArrayLayout(name, patterns + _MARKER, "|u1", (rows, columns, edge, edge), strides)
    return FileLayout([array], {name: [(0, image)]})
