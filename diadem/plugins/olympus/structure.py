"""The `SIS0` structure, to which tag 33560 points, the INI text of tag 33471, and what two or more values say together.

There is no specification; tifffile and Bio-Formats know the same members.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterator
from typing import Any

from diadem.hooks.binary import Structure
from diadem.hooks.fields import Block, Found, Tree, look_up
from diadem.hooks.text import decode, ini
from diadem.hooks.tiff import Page, Tiff, piece
from diadem.hooks.times import moments

_KIND = "olympus-tiff"
_HEADER, _GENERAL = (Structure("diadem.plugins.olympus", name) for name in ("header", "general"))
#: Type, count and offset of an entry.
_ENTRY = struct.Struct("<hhI")
#: Entries that are looked at; real files have a handful.
_MOST = 256


def look(file: Tiff, page: Page, tree: dict[str, Any]) -> Iterator[Block]:
    """What a page has."""
    yield from _structure(file, page, tree)
    tag = page.tags.get(33471)
    if tag is not None and (data := file.data(tag)):
        tree["OlympusINI"] = ini(decode(data))
        yield piece(_KIND, page, "OlympusINI", data, tag.start)


def _structure(file: Tiff, page: Page, tree: dict[str, Any]) -> Iterator[Block]:
    """The header with its entries, and the general data."""
    tag = page.tags.get(33560)
    offsets = () if tag is None else file.numbers(tag)
    start = int(offsets[0]) if offsets else 0
    head = file.bytes_at(start, _HEADER.size)
    if len(head) < _HEADER.size or not head.startswith(b"SIS0"):
        return
    known = _HEADER.read(head, text=_name)
    data = file.bytes_at(start, _HEADER.size + min(known.pop("entries"), _MOST) * _ENTRY.size)
    tree["OlympusSIS"] = {**known, "year": known["year"] + 1900, "month": known["month"] + 1}
    yield piece(_KIND, page, "OlympusSIS", data, start)
    entries = data[_HEADER.size : _HEADER.size + len(data[_HEADER.size :]) // _ENTRY.size * _ENTRY.size]
    for kind, _, offset in _ENTRY.iter_unpack(entries):
        general = file.bytes_at(offset, _GENERAL.size) if kind == 1 else b""
        if len(general) == _GENERAL.size and "general" not in tree["OlympusSIS"]:
            tree["OlympusSIS"]["general"] = _GENERAL.read(general, text=_name)
            yield piece(_KIND, page, "OlympusSIS/general", general, offset)


def _name(raw: bytes) -> str:
    return decode(raw.split(b"\x00", 1)[0]).strip()


def pixel_size(tree: Tree) -> Iterator[Found]:
    """Pixel sizes in metres; the exponent is that of the unit."""
    place = "OlympusSIS/general"
    exponent = look_up(tree, f"{place}/lenexp")
    if exponent is None or not -15 <= exponent <= 0:
        return
    for direction in "xy":
        raw = look_up(tree, f"{place}/{direction}cal")
        if 0 < raw * 10.0**exponent < 0.01:
            key = f"{place}/{direction}cal + {place}/lenexp"
            yield Found(f"image.pixel_size_{direction}", raw * 10.0**exponent, key, [raw, exponent], "m", "converted")


def acquired(tree: Tree) -> Iterator[Found]:
    """Local time; to the second where the day of the week shows that the structure is C's."""
    known = tree["OlympusSIS"]
    try:
        local = dt.datetime(*(known[part] for part in ("year", "month", "day", "hour", "minute")))  # noqa: DTZ001
    except ValueError:
        return
    written = f"{known['year']}-{known['month']}-{known['day']} {known['hour']}:{known['minute']}"
    if known["weekday"] == local.isoweekday() % 7 and 0 <= known["second"] < 60:
        local = local.replace(second=known["second"])
        written += f":{known['second']:02d}"
    yield from moments("time.acquired_start", "OlympusSIS", written, local=local)
