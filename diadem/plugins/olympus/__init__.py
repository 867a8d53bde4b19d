"""Olympus Soft Imaging Solutions: TIFF files of iTEM and AnalySIS, also those of JEOL microscopes with its cameras."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """The structure that tag 33560 points to, the text of tag 33471, and what they state."""
    yield FieldsOffer(
        name="olympus",
        formats=("tiff",),
        blocks="diadem.plugins.olympus.blocks:read",
        tables={"olympus-tiff": "diadem.plugins.olympus.tables:TABLE"},
        whole=True,
    )
