"""JSON in and out, strictly: what two parsers could read differently, or what could exhaust us, is refused."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from diadem.errors import DocumentError
from diadem.model.canonical import depth_exceeds

#: Objects and arrays inside one another. A record has about eight; deeper ones are an attack or a mistake.
MAX_DEPTH = 64
_ENCODERS = {
    sort: json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=sort)
    for sort in (False, True)
}
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_NEXT = "The file is not what DIADEM wrote: verify the package, or ask its sender for it again."


def parse(data: bytes, *, where: str, next: str = _NEXT) -> Any:  # noqa: A002
    """The value of a JSON text in UTF-8.

    Raises `DocumentError` for what is not UTF-8, not JSON, has duplicate keys, NaN or infinity, lone surrogates, or is
    nested deeper than `MAX_DEPTH`.
    """
    try:
        value = _DECODER.decode(data.decode("utf-8"))
        if _SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise _too_deep(where, next) from None
    except ValueError as error:  # includes JSONDecodeError, UnicodeError and integers of thousands of digits
        raise DocumentError(f"not strict JSON: {error}", where=where, next=next) from None
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH and depth_exceeds(value, MAX_DEPTH):
        raise _too_deep(where, next)
    return value


def parse_object(data: bytes, *, where: str) -> dict[str, Any]:
    """The same, where only an object will do."""
    value = parse(data, where=where)
    if not isinstance(value, dict):
        raise DocumentError("a JSON object is expected", where=where, next=_NEXT)
    return value


def compact(value: Any, *, where: str) -> bytes:
    """One line of JSON in UTF-8, keys in their order.

    Raises `DocumentError` where the value holds what JSON cannot: NaN, a lone surrogate, another type, or itself.
    """
    return _dumped(value, where=where, sort_keys=False)


def canonical(value: Any) -> bytes:
    """The same with sorted keys: equal bytes mean equal values, 1 and 1.0 told apart."""
    return _dumped(value, where="", sort_keys=True)


def _dumped(value: Any, *, where: str, sort_keys: bool) -> bytes:
    try:
        return _ENCODERS[sort_keys].encode(value).encode("utf-8")
    except RecursionError:
        raise _too_deep(where, "Flatten the value.") from None
    except (TypeError, ValueError) as error:
        raise DocumentError(
            f"cannot be written as JSON: {error}", where=where, next="Convert the value to plain JSON types first."
        ) from None


def _too_deep(where: str, advice: str) -> DocumentError:
    return DocumentError(f"nested more than {MAX_DEPTH} deep", where=where, next=advice)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key '{twice[:80]}' occurs twice in one object")
    return result


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_finite)
