"""Panta Rhei's archives opened: a zip of NumPy arrays, of which one is a text of JSON, before version 24.03 a pickle.

Nothing that a pickle asks for is run: the unpickler is given stand-ins for the five names that an array of objects
needs, which only hold what they are told; any other name is refused. No code of NumPy's, nor of any other library, is
called with what the file says.
"""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks.fields import Block
from diadem.hooks.formats import Files, Opened

#: Bytes of the metadata, unpacked; they have some kilobytes.
_LONGEST = 8 << 20
_MAGIC = b"\x93NUMPY"
#: Operations and bytes of a pickle that are run.
_MOST_STEPS = 1_000_000
#: Levels of lists and mappings.
_DEEPEST = 50


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open an archive; RosettaSciIO reads the signal."""
    return Opened(files.signals(), _blocks(files))


def _blocks(files: Files) -> Iterator[Block]:
    """The metadata, where there are some."""
    with zipfile.ZipFile(files.path()) as archive:
        names = archive.namelist()
        name = next((one for one in ("meta_data_json.npy", "meta_data.npy") if one in names), "")
        if not name:
            return
        with archive.open(name) as member:
            data = member.read(_LONGEST + 1)
    if len(data) > _LONGEST:
        raise ValueError(f"{name} is larger than {_LONGEST} bytes")
    if tree := parse(data):
        yield Block("pantarhei-metadata", tree, data, "application/x-npy", place=name.removesuffix(".npy"))


def parse(data: bytes) -> Mapping[str, Any]:
    """The first mapping in an array of text, or of objects."""
    if not data.startswith(_MAGIC) or len(data) < 12:
        raise ValueError("this is not a NumPy array")
    form = "<H" if data[6] == 1 else "<I"
    start = 8 + struct.calcsize(form) + struct.unpack_from(form, data, 8)[0]
    content, kind = data[start:], data[8:start].decode("latin-1")
    if "O" in kind:
        found = values_of(content)
    else:
        encoding = "utf-32-be" if ">U" in kind else "utf-32-le"
        found = json.loads(content.decode(encoding).rstrip("\0"))
    while isinstance(found, list) and found:
        found = found[0]
    return found if isinstance(found, Mapping) else {}


class Held:
    """Stands for an array or a type: it keeps what is said about it."""

    def __init__(self, *told: Any) -> None:
        self.told = told
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        """Keep it."""
        self.state = state


class ArrayType:
    """Stands for the name `ndarray`, which is only handed on."""


class _Values(pickle.Unpickler):
    """An unpickler that knows five names."""

    def find_class(self, module: str, name: str) -> Any:
        """A stand-in for a name; every other is refused."""
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name in ("_reconstruct", "scalar"):
            return Held
        if module == "numpy" and name in ("dtype", "ndarray"):
            return Held if name == "dtype" else ArrayType
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise pickle.UnpicklingError(f"the metadata ask for {module}.{name}")


def _encode(text: Any, encoding: Any = "utf-8") -> bytes:
    """Bytes that were written as text, which pickles of protocol 2 do."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8", "ascii"):
        raise pickle.UnpicklingError("the metadata ask for an unusual encoding")
    return text.encode(encoding)


def values_of(data: bytes) -> Any:
    """Plain values of a pickled array."""
    for step, _ in enumerate(pickletools.genops(data)):
        if step > _MOST_STEPS:
            raise pickle.UnpicklingError("the metadata have too many parts")
    return _plain(_Values(io.BytesIO(data), encoding="latin1").load(), [_MOST_STEPS], 0)


def _plain(value: Any, left: list[int], depth: int) -> Any:
    """A value without stand-ins. `left` counts down, as lists may hold one another many times over."""
    left[0] -= 1
    if left[0] < 0 or depth > _DEEPEST:
        raise pickle.UnpicklingError("the metadata have too many parts")
    if isinstance(value, Held):
        return _held(value, left, depth)
    if isinstance(value, dict):
        return {str(key)[:200]: _plain(item, left, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, left, depth + 1) for item in value]
    return value if isinstance(value, (str, bytes, int, float, bool, type(None))) else str(type(value))


def _held(value: Held, left: list[int], depth: int) -> Any:
    """What a stand-in was told: the items of an array of objects, or one number."""
    state = value.state
    if isinstance(state, tuple) and len(state) == 5 and isinstance(state[4], list):
        return _plain(state[4], left, depth + 1)
    if len(value.told) == 2 and isinstance(value.told[0], Held) and isinstance(value.told[1], bytes):
        return _number(value.told[0], value.told[1])
    return None


def _number(kind: Held, data: bytes) -> Any:
    """A NumPy scalar from its bytes."""
    letters = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "i2": "h", "u8": "Q", "u4": "I", "u2": "H", "b1": "?"}
    letter = letters.get(str(kind.told[0]) if kind.told else "")
    order = ">" if isinstance(kind.state, tuple) and len(kind.state) > 1 and kind.state[1] == ">" else "<"
    return None if letter is None else struct.unpack(order + letter, data)[0]
