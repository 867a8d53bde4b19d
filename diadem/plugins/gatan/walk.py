"""The tags of DM3 and DM4 files: a walk that tells where each value is, and what of it tells where images lie.

The tree comes from anyone: depth, number of tags and every length are bounded, and nothing is read beyond the file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from diadem.errors import ReaderError
from diadem.hooks.binary import Cursor
from diadem.model.ports import RangeReader

MAX_TAGS = 2_000_000
MAX_DEPTH = 64
_GROUP, _DATA = 20, 21
STRUCT, STRING, ARRAY = 15, 18, 20
#: `struct` codes of simple values by their number.
_SIMPLE = {2: "h", 3: "i", 4: "H", 5: "I", 6: "f", 7: "d", 8: "B", 9: "b", 10: "b", 11: "q", 12: "Q"}
#: Bytes before the tags by version: version, length (of four or eight bytes), byte order.
_HEADS = {3: 12, 4: 16}
#: Fields of a structure; real ones have a handful.
_MAX_FIELDS = 1000

Path = tuple[str, ...]

#: What `ImageData` says of the array.
_OF_IMAGES = (("Data",), ("DataType",), ("Dimensions",))


@dataclass(frozen=True, slots=True)
class Block:
    """The array, text or structure of a tag: where it begins, how many items it has, bytes in an item.

    `kind` is `ARRAY`, `STRING` or `STRUCT`; `codes` are those of `struct` for the values of one item, "" where an item
    is itself an array or text. An array of structures has as many codes as a structure has fields.
    """

    offset: int
    count: int
    item: int
    kind: int = field(default=ARRAY, compare=False)
    codes: str = field(default="", compare=False)


Value = float | Block
#: What is done with each value met: its place, a simple value or where its bytes are.
Keeper = Callable[[Path, Value], None]


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
    kept: dict[Path, Value] = field(default_factory=dict)
    order: dict[str, None] = field(default_factory=dict)

    def keep(self, path: Path, value: Value) -> None:
        """Keep a value that is wanted, and remember the order of images. As in RosettaSciIO, names have no points."""
        path = tuple(part.replace(".", "") for part in path)
        if not _wanted(path):
            return
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


@dataclass(frozen=True, slots=True)
class Head:
    """What a file says of itself: version 3 or 4, byte order of its values."""

    version: int
    little_endian: bool


def walk_tags(reader: RangeReader, name: str, keep: Keeper) -> Head:
    """Meet every value of a file in its order; arrays, texts and structures are not read.

    Parameters
    ----------
    reader : RangeReader
        The file.
    name : str
        Its name, for errors.
    keep : callable
        Called with the place of each value and the value, or where its bytes are.

    Raises
    ------
    ReaderError
        It is no DM3 or DM4 file, its tags end before the file says, or they are more or deeper than any real file's.
    """
    head = read_head(reader, name)
    cursor = Cursor(reader, name)
    cursor.skip(_HEADS[head.version])
    walk = _Walk(cursor, name, head, keep)
    walk.group((), walk.group_head(root=True))
    return head


def read_head(reader: RangeReader, name: str) -> Head:
    """The first numbers of a file. Raises `ReaderError` for other versions than 3 and 4, and if it ends in them."""
    cursor = Cursor(reader, name)
    (version,) = cursor.unpack(">I")
    if version not in _HEADS:
        raise ReaderError(f"DigitalMicrograph files have version 3 or 4, not {version}", where=name)
    cursor.skip(_HEADS[version] - 8)  # the length of the tags, which nothing depends on
    return Head(version, bool(cursor.unpack(">I")[0]))


class _Walk:
    """One walk: the cursor, the width of lengths, the byte order of values, and how many tags were met."""

    def __init__(self, cursor: Cursor, name: str, head: Head, keep: Keeper) -> None:
        self._order = "<" if head.little_endian else ">"
        self._keep = keep
        self._cursor = cursor
        self._name = name
        self._wide = "q" if head.version == 4 else "i"
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
            name = _text(self._cursor.take(length))
            if not name.replace(".", ""):
                name = f"{'TagGroup' if kind == _GROUP else 'Data'}{unnamed[kind]}"
                unnamed[kind] += 1
            if kind == _GROUP:
                self.group((*path, name), self.group_head())
            else:
                self._data((*path, name))

    def _data(self, path: Path) -> None:
        """Hand a value on, or where its bytes are."""
        if self._wide == "q":
            self._cursor.skip(8)
        if self._cursor.take(4) != b"%%%%":
            raise self._senseless("a tag without its marker")
        self.number()
        kind = self.number()
        if kind in _SIMPLE:
            self._keep(path, self._cursor.unpack(self._order + _SIMPLE[kind])[0])
            return
        item, count, codes = self._extent(kind)
        self._keep(path, Block(self._cursor.place, count, item, kind, codes))
        self._cursor.skip(item * count)

    def _extent(self, kind: int) -> tuple[int, int, str]:
        """Bytes in an item, number of items, and codes of an item's values, of a structure, a text or an array."""
        if kind == STRUCT:
            codes = self._struct()
            return struct.calcsize("=" + codes), 1, codes
        if kind == STRING:
            return self.number(), 1, ""
        if kind != ARRAY:
            raise self._senseless(f"a value of kind {kind}")
        element = self.number()
        if element in _SIMPLE:
            return struct.calcsize("=" + _SIMPLE[element]), self.number(), _SIMPLE[element]
        item, inner, codes = self._extent(element)
        return item * inner, self.number(), codes if element == STRUCT else ""

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


def _text(data: bytes) -> str:
    """A tag's name: UTF-8 in newer files, the code page of the PC in older ones, in which `µ` is as in Latin-1."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _wanted(path: Path) -> bool:
    """Whether a value tells where an image lies, or that it is a thumbnail."""
    if path[0] == "Thumbnails":
        return path[-1] == "ImageIndex"
    return path[0] == "ImageList" and path[2:3] == ("ImageData",) and path[3:4] in _OF_IMAGES
