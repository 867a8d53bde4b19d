"""One way to write a value as JSON, so that equal values are equal bytes: what is signed must read the same everywhere.

Keys sorted by code point, no white space, UTF-8 without escapes that are not needed, numbers as Python writes them (the
shortest decimal that gives the same double). Reading accepts nothing else: a text with a key twice, with NaN, with
another spelling of a number or with spaces is refused, because writing its value again does not give its bytes.
"""

from __future__ import annotations

import json
from typing import Any, Final

from diadem.errors import DocumentError

#: Objects and arrays inside one another. A statement has about six; deeper ones are an attack or a mistake.
MAX_DEPTH: Final = 32
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)


def encode(value: Any, *, where: str) -> bytes:
    """The canonical bytes of plain JSON types.

    Raises
    ------
    DocumentError
        The value holds what JSON cannot: NaN, a lone surrogate, an object of another type, or itself; or it is nested
        deeper than `MAX_DEPTH`.
    """
    try:
        data = _ENCODER.encode(value).encode("utf-8")
    except RecursionError:
        raise _too_deep(where) from None
    except (TypeError, ValueError) as error:  # UnicodeEncodeError is a ValueError
        raise DocumentError(
            f"cannot be written as JSON: {error}", where=where, next="Use texts, numbers, lists and objects only."
        ) from None
    if depth_exceeds(value, MAX_DEPTH):
        raise _too_deep(where)
    return data


def decode(data: bytes, *, where: str, limit: int) -> Any:
    """The value of canonical bytes.

    Parameters
    ----------
    data : bytes
        From anywhere.
    where : str
        What this is, for the message.
    limit : int
        Bytes above which nothing is parsed.

    Raises
    ------
    DocumentError
        Too large, not JSON, nested too deep, or not written in the canonical form.
    """
    if len(data) > limit:
        raise DocumentError(f"{len(data):,} bytes are more than the {limit:,} that are read", where=where)
    try:
        value = json.loads(data.decode("utf-8"))
    except RecursionError:
        raise _too_deep(where) from None
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, integers of thousands of digits
        raise DocumentError(f"not JSON: {error}", where=where) from None
    if encode(value, where=where) != data:
        raise DocumentError(
            "not written in the one canonical form (keys sorted and once, no spaces)",
            where=where,
            next="It was changed after it was signed, or another program wrote it: ask its sender for it again.",
        )
    return value


def depth_exceeds(value: Any, limit: int) -> bool:
    """Whether objects and arrays stand more than `limit` deep in one another. Does not recurse."""
    level = [value]
    for _ in range(limit):
        level = [item for container in level for item in _containers(container)]
        if not level:
            return False
    return True


def _containers(value: Any) -> list[Any]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [item for item in items if isinstance(item, dict | list | tuple)]


def _too_deep(where: str) -> DocumentError:
    return DocumentError(f"nested more than {MAX_DEPTH} deep", where=where, next="Flatten the value.")
