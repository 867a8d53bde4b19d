"""TIA's files opened: an .emi file with the series that lie beside it, or a series alone.

An .emi file is TIA's own binary form. It has one XML document, ``ObjectInfo``, for each image or spectrum. An object
that is recorded as a series has the path of its .ser file in the field before its document; an object without one is
shown only, such as the survey image of a map.
"""

from __future__ import annotations

import logging
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import PurePosixPath
from typing import Any

from diadem.errors import ReaderError
from diadem.hooks.fields import Block, Found, Tree, look_up
from diadem.hooks.formats import CutShort, Dictionary, Files, Opened, Signal
from diadem.hooks.times import moments
from diadem.model.ports import RangeReader
from diadem.plugins.tia.series import SPECTRA, Calibration, NoElements, Series, axes, layout, read_series, scattered
from diadem.terms.dates import c_time, from_epoch, offset_of

#: Elements whose own heads and tags are kept in a block; of longer series they stay in the file.
_MOST_ELEMENTS = 4096
#: Bytes of a series before its first array that are kept.
_LONGEST_HEAD = 1 << 20
_BEGIN, _END = b"<ObjectInfo>", b"</ObjectInfo>"
#: Objects that are looked at, and bytes of one document; real ones have 7 kB.
MAX_OBJECTS = 1024
MAX_DOCUMENT = 1 << 20
#: Bytes that are searched at once.
_WINDOW = 8 << 20
#: The end of a path, then a field of two bytes and the length of the document.
_PATH = re.compile(rb"_(\d{1,3})\.ser.{0,24}\Z", re.DOTALL | re.IGNORECASE)
_BACK = 64
#: Elements inside one another; real documents have five.
_DEEPEST = 32


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open an .emi file and its series, or a series.

    As in RosettaSciIO, whose reader is asked where this cannot tell, series beside an .emi file have a number of one
    digit; those that hold nothing are passed over.
    """
    dataset = _Dataset(files)
    return Opened(dataset.signals(), dataset.blocks(), dataset.promised())


@dataclass(frozen=True, slots=True)
class _Part:
    """A series that is a signal: its number in the name, the name, its head, the signal's number."""

    number: int
    name: str
    series: Series
    signal: int

    @property
    def tree(self) -> dict[str, Any]:
        """The head, in the words of the format's description."""
        series = self.series
        tree: dict[str, Any] = {
            "SeriesVersion": series.version,
            "DataTypeID": series.kind,
            "TagTypeID": series.tag,
            "TotalNumberElements": series.total,
            "ValidNumberElements": series.valid,
        }
        tree["Dimensions"] = [
            {"DimensionSize": of.size, "Description": of.description, "Units": of.units, **_calibration(of.calibration)}
            for of in series.dimensions
        ]
        directions = ("X", "Y") if len(series.calibrations) > 1 else ("",)
        for direction, calibration in zip(directions, series.calibrations, strict=True):
            tree |= _calibration(calibration, direction)
        return {**tree, "Time": series.stamps[0].time, "Time of the last element": series.stamps[-1].time}


def _calibration(calibration: Calibration, direction: str = "") -> dict[str, Any]:
    return {
        f"CalibrationOffset{direction}": calibration.offset,
        f"CalibrationDelta{direction}": calibration.delta,
        f"CalibrationElement{direction}": calibration.element,
    }


