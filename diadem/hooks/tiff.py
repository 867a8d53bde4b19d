"""Tags of a TIFF file as bytes, with their places, without a pixel, and the blocks that families cut out of them.

TIFF revision 6.0 (Adobe, 1992) and BigTIFF. Directories are followed once each, at most `MAX_PAGES`; a value is read
only where it lies within the file.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Self

from diadem.hooks.fields import Block
from diadem.hooks.text import decode

#: Pages whose tags are looked at; a stack's further frames are in the file only.
MAX_PAGES = 4096
#: Entries of one directory.
MAX_ENTRIES = 4096
#: Bytes of one value that are read.
MAX_VALUE = 8 << 20
#: Numbers of one tag that are decoded.
MAX_NUMBERS = 4096
#: Bytes of a vendor's tags in one file; frames beyond keep theirs in the file only.
MAX_TOTAL = 64 << 20
#: Bytes of lists of strips and tiles that are looked through for the end of the file.
_MAX_LISTS = 64 << 20

#: Type of a value to its length in bytes and `struct` letter; the letters of rationals are for one half.
_TYPES: Mapping[int, tuple[int, str]] = {
    1: (1, "B"), 2: (1, "s"), 3: (2, "H"), 4: (4, "I"), 5: (8, "I"), 6: (1, "b"), 7: (1, "s"), 8: (2, "h"),
    9: (4, "i"), 10: (8, "i"), 11: (4, "f"), 12: (8, "d"), 13: (4, "I"), 16: (8, "Q"), 17: (8, "q"), 18: (8, "Q"),
}  # fmt: skip
_RATIONALS = (5, 10)

#: Names of tags: those of TIFF 6.0 that describe an image, and vendors' own as tifffile names them.
NAMES: Mapping[int, str] = {
    256: "ImageWidth", 257: "ImageLength", 258: "BitsPerSample", 270: "ImageDescription", 271: "Make", 272: "Model",
    282: "XResolution", 283: "YResolution", 296: "ResolutionUnit", 305: "Software", 306: "DateTime", 315: "Artist",
    33471: "OlympusINI", 33560: "OlympusSIS", 34118: "CZ_SEM", 34680: "FEI_SFEG", 34682: "FEI_HELIOS",
    34683: "FEI_TITAN", 37706: "TVIPS", 37708: "TVIPS2", 50431: "TESCAN", 51023: "FibicsXML", 65000: "ImageTags",
    65027: "DMTags",
}  # fmt: skip
#: Where strips, or tiles, begin, and how many bytes they have.
_PIECES = ((273, 279), (324, 325))
#: Codes from here on are vendors' own: what looks like an offset may be none.
_PRIVATE = 32768
#: Tags whose plain values help to read a vendor's: size of the image, who wrote it, when.
_PLAIN = {code: NAMES[code] for code in (256, 257, 270, 271, 272, 282, 283, 296, 305, 306, 315)}


class NotTiff(ValueError):
    """The bytes are no TIFF structure."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One entry of a directory, and where in the file its value begins and ends."""

    code: int
    type: int
    count: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Page:
    """One directory.

    Attributes
    ----------
    number : int
        From 0.
    offset : int
        Where the directory stands in the file.
    tags : mapping of int to Tag
        By code; of two with the same code the first.
    """

    number: int
    offset: int
    tags: Mapping[int, Tag]


