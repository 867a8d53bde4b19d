"""Hitachi's side file ``<picture>.txt``: the INI section `SemImageFile` or `TemImageFile`.

Newer programs write the same text into the picture, as Windows' comment and author (tags 40092, 40093, UTF-16).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from diadem.hooks.fields import Block
from diadem.hooks.text import decode, ini
from diadem.hooks.tiff import NotTiff, Tiff

#: Bytes of a side file that are read; real ones have 1 to 4 kB.
_LARGEST = 1 << 20
_SECTIONS = ("SemImageFile", "TemImageFile")
#: Windows' XPComment and XPAuthor.
_TAGS = (40092, 40093)


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Side files of Hitachi among the files of a dataset, and the same text in the picture.

    Parameters
    ----------
    path : str
        The picture.
    files : sequence of str
        All files of the dataset; those named `.txt` are looked at.
    """
    for file in files:
        if not file.lower().endswith(".txt"):
            continue
        with Path(file).open("rb") as stream:
            sections = ini(decode(stream.read(_LARGEST)))
        if any(name in sections for name in _SECTIONS):
            yield Block("hitachi-text", sections, file=file)
    yield from _in_picture(path)


def _in_picture(path: str) -> Iterator[Block]:
    """Sections in Windows' tags."""
    try:
        file = Tiff.open(path)
    except NotTiff:
        return
    with file:
        page = next(file.pages(), None)
        for tag in (page.tags.get(code) for code in _TAGS) if page else ():
            data = b"" if tag is None else file.data(tag)
            sections = ini(data.decode("utf-16-le", "replace"))
            if tag is not None and any(name in sections for name in _SECTIONS):
                place = f"page 1/{tag.code}"
                yield Block("hitachi-text", sections, data, "text/plain", place, byte_range=(tag.start, tag.end))
