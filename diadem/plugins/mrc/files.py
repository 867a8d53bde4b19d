"""MRC and MRCZ files opened: a header of 1024 bytes, an extended header, then the sections one after the other.

Source: MRC2014 (Cheng et al., doi 10.1016/j.jsb.2015.04.002), read with the type codes of RosettaSciIO. It is asked for
movies of Direct Electron's cameras, whose shape and sizes stand beside them, and for MRCZ: MRC with a voltage in its
header and JSON after it, which HyperSpy fills with its metadata tree (``mrcz`` 0.5, ``ioMRC.py``).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from diadem.hooks.fields import Block
from diadem.hooks.formats import CutShort, Dictionary, Files, Opened, Signal, axis, failing, laid_out
from diadem.model.layout import ArrayLayout
from diadem.plugins.mrc import extended, sidecars

#: Bytes of the header.
HEADER = 1024
#: Bytes of an extended header, and of MRCZ's JSON, that are read.
_LONGEST, _LONGEST_JSON = 16 << 20, 8 << 20
_LABELS, _LABEL = 10, 80
_TYPES = {0: "|u1", 1: "<i2", 2: "<f4", 4: "<c8", 6: "<u2", 12: "<f2"}
#: Bytes of a pixel by its mode; 101 packs two pixels into a byte.
_BYTES = {0: 1.0, 1: 2.0, 2: 4.0, 3: 4.0, 4: 8.0, 6: 2.0, 12: 2.0, 101: 0.5}
#: Machine stamp of files whose numbers have the highest byte first, which the reader does not know.
_HIGHEST_FIRST = 0x1111
#: Bytes of FEI's first extended header, 1024 records of 128: that alone says the size of a pixel, in m.
_FEI, _PIXEL_SIZE = 1024 * 128, HEADER + 44
#: Side files from which the reader takes the order of frames.
_SCAN_FILE = "_scan_coordinates.csv"


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open a stack; one whose type of numbers NumPy does not have, or that is not whole, the reader is asked for."""
    name = files.entry
    head = files[name].read_at(0, HEADER)
    if len(head) < HEADER:
        return Opened(failing(CutShort(name, HEADER, len(head))), sidecars.blocks(files), HEADER)
    promised, array = layout(files, name, head)
    whole = promised <= files[name].size
    return Opened(_signals(files, head, array if whole else None), _blocks(files, head), promised)


def _blocks(files: Files, head: bytes) -> Iterator[Block]:
    """Texts beside a stack, then ``mrc-header``; of FEI's extended header ``fei-extended-header`` with the tree of its
    first record and ``fei-last-record``, or ``fei-early-header``; others.
    """
    yield from sidecars.blocks(files)
    tree = header(head)
    if not tree:
        return
    yield Block("mrc-header", tree, head, place="header", byte_range=(0, HEADER))
    data = files[files.entry].read_at(HEADER, min(tree["NSYMBT"], _LONGEST))
    if not data:
        return
    kind, trees = extended.parse(data, tree)
    place, end = "extended header", HEADER + len(data)
    yield Block(kind, trees[0] if trees else {}, data, place=place, byte_range=(HEADER, end))
    if len(trees) > 1:
        yield Block("fei-last-record", trees[-1], place=f"{place}/record {tree['NZ']}")


def header(data: bytes) -> dict[str, Any]:
    """Members of the header by the names of MRC2014; none where it is no header."""
    if len(data) < HEADER:
        return {}
    order = "<" if 0 <= struct.unpack_from("<i", data, 12)[0] < 1 << 16 else ">"
    size = struct.unpack_from(f"{order}4i", data)
    counts = struct.unpack_from(f"{order}3i", data, 28)
    cell = struct.unpack_from(f"{order}6f", data, 40)
    extended = struct.unpack_from(f"{order}i", data, 92)[0]
    if min(size[:3]) < 1 or not 0 <= size[3] < 200 or extended < 0:
        return {}
    labels = min(max(struct.unpack_from(f"{order}i", data, 220)[0], 0), _LABELS)
    texts = [data[224 + _LABEL * number :][:_LABEL] for number in range(labels)]
    return {
        **dict(zip(("NX", "NY", "NZ", "MODE"), size, strict=True)),
        **dict(zip(("MX", "MY", "MZ"), counts, strict=True)),
        "CELLA": list(cell[:3]),
        "CELLB": list(cell[3:]),
        "NSYMBT": extended,
        "EXTTYPE": data[104:108].rstrip(b"\0 ").decode("ascii", "replace"),
        **dict(zip(("NINT", "NREAL"), struct.unpack_from(f"{order}2h", data, 128), strict=True)),
        "byte order": order,
        "LABEL": [text.split(b"\0", 1)[0].decode("latin-1").strip() for text in texts],
    }


def layout(files: Mapping[str, Any], name: str, head: bytes) -> tuple[int, ArrayLayout | None]:
    """Bytes of headers and pixels, 0 where the mode is not known; and where the sections lie.

    None for a mode that NumPy has no type for, and for a movie whose frames were not taken in the order of a raster.
    """
    swapped = struct.unpack_from("<H", head, 212)[0] == _HIGHEST_FIRST
    order = ">" if swapped else "<"
    columns, rows, sections, mode = struct.unpack_from(f"{order}4I", head)
    start = HEADER + int(struct.unpack_from(f"{order}I", head, 92)[0])
    promised = start + int(columns * rows * sections * _BYTES[mode]) if mode in _BYTES else 0
    scattered = _is_movie(name) and any(other.endswith(_SCAN_FILE) for other in files)
    if mode not in _TYPES or 0 in (columns, rows, sections) or swapped or scattered:
        return promised, None
    return promised, ArrayLayout.packed(name, start, _TYPES[mode], (sections, rows, columns))


