"""TopSpin's sessions (.app5) opened: HDF5 with an XML document for each, its pictures, and its patterns one by one.

RosettaSciIO 0.15 reads the patterns into memory all at once, takes every calibration of a picture for nanometres, names
that of a pattern "Angle", and gives X to the rows. The type beside the numbers decides, in SI units: 55 um of a Merlin
chip at 2.8 m are the 2.1e-5 of its angle.
"""

from __future__ import annotations

import datetime as dt
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from math import prod
from pathlib import PurePosixPath
from typing import Any

import h5py

from diadem.hooks import times
from diadem.hooks.fields import Block, Found, Tree
from diadem.hooks.formats import Dictionary, Files, Opened, Signal, pieces
from diadem.model.layout import ArrayLayout
from diadem.terms.dates import clock, from_epoch, offset_of

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
#: Bytes of a document; they have some ten kilobytes.
_LONGEST = 8 << 20
#: Key of the times at which the session's objects were written, beside what the document says.
WRITTEN = "HDF5 object times"
#: Levels of a document that are read.
_DEEPEST = 40
#: Type of a calibration: the unit that is shown, and its factor from SI.
_TYPES = {"Position": ("nm", 1e9), "Angle": ("mrad", 1e3)}
#: Series are not longer than this.
_LONGEST_SERIES = dt.timedelta(days=3)
#: An object is written within so much of the moment that the document names.
_AT_ONCE = dt.timedelta(seconds=5)


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open all sessions of a file, in the order of RosettaSciIO."""
    file = h5py.File(files.hdf5(), "r")  # open as long as an array needs it
    signals = (_signal(files, file, place, name) for place, names in _sessions(file) for name in names)
    return Opened(signals, _blocks(file))


def _signal(files: Files, file: h5py.File, place: str, name: str) -> Signal:
    """A series of patterns, or a picture, of the session whose document is at this place."""
    text, item, array, data = _text(file[place]), file[name], None, None
    scanned = isinstance(item, h5py.Group)
    if scanned:
        from rsciio.topspin import _api

        axes = _api._get_4D_axes(item)  # noqa: SLF001 - where the beam stood is told pattern by pattern
        first = item[next(iter(item))]
        _calibrate(axes[-2:], element(first["Metadata"][()]).find("Calibration"))
        axes = [axis for axis in axes if axis["size"] != 1 or not axis["navigate"]]
        shape, each = tuple(int(axis["size"]) for axis in axes), first["Data"]
        stored = pieces(lambda number: item[f"{number}/Data"][()], (prod(shape[:-2]), *each.shape), each.dtype)
        data = stored.reshape(shape)
    else:
        axes = [{"name": axis, "size": size, "navigate": False} for axis, size in zip("yx", item.shape, strict=True)]
        values = element(text).iterfind(".//Value[@Serializer='ImageDataSerializer']")
        own = (value for value in values if value.findtext("Id") == name.rpartition("/")[2])
        _calibrate(axes, next((value.find("Calibration") for value in own), None))
        if (offset := item.id.get_offset()) is not None and not item.external:  # stored in one piece
            array = ArrayLayout.packed(files.entry, offset, item.dtype.str, item.shape)
        else:
            data = pieces(lambda number: item[number], item.shape, item.dtype)
    general = {"original_filename": PurePosixPath(files.entry).name, "title": document(text).get("Title", "")}
    signal = {"signal_type": "electron_diffraction" if scanned else ""}
    for number, axis in enumerate(axes):
        axis["index_in_array"] = number

    def told() -> Dictionary:
        from rsciio.topspin import _api

        tree = _api._parse_app5_xml(text.decode())  # noqa: SLF001 - all but the patterns, which its reader takes as well
        more = _api._parse_hspy_meta(tree, files.entry)  # noqa: SLF001
        more["General"] |= general
        return {"metadata": {**more, "Signal": signal}, "original_metadata": tree, "mapping": {}}

    return Signal(axes, data, array, {"General": general, "Signal": signal}, reader=told)


def _calibrate(axes: list[dict[str, Any]], calibration: ET.Element | None) -> None:
    """Give the axes y and x their scale, offset and unit; none where the type is not known."""
    for axis, name in zip(axes, "YX", strict=True):
        found = None if calibration is None else calibration.find(name)
        unit, factor = _TYPES.get("" if found is None else found.findtext("Type/Text") or "", ("", 0.0))
        axis.update(units=unit, scale=1.0, offset=0.0)
        if found is not None and factor:
            axis["scale"], axis["offset"] = (
                float(found.findtext(key) or "nan") * factor for key in ("Scale", "Offset")
            )


# -- blocks --------------------------------------------------------------------------------------------------------


def _blocks(file: h5py.File) -> Iterator[Block]:
    """The sessions' documents, with the numbers of their signals."""
    before = 0
    for place, names in _sessions(file):
        signals = range(before, before + len(names))
        before += len(names)
        dataset = file[place]
        if dataset.shape != () or dataset.id.get_storage_size() > _LONGEST:
            continue
        data = _text(dataset)
        tree = document(data)
        if tree:
            tree[WRITTEN] = _written(file, place.removesuffix("Metadata"))
            yield Block("topspin-session", tree, data, "application/xml", place, signals=tuple(signals))


