"""ImageJ and Fiji: the scale of TIFF files that they save."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """The description, and the scale that it gives the resolution a unit for."""
    yield FieldsOffer(
        name="imagej",
        formats=("tiff",),
        blocks="diadem.plugins.imagej.blocks:read",
        tables={"imagej-tiff": "diadem.plugins.imagej/imagej-tiff"},
    )
