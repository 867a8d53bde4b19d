"""The `SIS0` structure, to which tag 33560 points, and the INI text of tag 33471.

There is no specification; tifffile and Bio-Formats know the same members.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

from diadem.hooks.fields import Block
from diadem.hooks.text import decode, ini
from diadem.hooks.tiff import NotTiff, Page, Tiff, pages_of
from diadem.hooks.tiff_blocks import trees

_KIND = "olympus-tiff"
#: Magic; second, minute, hour, day, month from 0, years since 1900, day of the week, as C's `struct tm` has them; name,
#: number of entries.
_HEADER = struct.Struct("<4s4x7h4x32sH")
#: Type, count and offset of an entry.
_ENTRY = struct.Struct("<hhI")
#: Entries that are looked at; real files have a handful.
_MOST = 256
#: Exponent of the unit of length, pixel sizes, magnification, names of the camera and of the kind of picture.
_GENERAL = struct.Struct("<10xh2d8xd2x34s32s")


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Blocks of a TIFF file of Olympus SIS; none of another.

    Parameters
    ----------
    path : str
        The file.
    files : sequence of str
        Not asked: everything is in the file.
    """
    del files
    try:
        file = Tiff.open(path)
    except NotTiff:
        return
    with file:
        found: list[tuple[Page, dict[str, Any]]] = []
        pages = pages_of(path)
        for page in pages:
            tree: dict[str, Any] = {}
            yield from _structure(file, page, tree)
            yield from _text(file, page, tree)
            if tree:
                found.append((page, tree))
        yield from trees(path, file, len(pages), found, _KIND)


def _structure(file: Tiff, page: Page, tree: dict[str, Any]) -> Iterator[Block]:
    """The header with its entries, and the general data."""
    tag = page.tags.get(33560)
    offsets = () if tag is None else file.numbers(tag)
    start = int(offsets[0]) if offsets else 0
    head = file.bytes_at(start, _HEADER.size)
    if len(head) < _HEADER.size or not head.startswith(b"SIS0"):
        return
    _, second, minute, hour, day, month, year, weekday, name, count = _HEADER.unpack(head)
    data = file.bytes_at(start, _HEADER.size + min(count, _MOST) * _ENTRY.size)
    tree["OlympusSIS"] = {
        "name": _name(name), "year": year + 1900, "month": month + 1, "day": day, "hour": hour, "minute": minute,
        "second": second, "weekday": weekday,
    }  # fmt: skip
    yield _block(page, "OlympusSIS", data, start)
    entries = data[_HEADER.size : _HEADER.size + len(data[_HEADER.size :]) // _ENTRY.size * _ENTRY.size]
    for kind, _, offset in _ENTRY.iter_unpack(entries):
        general = file.bytes_at(offset, _GENERAL.size) if kind == 1 else b""
        if len(general) == _GENERAL.size and "general" not in tree["OlympusSIS"]:
            exponent, width, height, magnification, camera, picture = _GENERAL.unpack(general)
            tree["OlympusSIS"]["general"] = {
                "lenexp": exponent, "xcal": width, "ycal": height, "magnification": magnification,
                "cameraname": _name(camera), "picturetype": _name(picture),
            }  # fmt: skip
            yield _block(page, "OlympusSIS/general", general, offset)


def _text(file: Tiff, page: Page, tree: dict[str, Any]) -> Iterator[Block]:
    """The INI text."""
    tag = page.tags.get(33471)
    data = b"" if tag is None else file.data(tag)
    if tag is not None and data:
        tree["OlympusINI"] = ini(decode(data))
        yield _block(page, "OlympusINI", data, tag.start)


def _block(page: Page, name: str, data: bytes, start: int) -> Block:
    place = f"page {page.number + 1}/{name}"
    return Block(_KIND, {}, data, place=place, byte_range=(start, start + len(data)))


def _name(raw: bytes) -> str:
    return decode(raw.split(b"\x00", 1)[0]).strip()
