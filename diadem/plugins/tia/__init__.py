"""TIA (FEI, Emispec): .emi documents with their .ser series, and series alone."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl

_TABLES = "diadem.plugins.tia.tables:"


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Every document of an .emi file, and the head of each series."""
    yield FieldsOffer(
        name="tia",
        formats=("tia", "tia-ser"),
        blocks="diadem.plugins.tia.blocks:read",
        tables={
            "tia-object": _TABLES + "OBJECT",
            "tia-survey": _TABLES + "SURVEY",
            "tia-series": _TABLES + "SERIES",
        },
        whole=True,
    )
