"""Block files of ASTAR (.blo) opened: a header, a note, a virtual image, then square patterns of bytes.

Places and factors: RosettaSciIO, ``blockfile/_api.py`` (found on files by the authors of HyperSpy, confirmed by
NanoMEGAS' own ASTAR reading what it writes). The header has 240 bytes; each pattern stands after six.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from diadem.hooks.binary import Structure
from diadem.hooks.fields import Block, Tree
from diadem.hooks.formats import Files, Opened, Signal, axis
from diadem.model.layout import ArrayLayout, steps

_HEADER = Structure("diadem.plugins.nanomegas", "block-file")
_MAGIC = 0x0102
#: Before each pattern: this mark and the number of the pattern.
_MARK, _BEFORE = b"\xaa\x55", 6
#: Bytes of header and note; the virtual image begins at 4096 in every file that is known.
_LONGEST = 1 << 16


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open a block file; one that is not whole, or not as usual, the reader is asked for."""
    reader = files[files.entry]
    head = reader.read_at(0, _HEADER.size)
    tree = parse(head)
    if tree is None:
        short = head.startswith(b"IMGBLO") and len(head) < _HEADER.size
        return Opened(files.signals(), size=_HEADER.size if short else 0)
    head = reader.read_at(0, min(tree["Data_offset_1"], _LONGEST))
    block = Block("blockfile-header", parse(head) or tree, head, byte_range=(0, len(head)))
    edge, columns, rows = tree["DP_SZ"], tree["NX"], tree["NY"]
    step = _BEFORE + edge * edge
    shape, strides = (rows, columns, edge, edge), (*steps((rows, columns), step), edge, 1)
    array = ArrayLayout(files.entry, tree["Data_offset_2"] + _BEFORE, "|u1", shape, strides)
    size = tree["Data_offset_2"] + array.shape[0] * array.strides[0]
    flat = 0 not in array.shape and size <= reader.size
    if not flat or reader.read_at(tree["Data_offset_2"], len(_MARK)) != _MARK:
        return Opened(files.signals(), [block], size)
    signal = Signal(
        _axes(tree, array.shape),
        array=array,
        metadata={
            "General": {"original_filename": PurePosixPath(files.entry).name},
            "Signal": {"signal_type": "diffraction"},
        },
        reader=lambda: files.read({files.entry: [(0, tree["Data_offset_1"])]})[0],
    )
    return Opened([signal], [block], size)


def parse(head: bytes) -> dict[str, Any] | None:
    """Header and note by name; None where the file is no block file."""
    if len(head) < _HEADER.size:
        return None
    tree = _HEADER.read(head)
    if tree["ID"] != "IMGBLO" or tree["MAGIC"] != _MAGIC or tree["Data_offset_1"] < _HEADER.size:
        return None
    note = head[_HEADER.size : tree["Data_offset_1"]].partition(b"\0")[0].decode("latin-1")
    tree["Note"] = note
    lines = (line.partition(":") for line in note.splitlines())
    tree["Notes"] = {name.strip(): value.strip() for name, _, value in lines if value.strip()}
    return tree


def _axes(tree: Tree, shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """Steps of the scan in nm; pixels of the camera in cm, of which SDP says a hundred times how many there are.

    RosettaSciIO gives these units to what is not known, too.
    """
    lengths = {"y": tree["SY"], "x": tree["SX"]} if has_scale(tree) else {}
    pixels = dict.fromkeys(("dy", "dx"), 100.0 / tree["SDP"]) if tree["SDP"] else {}
    units = dict.fromkeys(lengths, "nm") | dict.fromkeys(pixels, "cm")
    return [
        axis(name, size, {**lengths, **pixels}.get(name, 1.0), 0.0, units.get(name, ""), navigate=name in ("y", "x"))
        for name, size in zip(("y", "x", "dy", "dx"), shape, strict=True)
    ]


def has_scale(tree: Tree) -> bool:
    """Whether the step of the scan is one: 1 x 1 beside no voltage is what is written where nothing is known."""
    return (tree["SX"], tree["SY"]) != (1.0, 1.0) or tree["Beam_energy"] > 0
