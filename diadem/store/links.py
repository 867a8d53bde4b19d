"""Links in a store: none is followed below its root, so that whoever can write there leads nobody out of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from diadem.errors import StoreError
from diadem.store.source import kind_of
from diadem.store.system import READ_FLAGS, long_path


def is_link(path: str | os.PathLike[str]) -> bool:
    """Whether a symbolic link or a junction has this name."""
    try:
        return kind_of(os.lstat(long_path(path))) == "symlink"
    except OSError:
        return False


def through_link(root: Path, path: Path) -> Path | None:
    """The first step from the root, which may be one itself, down to the path that is a link; None if there is none."""
    return next((step for step in _steps(root, path) if is_link(step)), None)


def refuse_links(root: Path, path: Path) -> Path:
    """The path, where no step from the root down to it is a link.

    Raises
    ------
    StoreError
        One is: what lies behind it is not the store's.
    """
    if (link := through_link(root, path)) is not None:
        raise StoreError(
            "there is a link where the store keeps a file or folder of its own; it is not followed",
            where=str(link),
            next="Find out who put it there. Remove the link, or move what it points to into its place.",
        )
    return path


def read_plain(path: str | os.PathLike[str], limit: int) -> bytes:
    """The first `limit` bytes of a plain file; a link is not followed, and a pipe not waited for. Raises `OSError`."""
    if is_link(path):
        raise OSError(errno.ELOOP, "is a link", os.fspath(path))
    descriptor = os.open(long_path(path), READ_FLAGS)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "is not a plain file", os.fspath(path))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(min(limit, about.st_size))  # Python asks at once for the memory that it is told to fill
    finally:
        os.close(descriptor)


def _steps(root: Path, path: Path) -> Iterator[Path]:
    step = root
    for part in path.relative_to(root).parts:
        step = step / part
        yield step
