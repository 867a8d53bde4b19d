"""Where the catalogue of a node lies: in a file of its folder, or on a server that its settings name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from diadem.catalogue.database import complete, is_on_server
from diadem.errors import UsageError
from diadem.node.config import NodeSettings

CATALOGUE_FILE: Final = "catalogue.sqlite"
#: What a person calls the file in the node's folder.
IN_A_FILE: Final = "file"
#: Where new nodes of this machine have their catalogue, if that is not said.
VARIABLE: Final = "DIADEM_CATALOGUE"


def catalogue_address(settings: NodeSettings, folder: Path) -> str:
    """What `Catalogue.open` takes, for the node in a folder."""
    if not settings.catalogue:
        return str(folder / CATALOGUE_FILE)
    return stated_address(settings.catalogue, settings.short_id)


def stated_address(asked: str | None, short_id: str) -> str:
    """What the settings of a node say of the place that a person asks for; "" for the file in its folder.

    Parameters
    ----------
    asked : str or None
        ``postgresql://user@host/database``, or ``file``; None for what DIADEM_CATALOGUE says.
    short_id : str
        Of the node: each has a schema of its own in a database, ``diadem_<short id>``, unless the address names one.

    Raises
    ------
    UsageError
        It is neither, or has a password in it.
    """
    address = os.environ.get(VARIABLE, "") if asked is None else asked
    if address in ("", IN_A_FILE):
        return ""
    if is_on_server(address):
        return complete(address, schema=f"diadem_{short_id}")
    if asked is not None and Path(address).is_absolute():
        return address
    raise UsageError(
        f"'{address}' is not a place for a catalogue",
        next="Write postgresql://user@host/database, or: file",
    )
