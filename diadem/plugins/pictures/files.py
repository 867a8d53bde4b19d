"""Pictures opened, with their Exif data: a TIFF structure within a JPEG or PNG file.

Exif 2.32, JEITA CP-3451; PNG chunk eXIf. What of it is no data: the field of Renishaw's pictures.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from diadem.hooks.binary import stream_of
from diadem.hooks.fields import Block, Found, Tree
from diadem.hooks.formats import Files, Opened, Signal
from diadem.hooks.tiff import Tiff

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_EXIF = b"Exif\x00\x00"
#: Segments or chunks that are looked at before the pixels.
_MOST = 4096
#: Frame headers of JPEG, which have the size: all SOF but DHT, JPG and DAC.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Pointer to the Exif directory.
_POINTER = 0x8769
_NAMES: Mapping[int, str] = {
    0x010E: "ImageDescription", 0x010F: "Make", 0x0110: "Model", 0x0131: "Software", 0x0132: "DateTime",
    0x013B: "Artist", 0x829A: "ExposureTime", 0x9003: "DateTimeOriginal", 0x9010: "OffsetTime",
    0x9011: "OffsetTimeOriginal", 0xA20E: "FocalPlaneXResolution", 0xA20F: "FocalPlaneYResolution",
    0xA210: "FocalPlaneResolutionUnit", 0xA431: "BodySerialNumber", 0xFEA0: "FocalPlaneXYOrigins",
    0xFEA1: "FieldOfViewXY",
}  # fmt: skip


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open a picture."""
    return Opened(_signals(files), _exif(files))


def _signals(files: Files) -> Iterator[Signal]:
    """As RosettaSciIO decodes it.

    Its axes stand in the order of the array, but their `index_in_array` says the opposite: this is left out.
    """
    for read in files.read():
        for axis in read.get("axes") or []:
            axis.pop("index_in_array", None)
            if "scale" in axis:
                axis["scale"] = float(axis["scale"])
        yield Signal.from_reader(read)


def _exif(files: Files) -> Iterator[Block]:
    """The Exif data; none where it has none."""
    stream = stream_of(files[files.entry])
    head = stream.read(8)
    found = _in_jpeg(stream) if head.startswith(_JPEG) else _in_png(stream) if head == _PNG else None
    if found is None:
        return
    start, end, size = found
    file = Tiff(stream, start)
    tree = {**_tree(file), **size}
    data = file.bytes_at(0, end - start)
    yield Block("exif", tree, data, "image/tiff", "Exif", byte_range=(start, start + len(data)))


def _in_jpeg(stream: BinaryIO) -> tuple[int, int, dict[str, int]] | None:
    """Where the TIFF structure begins and ends, and the size of the picture."""
    stream.seek(2)
    place: tuple[int, int] | None = None
    size: dict[str, int] = {}
    for _ in range(_MOST):
        marker = stream.read(4)
        if len(marker) < 4 or marker[0] != 0xFF or marker[1] == 0xDA:
            break
        start, length = stream.tell(), int.from_bytes(marker[2:], "big") - 2
        begin = stream.read(min(length, 8)) if length > 0 else b""
        if marker[1] == 0xE1 and begin.startswith(_EXIF) and place is None:
            place = (start + len(_EXIF), start + length)
        if marker[1] in _FRAMES and len(begin) >= 5:
            size = {"height": int.from_bytes(begin[1:3], "big"), "width": int.from_bytes(begin[3:5], "big")}
        stream.seek(start + max(length, 0))
    return None if place is None else (*place, size)


def _in_png(stream: BinaryIO) -> tuple[int, int, dict[str, int]] | None:
    """The same of a PNG file."""
    stream.seek(8)
    size: dict[str, int] = {}
    for _ in range(_MOST):
        head = stream.read(8)
        if len(head) < 8:
            return None
        start, length = stream.tell(), int.from_bytes(head[:4], "big")
        if head[4:] == b"IHDR":
            header = stream.read(8)
            size = {"width": int.from_bytes(header[:4], "big"), "height": int.from_bytes(header[4:], "big")}
        if head[4:] == b"eXIf":
            return start, start + length, size
        stream.seek(start + length + 4)
    return None


def _tree(file: Tiff) -> dict[str, Any]:
    """Values of both directories by name."""
    found: dict[str, Any] = {}
    for page in itertools.islice(file.pages(), 1):
        found = file.plain(page, _NAMES)
        pointer = page.tags.get(_POINTER)
        place = file.numbers(pointer) if pointer is not None else ()
        if place and (second := file.directory(int(place[0]))) is not None:
            found |= file.plain(second, _NAMES)
    return found


def field_of_view(tree: Tree) -> Iterator[Found]:
    """Field of view and pixel size of a picture of Renishaw's microscope."""
    field = tree.get("FieldOfViewXY")
    if tree.get("Make") != "Renishaw" or tree.get("FocalPlaneResolutionUnit") != 5 or not isinstance(field, list):
        return
    for direction, length, side in zip("xy", field, ("width", "height"), strict=False):
        if length > 0:
            yield Found(f"optics.field_of_view_{direction}", length, "FieldOfViewXY", field, "um")
            if tree.get(side):
                key = f"FieldOfViewXY + {side}"
                size = length / tree[side]
                yield Found(f"image.pixel_size_{direction}", size, key, [length, tree[side]], "um", "derived")
