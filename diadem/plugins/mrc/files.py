"""MRC files opened: a header of 1024 bytes, an extended header, then the sections one after the other.

Source: MRC2014 (Cheng et al., doi 10.1016/j.jsb.2015.04.002), read with the type codes of RosettaSciIO. Movies of
Direct Electron's cameras, whose shape and sizes stand beside them, are left to RosettaSciIO.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from diadem.errors import ReaderError
from diadem.hooks.formats import CutShort, Dictionary, Files, Opened, Signal, laid_out
from diadem.model.layout import ArrayLayout
from diadem.plugins.mrc import direct_electron
from diadem.plugins.mrc.blocks import HEADER, header

_TYPES = {0: "|u1", 1: "<i2", 2: "<f4", 4: "<c8", 6: "<u2", 12: "<f2"}
#: Machine stamp of files whose numbers have the highest byte first, which the reader does not know.
_HIGHEST_FIRST = 0x1111
#: Bytes of FEI's first extended header, 1024 records of 128: that alone says the size of a pixel, in m.
_FEI, _PIXEL_SIZE = 1024 * 128, HEADER + 44
#: Side files from which the reader takes the order of frames.
_SCAN_FILE = "_scan_coordinates.csv"


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open a stack; one whose type of numbers NumPy does not have, or that is not whole, the reader is asked for."""
    name = files.entry
    head = files[name].read_at(0, HEADER)
    if len(head) < HEADER:
        return Opened(_failed(CutShort(name, HEADER, len(head))), size=HEADER)
    array = layout(files, name, head)
    end = array.offset + array.shape[0] * array.strides[0] if array else 0
    return Opened(_signals(files, head, array if end <= files[name].size else None), size=end)


def open_list(files: Files) -> Opened:  # noqa: ARG001 - every format is opened so
    """No signals: the stack of a list is a file of its own."""
    return Opened()


def _failed(error: ReaderError) -> Iterator[Signal]:
    yield from ()
    raise error


def layout(files: Mapping[str, Any], name: str, head: bytes) -> ArrayLayout | None:
    """Where the sections lie by the header.

    None for a mode that NumPy has no type for, and for a movie whose frames were not taken in the order of a raster.
    """
    columns, rows, sections, mode = struct.unpack_from("<4I", head)
    (extended,) = struct.unpack_from("<I", head, 92)
    (stamp,) = struct.unpack_from("<H", head, 212)
    dtype = _TYPES.get(mode)
    if dtype is None or 0 in (columns, rows, sections) or stamp == _HIGHEST_FIRST:
        return None
    if _is_movie(name) and any(other.endswith(_SCAN_FILE) for other in files):
        return None
    item = np.dtype(dtype).itemsize
    strides = (columns * rows * item, columns * item, item)
    return ArrayLayout(name, HEADER + extended, dtype, (sections, rows, columns), strides)


def _is_movie(name: str) -> bool:
    return "movie" in PurePosixPath(name).name


def _signals(files: Files, head: bytes, array: ArrayLayout | None) -> Iterator[Signal]:
    name = files.entry
    if array is None:
        yield from (Signal.from_reader(_mended(one, head)) for one in files.read())
        return
    parts = {name: [(0, array.offset)]}
    if _is_movie(name):
        read = [_mended(one, head) for one in files.read(parts)]
        yield from laid_out(read, [array]) or (Signal.from_reader(_mended(one, head)) for one in files.read())
        return
    pixel = files[name].read_at(_PIXEL_SIZE, 4) if array.offset == HEADER + _FEI else b""
    axes = _axes(head, array.shape, pixel)
    kept = [place for place, size in enumerate(array.shape) if size != 1]  # the reader drops axes of one element
    shape, strides = (tuple(of[place] for place in kept) for of in (array.shape, array.strides))
    yield Signal(
        [axes[place] for place in kept],
        array=ArrayLayout(name, array.offset, array.dtype, shape, strides),
        metadata={"General": {"original_filename": PurePosixPath(name).name}, "Signal": {"signal_type": ""}},
        reader=lambda: files.read(parts)[0],
    )


def _axes(head: bytes, shape: tuple[int, ...], pixel: bytes) -> list[dict[str, Any]]:
    """Axes in nm; sections have no unit. Those of pixels count where the header has no cell, or a negative one."""
    counts, lengths = struct.unpack_from("<3I", head, 28), struct.unpack_from("<3f", head, 40)
    origins = struct.unpack_from("<3f", head, 196)
    known = _cell(head)
    axes = []
    for name, size, count, length, origin in zip("zyx", shape, counts[::-1], lengths[::-1], origins[::-1], strict=True):
        axis = {"name": name, "size": size, "scale": 1.0, "offset": origin / 10, "units": "", "navigate": name == "z"}
        if pixel:
            axis["offset"] = 0.0
            if name != "z":
                axis |= {"scale": float(np.frombuffer(pixel, "<f4")[0] * np.float32(1e9)), "units": "nm"}
        elif name in known:
            axis |= {"scale": known[name], "units": "nm"}
        elif name == "z" and length and count:
            axis["scale"] = length / count / 10
        axes.append(axis)
    return axes


def _cell(head: bytes) -> dict[str, float]:
    """Sizes of pixels in nm whose cell and count the header has."""
    tree = header(head)
    if not tree:
        return {}
    pairs = zip("xy", tree["CELLA"], (tree["MX"], tree["MY"]), strict=False)
    return {axis: cell / count / 10 for axis, cell, count in pairs if cell > 0 and count > 0}


def _mended(read: Dictionary, head: bytes) -> Dictionary:
    """A signal of the reader with axes that claim no size where none is stated.

    RosettaSciIO 0.15 takes every size that Direct Electron's settings state for 1, and makes up sizes where the header
    has no cell or a negative one.
    """
    told = read["original_metadata"]
    if "fei_header" in told:  # the size is its own
        return read
    settings = told.get("de_metadata")
    stated = {} if settings is None else {name: str(value) for name, value in settings.items()}
    known = _cell(head) if settings is None else direct_electron.sizes(stated)
    for axis in read["axes"]:
        if axis["name"] in known:
            if settings is not None:
                axis["scale"] = known[axis["name"]]
        elif axis["name"] in ("x", "y", "kx", "ky"):
            axis.update(scale=1.0, units=None)
    return read
