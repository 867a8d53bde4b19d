"""The XML documents of an .emi file: one ``ObjectInfo`` for each image or spectrum, with the .ser file it belongs to.

The file is TIA's own binary form. An object that is recorded as a series has the path of its .ser file in the field
before its document; an object without one is shown only, such as the survey image of a map.
"""

from __future__ import annotations

import mmap
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BEGIN, _END = b"<ObjectInfo>", b"</ObjectInfo>"
#: Objects that are looked at, and bytes of one document; real ones have 7 kB.
MAX_OBJECTS = 1024
MAX_DOCUMENT = 1 << 20
#: The end of a path, then a field of two bytes and the length of the document.
_PATH = re.compile(rb"_(\d{1,3})\.ser.{0,24}\Z", re.DOTALL | re.IGNORECASE)
_BACK = 64


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One document.

    Attributes
    ----------
    start : int
        First byte in the file.
    data : bytes
        As it stands there.
    series : int
        Number of its .ser file; -1 where none stands before it.
    """

    start: int
    data: bytes
    series: int

    @property
    def end(self) -> int:
        """The byte after the last."""
        return self.start + len(self.data)


def objects(path: str) -> list[ObjectInfo]:
    """All documents of an .emi file, in its order.

    Parameters
    ----------
    path : str
        The file; pixels between the documents are not read into memory.
    """
    with Path(path).open("rb") as stream:
        if not stream.seek(0, 2):
            return []
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return list(_documents(content))


def _documents(content: mmap.mmap) -> Iterator[ObjectInfo]:
    place = content.find(_BEGIN)
    for _ in range(MAX_OBJECTS):
        if place < 0:
            return
        end = content.find(_END, place, place + MAX_DOCUMENT)
        if end >= 0:
            match = _PATH.search(content[max(0, place - _BACK) : place])
            yield ObjectInfo(place, content[place : end + len(_END)], int(match[1]) if match else -1)
        place = content.find(_BEGIN, place + 1)


def parse(data: bytes) -> dict[str, Any]:
    """A document as a tree: ``{"ObjectInfo": {…}}``.

    Texts stand by their element's name, those of the description by their label as ``{"Value": …, "Unit": …}``. Of
    elements of one name the first stands.

    Raises
    ------
    ElementTree.ParseError
        It is no XML. Entities of its own are refused.
    """
    if b"<!" in data:
        raise ET.ParseError("documents of TIA declare nothing")
    try:
        root = ET.fromstring(data)  # noqa: S314 - without a DOCTYPE there are no entities to expand
    except ET.ParseError:
        root = ET.fromstring(data.decode("cp1252", "replace"))  # noqa: S314
    return {root.tag: _tree(root, 0)}


#: Elements inside one another; real documents have five.
_DEEPEST = 32


def _tree(element: ET.Element, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ET.ParseError("elements too deep inside one another")
    if element.tag == "ExperimentalDescription":
        return _description(element)
    if not len(element):
        return element.text or ""
    tree: dict[str, Any] = {}
    for child in element:
        tree.setdefault(child.tag, _tree(child, depth + 1))
    return tree


def _description(element: ET.Element) -> dict[str, Any]:
    """Labels, values and units."""
    described: dict[str, Any] = {}
    for data in element.iter("Data"):
        label = (data.findtext("Label") or "").strip()
        if label:
            value, unit = (data.findtext(name) or "" for name in ("Value", "Unit"))
            described.setdefault(label, {"Value": value.strip(), "Unit": unit.strip()})
    return described
