"""Hitachi's side file ``<picture>.txt``: the INI section `SemImageFile` or `TemImageFile`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from diadem.hooks.fields import Block
from diadem.plugins.tiff_tags import decode
from diadem.plugins.vendor_text import ini

#: Bytes of a side file that are read; real ones have 1 to 4 kB.
_LARGEST = 1 << 20
_SECTIONS = ("SemImageFile", "TemImageFile")


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Side files of Hitachi among the files of a dataset.

    Parameters
    ----------
    path : str
        The picture.
    files : sequence of str
        All files of the dataset; those named `.txt` are looked at.
    """
    del path
    for file in files:
        if not file.lower().endswith(".txt"):
            continue
        with Path(file).open("rb") as stream:
            sections = ini(_text(stream.read(_LARGEST)))
        if any(name in sections for name in _SECTIONS):
            yield Block("hitachi-text", sections, file=file)


def _text(data: bytes) -> str:
    """Text of UTF-16, as newer instruments write it, or of eight bits."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return decode(data)
