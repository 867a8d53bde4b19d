"""FEI's extended header before FEI1: 1024 records of 128 bytes, whose first numbers of 32 bits are known.

Members and units: IMOD's description of the MRC format ("FEI extended header").
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from diadem.hooks.fields import Found, Tree

_NAMES = (
    "a_tilt", "b_tilt", "x_stage", "y_stage", "z_stage", "x_shift", "y_shift", "defocus", "exp_time", "mean_int",
    "tilt_axis", "pixel_size", "magnification", "ht", "binning", "appliedDefocus",
)  # fmt: skip
#: Bytes of all records.
SIZE = 1024 * 128
#: Metres of a stage's travel, and micrometres beyond which a position is none in metres.
_TRAVEL, _MICROMETRES = 0.01, 1.0


def parse(data: bytes, sections: int = 1) -> dict[str, float]:
    """The first record; none where its pixel size and magnification are none of a transmission microscope.

    Parameters
    ----------
    data : bytes
        The extended header.
    sections : int
        How many the stack has: where the stage is in another place at the last one, no place is that of the stack.
    """
    if len(data) != SIZE:
        return {}
    first, last = (
        dict(zip(_NAMES, map(_single, struct.unpack_from(f"<{len(_NAMES)}f", data, 128 * number)), strict=True))
        for number in (0, min(max(sections, 1), 1024) - 1)
    )
    moved = {name for name in _NAMES[:5] if first[name] != last[name]}
    found = {name: value for name, value in first.items() if name not in moved}
    return found if 1e-12 < found["pixel_size"] < 1e-4 and 1 <= found["magnification"] < 1e8 else {}


def _single(value: float) -> float:
    return float(f"{value:.7g}")


def stage(tree: Tree) -> Iterator[Found]:
    """Metres; older files have micrometres, which IMOD tells by their size. Three zeros are no position."""
    values = {axis: float(tree[f"{axis}_stage"]) for axis in "xyz" if f"{axis}_stage" in tree}
    largest = max(map(abs, values.values()), default=0.0)
    unit = "m" if largest < _TRAVEL else "um" if largest > _MICROMETRES else ""
    for axis, value in values.items() if largest and unit else ():
        yield Found(f"stage.{axis}", value, f"{axis}_stage", value, unit)