def _is_movie(name: str) -> bool:
    return "movie" in PurePosixPath(name).name


def _signals(files: Files, head: bytes, array: ArrayLayout | None) -> Iterator[Signal]:
    name = files.entry
    if array is None:
        yield from (Signal.from_reader(_mended(one, head)) for one in files.read())
        return
    parts = {name: [(0, array.offset)]}
    if _is_movie(name):
        read = [_mended(one, head) for one in files.read(parts)]
        yield from laid_out(read, [array]) or (Signal.from_reader(_mended(one, head)) for one in files.read())
        return
    pixel = files[name].read_at(_PIXEL_SIZE, 4) if array.offset == HEADER + _FEI else b""
    axes = _axes(head, array.shape, pixel)
    kept = [place for place, size in enumerate(array.shape) if size != 1]  # the reader drops axes of one element
    shape, strides = (tuple(of[place] for place in kept) for of in (array.shape, array.strides))
    yield Signal(
        [axes[place] for place in kept],
        array=ArrayLayout(name, array.offset, array.dtype, shape, strides),
        metadata={"General": {"original_filename": PurePosixPath(name).name}, "Signal": {"signal_type": ""}},
        reader=lambda: files.read(parts)[0],
    )


def _axes(head: bytes, shape: tuple[int, ...], pixel: bytes) -> list[dict[str, Any]]:
    """Axes in nm; sections have no unit. Those of pixels count where the header has no cell, or a negative one."""
    counts, lengths = struct.unpack_from("<3I", head, 28), struct.unpack_from("<3f", head, 40)
    origins = struct.unpack_from("<3f", head, 196)
    known = {} if pixel else _cell(head)
    axes = []
    for name, size, count, length, origin in zip("zyx", shape, counts[::-1], lengths[::-1], origins[::-1], strict=True):
        scale, unit = (known[name], "nm") if name in known else (1.0, "")
        if pixel and name != "z":
            scale, unit = float(np.frombuffer(pixel, "<f4")[0] * np.float32(1e9)), "nm"
        elif name == "z" and length and count and not pixel:
            scale = length / count / 10
        axes.append(axis(name, size, scale, 0.0 if pixel else origin / 10, unit, navigate=name == "z"))
    return axes


def _cell(head: bytes) -> dict[str, float]:
    """Sizes of pixels in nm whose cell and count the header has."""
    tree = header(head)
    if not tree:
        return {}
    pairs = zip("xy", tree["CELLA"], (tree["MX"], tree["MY"]), strict=False)
    return {name: cell / count / 10 for name, cell, count in pairs if cell > 0 and count > 0}


def _mended(read: Dictionary, head: bytes) -> Dictionary:
    """A signal of the reader with axes that claim no size where none is stated.

    RosettaSciIO 0.15 takes every size that Direct Electron's settings state for 1, and makes up sizes where the header
    has no cell or a negative one.
    """
    told = read["original_metadata"]
    if "fei_header" in told:  # the size is its own
        return read
    settings = told.get("de_metadata")
    stated = {} if settings is None else {name: str(value) for name, value in settings.items()}
    known = _cell(head) if settings is None else sidecars.pixel_sizes(stated)
    for one in read["axes"]:
        if one["name"] in known:
            if settings is not None:
                one["scale"] = known[one["name"]]
        elif one["name"] in ("x", "y", "kx", "ky"):
            one.update(scale=1.0, units=None)
    return read


# -- MRCZ ----------------------------------------------------------------------------------------------------------


def is_mrcz(path: str) -> bool:
    """MRCZ adds 1000 times the compressor's number to MRC's mode; its own suffix also marks uncompressed files."""
    with Path(path).open("rb") as stream:
        mode = int.from_bytes(stream.read(16)[12:], "little")
    return path.lower().endswith(".mrcz") or 1000 <= mode < 4000


def open_mrcz(files: Files) -> Opened:
    """Open an MRCZ file, which RosettaSciIO reads.

    RosettaSciIO 0.15 writes the numbers of the axes and names them nanometres, also where they were micrometres: a file
    that HyperSpy has saved states no unit.
    """
    return Opened(map(Signal.from_reader, _without_units(files)), _mrcz_blocks(files))


def _without_units(files: Files) -> Iterator[Dictionary]:
    for signal in files.read():
        if "General" in (signal.get("metadata") or {}):
            for one in signal.get("axes") or []:
                one["units"] = None
        yield signal


def _mrcz_blocks(files: Files) -> Iterator[Block]:
    """The header; HyperSpy's tree, where the JSON is one."""
    file = files[files.entry]
    head = file.read_at(0, HEADER)
    if len(head) < HEADER:
        return
    order = "<" if int.from_bytes(head[:4], "little") < 1 << 24 else ">"
    length = struct.unpack_from(f"{order}i", head, 92)[0]
    is_json = head[104:108] == b"json" and length > 0
    data = file.read_at(HEADER, min(length, _LONGEST_JSON)) if is_json else b""
    # Other programs that write MRC have numbers of their own in this place.
    if is_json or head[224:].startswith(b"MRCZ"):
        tree = {"voltage": struct.unpack_from(f"{order}f", head, 132)[0]}
        yield Block("mrcz-header", tree, head, place="header", byte_range=(0, HEADER))
    found: Any = json.loads(data) if data else None
    if isinstance(found, Mapping):
        told, where = {"metadata": found, "read by": "mrcz"}, (HEADER, HEADER + len(data))
        yield Block("hyperspy-signal", told, data, "application/json", "extended header", byte_range=where)
