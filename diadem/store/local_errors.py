"""The operating system's errors, as errors that say what to do."""

from __future__ import annotations

import errno

from diadem.errors import DiademError, StoreError


class translated:  # noqa: N801  reads as a phrase: `with translated(url):`
    """Turns the operating system's errors into `StoreError`s that say what to do."""

    def __init__(self, url: str, consequence: str = "nothing was written") -> None:
        self._url = url
        self._consequence = consequence

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Translate."""
        if isinstance(error, OSError) and not isinstance(error, DiademError):
            raise store_error(error, self._url, self._consequence) from error


_CAUSES = {
    errno.ENOSPC: ("the disk is full", "Free space, or choose another store."),
    errno.EDQUOT: ("the quota is used up", "Free space, or ask for more."),
    errno.EROFS: ("the store is read-only or may not be written", "Choose a store that can be written."),
    errno.EACCES: ("the store may not be written", "Check the permissions, or choose another store."),
    errno.EPERM: ("the store may not be written", "Check the permissions, or choose another store."),
    errno.ENOTDIR: ("the store is not a folder", "Name a folder."),
    errno.EEXIST: ("the store is not a folder", "Name a folder."),
    errno.ENAMETOOLONG: ("a path is too long for this file system", "Choose a store with a shorter path."),
    errno.EFBIG: (
        "the file system cannot hold a file of this size (FAT ends at 4 GB)",
        "Choose a disk with another file system: exFAT, NTFS, ext4.",
    ),
    errno.EIO: ("the disk reports an input/output error", "Check the disk; choose another store."),
}


def store_error(error: OSError, url: str, consequence: str = "nothing was written") -> StoreError:
    """The `StoreError` for an error of the operating system while writing to a store."""
    code = error.errno or 0
    message, advice = _CAUSES.get(code, (error.strerror or str(error), "See the operating system's message."))
    return StoreError(f"{message}; {consequence}", where=url, next=advice)
