"""Paths of replicas as text that every database holds: the name of a person's folder may be no UTF-8."""

from __future__ import annotations

import os
import sys
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

#: No path begins so: those in stores begin with a year, those of folders at a root.
_BYTES: Final = "bytes:"


def written(path: str) -> str:
    """A path as it is kept; bytes that are not UTF-8, which Python has as half characters, are percent-encoded."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return _BYTES + quote_from_bytes(os.fsencode(path))
    return path


def read(text: str, *, errors: str = sys.getfilesystemencodeerrors()) -> str:
    """The path again, also where another system has written it: Windows decodes no bytes that are not UTF-8."""
    if not text.startswith(_BYTES):
        return text
    data = unquote_to_bytes(text.removeprefix(_BYTES))
    try:
        return data.decode(sys.getfilesystemencoding(), errors)
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape")
