"""Hitachi: text files beside the pictures of its scanning and transmission microscopes."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """The side file, and what it states."""
    yield FieldsOffer(
        name="hitachi",
        formats=("tiff", "image"),
        blocks="diadem.plugins.hitachi.blocks:read",
        tables={"hitachi-text": "diadem.plugins.hitachi/hitachi-text"},
        whole=True,
    )
