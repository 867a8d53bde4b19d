"""What lies beside an MRC stack: SerialEM's lists of sections and the settings of Direct Electron's cameras.

A list (``.mdoc``) has ``key = value`` in lines and sections in brackets; keys and units: SerialEM's help, "About the
Image Metadata Output File". Settings (``<name>_info.txt``, or attributes of a DE5 file) have units in their names; -1
means not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from diadem.hooks.binary import head_of
from diadem.hooks.fields import Block, Found, Tree
from diadem.hooks.formats import Files, Opened
from diadem.hooks.hdf5 import Left, attributes
from diadem.hooks.text import decode, ini, positive
from diadem.hooks.times import moments
from diadem.terms.dates import c_time, from_epoch, moment_of

#: Bytes of a text that are read.
_LONGEST = 16 << 20
_SECTION = re.compile(r"\[(ZValue|FrameSet|MontSection|Image)\s*=\s*(.*?)\s*\]")
_TITLE = re.compile(r"\[T\s*=\s*(.*?)\s*\]")
#: Sections that are kept in the tree; a tilt series has about a hundred.
_MOST = 10_000
#: One of these is in every text of settings.
_OWN = ("Server Software Version", "Camera Model")
#: Groups and datasets of a DE5 file that are looked at.
_MOST_OBJECTS = 1000


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open a list whose stack is not there: the stack is a file of its own."""
    return Opened(blocks=blocks(files))


def blocks(files: Files) -> Iterator[Block]:
    """``serialem-mdoc`` and ``de-settings`` of the texts among a dataset's files."""
    kinds = {".mdoc": ("serialem-mdoc", mdoc), "_info.txt": ("de-settings", settings)}
    for name in files:
        kind, parse = next((kinds[end] for end in kinds if name.lower().endswith(end)), ("", mdoc))
        if kind and (tree := parse(files[name].read_at(0, _LONGEST))):
            yield Block(kind, tree, file="" if name == files.entry else name)


# -- SerialEM's lists ----------------------------------------------------------------------------------------------


def is_mdoc(path: str) -> bool:
    """Whether a file is such a list."""
    return bool(mdoc(head_of(path, 1 << 16)))


def mdoc(data: bytes) -> dict[str, Any]:
    """A list as a tree: keys before the first section, ``Titles``, and ``Sections``; none where it has no section."""
    top: dict[str, Any] = {}
    titles: list[str] = []
    sections: list[dict[str, str]] = []
    place: dict[str, Any] = top
    for line in decode(data).splitlines():
        if section := _SECTION.match(line):
            if len(sections) == _MOST:
                break
            place = {section[1]: section[2]}
            sections.append(place)
        elif title := _TITLE.match(line):
            titles.append(title[1])
        elif line.startswith("["):
            place = {}
        else:
            key, equals, value = line.partition("=")
            if equals and key.strip():
                place.setdefault(key.strip(), value.strip())
    return {**top, "Titles": titles, "Sections": sections} if sections else {}


def section_times(tree: Tree) -> Iterator[Found]:
    """Times of the first and of the last section, where all stand in the order in which they were taken.

    A list that has been sorted by tilt is an edited one, from which sections are often taken out: its earliest need not
    be the first of the series.
    """
    sections: list[Mapping[str, str]] = tree["Sections"]
    written = [section.get("DateTime", "").strip().partition(" ") for section in sections]
    taken = [moment_of(day, clock) for day, _, clock in written]  # 03-May-23  13:59:32
    known = [local for local in taken if local is not None]
    if len(known) < len(taken) or known != sorted(known):
        return
    for field, place in (("time.acquired_start", 0), ("time.acquired_end", len(known) - 1)):
        if field == "time.acquired_start" or place:
            key = f"Sections/{place}/DateTime"
            yield from moments(field, key, sections[place]["DateTime"], local=known[place])


# -- settings of Direct Electron's cameras -------------------------------------------------------------------------


def settings(data: bytes) -> dict[str, str]:
    """Names and values; none where the text is another's."""
    found = ini(decode(data)).get("", {})
    return found if all(name in found for name in _OWN) else {}


def pixel_sizes(tree: Tree) -> dict[str, float]:
    """Pixel sizes at the sample in nm, by axis; those that are not known are left out."""
    found = {axis: positive(tree.get(f"Specimen Pixel Size {axis.upper()} (nanometers)")) for axis in "xy"}
    return {axis: size for axis, size in found.items() if size is not None}


def settings_times(tree: Tree) -> Iterator[Found]:
    """Seconds since 1970, and where it stands beside them the same in local time."""
    key, beside = "Timestamp (seconds since Epoch)", "Local time"
    raw: Any = tree[key]
    instant, said = from_epoch(float(raw)), str(tree.get(beside, ""))
    yield from moments("time.acquired_start", key, raw, instant=instant)
    for found in moments("", f"{beside} + {key}", f"{said}, {raw}", local=c_time(said), instant=instant):
        if found.field == "time.utc_offset":
            yield found


def in_de5(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001 - every cutter is called so
    """Groups of a DE5 file whose attributes are such settings; nothing of another file."""
    if not path.lower().endswith(".de5"):
        return
    import h5py

    found: list[Block] = []
    left = Left(_MOST_OBJECTS)

    def visit(name: str, item: Any) -> bool | None:
        if any(mark in item.attrs for mark in _OWN):
            tree = {key: str(value) for key, value in attributes(item).items()}
            found.append(Block("de-settings", tree, place=name))
        return None if left.take() else True

    with h5py.File(path, "r") as file:
        visit("", file)
        file.visititems(visit)
    yield from found
