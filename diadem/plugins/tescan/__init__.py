"""TESCAN: TIFF files with tag 50431, and side files `.hdr` of all pictures."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """The header in the file and the one beside it."""
    yield FieldsOffer(
        name="tescan",
        formats=("tiff", "image"),
        blocks="diadem.plugins.tescan.blocks:read",
        tables={
            "tescan-header": "diadem.plugins.tescan.tables:TABLE",
            "tescan-tag": "diadem.plugins.tescan.tables:TABLE",
        },
        whole=True,
    )
