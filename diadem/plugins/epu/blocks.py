"""EPU's documents among the files of a dataset, as trees with their own names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from diadem.hooks.fields import Block
from diadem.hooks.text import xml
from diadem.plugins.epu.reader import SESSION

#: Bytes of a document; those seen have 14 thousand, those of a session some hundred thousand.
MOST_BYTES = 4 << 20
#: Kind of block by the root of the document.
_KINDS = {"MicroscopeImage": "epu-xml", "EpuSessionXml": "epu-session"}
#: Key of what the root of a session says of the program that wrote it.
WRITER = "Assembly"
#: What .NET calls an entry of a dictionary.
_ENTRY = "KeyValueOfstringanyType"
_DEEPEST = 60


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Cut the blocks.

    Parameters
    ----------
    path : str
        The image, or the document itself.
    files : sequence of str
        All files of the dataset.

    Yields
    ------
    Block
        One for each document: ``epu-xml`` of an image, ``epu-session`` of a session.
    """
    for file in files:
        if not file.lower().endswith((".xml", ".dm")):
            continue
        with Path(file).open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
        if not any(root in data[:4096] for root in (b"<MicroscopeImage", SESSION)) or len(data) > MOST_BYTES:
            continue
        name, tree = xml(data.removeprefix(b"\xef\xbb\xbf"))
        if name in _KINDS and isinstance(tree, Mapping):
            told = {**plain(tree), WRITER: tree.get("@Assembly")} if name == "EpuSessionXml" else plain(tree)
            yield Block(_KINDS[name], told, file="" if Path(file) == Path(path) else str(Path(file)))


def plain(tree: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """A tree in which dictionaries of .NET are mappings, values without their types, and what is nil is left out."""
    if depth > _DEEPEST:
        raise ValueError("the document is nested too deeply")
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if name == _ENTRY:
            for entry in value if isinstance(value, list) else [value]:
                if isinstance(entry, Mapping) and isinstance(entry.get("Key"), str):
                    found[entry["Key"]] = _value(entry.get("Value"), depth)
        elif not name.startswith("@"):
            found[name] = _value(value, depth)
    return {name: value for name, value in found.items() if value is not None}


def _value(value: Any, depth: int) -> Any:
    """A text, a tree, or a list of them; None for nil."""
    if isinstance(value, list):
        return [_value(one, depth + 1) for one in value]
    if not isinstance(value, Mapping):
        return value
    if value.get("@nil") == "true":
        return None
    if "#text" in value and all(name.startswith(("@", "#")) for name in value):
        return value["#text"]
    return plain(value, depth + 1)
