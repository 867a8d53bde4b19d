"""NumPy's files opened (.npy): a head that says shape and type, then the array. Nothing of the head is evaluated.

Source: NumPy enhancement proposal 1; the head is a Python literal, read by `numpy.lib.format`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from diadem.hooks.binary import unpack_at
from diadem.hooks.formats import Files, Opened, Signal, axis
from diadem.model.layout import ArrayLayout, steps

#: Bytes of a head that NumPy reads.
_LONGEST = 10_000
#: How it reads heads that begin at a byte.
_READ: Mapping[int, Any] = {10: np.lib.format.read_array_header_1_0, 12: np.lib.format.read_array_header_2_0}


def open_npy(files: Files) -> Opened:
    """Open an array; one of objects, or of several fields, the reader is asked for."""
    reader = files[files.entry]
    start, form = (12, "<I") if reader.read_at(6, 1) > b"\1" else (10, "<H")
    (length,) = unpack_at(reader, files.entry, 8, form)
    head = io.BytesIO(reader.read_at(0, start + min(length, _LONGEST)))
    if start + length > reader.size:
        return Opened(files.signals(), size=start + length)
    try:
        np.lib.format.read_magic(head)
        shape, by_columns, dtype = _READ[start](head)
    except ValueError:
        return Opened(files.signals())
    size = start + length + dtype.itemsize * prod(shape)
    item = dtype.itemsize
    strides = steps(shape[::-1], item)[::-1] if by_columns else steps(shape, item)
    kept = [one for one in zip(shape, strides, strict=True) if one[0] != 1]  # as the reader, which has no other axes
    odd = dtype.names or dtype.subdtype or dtype.hasobject or 0 in shape or not kept
    if odd or size > reader.size:
        return Opened(files.signals(), size=0 if dtype.hasobject else size)
    sizes, strides = zip(*kept, strict=True)
    array = ArrayLayout(files.entry, start + length, dtype.str, sizes, strides)
    return Opened([Signal([axis("", one) for one in array.shape], array=array)], size=size)
