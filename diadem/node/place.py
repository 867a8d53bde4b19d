"""Where a node may lie: on a local disk of one machine, because its log and catalogue rely on locks that hold."""

from __future__ import annotations

from pathlib import Path

from diadem.errors import Refused
from diadem.store.disks import is_network_folder
from diadem.store.system import FileLock, translated


def require_local(folder: Path) -> None:
    """Refuse a folder on a network file system.

    Raises
    ------
    Refused
        Saying which file system it is and where to put the node instead.
    """
    if kind := is_network_folder(folder):
        raise Refused(
            f"a node cannot be on a network file system ({kind}): locks and forced writes do not hold there, and the "
            "log could fork",
            where=str(folder),
            next="Put the node on a disk of this machine; its stores may be anywhere.",
        )


def node_lock(folder: Path, name: str) -> FileLock:
    """A lock of the node in a folder. Raises `StoreError` where the folder of its locks cannot be made."""
    locks = folder / "locks"
    with translated(str(locks), "nothing was done"):
        locks.mkdir(mode=0o700, exist_ok=True)
    return FileLock(locks / f"{name}.lock")
