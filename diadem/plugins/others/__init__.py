"""Formats that are the only one of their maker here: Phenom, NeXus, DECTRIS, Semper, NORDIF."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer, Group, Magic, ReaderOffer
from diadem.hooks.specs import hookimpl

_HERE = "diadem.plugins.others"


@hookimpl
def diadem_readers() -> Iterable[ReaderOffer]:
    """NORDIF's diffraction patterns, which are named by the text file beside them."""
    yield ReaderOffer(
        name="nordif",
        suffixes=(".setting.txt",),
        load=f"{_HERE}.nordif:load",
        magic=(Magic(0, b"[NORDIF]"),),
        groups=(Group("setting.txt", ("pattern.dat",)),),
    )


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """One offer for each format."""
    for name, kind in (("nexus", "nexus-entry"), ("arina", "nxmx-master"), ("nordif", "nordif-settings")):
        yield FieldsOffer(
            name=name,
            formats=(name,),
            blocks=f"{_HERE}.{name}:read",
            tables={kind: f"{_HERE}.{name}:TABLE"},
            whole=True,
        )
    for name in ("phenom", "semper"):
        yield FieldsOffer(name=name, formats=(name,), tables={"rosettasciio": f"{_HERE}.{name}:TABLE"}, whole=True)