class _Dataset:
    """What the files hold; each head and document that can be read is parsed once."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.described = files.entry.lower().endswith(".emi")
        self.head = cache(lambda name: read_series(files[name], name))

    @cached_property
    def documents(self) -> Sequence[ObjectInfo]:
        """Documents of the .emi file."""
        return objects(self.files[self.files.entry]) if self.described else ()

    def _series(self) -> list[tuple[int, str]]:
        """Numbers and names of the series that are there, in the reader's order."""
        if not self.described:
            number = PurePosixPath(self.files.entry).stem.rpartition("_")[2]
            return [(int(number) if number.isdecimal() else -1, self.files.entry)]
        stem = PurePosixPath(self.files.entry).with_suffix("")
        listed = ((number, str(stem.with_name(f"{stem.name}_{number}.ser"))) for number in range(10))
        return [(number, name) for number, name in listed if name in self.files]

    def parts(self, *, strict: bool) -> Iterator[_Part]:
        """Series that hold anything; `strict` raises for one that cannot be read, else it is passed over."""
        signal = 0
        for number, name in self._series():
            try:
                series = self.head(name)
            except (NoElements, ReaderError) as error:
                if strict and not (self.described and isinstance(error, NoElements)):
                    raise
                continue
            yield _Part(number, name, series, signal)
            signal += 1

    def promised(self) -> int:
        """Bytes that a series must have; an .emi file says nothing of it."""
        try:
            return 0 if self.described else self.head(self.files.entry).end
        except (CutShort, NoElements) as error:
            return error.needed
        except ReaderError:
            return 0

    # -- signals ---------------------------------------------------------------------------------------------------

    def signals(self) -> Iterator[Signal]:
        """One for each series; by the reader alone, without calibration, where a series cannot be understood."""
        try:
            signals = [self._signal(part) for part in self.parts(strict=True)]
        except (OSError, ReaderError, ValueError, ET.ParseError, IndexError) as error:
            logging.getLogger(__name__).debug("%s: %r", self.files.entry, error)
            try:
                signals = [Signal.from_reader(_uncalibrated(one)) for one in self.files.read()]
            except Exception:
                raise error from None
        yield from signals

    def _signal(self, part: _Part) -> Signal:
        series = part.series
        described = axes(series, parse(self.documents[0].data) if self.described else None)
        shape = tuple(int(axis["size"]) for axis in described)
        array = layout(series, part.name, shape)
        return Signal(
            described,
            None if array else scattered(self.files[part.name], series, shape),
            array,
            {"General": {"original_filename": PurePosixPath(part.name).name}, "Signal": {"signal_type": ""}},
            reader=lambda: self._read[part.signal],
        )

    @cached_property
    def _read(self) -> Sequence[Dictionary]:
        """What RosettaSciIO says of the series."""
        parts = self.parts(strict=True)
        return self.files.read({part.name: part.series.headers(self.files[part.name].size) for part in parts})

    # -- blocks ----------------------------------------------------------------------------------------------------

    def blocks(self) -> Iterator[Block]:
        """Blocks for tables, and what is kept.

        Documents in the order of the file, those shown only before the first recorded one as ``tia-survey``; heads of
        series, those without a document as ``tia-series``; then heads and tags of their elements.
        """
        parts = [*self.parts(strict=False)]
        joined: set[int] = set()
        for block in self._documents(parts) if self.described else ():
            joined.update(block.signals)
            yield block
        for part in parts:
            yield from self._of_series(part, alone=part.signal not in joined)

    def _documents(self, parts: Sequence[_Part]) -> Iterator[Block]:
        trees = [_tree(one) for one in self.documents]
        linked = _linked(self.documents, trees, parts)
        if not any("ExperimentalDescription" in trees[place] for place in linked):
            first = next((place for place, tree in enumerate(trees) if "ExperimentalDescription" in tree), -1)
            linked = {first: None}
        for place, (one, tree) in enumerate(zip(self.documents, trees, strict=True)):
            part = linked.get(place)
            kind = "tia-object" if place in linked else "tia-document"
            if place < min(linked) and "AcquireDate" in tree:
                kind = "tia-survey"
            if part is not None:
                tree["ser"] = part.tree
            signals = () if part is None else (part.signal,)
            span = (one.start, one.start + len(one.data))
            yield Block(
                kind, tree, one.data, "application/xml", f"ObjectInfo[{place}]", signals=signals, byte_range=span
            )

    def _of_series(self, part: _Part, *, alone: bool) -> Iterator[Block]:
        """A series' head as a block, and what stands before and behind the arrays of its elements."""
        series, name, reader = part.series, PurePosixPath(part.name).name, self.files[part.name]
        media_type, signals = "application/x-tia-series", (part.signal,)
        end = series.starts[0] + series.before
        if end > _LONGEST_HEAD:
            end = series.described
        kind = "tia-series" if alone else "tia-head"
        yield Block(kind, part.tree, reader.read_at(0, end), media_type, name, part.name, signals, (0, end))
        if len(series.starts) > _MOST_ELEMENTS:
            return
        pieces = []
        for start in series.starts:
            behind = start + series.before + series.length
            pieces += [reader.read_at(start, series.before), reader.read_at(behind, series.tail)]
        place = f"{name}, heads and tags of its {len(series.starts)} elements"
        yield Block("tia-elements", {}, b"".join(pieces), media_type, place, part.name, signals)


