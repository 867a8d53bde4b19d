"""Where a node may lie: on a local disk of one machine, because its log and catalogue rely on locks that hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from diadem.errors import Refused
from diadem.store.disks import is_network_folder
from diadem.store.system import LONG_PATIENCE, PATIENCE, WINDOWS, FileLock, translated

#: Locks that are held while a session or a package is read, copied or sent, or a catalogue is written.
_LONG: Final = ("package-", "source-", "transfer-", "relay-", "offer-", "mirror", "reindex", "catalogue")


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


@contextmanager
def held(folder: Path, name: str) -> Iterator[None]:
    """Wait for, and hold, a lock of the node; it is released when this process ends.

    Raises
    ------
    StoreError
        The lock's file cannot be opened: the node's disk is full, read-only or failing.
    Unreachable
        Another process holds it longer than a person would wait.
    """
    lock = node_lock(folder, name)
    lock.acquire(wait=LONG_PATIENCE if name.startswith(_LONG) else PATIENCE)
    try:
        yield
    finally:
        if WINDOWS:  # a file that another process waits for cannot be removed there
            lock.release()
        else:
            lock.remove()
