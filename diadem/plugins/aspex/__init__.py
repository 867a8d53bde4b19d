"""ASPEX (Personal SEM, Perception): TIFF files whose description says all."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """The description, and what it states."""
    yield FieldsOffer(
        name="aspex",
        formats=("tiff",),
        blocks="diadem.plugins.aspex.description:read",
        tables={"aspex-tiff": "diadem.plugins.aspex.description:TABLE"},
        whole=True,
    )
