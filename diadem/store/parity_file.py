"""Parity files of a folder store: ``.diadem/parity/<64 hex of the package id>.pq``, whole or not there at all.

One that is being written lies beside them as ``<…>.part`` with its lock; what a dead writer left is swept.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from diadem.errors import NotFound
from diadem.model.manifest import PackageId
from diadem.store.bags import LocalBundle, LocalFile
from diadem.store.stage import Swept, abandoned, lock_path
from diadem.store.system import (
    PATIENCE,
    SEALED,
    WINDOWS,
    FileLock,
    discard,
    flush_folder,
    long_path,
    move,
    refuse_links,
    translated,
)
from diadem.store.whole import write_draft

_NAME = re.compile(r"([0-9a-f]{64})\.pq\Z")


def folder_of(root: Path) -> Path:
    """Where a store keeps parity files."""
    return root / ".diadem" / "parity"


def write_parity(root: Path, package: PackageId, blocks: Iterable[bytes | memoryview]) -> int:
    """Write the parity file of a package (`diadem.package.parity.build`), over an older one. How many bytes it has.

    The older one is there until the new one is on the disk; an exception that `blocks` raises leaves it so.
    """
    folder = folder_of(root)
    with translated(str(root), "no parity was written"):
        os.makedirs(long_path(refuse_links(root, folder)), exist_ok=True)
        part = folder / f"{package.hex}.{uuid.uuid4().hex}.part"
        lock = FileLock(lock_path(part))
        lock.acquire(wait=PATIENCE)
        try:
            size = write_draft(part, blocks, mode=SEALED)
            target = folder / f"{package.hex}.pq"
            if WINDOWS and os.path.lexists(long_path(target)):
                os.chmod(long_path(target), stat.S_IWRITE)
            move(part, target)
            flush_folder(long_path(folder))
        finally:
            with contextlib.suppress(OSError):
                discard(str(part))
            lock.remove()
    return size


def open_parity(root: Path, package: PackageId) -> LocalFile | None:
    """The parity file of a package, open for reading; None if there is none. Raises `PackageError` if it is no file."""
    try:
        return LocalBundle(folder_of(root)).open(f"{package.hex}.pq")
    except NotFound:
        return None


def parity_packages(root: Path) -> Iterator[PackageId]:
    """The packages that have a parity file, whatever its state."""
    try:
        names = sorted(os.listdir(long_path(folder_of(root))))
    except OSError:
        return
    yield from (PackageId(match[1]) for name in names if (match := _NAME.match(name)))


def remove_parity(root: Path, package: PackageId) -> bool:
    """Remove the parity file of a package that has left the store; whether there was one."""
    target = folder_of(root) / f"{package.hex}.pq"
    if not os.path.lexists(long_path(target)):
        return False
    with translated(str(root), "the parity stays"):
        discard(str(target))
    return True


def sweep_parity(root: Path) -> list[Swept]:
    """Remove parity files whose writer died, and say which."""
    swept = []
    for left in abandoned(root, folder_of(root), _writer):
        for part in left:
            with contextlib.suppress(OSError):  # the next sweep tries again
                discard(str(part))
                swept.append(Swept(str(part), 1))
    return swept


def _writer(name: str) -> str:
    return name.removesuffix(".lock") if name.removesuffix(".lock").endswith(".part") else ""
