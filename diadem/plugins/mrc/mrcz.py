"""MRCZ: MRC with a voltage in its header and JSON after it, which HyperSpy fills with its metadata tree.

Source: ``mrcz`` 0.5, ``ioMRC.py``: voltage in kV at byte 132.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from diadem.hooks.fields import Block

_HEADER = 1024
#: Bytes of JSON that are read.
_LONGEST = 8 << 20


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001 - every cutter is called so
    """Header and JSON of a file.

    Parameters
    ----------
    path : str
        The .mrcz file.
    files : sequence of str
        All files of the dataset: this one.

    Yields
    ------
    Block
        The header; HyperSpy's tree, where the JSON is one.
    """
    with Path(path).open("rb") as stream:
        head = stream.read(_HEADER)
        if len(head) < _HEADER:
            return
        order = "<" if int.from_bytes(head[:4], "little") < 1 << 24 else ">"
        length = struct.unpack_from(f"{order}i", head, 92)[0]
        is_json = head[104:108] == b"json" and length > 0
        data = stream.read(min(length, _LONGEST)) if is_json else b""
    # Other programs that write MRC have numbers of their own in this place.
    if is_json or head[224:].startswith(b"MRCZ"):
        tree = {"voltage": struct.unpack_from(f"{order}f", head, 132)[0]}
        yield Block("mrcz-header", tree, head, place="header", byte_range=(0, _HEADER))
    found: Any = json.loads(data) if data else None
    if isinstance(found, Mapping):
        where = (_HEADER, _HEADER + len(data))
        tree = {"metadata": found, "read by": "mrcz"}
        yield Block("hyperspy-signal", tree, data, "application/json", "extended header", byte_range=where)


def is_mrcz(path: str) -> bool:
    """MRCZ adds 1000 times the compressor's number to MRC's mode; its own suffix also marks uncompressed files."""
    with Path(path).open("rb") as stream:
        mode = int.from_bytes(stream.read(16)[12:16], "little")
    return path.lower().endswith(".mrcz") or 1000 <= mode < 4000
