"""Base64 (RFC 4648 section 4), one text for the same bytes: what is signed must not have two spellings."""

from __future__ import annotations

import base64
import binascii


def to_base64(data: bytes) -> str:
    """The standard text, padded, on one line."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes:
    """The bytes of exactly what `to_base64` writes.

    Raises
    ------
    ValueError
        Other characters, missing padding, or bits left over at the end.
    """
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("not base64") from None
    if to_base64(data) != text:
        raise ValueError("not base64 in its standard form")
    return data
