"""The locks of a node, in the folder `locks` of its own: who holds one is alone at what it is named after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from diadem.store.system import LONG_PATIENCE, PATIENCE, WINDOWS, FileLock, translated

#: Who watches holds the one, who serves the other, from beginning to end.
WATCH_LOCK: Final = "watch"
SERVE_LOCK: Final = "serve"
#: Locks that are held while a session or a package is read, copied or sent, or a catalogue is written.
_LONG: Final = ("package-", "source-", "transfer-", "relay-", "offer-", "mirror", "reindex", "catalogue")


def node_lock(folder: Path, name: str) -> FileLock:
    """A lock of the node in a folder. Raises `StoreError` where the folder of its locks cannot be made."""
    locks = folder / "locks"
    with translated(str(locks), "nothing was done"):
        locks.mkdir(mode=0o700, exist_ok=True)
    return FileLock(locks / f"{name}.lock")


@contextmanager
def held(folder: Path, name: str) -> Iterator[None]:
    """Wait for, and hold, a lock of the node; it is released when this process ends.

    Raises `StoreError` where the node's disk is full, read-only or failing, `Unreachable` where another process holds
    it longer than a person would wait.
    """
    lock = node_lock(folder, name)
    lock.acquire(wait=LONG_PATIENCE if name.startswith(_LONG) else PATIENCE)
    try:
        yield
    finally:
        _let_go(lock)


@contextmanager
def held_if_free(folder: Path, name: str) -> Iterator[bool]:
    """Hold a lock of the node; False where another process holds it, which is not waited for.

    Raises `StoreError` as `held`.
    """
    lock = node_lock(folder, name)
    if not lock.acquire():
        yield False
        return
    try:
        yield True
    finally:
        _let_go(lock)


def _let_go(lock: FileLock) -> None:
    if WINDOWS:  # a file that another process waits for cannot be removed there
        lock.release()
    else:
        lock.remove()
