"""Where a store may be made."""

from __future__ import annotations

from pathlib import Path

from diadem.errors import StoreError, UsageError


def require_folder(folder: Path) -> None:
    """Refuse a file where a store's folder, or one above it, should be.

    Raises
    ------
    UsageError
        Naming the file.
    """
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise UsageError("a store is a folder, and this is a file", where=str(place), next="Name a folder.")


def make_folder(folder: Path) -> None:
    """Make the folder of a store, with those above it; no account but the node's own and its group may look into it.

    Raises
    ------
    UsageError
        There is a file in its place.
    StoreError
        It cannot be made there.
    """
    try:
        require_folder(folder)
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the folder of the store cannot be made: {error.strerror or error}",
            where=str(folder),
            next="Name a folder on a disk where you may write.",
        ) from error
