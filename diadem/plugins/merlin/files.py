"""MIB files of Merlin detectors opened: frames of big-endian counts, rows from below, each after a header of text.

Fields of a header stand between commas; it has 384 bytes for one chip, 768 for four. Meaning and units: "MIB file
format" of the Merlin manual (Quantum Detectors), checked against the two public programs that read it field by field,
``ePSIC-DLS/mib_props`` (``mib_header_MQ1.h``) and ``areaDetector/ADMerlin`` (``mpxConnection.cpp``). How frames make a
scan is told as by RosettaSciIO, which is asked for what is packed.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from diadem.hooks import times
from diadem.hooks.fields import Block, Found, Tree
from diadem.hooks.formats import Files, Opened, Signal, axis, cut_short
from diadem.hooks.text import quantity
from diadem.model.layout import ArrayLayout
from diadem.model.ports import RangeReader
from diadem.terms.dates import YEARS, clock, iso, text_of

#: Names of the fields before the thresholds.
_NAMES = (
    "Header ID", "Acquisition Sequence Number", "Data Offset", "Number of Chips", "Pixel Dimension X",
    "Pixel Dimension Y", "Pixel Depth", "Sensor Layout", "Chip Select", "Time Stamp", "Acquisition Shutter Time",
    "Counter", "Colour Mode", "Gain Mode",
)  # fmt: skip
_THRESHOLDS = 8
#: Names of the fields after ``MQ1A``, which older programs do not write.
_EXTENSION = ("Time Stamp Extended", "Acquisition Shutter Time (ns)", "Counter Depth")
#: A chip's digital-to-analogue converters: the format's name and 27 numbers.
_DAC = 28
#: Bytes of the longest header that is believed, and of those whose arrays are known: of one chip, and of four.
_LONGEST, _KNOWN = 16384, (384, 768)
#: Counts as they are stored: NumPy's type.
_TYPES = {"U08": "|u1", "U16": ">u2", "U32": ">u4"}
#: Bits of a pixel as a packed file has it, by the depth of the counter; LiberTEM, `mib.py`.
_BITS_OF_RAW = {"1": 1, "6": 8, "12": 16, "24": 32}
_STAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?")
#: Frames whose time stamps are looked at to find the length of a line of the scan.
_TIMED = 10_000
#: Files with more frames than this keep the headers of the others only in themselves: each is a seek.
_MOST_HEADERS = 1024
_EXPOSURE = "Acquisition Shutter Time (ns)"
#: Bytes of a .hdr file; the program writes 2048.
_LONGEST_HDR = 1 << 20


@dataclass(frozen=True, slots=True)
class Header:
    """One frame's header."""

    tree: dict[str, Any]  # texts by name; empty where the file ends within them
    length: int
    step: int = 0  # bytes to the beginning of the next frame; 0 where the header does not tell
    shape: tuple[int, ...] = ()
    dtype: str = ""  # "" where counts are packed


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open a file of frames, and the .hdr file beside it."""
    first = parse(files[files.entry].read_at(0, _LONGEST))
    described = _description(files)
    size = first.step if first is not None and first.dtype else 0
    return Opened(_signals(files, first, described.tree if described else {}), _blocks(files, first, described), size)


def parse(data: bytes) -> Header | None:
    """Read a header from the beginning of a frame; None where there is none."""
    if not data.startswith(b"MQ1,"):
        return None
    _, _, offset, *_ = (*data[:_LONGEST].decode("latin-1").split(","), "", "")
    if not _is_count(offset) or int(offset) > _LONGEST:
        return None
    length = int(offset)
    parts = [part.strip(" \0\r\n\t") for part in data[:length].decode("latin-1").split(",")]
    if len(parts) <= len(_NAMES):
        return _measured(parts, {}, length) if len(data) < length else None
    tree: dict[str, Any] = dict(zip(_NAMES, parts, strict=False))
    rest = parts[len(_NAMES) :]
    tree["Threshold (keV)"] = rest[:_THRESHOLDS]
    if "MQ1A" in rest:
        place = rest.index("MQ1A")
        tree["Header Extension ID"] = "MQ1A"
        tree |= zip(_EXTENSION, rest[place + 1 :], strict=False)
        rest = rest[:place]
    tree["DACs"] = [rest[start : start + _DAC] for start in range(_THRESHOLDS, len(rest), _DAC) if any(rest[start:])]
    return _measured(parts, tree, length)


def _measured(parts: Sequence[str], tree: dict[str, Any], length: int) -> Header:
    """A header with what it says of its frame."""
    columns, rows, kind = (*parts[4:7], "", "", "")[:3]
    if not (_is_count(columns) and _is_count(rows) and _is_count(kind[1:])):
        return Header(tree, length)
    bits = int(kind[1:]) if kind.startswith("U") else 0
    if kind.startswith("R"):
        bits = _BITS_OF_RAW.get(str(tree.get("Counter Depth", "")), 0)
    size = int(columns) * int(rows) * bits
    if not size or size % 8:
        return Header(tree, length)
    if kind not in _TYPES:
        return Header(tree, length, length + size // 8)
    return Header(tree, length, length + size // 8, (int(rows), int(columns)), _TYPES[kind])


def _is_count(text: str) -> bool:
    """Whether a text is a number of not too many digits."""
    return text.isdecimal() and len(text) < 10


# -- signals -------------------------------------------------------------------------------------------------------


def _signals(files: Files, first: Header | None, described: Mapping[str, Any]) -> Iterator[Signal]:
    """All whole frames; by the reader where they are packed, or have another header than those that are known."""
    name, reader = files.entry, files[files.entry]
    frames = reader.size // first.step if first is not None and first.step else 0
    if first is None or not first.dtype or first.length not in _KNOWN or not frames:
        yield from files.signals()
        return
    headers = [(number * first.step, number * first.step + first.length) for number in range(min(frames, _TIMED))]
    scan = [size for size in _scan(reader, headers, frames, described) if size != 1]
    array = ArrayLayout.records(name, first.length, first.dtype, scan, first.step, first.shape, up=True)
    missing = reader.size % first.step
    why = f"its frames have {first.step} bytes each, the last has {missing}"
    yield Signal(
        [axis("", size, navigate=place < len(scan)) for place, size in enumerate(array.shape)],
        array=array,
        metadata={
            "General": {"original_filename": PurePosixPath(name).name},
            "Signal": {"signal_type": "electron_diffraction"},
        },
        issues=[cut_short(name, why)] if missing else [],
        # it needs the newer programs' time stamps
        reader=(lambda: files.read({name: headers})[0]) if "Header Extension ID" in first.tree else None,
    )


def _scan(
    reader: RangeReader, headers: Sequence[tuple[int, int]], frames: int, described: Mapping[str, Any]
) -> tuple[int, ...]:
    """Lines of the scan and frames in a line, as far as they are whole; the number of frames where there are no lines.

    The .hdr file tells how many frames follow a trigger; where that is one, or there is no such file, the pause before
    the second line does.
    """
    keys = ("Frames per Trigger (Number)", "Frames in Acquisition (Number)")
    told = [int(text) for key in keys if _is_count(text := str(described.get(key, "")))]
    line, planned = told if len(told) == len(keys) else (1, frames)
    if line == 1:
        line = _frames_before_a_pause(reader.read_at(start, stop - start) for start, stop in headers)
    lines = min(planned, frames) // line if line else 0
    return (lines, line) if lines else (frames,)


def _frames_before_a_pause(headers: Iterator[bytes]) -> int:
    """How many frames there are until one came later than the mean; 1 where none did, or the times cannot be read."""
    stamps = []
    for data in headers:
        header = parse(data)
        tree = header.tree if header is not None else {}
        stamp = str(tree.get("Time Stamp Extended", tree.get("Time Stamp", ""))).removesuffix("Z")
        if not _STAMP.fullmatch(stamp):
            return 1
        stamps.append(stamp)
    try:
        passed = np.diff(np.array(stamps, "datetime64[ns]")).astype(float)
    except ValueError:
        return 1
    late = np.flatnonzero(passed > passed.mean()) if passed.size else passed
    return int(late[0]) + 1 if late.size else 1


# -- blocks --------------------------------------------------------------------------------------------------------


def _blocks(files: Files, first: Header | None, described: Block | None) -> Iterator[Block]:
    """First frame, last frame, the frames between them in one piece, the .hdr file."""
    reader = files[files.entry]
    if first is not None and first.tree:
        yield _block("merlin-first-frame", reader, first, 1, 0)
        count = reader.size // first.step if first.step else 0
        start = (count - 1) * first.step
        last = parse(reader.read_at(start, _LONGEST)) if count else None
        if last is not None and count == 1:
            yield Block("merlin-last-frame", last.tree, place="frame 1")
        elif last is not None:
            yield _block("merlin-last-frame", reader, last, count, start)
        if 2 < count <= _MOST_HEADERS:
            between = b"".join(reader.read_at(number * first.step, first.length) for number in range(1, count - 1))
            yield Block("merlin-frames", {}, between, "text/plain", f"frames 2 to {count - 1}")
    if described is not None:
        yield described


def _block(kind: str, reader: RangeReader, header: Header, number: int, start: int) -> Block:
    """A frame's header as a block."""
    data = reader.read_at(start, header.length)
    return Block(kind, header.tree, data, "text/plain", f"frame {number}", byte_range=(start, start + len(data)))


