"""What JEOL's files say of themselves: ``.asw``, ``.img``, ``.map``, ``.pts`` by a tagged tree, ``.eds`` by places.

An entry of a tree begins with a byte 1: length and text of its name, type and length of its value, the value; entries
inside it follow; a byte 255 ends it. Any other byte ends the tree. Layouts, types and places as RosettaSciIO's JEOL
reader has found them out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from diadem.errors import ReaderError
from diadem.hooks.binary import Cursor, Structure
from diadem.hooks.fields import Found, Tree, look_up
from diadem.model.ports import RangeReader
from diadem.terms.dates import from_ole

#: First four bytes, by kind of file.
_IMAGE, _MAP, _PROJECT = 52, 304, 0
#: Where events begin at this byte, not at 16384, the word that tells their length tells that of the whole file.
_LONG_HEAD = 32768
#: A tree begins this far behind the place that a header names.
_LEAD = 12
#: Type of a value to its code in `struct`; 12, 13 and 20 are texts.
_NUMBERS: Mapping[int, str] = {
    1: "B", 2: "H", 3: "i", 4: "f", 5: "d", 6: "B", 7: "H", 8: "i", 9: "f", 10: "d", 11: "?", 14: "H",
    65552: "?", 65553: "?",
}  # fmt: skip
_TEXTS = frozenset({12, 13, 20})
_GROUP = 0
#: Entries in a tree, entries inside one another, and bytes in a name: the real ones have some hundred, 8 and 30.
MOST_ENTRIES = 200_000
DEEPEST = 64
_LONGEST_NAME = 1024
#: Bytes of a value that is taken into the tree; a longer one is data, of which only the place is noted.
LARGEST_VALUE = 1 << 16
#: Entries that are data, however short.
_DATA = frozenset({"Bits", "Thumbnail"})
#: How old versions spell the name of the detector's port, in half-width Japanese letters.
_PORT = "ﾎﾟｰﾄ"
#: First byte of a spectrum's counts.
COUNTS = 458
#: Bytes of a spectrum's file, channels that it can have, elements and lines of an element that it can list.
_LARGEST_SPECTRUM, MOST_CHANNELS, _MOST_LISTED = 1 << 22, 1 << 16, 256
#: A spectrum's header, and its parameters behind the lists of elements.
_HEADER, _PARAMETERS = (Structure("diadem.plugins.jeol", name) for name in ("eds", "eds-parameters"))
_BEFORE_PARAMETERS = 5


class NotJeol(ReaderError):
    """The file is of another kind than its name says."""


class Outside(ReaderError):
    """A project lists a file that does not lie below its folder: its reader would open it."""


class Damaged(ReaderError):
    """The bytes are no such header."""


@dataclass(frozen=True, slots=True)
class Header:
    """What one file says of itself: an ``image``, a ``map``, a ``spectrum`` or a ``project``.

    Pieces are first bytes, and those after the last, of what is not data.
    """

    kind: str
    tree: dict[str, Any]
    pieces: tuple[tuple[int, int], ...] = ()


def read_header(reader: RangeReader, name: str) -> Header:
    """Read what a file says of itself, without its data."""
    suffix = PurePosixPath(name).suffix.lower()
    cursor = Cursor(reader, name)
    if suffix == ".eds":
        return _spectrum(cursor, reader, name)
    magic = cursor.unpack("<I")[0] if reader.size >= 4 else -1
    if (suffix, magic) == (".asw", _PROJECT):
        cursor.place = _LEAD
        return Header("project", read_tree(cursor))
    if suffix in (".img", ".map") and magic == _IMAGE:
        return _image(cursor, reader.size)
    if (suffix, magic) == (".pts", _MAP):
        return _map(cursor)
    raise NotJeol(f"no {suffix or 'such'} file of JEOL", where=name)


def _image(cursor: Cursor, size: int) -> Header:
    """An image or an element's map: a summary with a thumbnail, then the tree with the pixels."""
    cursor.place = 44
    cursor.place = cursor.unpack("<I")[0] + _LEAD
    tree = read_tree(cursor)
    bits = _inside(tree, "Image/Bits")
    if "dtype" not in bits:
        raise Damaged("its pixels are of no known type")
    end = bits["offset"] + bits["count"] * int(bits["dtype"][2:])
    return Header("image", tree, ((0, bits["offset"]), (end, size)))


