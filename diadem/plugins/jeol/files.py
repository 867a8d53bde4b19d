"""JEOL's Analysis Station opened: projects (.asw), images (.img, .map), maps of events (.pts) and spectra (.eds).

RosettaSciIO decodes a map's events to tell its shape; here it is asked for them when they are wanted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from diadem.errors import ReaderError
from diadem.hooks.fields import Block
from diadem.hooks.formats import CutShort, Dictionary, Files, Opened, Signal, axis, cut_short, made_later
from diadem.model.layout import ArrayLayout
from diadem.model.ports import RangeReader
from diadem.plugins.jeol.headers import COUNTS, Damaged, NotJeol, Outside, members, read_header

#: Channels of a map, whatever its detector has.
_CHANNELS = 4096
#: Type of its counts, as the reader gives them when it is lazy.
_COUNTED = "<u2"
#: Acceleration voltage in kV up to which RosettaSciIO takes an instrument for a scanning one.
_SCANNING = 30.0
#: Suffixes that RosettaSciIO reads in a project; it passes over others.
_READ = frozenset({".img", ".map", ".pts", ".eds"})
#: Bytes of a map that are decoded at once.
_CHUNK = 32 << 20
#: Words of events that are looked at for a picture: 8 MB, some frames of 512 x 512 pixels.
_WORDS = 4 << 20
#: Upper four bits of a word, and what the lower twelve are then: a column, a row, the channel of an X-ray. Columns and
#: rows count in 4096ths of the field, as RosettaSciIO's JEOL reader has found out.
_KIND, _VALUE = 0xF000, 0x0FFF
_COLUMN, _ROW, _XRAY = 0x8000, 0x9000, 0xB000
_FIELD = 4096


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open a file, or a project and the files that it lists; what cannot be understood the reader is asked for."""
    found = _Found(files)
    return Opened(found.signals(), found.blocks())


class _Found:
    """What the files hold; each header is parsed once."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.header = cache(lambda name: read_header(self._reader(name), name))

    def _reader(self, name: str) -> RangeReader:
        """A file; one that the project lists may be a dataset of its own, where a folder has several projects."""
        if name in self.files:
            return self.files[name]
        from diadem.extract.opening import LocalFile

        place = self._beside(name)
        if not place.is_file():
            raise ReaderError(f"'{name}', which the project lists, is not there", where=self.files.entry)
        return LocalFile(place)

    def _beside(self, name: str) -> Path:
        return Path(self.files.path()).parent / PurePosixPath(name).relative_to(PurePosixPath(self.files.entry).parent)

    def names(self) -> list[str]:
        """Files that hold signals: the one that was opened, or those of the project in its order."""
        entry = self.files.entry
        header = self.header(entry)
        if header.kind != "project":
            return [entry]
        known = {name.casefold(): name for name in self.files}
        listed = (parts for parts in members(header.tree) if PurePosixPath(parts[-1]).suffix.lower() in _READ)
        names = (str(PurePosixPath(entry).parent.joinpath(*parts)) for parts in listed)
        return [known.get(name.casefold(), name) for name in names]

    # -- signals ---------------------------------------------------------------------------------------------------

    def signals(self) -> Iterator[Signal]:
        """One for each file; by the reader alone where one of them cannot be understood."""
        issues: list[Mapping[str, Any]] = []
        try:
            signals = [self._signal(name, number) for number, name in enumerate(self.names())]
        except Outside:
            raise
        except (ReaderError, AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            logging.getLogger(__name__).debug("%s: %r", self.files.entry, error)
            try:
                signals = [Signal.from_reader(one) for one in self.files.read()]
            except Exception:
                raise error from None
            if isinstance(error, CutShort):
                issues.append(cut_short(error.where or self.files.entry, error.message))
        for signal in signals:
            yield replace(signal, issues=[*signal.issues, *issues])
            issues = []

    def _signal(self, name: str, number: int) -> Signal:
        header = self.header(name)
        made = {"image": _image, "map": _map, "spectrum": _spectrum}[header.kind](header.tree, name)
        issues = _missing_events(name, header.tree, self._reader(name).size) if header.kind == "map" else []
        if made.array is None or name not in self.files:
            shape = tuple(int(axis["size"]) for axis in made.axes)
            dtype = made.array.dtype if made.array else _COUNTED
            rows = max(1, _CHUNK // max(1, prod(shape[1:]) * int(dtype[2:])))
            data = made_later(lambda: self._read[number]["data"], shape, dtype, (rows, *shape[1:]))
            made = replace(made, array=None, data=data)
        return replace(made, issues=issues, reader=lambda: self._read[number])

    @cached_property
    def _read(self) -> Sequence[Dictionary]:
        """What RosettaSciIO says of the files; of images and spectra it needs what is not the array."""
        headers = {name: self.header(name) for name in self.names()}
        if any(header.kind == "map" or name not in self.files for name, header in headers.items()):
            return self.files.read()
        return self.files.read({name: header.pieces for name, header in headers.items()})

    # -- blocks ----------------------------------------------------------------------------------------------------

    def blocks(self) -> Iterator[Block]:
        """``jeol-project``, ``jeol-image``, ``jeol-map``, ``jeol-spectrum``: all but pixels, counts and events.

        The bytes before the data with the tree, and those behind the data. Of a file that is a dataset of its own only
        what it states: the bytes are kept there.
        """
        try:
            header = self.header(self.files.entry)
        except NotJeol:
            return
        if header.kind == "project":
            yield Block("jeol-project", header.tree, place="project")
        for number, name in enumerate(self.names()):
            within = f"{PurePosixPath(name).name}/" if header.kind == "project" else ""
            if name not in self.files and not self._beside(name).is_file():
                continue
            other = self.header(name)
            kind, place = f"jeol-{other.kind}", f"{within}header"
            if name not in self.files:
                yield Block(kind, other.tree, place=place, signals=(number,))
                continue
            file = name if within else ""
            for piece, (start, end) in enumerate(other.pieces):
                data = self.files[name].read_at(start, end - start)
                tree, place = ({}, f"{within}footer") if piece else (other.tree, place)
                yield Block(kind, tree, data, place=place, file=file, signals=(number,), byte_range=(start, end))


def _image(tree: Mapping[str, Any], name: str) -> Signal:
    """An image or an element's map."""
    width, height = (int(length) for length in tree["Image"]["Size"])
    bits = tree["Image"]["Bits"]
    if bits["count"] != width * height or min(width, height) < 1:
        raise Damaged("its pixels are not as many as its size says", where=name)
    field = tree["Instrument"]["ScanSize"] / tree["Instrument"]["Mag"] * 1e3
    array = ArrayLayout.packed(name, bits["offset"], bits["dtype"], (height, width))
    axes = [axis("y", height, field / height, 0, "µm"), axis("x", width, field / width, 0, "µm")]
    return Signal(axes, array=array, metadata=_metadata(name, str(tree["Image"]["Title"])))


