"""TVIPS: TIFF files of EM-MENU."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """The structure that tag 37706 points to, and what it states."""
    yield FieldsOffer(
        name="tvips",
        formats=("tiff",),
        blocks="diadem.plugins.tvips.blocks:read",
        tables={"tvips-tiff": "diadem.plugins.tvips.tables:TABLE"},
        whole=True,
    )
