"""Logs of holders that heat, bias or hold gas, and of mass spectrometers beside the microscope."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer
from diadem.hooks.specs import hookimpl

_HERE = "diadem.plugins.insitu"


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """One offer for each maker."""
    for name, kind in (
        ("dens", "digiheater-header"),
        ("impulse", "impulse-log"),
        ("protochips", "protochips-notes"),
        ("tofwerk", "tofdaq-file"),
    ):
        yield FieldsOffer(
            name=name,
            formats=(name,),
            blocks=f"{_HERE}.{name}:read",
            tables={kind: f"{_HERE}.{name}:TABLE"},
            whole=True,
        )
    yield FieldsOffer(
        name="quadstar", formats=("quadstar",), tables={"rosettasciio": f"{_HERE}.quadstar:TABLE"}, whole=True
    )