def _description(files: Files) -> Block | None:
    """The .hdr file: a name, a tab and a value on each line."""
    for name in files:
        if name.lower().endswith(".hdr"):
            text = files[name].read_at(0, _LONGEST_HDR).decode("latin-1")
            lines = text.splitlines()[1:] if text.startswith("HDR") else []
            pairs = (line.split("\t", 1) for line in lines if "\t" in line and not line.startswith("End"))
            tree = {key.strip().removesuffix(":"): value.strip() for key, value in pairs}
            if lines:
                return Block("merlin-hdr", tree, file=name)
    return None


# -- when frames were taken -------------------------------------------------------------------------------------------


def _instant(tree: Tree) -> dt.datetime | None:
    """The extended time stamp, which ends with Z."""
    raw = str(tree.get("Time Stamp Extended", ""))
    return iso(raw) if raw.endswith("Z") else None


def _local(tree: Tree) -> dt.datetime | None:
    """The time stamp of the first part, in the local time of the computer; one with an offset is none of Merlin's."""
    found = iso(tree.get("Time Stamp"))
    return found if found is not None and found.tzinfo is None else None


def start(tree: Tree) -> Iterator[Found]:
    """When the first frame began."""
    raw, instant = [tree.get("Time Stamp"), tree.get("Time Stamp Extended")], _instant(tree)
    local = _local(tree)
    if instant is None:
        yield from times.moments("time.acquired_start", "Time Stamp", raw[0], local=local)
        return
    yield from times.moments("time.acquired_start", "Time Stamp Extended", raw[1], instant=instant)
    if local is not None:
        both = "Time Stamp + Time Stamp Extended"
        for found in times.moments("", both, f"{raw[0]}, {raw[1]}", local=local, instant=instant):
            if found.field == "time.utc_offset":
                yield found


