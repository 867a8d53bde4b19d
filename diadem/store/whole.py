"""Files that are written whole or not at all: settings, keys, reports, and what stores keep of their own.

What all of them do: a draft beside the place, forced to disk, then one step that gives it its name, and that name
forced to disk too. `write_whole` does it all; stores, whose drafts lie elsewhere, put it together themselves.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

from diadem.store.system import WINDOWS, FileLock, flush_folder, long_path, move, patiently, translated

#: What link() says where the file system has no second names for a file (FAT, some network shares).
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.EINVAL, errno.EACCES}


def write_whole(
    path: Path, content: bytes | Iterable[bytes | memoryview], *, create: bool = False, mode: int = 0o644
) -> bool:
    """Write a file in place of what is there; with `create`, only where nothing is. Whether it was written.

    Its folder exists. `mode` is 0o600 for secrets; Windows knows only the owner's folder. Raises `StoreError` where it
    cannot be written, and passes on what the blocks raise: what was there is untouched then.
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with translated(str(path), "nothing was changed"):
        write_draft(draft, (content,) if isinstance(content, bytes) else content, mode=mode)
        try:
            if create and not give_name(draft, path):
                return False
            if not create:
                move(draft, path)
        finally:
            with contextlib.suppress(OSError):  # a failure, or another file's name: it has none of its own
                os.unlink(long_path(draft))
        flush_folder(long_path(path.parent))
    return True


def write_draft(draft: Path, blocks: Iterable[bytes | memoryview], *, mode: int = 0o666) -> int:
    """Write a new file and force it to disk; a failure leaves none. How many bytes it has. Raises `OSError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)
    descriptor = os.open(long_path(draft), flags, mode)
    try:
        with open(descriptor, "wb") as sink:
            for block in blocks:
                sink.write(block)
            sink.flush()
            os.fsync(sink.fileno())
            return sink.tell()
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(long_path(draft))
        raise


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, and force their names to disk."""
    if os.path.isdir(long_path(folder)):
        return
    make_folders(folder.parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(long_path(folder))
    flush_folder(long_path(folder.parent))


def give_name(draft: Path, target: Path, *, lock: Path | None = None) -> bool:
    """Give a draft its name unless something has it; whether it did. One step, so that two never both succeed.

    Where the file system has no second names for a file, two that respect the lock, if there is one, never do.
    """
    if WINDOWS:  # its rename refuses what is there, and file systems without links have it too
        try:
            patiently(lambda: os.rename(long_path(draft), long_path(target)))
        except FileExistsError:
            return False
        return True
    try:
        os.link(draft, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with nullcontext() if lock is None else FileLock(lock):
            if os.path.lexists(target):
                return False
            os.rename(draft, target)
        return True
    with contextlib.suppress(OSError):  # it has its name; another one does no harm
        os.unlink(draft)
    return True
