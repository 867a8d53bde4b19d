"""JEOL's `TemReporter` document in the description of a TIFF file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from diadem.hooks import text as texts
from diadem.hooks.fields import Block
from diadem.hooks.tiff_blocks import Vendor, cut


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Blocks of a TIFF file of JEOL; none of another.

    Parameters
    ----------
    path : str
        The file.
    files : sequence of str
        Not asked: everything is in the file.
    """
    del files
    yield from cut(path, Vendor("sightx-tiff", {270: parse}, media_type="application/xml"))


def parse(data: bytes) -> Any:
    """The document below its root; None where the description is another's."""
    if b"<TemReporter" not in data[:400]:
        return None
    root, tree = texts.xml(data)
    return tree if root == "TemReporter" and isinstance(tree, dict) else None