class Tiff:
    """Directories of an open TIFF file; a context manager.

    Parameters
    ----------
    stream : binary file
        Closed at the end.
    base : int
        Where the TIFF structure begins, for those within other files; offsets count from here.
    """

    def __init__(self, stream: BinaryIO, base: int = 0) -> None:
        self._stream = stream
        self._base = base
        self._size = stream.seek(0, os.SEEK_END) - base
        self._needed = 8
        header = self._read(0, 16)
        self._order = {b"II": "<", b"MM": ">"}.get(header[:2], "")
        version = int.from_bytes(header[2:4], "little" if self._order == "<" else "big")
        if not self._order or version not in (42, 43):
            raise NotTiff("no TIFF header")
        self._big = version == 43
        self._first = self._unpack("Q", header[8:16]) if self._big else self._unpack("I", header[4:8])

    def __enter__(self) -> Self:
        """The file itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        self._stream.close()

    @classmethod
    def open(cls, path: str, base: int = 0) -> Tiff:
        """Open a file by its path."""
        stream = Path(path).open("rb")  # noqa: SIM115 - closed by the context manager
        try:
            return cls(stream, base)
        except BaseException:
            stream.close()
            raise

    def pages(self) -> Iterator[Page]:
        """Directories in the order of the file; a loop ends them."""
        offset, seen = self._first, set[int]()
        while offset and offset not in seen and len(seen) < MAX_PAGES:
            seen.add(offset)
            if (found := self._directory(len(seen) - 1, offset)) is None:
                return
            page, offset = found
            yield page

    def directory(self, offset: int) -> Page | None:
        """A directory that a tag points to, such as that of Exif."""
        found = self._directory(0, offset)
        return None if found is None else found[0]

    def promised(self, pages: Iterable[Page]) -> int:
        """Bytes that the file must have for the directories read until now, their values, and the pages' pixels."""
        furthest, left = self._needed, _MAX_LISTS
        for page in pages:
            for codes in _PIECES:
                lists = [page.tags[code] for code in codes if code in page.tags]
                left -= sum(tag.end - tag.start for tag in lists)
                if len(lists) < 2 or left < 0:
                    continue
                starts, sizes = (self._whole(tag) for tag in lists)
                ends = (start + size for start, size in zip(starts, sizes, strict=False) if size)
                furthest = max(furthest, max(ends, default=0))
        return furthest

    def _whole(self, tag: Tag) -> tuple[int, ...]:
        """All integers of a value."""
        letter, data = _TYPES[tag.type][1], self.data(tag)
        whole = letter in "HIQ" and tag.type not in _RATIONALS and data
        return struct.unpack(f"{self._order}{tag.count}{letter}", data) if whole else ()

    def data(self, tag: Tag) -> bytes:
        """The value's bytes; none where it is longer than `MAX_VALUE`."""
        return self._read(tag.start - self._base, tag.end - tag.start) if tag.end - tag.start <= MAX_VALUE else b""

    def bytes_at(self, offset: int, length: int) -> bytes:
        """Bytes of the file that a vendor's value points to, at most `MAX_VALUE`, as many as there are."""
        return self._read(offset, min(length, MAX_VALUE)) if 0 <= offset < self._size and length > 0 else b""

    def text(self, tag: Tag) -> str:
        """The value as text, up to its end mark; UTF-8 or else Latin-1."""
        return decode(self.data(tag).split(b"\x00", 1)[0]).strip()

    def numbers(self, tag: Tag) -> tuple[float, ...]:
        """The value as numbers; rationals are divided, those by zero left out."""
        length, letter = _TYPES[tag.type]
        if letter == "s":
            return ()
        count = min(tag.count, MAX_NUMBERS)
        halves = 2 if tag.type in _RATIONALS else 1
        values = struct.unpack(f"{self._order}{count * halves}{letter}", self.data(tag)[: count * length])
        if halves == 1:
            return values
        return tuple(over / under for over, under in zip(values[::2], values[1::2], strict=True) if under)

    def plain(self, page: Page, names: Mapping[int, str] = _PLAIN) -> dict[str, Any]:
        """Tags of a page by their names, as numbers and texts: size, description, program and date."""
        found: dict[str, Any] = {}
        for code, tag in page.tags.items():
            if code not in names:  # the others are not read: each may be megabytes
                continue
            numbers = self.numbers(tag)
            text = self.text(tag) if _TYPES[tag.type][1] == "s" else ""
            value: Any = list(numbers) if len(numbers) > 1 else numbers[0] if numbers else text
            if value != "":
                found[names[code]] = value
        return found

    def _directory(self, number: int, offset: int) -> tuple[Page, int] | None:
        """A directory and the offset of the next; None where it does not lie within the file."""
        counter, entry, pointer = ("Q", 20, "Q") if self._big else ("H", 12, "I")
        start = offset + struct.calcsize(counter)
        head = self._read(offset, start - offset)
        self._needed = max(self._needed, start)
        if offset < 0 or len(head) < start - offset:
            return None
        count = self._unpack(counter, head)
        self._needed = max(self._needed, start + count * entry + struct.calcsize(pointer))
        raw = self._read(start, min(count, MAX_ENTRIES) * entry)
        tags: dict[int, Tag] = {}
        for place in range(0, len(raw) - entry + 1, entry):
            if (tag := self._entry(raw[place : place + entry], start + place)) is not None:
                tags.setdefault(tag.code, tag)
        following = self._read(start + count * entry, struct.calcsize(pointer))
        after = self._unpack(pointer, following) if len(following) == struct.calcsize(pointer) else 0
        return Page(number, offset + self._base, tags), after

    def _entry(self, raw: bytes, place: int) -> Tag | None:
        """One entry; None where its value does not lie within the file."""
        code, kind, count = struct.unpack_from(self._order + ("HHQ" if self._big else "HHI"), raw)
        if kind not in _TYPES:
            return None
        room = 8 if self._big else 4
        length = count * _TYPES[kind][0]
        start = place + len(raw) - room
        if length > room:
            start = self._unpack("Q" if self._big else "I", raw[-room:])
            self._needed = max(self._needed, start + length if code < _PRIVATE else 0)
        if length == 0 or start + length > self._size:
            return None
        return Tag(code, kind, count, start + self._base, start + length + self._base)

    def _unpack(self, letter: str, raw: bytes) -> int:
        if len(raw) != struct.calcsize(letter):
            raise NotTiff("the header ends early")
        number: int = struct.unpack(self._order + letter, raw)[0]
        return number

    def _read(self, offset: int, length: int) -> bytes:
        if offset < 0 or offset > self._size:
            return b""
        self._stream.seek(self._base + offset)
        return self._stream.read(length)


