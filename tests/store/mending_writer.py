"""A mender in a process of its own, to be killed: `python -m tests.store.mending_writer STORE MODE`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from diadem.model.manifest import FileEntry
from diadem.store.folder import FolderStore
from diadem.store.mend import Intent, Intents
from diadem.store.slot import OpenSlot
from diadem.trust.hashing import leaf_digest
from tests.store.mending_samples import FILE, LEAF, PACKAGE, SHA256, SIZE, good_leaf


def entry() -> FileEntry:
    """The file that is mended."""
    return FileEntry(FILE, SIZE, SHA256, 1_700_000_000_000_000_000)


def leaves(root: Path) -> None:
    """Mend leaf after leaf in place."""
    for leaf in range(SIZE // LEAF):
        FolderStore(root).replace_leaf(PACKAGE, entry(), leaf, good_leaf(leaf), leaf_size=LEAF)


def dying_in_place(root: Path) -> None:
    """Die when the record is on the disk and half of the leaf is written."""
    bag, desk = root / PACKAGE, Intents(root, PACKAGE, FILE)
    with desk.locked(), OpenSlot(bag, FILE) as place:
        status = place.status()
        assert status is not None
        digest = leaf_digest(good_leaf(2)).hex()
        desk.announce(Intent(PACKAGE, FILE, 2, digest, LEAF, SIZE, status.st_mtime_ns))
        os.chmod(bag / FILE, 0o644)
        descriptor = place.open_writing()
        os.lseek(descriptor, 2 * LEAF, os.SEEK_SET)
        os.write(descriptor, good_leaf(2)[: LEAF // 2])
        os._exit(9)


def dying_beside(root: Path) -> None:
    """Die when half of a whole file is written beside the package."""

    def blocks() -> Iterator[bytes]:
        yield good_leaf(0)
        os._exit(9)

    FolderStore(root).replace_file(PACKAGE, FILE, blocks(), SIZE, None)


if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    {"leaves": leaves, "in-place": dying_in_place, "beside": dying_beside}[sys.argv[2]](Path(sys.argv[1]))