def _map(cursor: Cursor) -> Header:
    """A map of events: a short header, the tree, then the events."""
    cursor.place = 20
    start, length, data, data_length = cursor.unpack("<4I")
    if data == _LONG_HEAD:
        data_length = max(0, data_length - data)
    group, memo, date = cursor.unpack("<128s132sd")
    cursor.place = start + _LEAD
    tree = read_tree(cursor)
    about = {"GroupName": _plain(group), "Memo": _plain(memo), "Date": date}
    about["Data"] = {"offset": data, "bytes": data_length}
    return Header("map", {**about, **tree}, ((0, max(start + length, cursor.place)),))


def _inside(tree: Tree, key: str) -> Mapping[str, Any]:
    """The entry that lies at a key; empty where there is none."""
    found = look_up(tree, key)
    return found if isinstance(found, Mapping) else {}


def members(project: Tree) -> Iterator[tuple[str, ...]]:
    """Paths of the files that a project lists, in its order, as parts below the project's folder."""
    for sample in _inside(project, "SampleInfo").values():
        for view in _inside(sample, "ViewInfo").values():
            for item in _inside(view, "ViewData").values():
                parts = tuple(part for part in str(item["Filename"]).split("\\") if part not in ("", "."))
                if not parts or any(part == ".." or "/" in part or ":" in part for part in parts):
                    raise Outside("a file that the project lists is outside the dataset")
                yield parts


# -- the tagged tree -----------------------------------------------------------------------------------------------


def read_tree(cursor: Cursor) -> dict[str, Any]:
    """Read the tree that begins where a file stands: names to numbers, texts, lists and further dictionaries.

    Pixels, and any long value, are ``{"dtype", "count", "offset"}``. An entry that has both a value and others inside
    has the value as ``value``. Pages have their value in their name: ``PARAMPAGE0_SEM``.
    """
    open_: list[tuple[str, Any, dict[str, Any]]] = [("", None, {})]

    def close() -> None:
        name, value, inside = open_.pop()
        if value is not None:
            value = {"value": value, **inside} if inside else value
        open_[-1][2][name] = inside if value is None else value

    for _ in range(MOST_ENTRIES):
        mark = cursor.take(1)
        if mark == b"\x01":
            open_.append((*_entry(cursor), {}))
            if len(open_) > DEEPEST:
                raise Damaged(f"more than {DEEPEST} entries inside one another")
        elif mark == b"\xff" and len(open_) > 1:
            close()
        else:
            while len(open_) > 1:
                close()
            return open_[0][2]
    raise Damaged(f"more than {MOST_ENTRIES} entries")


def _entry(cursor: Cursor) -> tuple[str, Any]:
    """Name and value of one entry."""
    (length,) = cursor.unpack("<i")
    if not 0 < length <= _LONGEST_NAME:
        raise Damaged(f"a name of {length} bytes")
    raw = cursor.take(length).rstrip(b"\0")
    name = _text_of(raw.removesuffix(b"\xde"))  # the first letter of a Japanese one, by mistake, behind `ScanSize`
    name = "Port" if name == _PORT else name
    kind, length = cursor.unpack("<ii")
    if length < 0:
        raise Damaged(f"'{name}' has {length} bytes")
    value = _value(cursor, name, kind, length)
    if name[-5:-1] == "PAGE" and isinstance(value, str):
        return f"{name}_{value}", None
    return name, value


