"""The tags of a DM3 or DM4 file as a tree of plain values, and its bytes without large arrays; the same of a TIFF page.

Source: G. Jefferis, "DM3 file format"; the type codes of RosettaSciIO. The tree comes from anyone: depth, number of
tags and every length are bounded, and nothing is read beyond the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diadem.errors import ReaderError
from diadem.hooks.binary import Cursor
from diadem.hooks.fields import Block
from diadem.hooks.formats import CutShort
from diadem.hooks.tiff import Page, Tiff, piece
from diadem.model.ports import InMemory, RangeReader

#: Tags and groups; real files have some thousands.
MAX_TAGS = 300_000
MAX_DEPTH = 64
#: Arrays of more bytes than this are left out of the directory …
LARGE = 256 << 10
#: … and smaller ones too where the directory would have more bytes than this.
MAX_DIRECTORY = 4 << 20
#: Bytes of tags without any array beyond this are no directory of a real file.
_SENSELESS = 64 << 20
#: Values of one array that stand in the tree.
MAX_VALUES = 4096
#: Fields of a structure; real ones have a handful.
_MAX_FIELDS = 1000
_GROUP, _DATA = 20, 21
_STRUCT, _STRING, _ARRAY = 15, 18, 20
#: `struct` codes of simple values by their number.
_SIMPLE = {2: "h", 3: "i", 4: "H", 5: "I", 6: "f", 7: "d", 8: "B", 9: "b", 10: "b", 11: "q", 12: "Q"}
#: Bytes before the tags by version: version, length (of four or eight bytes), byte order.
_HEADS = {3: 12, 4: 16}
#: Where images keep their pixels: ``ImageList/<image>/ImageData/Data``.
_PIXELS = ("ImageList", "ImageData", "Data")

Tree = dict[str, Any]
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An array that is not in the directory: its tag, first byte and length in bytes."""

    tag: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Directory:
    """The tags of a file."""

    #: 3 or 4.
    version: int
    little_endian: bool
    #: Nested by name: numbers, texts, tuples (structures) and arrays; of an array that is left out, where it is.
    tree: Tree
    #: The file without the arrays that are left out.
    data: bytes
    left_out: Sequence[LeftOut]
    #: Whether the tags end as they should; a file that was cut off still tells what stands before the cut.
    whole: bool
    #: Bytes that the file must have.
    promised: int


@dataclass(frozen=True, slots=True)
class _Place:
    """The array, text or structure of a tag: where it begins, how many items it has, bytes in an item.

    `codes` are those of `struct` for the values of one item, "" where an item is itself an array or text. An array of
    structures has as many codes as a structure has fields.
    """

    offset: int
    count: int
    item: int
    kind: int
    codes: str

    @property
    def length(self) -> int:
        return self.count * self.item


#: A tag's path, and its value or where that is.
_Met = tuple[Path, float | _Place]


def read_directory(reader: RangeReader, name: str) -> Directory:
    """Read the tags of a file, as far as they go; pixels are passed over. `ReaderError` where there is none."""
    walk = _Walk(reader, name)
    whole, needed = True, 0
    try:
        walk.group((), walk.group_head(root=True))
    except ReaderError as error:
        if not walk.met or walk.count > MAX_TAGS:
            raise
        whole, needed = False, error.needed if isinstance(error, CutShort) else 0
    left_out = _left_out(walk.met, reader.size)
    data = _rest(reader, left_out, name)
    tree = _tree(walk.met, Cursor(reader, name), {array.offset for array in left_out}, walk.order)
    # a head whose length is wrong takes nothing from tags that are all there
    promised = min(walk.declared, reader.size) if whole and tree else max(walk.declared, needed)
    return Directory(walk.version, walk.order == "<", tree, data, left_out, whole, promised)


