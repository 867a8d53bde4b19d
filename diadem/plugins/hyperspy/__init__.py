"""HyperSpy's own files (.hspy, .hdf5, .zspy): its metadata tree, and what is left in it of the vendor's."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """A table for HyperSpy's tree; the families' own tables for the vendors' trees that HyperSpy keeps beside it."""
    yield FieldsOffer(
        name="hyperspy",
        formats=("hspy", "zspy"),
        blocks="diadem.plugins.hyperspy.blocks:read",
        tables={
            "original-velox-image": "diadem.plugins.velox/velox-image",
            "original-velox-spectrum": "diadem.plugins.velox/velox-spectrum",
            "original-gatan": "diadem.plugins.gatan.tables:IMAGE",
            "original-tia": "diadem.plugins.tia.tables:OBJECT",
            "original-thermofisher": "diadem.plugins.thermofisher.tables:TABLE",
            "original-zeiss": "diadem.plugins.zeiss/zeiss-sem",
            "original-msa": "diadem.plugins.msa/msa-header",
            "original-blockfile": "diadem.plugins.nanomegas.blockfile_table:HEADER",
            "original-pantarhei": "diadem.plugins.pantarhei.tables:METADATA",
            "original-topspin": "diadem.plugins.nanomegas.topspin_table:SESSION",
            "original-merlin-hdr": "diadem.plugins.merlin.tables:HDR",
            "original-merlin": "diadem.plugins.merlin.tables:READER_TREE",
            "hyperspy-signal": "diadem.plugins.hyperspy.tables:SIGNAL",
        },
        whole=True,
    )