# -- blocks --------------------------------------------------------------------------------------------------------

#: From a tag's bytes to its tree; None is "not mine".
Parse = Callable[[bytes], Any]
#: Given the file, a page, and a tree to fill: the blocks of bytes that a vendor has there.
Look = Callable[[Tiff, Page, dict[str, Any]], Iterable[Block]]


def in_tags(
    kind: str, parse: Mapping[int, Parse], media_type: str = "application/octet-stream", *, flat: bool = False
) -> Look:
    """How `cut` looks for a vendor's tags.

    Parameters
    ----------
    kind : str
        Of the blocks.
    parse : mapping of int to callable
        Code of each of the vendor's tags, and what makes a tree of its bytes.
    media_type : str
        Of the tags' bytes.
    flat : bool
        Whether what a tag says is the tree itself, and not below the tag's name.
    """

    def look(file: Tiff, page: Page, tree: dict[str, Any]) -> Iterator[Block]:
        failed: list[Exception] = []
        for code, read in parse.items():
            tag = page.tags.get(code)
            data = b"" if tag is None else file.data(tag)
            if tag is None or not data:
                continue
            try:
                parsed = read(data)
            except Exception as error:  # the bytes are kept whatever becomes of them
                failed.append(error)
                parsed = {}
            if parsed is None:
                continue
            if parsed:
                tree.update(parsed if flat else {NAMES.get(code, str(code)): parsed})
            yield piece(kind, page, NAMES.get(code, str(code)), data, tag.start, media_type)
        if failed:
            raise failed[0]

    return look


def piece(
    kind: str, page: Page, name: str, data: bytes, start: int, media_type: str = "application/octet-stream"
) -> Block:
    """A block of a page's bytes that stand in the file from `start` on."""
    place = f"page {page.number + 1}/{name}"
    return Block(kind, {}, data, media_type, place, byte_range=(start, start + len(data)))


def cut(path: str, kind: str, look: Look) -> Iterator[Block]:
    """Blocks of a vendor in a TIFF file; none where it has none of the vendor's tags.

    Parameters
    ----------
    path : str
        The file.
    kind : str
        Of the blocks.
    look : callable
        Looks at a page; see `in_tags`.

    Yields
    ------
    Block
        What `look` gives, on every page; and a tree of what it has filled in and the plain tags for each page that
        begins a signal, or, where none of those has one, for the first page with one.

    Raises
    ------
    Exception
        What `look` raises, after the bytes of all pages.
    """
    about = Path(path).stat()
    state = (about.st_size, about.st_mtime_ns)
    try:
        file = Tiff.open(path)
    except NotTiff:
        return
    with file:
        pages = pages_of(path, state)
        found: list[tuple[Page, dict[str, Any]]] = []
        failed: list[Exception] = []
        left = MAX_TOTAL
        for page in pages:
            tree: dict[str, Any] = {}
            try:
                for block in look(file, page, tree):
                    left -= len(block.data)
                    if left < 0:
                        break
                    yield block
            except Exception as error:  # of the other pages, bytes and trees are none the worse
                failed.append(error)
            if left < 0:
                break
            if tree:
                found.append((page, tree))
        try:
            numbers = signals_of(path, state) if found and len(pages) > 1 else {}
        except Exception:  # tifffile sees no series in a damaged file; the tags are what they are
            numbers = {}
        several = len(set(numbers.values())) > 1
        for page, tree in [one for one in found if one[0].offset in numbers] or found[:1]:
            signals = (numbers[page.offset],) if several and page.offset in numbers else ()
            yield Block(kind, {**file.plain(page), **tree}, place=f"page {page.number + 1}", signals=signals)
    if failed:
        raise failed[0]


@lru_cache(maxsize=1)
def pages_of(path: str, state: object) -> tuple[Page, ...]:  # noqa: ARG001 - a file that has changed is another file
    """Directories of a file as it is, walked through once for all families that ask in turn."""
    with Tiff.open(path) as file:
        return tuple(file.pages())


@lru_cache(maxsize=1)
def signals_of(path: str, state: object) -> Mapping[int, int]:  # noqa: ARG001
    """Which pages begin signals: offset of the directory to the number of the signal.

    RosettaSciIO makes one signal of each series that tifffile sees, and describes it by its first page.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        firsts = [series.pages[0] for series in file.series]
    return {page.offset: number for number, page in reversed(list(enumerate(firsts))) if page is not None}
