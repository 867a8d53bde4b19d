"""Metadata of a .prz archive: a zip of NumPy arrays, of which one is a text of JSON, before version 24.03 a pickle."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from diadem.hooks.fields import Block
from diadem.plugins.pantarhei.pickled import values_of

#: Bytes of the metadata, unpacked; they have some kilobytes.
_LONGEST = 8 << 20
_MAGIC = b"\x93NUMPY"


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001 - every cutter is called so
    """Cut the metadata out of an archive.

    Parameters
    ----------
    path : str
        The .prz file.
    files : sequence of str
        All files of the dataset: this one.

    Yields
    ------
    Block
        One, where there is metadata.
    """
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        name = next((one for one in ("meta_data_json.npy", "meta_data.npy") if one in names), "")
        if not name:
            return
        with archive.open(name) as member:
            data = member.read(_LONGEST + 1)
    if len(data) > _LONGEST:
        raise ValueError(f"{name} is larger than {_LONGEST} bytes")
    tree = parse(data)
    if tree:
        yield Block("pantarhei-metadata", tree, data, "application/x-npy", place=name.removesuffix(".npy"))


def parse(data: bytes) -> Mapping[str, Any]:
    """The first mapping in an array of text, or of objects.

    Parameters
    ----------
    data : bytes
        An .npy file.
    """
    content, kind = _content(data)
    if "O" in kind:
        found = values_of(content)
    else:
        encoding = "utf-32-be" if ">U" in kind else "utf-32-le"
        found = json.loads(content.decode(encoding).rstrip("\0"))
    while isinstance(found, list) and found:
        found = found[0]
    return found if isinstance(found, Mapping) else {}


def _content(data: bytes) -> tuple[bytes, str]:
    """What follows the header, and the header's text."""
    if not data.startswith(_MAGIC) or len(data) < 12:
        raise ValueError("this is no array of NumPy")
    form = "<H" if data[6] == 1 else "<I"
    (length,) = struct.unpack_from(form, data, 8)
    start = 8 + struct.calcsize(form) + length
    return data[start:], data[8:start].decode("latin-1")