def _value(cursor: Cursor, name: str, kind: int, length: int) -> Any:
    if name == "Limits":  # least and most value, format and unit as the program's dialogue shows them
        return cursor.take(length)
    if kind == _GROUP:
        return None
    if kind in _TEXTS:
        texts = _text_of(cursor.take(length).rstrip(b"\0")).split("\0")
        return texts[0] if len(texts) == 1 else texts
    code = _NUMBERS.get(kind)
    if code is None:
        raise Damaged(f"'{name}' is of type {kind}, which is not known")
    count = length // struct.calcsize(code)
    if name in _DATA or length > LARGEST_VALUE:
        place = cursor.place
        cursor.skip(length)
        return {"dtype": np.dtype(f"<{code}").str, "count": count, "offset": place}
    numbers = struct.unpack_from(f"<{count}{code}", cursor.take(length))
    return numbers[0] if count == 1 else list(numbers)


def _text_of(raw: bytes) -> str:
    """A text, as UTF-8 or else as Shift JIS, which Japanese Windows writes."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("shift_jis", "replace")


# -- spectra -------------------------------------------------------------------------------------------------------


def _spectrum(cursor: Cursor, reader: RangeReader, name: str) -> Header:
    """A single spectrum: header, counts, lists of elements, parameters; lists that are absent are left out."""
    if reader.size > _LARGEST_SPECTRUM:
        raise NotJeol("too large for a spectrum of JEOL", where=name)
    head = cursor.take(COUNTS)
    header = _HEADER.read(head, text=_plain)
    if from_ole(header["filedate"]) is None:
        raise NotJeol("no date where a spectrum of JEOL has one", where=name)
    channels = header["NumCH"]
    if not 0 < channels <= MOST_CHANNELS:
        raise Damaged(f"{channels} channels", where=name)
    cursor.skip(4 * channels)
    pieces = ((0, COUNTS), (cursor.place, reader.size))
    return Header("spectrum", {"Header": header, "Footer": _footer(cursor)}, pieces)


def _footer(cursor: Cursor) -> dict[str, Any]:
    footer: dict[str, Any] = {}
    cursor.skip(4)
    if excluded := _count(cursor):
        footer["Excluded elements"] = list(cursor.unpack(f"<{excluded}H"))
    if selected := [_element(cursor) for _ in range(_count(cursor))]:
        footer["Selected elements"] = selected
    if results := _count(cursor):
        cursor.skip(struct.calcsize("<3id2i") + results * struct.calcsize("<iH2i5d16s5d2id"))
    if cursor.unpack("<i")[0] == _BEFORE_PARAMETERS:
        footer["Parameters"] = _PARAMETERS.read(cursor.take(_PARAMETERS.size), text=_plain)
    return footer


def _element(cursor: Cursor) -> str:
    """Name of one selected element; its lines are passed over."""
    *_, name = cursor.unpack("<iH2i2H14s4d32s")
    cursor.skip(4)
    for _ in range(_count(cursor)):
        cursor.skip(struct.calcsize("<idH"))
        for _ in range(2):
            cursor.skip(cursor.take(1)[0])
        cursor.skip(4)
    return str(_plain(name))


def _count(cursor: Cursor) -> int:
    """How many elements or lines follow."""
    number = int(cursor.unpack("<i")[0])
    if not 0 <= number <= _MOST_LISTED:
        raise Damaged(f"a list of {number}")
    return number


def _plain(value: Any) -> Any:
    return _text_of(value.partition(b"\0")[0]) if isinstance(value, bytes) else value


# -- for the tables ------------------------------------------------------------------------------------------------


def single(value: Any) -> float:
    """A number of 32 bits with the digits that it was written with: 22.3, not 22.299999237060547."""
    return float(str(np.float32(value)))


def field_of_view(instrument: Tree) -> Iterator[Found]:
    """Width of the scanned field: the size of the screen that magnifications refer to, over the magnification."""
    size, magnification = single(instrument["ScanSize"]), instrument["Mag"]
    said = [size, magnification]
    yield Found("optics.field_of_view_x", size / magnification, "ScanSize + Mag", said, "mm", status="derived")
