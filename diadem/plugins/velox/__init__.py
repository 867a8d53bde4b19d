"""Velox (Thermo Fisher Scientific, FEI): EMD files with a JSON document for every frame, and an experiment's log."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl

_TABLES = "diadem.plugins.velox.tables:"


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Tables for images, spectra, spectrum images of both kinds, and for the file as a whole."""
    yield FieldsOffer(
        name="velox",
        formats=("emd",),
        blocks="diadem.plugins.velox.blocks:read",
        tables={
            "velox-image": _TABLES + "IMAGE",
            "velox-spectrum": _TABLES + "SPECTRUM",
            "velox-stream": _TABLES + "STREAM",
            "velox-stream-detector": _TABLES + "STREAM_DETECTOR",
            "velox-spectrum-image": _TABLES + "SPECTRUM_IMAGE",
            "velox-eels": _TABLES + "EELS",
            "velox-eels-acquisition": _TABLES + "EELS_ACQUISITION",
            "velox-last-frame": _TABLES + "LAST_FRAME",
            "velox-settings": _TABLES + "SETTINGS",
            "velox-program": _TABLES + "PROGRAM",
            "velox-log": _TABLES + "LOG",
        },
        whole=True,
    )
