"""Tags of Zeiss: SmartSEM's lines of parameters (34118) and Orion's XML (65000)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from diadem.hooks import text as texts
from diadem.hooks.fields import Block
from diadem.hooks.text import decode
from diadem.hooks.tiff_blocks import Vendor, cut

_KEY = re.compile(r"[A-Z]{2}_[A-Z0-9_]+\Z")
_SAID = re.compile(r"([^=:]*?)\s*[=:]\s?(.*)\Z")
#: Words that are no unit though they follow a number: names such as ``3 - 5``.
_UNIT = re.compile(r"(|%|°|K? ?X|x|[a-zA-Zµμ°²/-]{1,6})\Z")


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Blocks of a TIFF file of Zeiss; none of another.

    Parameters
    ----------
    path : str
        The file.
    files : sequence of str
        Not asked: everything is in the file.
    """
    del files
    orion = list(cut(path, Vendor("zeiss-orion", {65000: parse_orion}, media_type="application/xml")))
    yield from orion
    # Orion writes a few numbers into the tag of SmartSEM too; they are kept, and said better in its own.
    for block in cut(path, Vendor("zeiss-sem", {34118: parse_smartsem}, media_type="text/plain")):
        if block.data or not orion:
            yield block


def parse_smartsem(data: bytes) -> dict[str, Any]:
    """SmartSEM's parameters.

    Returns
    -------
    mapping
        ``unnamed``: the numbers before the first name. Each parameter by its name: ``Name`` as shown on screen,
        ``Value`` and, where the value is a number with a unit, ``Unit``.
    """
    found: dict[str, Any] = {}
    unnamed: list[float] = []
    key = ""
    for line in decode(data.split(b"\x00", 1)[0]).splitlines():
        if _KEY.match(line.strip()):
            key = line.strip()
        elif key:
            match = _SAID.match(line.strip())
            if match is not None:
                found.setdefault(key, {"Name": match[1].strip(), **value_of(match[2].strip())})
            key = ""
        elif (number := texts.number(line)) is not None and not found:
            unnamed.append(number)
    return {"unnamed": unnamed, **found} if found or unnamed else {}


def value_of(text: str) -> dict[str, str]:
    """A value, divided into number and unit where it is one: ``50.00 K X``."""
    quantity = texts.quantity(text)
    if quantity is None or not _UNIT.match(quantity[1]) or not quantity[1]:
        return {"Value": text}
    return {"Value": text[: len(text) - len(quantity[1])].strip(), "Unit": quantity[1]}


def parse_orion(data: bytes) -> dict[str, Any] | None:
    """Orion's XML below its root ``ImageTags``; None where the tag is another's."""
    if b"<ImageTags" not in data[:200]:
        return None
    root, tree = texts.xml(data)
    return tree if root == "ImageTags" and isinstance(tree, dict) else None
