"""Gatan DigitalMicrograph: dm5 files, the same tags as in dm4 in the groups and attributes of an HDF5 file."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer, Magic, ReaderOffer
from diadem.hooks.specs import hookimpl

_HERE = "diadem.plugins.gatan_dm5.file:"


@hookimpl
def diadem_readers() -> Iterable[ReaderOffer]:
    """A reader of its own: RosettaSciIO has none."""
    yield ReaderOffer(
        name="dm5",
        suffixes=(".dm5",),
        load=_HERE + "load",
        magic=(Magic(0, b"\x89HDF\r\n\x1a\n"),),
        probe=_HERE + "is_dm5",
    )


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """The tables of dm3 and dm4."""
    yield FieldsOffer(
        name="gatan-dm5",
        formats=("dm5",),
        blocks=_HERE + "read",
        tables={"gatan-image": "diadem.plugins.gatan.tables:IMAGE"},
        whole=True,
    )
