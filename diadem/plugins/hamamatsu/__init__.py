"""Hamamatsu: streak camera pictures of HPD-TA, as `.img` and as TIFF."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """The comment of settings, and what it states."""
    yield FieldsOffer(
        name="hamamatsu",
        formats=("hamamatsu", "tiff"),
        blocks="diadem.plugins.hamamatsu.blocks:read",
        tables={"hamamatsu-comment": "diadem.plugins.hamamatsu.tables:TABLE"},
        whole=True,
    )
