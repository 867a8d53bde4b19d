"""The XML documents of an .emi file: one ``ObjectInfo`` for each image or spectrum, with the .ser file it belongs to.

The file is TIA's own binary form. An object that is recorded as a series has the path of its .ser file in the field
before its document; an object without one is shown only, such as the survey image of a map.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from diadem.model.ports import RangeReader

_BEGIN, _END = b"<ObjectInfo>", b"</ObjectInfo>"
#: Objects that are looked at, and bytes of one document; real ones have 7 kB.
MAX_OBJECTS = 1024
MAX_DOCUMENT = 1 << 20
#: Bytes that are searched at once.
_WINDOW = 8 << 20
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


def objects(reader: RangeReader) -> list[ObjectInfo]:
    """All documents of an .emi file, in its order; pixels between them are passed over."""
    looked_at = islice(_documents(reader), MAX_OBJECTS)
    return [one for one in looked_at if one is not None]


def _documents(reader: RangeReader) -> Iterator[ObjectInfo | None]:
    """Documents by where they begin; None for one without an end."""
    for window in range(0, reader.size, _WINDOW):
        before = min(window, _BACK)
        content = reader.read_at(window - before, before + _WINDOW + MAX_DOCUMENT)
        place = content.find(_BEGIN, before)
        while 0 <= place < before + _WINDOW:
            end = content.find(_END, place, place + MAX_DOCUMENT)
            if end < 0:
                yield None
            else:
                match = _PATH.search(content[max(0, place - _BACK) : place])
                start = window - before + place
                yield ObjectInfo(start, content[place : end + len(_END)], int(match[1]) if match else -1)
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
