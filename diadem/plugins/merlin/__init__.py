"""Merlin (Quantum Detectors): the header before every frame of a MIB file, and the .hdr file beside it."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Tables for the first frame, the last frame and the .hdr file."""
    yield FieldsOffer(
        name="merlin",
        formats=("quantumdetector",),
        blocks="diadem.plugins.merlin.blocks:read",
        tables={
            "merlin-first-frame": "diadem.plugins.merlin.tables:FIRST_FRAME",
            "merlin-last-frame": "diadem.plugins.merlin.tables:LAST_FRAME",
            "merlin-hdr": "diadem.plugins.merlin.tables:HDR",
        },
        whole=True,
    )
