"""Bruker's files opened: maps in ``.bcf`` containers, spectra in ``.spx``, whatever they are called.

Both hold XML, and RosettaSciIO has signals and axes, but for what is put right here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from diadem.hooks.fields import Block, Found, Tree, look_up
from diadem.hooks.formats import Dictionary, Files, Opened, Signal
from diadem.hooks.text import entries
from diadem.hooks.times import moments
from diadem.terms.dates import moment_of
from diadem.terms.fields import symbols_among

#: First bytes of the container, "AidAim SFS"; where it says the bytes of a chunk, and their number; bytes before them.
_CONTAINER = b"AAMVHFSS"
_CHUNK, _CHUNKS, _FIRST = 0x128, 0x148, 0x118
_HEADER = "EDSDatabase/HeaderData"
#: Bytes of the header, and of another stream, that are read.
_LARGEST_HEADER, _LARGEST_STREAM = 64 << 20, 64 << 10
#: Elements inside one another that are looked at, and characters of a text that is no picture or spectrum.
DEEPEST, LONGEST_TEXT = 64, 4096
#: Elements that hold data or tables, not what was done.
_DATA = frozenset({"Data", "Channels", "ResponseFunction", "Palette", "DetLayers"})
#: Where a detector's serial number stands, by kind of block.
_DETECTOR = "TRTSpectrum/TRTHeaderedClass/TRTDetectorHeader"
_SERIALS = {
    "bruker-map": f"TRTSpectrumDatabase/SpectrumData0/{_DETECTOR}/Serial",
    "bruker-spectrum": f"{_DETECTOR}/Serial",
}


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open a map or a spectrum: blocks are a map's header with the settings of its patterns, or a spectrum's XML."""
    head = files[files.entry].read_at(0, 512)
    size = 0
    if (is_map := head.startswith(_CONTAINER)) and len(head) >= _CHUNKS + 4:
        (chunk,), (chunks,) = (struct.unpack_from("<I", head, place) for place in (_CHUNK, _CHUNKS))
        size = _FIRST + chunk * chunks

    header = cache(partial(_header, files, head, is_map))  # the signals ask for it, and the record
    return Opened(_signals(files, header), _blocks(files, header, is_map), size)


def _header(files: Files, head: bytes, is_map: bool) -> Block | None:
    """The XML of a container's header; or a spectrum's, which is all metadata but for one list of counts."""
    if is_map:
        data = _content(_container(files).get_file(_HEADER), _LARGEST_HEADER)
        return Block("bruker-map", read_xml(data), data, "application/xml", _HEADER)
    if b"<TRTSpectrum>" in head:
        data = files[files.entry].read_at(0, _LARGEST_HEADER)
        return Block("bruker-spectrum", read_xml(data), place="XML", signals=(0,))
    return None


def _blocks(files: Files, header: Callable[[], Block | None], is_map: bool) -> Iterator[Block]:
    if (block := header()) is not None:
        yield block
    for name, item in _container(files).vfs.get("EBSDData", {}).items() if is_map else ():
        data = b"" if isinstance(item, dict) else _content(item, _LARGEST_STREAM)
        if data.startswith(b"<?xml") and b"<Data>" not in data:  # pictures are no settings
            tree = {}
            with suppress(ElementTree.ParseError):
                tree = read_xml(data)
            yield Block("bruker-ebsd", tree, data, "application/xml", f"EBSDData/{name}")


def _container(files: Files) -> Any:
    """Streams of a container; RosettaSciIO knows how they are put together."""
    from rsciio.bruker._api import SFS_reader

    return SFS_reader(files.path())


def _content(item: Any, most: int) -> bytes:
    """The bytes of a stream; none where it is too large to be metadata."""
    return bytes(item.get_as_BytesIO_string().getvalue()) if item.size <= most else b""


def _signals(files: Files, header: Callable[[], Block | None]) -> Iterator[Signal]:
    """RosettaSciIO 0.15 gives a map's pixels their height as width, and takes the serial ``8279_80`` for 827980."""
    serial = None
    with suppress(Exception):  # without it the signals are as good
        serial = (block := header()) and look_up(block.tree, _SERIALS[block.kind])
    for one in files.read():
        told = one["original_metadata"]
        if serial and "Serial" in told.get("Detector", {}):
            told["Detector"]["Serial"] = serial
        width = told.get("Microscope", {}).get("DX")
        for axis in one["axes"]:
            if axis["name"] == "width" and width is not None:
                axis["scale"] = width
        yield Signal.from_reader(one)


def load(path: str, lazy: bool = True) -> list[Dictionary]:
    """Read by RosettaSciIO, which goes by the suffix, by what the file is."""
    from rsciio.bruker._api import bcf_reader, spx_reader

    with Path(path).open("rb") as stream:
        is_map = stream.read(len(_CONTAINER)) == _CONTAINER
    signals: list[Dictionary] = (bcf_reader if is_map else spx_reader)(path, lazy=lazy)
    return signals


# -- XML, in which a ``ClassInstance`` is called what its type is ------------------------------------------------------


def read_xml(data: bytes) -> dict[str, Any]:
    """Parse a stream of Bruker's XML; pictures, spectra and long texts are left out, the attribute ``Name`` is not."""
    return _children(ElementTree.fromstring(data), 0)  # noqa: S314 - expat refuses what expands, and reads no other file


def _children(element: ElementTree.Element, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if name := element.get("Name"):
        found["Name"] = name
    for child in element if depth < DEEPEST else ():
        if child.tag in _DATA:
            continue
        key = child.get("Type", child.tag) if child.tag == "ClassInstance" else child.tag
        value = _children(child, depth + 1) if len(child) or child.get("Name") else (child.text or "").strip()
        if value == {} or (isinstance(value, str) and len(value) > LONGEST_TEXT):
            continue
        before = found.get(key)
        if isinstance(before, list):
            before.append(value)
        else:
            found[key] = value if before is None else [before, value]
    return found


# -- elements and times ------------------------------------------------------------------------------------------------


def map_elements(tree: Tree) -> Iterator[Found]:
    """Elements that were mapped; older versions have one unnamed list, newer ones also those of points and lines."""
    containers = entries(tree.get("TRTSpectrumDatabase"), "TRTContainerClass")
    inside = (container.get("ChildClassInstances") for container in containers)
    lists = [listed for children in inside for listed in entries(children, "TRTElementInformationList")]
    for listed in sorted(lists, key=lambda listed: listed.get("Name") != "MapElements")[:1]:
        regions = look_up(listed, "TRTSpectrumRegionList/ChildClassInstances")
        key = f"TRTSpectrumDatabase/TRTContainerClass/{listed.get('Name')}"
        yield from _elements(regions, "TRTSpectrumRegion", key)


def spectrum_elements(tree: Tree) -> Iterator[Found]:
    """Elements that were looked for."""
    key = "TRTSpectrum/TRTPSEElementList/ChildClassInstances"
    yield from _elements(look_up(tree, key), "TRTPSEElement", key)


def _elements(tree: Any, kind: str, key: str) -> Iterator[Found]:
    names = symbols_among(item.get("Name") for item in entries(tree, kind))
    if names:
        yield Found("sample.elements", names, key, names)


def acquired(header: Tree) -> Iterator[Found]:
    """Day, month and year; hours and minutes without zeros."""
    date, hour = str(header["Date"]), str(header["Time"])
    local = moment_of(date, ":".join(f"{int(part):02d}" for part in hour.split(":")))
    yield from moments("time.acquired_start", "Date + Time", f"{date} {hour}", local=local)
