"""How many bytes a file's own header says it has, by format: what tells a truncated file that still "reads".

Each rule gets the head of the file and `read(offset, length)`, and returns the least size that the header promises, or
None where it promises nothing. Layouts: MRC2014 (Cheng et al., J. Struct. Biol. 192, 2015); TIA .ser (P. Ercius,
ncempy documentation); DM3/DM4 (G. Jefferis, "DM3 file format"); HDF5 file format specification 3.0, II.A.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

Read = Callable[[int, int], bytes]

#: Bytes in a pixel by MRC mode; 101 packs two pixels in a byte.
_MRC_BYTES = {0: 1.0, 1: 2.0, 2: 4.0, 3: 4.0, 4: 8.0, 6: 2.0, 12: 2.0, 101: 0.5}
#: Bytes in an element by TIA data type.
_SER_BYTES = {1: 1, 2: 2, 3: 4, 4: 1, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 16}
_HDF5 = b"\x89HDF\r\n\x1a\n"


def mrc(head: bytes, read: Read) -> int | None:  # noqa: ARG001
    """Header, extended header and pixels."""
    columns, rows, sections, mode = struct.unpack_from("<4I", head)
    if mode not in _MRC_BYTES:
        return None
    return 1024 + int(struct.unpack_from("<I", head, 92)[0]) + int(columns * rows * sections * _MRC_BYTES[mode])


def ser(head: bytes, read: Read) -> int | None:
    """The table of offsets, and the end of the last valid element."""
    version, kind, _, total, valid = struct.unpack_from("<HIIII", head, 4)
    width, code = (8, "<Q") if version >= 0x220 else (4, "<I")
    table = struct.unpack_from(code, head, 22)[0]
    least = int(table + 2 * width * total)
    cell = read(table + width * (valid - 1), width) if valid else b""
    if len(cell) < width:
        return least
    last = struct.unpack(code, cell)[0]
    header = read(last, 50)
    if kind == 0x4120 and len(header) >= 26:
        element, count = struct.unpack_from("<HI", header, 20)
        return int(max(least, last + 26 + count * _SER_BYTES.get(element, 1)))
    if kind == 0x4122 and len(header) >= 50:
        element, columns, rows = struct.unpack_from("<HII", header, 40)
        return int(max(least, last + 50 + columns * rows * _SER_BYTES.get(element, 1)))
    return int(max(least, last + 26))


def digitalmicrograph(head: bytes, read: Read) -> int | None:  # noqa: ARG001
    """Header and root; the zeros behind them are eight in DM4 files of Gatan, four in those of Nion Swift."""
    if struct.unpack_from(">I", head)[0] == 4:
        return int(struct.unpack_from(">Q", head, 4)[0]) + 16
    return int(struct.unpack_from(">I", head, 4)[0]) + 12


def hdf5(head: bytes, read: Read) -> int | None:  # noqa: ARG001
    """The superblock's end of file."""
    start = next((place for place in (0, 512, 1024, 2048) if head[place : place + 8] == _HDF5), None)
    if start is None:
        return None
    version = head[start + 8]
    width = head[start + (13 if version < 2 else 9)]
    if width not in (2, 4, 8):
        return None
    first = {0: 24, 1: 28}.get(version, 12)
    field = start + first + 2 * width
    end = int.from_bytes(head[field : field + width], "little")
    base = int.from_bytes(head[start + first : start + first + width], "little")
    return end + (start if base == 0 else 0)


#: Rule by reader of RosettaSciIO, or by kind of container.
RULES: Mapping[str, Callable[[bytes, Read], int | None]] = {
    "mrc": mrc,
    "tia-ser": ser,
    "digitalmicrograph": digitalmicrograph,
}
