"""Exif data of pictures: maker, program, time, and the field of Renishaw's white-light pictures."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Exif data of JPEG and PNG files, and what they state."""
    yield FieldsOffer(
        name="exif",
        formats=("image",),
        blocks="diadem.plugins.pictures.blocks:read",
        tables={"exif": "diadem.plugins.pictures.tables:TABLE"},
        whole=True,
    )
