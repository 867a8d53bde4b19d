"""Small files that are written whole or not at all: settings, keys, reports."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

from diadem.store.local_errors import translated
from diadem.store.system import flush_folder, long_path, patiently


def write_whole(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file beside its place, force it to disk and give it its name; what was there is replaced.

    Parameters
    ----------
    path : Path
        Its folder exists.
    data : bytes
        The content.
    mode : int
        Permissions; 0o600 for secrets. Windows knows only the owner's folder.

    Raises
    ------
    StoreError
        It cannot be written; what was there is untouched.
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with translated(str(path), "nothing was changed"):
        try:
            descriptor = os.open(
                long_path(draft), os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode
            )
            with open(descriptor, "wb") as sink:
                sink.write(data)
                sink.flush()
                os.fsync(sink.fileno())
            patiently(lambda: os.replace(long_path(draft), long_path(path)))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(long_path(draft))
            raise
        flush_folder(long_path(path.parent))
