"""Maps and patterns of EBSD outside HDF5: ``.ctf``, ``.ang``, ``.cpr`` with ``.crc``, and ``.up1``, ``.up2``.

Each has a head, and a row of numbers, or a pattern, for each point of the map, row by row. The numbers of texts are
read when they are asked for: their rows have no fixed length.
"""

from __future__ import annotations

import io
import itertools
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

from diadem.errors import ReaderError
from diadem.hooks.fields import Block
from diadem.hooks.formats import CutShort, Files, Opened, Signal, axis
from diadem.hooks.text import decode, ini, number
from diadem.model.layout import ArrayLayout, steps

#: Bytes of a head, and of a .cpr file; with the reflections of many phases they have some kilobytes.
_LONGEST_HEAD = 1 << 20
_PIECE = 1 << 16
_MOST_COLUMNS, _MOST_POINTS = 64, 1 << 40
#: Heads: to the line that names the columns; comments.
_CTF, _ANG = re.compile(r".*?^Phase\tX[^\n]*\n", re.DOTALL | re.MULTILINE), re.compile(r"(?:#[^\n]*(?:\n|\Z))*")
#: Columns of .ang files that do not name them (OIM's own order).
_ANG_COLUMNS = ("phi1", "PHI", "phi2", "x", "y", "IQ", "CI", "Phase index", "SEM", "Fit")
#: The same where NanoMEGAS' ACOM has written them, with steps in nm: maps of a transmission microscope, which steps of
#: several um would lead out of.
_ACOM_COLUMNS = ("phi1", "PHI", "phi2", "x", "y", "Index", "Reliability", "Phase index", "Reliability x 100")
#: Columns that the axes say; and those that look like a picture of the sample, which go before the others.
_PLACES, _PICTURES = frozenset({"x", "y"}), frozenset({"bc", "iq"})
#: Fields of a record of .crc files: number, name, NumPy's type; a byte, the phase, goes before them. Widths are those
#: that other programs read (MTEX, DefDAP); records that do not fill the file exactly are refused.
_CRC: Mapping[int, tuple[str, str]] = {
    1: ("X", "<f4"), 2: ("Y", "<f4"), 3: ("Euler 1", "<f4"), 4: ("Euler 2", "<f4"), 5: ("Euler 3", "<f4"),
    6: ("MAD", "<f4"), 7: ("BC", "|u1"), 8: ("BS", "|u1"), 9: ("Field 9", "|u1"), 10: ("Bands", "|u1"),
    11: ("Error", "|u1"), 12: ("Reliability", "<f4"),
}  # fmt: skip

#: Heads of patterns: version, width, height, the first pattern's byte; columns, rows, 1 for a hexagonal grid, steps.
_UP, _UP_GRID = struct.Struct("<4I"), struct.Struct("<x2IB2d")
#: Pixels along a side; a step above a metre is none: what stands there was not written, or is infinite.
_WIDEST, _LONGEST_STEP = 16384, 1e6

#: Rows and columns of a map, or the length of a line; steps between rows and between columns, as they are written.
Shape = tuple[int, ...]
Steps = tuple[Any, Any]


def signal(title: str, axes: list[dict[str, Any]], data: Any = None, array: ArrayLayout | None = None) -> Signal:
    """A signal of a map."""
    return Signal(axes, data, array, {"General": {"title": title}, "Signal": {"signal_type": ""}})


def told_uneven(signals: Iterable[Signal]) -> Iterator[Signal]:
    """Signals of a hexagonal map, the first of which says that there is one."""
    message = (
        "the grid is hexagonal: its points are listed row by row, and no map is drawn; "
        "signals of their own give the positions, if the file states them"
    )
    for number_, one in enumerate(signals):
        yield one if number_ else replace(one, issues=[{"code": "uneven-grid", "message": message}])


# -- HKL, Oxford: Channel Text File ----------------------------------------------------------------------------------


def open_ctf(files: Files) -> Opened:
    """Open a Channel Text File: lines of name and value, then a line of the columns' names, then the points."""
    head, lines = _head(files, _CTF)
    tree = ctf(lines)
    shape = grid(tree.get("YCells"), tree.get("XCells"))
    names = lines[-1].split("\t")
    points = _texts(files, len(head), names, shape, (tree.get("YStep"), tree.get("XStep")))
    return Opened(points, [_block("ctf-head", tree, head)])


def ctf(lines: Sequence[str]) -> dict[str, str]:
    """Names and values of a head; the line about the Euler angles has several of them."""
    found: dict[str, str] = {}
    for line in lines[1:-1]:
        parts = [part.strip() for part in line.split("\t")]
        if parts[0].startswith("Euler"):
            parts = parts[1:]
        elif ";" in parts[0]:  # a phase: lattice, angles, name, groups
            found.setdefault("Phase 1", parts[2] if len(parts) > 2 else "")
            continue
        for name, value in itertools.zip_longest(parts[::2], parts[1::2], fillvalue=""):
            if name and value:
                found.setdefault(name, value)
    return found


# -- TSL, EDAX: .ang ---------------------------------------------------------------------------------------------------