def end(tree: Tree) -> Iterator[Found]:
    """When the last frame ended: it began at its time stamp, and the shutter was open for the shutter time."""
    instant = _instant(tree)
    moment, key = (instant, "Time Stamp Extended") if instant else (_local(tree), "Time Stamp")
    if moment is None or moment.year not in YEARS:
        return
    shutter, factor = (_EXPOSURE, 1e-9) if _EXPOSURE in tree else ("Acquisition Shutter Time", 1.0)
    open_for, unit = quantity(str(tree[shutter])) or (0.0, "")
    if unit != ("ns" if shutter == _EXPOSURE else ""):
        return
    end, raw = moment + dt.timedelta(seconds=open_for * factor), f"{tree[key]}, {tree[shutter]}"
    known = "known" if instant is not None else "unknown"
    yield Found("time.acquired_end", text_of(end), f"{key} + {shutter}", raw, status="derived", offset_status=known)


def written(tree: Tree) -> Iterator[Found]:
    """When the .hdr file was written; the order of day, month and year stands in the name of the line."""
    for key, raw in tree.items():
        order = re.match(r"Time and Date Stamp \((\w+), *(\w+), *(\w+),", key)
        if order is None:
            continue
        day, _, time = str(raw).partition(" ")
        numbers = dict(zip((name[:1].lower() for name in order.groups()), re.split(r"[/.-]", day), strict=True))
        hour = clock(time)
        if hour is not None:
            date = dt.date(int(numbers["y"]), int(numbers["m"]), int(numbers["d"]))
            yield from times.moments("time.acquired_start", key, raw, local=dt.datetime.combine(date, hour))
