"""EDAX Genesis and TEAM: spectra, maps and the images beside them."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl

_TABLES = "diadem.plugins.edax.tables:"


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Headers of all files of a dataset."""
    yield FieldsOffer(
        name="edax",
        formats=("edax",),
        blocks="diadem.plugins.edax.blocks:read",
        tables={"edax-spc": _TABLES + "SPECTRUM", "edax-ipr": _TABLES + "IMAGE", "edax-spd": _TABLES + "MAP"},
        whole=True,
    )
