"""Which names a store's own files may have: what is written below `.diadem/` must not meet what stores keep there."""

from __future__ import annotations

import shutil
from pathlib import Path

from diadem.errors import StoreError, UsageError
from diadem.package.names import unsafe

#: Folders below `.diadem/` that stores manage themselves.
RESERVED = frozenset({"by-payload", "by-tree", "claims", "drafts", "mending", "probe", "removals", "stage"})


#: Bytes of the largest own file that is read into memory. What is larger, like a snapshot, goes to a file.
LARGEST = 256 << 20


def refuse_size(size: int, where: str) -> None:
    """Raise `StoreError` for an own file that is too large to be one: anybody may have put it there."""
    if size > LARGEST:
        raise StoreError(
            f"it has more than {LARGEST >> 20} MiB, which no file of its kind has",
            where=where,
            next="Find out who put it there, and move it away.",
        )


def require_room(target: Path, size: int) -> None:
    """Raise `StoreError` where a file of a store would fill the disk of this machine."""
    folder = next((path for path in target.parents if path.is_dir()), target.parent)
    if size > shutil.disk_usage(folder).free:
        raise StoreError(f"there is no room for {size:,} bytes", where=str(folder), next="Free space on this machine.")


def refuse_key(key: str) -> None:
    """Raise `UsageError` for a key under which nothing may be written."""
    reason = unsafe(key)
    if reason is None and any(part.startswith(".") for part in key.split("/")):
        reason = "a name begins with a dot"
    if reason is None and key.split("/", 1)[0] in RESERVED | {"publish.lock"}:
        reason = "the store keeps its own files there"
    if reason:
        raise UsageError(f"the key is refused: {reason}", where=key, next="Choose another key.")


def checked_folder(prefix: str) -> str:
    """A folder of keys without its last slash, "" for all; raises `UsageError` like `refuse_key`."""
    folder = prefix.rstrip("/")
    if prefix:
        refuse_key(folder)
    return folder


def is_own(key: str) -> bool:
    """Whether a key is one that `put` could have written."""
    try:
        refuse_key(key)
    except UsageError:
        return False
    return True
