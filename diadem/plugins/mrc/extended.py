"""Extended headers of MRC files: FEI's and Thermo Fisher's, FEI's first, and SerialEM's.

FEI1 and FEI2 have one record for each section. Members, units and the masks that say which members are filled in:
"MRC2014 Extended Header" of the EPU user manual, as mrcfile and Scipion list it. HAADFscan.mrc agrees: Full scan FOV X
1.4538576 µm / 256 = Pixel size X, which is the header's cell over its counts; Scan size right 256 x bottom 256; HT
300000 of a Spectra. The others: IMOD's description of the MRC format.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks.binary import Structure, single, up_to_zero
from diadem.hooks.fields import Found, Tree

Trees = list[dict[str, Any]]


def parse(data: bytes, header: Mapping[str, Any]) -> tuple[str, Trees]:
    """Kind of an extended header, and what its first and last record say, or what all of them have in common."""
    if records := fei_records(data, header["EXTTYPE"], header["NZ"]):
        return "fei-extended-header", records
    if packed := serialem_common(data, header):
        return "serialem-extended-header", [packed]
    if early := fei_early(data, header["NZ"]):
        return "fei-early-header", [early]
    return "mrc-extended-header", []


# -- FEI1 and FEI2 -------------------------------------------------------------------------------------------------

#: Members of the first 768 bytes.
_FEI = Structure("diadem.plugins.mrc", "fei")
_SIZES = {"FEI1": 768, "FEI2": 888}
#: What may move in a series, and is then none of the stack.
_MOVING = ("X-Stage", "Y-Stage", "Z-Stage", "Alpha tilt", "Beta tilt", "Defocus")


def fei_records(data: bytes, kind: str, sections: int) -> Trees:
    """Trees of the first record, without what moves, and of the last; none where the header is no such one."""
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
    found: dict[str, Any] = {}
    mask, bit = 0, 0
    for name, value in _FEI.read(data, place, text=lambda raw: up_to_zero(raw).strip()).items():
        if name.startswith("Bitmask"):
            mask, bit = value, 0
            found[name] = value
        elif name.startswith("Metadata"):
            found[name] = value
        else:
            if mask >> bit & 1:
                found[name] = value
            bit += 1
    return found


# -- FEI's first: 1024 records of 128 bytes, whose first numbers of 32 bits are known --------------------------------

_EARLY = Structure("diadem.plugins.mrc", "fei-early")
#: What may differ between sections: where the stage is in another place at the last one, no place is that of the stack.
_STAGE = ("a_tilt", "b_tilt", "x_stage", "y_stage", "z_stage")
#: Bytes of all records.
EARLY_SIZE = 1024 * 128
#: Metres of a stage's travel, and micrometres beyond which a position is none in metres.
_TRAVEL, _MICROMETRES = 0.01, 1.0


def fei_early(data: bytes, sections: int = 1) -> dict[str, float]:
    """The first record; none where its pixel size and magnification are none of a transmission microscope."""
    if len(data) != EARLY_SIZE:
        return {}
    first, last = (
        {name: single(value) for name, value in _EARLY.read(data, place).items()}
        for place in (0, 128 * (min(max(sections, 1), 1024) - 1))
    )
    moved = {name for name in _STAGE if first[name] != last[name]}
    found = {name: value for name, value in first.items() if name not in moved}
    return found if 1e-12 < found["pixel_size"] < 1e-4 and 1 <= found["magnification"] < 1e8 else {}


def stage(tree: Tree) -> Iterator[Found]:
    """Metres; older files have micrometres, which IMOD tells by their size. Three zeros are no position."""
    values = {axis: float(tree[f"{axis}_stage"]) for axis in "xyz" if f"{axis}_stage" in tree}
    largest = max(map(abs, values.values()), default=0.0)
    unit = "m" if largest < _TRAVEL else "um" if largest > _MICROMETRES else ""
    for axis, value in values.items() if largest and unit else ():
        yield Found(f"stage.{axis}", value, f"{axis}_stage", value, unit)


# -- SerialEM's: for each section the numbers that a mask names (bits of `nreal`) ------------------------------------

#: Bit, bytes, and the 16-bit members that are known: name, and what the packed number is divided by.
_PACKED: tuple[tuple[int, int, tuple[tuple[str, float], ...]], ...] = (
    (1, 2, (("TiltAngle", 100),)),
    (2, 6, (("PieceX", 1), ("PieceY", 1), ("PieceZ", 1))),
    (4, 4, (("StageX", 25), ("StageY", 25))),
    (8, 2, (("Magnification", 0.01),)),
    (16, 2, (("Intensity", 25000),)),
    (32, 4, ()),
    (64, 2, ()),
    (128, 4, ()),
    (256, 2, ()),
    (512, 4, ()),
    (1024, 2, ()),
)


def serialem_common(data: bytes, header: Mapping[str, Any]) -> dict[str, float]:
    """What all sections have in common: only that is said of the stack. Angles in degrees, positions in micrometres.

    None where ``NINT`` (bytes of a section) and ``NREAL`` (the mask) contradict each other, which means another
    program's header.
    """
    length, mask, order = header["NINT"], header["NREAL"], header["byte order"]
    present = [(size, members) for bit, size, members in _PACKED if mask & bit]
    if header["EXTTYPE"] not in ("SERI", "") or mask <= 0 or sum(size for size, _ in present) != length:
        return {}
    shared: dict[str, float] | None = None
    for number in range(min(header["NZ"], len(data) // length)):
        place = number * length
        section: dict[str, float] = {}
        for size, members in present:
            for index, (name, divisor) in enumerate(members):
                section[name] = struct.unpack_from(f"{order}h", data, place + 2 * index)[0] / divisor
            place += size
        shared = section if shared is None else {key: shared[key] for key in shared if section[key] == shared[key]}
    return shared or {}
