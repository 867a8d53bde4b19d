"""Fibics: TIFF files of NPVE and ATLAS, on columns of several makers."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Tag 51023, and what it states."""
    yield FieldsOffer(
        name="fibics",
        formats=("tiff",),
        blocks="diadem.plugins.fibics.blocks:read",
        tables={"fibics-tiff": "diadem.plugins.fibics.tables:TABLE"},
        whole=True,
    )
