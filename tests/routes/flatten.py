"""Files of common forms as paths and values: JSON, XML, HDF5, INI and lines of `key: value`."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.routes.knowledge import Leaf


def tree(value: Any, prefix: str = "") -> Iterator[Leaf]:
    """Nested dicts and lists."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from tree(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list):
        if value and not isinstance(value[0], (dict, list)):
            yield prefix, value
        for place, item in enumerate(value):
            yield from tree(item, f"{prefix}.{place}")
    else:
        yield prefix, value


def json_text(text: str | bytes) -> Iterator[Leaf]:
    """JSON."""
    yield from tree(json.loads(text))


def xml(text: str | bytes) -> Iterator[Leaf]:
    """XML: elements joined by dots, attributes after an @, name spaces left out."""

    def walk(element: ET.Element, prefix: str) -> Iterator[Leaf]:
        path = f"{prefix}.{element.tag.rpartition('}')[2]}" if prefix else element.tag.rpartition("}")[2]
        if element.text and element.text.strip():
            yield path, element.text.strip()
        for name, value in element.attrib.items():
            yield f"{path}@{name.rpartition('}')[2]}", value
        for child in element:
            yield from walk(child, path)

    yield from walk(ET.fromstring(text), "")


def sections(text: str, sign: str = "=") -> Iterator[Leaf]:
    """INI: ``Section.Key``; lines before the first section stand alone."""
    section = ""
    for line in text.splitlines():
        if found := re.match(r"\s*\[([^\]]+)\]", line):
            section = found[1] + "."
        elif sign in line:
            key, _, value = line.partition(sign)
            yield section + key.strip(), value.strip()


def hdf5(path: Path) -> Iterator[Leaf]:
    """Small data sets, and attributes after an @."""
    import h5py

    found: list[Leaf] = []

    def visit(name: str, item: Any) -> None:
        found.extend((f"{name}@{key}", _plain(value)) for key, value in item.attrs.items())
        if isinstance(item, h5py.Dataset) and item.size is not None and item.size <= 16:
            found.append((name, _plain(item[()])))

    with h5py.File(path) as file:
        visit("", file)
        file.visititems(visit)
    yield from found


def _plain(value: Any) -> Any:
    """The one element of an array of one; bytes as text."""
    if getattr(value, "size", 0) == 1:
        value = value.reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
