"""EPU and Tomography (Thermo Fisher Scientific): the XML document beside each image, or alone, and of a session."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import FieldsOffer, Group, ReaderOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_readers() -> Iterable[ReaderOffer]:
    """A reader of documents whose image is not there; where it is, the image's own reader takes both."""
    yield ReaderOffer(
        name="epu",
        suffixes=(".xml",),
        load="diadem.plugins.epu.reader:read",
        probe="diadem.plugins.epu.reader:is_epu",
        groups=(
            Group("{stem}_Fractions.mrc", sidecars=("{stem}.xml",)),
            Group("{stem}_Fractions.tiff", sidecars=("{stem}.xml",)),
            Group("{stem}_Fractions.tif", sidecars=("{stem}.xml",)),
            Group("{stem}.xml", ("{stem}.mrc",), required=True),
        ),
        priority=-1,
    )
    yield ReaderOffer(
        name="epu-session",
        suffixes=(".dm.xml",),
        load="diadem.plugins.epu.reader:read",
        probe="diadem.plugins.epu.reader:is_session",
        signature=rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?<EpuSessionXml\s",
    )


@hookimpl
def diadem_fields() -> Iterable[FieldsOffer]:
    """The tables of the documents; an image's is for every format that EPU saves images in."""
    yield FieldsOffer(
        name="epu",
        formats=("epu", "epu-session", "mrc", "tiff"),
        blocks="diadem.plugins.epu.blocks:read",
        tables={"epu-xml": "diadem.plugins.epu.tables:TABLE", "epu-session": "diadem.plugins.epu.session:TABLE"},
    )