def _map(tree: Mapping[str, Any], name: str) -> Signal:
    """A map of events, as the sum of its frames, which is in no file."""
    measured = tree["PTTD Data"]["AnalyzableMap MeasData"]
    document = measured["Doc"]
    width, height = (int(length) for length in measured["Meas Cond"]["Pixels"].split("x"))
    field = tree["PTTD Param"]["Params"]["PARAMPAGE0_SEM"]["ScanSize"] / measured["MeasCond"]["Mag"] * 1e3
    zero = tree["PTTD Param"]["Params"]["PARAMPAGE1_EDXRF"]["Tpl"][measured["Meas Cond"]["Tpl"]]["DigZ"]
    scale = document["CoefA"]
    axes = [
        axis("y", height, field / height, 0, "µm", navigate=True),
        axis("x", width, field / width, 0, "µm", navigate=True),
        axis("Energy", _CHANNELS, scale, document["CoefB"] - scale * zero, "keV"),
    ]
    title = f"EDS extracted from {PurePosixPath(name).name}"
    return Signal(axes, metadata=_metadata(name, title, measured["MeasCond"]["AccKV"]))


def _spectrum(tree: Mapping[str, Any], name: str) -> Signal:
    header = tree["Header"]
    return Signal(
        [axis("Energy", header["NumCH"], header["CoefA"], header["CoefB"], "keV")],
        array=ArrayLayout.packed(name, COUNTS, "<i4", (header["NumCH"],)),
        metadata=_metadata(name, "EDX", tree["Footer"]["Parameters"]["AccKV"]),
    )


def _metadata(name: str, title: str, kilovolts: float | None = None) -> dict[str, Any]:
    """Title and, of spectra, type of signal."""
    signal = {}
    if kilovolts is not None:
        kind = "EDS_SEM" if kilovolts <= _SCANNING else "EDS_TEM"
        signal = {"quantity": "X-rays (Counts)", "signal_type": kind}
    return {"General": {"original_filename": PurePosixPath(name).name, "title": title}, "Signal": signal}


def _missing_events(name: str, tree: Mapping[str, Any], size: int) -> list[dict[str, Any]]:
    """Where events are missing; a map without a whole frame, to which the reader gives another type, is left to it."""
    data, there = tree["Data"], size - tree["Data"]["offset"]
    if there < 2 or tree["PTTD Data"]["AnalyzableMap MeasData"]["Doc"]["Sweep"] < 1:
        raise Damaged("it has no whole frame of events", where=name)
    why = f"{data['bytes']} bytes of events are promised, {there} there"
    return [cut_short(name, why)] if there < data["bytes"] else []


# -- pictures ------------------------------------------------------------------------------------------------------


def draw(path: str, files: Sequence[str], signals: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ARG001
    """A map of events that stands alone: how many X-rays came from each place; a project has pictures of its own."""
    if Path(path).suffix.lower() != ".pts" or not signals:
        return None
    rows, columns = signals[0]["data"].shape[:2]
    (offset,) = np.fromfile(path, "<u4", 1, offset=28)
    counts = counted(path, int(offset), rows, columns)
    return counts if counts.any() else None


def counted(path: str, offset: int, rows: int, columns: int) -> Any:
    """X-rays by place, in the first frames."""
    words = np.fromfile(path, "<u2", _WORDS, offset=offset)
    kinds, values = words & _KIND, (words & _VALUE).astype(np.int64)
    order = np.arange(len(words))
    x, y = (
        values[np.maximum.accumulate(np.where(kinds == kind, order, 0))] * size // _FIELD
        for kind, size in ((_COLUMN, columns), (_ROW, rows))
    )
    seen = kinds == _XRAY
    return np.bincount(y[seen] * columns + x[seen], minlength=rows * columns).reshape(rows, columns)
