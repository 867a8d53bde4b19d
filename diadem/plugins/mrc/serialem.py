"""SerialEM's extended header: for each section the numbers that a mask names.

Source: IMOD, MRC/REC/ST file format: bits of ``nreal``, and how each number is packed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

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


def sections(data: bytes, header: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """Numbers of each section: angles in degrees, positions in micrometres.

    Parameters
    ----------
    data : bytes
        The extended header.
    header : mapping
        ``NZ``, ``NINT`` (bytes of a section), ``NREAL`` (the mask), ``EXTTYPE`` and ``byte order``.

    Yields
    ------
    dict
        Nothing where bytes and mask contradict each other, which means another program's header.
    """
    length, mask, order = header["NINT"], header["NREAL"], header["byte order"]
    present = [(size, members) for bit, size, members in _PACKED if mask & bit]
    if header["EXTTYPE"] not in ("SERI", "") or mask <= 0 or sum(size for size, _ in present) != length:
        return
    for number in range(min(header["NZ"], len(data) // length)):
        place = number * length
        section: dict[str, float] = {}
        for size, members in present:
            for index, (name, divisor) in enumerate(members):
                section[name] = struct.unpack_from(f"{order}h", data, place + 2 * index)[0] / divisor
            place += size
        yield section


def common(data: bytes, header: Mapping[str, Any]) -> dict[str, float]:
    """What all sections have in common: only that is said of the stack."""
    shared: dict[str, float] | None = None
    for section in sections(data, header):
        shared = section if shared is None else {key: shared[key] for key in shared if section[key] == shared[key]}
    return shared or {}
