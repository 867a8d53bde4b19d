"""Movies of TVIPS' recorder opened (.tvips): a header, then frames, each after a header of its own, in several parts.

Members and their meaning: TVIPS' description of the format as LiberTEM (``libertem/io/dataset/tvips.py``) and
RosettaSciIO (``tvips/_api.py``) give it; the two agree. The pixel size of the header is that of the camera, 15600 nm,
which RosettaSciIO 0.15 takes for that of the image, or of a pattern in 1/nm; only its own writer puts this there.
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
from diadem.hooks.binary import Structure
from diadem.hooks.fields import Block, Found, Tree
from diadem.hooks.formats import Files, Opened, Signal, axis, cut_short, pieces
from diadem.model.layout import ArrayLayout
from diadem.terms.dates import from_epoch

_GENERAL, _FRAME = (Structure("diadem.plugins.tvips_movie", name) for name in ("movie", "frame"))
_FIRST_VERSION = 12
#: Bytes of a frame's header that are believed.
_LONGEST = 65536
_PART = re.compile(r"_(\d{3})\.tvips\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Movie:
    """A movie's header, bytes of the header of each frame, and of a frame with it."""

    tree: dict[str, Any]  # with that of the first frame
    header: int
    step: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a frame."""
        return self.tree["IYDim"], self.tree["IXDim"]

    @property
    def dtype(self) -> str:
        """NumPy's type of the pixels."""
        return "|u1" if self.tree["IBPP"] == 8 else "<u2"


@dataclass(frozen=True, slots=True)
class _Part:
    """A file of the movie: its number, where the first frame begins, how many are whole, and bytes left behind them."""

    name: str
    number: int
    start: int
    count: int
    rest: int


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open a movie by the part that ends with ``_000.tvips``; what is no movie as described the reader is asked for."""
    reader = files[files.entry]
    movie = general(reader.read_at(0, _GENERAL.size))
    if movie is None:
        return Opened(files.signals())
    head = reader.read_at(0, _GENERAL.size + movie.header)
    movie.tree["first frame"] = frame(head[_GENERAL.size :])
    parts = []
    names = {files.entry, *(name for name in files if _PART.search(name))}
    for name in sorted(names, key=lambda name: name[-9:]):  # in the order of their numbers
        start, numbered = _GENERAL.size if name == files.entry else 0, _PART.search(name)
        count, rest = divmod(max(0, files[name].size - start), movie.step)
        parts.append(_Part(name, int(numbered[1]) if numbered else 0, start, count, rest))
    return Opened(_signals(files, movie, parts), _blocks(files, movie, head, parts), _GENERAL.size + movie.step)


def is_copy(tree: Mapping[str, Any]) -> bool:
    """Whether HyperSpy has written the movie: it fills the unused bytes with its name.

    Its voltage and magnification are HyperSpy's, but the stage is in other units and the times are made up.
    """
    return str(tree.get("Unused", "")).startswith("HYPERSPY")


def general(data: bytes) -> Movie | None:
    """The header of a movie; None where it is none."""
    if len(data) < _GENERAL.size:
        return None
    tree = _GENERAL.read(data)
    header = _FIRST_VERSION if tree["IVersion"] == 1 else tree["IImgHeaderBytes"]
    pixels = tree["IXDim"] * tree["IYDim"] * tree["IBPP"] // 8
    believed = tree["ISize"] == _GENERAL.size and tree["IVersion"] in (1, 2) and tree["IBPP"] in (8, 16)
    if not believed or not pixels or not _FIRST_VERSION <= header <= _LONGEST:
        return None
    return Movie(tree, header, header + pixels)


def frame(data: bytes) -> dict[str, Any]:
    """Members of a frame's header, as many as it is long."""
    return _FRAME.read(data)


# -- signals -------------------------------------------------------------------------------------------------------


