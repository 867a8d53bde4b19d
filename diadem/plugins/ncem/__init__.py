"""EMD of the National Center for Electron Microscopy (Berkeley), and what py4DSTEM and Prismatic write in it."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl

_TABLES = "diadem.plugins.ncem.tables:"


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Tables for the groups of attributes, for py4DSTEM's dictionaries and for Prismatic's parameters."""
    yield FieldsOffer(
        name="ncem",
        formats=("emd",),
        blocks="diadem.plugins.ncem.blocks:read",
        tables={
            "ncem-groups": _TABLES + "GROUPS",
            "py4dstem-dictionary": _TABLES + "DICTIONARY",
            "prismatic-parameters": _TABLES + "PRISMATIC",
        },
        whole=True,
    )
