"""Where a node may lie: on a local disk of one machine, because its log and catalogue rely on locks that hold."""

from __future__ import annotations

from pathlib import Path

from diadem.errors import Refused
from diadem.store.places import is_network_folder


def require_local(folder: Path) -> None:
    """Refuse a folder on a network file system.

    Raises
    ------
    Refused
        Saying which file system it is and where to put the node instead.
    """
    if kind := is_network_folder(folder):
        raise Refused(
            f"a node cannot lie on a network file system ({kind}): locks and forced writes do not hold there, and the "
            "log could fork",
            where=str(folder),
            next="Put the node on a disk of this machine; its stores may be anywhere.",
        )