def _text(dataset: h5py.Dataset) -> bytes:
    text = dataset[()]
    return text if isinstance(text, bytes) else str(text).encode()


def _sessions(file: h5py.File) -> Iterator[tuple[str, list[str]]]:
    """Paths of the documents, and of the arrays and series that each describes, in the order of the reader."""
    if "Metadata" in file:
        yield "Metadata", [name for name in file if _GUID.match(name)]
        return
    for top in file:
        if _GUID.match(top) and isinstance(file[top], h5py.Group) and "Metadata" in file[top]:
            yield f"{top}/Metadata", [f"{top}/{name}" for name in file[top] if _GUID.match(name)]


def _written(file: h5py.File, folder: str) -> dict[str, int]:
    """When the session's own objects were written, seconds since 1970 UTC: HDF5 keeps it with some objects."""
    found = {}
    for name in ("Version", "Thumbnail"):
        if folder + name in file and (seconds := h5py.h5o.get_info(file[folder + name].id).ctime):
            found[name] = int(seconds)
    return found


def document(data: bytes) -> dict[str, Any]:
    """A document as a tree; ``Item`` elements by their ``Name``. Empty for another kind of XML."""
    root = element(data)
    found = _value(root, 0)
    return found if isinstance(found, dict) and root.tag == "Metadata" else {}


def element(data: bytes) -> ET.Element:
    """The root of a document; its declaration may name an encoding that the text no longer has."""
    return ET.fromstring(re.sub(r"\A\s*<\?xml.*?\?>", "", data.decode("utf-8"), count=1))  # noqa: S314


def _value(element: ET.Element, depth: int) -> Any:
    """Text of an element, or a mapping of what it contains."""
    if not len(element) or depth > _DEEPEST:
        return element.text or ""
    inside: dict[str, Any] = {}
    for child in element:
        name, value = child.tag, child
        if child.tag == "Item" and (named := child.findtext("Name")) and (held := child.find("Value")) is not None:
            name, value = named, held
        inside.setdefault(name, _value(value, depth + 1))
    return inside


# -- times ---------------------------------------------------------------------------------------------------------


def _readings(tree: Tree, keys: Sequence[str]) -> Iterator[dict[str, dt.datetime]]:
    """The times of a document, month first and day first: started, ended and saved in this order, not weeks apart."""
    for order in ("%m/%d/%Y", "%d/%m/%Y"):
        with suppress(TypeError, ValueError):  # no such day, or no time of day
            written: Any = [(day, clock(hour)) for day, _, hour in (str(tree[key]).partition(" ") for key in keys)]
            found = [dt.datetime.combine(dt.datetime.strptime(day, order), hour) for day, hour in written]  # noqa: DTZ007
            if found == sorted(found) and found[-1] - found[0] <= _LONGEST_SERIES:
                yield dict(zip(keys, found, strict=True))


def _offset(tree: Tree, reading: Mapping[str, dt.datetime]) -> dt.timedelta | None:
    """Offset from UTC, where TopSpin wrote the session while it ran: its first object at the start, the picture last.

    A file into which sessions were gathered later has later times, which agree with none of the document's.
    """
    written = tree.get(WRITTEN) or {}
    offsets = set()
    for key, name in (("StartDateTime", "Version"), ("CreatedDateTime", "Thumbnail")):
        instant = from_epoch(written.get(name, 0))
        if instant is None or key not in reading:
            return None
        offset = offset_of(reading[key], instant)
        if offset is None or abs(reading[key].replace(tzinfo=dt.UTC) - instant - offset) > _AT_ONCE:
            return None
        offsets.add(offset)
    return offsets.pop() if len(offsets) == 1 else None


def acquired(tree: Tree) -> Iterator[Found]:
    """Start and end, where only one order of day and month can be, by themselves or by the file's own instants."""
    keys = [key for key in ("StartDateTime", "EndDateTime", "CreatedDateTime") if tree.get(key)]
    if not keys:
        return
    possible = list(_readings(tree, keys))
    possible = [reading for reading in possible if _offset(tree, reading) is not None] or possible
    if not possible or possible[0] != possible[-1]:
        readings = sorted(reading[keys[0]] for reading in possible)
        yield from times.moments("time.acquired_start", keys[0], tree.get(keys[0]), local=readings)
        return
    offset = _offset(tree, possible[0])
    for key, local in possible[0].items():
        field = {"StartDateTime": "time.acquired_start", "EndDateTime": "time.acquired_end"}.get(key)
        if field:
            instant = None if offset is None else (local - offset).replace(tzinfo=dt.UTC)
            yield from times.moments(field, key, tree[key], local=local, instant=instant)
