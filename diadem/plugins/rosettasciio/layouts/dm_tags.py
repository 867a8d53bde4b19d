"""The tag tree of DM3 and DM4 files, as far as it tells where images lie; every other value is passed over.

The tree comes from anyone: depth, number of tags and every length are bounded, and nothing is read beyond the file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from diadem.errors import ReaderError
from diadem.model.ports import RangeReader
from diadem.plugins.rosettasciio.layouts.header import Cursor

MAX_TAGS = 2_000_000
MAX_DEPTH = 64
_GROUP, _DATA = 20, 21
_STRUCT, _STRING, _ARRAY = 15, 18, 20
#: `struct` codes of simple values by their number.
_SIMPLE = {2: "h", 3: "i", 4: "H", 5: "I", 6: "f", 7: "d", 8: "B", 9: "b", 10: "b", 11: "q", 12: "Q"}
#: Fields of a structure; real ones have a handful.
_MAX_FIELDS = 1000

#: What `ImageData` says of the array.
_OF_IMAGES = (("Data",), ("DataType",), ("Dimensions",))

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """The array of a tag: where it begins, how many items it has, bytes in an item."""

    offset: int
    count: int
    item: int


@dataclass(slots=True)
class Tags:
    """What of the tree was kept: simple values and arrays below `ImageList` and `Thumbnails`.

    Attributes
    ----------
    little_endian : bool
        Byte order of the values.
    ambiguous : bool
        Whether two tags that were kept have the same place in the tree.
    """

    little_endian: bool
    ambiguous: bool = False
    kept: dict[Path, float | Block] = field(default_factory=dict)
    order: dict[str, None] = field(default_factory=dict)

    def keep(self, path: Path, value: float | Block) -> None:
        """Keep a value, and remember the order of images."""
        self.ambiguous |= path in self.kept
        self.kept[path] = value
        if path[0] == "ImageList":
            self.order.setdefault(path[1])

    def value(self, *path: str) -> Any:
        """A simple value, or None."""
        found = self.kept.get(path)
        return None if isinstance(found, Block) else found

    def block(self, *path: str) -> Block | None:
        """An array, or None."""
        found = self.kept.get(path)
        return found if isinstance(found, Block) else None

    def values(self, *path: str) -> list[int]:
        """The integers directly below a group, in order."""
        below = [(key, found) for key, found in self.kept.items() if key[:-1] == path]
        return [found for _, found in below if isinstance(found, int)]

    def images(self) -> list[str]:
        """Names of the images that are no thumbnails, in order."""
        small = {str(found) for key, found in self.kept.items() if key[0] == "Thumbnails" and key[-1] == "ImageIndex"}
        return [name for name in self.order if name.removeprefix("TagGroup") not in small]


def read_tags(reader: RangeReader, name: str) -> Tags:
    """Walk through the tags of a file.

    Raises
    ------
    ReaderError
        It is no DM3 or DM4 file, its tags end before the file says, or they are more or deeper than any real file's.
    """
    cursor = Cursor(reader, name)
    (version,) = cursor.unpack(">I")
    if version not in (3, 4):
        raise ReaderError(f"DigitalMicrograph files have version 3 or 4, not {version}", where=name)
    walk = _Walk(cursor, name, "q" if version == 4 else "i")
    walk.number()
    (little,) = cursor.unpack(">I")
    walk.tags = Tags(bool(little))
    walk.group((), walk.group_head(root=True))
    return walk.tags


class _Walk:
    """One walk: the cursor, the width of lengths, and how many tags were met."""

    def __init__(self, cursor: Cursor, name: str, wide: str) -> None:
        self.tags = Tags(True)
        self._cursor = cursor
        self._name = name
        self._wide = wide
        self._met = 0

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
            self._met += 1
            if self._met > MAX_TAGS:
                raise self._senseless(f"more than {MAX_TAGS:,} tags")
            kind, length = self._cursor.unpack(">bh")
            if kind not in unnamed or length < 0:
                raise self._senseless(f"a tag of kind {kind}")
            name = self._cursor.take(length).decode("latin-1").replace(".", "")
            if not name:
                name = f"{'TagGroup' if kind == _GROUP else 'Data'}{unnamed[kind]}"
                unnamed[kind] += 1
            if kind == _GROUP:
                self.group((*path, name), self.group_head())
            else:
                self._data((*path, name))

    def _data(self, path: Path) -> None:
        """Pass over a value, keeping it if it tells where an image lies."""
        if self._wide == "q":
            self._cursor.skip(8)
        if self._cursor.take(4) != b"%%%%":
            raise self._senseless("a tag without its marker")
        self.number()
        kind = self.number()
        wanted = _wanted(path)
        if kind in _SIMPLE:
            order = "<" if self.tags.little_endian else ">"
            (value,) = self._cursor.unpack(order + _SIMPLE[kind])
            if wanted:
                self.tags.keep(path, value)
            return
        item, count = self._extent(kind)
        if wanted:
            self.tags.keep(path, Block(self._cursor.place, count, item))
        self._cursor.skip(item * count)

    def _extent(self, kind: int) -> tuple[int, int]:
        """Bytes in an item, and number of items, of a structure, a text or an array."""
        if kind == _STRUCT:
            return self._struct(), 1
        if kind == _STRING:
            return self.number(), 1
        if kind != _ARRAY:
            raise self._senseless(f"a value of kind {kind}")
        element = self.number()
        if element in _SIMPLE:
            return struct.calcsize("=" + _SIMPLE[element]), self.number()
        item, inner = self._extent(element)
        return item * inner, self.number()

    def _struct(self) -> int:
        """Bytes in a structure of simple values."""
        self.number()
        fields = self.number()
        if fields > _MAX_FIELDS:
            raise self._senseless(f"a structure of {fields} fields")
        total = 0
        for _ in range(fields):
            self.number()
            kind = self.number()
            if kind not in _SIMPLE:
                raise self._senseless(f"a field of kind {kind}")
            total += struct.calcsize("=" + _SIMPLE[kind])
        return total

    def _senseless(self, what: str) -> ReaderError:
        return ReaderError(f"no DigitalMicrograph file has {what} (near byte {self._cursor.place:,})", where=self._name)


def _wanted(path: Path) -> bool:
    """Whether a value tells where an image lies, or that it is a thumbnail."""
    if path[0] == "Thumbnails":
        return path[-1] == "ImageIndex"
    return path[0] == "ImageList" and path[2:3] == ("ImageData",) and path[3:4] in _OF_IMAGES