class _Walk:
    """Every value of a file met in its order; arrays, texts and structures are not read."""

    def __init__(self, reader: RangeReader, name: str) -> None:
        self._cursor = Cursor(reader, name)
        self._name = name
        (self.version,) = self._cursor.unpack(">I")
        if self.version not in _HEADS:
            raise ReaderError(f"DigitalMicrograph files have version 3 or 4, not {self.version}", where=name)
        self._wide = "q" if self.version == 4 else "i"
        (length,) = self._cursor.unpack(">" + self._wide.upper())
        self.order = "<" if self._cursor.unpack(">I")[0] else ">"
        #: The zeros behind the tags are eight in files of Gatan, four in those of Nion Swift, and not counted.
        self.declared = int(length) + _HEADS[self.version]
        self.met: list[_Met] = []
        self.count = 0

    def number(self) -> int:
        """A length or code: big-endian, four bytes in DM3, eight in DM4."""
        value = int(self._cursor.unpack(">" + self._wide)[0])
        if value < 0:
            raise self._senseless(f"a length of {value}")
        return value

    def group_head(self, *, root: bool = False) -> int:
        """How many tags a group has; DM4 states its bytes before, except for the root."""
        self._cursor.skip(2)
        if self._wide == "q" and not root:
            self._cursor.skip(8)
        return self.number()

    def group(self, path: Path, count: int) -> None:
        """Walk through the tags of a group. Tags without a name are numbered as RosettaSciIO numbers them."""
        if len(path) > MAX_DEPTH:
            raise self._senseless(f"groups nested more than {MAX_DEPTH} deep")
        unnamed = {_GROUP: 0, _DATA: 0}
        for _ in range(count):
            self.count += 1
            if self.count > MAX_TAGS:
                raise self._senseless(f"more than {MAX_TAGS:,} tags")
            kind, length = self._cursor.unpack(">bh")
            if kind not in unnamed or length < 0:
                raise self._senseless(f"a tag of kind {kind}")
            # UTF-8 in newer files, the code page of the PC in older ones, in which `µ` is as in Latin-1
            name = _decoded(self._cursor.take(length))
            if not name.replace(".", ""):
                name = f"{'TagGroup' if kind == _GROUP else 'Data'}{unnamed[kind]}"
                unnamed[kind] += 1
            if kind == _GROUP:
                self.group((*path, name), self.group_head())
            else:
                self.met.append(((*path, name), self._value()))

    def _value(self) -> float | _Place:
        if self._wide == "q":
            self._cursor.skip(8)
        if self._cursor.take(4) != b"%%%%":
            raise self._senseless("a tag without its marker")
        self.number()
        kind = self.number()
        if kind in _SIMPLE:
            value: float = self._cursor.unpack(self.order + _SIMPLE[kind])[0]
            return value
        item, count, codes = self._extent(kind)
        place = _Place(self._cursor.place, count, item, kind, codes)
        self._cursor.skip(place.length)
        return place

    def _extent(self, kind: int) -> tuple[int, int, str]:
        """Bytes in an item, number of items, and codes of an item's values, of a structure, a text or an array."""
        if kind == _STRUCT:
            codes = self._struct()
            return struct.calcsize("=" + codes), 1, codes
        if kind == _STRING:
            return self.number(), 1, ""
        if kind != _ARRAY:
            raise self._senseless(f"a value of kind {kind}")
        element = self.number()
        if element in _SIMPLE:
            return struct.calcsize("=" + _SIMPLE[element]), self.number(), _SIMPLE[element]
        item, inner, codes = self._extent(element)
        return item * inner, self.number(), codes if element == _STRUCT else ""

    def _struct(self) -> str:
        """Codes of the values of a structure."""
        self.number()
        fields = self.number()
        if fields > _MAX_FIELDS:
            raise self._senseless(f"a structure of {fields} fields")
        codes = ""
        for _ in range(fields):
            self.number()
            kind = self.number()
            if kind not in _SIMPLE:
                raise self._senseless(f"a field of kind {kind}")
            codes += _SIMPLE[kind]
        return codes

    def _senseless(self, what: str) -> ReaderError:
        return ReaderError(f"no DigitalMicrograph file has {what} (near byte {self._cursor.place:,})", where=self._name)


