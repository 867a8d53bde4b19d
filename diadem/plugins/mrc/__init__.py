"""MRC: headers of the file, SerialEM's lists of sections beside it, and Direct Electron's settings."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer, Group, ReaderOffer
from diadem.hooks.specs import hookimpl

_TABLES = "diadem.plugins.mrc."


@hookimpl
def diadem_readers() -> Iterable[ReaderOffer]:
    """A reader of lists whose stack is not there; where it is, the stack's own reader takes both."""
    yield ReaderOffer(
        name="mdoc",
        suffixes=(".mdoc",),
        load="diadem.plugins.mrc.reader:read_list",
        probe="diadem.plugins.mrc.mdoc:is_mdoc",
        groups=(
            Group("{stem}.tif", sidecars=("{stem}.tif.mdoc", "{stem}.mdoc")),
            Group("{stem}.tiff", sidecars=("{stem}.tiff.mdoc", "{stem}.mdoc")),
        ),
        priority=-1,
    )


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Tables for what describes a stack, in it and beside it."""
    yield FieldsOffer(
        name="mrc",
        formats=("mrc", "mdoc"),
        blocks="diadem.plugins.mrc.blocks:read",
        tables={
            "serialem-mdoc": _TABLES + "mdoc:TABLE",
            "de-settings": _TABLES + "direct_electron:TABLE",
            "fei-extended-header": _TABLES + "fei:TABLE",
            "fei-early-header": _TABLES + "fei_early:TABLE",
            "fei-last-record": _TABLES + "fei:LAST",
            "serialem-extended-header": _TABLES + "serialem:TABLE",
        },
        whole=True,
    )
    yield FieldsOffer(
        name="serialem",
        formats=("tiff",),
        blocks=_TABLES + "blocks:read_lists",
        tables={"serialem-mdoc": _TABLES + "mdoc:TABLE"},
    )
    yield FieldsOffer(
        name="direct-electron",
        formats=("emd",),
        blocks=_TABLES + "direct_electron:read_de5",
        tables={"de-settings": _TABLES + "direct_electron:TABLE"},
    )
    yield FieldsOffer(
        name="mrcz",
        formats=("mrcz",),
        blocks=_TABLES + "mrcz:read",
        tables={"mrcz-header": _TABLES + "mrcz:TABLE", "hyperspy-signal": "diadem.plugins.hyperspy.tables:SIGNAL"},
        whole=True,
    )
