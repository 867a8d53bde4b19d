"""The tags of a DM3 or DM4 file as a tree of plain values, and its bytes without the large arrays."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from diadem.errors import ReaderError
from diadem.model.ports import RangeReader
from diadem.plugins.gatan.walk import (
    ARRAY,
    STRING,
    STRUCT,
    Block,
    Head,
    Path,
    Tags,
    Value,
    read_head,
    walk_tags,
)

#: Tags that are kept; real files have some thousands.
MAX_TAGS = 300_000
#: Arrays of more bytes than this are left out of the directory …
LARGE = 256 << 10
#: … and smaller ones too where the directory would have more bytes than this.
MAX_DIRECTORY = 4 << 20
#: Bytes of tags without any array beyond this are no directory of a real file.
_SENSELESS = 64 << 20
#: Values of one array that stand in the tree.
MAX_VALUES = 4096
#: Where images keep their pixels: ``ImageList/<image>/ImageData/Data``.
_PIXELS = ("ImageList", "ImageData", "Data")

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An array that is not in the directory: its tag, first byte and length in bytes."""

    tag: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Directory:
    """The tags of a file.

    Attributes
    ----------
    head : Head
        Version and byte order.
    tree : dict
        Nested by name: numbers, texts, tuples (structures) and arrays. Of an array that is left out, where it is.
    places : Tags
        Where the arrays of images lie.
    data : bytes
        The file without the arrays that are left out.
    left_out : sequence of LeftOut
        In the order of the file.
    whole : bool
        Whether the tags end as they should; a file that was cut off still tells what stands before the cut.
    """

    head: Head
    tree: Tree
    places: Tags
    data: bytes
    left_out: Sequence[LeftOut]
    whole: bool


def read_directory(reader: RangeReader, name: str) -> Directory:
    """Read the tags of a file, as far as they go; pixels are passed over.

    Raises
    ------
    ReaderError
        It is no DM3 or DM4 file, or has no tag.
    """
    head = read_head(reader, name)
    places = Tags(head.little_endian)
    met: list[tuple[Path, Value]] = []
    whole = True

    def keep(path: Path, value: Value) -> None:
        if len(met) >= MAX_TAGS:
            raise ReaderError(f"more than {MAX_TAGS:,} tags", where=name)
        met.append((path, value))
        places.keep(path, value)

    try:
        walk_tags(reader, name, keep)
    except ReaderError:
        if not met or len(met) >= MAX_TAGS:
            raise
        whole = False
    left_out = _left_out(met, reader.size)
    data = _rest(reader, left_out, name)
    return Directory(head, _tree(met, data, left_out, head), places, data, left_out, whole)


def _left_out(met: Iterable[tuple[Path, Value]], size: int) -> list[LeftOut]:
    """Pixels, large arrays, and smaller ones as long as the rest is too long."""
    arrays = [
        (_is_pixels(path), LeftOut("/".join(path), value.offset, min(value.count * value.item, size - value.offset)))
        for path, value in met
        if isinstance(value, Block)
    ]
    chosen: list[LeftOut] = []
    for limit in (LARGE, LARGE >> 4, LARGE >> 8, 256):
        chosen = [array for pixels, array in arrays if (pixels and array.length) or array.length > limit]
        if size - sum(array.length for array in chosen) <= MAX_DIRECTORY:
            break
    return chosen


def _is_pixels(path: Path) -> bool:
    return len(path) == 4 and (path[0], path[2], path[3]) == _PIXELS


def _rest(reader: RangeReader, left_out: Sequence[LeftOut], name: str) -> bytes:
    """The file without the arrays that are left out."""
    length = reader.size - sum(array.length for array in left_out)
    if length > _SENSELESS:
        raise ReaderError(f"its tags have {length:,} bytes without any array", where=name)
    pieces, place = [], 0
    for array in left_out:
        pieces.append(reader.read_at(place, array.offset - place))
        place = array.offset + array.length
    return b"".join([*pieces, reader.read_at(place, reader.size - place)])


def _tree(met: Iterable[tuple[Path, Value]], data: bytes, left_out: Sequence[LeftOut], head: Head) -> Tree:
    """Values by name, nested. Of tags of one name in one group the last stands, as in RosettaSciIO."""
    starts = [array.offset for array in left_out]
    shifts = [0, *accumulate(array.length for array in left_out)]
    tree: Tree = {}
    for path, value in met:
        if isinstance(value, Block):
            before = bisect_right(starts, value.offset)
            gone = before > 0 and starts[before - 1] == value.offset and left_out[before - 1].length > 0
            found = _where(value) if gone else _decoded(value, data, value.offset - shifts[before], head)
        else:
            found = value
        _put(tree, path, found)
    return tree


def _where(array: Block) -> Mapping[str, int]:
    return {"offset": array.offset, "bytes": array.count * array.item}


def _put(tree: Tree, path: Path, value: Any) -> None:
    for name in path[:-1]:
        inner = tree.get(name)
        if not isinstance(inner, dict):
            inner = tree[name] = {}
        tree = inner
    tree[path[-1]] = value


def _decoded(block: Block, data: bytes, place: int, head: Head) -> Any:
    """The text, tuple or array at a place of the directory."""
    raw = data[place : place + block.count * block.item]
    if len(raw) < block.count * block.item:
        return _where(block)
    order = "<" if head.little_endian else ">"
    if block.kind == STRING:
        return _local_text(raw)
    if block.kind == STRUCT:
        return struct.unpack(order + block.codes, raw)
    if block.kind == ARRAY and block.codes == "H" and block.item == 2:
        return raw.decode("utf-16-le" if head.little_endian else "utf-16-be", "replace").rstrip("\0")
    if len(block.codes) == 1 and block.count <= MAX_VALUES:
        return np.frombuffer(raw, np.dtype(order + block.codes))
    if block.codes and block.item > 0 and block.count <= MAX_VALUES:
        return list(struct.iter_unpack(order + block.codes, raw))
    return _where(block)


def _local_text(raw: bytes) -> str:
    """A text of one byte a character: UTF-8, else as in Latin-1."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
