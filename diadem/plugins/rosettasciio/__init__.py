"""All readers of RosettaSciIO, offered by the same door as foreign plugins. No reader is imported here."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import ReaderOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_readers() -> Iterable[ReaderOffer]:
    """One offer for each reader of the installed RosettaSciIO."""
    from diadem.plugins.rosettasciio.offers import offers

    return offers()
