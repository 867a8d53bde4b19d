"""The header of a block file: 240 bytes, then a note, up to the virtual image.

Places and factors: RosettaSciIO, ``blockfile/_api.py`` (found on files by the authors of HyperSpy, confirmed by
NanoMEGAS' own ASTAR reading what it writes).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from diadem.hooks.fields import Block, Tree

_NAMES = (
    "ID", "MAGIC", "Data_offset_1", "Data_offset_2", "UNKNOWN1", "DP_SZ", "DP_rotation", "NX", "NY", "Scan_rotation",
    "SX", "SY", "Beam_energy", "SDP", "Camera_length", "Acquisition_time",
)  # fmt: skip
_FORM = struct.Struct("<6sHIII5HddIHId")
#: Eight numbers that centre the patterns and fourteen that undo their distortion.
_CORRECTIONS = struct.Struct("<8d14d")
_MAGIC = 0x0102
#: Bytes of header and note; the virtual image begins at 4096 in every file that is known.
_LONGEST = 1 << 16


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001 - every cutter is called so
    """Cut the header out of a block file.

    Parameters
    ----------
    path : str
        The .blo file.
    files : sequence of str
        All files of the dataset: this one.

    Yields
    ------
    Block
        Header and note; nothing where the file is no block file.
    """
    with Path(path).open("rb") as stream:
        head = stream.read(_LONGEST)
    tree = parse(head)
    if tree is not None:
        end = min(tree["Data_offset_1"], len(head))
        yield Block("blockfile-header", tree, head[:end], byte_range=(0, end))


def parse(head: bytes) -> dict[str, Any] | None:
    """Header and note by name; None where the file is no block file.

    Parameters
    ----------
    head : bytes
        The beginning of the file.
    """
    size = _FORM.size + _CORRECTIONS.size
    if len(head) < size:
        return None
    tree: dict[str, Any] = dict(zip(_NAMES, _FORM.unpack_from(head), strict=True))
    if tree["ID"] != b"IMGBLO" or tree["MAGIC"] != _MAGIC or tree["Data_offset_1"] < size:
        return None
    tree["ID"] = "IMGBLO"
    corrections = _CORRECTIONS.unpack_from(head, _FORM.size)
    tree["Centering"], tree["Distortion"] = list(corrections[:8]), list(corrections[8:])
    note = head[size : tree["Data_offset_1"]].partition(b"\0")[0].decode("latin-1")
    tree["Note"] = note
    lines = (line.partition(":") for line in note.splitlines())
    tree["Notes"] = {name.strip(): value.strip() for name, _, value in lines if value.strip()}
    return tree


def has_scale(tree: Tree) -> bool:
    """Whether the step of the scan is one: 1 x 1 beside no voltage is what is written where nothing is known."""
    return (tree["SX"], tree["SY"]) != (1.0, 1.0) or tree["Beam_energy"] > 0
