"""A small picture of a package, from the page that lies in it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Final

from diadem.catalogue.results import PackageRow
from diadem.node.context import Context
from diadem.node.keep.copies import PackageCopies

#: Pixels of the longer side, and those of a preview that is drawn at all: ours have less than half a million.
SIDE: Final = 160
_PIXELS: Final = 4_000_000


def thumbnail_of(context: Context, row: PackageRow) -> str:
    """The picture of the first dataset that matches, or of the first that has any, as a data address; "" for none.

    Raises
    ------
    DiademError, OSError
        No copy of the package can be read.
    """
    package, _ = PackageCopies(context, row.id).best()
    chosen = _chosen(package.previews(), row)
    return _address(chosen) if chosen is not None else ""


def _chosen(previews: Mapping[str, bytes], row: PackageRow) -> bytes | None:
    """The preview of the first dataset that matches; one of the package where none of these has any."""
    for dataset in row.matched:
        if dataset.id in previews:
            return previews[dataset.id]
    return next(iter(previews.values())) if previews and row.matching == row.datasets else None


def _address(preview: bytes) -> str:
    """A preview made smaller; "" for what is not a picture: a package may come from anywhere."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(preview), formats=("PNG", "JPEG")) as picture:
            if picture.width * picture.height > _PIXELS:
                return ""
            small = picture.convert("RGB")
            small.thumbnail((SIDE, SIDE))
            data = io.BytesIO()
            small.save(data, "PNG", optimize=True)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what Pillow says of a broken picture
        return ""
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
