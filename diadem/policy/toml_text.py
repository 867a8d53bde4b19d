"""The text of a TOML file: on which line a key stands, which `tomllib` does not say, and a value as it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

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
