"""JEOL Analysis Station: projects, images, maps and spectra of X-ray analysis."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer, PreviewOffer
from diadem.hooks.specs import hookimpl

_TABLES = "diadem.plugins.jeol.tables:"


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Headers of all files of a dataset, and what they state."""
    yield FieldsOffer(
        name="jeol",
        formats=("jeol", "jeol-eds"),
        blocks="diadem.plugins.jeol.blocks:read",
        tables={
            "jeol-image": _TABLES + "IMAGE",
            "jeol-map": _TABLES + "MAP",
            "jeol-spectrum": _TABLES + "SPECTRUM",
        },
        whole=True,
    )


@hookimpl
def diadem_previews() -> Iterable[PreviewOffer]:
    """Maps of events, which DIADEM does not decode for a picture."""
    yield PreviewOffer(name="jeol-map", formats=("jeol",), draw="diadem.plugins.jeol.preview:draw")
