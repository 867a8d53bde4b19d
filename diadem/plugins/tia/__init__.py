"""TIA (FEI, Emispec): .emi documents with their .ser series, and series alone."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl

_TABLES = "diadem.plugins.tia.tables:"


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Tables for every document of an .emi file, and the head of a series alone."""
    yield FieldsOffer(
        name="tia",
        formats=("tia", "tia-ser"),
        tables={
            "tia-object": _TABLES + "OBJECT",
            "tia-survey": _TABLES + "SURVEY",
            "tia-series": _TABLES + "SERIES",
        },
        whole=True,
    )