def _left_out(met: Iterable[_Met], size: int) -> list[LeftOut]:
    """Pixels, large arrays, and smaller ones as long as the rest is too long."""
    arrays = [
        (
            len(path) == 4 and (path[0], path[2], path[3]) == _PIXELS,
            LeftOut("/".join(path), value.offset, value.length),
        )
        for path, value in met
        if isinstance(value, _Place)
    ]
    chosen: list[LeftOut] = []
    for limit in (LARGE, LARGE >> 4, LARGE >> 8, 256):
        chosen = [array for pixels, array in arrays if (pixels and array.length) or array.length > limit]
        if size - sum(array.length for array in chosen) <= MAX_DIRECTORY:
            break
    return chosen


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


def _tree(met: Iterable[_Met], cursor: Cursor, left_out: set[int], order: str) -> Tree:
    """Values by name, nested. Of tags of one name in one group the last stands, as in RosettaSciIO."""
    tree: Tree = {}
    for path, value in met:
        found: Any = value
        if isinstance(value, _Place):
            cursor.place = value.offset
            found = _where(value) if value.offset in left_out else _parsed(value, cursor.take(value.length), order)
        group = tree
        for name in path[:-1]:
            inner = group.get(name)
            if not isinstance(inner, dict):
                inner = group[name] = {}
            group = inner
        group[path[-1]] = found
    return tree


def _where(array: _Place) -> Mapping[str, int]:
    return {"offset": array.offset, "bytes": array.length}


def _parsed(value: _Place, raw: bytes, order: str) -> Any:
    """A text, tuple or array from its bytes."""
    if value.kind == _STRING:
        return _decoded(raw)
    if value.kind == _STRUCT:
        return struct.unpack(order + value.codes, raw)
    if value.kind == _ARRAY and value.codes == "H" and value.item == 2:
        return raw.decode("utf-16-le" if order == "<" else "utf-16-be", "replace").rstrip("\0")
    if len(value.codes) == 1 and value.count <= MAX_VALUES:
        return np.frombuffer(raw, np.dtype(order + value.codes))
    if value.codes and value.item > 0 and value.count <= MAX_VALUES:
        return list(struct.iter_unpack(order + value.codes, raw))
    return _where(value)


def _decoded(raw: bytes) -> str:
    """A text of one byte a character: UTF-8, else as in Latin-1."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


# -- TIFF files that it exports: the tags of the image are as in a DM4 file, calibrations stand beside them ----------

#: Tags of the axes, as RosettaSciIO and ImageJ's DM3 reader know them.
_CALIBRATIONS: Mapping[int, str] = {
    65003: "X unit", 65004: "Y unit", 65005: "Z unit", 65006: "X origin", 65007: "Y origin", 65008: "Z origin",
    65009: "X scale", 65010: "Y scale", 65011: "Z scale", 65022: "Intensity unit", 65024: "Intensity origin",
    65025: "Intensity scale",
}  # fmt: skip


def of_page(file: Tiff, page: Page, tree: dict[str, Any]) -> Iterator[Block]:
    """Calibrations of a page, and the tags of its image; none where the scale of the first axis is missing."""
    if 65009 not in page.tags or page.tags[65009].type != 12:
        return
    known = {name: page.tags[code] for code, name in _CALIBRATIONS.items() if code in page.tags}
    tree["Calibrations"] = {name: (file.numbers(tag) or [file.text(tag)])[0] for name, tag in known.items()}
    if 65027 in page.tags and (data := file.data(page.tags[65027])):
        yield piece("gatan-tiff", page, "DMTags", data, page.tags[65027].start, "application/x-gatan-dm")
        tree["ImageTags"] = read_directory(InMemory(data), "tag 65027").tree
