"""The tagged tree that JEOL's Analysis Station writes into ``.asw``, ``.img``, ``.map`` and ``.pts`` files.

An entry begins with a byte 1: length and text of its name, type and length of its value, the value; entries inside it
follow; a byte 255 ends it. Any other byte ends the tree. Types as RosettaSciIO's JEOL reader has found them out.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

#: Type of a value to its code in `struct`; 12, 13 and 20 are texts.
_NUMBERS: Mapping[int, str] = {
    1: "B", 2: "H", 3: "i", 4: "f", 5: "d", 6: "B", 7: "H", 8: "i", 9: "f", 10: "d", 11: "?", 14: "H",
    65552: "?", 65553: "?",
}  # fmt: skip
_DTYPES: Mapping[str, str] = {"B": "|u1", "?": "|b1", "H": "<u2", "i": "<i4", "f": "<f4", "d": "<f8"}
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


class DamagedTree(ValueError):
    """The bytes are no such tree, or not all of it."""


@dataclass(slots=True)
class _Entry:
    name: str
    value: Any = None
    inside: dict[str, Any] = field(default_factory=dict)

    def whole(self) -> Any:
        """The entry as the tree has it: its value, or the entries inside it with the value among them."""
        if not self.inside:
            return {} if self.value is None else self.value
        return self.inside if self.value is None else {"value": self.value, **self.inside}


def read_tree(stream: BinaryIO) -> dict[str, Any]:
    """Read the tree that begins where a file stands.

    Parameters
    ----------
    stream : binary file
        Seekable; stands behind the tree afterwards.

    Returns
    -------
    dict
        Names to numbers, texts, lists and further dictionaries. Pixels, and any value of more than 64 KiB, are
        ``{"dtype", "count", "offset"}``. An entry that has both a value and others inside has the value as ``value``.
        Pages have their value in their name: ``PARAMPAGE0_SEM``.

    Raises
    ------
    DamagedTree
        Truncated, of unknown types, too large or too deep.
    """
    start = stream.tell()
    size = stream.seek(0, os.SEEK_END)
    stream.seek(start)
    open_ = [_Entry("")]
    for _ in range(MOST_ENTRIES):
        mark = stream.read(1)
        if not mark:
            raise DamagedTree("it ends in the middle of an entry")
        if mark == b"\x01":
            open_.append(_entry(stream, size))
            if len(open_) > DEEPEST:
                raise DamagedTree(f"more than {DEEPEST} entries inside one another")
        elif mark == b"\xff" and len(open_) > 1:
            _close(open_)
        else:
            while len(open_) > 1:
                _close(open_)
            return open_[0].inside
    raise DamagedTree(f"more than {MOST_ENTRIES} entries")


def _close(open_: list[_Entry]) -> None:
    done = open_.pop()
    open_[-1].inside[done.name] = done.whole()


def _entry(stream: BinaryIO, size: int) -> _Entry:
    """Name and value of one entry."""
    (length,) = struct.unpack("<i", _take(stream, 4))
    if not 0 < length <= _LONGEST_NAME:
        raise DamagedTree(f"a name of {length} bytes")
    name = _name(_take(stream, length))
    kind, length = struct.unpack("<ii", _take(stream, 8))
    if not 0 <= length <= size - stream.tell():
        raise DamagedTree(f"'{name}' has {length} bytes, {size - stream.tell()} are there")
    value = _value(stream, name, kind, length)
    if name[-5:-1] == "PAGE" and isinstance(value, str):
        return _Entry(f"{name}_{value}")
    return _Entry(name, value)


def _name(raw: bytes) -> str:
    """A name; the first letter of a Japanese one may stand at the end of ``ScanSize`` by mistake."""
    text = raw.rstrip(b"\0")
    decoded = text_of(text[:-1] if text.endswith(b"\xde") else text)
    return "Port" if decoded == _PORT else decoded


def _value(stream: BinaryIO, name: str, kind: int, length: int) -> Any:
    if name == "Limits":  # least and most value, format and unit as the program's dialogue shows them
        return _take(stream, length)
    if kind == _GROUP:
        return None
    if kind in _TEXTS:
        texts = text_of(_take(stream, length).rstrip(b"\0")).split("\0")
        return texts[0] if len(texts) == 1 else texts
    code = _NUMBERS.get(kind)
    if code is None:
        raise DamagedTree(f"'{name}' is of type {kind}, which is not known")
    count = length // struct.calcsize(code)
    if name in _DATA or length > LARGEST_VALUE:
        place = stream.tell()
        stream.seek(length, os.SEEK_CUR)
        return {"dtype": _DTYPES[code], "count": count, "offset": place}
    numbers = struct.unpack_from(f"<{count}{code}", _take(stream, length))
    return numbers[0] if count == 1 else list(numbers)


def _take(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise DamagedTree("it ends in the middle of a value")
    return data


def text_of(raw: bytes) -> str:
    """A text, as UTF-8 or else as Shift JIS, which Japanese Windows writes."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("shift_jis", "replace")
