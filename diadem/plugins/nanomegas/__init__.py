"""NanoMEGAS: block files of ASTAR (.blo) and sessions of TopSpin (.app5)."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Tables for the header of a block file, and for TopSpin's documents."""
    yield FieldsOffer(
        name="blockfile",
        formats=("blockfile",),
        blocks="diadem.plugins.nanomegas.blockfile:read",
        tables={"blockfile-header": "diadem.plugins.nanomegas.blockfile_table:HEADER"},
        whole=True,
    )
    yield FieldsOffer(
        name="topspin",
        formats=("topspin",),
        blocks="diadem.plugins.nanomegas.topspin:read",
        tables={"topspin-session": "diadem.plugins.nanomegas.topspin_table:SESSION"},
        whole=True,
    )
