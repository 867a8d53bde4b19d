"""MIB (Quantum Detectors Merlin): frames of big-endian counts, each after a header of text, rows stored from below."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from diadem.model.layout import ArrayLayout, FileLayout
from diadem.model.ports import RangeReader

_TYPES = {"U08": "|u1", "U16": ">u2", "U32": ">u4"}
_HEADERS = (384, 768)
#: Frames whose time stamps the reader looks at to find the length of a scan line.
_TIMED = 10_000


def layout(files: Mapping[str, RangeReader], name: str) -> FileLayout | None:
    """All whole frames, first row of the array first.

    None for raw (packed) data and for headers that are not those of one chip or an assembled quad.
    """
    reader = files[name]
    parts = reader.read_at(0, _HEADERS[0]).decode("ascii", "replace").split(",")
    if len(parts) < 8 or parts[0] != "MQ1" or parts[6] not in _TYPES:
        return None
    try:
        header, columns, rows = int(parts[2]), int(parts[4]), int(parts[5])
    except ValueError:
        return None
    dtype = _TYPES[parts[6]]
    item = np.dtype(dtype).itemsize
    step = header + rows * columns * item
    frames = reader.size // step if header in _HEADERS and rows > 0 and columns > 0 else 0
    if not frames:
        return None
    row = columns * item
    array = ArrayLayout(
        file=name,
        offset=header + (rows - 1) * row,
        dtype=dtype,
        shape=(frames, rows, columns),
        strides=(step, -row, item),
        partial=True,
    )
    return FileLayout([array], {name: [(n * step, n * step + header) for n in range(min(frames, _TIMED))]})
