"""FEI's and Thermo Fisher's extended headers of kind FEI1 and FEI2: one record for each section.

Members, units and the masks that say which members are filled in: "MRC2014 Extended Header" of the EPU user manual, as
mrcfile and Scipion list it. HAADFscan.mrc agrees: Full scan FOV X 1.4538576 µm / 256 = Pixel size X, which is the
header's cell over its counts; Scan size right 256 x bottom 256; HT 300000 of a Spectra.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

from diadem.hooks.fields import Found, Tree
from diadem.hooks.times import moments
from diadem.terms.dates import from_ole

#: Members of the first 768 bytes: name and code of `struct`. The members between two masks have a bit each in the first
#: of the two, but the sizes and masks themselves; "6x" are six members without a name.
_MEMBERS: Sequence[tuple[str, str]] = (
    ("Metadata size", "i"), ("Metadata version", "i"), ("Bitmask 1", "I"), ("Timestamp", "d"),
    ("Microscope type", "16s"), ("D-Number", "16s"), ("Application", "16s"), ("Application version", "16s"),
    ("HT", "d"), ("Dose", "d"), ("Alpha tilt", "d"), ("Beta tilt", "d"), ("X-Stage", "d"), ("Y-Stage", "d"),
    ("Z-Stage", "d"), ("Tilt axis angle", "d"), ("Dual axis rotation", "d"), ("Pixel size X", "d"),
    ("Pixel size Y", "d"), *((f"Unused {number}", "d") for number in range(1, 7)), ("Defocus", "d"),
    ("STEM Defocus", "d"), ("Applied defocus", "d"), ("Instrument mode", "i"), ("Projection mode", "i"),
    ("Objective lens mode", "16s"), ("High magnification mode", "16s"), ("Probe mode", "i"), ("EFTEM On", "?"),
    ("Magnification", "d"), ("Bitmask 2", "I"), ("Camera length", "d"), ("Spot index", "i"),
    ("Illuminated area", "d"), ("Intensity", "d"), ("Convergence angle", "d"), ("Illumination mode", "16s"),
    ("Wide convergence angle range", "?"), ("Slit inserted", "?"), ("Slit width", "d"),
    ("Acceleration voltage offset", "d"), ("Drift tube voltage", "d"), ("Energy shift", "d"), ("Shift offset X", "d"),
    ("Shift offset Y", "d"), ("Shift X", "d"), ("Shift Y", "d"), ("Integration time", "d"), ("Binning Width", "i"),
    ("Binning Height", "i"), ("Camera name", "16s"), ("Readout area left", "i"), ("Readout area top", "i"),
    ("Readout area right", "i"), ("Readout area bottom", "i"), ("Ceta noise reduction", "?"),
    ("Ceta frames summed", "i"), ("Direct detector electron counting", "?"), ("Direct detector align frames", "?"),
    *((f"Camera param reserved {number}", "i") for number in range(4)), ("Bitmask 3", "I"),
    *((f"Camera param reserved {number}", "i") for number in range(4, 10)), ("Phase Plate", "?"),
    ("STEM Detector name", "16s"), ("Gain", "d"), ("Offset", "d"),
    *((f"STEM param reserved {number}", "i") for number in range(5)), ("Dwell time", "d"), ("Frame time", "d"),
    ("Scan size left", "i"), ("Scan size top", "i"), ("Scan size right", "i"), ("Scan size bottom", "i"),
    ("Full scan FOV X", "d"), ("Full scan FOV Y", "d"),
)  # fmt: skip
_CODES = "<" + "".join(code for _, code in _MEMBERS)
_SIZES = {"FEI1": 768, "FEI2": 888}
#: What may move in a series, and is then none of the stack.
_MOVING = ("X-Stage", "Y-Stage", "Z-Stage", "Alpha tilt", "Beta tilt", "Defocus")


def records(data: bytes, kind: str, sections: int) -> list[dict[str, Any]]:
    """Trees of the first record, without what moves, and of the last; none where the header is no such one.

    Parameters
    ----------
    data : bytes
        The extended header.
    kind : str
        ``FEI1`` or ``FEI2``.
    sections : int
        How many the stack has.
    """
    if kind not in _SIZES or len(data) < _SIZES[kind]:
        return []
    stated = struct.unpack_from("<i", data)[0]
    size = stated if _SIZES[kind] <= stated <= 1 << 16 else _SIZES[kind]
    last = (min(sections, len(data) // size) - 1) * size
    found = [_record(data, place) for place in dict.fromkeys((0, max(last, 0)))]
    for name in _MOVING:
        if found[0].get(name) != found[-1].get(name):
            found[0].pop(name, None)
    return found


def _record(data: bytes, place: int) -> dict[str, Any]:
    """Members that are filled in."""
    values = struct.unpack_from(_CODES, data, place)
    found: dict[str, Any] = {}
    mask, bit = 0, 0
    for (name, _), value in zip(_MEMBERS, values, strict=True):
        if name.startswith("Bitmask"):
            mask, bit = value, 0
            found[name] = value
        elif name.startswith("Metadata"):
            found[name] = value
        else:
            if mask >> bit & 1:
                found[name] = _plain(value)
            bit += 1
    return found


def _plain(value: Any) -> Any:
    return value.split(b"\0", 1)[0].decode("latin-1").strip() if isinstance(value, bytes) else value


def start(tree: Tree) -> Iterator[Found]:
    """When the first section was taken."""
    yield from _time("time.acquired_start", tree)


def end(tree: Tree) -> Iterator[Found]:
    """When the last section was taken."""
    yield from _time("time.acquired_end", tree)


def _time(field: str, tree: Tree) -> Iterator[Found]:
    raw = tree["Timestamp"]
    yield from moments(field, "Timestamp", raw, local=from_ole(round(raw * 86400) / 86400))
