"""TIFF files of DigitalMicrograph: the image's tags as in a DM4 file (65027), calibrations in tags of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from diadem.hooks.binary import InMemory
from diadem.hooks.fields import Block
from diadem.hooks.tiff import MAX_TOTAL, NotTiff, Page, Tiff, pages_of, trees
from diadem.plugins.gatan.tags import read_directory

_KIND = "gatan-tiff"
#: Tags of the axes, as RosettaSciIO and ImageJ's DM3 reader know them.
_CALIBRATIONS: Mapping[int, str] = {
    65003: "X unit", 65004: "Y unit", 65005: "Z unit", 65006: "X origin", 65007: "Y origin", 65008: "Z origin",
    65009: "X scale", 65010: "Y scale", 65011: "Z scale", 65022: "Intensity unit", 65024: "Intensity origin",
    65025: "Intensity scale",
}  # fmt: skip


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Blocks of a TIFF file of DigitalMicrograph; none of another."""
    del files
    try:
        file = Tiff.open(path)
    except NotTiff:
        return
    with file:
        pages = pages_of(path)
        found: list[tuple[Page, dict[str, Any]]] = []
        failed: Exception | None = None
        left = MAX_TOTAL
        for page in pages:
            calibrations = _calibrations(file, page)
            if not calibrations:
                continue
            tree: dict[str, Any] = {"Calibrations": calibrations}
            tag = page.tags.get(65027)
            left -= 0 if tag is None else tag.end - tag.start
            if tag is not None and left >= 0 and (data := file.data(tag)):
                place = f"page {page.number + 1}/DMTags"
                yield Block(_KIND, {}, data, "application/x-gatan-dm", place, byte_range=(tag.start, tag.end))
                try:
                    tree["ImageTags"] = read_directory(InMemory(data), "tag 65027").tree
                except Exception as error:  # what the tag says is one thing, the calibrations another
                    failed = error
            found.append((page, tree))
        yield from trees(path, file, len(pages), found, _KIND)
    if failed is not None:
        raise failed


def _calibrations(file: Tiff, page: Page) -> dict[str, Any]:
    """Calibrations by name; none where the scale of the first axis is missing."""
    if 65009 not in page.tags or page.tags[65009].type != 12:
        return {}
    found: dict[str, Any] = {}
    for code, name in _CALIBRATIONS.items():
        tag = page.tags.get(code)
        if tag is not None:
            numbers = file.numbers(tag)
            found[name] = numbers[0] if numbers else file.text(tag)
    return found
