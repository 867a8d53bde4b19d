"""Tags of FEI's microscopes: settings as INI text, as a list of labels, or as Thermo Fisher's XML."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from diadem.hooks import text as texts
from diadem.hooks.fields import Block
from diadem.hooks.text import decode
from diadem.hooks.tiff import Page, Tiff
from diadem.hooks.tiff_blocks import Vendor, cut

#: Resolution of the image of a transmission microscope, which keeps the screen's in TIFF's own tags: X, Y, and unit
#: with TIFF's numbers (2 inch, 3 cm).
_RESOLUTION = {65450: "XResolution (65450)", 65451: "YResolution (65451)", 65452: "ResolutionUnit (65452)"}

#: Bytes at the end of a file in which the settings are looked for; they have some kilobytes, and lie behind the pixels.
_BEHIND = 1 << 18
_SETTINGS = re.compile(rb"\[User\]\r?\n?(?:Date|User|Time)\w*=[^\x00]*")


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Blocks of a TIFF file of FEI or Thermo Fisher; none of another.

    Parameters
    ----------
    path : str
        The file.
    files : sequence of str
        Not asked: everything is in the file.
    """
    del files
    found = False
    for block in cut(path, Vendor("thermofisher-tiff", dict.fromkeys((34680, 34682, 34683), parse), _resolution)):
        found = True
        yield block
    if not found:
        yield from _behind(path)


def _behind(path: str) -> Iterator[Block]:
    """The settings at the end of a file whose directories are damaged, so that no tag leads to them."""
    with Path(path).open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _BEHIND))
        tail = stream.read()
    match = _SETTINGS.search(tail)
    if match is None:
        return
    text = match[0].rstrip(b"\x00 \t\r\n")
    start = size - len(tail) + match.start()
    where = (start, start + len(text))
    sections = parse(text)
    if {"Beam", "System"} & set(sections):
        yield Block("thermofisher-tiff", {"FEI_HELIOS": sections}, text, place="text at the end", byte_range=where)


def parse(data: bytes) -> Any:
    """A tag as a tree.

    Returns
    -------
    mapping
        INI: ``{section: {key: value}}``. Labels: ``{"Root": {label: {"Value", "Unit"}}}``. XML: by element.
    """
    stripped = data.strip(b"\x00 \t\r\n")
    if not stripped.startswith(b"<"):
        return {name: section for name, section in texts.ini(decode(stripped)).items() if section}
    root, tree = texts.xml(stripped)
    return {root: _labels(tree) if root == "Root" else tree}


def _labels(tree: Any) -> dict[str, Mapping[str, Any]]:
    """The list of labels as a mapping; of two with one label the first that has a value."""
    found: dict[str, Mapping[str, Any]] = {}
    for entry in texts.entries(tree, "Data"):
        label = str(entry.get("Label", ""))
        if label and not found.get(label, {}).get("Value"):
            found[label] = {"Value": entry.get("Value", ""), "Unit": entry.get("Unit", "")}
    return found


def _resolution(file: Tiff, page: Page) -> Mapping[str, Any]:
    """Tags of the image's own resolution."""
    tags = {name: page.tags[code] for code, name in _RESOLUTION.items() if code in page.tags}
    return {name: numbers[0] for name, tag in tags.items() if (numbers := file.numbers(tag))}
