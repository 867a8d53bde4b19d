"""Panta Rhei (CEOS): metadata inside a .prz archive."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """A table for the metadata, however the version of the program has stored it."""
    yield FieldsOffer(
        name="pantarhei",
        formats=("pantarhei",),
        blocks="diadem.plugins.pantarhei.blocks:read",
        tables={"pantarhei-metadata": "diadem.plugins.pantarhei.tables:METADATA"},
        whole=True,
    )
