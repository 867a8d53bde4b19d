"""TIFF files made for a test, and what tables make of blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from diadem.extract.assertions import Value
from diadem.extract.tables import apply
from diadem.hooks.fields import Block, Table

Read = Callable[[str, Sequence[str]], Iterable[Block]]


def write(path: Path, *pages: Mapping[int, bytes], shape: tuple[int, int] = (6, 8), **options: Any) -> Path:
    """A TIFF file of one grey page for each mapping of tag codes to bytes; further pages have further rows."""
    with tifffile.TiffWriter(
        path, bigtiff=options.pop("bigtiff", False), byteorder=options.pop("byteorder", "<")
    ) as file:
        for number, tags in enumerate(pages or ({},)):
            extra = [(code, 7, len(data), data, False) for code, data in tags.items()]
            picture = np.zeros((shape[0] + number, shape[1]), np.uint8)
            file.write(picture, photometric="minisblack", extratags=extra, metadata=None, contiguous=False, **options)
    return path


def values(read: Read, tables: Mapping[str, Table], path: Path, files: Sequence[Path] = ()) -> dict[str, list[Value]]:
    """Values by field that tables find in the blocks of a file, the preferred ones first."""
    found: dict[str, list[Value]] = {}
    for block in read(str(path), [str(file) for file in files]):
        if block.tree and block.kind in tables:
            for value in apply(tables[block.kind], block, "test").values:
                found.setdefault(value.field, []).append(value)
    return found


def firsts(found: Mapping[str, Sequence[Value]]) -> dict[str, Any]:
    """The preferred value of each field."""
    return {field: several[0].value for field, several in found.items()}
