"""Ripple files (Lispix): keys beside a file of raw counts; HyperSpy adds keys of its own."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """A table for the keys of the .rpl file."""
    yield FieldsOffer(
        name="ripple",
        formats=("ripple",),
        blocks="diadem.plugins.ripple.blocks:read",
        tables={"ripple-keys": "diadem.plugins.ripple.tables:KEYS"},
        whole=True,
    )
