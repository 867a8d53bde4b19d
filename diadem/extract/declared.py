"""How many bytes a file's own header says it has, by format: what tells a truncated file that still "reads".

Each rule gets the head of the file and `read(offset, length)`, and returns the least size that the header promises, or
None where it promises nothing. Layouts: TIFF 6.0 and BigTIFF; NPY (NumPy enhancement proposal 1); Blockfile, SFS and
MIB as RosettaSciIO reads them.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from math import prod

Read = Callable[[int, int], bytes]

#: Bytes in a value by TIFF type.
_TIFF_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
#: What the dictionary in an NPY head says, as NumPy writes it. It is a Python literal; nothing of it is evaluated.
_NPY_DESCR = re.compile(rb"""['"]descr['"]:\s*['"][<>|=]?[a-zA-Z](\d{1,9})""")
_NPY_SHAPE = re.compile(rb"""['"]shape['"]:\s*\(([\d,\s]*)\)""")


def blockfile(head: bytes, read: Read) -> int | None:  # noqa: ARG001
    """All patterns, each with six bytes before it."""
    start = struct.unpack_from("<I", head, 12)[0]
    size, _, columns, rows = struct.unpack_from("<4H", head, 20)
    return int(start + columns * rows * (size * size + 6))


def bcf(head: bytes, read: Read) -> int | None:  # noqa: ARG001
    """All chunks of the SFS container."""
    if not head.startswith(b"AAMVHFSS"):
        return None
    chunk = struct.unpack_from("<I", head, 0x128)[0]
    return int(0x118 + chunk * struct.unpack_from("<I", head, 0x148)[0])


def numpy(head: bytes, read: Read) -> int | None:  # noqa: ARG001
    """Header and array, where its elements are of one plain type."""
    start = 12 if head[6] >= 2 else 10
    length = struct.unpack_from("<I" if start == 12 else "<H", head, 8)[0]
    text = head[start : start + length]
    described, shape = _NPY_DESCR.search(text), _NPY_SHAPE.search(text)
    if described is None or shape is None:
        return None
    return int(start + length + int(described[1]) * prod(int(size) for size in shape[1].split(b",") if size.strip()))


def mib(head: bytes, read: Read) -> int | None:  # noqa: ARG001
    """One frame; `whole_frames` looks at the rest."""
    return mib_frame(head)


def mib_frame(head: bytes) -> int | None:
    """Bytes in one frame of a Merlin file, its header included; None for packed raw data."""
    parts = head[:64].split(b",")
    if len(parts) < 7 or parts[6][:1] != b"U":
        return None
    return int(parts[2]) + int(parts[4]) * int(parts[5]) * (int(parts[6][1:]) // 8)


def tiff(head: bytes, read: Read) -> int | None:
    """The furthest end of a strip or tile, over at most 1,000 images."""
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", head, 2)[0] == 43
    where = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)[0]
    furthest, seen = 8, set[int]()
    while where and where not in seen and len(seen) < 1000:
        seen.add(where)
        end, following = _tiff_image(order, big, where, read)
        furthest = max(furthest, end)
        where = following
    return furthest


def _tiff_image(order: str, big: bool, where: int, read: Read) -> tuple[int, int]:
    """End of the furthest strip or tile of one image, and where the next image is described."""
    count_size, entry_size, code = (8, 20, "Q") if big else (2, 12, "I")
    counted = read(where, count_size)
    if len(counted) < count_size:
        return where + count_size, 0
    count = struct.unpack(order + ("Q" if big else "H"), counted)[0]
    end = where + count_size + count * entry_size + (8 if big else 4)
    block = read(where + count_size, min(count, 4096) * entry_size + 8)
    if count > 4096 or len(block) < end - where - count_size:
        return end, 0
    lists: dict[int, list[int]] = {}
    for index in range(count):
        entry = block[index * entry_size : (index + 1) * entry_size]
        tag = struct.unpack_from(order + "H", entry)[0]
        if tag < 32768:  # the standard's own; private tags may point anywhere
            end = max(end, _tiff_outside(order, big, entry))
        if tag in (273, 279, 324, 325):
            lists[tag] = _tiff_values(order, big, entry, read)
    starts, sizes = lists.get(273) or lists.get(324, []), lists.get(279) or lists.get(325, [])
    end = max([end, *(start + size for start, size in zip(starts, sizes, strict=False) if size)])
    return end, struct.unpack_from(order + code, block, count * entry_size)[0]


def _tiff_outside(order: str, big: bool, entry: bytes) -> int:
    """End of the values of one entry, where they do not fit into it; else 0."""
    kind, count = struct.unpack_from(order + ("HQ" if big else "HI"), entry, 2)
    size = count * _TIFF_BYTES.get(kind, 0)
    if size <= (8 if big else 4):
        return 0
    return int(struct.unpack_from(order + ("Q" if big else "I"), entry, 12 if big else 8)[0] + size)


def _tiff_values(order: str, big: bool, entry: bytes, read: Read) -> list[int]:
    """Integers of one entry, at most a million of them."""
    kind, count = struct.unpack_from(order + ("HQ" if big else "HI"), entry, 2)
    width = {3: 2, 4: 4, 16: 8, 13: 4}.get(kind)
    if width is None or count > 1_000_000:
        return []
    inline, place = (8, 12) if big else (4, 8)
    data = entry[place : place + inline]
    if count * width > inline:
        data = read(struct.unpack(order + ("Q" if big else "I"), data)[0], count * width)
    count = min(count, len(data) // width)
    return list(struct.unpack_from(f"{order}{count}{ {2: 'H', 4: 'I', 8: 'Q'}[width] }", data))


#: Rule by reader of RosettaSciIO, or by kind of container.
RULES: Mapping[str, Callable[[bytes, Read], int | None]] = {
    "blockfile": blockfile,
    "bruker": bcf,
    "numpy": numpy,
    "quantumdetector": mib,
    "tiff": tiff,
}
