"""HPD-TA's comment, sections of settings, as the description of a TIFF file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from diadem.hooks.fields import Block
from diadem.plugins.optical.streak import sections
from diadem.plugins.tiff_blocks import trees
from diadem.plugins.tiff_tags import NotTiff, Tiff, decode

_KIND = "hamamatsu-comment"


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Blocks of a picture of HPD-TA; none of another.

    Parameters
    ----------
    path : str
        The file.
    files : sequence of str
        Not asked: everything is in the file.
    """
    del files
    try:
        file = Tiff.open(path)
    except NotTiff:
        return
    with file:
        page = next(file.pages(), None)
        tag = None if page is None else page.tags.get(270)
        if page is None or tag is None or not str(file.plain(page).get("Artist", "")).startswith("Copyright Hamamatsu"):
            return
        data = file.data(tag)
        yield Block(_KIND, {}, data, "text/plain", "page 1/ImageDescription", byte_range=(tag.start, tag.end))
        yield from trees(path, file, 1, [(page, {"Comment": sections(decode(data.split(b"\x00", 1)[0]))})], _KIND)
