"""Ripple files opened: keys (.rpl) beside a file of raw counts (.raw), as Lispix, INCA, Bruker and HyperSpy write them.

The keys: a name, a tab and a value on each line; ``(MLX::NAME : value)`` as INCA writes them. How they make axes is as
in RosettaSciIO.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from diadem.hooks.fields import Block
from diadem.hooks.formats import CutShort, Files, Opened, Signal, axis
from diadem.hooks.text import number
from diadem.model.layout import ArrayLayout

#: Bytes that are looked at; a file has about one kilobyte.
_LONGEST = 1 << 20
_INCA = re.compile(r"\(\s*MLX::([A-Z-]+)\s*:\s*(.*?)\s*\)?\s*\Z", re.IGNORECASE)
#: Programs that write keys which Lispix does not define, with HyperSpy's units.
_WRITERS = re.compile(r";\s*File created by (HyperSpy|RosettaSciIO) version (\S+)")
_TYPES = {"signed": "i", "unsigned": "u", "float": "f"}
#: Without an order it is that of the machine that wrote; the others are long gone.
_ORDERS = {"little-endian": "<", "big-endian": ">", "dont-care": "<"}
#: Directions in the order in which the counts lie, and which of them are positions of the probe.
_IMAGES = ("depth", "height", "width")
_RECORDS = {
    "vector": (("height", "width", "depth"), ("height", "width")),
    "image": (_IMAGES, ("depth",)),
    "dont-care": (_IMAGES, ("depth",)),
}


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open the keys and the counts; keys that are not as they should be the reader is asked for, which says why."""
    keys = parse(files[files.entry].read_at(0, _LONGEST).decode("latin-1"))
    return Opened(_signals(files, keys), [Block("ripple-keys", keys)] if keys else [])


def parse(text: str) -> dict[str, Any]:
    """Keys in lower case, with texts as they stand; ``written by`` names the program where the file does."""
    tree: dict[str, Any] = {}
    if writer := _WRITERS.match(text):
        tree["written by"] = f"{writer[1]} {writer[2]}"
    for line in text.splitlines():
        if line.startswith(";"):
            continue
        inca = _INCA.match(line.strip())
        name, tab, value = (inca[1], "\t", inca[2]) if inca else line.partition(";")[0].partition("\t")
        if tab and name.strip().lower() != "key":
            tree[name.strip().lower()] = value.strip()
    return tree


def _signals(files: Files, keys: Mapping[str, Any]) -> Iterator[Signal]:
    array, axes = None, []
    stem = files.entry.casefold().removesuffix(".rpl")
    raw = next((name for name in files if name.casefold() == f"{stem}.raw"), None)
    record = str(keys.get("record-by", "")).lower()
    sizes = {name: number(keys.get(name, "")) or 0.0 for name in _IMAGES}
    offset, dtype = number(keys.get("offset", "")), _dtype(keys)
    counted = all(size.is_integer() and size >= 1 for size in (*sizes.values(), (offset or 0.0) + 1))
    if raw is not None and dtype and counted and record in _RECORDS and (record != "dont-care" or sizes["depth"] == 1):
        names, positions = _RECORDS[record]
        kept = [name for name in names if sizes[name] > 1]
        if len(kept) == 1 and record == "dont-care":
            positions = ("height",)
        array = ArrayLayout.packed(raw, int(offset or 0), dtype, tuple(int(sizes[name]) for name in kept))
        axes = [_axis(keys, name, int(sizes[name]), navigate=name in positions) for name in kept]
    if raw is None or array is None or not axes:
        yield from files.signals()
        return
    if array.end > files[raw].size:
        raise CutShort(raw, array.end, files[raw].size)
    yield Signal(
        axes,
        array=array,
        metadata={
            "General": {"original_filename": PurePosixPath(files.entry).name, "title": keys.get("title", "")},
            "Signal": {"signal_type": keys.get("signal", "")},
        },
        reader=lambda: files.read({raw: []})[0],
    )


def _dtype(keys: Mapping[str, Any]) -> str:
    """NumPy's type of the counts; "" where it is none."""
    kind = _TYPES.get(str(keys.get("data-type", "")).lower(), "")
    length, order = str(keys.get("data-length", "")), _ORDERS.get(str(keys.get("byte-order", "")).lower())
    if not kind or order is None or length not in ("1", "2", "4", "8") or (kind == "f" and length in "12"):
        return ""
    return f"{'|' if length == '1' else order}{kind}{length}"


def _axis(keys: Mapping[str, Any], name: str, size: int, *, navigate: bool) -> dict[str, Any]:
    """An axis by HyperSpy's keys; Lispix has one calibration, of the energy, with its unit in the name."""
    scale, unit = number(keys.get(f"{name}-scale", "")), keys.get(f"{name}-units", "")
    if name == "depth" and scale is None and (found := number(keys.get("ev-per-chan", ""))):
        scale, unit = found, unit or "eV"
    unit, offset = "" if unit == "<undefined>" else unit, number(keys.get(f"{name}-origin", "")) or 0.0
    return axis(keys.get(f"{name}-name", name), size, 1.0 if scale is None else scale, offset, unit, navigate=navigate)
