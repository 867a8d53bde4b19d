"""Small sealed packages in memory, for those who test stores."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass

from diadem.model.manifest import RECORD_PATH, TAGMANIFEST, FileEntry
from diadem.package.examine import TagFiles, open_tag_files
from diadem.package.seal import HashedFile, seal
from diadem.store.bags import MemoryBundle
from diadem.trust.hashing import LeafHasher

#: Names that are hard for some store, an empty file, whole and cut leaves, and one file of more than 16 MiB.
HARD_FILES = {
    "data/scan.dm4": 2_300_000,
    "data/empty.txt": 0,
    "data/one leaf.raw": 1 << 20,
    "data/übersicht + näher & weiter/日本語 (1) [x] {y}.tif": 12_345,
    "data/sub/deep/er/~tilde#hash;semi=eq,comma@at!$'.bin": 70_000,
    "data/.hidden/.file": 3,
    "data/large.raw": (17 << 20) + 5,
}


@dataclass(frozen=True)
class SamplePackage:
    """A sealed package in memory.

    Attributes
    ----------
    path : str
        Where it should lie in a store.
    files : mapping of str to bytes
        Everything in it, by bag path.
    opened : TagFiles
        What its tag files say.
    """

    path: str
    files: Mapping[str, bytes]
    opened: TagFiles

    @property
    def bundle(self) -> MemoryBundle:
        """The package, to be read."""
        return MemoryBundle(self.files, f"memory of {self.path}")

    def spoiled(self, path: str, data: bytes | None) -> MemoryBundle:
        """The package with one file exchanged, or missing (None)."""
        files = {**self.files, path: data} if data is not None else {k: v for k, v in self.files.items() if k != path}
        return MemoryBundle(files, f"spoiled {self.path}")

    def entry(self, path: str) -> FileEntry:
        """The entry of a file."""
        return self.opened.manifest[path]


def make_package(
    sizes: Mapping[str, int] | None = None, *, seed: int = 1, date: str = "2026-03-14", slug: str = "zno"
) -> SamplePackage:
    """Seal a package of random files.

    Parameters
    ----------
    sizes : mapping of str to int, optional
        Bag path below ``data/`` to bytes; `HARD_FILES` by default.
    seed : int
        The same seed gives the same payload.
    date : str
        Archiving date: another one makes another package of the same payload.
    slug : str
        For the package's name.
    """
    generator = random.Random(seed)  # noqa: S311  bytes of samples are no secret
    files = {path: generator.randbytes(size) for path, size in (HARD_FILES if sizes is None else sizes).items()}
    files[RECORD_PATH] = f'{{"schema": "diadem-record/1.0.0", "made": "{date}"}}\n'.encode()
    sealed = seal([_hashed(path, data) for path, data in files.items()], vendor=b"", date=date, software="samples")
    files |= sealed.tag_files
    opened = open_tag_files(MemoryBundle(files))
    assert TAGMANIFEST in files
    path = f"{date[:4]}/{date.replace('-', '')}-{slug}-{sealed.payload_id[:12]}"
    return SamplePackage(path, files, opened)


def _hashed(path: str, data: bytes) -> HashedFile:
    leaves = LeafHasher()
    leaves.update(data)
    entry = FileEntry(path, len(data), hashlib.sha256(data).hexdigest(), 1_770_000_000_000_000_000)
    return HashedFile(entry, leaves.digest())
