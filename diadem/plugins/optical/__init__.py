"""Spectrometers and cathodoluminescence: optics beside electron microscopes."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl

_HERE = "diadem.plugins.optical"
#: Formats that only RosettaSciIO takes apart; their tables read what it calls `original_metadata`.
_BY_THE_READER = ("renishaw", "jobinyvon", "trivista", "delmic", "digitalsurf")


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """One offer for each format."""
    for name in _BY_THE_READER:
        yield FieldsOffer(name=name, formats=(name,), tables={"rosettasciio": f"{_HERE}.{name}:TABLE"}, whole=True)
