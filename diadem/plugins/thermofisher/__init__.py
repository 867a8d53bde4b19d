"""Thermo Fisher Scientific (FEI): TIFF files of scanning, dual-beam and transmission microscopes."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Tags 34680, 34682 and 34683, and what they state."""
    yield FieldsOffer(
        name="thermofisher",
        formats=("tiff",),
        blocks="diadem.plugins.thermofisher.blocks:read",
        tables={"thermofisher-tiff": "diadem.plugins.thermofisher.tables:TABLE"},
        whole=True,
    )
