"""Blocks of TIA's files: the documents of an .emi file, each with the series it belongs to, and the series' heads."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diadem.errors import ReaderError
from diadem.hooks.fields import Block, look_up
from diadem.plugins.rosettasciio.layouts.local import LocalFile
from diadem.plugins.tia.emi import ObjectInfo, objects, parse
from diadem.plugins.tia.series import NoElements, Recorded, read_series

#: Elements whose own heads and tags are kept in a block; of longer series they stay in the file.
_MOST_ELEMENTS = 4096
#: Bytes of a series before its first array that are kept.
_LONGEST_HEAD = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """A series that the reader gives as a signal: its number in the name, its path, its head, the signal's number."""

    number: int
    path: str
    recorded: Recorded
    signal: int

    @property
    def tree(self) -> dict[str, Any]:
        """The head, in the words of the format's description."""
        recorded, series = self.recorded, self.recorded.series
        calibrations = ("X", "Y") if len(recorded.axes) > 1 else ("",)
        return {
            "SeriesVersion": series.version,
            "DataTypeID": series.kind,
            "TagTypeID": series.tag,
            "TotalNumberElements": series.total,
            "ValidNumberElements": series.valid,
            "Dimensions": [
                {
                    "DimensionSize": one.size,
                    "Description": one.description,
                    "Units": one.units,
                    **_told(one.calibration),
                }
                for one in recorded.dimensions
            ],
            **{
                f"{key}{axis}": value
                for axis, calibration in zip(calibrations, recorded.axes, strict=True)
                for key, value in _told(calibration).items()
            },
            "Time": recorded.stamps[0].time,
            "Time of the last element": recorded.stamps[-1].time,
        }


def _told(calibration: Any) -> dict[str, Any]:
    return {
        "CalibrationOffset": calibration.offset,
        "CalibrationDelta": calibration.delta,
        "CalibrationElement": calibration.element,
    }


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Cut the blocks of an .emi file and its series, or of a series alone.

    Parameters
    ----------
    path : str
        The .emi or .ser file.
    files : sequence of str
        All files of the dataset.

    Yields
    ------
    Block
        Documents in the order of the file, those shown only before the first recorded one as ``tia-survey``; heads of
        series, those without a document as ``tia-series``; then heads and tags of their elements.
    """
    described = path.lower().endswith(".emi")
    parts = list(_parts(files, alone=not described))
    joined: set[int] = set()
    for block in _documents(objects(path), parts) if described else ():
        joined.update(block.signals)
        yield block
    for part in parts:
        yield from _series_blocks(part, alone=part.signal not in joined)


def _parts(files: Sequence[str], *, alone: bool) -> Iterator[Part]:
    """Series among the files, in the reader's order; beside an .emi file those with a number of one digit."""
    signal = 0
    for path in sorted(file for file in files if file.lower().endswith(".ser")):
        number = Path(path).stem.rpartition("_")[2]
        if not alone and (len(number) != 1 or not number.isdecimal()):
            continue
        with LocalFile(path) as reader:
            try:
                recorded = read_series(reader, Path(path).name)
            except (NoElements, ReaderError):
                continue
        yield Part(int(number) if number.isdecimal() else -1, path, recorded, signal)
        signal += 1


def _documents(found: Sequence[ObjectInfo], parts: Sequence[Part]) -> Iterator[Block]:
    trees = [_tree(one) for one in found]
    linked = _linked(found, trees, parts)
    if not any("ExperimentalDescription" in trees[place] for place in linked):
        first = next((place for place, tree in enumerate(trees) if "ExperimentalDescription" in tree), -1)
        linked = {first: None}
    for place, (one, tree) in enumerate(zip(found, trees, strict=True)):
        part = linked.get(place)
        kind = "tia-object" if place in linked else "tia-document"
        if place < min(linked) and "AcquireDate" in tree:
            kind = "tia-survey"
        if part is not None:
            tree["ser"] = part.tree
        signals = () if part is None else (part.signal,)
        span = (one.start, one.end)
        yield Block(kind, tree, one.data, "application/xml", f"ObjectInfo[{place}]", signals=signals, byte_range=span)


def _tree(one: ObjectInfo) -> dict[str, Any]:
    """The document without its outermost element; empty where it is damaged."""
    try:
        tree = parse(one.data)["ObjectInfo"]
    except (ET.ParseError, KeyError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _linked(
    found: Sequence[ObjectInfo], trees: Sequence[Mapping[str, Any]], parts: Sequence[Part]
) -> dict[int, Part | None]:
    """Places of documents to the series that they belong to.

    By the path that stands before a document; where none does, in their order, if there are as many documents of
    spectra and of images as there are series of each.
    """
    by_number = {part.number: part for part in parts}
    named: dict[int, Part | None] = {
        place: by_number[one.series] for place, one in enumerate(found) if one.series in by_number
    }
    if named:
        return named
    for spectra, key in ((True, "Start"), (False, "StartX")):
        recorded = [part for part in parts if part.recorded.spectra is spectra]
        places = [place for place, tree in enumerate(trees) if look_up(tree, f"DetectorRange/{key}") is not None]
        places = places[-len(recorded) :] if _surveyed(trees, places, len(recorded)) else places
        if len(places) == len(recorded):
            named.update(zip(places, recorded, strict=True))
    return named


def _surveyed(trees: Sequence[Mapping[str, Any]], places: Sequence[int], wanted: int) -> bool:
    """Whether all documents but the wanted last ones are copies of other images: surveys."""
    extra = places[: len(places) - wanted] if wanted else []
    return bool(extra) and all("OriginalImageUuid" in trees[place] for place in extra)


def _series_blocks(part: Part, *, alone: bool) -> Iterator[Block]:
    """A series' head as a block, and what stands before and behind the arrays of its elements."""
    recorded, name = part.recorded, Path(part.path).name
    with LocalFile(part.path) as reader:
        end = recorded.starts[0] + recorded.before
        if end > _LONGEST_HEAD:
            end = recorded.series.described
        yield Block(
            "tia-series" if alone else "tia-head",
            part.tree,
            reader.read_at(0, end),
            "application/x-tia-series",
            name,
            part.path,
            (part.signal,),
            (0, end),
        )
        if len(recorded.starts) > _MOST_ELEMENTS:
            return
        pieces = []
        for start in recorded.starts:
            behind = start + recorded.before + recorded.length
            pieces += [reader.read_at(start, recorded.before), reader.read_at(behind, recorded.series.tail)]
        place = f"{name}, heads and tags of its {len(recorded.starts)} elements"
        yield Block("tia-elements", {}, b"".join(pieces), "application/x-tia-series", place, part.path, (part.signal,))
