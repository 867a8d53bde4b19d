"""Carriers that are folders: a group drive, a folder that a program keeps in step with another place."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import TransportOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_transports() -> Iterable[TransportOffer]:
    """Addresses of folders: ``drop:///mnt/group``."""
    yield TransportOffer(scheme="drop", connect="diadem.plugins.drop.folder:connect")
