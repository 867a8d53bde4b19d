"""A small picture of a package, from the page that lies in it."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from typing import Final

from diadem.archive.package import Package
from diadem.model.manifest import PAGE_PATH
from diadem.node.catalogue.results import PackageRow
from diadem.node.context import Context
from diadem.node.placing import best_package
from diadem.package.page_datasets import previews_on

#: Pixels of the longer side, and those of a preview that is drawn at all: ours have less than half a million.
SIDE: Final = 96
_PIXELS: Final = 4_000_000
#: Bytes of the largest page that is read.
_PAGE: Final = 16 << 20
_NUMBERED: Final = re.compile(r"d([0-9]{1,6})\Z")


def thumbnail_of(context: Context, row: PackageRow) -> str:
    """The picture of the first dataset that matches, or of the first that has any, as a data address; "" for none.

    Raises
    ------
    DiademError, OSError
        No copy of the package can be read.
    """
    package, _ = best_package(context, row.id)
    chosen = _chosen(_previews(package), row)
    return _address(chosen) if chosen is not None else ""


def previews_of(package: Package) -> Mapping[str, bytes]:
    """The pictures that were drawn of a package's datasets when it was sealed, by id of the dataset: PNG or JPEG.

    Raises
    ------
    DiademError, OSError
        It cannot be read.
    """
    return {f"d{index + 1}": data for index, data in sorted(_previews(package).items())}


def _previews(package: Package) -> Mapping[int, bytes]:
    if PAGE_PATH not in package.manifest:
        return {}
    with package.open_derived(PAGE_PATH) as file:
        return previews_on(file.read(_PAGE))


def _chosen(previews: Mapping[int, bytes], row: PackageRow) -> bytes | None:
    """The preview of the first dataset that matches; one of the package where none of these has any."""
    for dataset in row.matched:
        numbered = _NUMBERED.match(dataset.id)
        if numbered is not None and int(numbered[1]) - 1 in previews:
            return previews[int(numbered[1]) - 1]
    return previews[min(previews)] if previews and row.matching == row.datasets else None


def _address(preview: bytes) -> str:
    """A preview made smaller; "" for what is no picture: a package may come from anywhere."""
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
