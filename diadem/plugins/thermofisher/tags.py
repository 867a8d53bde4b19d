"""Tags of FEI's microscopes: settings as INI text, a list of labels, or Thermo Fisher's XML; what they say together."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from diadem.hooks import text as texts
from diadem.hooks.fields import Block, Found, Tree, look_up
from diadem.hooks.text import decode
from diadem.hooks.tiff import Page, Tiff, cut, in_tags
from diadem.hooks.times import moments
from diadem.plugins.thermofisher import settings
from diadem.terms.dates import exif, iso

_KIND = "thermofisher-tiff"
#: Resolution of the image of a transmission microscope, which keeps the screen's in TIFF's own tags: X, Y, and unit
#: with TIFF's numbers (2 inch, 3 cm).
_RESOLUTION = {65450: "XResolution (65450)", 65451: "YResolution (65451)", 65452: "ResolutionUnit (65452)"}
#: Bytes at the end of a file in which the settings are looked for; they have some kilobytes, and lie behind the pixels.
_BEHIND = 1 << 18
_SETTINGS = re.compile(rb"\[User\]\r?\n?(?:Date|User|Time)\w*=[^\x00]*")
_TAGS = ("FEI_HELIOS", "FEI_TITAN", "FEI_SFEG")
#: Transmission microscopes by the names that FEI and Thermo Fisher sell them under.
_TRANSMISSION = re.compile(
    r"\b(tecnai|titan|talos|themis|spectra|osiris|metrios|krios|glacios|arctica|tundra|halo|cm\s?\d{2,3})",
    re.IGNORECASE,
)


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Blocks of a TIFF file of FEI or Thermo Fisher; none of another."""
    del files
    found = False
    for block in cut(path, _KIND, _look):
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
        yield Block(_KIND, {"FEI_HELIOS": sections}, text, place="text at the end", byte_range=where)


def parse(data: bytes) -> Any:
    """A tag as a tree: sections of INI text, ``{"Root": {label: {"Value", "Unit"}}}`` of labels, XML by element."""
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


def _look(file: Tiff, page: Page, tree: dict[str, Any]) -> Iterator[Block]:
    """The tags of one page, with those of the image's own resolution."""
    try:
        yield from _IN_TAGS(file, page, tree)
    finally:
        tags = {name: page.tags[code] for code, name in _RESOLUTION.items() if code in page.tags} if tree else {}
        tree.update({name: numbers[0] for name, tag in tags.items() if (numbers := file.numbers(tag))})


_IN_TAGS = in_tags(_KIND, dict.fromkeys((34680, 34682, 34683), parse))


def _transmission(tree: Tree) -> tuple[str, str] | None:
    """The name of a transmission microscope and its key; None for others."""
    for tag in _TAGS:
        for key in (f"{tag}/Metadata/Instrument/InstrumentClass", f"{tag}/Root/Microscope/Value"):
            name = look_up(tree, key)
            if isinstance(name, str) and _TRANSMISSION.search(name):
                return name, key
    return None


def is_transmission(tree: Tree) -> bool:
    """Whether the instrument is a transmission microscope."""
    return _transmission(tree) is not None


def kind(tree: Tree) -> Iterator[Found]:
    """A transmission microscope by its name."""
    named = _transmission(tree)
    if named is not None:
        yield Found("instrument.kind", "tem", named[1], named[0], status="derived")


def acquired(tree: Tree) -> Iterator[Found]:
    """Start of the acquisition: the XML's where it has an offset, else the settings', else the XML's local time."""
    stamps = [
        (key, raw, moment)
        for tag in _TAGS
        for name in ("AcquisitionStartDatetime", "AcquisitionDatetime")
        if (raw := look_up(tree, key := f"{tag}/Metadata/Acquisition/{name}")) and (moment := iso(raw))
    ]
    for key, raw, moment in stamps:
        if moment.tzinfo is not None:
            yield from moments("time.acquired_start", key, raw, local=moment)
    local = next((moment.replace(tzinfo=None) for _, _, moment in stamps), None) or exif(tree.get("DateTime"))
    yield from settings.time(tree, local)
    for key, raw, moment in stamps:
        if moment.tzinfo is None:
            yield from moments("time.acquired_start", key, raw, local=moment)


def resolution(tree: Tree) -> Iterator[Found]:
    """Pixel size of a transmission image from the tags that mirror TIFF's resolution."""
    mode = look_up(tree, "FEI_HELIOS/Root/Mode/Value")
    lengths = {2: 0.0254, 3: 0.01}
    length = lengths.get(tree.get("ResolutionUnit (65452)", 0))
    if length is None or not isinstance(mode, str) or "diffraction" in mode.lower():
        return
    for direction, name in (("x", "XResolution (65450)"), ("y", "YResolution (65451)")):
        if tree.get(name):
            key = f"{name} + ResolutionUnit (65452)"
            yield Found(f"image.pixel_size_{direction}", length / tree[name], key, tree[name], "m", "derived")
