"""Tags of FEI's microscopes: settings as INI text, as a list of labels, or as Thermo Fisher's XML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from diadem.hooks.fields import Block
from diadem.plugins import vendor_text
from diadem.plugins.tiff_blocks import Vendor, cut
from diadem.plugins.tiff_tags import Page, Tiff, decode

#: Resolution of the image of a transmission microscope, which keeps the screen's in TIFF's own tags: X, Y, and unit
#: with TIFF's numbers (2 inch, 3 cm).
_RESOLUTION = {65450: "XResolution (65450)", 65451: "YResolution (65451)", 65452: "ResolutionUnit (65452)"}


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Blocks of a TIFF file of FEI or Thermo Fisher; none of another.

    Parameters
    ----------
    path : str
        The file.
    files : sequence of str
        Not asked: everything is in the file.
    """
    del files
    yield from cut(path, Vendor("thermofisher-tiff", dict.fromkeys((34680, 34682, 34683), parse), _resolution))


def parse(data: bytes) -> Any:
    """A tag as a tree.

    Returns
    -------
    mapping
        INI: ``{section: {key: value}}``. Labels: ``{"Root": {label: {"Value", "Unit"}}}``. XML: by element.
    """
    stripped = data.strip(b"\x00 \t\r\n")
    if not stripped.startswith(b"<"):
        return {name: section for name, section in vendor_text.ini(decode(stripped)).items() if section}
    root, tree = vendor_text.xml(stripped)
    return {root: _labels(tree) if root == "Root" else tree}


def _labels(tree: Any) -> dict[str, Mapping[str, Any]]:
    """The list of labels as a mapping; of two with one label the first that has a value."""
    found: dict[str, Mapping[str, Any]] = {}
    for entry in vendor_text.entries(tree, "Data"):
        label = str(entry.get("Label", ""))
        if label and not found.get(label, {}).get("Value"):
            found[label] = {"Value": entry.get("Value", ""), "Unit": entry.get("Unit", "")}
    return found


def _resolution(file: Tiff, page: Page) -> Mapping[str, Any]:
    """Tags of the image's own resolution."""
    tags = {name: page.tags[code] for code, name in _RESOLUTION.items() if code in page.tags}
    return {name: numbers[0] for name, tag in tags.items() if (numbers := file.numbers(tag))}