def _uncalibrated(read: Dictionary) -> Dictionary:
    """A signal whose axes count: RosettaSciIO 0.15 gives offsets in another unit than scales."""
    axes = [
        axis
        if axis.get("navigate") is False and str(axis.get("name")) == "Energy"
        else {**axis, "scale": 1.0, "offset": 0.0, "units": ""}
        for axis in read["axes"]
    ]
    return {**read, "axes": axes}


def _tree(one: ObjectInfo) -> dict[str, Any]:
    """The document without its outermost element; empty where it is damaged."""
    try:
        tree = parse(one.data)["ObjectInfo"]
    except (ET.ParseError, KeyError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _linked(
    found: Sequence[ObjectInfo], trees: Sequence[Mapping[str, Any]], parts: Sequence[_Part]
) -> dict[int, _Part | None]:
    """Places of documents to the series that they belong to.

    By the path that stands before a document; where none does, in their order, if there are as many documents of
    spectra and of images as there are series of each.
    """
    by_number = {part.number: part for part in parts}
    named: dict[int, _Part | None] = {
        place: by_number[one.series] for place, one in enumerate(found) if one.series in by_number
    }
    if named:
        return named
    for spectra, key in ((True, "Start"), (False, "StartX")):
        recorded = [part for part in parts if part.series.spectra is spectra]
        places = [place for place, tree in enumerate(trees) if look_up(tree, f"DetectorRange/{key}") is not None]
        extra = places[: len(places) - len(recorded)] if recorded else []
        if extra and all("OriginalImageUuid" in trees[place] for place in extra):  # surveys, copies of other images
            places = places[-len(recorded) :]
        if len(places) == len(recorded):
            named.update(zip(places, recorded, strict=True))
    return named


# -- documents of an .emi file -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One document."""

    start: int
    data: bytes
    #: Number of its .ser file; -1 where none stands before it.
    series: int


def objects(reader: RangeReader) -> list[ObjectInfo]:
    """All documents of an .emi file, in its order; pixels between them, and those without an end, are passed over."""
    found: list[ObjectInfo] = []
    looked_at = 0
    for window in range(0, reader.size, _WINDOW):
        before = min(window, _BACK)
        content = reader.read_at(window - before, before + _WINDOW + MAX_DOCUMENT)
        place = content.find(_BEGIN, before)
        while 0 <= place < before + _WINDOW:
            if (looked_at := looked_at + 1) > MAX_OBJECTS:
                return found
            end = content.find(_END, place, place + MAX_DOCUMENT)
            if end >= 0:
                match = _PATH.search(content[max(0, place - _BACK) : place])
                number = int(match[1]) if match else -1
                found.append(ObjectInfo(window - before + place, content[place : end + len(_END)], number))
            place = content.find(_BEGIN, place + 1)
    return found


def parse(data: bytes) -> dict[str, Any]:
    """A document as a tree: ``{"ObjectInfo": {…}}``.

    Texts stand by their element's name, those of the description by their label as ``{"Value": …, "Unit": …}``. Of
    elements of one name the first stands.
    """
    if b"<!" in data:
        raise ET.ParseError("documents of TIA declare nothing")
    try:
        root = ET.fromstring(data)  # noqa: S314 - without a DOCTYPE there are no entities to expand
    except ET.ParseError:
        root = ET.fromstring(data.decode("cp1252", "replace"))  # noqa: S314
    return {root.tag: _element(root, 0)}


def _element(element: ET.Element, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ET.ParseError("elements too deep inside one another")
    if element.tag == "ExperimentalDescription":
        return _description(element)
    if not len(element):
        return element.text or ""
    tree: dict[str, Any] = {}
    for child in element:
        tree.setdefault(child.tag, _element(child, depth + 1))
    return tree


def _description(element: ET.Element) -> dict[str, Any]:
    """Labels, values and units."""
    described: dict[str, Any] = {}
    for data in element.iter("Data"):
        label = (data.findtext("Label") or "").strip()
        if label:
            value, unit = (data.findtext(name) or "" for name in ("Value", "Unit"))
            described.setdefault(label, {"Value": value.strip(), "Unit": unit.strip()})
    return described


# -- what of them is no data ---------------------------------------------------------------------------------------

#: Relative difference of a scale and a number with two digits behind the point.
_SAME_SCALE = 1e-2


def energy_loss(tree: Tree) -> bool:
    """Whether it is a spectrum of the filter: its scale is the dispersion that is selected."""
    selected = look_up(tree, "ExperimentalDescription/Filter selected dispersion/Value")
    scale = look_up(tree, "ser/CalibrationDelta")
    if selected is None or scale is None or look_up(tree, "ser/DataTypeID") != SPECTRA:
        return False
    return abs(float(scale) - float(selected)) <= _SAME_SCALE * abs(float(scale))


def spectra(tree: Tree) -> bool:
    """Whether it describes spectra: by its series, or where none is joined to it by what only spectra have."""
    kind = look_up(tree, "ser/DataTypeID")
    if kind is not None:
        return bool(kind == SPECTRA)
    return any(look_up(tree, key) is not None for key in ("AcquireInfo/ShapingTime", "DetectorRange/Start"))


def energy_loss_spectrum(tree: Tree) -> Iterator[Found]:
    """The technique of such a spectrum, by what both places say."""
    key = "ExperimentalDescription/Filter selected dispersion/Value"
    yield Found("signal.technique", "EELS", f"{key} + ser/CalibrationDelta", look_up(tree, key), status="derived")


def stepped(tree: Tree) -> Iterator[Found]:
    """Dwell time of a camera that takes one picture at each place."""
    if exposure := look_up(tree, "AcquireInfo/DwellTimePath"):
        yield Found("scan.dwell_time", exposure, "AcquireInfo/DwellTimePath", exposure, "s", status="derived")


def acquired(tree: Tree) -> Iterator[Found]:
    """Start by both clocks, end by that of the series; of an image that no series holds the document's start."""
    raw = look_up(tree, "AcquireDate")
    local = c_time(raw) if isinstance(raw, str) else None
    first, last = (from_epoch(look_up(tree, f"ser/{key}") or 0) for key in ("Time", "Time of the last element"))
    if local is not None and first is not None:
        both = f"{raw} + {look_up(tree, 'ser/Time')}"
        yield from moments("time.acquired_start", "AcquireDate + ser/Time", both, local=local, instant=first)
    elif local is not None:
        yield from moments("time.acquired_start", "AcquireDate", raw, local=local)
    elif first is not None:
        yield from moments("time.acquired_start", "ser/Time", look_up(tree, "ser/Time"), instant=first)
    if first is not None and last is not None and last > first:
        offset = offset_of(local, first) if local is not None else None
        wall = None if offset is None else (last + offset).replace(tzinfo=None)
        key = "ser/Time of the last element"
        yield from moments("time.acquired_end", key, look_up(tree, key), local=wall, instant=last)


def acquired_alone(tree: Tree) -> Iterator[Found]:
    """The same of a series without its .emi file."""
    for found in acquired({"ser": tree}):
        yield replace(found, key=found.key.removeprefix("ser/"))
