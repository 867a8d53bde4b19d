"""Pictures of HPD-TA opened: the comment, sections of settings, stands after the header of an `.img`.

In a TIFF file it is the description. HPD-TA manual, ITEX file format.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any

from diadem.hooks.fields import Block
from diadem.hooks.formats import Files, Opened
from diadem.hooks.text import decode
from diadem.hooks.tiff import Page, Tiff, piece

_KIND = "hamamatsu-comment"
#: Bytes of the header; behind its magic number are the comment's length, columns, rows, two offsets, type of pixels.
_HEADER, _MEMBERS = 64, struct.Struct("<2x3H4xH")
#: Bytes of a pixel by type; 1 is compressed, which HPD-TA does not write.
_PIXEL = {0: 1, 2: 2, 3: 4}
#: A text in quotes, which is passed over, or a section's head.
_SECTION = re.compile(r'"[^"]*"|\[([^\[\]=,"]+)\],?')
_ENTRY = re.compile(r'([^=,\[\]"]+)=(?:"([^"]*)"|([^,\[\r\n]*))')


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open an `.img`; its signal, with numbers of the computer's own kind, RosettaSciIO makes."""
    file = files[files.entry]
    head = file.read_at(0, _HEADER)
    length, columns, rows, kind = _MEMBERS.unpack(head[: _MEMBERS.size].ljust(_MEMBERS.size, b"\0"))
    data = head + file.read_at(_HEADER, length)
    tree = parse(data[_HEADER:])
    blocks = [Block(_KIND, {"Comment": tree}, data, place="header", byte_range=(0, len(data)))] if tree else []
    return Opened(files.signals(), blocks, size=_HEADER + length + columns * rows * _PIXEL.get(kind, 0))


def look(file: Tiff, page: Page, tree: dict[str, Any]) -> Iterator[Block]:
    """The description of the first page of a TIFF file."""
    tag, artist = page.tags.get(270), str(file.plain(page).get("Artist", ""))
    if page.number == 0 and tag is not None and artist.startswith("Copyright Hamamatsu"):
        data = file.data(tag)
        tree["Comment"] = parse(data)
        yield piece(_KIND, page, "ImageDescription", data, tag.start, "text/plain")


def parse(data: bytes) -> dict[str, dict[str, str]]:
    """Sections ``[Name],key=value,key="value"``; none where it does not begin with one."""
    text = decode(data.split(b"\x00", 1)[0])
    heads = [match for match in _SECTION.finditer(text) if match[1]]
    if not heads or heads[0].start() != 0:
        return {}
    found: dict[str, dict[str, str]] = {}
    ends = [head.start() for head in heads[1:]] + [len(text)]
    for head, end in zip(heads, ends, strict=True):
        entries = _ENTRY.finditer(text, head.end(), end)
        pairs = {entry[1].strip(): (entry[2] if entry[2] is not None else entry[3]).strip() for entry in entries}
        found.setdefault(head[1], pairs)
    return found
