"""Bruker's XML as a tree with its own names: a ``ClassInstance`` is called what its type is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

#: Elements inside one another that are looked at, and characters of a text that is no picture or spectrum.
DEEPEST = 64
LONGEST_TEXT = 4096
#: Elements that hold data or tables, not what was done.
_DATA = frozenset({"Data", "Channels", "ResponseFunction", "Palette", "DetLayers"})


def read_xml(data: bytes) -> dict[str, Any]:
    """Parse a stream of Bruker's XML.

    Parameters
    ----------
    data : bytes
        A whole document; its first line names the encoding, ``WINDOWS-1252``.

    Returns
    -------
    dict
        Names to texts, dictionaries, and lists where a name occurs several times; the attribute ``Name`` stands
        among them. Pictures, spectra and long texts are left out.

    Raises
    ------
    xml.etree.ElementTree.ParseError
        It is no XML, not all of it, or one that expands without end.
    """
    return _children(ElementTree.fromstring(data), 0)  # noqa: S314 - expat refuses what expands, and reads no other file


def _children(element: ElementTree.Element, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if name := element.get("Name"):
        found["Name"] = name
    for child in element if depth < DEEPEST else ():
        if child.tag in _DATA:
            continue
        key = child.get("Type", child.tag) if child.tag == "ClassInstance" else child.tag
        value = _children(child, depth + 1) if len(child) or child.get("Name") else (child.text or "").strip()
        if value == {} or (isinstance(value, str) and len(value) > LONGEST_TEXT):
            continue
        _add(found, key, value)
    return found


def _add(found: dict[str, Any], key: str, value: Any) -> None:
    """Note a value; a second one of the same name makes a list."""
    if key not in found:
        found[key] = value
    elif isinstance(found[key], list):
        found[key].append(value)
    else:
        found[key] = [found[key], value]


def every(tree: Any, key: str) -> list[Mapping[str, Any]]:
    """The dictionaries of a name, however many there are."""
    value = tree.get(key) if isinstance(tree, Mapping) else None
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, Mapping)]
