"""MRC: a header of 1024 bytes, an extended header, then the sections one after the other.

Source: MRC2014 (Cheng et al., doi 10.1016/j.jsb.2015.04.002), read with the type codes of RosettaSciIO.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

import numpy as np

from diadem.model.layout import ArrayLayout, FileLayout
from diadem.model.ports import RangeReader
from diadem.plugins.rosettasciio.layouts.header import too_short, unpack_at

_HEADER = 1024
_TYPES = {0: "|u1", 1: "<i2", 2: "<f4", 4: "<c8", 6: "<u2", 12: "<f2"}
#: Side files from which the reader takes the order of frames.
_SCAN_FILE = "_scan_coordinates.csv"
#: Machine stamp of files whose numbers have the highest byte first, which the reader does not know.
_HIGHEST_FIRST = 0x1111


def layout(files: Mapping[str, RangeReader], name: str) -> FileLayout | None:
    """The stack of sections.

    None for a mode that NumPy has no type for, and for a movie whose frames were not taken in the order of a raster.

    Raises
    ------
    ReaderError
        The file is shorter than its header says.
    """
    reader = files[name]
    columns, rows, sections, mode = unpack_at(reader, name, 0, "<4I")
    (extended,) = unpack_at(reader, name, 92, "<I")
    dtype = _TYPES.get(mode)
    (stamp,) = unpack_at(reader, name, 212, "<H")
    if dtype is None or 0 in (columns, rows, sections) or stamp == _HIGHEST_FIRST or _scanned_otherwise(files, name):
        return None
    item = np.dtype(dtype).itemsize
    start = _HEADER + extended
    end = start + columns * rows * sections * item
    if end > reader.size:
        raise too_short(name, end, reader.size)
    strides = (columns * rows * item, columns * item, item)
    array = ArrayLayout(name, start, dtype, (sections, rows, columns), strides)
    return FileLayout([array], {name: [(0, start)]})


def _scanned_otherwise(files: Mapping[str, RangeReader], name: str) -> bool:
    """Whether side files may put the frames of a movie of Direct Electron's cameras into another order."""
    if "movie" not in PurePosixPath(name).name:
        return False
    return any(other.endswith(_SCAN_FILE) for other in files)
