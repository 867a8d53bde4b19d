"""The four kinds of file of JEOL's Analysis Station: their headers, and where their pixels and events are.

Layouts as RosettaSciIO's JEOL reader has found them out.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from diadem.plugins.jeol.spectrum import COUNTS, read_spectrum
from diadem.plugins.jeol.tree import DamagedTree, read_tree, text_of
from diadem.terms.dates import from_ole

#: First four bytes, by kind of file.
_IMAGE, _MAP, _PROJECT = 52, 304, 0
#: Where events begin at this byte, not at 16384, the word that tells their length tells that of the whole file.
_LONG_HEAD = 32768
#: A tree begins this far behind the place that a header names.
_LEAD = 12
#: Bytes of a file that is read as a whole.
_LARGEST_SPECTRUM = 1 << 22


class NotJeol(ValueError):
    """The file is of another kind than its name says."""


@dataclass(frozen=True, slots=True)
class Header:
    """What one file says of itself.

    Attributes
    ----------
    kind : str
        ``image`` (``.img``, ``.map``), ``map`` (``.pts``), ``spectrum`` (``.eds``) or ``project`` (``.asw``).
    tree : dict
        The parsed header; a map's has its date as ``Date`` and a spectrum's is ``Header`` and ``Footer``.
    pieces : tuple of (int, int)
        First byte, and the one after the last, of what is not data.
    """

    kind: str
    tree: dict[str, Any]
    pieces: tuple[tuple[int, int], ...] = ()


def read_header(path: str) -> Header:
    """Read what a file says of itself, without its data.

    Parameters
    ----------
    path : str
        A file ending in ``.asw``, ``.img``, ``.map``, ``.pts`` or ``.eds``, in any case.

    Raises
    ------
    NotJeol
        Its first bytes, or its name, are another kind's.
    ValueError, struct.error
        It is damaged.
    """
    suffix = Path(path).suffix.lower()
    with Path(path).open("rb") as stream:
        if suffix == ".eds":
            return _spectrum(stream)
        magic = int.from_bytes(stream.read(4), "little") if os.fstat(stream.fileno()).st_size >= 4 else -1
        if (suffix, magic) == (".asw", _PROJECT):
            stream.seek(_LEAD)
            return Header("project", read_tree(stream))
        if suffix in (".img", ".map") and magic == _IMAGE:
            return _image(stream)
        if (suffix, magic) == (".pts", _MAP):
            return _map(stream)
    raise NotJeol(f"no {suffix or 'such'} file of JEOL")


def _spectrum(stream: BinaryIO) -> Header:
    size = os.fstat(stream.fileno()).st_size
    if size > _LARGEST_SPECTRUM:
        raise NotJeol("too large for a spectrum of JEOL")
    tree = read_spectrum(stream.read())
    if from_ole(tree["Header"]["filedate"]) is None:
        raise NotJeol("no date where a spectrum of JEOL has one")
    return Header("spectrum", tree, ((0, COUNTS), (COUNTS + 4 * tree["Header"]["NumCH"], size)))


def _image(stream: BinaryIO) -> Header:
    """An image or an element's map: a summary with a thumbnail, then the tree with the pixels."""
    stream.seek(44)
    (start,) = struct.unpack("<I", stream.read(4))
    stream.seek(start + _LEAD)
    tree = read_tree(stream)
    bits = tree["Image"]["Bits"]
    if not isinstance(bits, Mapping):
        raise DamagedTree("its pixels are of no known type")
    end = bits["offset"] + bits["count"] * int(bits["dtype"][2:])
    return Header("image", tree, ((0, bits["offset"]), (end, os.fstat(stream.fileno()).st_size)))


def _map(stream: BinaryIO) -> Header:
    """A map of events: a short header, the tree, then the events."""
    stream.seek(20)
    start, length, data, data_length = struct.unpack("<4I", stream.read(16))
    if data == _LONG_HEAD:
        data_length = max(0, data_length - data)
    group, memo = (text_of(stream.read(size).partition(b"\0")[0]) for size in (128, 132))
    (date,) = struct.unpack("<d", stream.read(8))
    stream.seek(start + _LEAD)
    tree = read_tree(stream)
    about = {"GroupName": group, "Memo": memo, "Date": date, "Data": {"offset": data, "bytes": data_length}}
    return Header("map", {**about, **tree}, ((0, max(start + length, stream.tell())),))


def members(project: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Paths of the files that a project lists, in its order, as parts below the project's folder.

    Raises
    ------
    NotJeol
        One leads out of the folder.
    """
    for sample in (project.get("SampleInfo") or {}).values():
        for view in (sample.get("ViewInfo") or {}).values() if isinstance(sample, Mapping) else ():
            for item in (view.get("ViewData") or {}).values() if isinstance(view, Mapping) else ():
                parts = tuple(part for part in str(item["Filename"]).split("\\") if part not in ("", "."))
                if not parts or any(part == ".." or "/" in part or ":" in part for part in parts):
                    raise NotJeol("a file that the project lists lies elsewhere")
                yield parts
