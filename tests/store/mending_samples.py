"""A damaged package in a folder store, the same in every process."""

from __future__ import annotations

import hashlib
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from diadem.testing import faults

PACKAGE = "2026/20260314-zno-s12-1f0c9a77d2e4"
FILE = "data/sub/scan.dat"
LEAF = 1 << 20
SIZE = 12 * LEAF
_OTHER = bytes(255 - byte for byte in range(256))


@cache
def good_leaf(leaf: int) -> bytes:
    """What a leaf of the file should be."""
    return random.Random(leaf).randbytes(LEAF)


def bad_leaf(leaf: int) -> bytes:
    """What it is: every byte another one."""
    return good_leaf(leaf).translate(_OTHER)


@cache
def good() -> bytes:
    """The whole file as it should be."""
    return b"".join(good_leaf(leaf) for leaf in range(SIZE // LEAF))


SHA256 = hashlib.sha256(good()).hexdigest()
MTIME = 1_600_000_000_000_000_000


def damaged_package(root: Path, content: bytes) -> Path:
    """A sealed package with one damaged file and a sound neighbour; returns the file."""
    file = root / PACKAGE / FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    (file.parent / "neighbour.dat").write_bytes(b"neighbour")
    os.utime(file, ns=(MTIME, MTIME))
    seal(root)
    return file


def seal(root: Path) -> None:
    """Take the write permission from everything in the package."""
    bag = root / PACKAGE
    for path in sorted(bag.rglob("*"), reverse=True):
        path.chmod(0o555 if path.is_dir() else 0o444)
    bag.chmod(0o555)


@contextmanager
def unprivileged_folder() -> Iterator[Path]:
    """A folder, as seen by somebody who cannot write into what is read-only, wherever the tests can become that."""
    folder = Path(tempfile.mkdtemp())
    privileged = os.name != "nt" and os.geteuid() == 0
    if privileged:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if privileged:
            os.seteuid(0)
        faults.remove(folder)
