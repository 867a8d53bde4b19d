"""Carl Zeiss: TIFF files of SmartSEM and of the Orion helium ion microscopes."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Tag 34118 of SmartSEM, tag 65000 of Orion, and what they state."""
    yield FieldsOffer(
        name="zeiss",
        formats=("tiff",),
        blocks="diadem.plugins.zeiss.blocks:read",
        tables={
            "zeiss-sem": "diadem.plugins.zeiss/zeiss-sem",
            "zeiss-orion": "diadem.plugins.zeiss/zeiss-orion",
        },
        whole=True,
    )
