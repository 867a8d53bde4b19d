"""Which names a store's own files may have: what is written below `.diadem/` must not meet what stores keep there."""

from __future__ import annotations

from diadem.errors import UsageError
from diadem.package.paths import unsafe

#: Folders below `.diadem/` that stores manage themselves.
RESERVED = frozenset({"by-payload", "by-tree", "claims", "drafts", "mending", "probe", "removals", "stage"})


def refuse_key(key: str) -> None:
    """Raise `UsageError` for a key under which nothing may be written."""
    reason = unsafe(key)
    if reason is None and any(part.startswith(".") for part in key.split("/")):
        reason = "a name begins with a dot"
    if reason is None and key.split("/", 1)[0] in RESERVED | {"publish.lock"}:
        reason = "the store keeps its own notes there"
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
