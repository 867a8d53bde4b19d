"""Parsed vendor metadata as JSON that keeps the types: NumPy, bytes, tuples, NaN, times.

What JSON has no word for is an object with one key that begins with ``@``::

    {"@bytes": base64}    {"@tuple": […]}    {"@float": "nan" | "inf" | "-inf"}    {"@complex": [re, im]}
    {"@nd": {"dtype", "shape", "data": base64 | "sha256"}}    {"@np": {"dtype", "data": base64}}
    {"@time": ISO 8601}    {"@map": [[key, value], …]}    {"@text": str of any other type}

Arrays of more than 4 kB are represented by their SHA-256: they are data, and the file has them.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diadem.errors import DocumentError

#: Bytes of an array that is written out.
LARGEST_ARRAY = 4096
#: Bytes that a value may fill that has fewer, and that all values may fill for each byte of the text.
LARGEST_ITEM, _PER_BYTE = 64 << 10, 16
#: Objects inside one another; what lies deeper is represented by its text.
DEEPEST = 60


def encode(value: Any) -> bytes:
    """Typed JSON in UTF-8, the keys in their order."""
    plain = _encoded(value, 0)
    return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")


def decode(data: bytes) -> Any:
    """The value again; arrays that were represented by their digest come back as ``{"@nd": …}``.

    Raises `DocumentError` for what is no typed JSON, or, as it may be a stranger's, would take up far more memory than
    it has bytes.
    """
    room = _Room(_PER_BYTE * len(data) + LARGEST_ITEM)
    try:
        return json.loads(data, object_hook=room.decoded)
    except DocumentError:
        raise
    except Exception as error:  # each of the types raises what it likes
        raise _unreadable(f"cannot be understood ({type(error).__name__})") from error


def _unreadable(why: str) -> DocumentError:
    """The error of typed JSON that is none."""
    return DocumentError(
        f"parsed vendor metadata {why}",
        next="The vendor's own bytes, if kept, are in diadem/vendor.zip under their SHA-256.",
    )


def _encoded(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if type(value) is int:
        return value if abs(value) < 1 << 63 else {"@text": str(value)}
    if type(value) is float:
        return value if math.isfinite(value) else {"@float": str(value)}
    if isinstance(value, bytes | bytearray):
        return {"@bytes": base64.b64encode(bytes(value)).decode()}
    if depth > DEEPEST:
        return {"@text": str(value)[:LARGEST_ARRAY]}
    return _container(value, depth + 1)


def _container(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("@") for key in value):
            return {key: _encoded(item, depth) for key, item in value.items()}
        return {"@map": [[_encoded(key, depth), _encoded(item, depth)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"@tuple": [_encoded(item, depth) for item in value]}
    if isinstance(value, list):
        return [_encoded(item, depth) for item in value]
    return _special(value)


def _special(value: Any) -> Any:
    if isinstance(value, complex) and not hasattr(value, "dtype"):
        return {"@complex": [_encoded(value.real, 0), _encoded(value.imag, 0)]}
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return {"@time": value.isoformat()}
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return _numpy(value)
    if isinstance(value, int):  # an enumeration
        return int(value)
    if isinstance(value, float):
        return _encoded(float(value), 0)
    return {"@text": str(value)[:LARGEST_ARRAY]}


def _numpy(value: Any) -> Any:
    import numpy as np

    if not isinstance(value, np.ndarray | np.generic) or value.dtype.hasobject:
        return {"@text": str(value)[:LARGEST_ARRAY]}
    described: Any = np.lib.format.dtype_to_descr(value.dtype)
    dtype = described if isinstance(described, str) else [list(item) for item in described]
    data = value.tobytes()
    if isinstance(value, np.generic):
        return {"@np": {"dtype": dtype, "data": base64.b64encode(data).decode()}}
    about = {"dtype": dtype, "shape": list(value.shape)}
    if len(data) > LARGEST_ARRAY:
        return {"@nd": {**about, "sha256": hashlib.sha256(data).hexdigest()}}
    return {"@nd": {**about, "data": base64.b64encode(data).decode()}}


class _Room:
    """Decodes objects with one key that begins with ``@``, as long as there is memory for what they stand for."""

    def __init__(self, left: int) -> None:
        self._left = left
        self._decoders: Mapping[str, Callable[[Any], Any]] = {**_DECODERS, "@nd": self._array, "@np": self._scalar}

    def decoded(self, found: dict[str, Any]) -> Any:
        """A value for an object of JSON, or the object."""
        if len(found) != 1:
            return found
        (key, value), *_ = found.items()
        decoder = self._decoders.get(key)
        return found if decoder is None else decoder(value)

    def _array(self, about: Mapping[str, Any]) -> Any:
        import numpy as np

        if "data" not in about:
            return {"@nd": dict(about)}
        data = base64.b64decode(about["data"])
        return np.frombuffer(data, dtype=_dtype(about["dtype"])).reshape(about["shape"]).copy()

    def _scalar(self, about: Mapping[str, Any]) -> Any:
        import numpy as np

        data, dtype = base64.b64decode(about["data"]), _dtype(about["dtype"])
        self._left -= dtype.itemsize
        if dtype.itemsize > max(len(data), LARGEST_ITEM) or self._left < 0:
            raise _unreadable(f"has a value of {len(data)} bytes that is to fill {dtype.itemsize}, or too many of them")
        return np.frombuffer(data.ljust(max(1, dtype.itemsize), b"\0"), dtype=dtype)[0]


def _dtype(described: Any) -> Any:
    import numpy as np

    return np.dtype(described if isinstance(described, str) else [_field(item) for item in described])


def _field(item: Sequence[Any]) -> tuple[Any, ...]:
    """One field of a structured type, as NumPy wants it."""
    name, form, *shape = item
    inner = [_field(part) for part in form] if isinstance(form, list) else form
    return (name, inner, *(tuple(part) for part in shape))


def _time(text: str) -> Any:
    if "T" in text:
        return dt.datetime.fromisoformat(text)
    return dt.date.fromisoformat(text) if "-" in text[:5] else dt.time.fromisoformat(text)


_DECODERS: Mapping[str, Callable[[Any], Any]] = {
    "@bytes": base64.b64decode,
    "@tuple": tuple,
    "@float": float,
    "@complex": lambda parts: complex(*parts),
    "@time": _time,
    "@map": dict,
    "@text": str,
}
