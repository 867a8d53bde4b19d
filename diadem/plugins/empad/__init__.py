"""EMPAD (Cornell University, Thermo Fisher Scientific): the XML document beside a scan's raw data."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl

_TABLES = "diadem.plugins.empad.tables:"


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Tables for the two generations of the detector."""
    yield FieldsOffer(
        name="empad",
        formats=("empad",),
        blocks="diadem.plugins.empad.blocks:read",
        tables={"empad-xml": _TABLES + "FIRST", "empad2-xml": _TABLES + "SECOND"},
        whole=True,
    )
