"""A DIADEM plugin for XYF files. This module is imported at every start: it only says what there is, and where."""

from collections.abc import Iterable

from diadem.hooks.offers import CheckOffer, FieldsOffer, Group, Magic, PreviewOffer, ReaderOffer, SchemaOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_readers() -> Iterable[ReaderOffer]:
    """Offer the reader; an XYF file and its log are one dataset."""
    yield ReaderOffer(
        name="xyf",
        suffixes=(".xyf",),
        magic=(Magic(0, b"#XYF 1"),),
        groups=(Group("{stem}.xyf", sidecars=("{stem}.xyl",)),),
        load="diadem_example_format.reader:read",
    )


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """Offer the metadata blocks, and the tables that make fields of them."""
    yield FieldsOffer(
        name="xyf",
        formats=("xyf",),
        blocks="diadem_example_format.blocks:read",
        tables={"xyf-header": "diadem_example_format.tables:HEADER"},
        whole=True,
    )


@hookimpl
def diadem_schemas() -> Iterable[SchemaOffer]:
    """Offer the schema of what no field of DIADEM holds."""
    from diadem_example_format.blocks import NAMESPACE, schema

    yield SchemaOffer(NAMESPACE, {"1.0.0": schema("1.0.0")})


@hookimpl
def diadem_previews() -> Iterable[PreviewOffer]:
    """Offer a picture in the colours of light."""
    yield PreviewOffer(name="xyf", formats=("xyf",), draw="diadem_example_format.preview:draw")


@hookimpl
def diadem_checks() -> Iterable[CheckOffer]:
    """Offer a look at shutter and detector."""
    yield CheckOffer(name="xyf", formats=("xyf",), check="diadem_example_format.quality:check")
