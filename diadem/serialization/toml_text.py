"""The text of a file that people edit, which is TOML: its encoding, on which line a key stands (`tomllib` does not say
it), a value as it is written, and what a program changes in it, which leaves alone what people wrote."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
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


# -- changed by a program ----------------------------------------------------------------------------------------------


def edit_toml(
    text: str,
    values: Mapping[str, Any],
    *,
    tables: Mapping[str, Mapping[str, Any]],
    lists: Mapping[str, tuple[str, Sequence[Mapping[str, Any]]]],
    left_out: Collection[str] = (),
) -> str:
    """A text with other values; what people wrote in it stays, keys that are not named here and comments too.

    `lists` are tables of which there are several: by which key they are told apart, and what they hold, in their order.
    Tables that are `left_out` are changed where the text has them, and not begun.
    """
    import tomlkit

    document = tomlkit.parse(text)
    _carry_notes(document)
    _merge(document, values)
    for name, members in tables.items():
        if name in document or name not in left_out:
            _merge(document.setdefault(name, tomlkit.table()), members)
    for name, (key, rows) in lists.items():
        _merge_rows(document, name, key, rows)
    return tomlkit.dumps(document).rstrip() + "\n"


def _put(table: Any, key: str, value: Any) -> None:
    """Set a key unless it says that already: its comment stays."""
    import tomlkit

    if key not in table:
        table[key] = value
        if isinstance(table, tomlkit.items.Table):
            table.value.item(key).trivia.indent = ""  # type: ignore[union-attr]  # not that of a comment above it
    elif table[key] != value:
        table[key] = value


def _merge(table: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        _put(table, key, value)


def _merge_rows(document: Any, name: str, key: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A list of tables in the order of the settings, each on the table that stood there of its name."""
    import tomlkit

    there: Any = document.get(name, ())
    inline = isinstance(there, tomlkit.items.Array)
    if inline:  # stores = [{…}], which takes no tables of its own
        there = [tomlkit.item(table) for table in document.pop(name).unwrap()]
    known = {table.get(key): table for table in there}
    if not inline and [row[key] for row in rows] == list(known):
        for row in rows:
            _merge(known[row[key]], row)
        return
    tables = tomlkit.aot()
    for row in rows:
        table = known.get(row[key], tomlkit.table())
        _merge(table, row)
        if not table.as_string().replace("\r", "").endswith("\n\n"):
            table.add(tomlkit.nl())
        notes = table.trivia.indent
        tables.append(table)
        table.trivia.indent = notes  # without the line that is put between tables
    if rows:
        document[name] = tables
    else:
        document.pop(name, None)


def _carry_notes(document: Any) -> None:
    """Let each table take along the comments directly above it, which TOML's parser leaves in the table before it."""
    from tomlkit.items import AoT, Comment, Table

    before = None
    for _, item in document.body:
        for table in item.body if isinstance(item, AoT) else [item] if isinstance(item, Table) else ():
            notes: list[str] = []
            while before is not None and before.body and isinstance(before.body[-1][1], Comment):
                notes.insert(0, before.body.pop()[1].as_string())
            table.trivia.indent = "".join(notes) + table.trivia.indent
            before = table.value
            while before.body and isinstance(before.body[-1][1], AoT | Table):
                inner = before.body[-1][1]
                before = (inner.body[-1] if isinstance(inner, AoT) else inner).value
