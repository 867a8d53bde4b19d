"""DM3 and DM4 files made of nested dictionaries, for tests."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

#: Code of a value in the file by NumPy's character.
_CODES = {"h": 2, "i": 3, "H": 4, "I": 5, "f": 6, "d": 7, "?": 8, "b": 9, "q": 11, "Q": 12}


class Writer:
    """Writes tags: texts as UTF-16, floats as doubles, whole numbers as 32 bits, tuples as structures, arrays."""

    def __init__(self, version: int = 3, *, little: bool = True) -> None:
        self.version = version
        self.order = "<" if little else ">"
        self.little = little

    def file(self, tags: Mapping[str, Any]) -> bytes:
        """A whole file."""
        content = b"\1\0" + self.number(len(tags)) + self._members(tags)
        return (
            struct.pack(">I", self.version)
            + self.number(len(content))
            + struct.pack(">I", self.little)
            + content
            + bytes(8)
        )

    def number(self, value: int) -> bytes:
        return struct.pack(">q" if self.version == 4 else ">i", value)

    def _members(self, tags: Mapping[str, Any]) -> bytes:
        return b"".join(self._member(name, value) for name, value in tags.items())

    def _member(self, name: str, value: Any) -> bytes:
        written = b"" if name.startswith(("TagGroup", "Data")) and name[-1].isdigit() else name.encode()
        head = struct.pack(">h", len(written)) + written
        if isinstance(value, Mapping):
            content = b"\1\0" + (self.number(0) if self.version == 4 else b"")
            return b"\x14" + head + content + self.number(len(value)) + self._members(value)
        return b"\x15" + head + (bytes(8) if self.version == 4 else b"") + self._value(value)

    def _value(self, value: Any) -> bytes:
        info, data = self._encoded(value)
        return b"%%%%" + self.number(len(info)) + b"".join(map(self.number, info)) + data

    def _encoded(self, value: Any) -> tuple[list[int], bytes]:
        if isinstance(value, str):
            data = value.encode("utf-16-le" if self.little else "utf-16-be")
            return [20, 4, len(data) // 2], data
        if isinstance(value, tuple):
            codes = ["d" if isinstance(item, float) else "i" for item in value]
            fields = [number for code in codes for number in (0, _CODES[code])]
            return [15, 0, len(value), *fields], struct.pack(self.order + "".join(codes), *value)
        if isinstance(value, np.ndarray):
            return [20, _CODES[value.dtype.char], value.size], value.astype(
                value.dtype.newbyteorder(self.order)
            ).tobytes()
        if isinstance(value, bool):
            return [8], struct.pack("B", value)
        code = "d" if isinstance(value, float) else "i" if abs(value) < 1 << 31 else "q"
        return [_CODES[code]], struct.pack(self.order + code, value)


def image(
    pixels: Any, tags: Mapping[str, Any] | None = None, *, unit: str = "nm", name: str = "made"
) -> dict[str, Any]:
    """One entry of ``ImageList``."""
    data_types = {"H": 10, "f": 2, "I": 11, "i": 7}
    axes = {f"TagGroup{number}": {"Origin": 0.0, "Scale": 0.5, "Units": unit} for number in range(pixels.ndim)}
    found: dict[str, Any] = {
        "ImageData": {
            "Calibrations": {"Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": ""}, "Dimension": axes},
            "Data": pixels.ravel(),
            "DataType": data_types[pixels.dtype.char],
            "Dimensions": {f"Data{place}": length for place, length in enumerate(pixels.shape[::-1])},
            "PixelDepth": pixels.dtype.itemsize,
        },
        "Name": name,
    }
    return found if tags is None else {**found, "ImageTags": tags}


def document(*images: Mapping[str, Any], thumbnail: bool = True) -> dict[str, Any]:
    """Root tags with images, the first of which is a thumbnail where wanted."""
    listed = {f"TagGroup{number}": one for number, one in enumerate(images)}
    tags: dict[str, Any] = {"ImageList": listed, "InImageMode": 1}
    return {**tags, "Thumbnails": {"TagGroup0": {"ImageIndex": 0}}} if thumbnail else tags
