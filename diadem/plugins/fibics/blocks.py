"""Fibics' XML in tag 51023."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from diadem.hooks import text as texts
from diadem.hooks.fields import Block
from diadem.hooks.tiff_blocks import Vendor, cut


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Blocks of a TIFF file of Fibics; none of another.

    Parameters
    ----------
    path : str
        The file.
    files : sequence of str
        Not asked: everything is in the file.
    """
    del files
    yield from cut(path, Vendor("fibics-tiff", {51023: parse}, media_type="application/xml"))


def parse(data: bytes) -> dict[str, Any] | None:
    """The XML below its root; lists of named items as mappings, ``{name: text}``. None where the tag is another's."""
    if b"<Fibics" not in data[:400]:
        return None
    root, tree = texts.xml(data)
    if root != "Fibics" or not isinstance(tree, dict):
        return None
    return {name: _items(section) for name, section in tree.items()}


def _items(section: Any) -> Any:
    """A section whose entries are ``<item name="HV">…</item>``."""
    if not isinstance(section, Mapping) or "item" not in section:
        return section
    named = {str(item["@name"]): item.get("#text", "") for item in texts.entries(section, "item") if "@name" in item}
    return {**{name: value for name, value in section.items() if name != "item"}, **named}
