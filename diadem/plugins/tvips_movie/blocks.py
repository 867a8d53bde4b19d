"""Headers of a movie and its frames.

Members and their meaning: TVIPS' description of the format as LiberTEM (``libertem/io/dataset/tvips.py``) and
RosettaSciIO (``tvips/_api.py``) give it; the two agree.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diadem.hooks.fields import Block

_GENERAL = (
    "ISize", "IVersion", "IXDim", "IYDim", "IBPP", "IXOff", "IYOff", "IXBin", "IYBin", "IPixelSize", "IHT",
    "IMagTotal", "IImgHeaderBytes",
)  # fmt: skip
_GENERAL_SIZE = 256
#: Members of a frame's header: name and `struct` letter. Version 1 has the first three.
_FRAME = (
    ("ICounter", "I"), ("ITime", "I"), ("IMS", "I"), ("LUT_Index", "I"), ("Faraday", "f"), ("TEM_Mag", "I"),
    ("TEM_Mag_mode", "I"), ("TEM_Stage_x", "f"), ("TEM_Stage_y", "f"), ("TEM_Stage_z", "f"), ("TEM_Stage_alpha", "f"),
    ("TEM_Stage_beta", "f"), ("Index_of_rotator", "I"), ("DENS_T_measure", "f"), ("DENS_T_setpoint", "f"),
    ("DENS_Power", "f"), ("TEM_Obj_current", "f"), ("Scan_x", "f"), ("Scan_y", "f"), ("DENS_Bias_U_setpoint", "f"),
    ("DENS_Bias_U_value", "f"), ("DENS_Bias_I_setpoint", "f"), ("DENS_Bias_I_value", "f"),
    ("DENS_Bias_E_setpoint", "f"), ("DENS_Bias_R", "f"), ("DENS_Bias_limit_U", "f"), ("DENS_Bias_limit_I", "f"),
)  # fmt: skip
_FIRST_VERSION = 12
#: Bytes of a frame's header that are believed.
_LONGEST = 65536
_PART = re.compile(r"_(\d{3})\.tvips\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Movie:
    """A movie's header.

    Attributes
    ----------
    tree : dict
        Members by name.
    header : int
        Bytes of the header of each frame.
    step : int
        Bytes of a frame with its header.
    """

    tree: dict[str, Any]
    header: int
    step: int


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Cut the headers out of a movie.

    Parameters
    ----------
    path : str
        The part that ends with ``_000.tvips``.
    files : sequence of str
        All parts.

    Yields
    ------
    Block
        The movie's header with that of the first frame, and the header of the last frame.
    """
    with Path(path).open("rb") as stream:
        start = stream.read(_GENERAL_SIZE + _LONGEST)
    movie = general(start)
    if movie is None:
        return
    end = _GENERAL_SIZE + movie.header
    first = frame(start[_GENERAL_SIZE:end])
    yield Block("tvips-movie", {**movie.tree, "first frame": first}, start[:end], byte_range=(0, min(end, len(start))))
    if not is_copy(movie.tree):
        yield from _last(movie, path, files)


def is_copy(tree: Mapping[str, Any]) -> bool:
    """Whether HyperSpy has written the movie: it fills the unused bytes with its name.

    Its voltage and magnification are HyperSpy's, but the stage is in other units and the times are made up.
    """
    return str(tree.get("Unused", "")).startswith("HYPERSPY")


def general(data: bytes) -> Movie | None:
    """The header of a movie; None where it is none.

    Parameters
    ----------
    data : bytes
        The beginning of the first part.
    """
    if len(data) < _GENERAL_SIZE:
        return None
    tree: dict[str, Any] = dict(zip(_GENERAL, struct.unpack_from("<13I", data), strict=True))
    tree["Unused"] = data[52:_GENERAL_SIZE].partition(b"\0")[0].decode("latin-1")
    header = _FIRST_VERSION if tree["IVersion"] == 1 else tree["IImgHeaderBytes"]
    pixels = tree["IXDim"] * tree["IYDim"] * tree["IBPP"] // 8
    believed = tree["ISize"] == _GENERAL_SIZE and tree["IVersion"] in (1, 2) and tree["IBPP"] in (8, 16)
    if not believed or not pixels or not _FIRST_VERSION <= header <= _LONGEST:
        return None
    return Movie(tree, header, header + pixels)


def frame(data: bytes) -> dict[str, Any]:
    """Members of a frame's header, as many as it is long."""
    count = min(len(data) // 4, len(_FRAME))
    form = "<" + "".join(letter for _, letter in _FRAME[:count])
    return dict(zip((name for name, _ in _FRAME[:count]), struct.unpack_from(form, data), strict=True))


def _last(movie: Movie, path: str, files: Sequence[str]) -> Iterator[Block]:
    """The last whole frame of the last part that has one; the first is cut already."""
    parts = sorted({str(Path(file)) for file in (path, *files) if _PART.search(file)}, key=lambda file: file[-9:])
    for part in reversed(parts):
        before = _GENERAL_SIZE if part == str(Path(path)) else 0
        count = (Path(part).stat().st_size - before) // movie.step
        if count > 0:
            start = before + (count - 1) * movie.step
            if start == _GENERAL_SIZE and before:
                return
            with Path(part).open("rb") as stream:
                stream.seek(start)
                data = stream.read(movie.header)
            place = f"frame {count} of {part[-9:-6]}"
            where = (start, start + len(data))
            yield Block("tvips-last-frame", frame(data), data, place=place, file=part, byte_range=where)
            return
