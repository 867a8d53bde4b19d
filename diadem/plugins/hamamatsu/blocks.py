"""HPD-TA's comment, sections of settings: after the header of an `.img` or as the description of a TIFF file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from diadem.hooks.fields import Block
from diadem.hooks.text import decode
from diadem.hooks.tiff import Page, Tiff, cut, piece

_KIND = "hamamatsu-comment"
#: Bytes of the header of an `.img`; magic and length of the comment come first (HPD-TA manual, ITEX file format).
_HEADER = 64
_MAGIC = b"IM"
#: A text in quotes, which is passed over, or a section's head.
_SECTION = re.compile(r'"[^"]*"|\[([^\[\]=,"]+)\],?')
_ENTRY = re.compile(r'([^=,\[\]"]+)=(?:"([^"]*)"|([^,\[\r\n]*))')


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
    with Path(path).open("rb") as stream:
        data = stream.read(_HEADER)
        if data.startswith(_MAGIC):
            data += stream.read(int.from_bytes(data[2:4], "little"))
    if not data.startswith(_MAGIC):
        yield from cut(path, _KIND, _look)
    elif tree := parse(data[_HEADER:]):
        yield Block(_KIND, {"Comment": tree}, data, place="header", byte_range=(0, len(data)))


def _look(file: Tiff, page: Page, tree: dict[str, Any]) -> Iterator[Block]:
    """The description of a TIFF file."""
    tag = page.tags.get(270)
    if (
        page.number == 0
        and tag is not None
        and str(file.plain(page).get("Artist", "")).startswith("Copyright Hamamatsu")
    ):
        data = file.data(tag)
        tree["Comment"] = parse(data)
        yield piece(_KIND, page, "ImageDescription", data, tag.start, "text/plain")


def parse(data: bytes) -> dict[str, dict[str, str]]:
    """Sections ``[Name],key=value,key="value"``; none where it does not begin with one."""
    text = decode(data.split(b"\x00", 1)[0])
    heads = [match for match in _SECTION.finditer(text) if match[1]]
    if not heads or heads[0].start() != 0:
        return {}
    found: dict[str, dict[str, str]] = {}
    ends = [head.start() for head in heads[1:]] + [len(text)]
    for head, end in zip(heads, ends, strict=True):
        entries = _ENTRY.finditer(text, head.end(), end)
        pairs = {entry[1].strip(): (entry[2] if entry[2] is not None else entry[3]).strip() for entry in entries}
        found.setdefault(head[1], pairs)
    return found
