"""EDAX's spectra, maps and lines opened, by EDAX's own documents, which RosettaSciIO publishes.

"Spectrum file format version 0.70" (SPECTRUM-V70.pdf), "IPR image description" (ImageIPR.pdf) and "SpcMap spd file
format" (SpcMap-spd.file.format.pdf). Counts lie flat behind the header; a map has its energies in a spectrum and its
pixels in an image description beside it.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from diadem.hooks.binary import Structure
from diadem.hooks.fields import Block, Found, Tree
from diadem.hooks.formats import Files, Opened, Signal, laid_out
from diadem.hooks.times import moments
from diadem.model.layout import ArrayLayout

#: Versions of spectra and of image descriptions that the documents describe; spectra of 0.57 and 0.58 are alike up to
#: the elements.
_SPECTRA = (0.5, 0.8)
_IMAGES = (333, 334)
_MAP = b"MAPSPECTRA_DATA"
#: Bytes of a spectrum or an image description; a map is larger, but its header is short.
_LARGEST, _MAP_HEADER = 1 << 20, 1068
#: NumPy's types of a map's counts, by their bytes.
_COUNTS = {1: "|u1", 2: "<u2", 4: "<u4"}
#: Channels of a spectrum, and elements that it can list.
_MOST_CHANNELS, _MOST_ELEMENTS = 1 << 15, 48
#: Bytes of a spectrum's header to the end of the elements' list.
SPECTRUM_SIZE = 736

_SPECTRUM, _IMAGE, _MAPS = (Structure("diadem.plugins.edax", name) for name in ("spc", "ipr", "spd"))
#: Whole numbers that stand for hundredths of a millimetre.
_HUNDREDTHS = ("intersectingDist", "workingDist", "scaleSetting")


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open a spectrum, or a map or line with its spectrum and image."""
    array = layout(files)
    end = array.end if array else 0
    return Opened(_signals(files, array if end <= files[files.entry].size else None), _blocks(files), end)


def layout(files: Files) -> ArrayLayout | None:
    """Where the counts lie; None where the header is not EDAX's, or its type of numbers unknown."""
    name = files.entry
    if name.lower().endswith(".spc"):
        header = read_spectrum(files[name].read_at(0, SPECTRUM_SIZE))
        return None if header is None else ArrayLayout.packed(name, header["dataStart"], "<u4", (header["numPts"],))
    header = read_map(files[name].read_at(0, _MAP_HEADER))
    if header is None or header["countBytes"] not in _COUNTS:
        return None
    size, shape = header["countBytes"], (header["nLines"], header["nPoints"], header["nChannels"])
    if name.lower().endswith(".lsd"):
        shape = 1, min(header["nSpectra"], header["nLines"] * header["nPoints"]), header["nChannels"]
    return ArrayLayout.packed(name, header["dataOffset"], _COUNTS[size], shape) if min(shape) > 0 else None


def _signals(files: Files, array: ArrayLayout | None) -> Iterator[Signal]:
    """The reader has the axes; it finds the files beside a map by their names."""
    if array and (found := laid_out(files.read({files.entry: [(0, array.offset)]}), [array])):
        yield from found
    else:
        yield from files.signals()


def _blocks(files: Files) -> Iterator[Block]:
    """Headers of the files: what stands before the counts, and of a spectrum behind them."""
    heads = {".spc": read_spectrum, ".ipr": read_image, ".spd": read_map, ".lsd": read_map}
    for name in dict.fromkeys([files.entry, *files]):
        suffix = PurePosixPath(name).suffix.lower()
        if suffix not in heads:
            continue
        data = files[name].read_at(0, _MAP_HEADER if suffix in (".spd", ".lsd") else _LARGEST)
        if (header := heads[suffix](data)) is None:
            continue
        file, folder = ("", "") if name == files.entry else (name, f"{PurePosixPath(name).name}/")
        kind = "edax-spd" if suffix == ".lsd" else f"edax-{suffix[1:]}"
        start = min(header.get("dataStart", len(data)), len(data))
        end = min(start + 4 * header.get("numPts", 0), len(data))
        yield Block(kind, header, data[:start], place=f"{folder}header", file=file, byte_range=(0, start))
        if end < len(data):
            yield Block(kind, {}, data[end:], place=f"{folder}footer", file=file, byte_range=(end, len(data)))


# -- headers -----------------------------------------------------------------------------------------------------------


def read_spectrum(data: bytes) -> dict[str, Any] | None:
    """The header of an ``.spc`` file; distances in mm; None where the file is no spectrum of EDAX."""
    if len(data) < SPECTRUM_SIZE:
        return None
    header = _SPECTRUM.read(data, text=_plain)
    known = _SPECTRA[0] <= header["fVersion"] < _SPECTRA[1] and SPECTRUM_SIZE <= header["dataStart"] < 1 << 16
    if not known or not 0 < header["numPts"] <= _MOST_CHANNELS:
        return None
    header |= {name: header[name] / 100 for name in _HUNDREDTHS}
    label = data[64:320]
    header["spectrumLabel"] = {"material": _plain(label[:40]), "sample": _plain(label[40:])}
    listed = min(max(header["numElem"], 0), _MOST_ELEMENTS)
    header["at"] = list(struct.unpack_from(f"<{listed}H", data, 640))
    return header


def read_image(data: bytes) -> dict[str, Any] | None:
    """The header of an ``.ipr`` file, ``accV`` in kV; None where the file is none."""
    header = _IMAGE.read(data, text=_plain) if len(data) >= _IMAGE.size else {"version": 0}
    if header["version"] not in _IMAGES:
        return None
    return {**header, "accV": header["accV"] / 10}


def read_map(data: bytes) -> dict[str, Any] | None:
    """The header of an ``.spd`` or ``.lsd`` file; None where the file is none."""
    return _MAPS.read(data, text=_plain) if len(data) >= _MAPS.size and data.startswith(_MAP) else None


def _plain(value: bytes) -> str:
    """A text up to its first zero, "" where that is no text but what was left in memory."""
    text = value.partition(b"\0")[0].strip()
    return text.decode("ascii") if text.isascii() and text.decode("ascii").isprintable() else ""


# -- what they mean ----------------------------------------------------------------------------------------------------


def acquired(tree: Tree) -> Iterator[Found]:
    """Year, day, month, minute, hour, hundredths, seconds, as MS-DOS has them."""
    names = ("Year", "Mon", "Day"), ("Hour", "Min", "Sec", "Hund")
    year, month, day = (int(tree[f"collectDate{name}"]) for name in names[0])
    hour, minute, second, hundredths = (int(tree[f"collectTime{name}"]) for name in names[1])
    local = dt.datetime(year, month, day, hour, minute, second, 10_000 * hundredths)  # noqa: DTZ001 - no zone is stated
    raw = f"{year}-{month}-{day} {hour}:{minute}:{second}.{hundredths:02d}"
    yield from moments("time.acquired_start", "collectDateYear + collectTimeMin", raw, local=local)
