"""The text of a file that people edit, which is TOML: its encoding, on which line a key stands (`tomllib` does not say
it), and a value as it is written."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from diadem.errors import DocumentError

_SECTION = re.compile(r"\s*\[(\[?)([^\[\]]+)\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
_PART = re.compile(r"[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'")

#: A place in a document: keys, and indexes into lists.
Path = Sequence[str | int]


def line_of(text: str, path: Path) -> int | None:
    """The line, counted from 1, of the innermost part of `path` that the text writes out; None if there is none.

    A hint for people: in inline tables and texts of several lines it is the line where they begin.
    """
    best: tuple[int, int] | None = None
    for number, found in _places(text):
        if list(path[: len(found)]) == list(found) and (best is None or len(found) > best[0]):
            best = (len(found), number)
    return best[1] if best else None


def _places(text: str) -> Iterator[tuple[int, tuple[str | int, ...]]]:
    """Every section and key with its line."""
    section: tuple[str | int, ...] = ()
    tables: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if match := _SECTION.match(line):
            names = _parts(match.group(2))
            section = names
            if match.group(1):
                tables[names] = tables.get(names, -1) + 1
                section = (*names, tables[names])
            yield number, section
        elif match := _KEY.match(line):
            yield number, (*section, *_parts(match.group(1)))


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def toml_value(value: Any) -> str:
    """A value as TOML; of JSON's syntax only objects differ."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def is_blank(data: bytes) -> bool:
    """Whether a file says nothing: what a full disk or a power cut leaves of one."""
    return not data.strip(b" \t\r\n\0\xef\xbb\xbf\xff\xfe")


def person_text(data: bytes, where: str) -> str:
    """The text of a file that people edit: UTF-8, or the UTF-16 of some editors of Windows, which begins with a mark.

    Raises `DocumentError`, which names the line that is neither.
    """
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line, kind = data[: error.start].count(b"\n") + 1, "UTF-16" if utf16 else "UTF-8"
        raise DocumentError(
            f"line {line}: this is not {kind} text: {error.reason} (byte {data[error.start]:#x})",
            where=where,
            next="Save the file as UTF-8 in your editor, or write the line without umlauts and accents.",
        ) from None
