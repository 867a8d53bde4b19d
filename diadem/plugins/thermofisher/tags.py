"""Tags of FEI's microscopes: settings as INI text, a list of labels, or Thermo Fisher's XML; what they say together.

In the settings, sections `EBeam`, `IBeam` and `IRBeam` are the columns and the navigation camera; `Beam` names the one
that made the image.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from diadem.hooks import text as texts
from diadem.hooks.fields import Block, Found, Tree, look_up
from diadem.hooks.text import decode, positive
from diadem.hooks.tiff import Page, Tiff, cut, in_tags
from diadem.hooks.times import moments
from diadem.terms.dates import decided, exif, iso, moments_of
from diadem.terms.fields import ion_of

_KIND = "thermofisher-tiff"
#: Resolution of the image of a transmission microscope, which keeps the screen's in TIFF's own tags: X, Y, and unit
#: with TIFF's numbers (2 inch, 3 cm).
_RESOLUTION = {65450: "XResolution (65450)", 65451: "YResolution (65451)", 65452: "ResolutionUnit (65452)"}
#: Bytes at the end of a file in which the settings are looked for; they have some kilobytes, and lie behind the pixels.
_BEHIND = 1 << 18
_SETTINGS = re.compile(rb"\[User\]\r?\n?(?:Date|User|Time)\w*=[^\x00]*")
_TAGS = ("FEI_HELIOS", "FEI_TITAN", "FEI_SFEG")
#: A clock that was set in between, and the way through a time zone, are no disagreement.
_APART = dt.timedelta(hours=26)
_COLUMNS = ("EBeam", "IBeam", "IRBeam")
_CREATED = re.compile(r"(\d\d)\.(\d\d)\.(\d{4}) +(\d\d):(\d\d):(\d\d)")
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


# -- what the settings say of the column that made the image -----------------------------------------------------------


def _settings(tree: Tree) -> tuple[str, Mapping[str, Any]]:
    """Name of the tag with the INI text, and its sections."""
    for tag in _TAGS:
        sections = tree.get(tag)
        if isinstance(sections, Mapping) and ("Beam" in sections or "User" in sections or "System" in sections):
            return tag, sections
    return "", {}


def _column(sections: Mapping[str, Any]) -> str:
    """The column, or camera, that made the image: as `Beam` says, or the only one there is."""
    named = look_up(sections, "Beam/Beam")
    if named:
        return str(named)
    present = [name for name in _COLUMNS if name in sections]
    return present[0] if len(present) == 1 else ""


def _made_by(tree: Tree, column: str) -> bool:
    return _column(_settings(tree)[1]) == column


by_electrons = partial(_made_by, column="EBeam")
by_ions = partial(_made_by, column="IBeam")
by_camera = partial(_made_by, column="IRBeam")
by_unnamed = partial(_made_by, column="")


def camera_pixels(tree: Tree) -> Iterator[Found]:
    """Pixel size of the navigation camera, whose section has the field of view only."""
    tag, sections = _settings(tree)
    if any("PixelWidth" in sections.get(name, {}) for name in ("Scan", "EScan", "IScan")):
        return
    for direction, width, resolution in (("x", "HFW", "ResolutionX"), ("y", "VFW", "ResolutionY")):
        field, count = look_up(sections, f"{_column(sections)}/{width}"), look_up(sections, f"Image/{resolution}")
        if (length := positive(field)) and (pixels := positive(count)):
            key = f"{tag}/{_column(sections)}/{width} + {tag}/Image/{resolution}"
            yield Found(f"image.pixel_size_{direction}", length / pixels, key, [field, count], "m", "derived")


def ions(tree: Tree) -> Iterator[Found]:
    """Ions by the names of their source."""
    tag, sections = _settings(tree)
    for key, raw in sections.get("IBeam", {}).items():
        named = key in ("Source", "ColumnType") or "gas" in key.lower() or "species" in key.lower()
        if named and (ion := ion_of(raw)):
            yield Found("beam.species", ion, f"{tag}/IBeam/{key}", raw, status="derived")
            return


# -- what settings, XML and labels say together ------------------------------------------------------------------------


def is_transmission(tree: Tree) -> bool:
    """Whether it is a transmission microscope by its name."""
    keys = (f"{tag}/{key}" for tag in _TAGS for key in ("Metadata/Instrument/InstrumentClass", "Root/Microscope/Value"))
    return any(_TRANSMISSION.search(str(look_up(tree, key) or "")) for key in keys)


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
    yield from _by_settings(tree, local)
    for key, raw, moment in stamps:
        if moment.tzinfo is None:
            yield from moments("time.acquired_start", key, raw, local=moment)


def _by_settings(tree: Tree, other: dt.datetime | None) -> Iterator[Found]:
    """Local time of the image; another stamp of it decides where `TimeOfCreation` is missing."""
    tag, sections = _settings(tree)
    stamp = None
    if match := _CREATED.match(str(look_up(sections, "PrivateFei/TimeOfCreation") or "")):  # day first
        day, month, year, hour, minute, second = map(int, match.groups())
        with suppress(ValueError):
            stamp = dt.datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - no zone is stated
    date, clock = (str(look_up(sections, f"User/{name}") or "") for name in ("Date", "Time"))
    readings = moments_of(date, clock)
    local = decided(readings, same=stamp)
    if local is not None or stamp is None:
        key = f"{tag}/User/Date + {tag}/User/Time"
        yield from moments("time.acquired_start", key, f"{date} {clock}", local=local or readings, same=other)
    if stamp is not None and (local is None or abs(stamp - local) > _APART):  # two that disagree are both told
        key = f"{tag}/PrivateFei/TimeOfCreation"
        yield from moments("time.acquired_start", key, look_up(tree, key), local=stamp)


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
