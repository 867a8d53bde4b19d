"""Texts as instruments write them: coding, INI sections, XML, numbers with units."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from typing import Any

#: What computers are called that stand beside an instrument.
_COMPUTER = re.compile(r"console|workstation|desktop|laptop|computer|server|(?:^|[\W_])pc(?:[\W_\d]|$)", re.IGNORECASE)
_NUMBER = re.compile(r"\s*([-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?)\s*(.*)", re.DOTALL)


def decode(data: bytes) -> str:
    """Text of unknown coding: UTF-16 where its mark says so, UTF-8 where it is, else Windows' Western code page."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def ini(text: str) -> dict[str, dict[str, str]]:
    """Sections of ``[Name]`` and ``key=value``; lines before the first section are of section ``""``.

    A key that comes twice in a section keeps its first value.
    """
    found: dict[str, dict[str, str]] = {}
    section = ""
    for line in (raw.strip(" \t\x00\r\n\ufeff") for raw in text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
            found.setdefault(section, {})
        elif "=" in line:
            key, _, value = line.partition("=")
            found.setdefault(section, {}).setdefault(key.strip(), value.strip())
    return found


def xml(data: bytes) -> tuple[str, Any]:
    """Name of the root and the document as a tree.

    Children are entries by name, several of one name a list; attributes begin with ``@``; the text of an element with
    attributes is ``#text``. Namespaces are left out.

    Parameters
    ----------
    data : bytes
        The document; padding of zeros, control characters and blanks around it is ignored.

    Raises
    ------
    xml.etree.ElementTree.ParseError
        Where it is none.
    """
    element = ET.fromstring(data.strip(b"\x00\x01 \t\r\n"))  # noqa: S314 - expat refuses bombs, no entity is fetched
    return _local(element.tag), _tree(element)


def _tree(element: ET.Element) -> Any:
    """One element: text, or a mapping."""
    text = (element.text or "").strip()
    if not len(element) and not element.attrib:
        return text
    found: dict[str, Any] = {f"@{_local(key)}": value for key, value in element.attrib.items()}
    for child in element:
        name, value = _local(child.tag), _tree(child)
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    if text:
        found["#text"] = text
    return found


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def instrument_name(raw: Any) -> str | None:
    """What an instrument is called; None where a computer is: ``ORION-CONSOLE``, ``SUPPORT_PC``."""
    text = raw.strip() if isinstance(raw, str) else ""
    return None if not text or _COMPUTER.search(text) else text


def entries(tree: Any, name: str) -> Iterator[Mapping[str, Any]]:
    """Mappings below a name, whether there is one or a list of them."""
    found = tree.get(name) if isinstance(tree, Mapping) else None
    for item in found if isinstance(found, list) else [found]:
        if isinstance(item, Mapping):
            yield item


def quantity(text: str) -> tuple[float, str] | None:
    """A number and what follows it: ``50.00 K X``, ``8100 um``; a comma alone is a decimal sign."""
    match = _NUMBER.match(text)
    if match is None:
        return None
    return float(match[1].replace(",", ".")), match[2].strip()


def number(text: Any) -> float | None:
    """A number, or a text that is one and no more, with a point or a comma."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return float(text) if math.isfinite(text) else None
    found = quantity(str(text))
    return found[0] if found is not None and not found[1] and math.isfinite(found[0]) else None


def positive(text: Any) -> float | None:
    """A number above zero; what is not is no measurement."""
    found = number(text)
    return found if found is not None and found > 0 else None
