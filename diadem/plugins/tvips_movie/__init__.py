"""TVIPS: movies of the recorder of EM-MENU (.tvips)."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Tables for the header of the movie, of its first and of its last frame."""
    yield FieldsOffer(
        name="tvips-movie",
        formats=("tvips",),
        blocks="diadem.plugins.tvips_movie.blocks:read",
        tables={
            "tvips-movie": "diadem.plugins.tvips_movie.tables:MOVIE",
            "tvips-last-frame": "diadem.plugins.tvips_movie.tables:LAST_FRAME",
        },
        whole=True,
    )
