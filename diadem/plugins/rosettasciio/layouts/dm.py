"""DM3 and DM4 (Gatan DigitalMicrograph): a tree of tags, in which the arrays of images are tags like any other.

Source: the community's descriptions of the format (G. Jefferis, "DM3 file format"; P. Ercius, ncempy), and the rules by
which RosettaSciIO turns the tree into images.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from diadem.model.layout import ArrayLayout, ByteRange, FileLayout
from diadem.model.ports import RangeReader
from diadem.plugins.rosettasciio.layouts.dm_tags import Block, Tags, read_tags
from diadem.plugins.rosettasciio.layouts.header import too_short

#: NumPy's type by the code in `ImageData.DataType`; packed Fourier transforms and colours are left to the reader.
_TYPES = {
    1: "<i2",
    2: "<f4",
    3: "<c8",
    6: "|u1",
    7: "<i4",
    9: "|i1",
    10: "<u2",
    11: "<u4",
    12: "<f8",
    13: "<c16",
    14: "|b1",
}


def layout(files: Mapping[str, RangeReader], name: str) -> FileLayout | None:
    """The arrays of all images but the thumbnails.

    None for big-endian files, and where an image is packed, coloured or not of the length that its axes give.

    Raises
    ------
    ReaderError
        The file is shorter than its tags say, or its tags make no sense.
    """
    reader = files[name]
    tags = read_tags(reader, name)
    if not tags.little_endian or tags.ambiguous:
        return None
    arrays = []
    for number in tags.images():
        array = _array(tags, number, name)
        if array is None:
            return None
        arrays.append(array)
    if not arrays:
        return None
    _require_whole(arrays, reader, name)
    return FileLayout(arrays, {name: _rest(arrays, reader.size)})


def _array(tags: Tags, number: str, name: str) -> ArrayLayout | None:
    """The array of one image, slowest axis first."""
    code = tags.value("ImageList", number, "ImageData", "DataType")
    block = tags.block("ImageList", number, "ImageData", "Data")
    lengths = tags.values("ImageList", number, "ImageData", "Dimensions")
    if block is None or code not in _TYPES or not lengths or any(n < 1 for n in lengths):
        return None
    item = np.dtype(_TYPES[code]).itemsize
    if block != Block(block.offset, prod(lengths), item):
        return None
    strides = [item * prod(lengths[:axis]) for axis in range(len(lengths))]
    return ArrayLayout(name, block.offset, _TYPES[code], tuple(lengths[::-1]), tuple(strides[::-1]))


def _extent(array: ArrayLayout) -> ByteRange:
    """First byte and end of an array without gaps."""
    return array.offset, array.offset + array.shape[0] * array.strides[0]


def _require_whole(arrays: list[ArrayLayout], reader: RangeReader, name: str) -> None:
    end = max(_extent(array)[1] for array in arrays)
    if end > reader.size:
        raise too_short(name, end, reader.size)


def _rest(arrays: list[ArrayLayout], size: int) -> list[ByteRange]:
    """Everything between the arrays: all tags."""
    ranges, place = [], 0
    for start, stop in sorted(map(_extent, arrays)):
        ranges.append((place, start))
        place = stop
    return [*ranges, (place, size)]
