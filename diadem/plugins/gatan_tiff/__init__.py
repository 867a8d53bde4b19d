"""Gatan DigitalMicrograph: TIFF files that it exports, with calibrations and, since GMS 2, all tags of the image."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Tags 65003 to 65027, and what they state."""
    yield FieldsOffer(
        name="gatan-tiff",
        formats=("tiff",),
        blocks="diadem.plugins.gatan_tiff.blocks:read",
        tables={"gatan-tiff": "diadem.plugins.gatan_tiff.tables:TABLE"},
        whole=True,
    )
