"""Bruker Esprit: maps in ``.bcf`` containers and single spectra in ``.spx``."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl

_TABLES = "diadem.plugins.bruker.tables:"


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """The XML that both kinds of file have; the reader's trees tell which signal is the map."""
    yield FieldsOffer(
        name="bruker",
        formats=("bruker",),
        blocks="diadem.plugins.bruker.blocks:read",
        tables={
            "bruker-map": _TABLES + "MAP",
            "bruker-spectrum": _TABLES + "SPECTRUM",
            "rosettasciio": _TABLES + "DETECTOR",
        },
        whole=True,
    )
