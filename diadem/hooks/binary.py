"""Reading numbers and texts out of a file's header, with an end to everything."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from diadem.errors import PluginError, ReaderError
from diadem.hooks.formats import CutShort
from diadem.hooks.manifest import FILE, required
from diadem.model.ports import RangeFile, RangeReader

#: Bytes fetched at once; headers are small and read front to back.
_WINDOW = 64 << 10


class Cursor:
    """A position in a file, moved by reading and skipping, never beyond the end.

    Parameters
    ----------
    reader : RangeReader
        The file.
    name : str
        Its name, for errors.
    """

    def __init__(self, reader: RangeReader, name: str) -> None:
        self._reader = reader
        self._name = name
        self._window = b""
        self._start = 0
        self.place = 0

    def take(self, length: int) -> bytes:
        """The next bytes.

        Raises
        ------
        ReaderError
            The file ends before.
        """
        begin = self.place - self._start
        if not 0 <= begin <= len(self._window) - length:
            self._start, begin = self.place, 0
            self._window = self._reader.read_at(self.place, max(length, _WINDOW))
        self.skip(length)
        return self._window[begin : begin + length]

    def skip(self, length: int) -> None:
        """Move on without reading."""
        if length < 0 or self.place + length > self._reader.size:
            raise too_short(self._name, self.place + length, self._reader.size)
        self.place += length

    def unpack(self, form: str) -> tuple[Any, ...]:
        """The next values, as `struct` names them."""
        return struct.unpack(form, self.take(struct.calcsize(form)))


def up_to_zero(raw: bytes) -> str:
    """A text up to its end mark."""
    return raw.split(b"\0", 1)[0].decode("latin-1")


class Structure:
    """A structure of a header, as `[structure.NAME]` of a package's `formats.toml` has it.

    Parameters
    ----------
    package, name : str
        The package, and the structure's name in its document.

    Attributes
    ----------
    members : dict of str to (int, str)
        Place and code of `struct` of each member.
    size : int
        Bytes to the end of the last member.
    """

    def __init__(self, package: str, name: str) -> None:
        self.members: dict[str, tuple[int, str]] = {}
        self.size = end = 0
        if name not in (known := required(package).content.get("structure", {})):
            raise PluginError(f"the {FILE} of {package} has no structure '{name}'; it has {', '.join(known) or 'none'}")
        for member, said in known[name].items():
            place, code = said if isinstance(said, list) else (end, said)
            end = place + struct.calcsize(f"<{code}")
            self.members[member] = place, code
            self.size = max(self.size, end)

    def read(
        self, data: bytes, start: int = 0, *, order: str = "<", text: Callable[[bytes], Any] = up_to_zero
    ) -> dict[str, Any]:
        """Members by name, those that lie within the data: a number, a list of several, what `text` makes of bytes."""
        found: dict[str, Any] = {}
        for name, (place, code) in self.members.items():
            raw = data[start + place : start + place + struct.calcsize(order + code)]
            if len(raw) == struct.calcsize(order + code):
                values = struct.unpack(order + code, raw)
                found[name] = text(raw) if code.endswith("s") else values[0] if len(values) == 1 else list(values)
        return found


def head_of(path: str, length: int = 4096) -> bytes:
    """The first bytes of a file, for a `probe`."""
    with Path(path).open("rb") as stream:
        return stream.read(length)


def too_short(name: str, needed: int, size: int) -> ReaderError:
    """The error for a file that declares more than it has."""
    return CutShort(name, needed, size)


def unpack_at(reader: RangeReader, name: str, offset: int, form: str) -> tuple[Any, ...]:
    """Values at a fixed place. Raises `ReaderError` if the file ends before."""
    length = struct.calcsize(form)
    data = reader.read_at(offset, length)
    if len(data) < length:
        raise too_short(name, offset + length, reader.size)
    return struct.unpack(form, data)


def single(value: Any) -> float:
    """A number of 32 bits with the seven digits that these hold: 22.3, not 22.299999237060547."""
    return float(f"{float(value):.7g}")


def stream_of(reader: RangeReader) -> BinaryIO:
    """A file for libraries that take files; closing it does not close the reader."""
    return io.BufferedReader(RangeFile(reader), _WINDOW)