def _signals(files: Files, movie: Movie, parts: Sequence[_Part]) -> Iterator[Signal]:
    """All whole frames of the parts whose numbers follow one another."""
    first, tree = parts[0], movie.tree
    parts = [part for number, part in enumerate(parts) if part.number == number] or [first]
    places = [(part.name, part.start + number * movie.step) for part in parts for number in range(part.count)]
    if not places:
        yield from files.signals()
        return
    shape = (len(places), *movie.shape)
    array = data = None
    if first.count == len(places):
        start = first.start + movie.header
        array = ArrayLayout.records(first.name, start, movie.dtype, shape[:1], movie.step, movie.shape)
    else:

        def read(number: int) -> Any:
            name, start = places[number]
            pixels = files[name].read_at(start + movie.header, movie.step - movie.header)
            return np.frombuffer(pixels, movie.dtype).reshape(movie.shape)

        data = pieces(read, shape, movie.dtype)
    moments = []
    for name, start in places[:2]:
        told = frame(files[name].read_at(start, movie.header))
        moments.append(told["ITime"] + told["IMS"] / 1000)
    heads = {part.name: [(0, part.start + movie.header)] for part in parts}
    why = f"its frames have {movie.step} bytes each, the last has"
    issues = [cut_short(part.name, f"{why} {part.rest}") for part in parts if part.rest]
    yield Signal(
        _axes(tree, shape, moments),
        data,
        array,
        {
            "General": {"original_filename": PurePosixPath(files.entry).name},
            "Signal": {"signal_type": "diffraction"} if _is_pattern(tree) else {},
        },
        issues=issues,
        # it refuses other parts, and a header without a mode
        reader=(lambda: files.read(heads)[0]) if not issues and tree["IVersion"] == 2 and len(places) > 1 else None,
    )


def _is_pattern(tree: Tree) -> bool:
    return bool(tree["first frame"].get("TEM_Mag_mode") == 2)


def _axes(tree: Tree, shape: Sequence[int], moments: Sequence[float]) -> list[dict[str, Any]]:
    """Seconds since 1970, as far apart as the first two frames; pixels have a size where HyperSpy wrote the movie."""
    scale, unit = (tree["IPixelSize"], "1/nm" if _is_pattern(tree) else "nm") if is_copy(tree) else (1.0, "")
    passed = moments[1] - moments[0] if len(moments) > 1 else 1.0
    return [
        axis("time", shape[0], passed, moments[0], "s", navigate=True),
        axis("dy", shape[1], scale, tree["IYOff"], unit),
        axis("dx", shape[2], scale, tree["IXOff"], unit),
    ]


# -- blocks --------------------------------------------------------------------------------------------------------


def _blocks(files: Files, movie: Movie, head: bytes, parts: Sequence[_Part]) -> Iterator[Block]:
    """The movie's header with that of the first frame, and the header of the last whole frame, if that is another."""
    yield Block("tvips-movie", movie.tree, head, byte_range=(0, len(head)))
    last = next((part for part in reversed(parts) if part.count), None)
    if is_copy(movie.tree) or last is None or (last.name == files.entry and last.count == 1):
        return
    start = last.start + (last.count - 1) * movie.step
    data = files[last.name].read_at(start, movie.header)
    place, where = f"frame {last.count} of {last.number:03}", (start, start + len(data))
    yield Block("tvips-last-frame", frame(data), data, place=place, file=last.name, byte_range=where)


# -- times ---------------------------------------------------------------------------------------------------------


def _moment(frame: Mapping[str, Any]) -> dt.datetime | None:
    """Seconds since 1970 and milliseconds."""
    instant = from_epoch(frame["ITime"])
    return None if instant is None else instant + dt.timedelta(milliseconds=min(frame["IMS"], 999))


def first_frame_time(tree: Tree) -> Iterator[Found]:
    """The first frame's time. HyperSpy makes its own of a local time where no zone is known."""
    frame, instant = tree["first frame"], _moment(tree["first frame"])
    local = instant.replace(tzinfo=None) if instant is not None and is_copy(tree) else None
    raw, key = f"{frame['ITime']}, {frame['IMS']}", "first frame/ITime + first frame/IMS"
    yield from times.moments("time.acquired_start", key, raw, local=local, instant=None if local else instant)


def last_frame_time(tree: Tree) -> Iterator[Found]:
    """The last frame's time."""
    raw = f"{tree['ITime']}, {tree['IMS']}"
    yield from times.moments("time.acquired_end", "ITime + IMS", raw, instant=_moment(tree))
