"""JEOL: TIFF files of SightX Viewer and of the TEM Center's cameras."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """The report in the description of a TIFF file, and what it states."""
    yield FieldsOffer(
        name="sightx",
        formats=("tiff",),
        blocks="diadem.plugins.sightx.blocks:read",
        tables={"sightx-tiff": "diadem.plugins.sightx/sightx-tiff"},
        whole=True,
    )
