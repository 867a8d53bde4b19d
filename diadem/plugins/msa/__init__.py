"""EMSA/MAS spectra (ISO 22029): keywords before the data."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """A table for the standard's keywords and those of vendors."""
    yield FieldsOffer(
        name="msa",
        formats=("msa",),
        blocks="diadem.plugins.msa.blocks:read",
        tables={"msa-header": "diadem.plugins.msa.tables:HEADER"},
        whole=True,
    )
