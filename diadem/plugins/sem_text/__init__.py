"""JEOL: text files of `$CM_` lines beside the pictures of its scanning and transmission microscopes."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """The side file, and what it states."""
    yield FieldsOffer(
        name="sem-text",
        formats=("tiff", "image"),
        blocks="diadem.plugins.sem_text.blocks:read",
        tables={"jeol-text": "diadem.plugins.sem_text/jeol-text"},
        whole=True,
    )
