"""Gatan DigitalMicrograph (dm3, dm4): the whole tag directory kept, and what its tags state."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl

_TABLES = "diadem.plugins.gatan.tables:"


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Tables for the tags of every image, with those of stacks where StackBuilder has put them."""
    yield FieldsOffer(
        name="gatan",
        formats=("digitalmicrograph",),
        tables={"gatan-image": _TABLES + "IMAGE", "gatan-stack": _TABLES + "STACK"},
        whole=True,
    )
