"""A DM3 or DM4 file opened: its tags are read once, and RosettaSciIO makes signals of them.

By the rules of RosettaSciIO, which it follows in what is an image, but for one: the energy of an EELS spectrum image is
the signal here at once, not by what HyperSpy does to a signal once it is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from diadem.errors import ReaderError
from diadem.hooks.fields import Block, look_up
from diadem.hooks.formats import CutShort, Files, Opened, Signal, laid_out
from diadem.model.layout import ArrayLayout, ByteRange, FileLayout
from diadem.plugins.gatan.tags import Directory, read_directory
from diadem.plugins.gatan.walk import Block as Place
from diadem.plugins.gatan.walk import Tags

#: Where StackBuilder puts the tags of the images that it has stacked.
STACKED = "ImageTags/source/Tags at creation"
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


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open a file of DigitalMicrograph; of one without readable tags the reader is asked all the same."""
    name = files.entry
    try:
        directory = read_directory(files[name], name)
    except ReaderError as error:
        size = error.needed if isinstance(error, CutShort) else 0
        return Opened(_signals(files, None), _unread(error), size)
    return Opened(_signals(files, directory), _blocks(directory))


def _unread(error: ReaderError) -> Iterator[Block]:
    yield from ()
    raise error


def _signals(files: Files, directory: Directory | None) -> Iterator[Signal]:
    name = files.entry
    found = None if directory is None else layout(directory, name, files[name].size)
    if found is not None and (signals := laid_out(files.read(found.header), found.arrays)):
        yield from map(_spectral, signals)
        return
    yield from (_spectral(Signal.from_reader(one)) for one in files.read())


def _spectral(signal: Signal) -> Signal:
    """The energy as the signal of a spectrum image, which the reader makes a stack of pictures with a step to come."""
    steps = signal.more.get("post_process") or ()
    energy = sum(axis.get("navigate") is True for axis in signal.axes) - 1  # HyperSpy takes the fastest outer axis
    if len(steps) < 2 or energy < 0:
        return signal
    order = [*(place for place in range(len(signal.axes)) if place != energy), energy]
    axes = [{**signal.axes[place], "navigate": place != energy, "index_in_array": at} for at, place in enumerate(order)]
    data, array = signal.data, signal.array
    if array is not None:
        shape, strides = (tuple(of[place] for place in order) for of in (array.shape, array.strides))
        array = replace(array, shape=shape, strides=strides)
    else:
        data = data.transpose(order)
    return replace(signal, axes=axes, data=data, array=array, more={**signal.more, "post_process": steps[-1:]})


def layout(directory: Directory, name: str, size: int) -> FileLayout | None:
    """Where the arrays of all images but the thumbnails lie, and all between them.

    None where one is packed, coloured, not of the length that its axes give, or not whole.
    """
    tags = directory.places
    if not directory.whole or not tags.little_endian or tags.ambiguous:
        return None
    found = [_array(tags, number, name) for number in tags.images()]
    arrays = [array for array in found if array is not None]
    if not arrays or len(arrays) < len(found) or max(_extent(array)[1] for array in arrays) > size:
        return None
    return FileLayout(arrays, {name: _rest(arrays, size)})


def _array(tags: Tags, number: str, name: str) -> ArrayLayout | None:
    """The array of one image, slowest axis first."""
    code = tags.value("ImageList", number, "ImageData", "DataType")
    block = tags.block("ImageList", number, "ImageData", "Data")
    lengths = tags.values("ImageList", number, "ImageData", "Dimensions")
    if block is None or code not in _TYPES or not lengths or any(n < 1 for n in lengths):
        return None
    item = np.dtype(_TYPES[code]).itemsize
    if block != Place(block.offset, prod(lengths), item):
        return None
    strides = [item * prod(lengths[:axis]) for axis in range(len(lengths))]
    return ArrayLayout(name, block.offset, _TYPES[code], tuple(lengths[::-1]), tuple(strides[::-1]))


def _extent(array: ArrayLayout) -> ByteRange:
    """First byte and end of an array without gaps."""
    return array.offset, array.offset + array.shape[0] * array.strides[0]


def _rest(arrays: list[ArrayLayout], size: int) -> list[ByteRange]:
    """Everything between the arrays: all tags."""
    ranges, place = [], 0
    for start, stop in sorted(map(_extent, arrays)):
        ranges.append((place, start))
        place = stop
    return [*ranges, (place, size)]


def _blocks(directory: Directory) -> Iterator[Block]:
    """The directory, with a list of what is left out; then one block for each image.

    Of a file that was cut off, in which thumbnails cannot be told from images, tags are read only where one image has
    any.
    """
    yield _directory_block(directory)
    found = images(directory.tree)
    certain = directory.whole or sum("ImageTags" in image for _, image in found) == 1
    for number, (name, image) in enumerate(found):
        kind = "gatan-stack" if isinstance(look_up(image, STACKED), Mapping) else "gatan-image"
        signals = (number,) if directory.whole else ()
        yield Block(kind if certain else "gatan-unsure", image, place=f"ImageList/{name}", signals=signals)


def _directory_block(directory: Directory) -> Block:
    """The bytes of the directory; the tree says which bytes of the file are not among them."""
    head = directory.head
    tree = {
        "version": head.version,
        "little_endian": head.little_endian,
        "whole": directory.whole,
        "left out": [{"tag": one.tag, "offset": one.offset, "bytes": one.length} for one in directory.left_out],
    }
    place = "tag directory (the file without the arrays that are listed as left out)"
    return Block("gatan-directory", tree, directory.data, "application/x-gatan-dm", place)


def images(tree: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Images in the order of RosettaSciIO's signals, thumbnails left out.

    Parameters
    ----------
    tree : mapping
        All tags.
    """
    listed = tree.get("ImageList")
    thumbnails = tree.get("Thumbnails")
    small = [item.get("ImageIndex") for item in _groups(thumbnails).values()]
    return [(name, image) for name, image in _groups(listed).items() if _number(name) not in small]


def _groups(tree: Any) -> dict[str, Mapping[str, Any]]:
    """The groups directly below a group."""
    if not isinstance(tree, Mapping):
        return {}
    return {name: item for name, item in tree.items() if isinstance(item, Mapping)}


def _number(name: str) -> int:
    """The number of an unnamed group: ``TagGroup1``; -1 for others."""
    digits = name.removeprefix("TagGroup")
    return int(digits) if digits.isdecimal() else -1