def open_ang(files: Files) -> Opened:
    """Open an .ang file: comments of name and value, then the points."""
    head, lines = _head(files, _ANG)
    tree = ang(lines)
    rows, odd, even = (int(number(tree.get(name, "")) or 0) for name in ("NROWS", "NCOLS_ODD", "NCOLS_EVEN"))
    shape, spacing = grid(rows, odd), (tree.get("YSTEP"), tree.get("XSTEP"))
    if uneven := "hex" in tree.get("GRID", "").lower():  # rows are shifted; every other one may have one point less
        shape = grid(1, (rows + 1) // 2 * odd + rows // 2 * even)
    listed = [name.strip() for name in tree.get("COLUMN_HEADERS", "").split(",") if name.strip()]
    acom = is_acom(tree)
    known = listed or (_ACOM_COLUMNS if acom else _ANG_COLUMNS)
    names = [*known, *(f"Column {place}" for place in range(len(known) + 1, _MOST_COLUMNS))]
    signals = _texts(files, len(head), names, shape, None if uneven else spacing, "nm" if acom else "um")
    return Opened(told_uneven(signals) if uneven else signals, [_block("ang-head", tree, head)])


def is_acom(tree: Mapping[str, str]) -> bool:
    """Whether the head is one of NanoMEGAS' ACOM: ``File created from ACOM RES results``."""
    return "ACOM" in tree.get("File", "")


def ang(lines: Sequence[str]) -> dict[str, str]:
    """Names and values of a head; of a name that comes again, as of several phases, the first counts."""
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.lstrip("# ").replace("\t", " ").partition(" ")
        if value.strip():
            found.setdefault(name.rstrip(":"), value.strip())
    return found


# -- Oxford: .cpr and .crc ---------------------------------------------------------------------------------------------


def open_cpr(files: Files) -> Opened:
    """Open a project of CHANNEL 5: sections of names and values; records of the points lie in the .crc file beside."""
    data = files[files.entry].read_at(0, _LONGEST_HEAD)
    tree = ini(decode(data))
    return Opened(_records(files, tree), [Block("cpr", tree, data, "text/plain", "", files.entry)])


def _records(files: Files, tree: Mapping[str, Mapping[str, str]]) -> Iterator[Signal]:
    """A signal for each field of the records."""
    job, listed = tree.get("Job", {}), tree.get("Fields", {})
    beside = f"{PurePosixPath(files.entry).stem}.crc"
    name = next((one for one in files if PurePosixPath(one).name.lower() == beside.lower()), "")
    shape = grid(job.get("yCells"), job.get("xCells"))
    if not name or not shape:
        missing = f"no {beside} beside it" if shape else "no number of cells in it"
        raise ReaderError(
            f"there is {missing}, so there are no points", where=files.entry, next="Archive the two together."
        )
    numbers = [int(found) for place in range(1, _MOST_COLUMNS) if (found := number(listed.get(f"Field{place}", "")))]
    fields = [("Phase", "|u1"), *(_CRC.get(one, (f"Field {one}", "<f4")) for one in numbers)]
    record, points, left = sum(int(kind[-1]) for _, kind in fields), prod(shape), files[name].size
    if left < points * record:
        raise CutShort(name, points * record, left)
    if left != points * record:
        raise ReaderError(f"{left} bytes are not {points} points of {record} bytes", where=name)
    offset = 0
    for title, kind in fields:
        layout = ArrayLayout(name, offset, kind, shape, steps(shape, record))
        if title.lower() not in _PLACES:
            yield signal(title, map_axes(shape, (job.get("GridDistY"), job.get("GridDistX"))), array=layout)
        offset += int(kind[-1])


# -- EDAX: .up1 of bytes, .up2 of two bytes a pixel --------------------------------------------------------------------


def is_up(path: str) -> bool:
    """There is no magic number; the head must be one."""
    with Path(path).open("rb") as stream:
        return bool(up_head(stream.read(_UP.size + _UP_GRID.size)))


def up_head(data: bytes) -> dict[str, Any]:
    """Numbers of the head by name; none where it is not one.

    All numbers are little-endian; columns, rows, grid and steps in um are there from version 3 on. PyEBSDIndex, in the
    public domain, reads them so.
    """
    if len(data) < _UP.size:
        return {}
    version, width, height, offset = _UP.unpack_from(data)
    if version not in (1, 3, 4, 5) or not (0 < width <= _WIDEST and 0 < height <= _WIDEST):
        return {}
    found = {
        "Version": version, "Pattern Width": width, "Pattern Height": height, "Offset": offset, "Hexagonal": 0
    }  # fmt: skip
    if version == 1:
        return found if offset == _UP.size else {}
    if len(data) < _UP.size + _UP_GRID.size or offset < _UP.size + _UP_GRID.size:
        return {}
    columns, rows, hexagonal, x, y = _UP_GRID.unpack_from(data, _UP.size)
    return {**found, "Columns": columns, "Rows": rows, "Hexagonal": hexagonal, "Step X": x, "Step Y": y}


def open_up(files: Files) -> Opened:
    """Open a file of patterns."""
    data = files[files.entry].read_at(0, _UP.size + _UP_GRID.size)
    tree = up_head(data)
    if not tree:
        raise ReaderError("its head is not of version 1 or 3", where=files.entry)
    used = data[: tree["Offset"]]
    block = Block("edax-patterns", tree, used, place="head", byte_range=(0, len(used)))
    signals = _patterns(files, tree)
    return Opened(told_uneven(signals) if tree["Hexagonal"] else signals, [block])


def _patterns(files: Files, tree: Mapping[str, Any]) -> Iterator[Signal]:
    """One signal; of a hexagonal grid, or one that is not named, the patterns follow each other."""
    kind, size = "|u1" if files.entry.lower().endswith("1") else "<u2", files[files.entry].size
    height, width = tree["Pattern Height"], tree["Pattern Width"]
    frame = height * width * int(kind[-1])
    shape = () if tree["Hexagonal"] else grid(tree.get("Rows"), tree.get("Columns"))
    needed = tree["Offset"] + frame * prod(shape)
    if size < needed:
        raise CutShort(files.entry, needed, size)
    if shape:
        y, x = (step if 0 < (step := tree[f"Step {name}"]) < _LONGEST_STEP else 0.0 for name in "YX")
        places = map_axes(shape, (y, x), navigate=True)
    else:
        places = [axis("point" if tree["Hexagonal"] else "x", (size - tree["Offset"]) // frame, navigate=True)]
    axes = [*places, axis("dy", height), axis("dx", width)]
    sizes = tuple(one["size"] for one in axes)
    yield signal("Patterns", axes, array=ArrayLayout.packed(files.entry, tree["Offset"], kind, sizes))


# -- what they have in common ------------------------------------------------------------------------------------------


def _head(files: Files, end: re.Pattern[str]) -> tuple[str, list[str]]:
    """What stands before the points, each byte a character; and its lines in the coding in which they were written."""
    head, found = "", None
    while len(head) < _LONGEST_HEAD and (found is None or found.end() == len(head)):
        piece = files[files.entry].read_at(len(head), _PIECE).decode("latin-1")
        if not piece:
            break
        head += piece
        found = end.match(head)
    if found is None:
        raise ReaderError("no line names the columns of the points", where=files.entry)
    text = decode(found[0].encode("latin-1")).rstrip("\n")
    return found[0], [line.rstrip("\r") for line in text.split("\n")]


def _block(kind: str, tree: Mapping[str, str], head: str) -> Block:
    data = head.encode("latin-1")
    return Block(kind, tree, data, "text/plain", "head", byte_range=(0, len(data)))


def grid(rows: Any, columns: Any) -> Shape:
    """The shape of a map; of a line, one number; of none, nothing."""
    size = tuple(int(min(number(one or 0) or 0, _MOST_POINTS)) for one in (rows, columns))
    return () if min(size) < 1 else size if size[0] > 1 else size[1:]


def _texts(
    files: Files, start: int, names: Sequence[str], shape: Shape, spacing: Steps | None, unit: str = "um"
) -> Iterator[Signal]:
    """A signal for each column, but those of the places where the axes say them."""
    import dask.array
    import numpy as np

    if not shape:
        raise ReaderError("the head names no grid", where=files.entry)
    first = files[files.entry].read_at(start, _PIECE).decode("latin-1").lstrip().partition("\n")[0]
    columns = len(first.split())
    if not columns:
        raise ReaderError("there are no points after the head", where=files.entry)
    points, size = prod(shape), files[files.entry].size
    if size - start < (least := 2 * points * columns - 1):  # a digit and a blank for each number
        raise CutShort(files.entry, start + least, size)

    @cache  # one reading for all columns
    def read() -> Any:
        reader = files[files.entry]
        text = reader.read_at(start, size - start).decode("latin-1").replace(",", ".")
        found = np.loadtxt(io.StringIO(text), comments=None, ndmin=2, max_rows=points + 1)
        if len(found) != points:
            raise ReaderError(
                f"the head names {points} points, {'more' if len(found) > points else len(found)} are there",
                where=files.entry,
            )
        return found

    lazy: Any = dask  # it has no types
    table = lazy.array.from_delayed(lazy.delayed(read, pure=False)(), (points, columns), np.float64)
    for place, name in sorted(enumerate(names[:columns]), key=lambda one: one[1].lower() not in _PICTURES):
        if spacing is None or name.lower() not in _PLACES:
            yield signal(name, map_axes(shape, spacing, unit), table[:, place].reshape(shape))


def map_axes(shape: Shape, spacing: Steps | None, unit: str = "um", *, navigate: bool = False) -> list[dict[str, Any]]:
    """Axes of a map or a line; of points that lie anywhere, one."""
    if spacing is None:
        return [axis("point", shape[0], navigate=True)]
    known = [(name, size, number(step or 0)) for name, size, step in zip("yx", (1, *shape)[-2:], spacing, strict=True)]
    axes = [axis(name, size, step or 1.0, 0.0, unit if step else "", navigate=navigate) for name, size, step in known]
    return axes[-len(shape) :]
