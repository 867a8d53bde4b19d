"""What is looked up of a node when a table or a page is made of what a search has found."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from diadem.catalogue.results import Opener, PackageRow, StatedDataset
from diadem.catalogue.vocabulary import stated_fields
from diadem.errors import DiademError
from diadem.node.context import Context

#: Bytes of pictures in one table, and seconds that are spent on them: a table without pictures is better than none.
MOST_BYTES: Final = 2 << 20
MOST_SECONDS: Final = 5.0
#: Pixels of the longer side, and those of a preview that is drawn at all: ours have less than half a million.
SIDE: Final = 160
_PIXELS: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class ResultSource:
    """A node as the source of a result (`diadem.catalogue.results.Source`); the opener has it, or opens it."""

    opener: Opener

    @property
    def context(self) -> Context:
        """The node."""
        found: Context = self.opener.node.context
        return found

    def stated(self, query: str, ids: Sequence[str], fields: Sequence[str]) -> list[StatedDataset]:
        """Datasets that match in some packages, with values of fields. Raises `UsageError`."""
        return self.context.catalogue.stated(query, ids, fields)

    def units(self, fields: Sequence[str]) -> Mapping[str, str]:
        """Units of those fields that are numbers. Raises `UsageError`."""
        return {name: key.unit for name, key in stated_fields(fields).items() if key.kind == "number"}

    def thumbnails(self, rows: Sequence[PackageRow]) -> Mapping[str, str]:
        """Small pictures as data addresses, by id of the package, of those with a copy that is at hand.

        Of a package no more than its manifest and its page are read; what takes too long is left out.
        """
        found: dict[str, str] = {}
        left, until = MOST_BYTES, time.monotonic() + MOST_SECONDS
        stores = self.context.stores
        for row in rows:
            if time.monotonic() > until:
                break
            if not any(stores.reachable(store) for store in row.stores if store in stores.names):
                continue
            try:
                address = _thumbnail(self.context, row)
            except (DiademError, OSError):  # a copy that is damaged or away has no picture; scrub tells why
                continue
            if address and len(address) <= left:
                found[row.id] = address
                left -= len(address)
        return found


def _thumbnail(context: Context, row: PackageRow) -> str:
    """The picture of the first dataset that matches, or of the first that has any, as a data address; "" for none.

    Raises `DiademError` or `OSError` where no copy of the package can be read.
    """
    from diadem.node.keep.copies import PackageCopies

    previews = PackageCopies(context, row.id).best()[0].previews()
    chosen = next((previews[one.id] for one in row.matched if one.id in previews), None)
    if chosen is None and row.matching == row.datasets:
        chosen = next(iter(previews.values()), None)
    return _address(chosen) if chosen is not None else ""


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
