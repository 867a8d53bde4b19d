"""Faults to order: what disks, cables and people do to files, done on purpose to a copy.

Each works on read-only files, in read-only folders too, and puts permissions and the modification time back, so that
only the bytes tell what happened. Meant for copies and for tests; nothing here asks whether you are sure.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WRITE = stat.S_IWUSR


@contextmanager
def _mode_changed(path: Path, added: int) -> Iterator[None]:
    """Add permission bits for a while; on Windows the write bit is the read-only flag, which is all that matters."""
    before = stat.S_IMODE(path.stat().st_mode)
    path.chmod(before | added)
    try:
        yield
    finally:
        if path.exists():
            path.chmod(before)


@contextmanager
def _unnoticed(path: Path) -> Iterator[None]:
    """Make a file writable for a while; restore its modification time and mode afterwards."""
    times = path.stat()
    with _mode_changed(path, _WRITE):
        try:
            yield
        finally:
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def flip_byte(path: Path, offset: int, *, mask: int = 0xFF) -> None:
    """Change one byte by exclusive or with `mask`, keeping size, mode and modification time.

    Parameters
    ----------
    path : Path
        The file.
    offset : int
        Position of the byte; negative counts from the end.
    mask : int
        Bits to flip, 1 to 255. The same call again restores the file.

    Raises
    ------
    ValueError
        If the offset lies outside the file, or the mask would change nothing.
    """
    size = path.stat().st_size
    place = offset + size if offset < 0 else offset
    if not 0 <= place < size:
        raise ValueError(f"offset {offset} lies outside the {size} bytes of {path}")
    if not 0 < mask < 256:
        raise ValueError(f"mask {mask} is not a byte between 1 and 255")
    with _unnoticed(path), path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ mask]))


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Write `data` over the bytes at `offset`; the file grows if they reach past its end. Keeps mode and mtime."""
    with _unnoticed(path), path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def zero_block(path: Path, offset: int, length: int) -> None:
    """Zero `length` bytes at `offset`, as a drive does that lost a sector. Raises ValueError past the end."""
    size = path.stat().st_size
    if offset < 0 or length < 1 or offset + length > size:
        raise ValueError(f"{length} bytes at {offset} do not lie in the {size} bytes of {path}")
    overwrite(path, offset, bytes(length))


def truncate(path: Path, size: int) -> None:
    """Cut a file to `size` bytes. Raises ValueError if that is not shorter."""
    if not 0 <= size < path.stat().st_size:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; it cannot be cut to {size}")
    with _unnoticed(path):
        os.truncate(path, size)


def append(path: Path, data: bytes) -> None:
    """Add bytes at the end, as an interrupted second copy does."""
    overwrite(path, path.stat().st_size, data)


def remove(path: Path) -> None:
    """Delete a file or an empty or full folder, read-only or not."""
    if path.is_dir() and not path.is_symlink():
        make_writable(path)
        with _mode_changed(path.parent, _WRITE):
            shutil.rmtree(path)
        return
    path.chmod(stat.S_IMODE(path.stat().st_mode) | _WRITE)  # Windows deletes no read-only file
    with _mode_changed(path.parent, _WRITE):
        path.unlink()


def rename(path: Path, name: str) -> Path:
    """Give a file another name in its folder; returns the new path. Raises FileExistsError if the name is taken."""
    target = path.with_name(name)
    if target.exists():
        raise FileExistsError(f"{target} exists")
    with _mode_changed(path.parent, _WRITE):
        return path.rename(target)


def plant(path: Path, data: bytes) -> None:
    """Write a file that does not belong there, in a read-only folder too. Raises FileExistsError if it exists."""
    with _mode_changed(path.parent, _WRITE), path.open("xb") as file:
        file.write(data)


def writable_copy(source: Path, target: Path) -> Path:
    """Copy a sealed package (or any folder) and make the copy writable and removable; returns `target`.

    Symbolic links are copied as links. Modification times are kept.
    """
    shutil.copytree(source, target, symlinks=True)
    make_writable(target)
    return target


def make_writable(folder: Path) -> None:
    """Give the owner write permission on a folder and everything in it."""
    for place, _, files in os.walk(folder):
        _add_write(Path(place))
        for file in files:
            _add_write(Path(place, file))


def _add_write(path: Path) -> None:
    if not path.is_symlink():
        path.chmod(stat.S_IMODE(path.stat().st_mode) | _WRITE)
