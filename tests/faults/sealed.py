"""What the harness knows by itself: the bytes of every package as they were sealed, and what lies on the disks now.

Nothing here asks DIADEM: damage is what differs from the bytes that were kept aside before anything happened.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

#: Bytes in a leaf, as `docs/package-format.md` says.
LEAF = 1 << 20
TAGMANIFEST = "tagmanifest-sha256.txt"
MANIFEST, INDEX, LEAVES = "manifest-sha256.txt", "diadem/index.tsv", "diadem/leaves.blake3"
#: Tag files without which a package cannot be opened.
NEEDED = ("bagit.txt", "bag-info.txt", MANIFEST, INDEX, LEAVES)
#: Files below ``data/`` that DIADEM writes: their times say nothing.
DERIVED = frozenset({"data/diadem-record.json", "data/ro-crate-metadata.json", "data/ro-crate-preview.html"})
#: Folders of a store in which no package lies.
_OTHERS = frozenset({".diadem", "incoming"})

#: Path in the package to its bytes; None where something lies there that is no plain file.
Files = Mapping[str, bytes | None]
#: Store name to package folder (``2026/…``) to its files.
World = Mapping[str, Mapping[str, Files]]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A package as it was sealed.

    Attributes
    ----------
    id : str
        ``diadem:<64 hex>``.
    path : str
        Where it was put in each store.
    files : mapping of str to bytes
        Every file, tag files too.
    times : mapping of str to int
        Modification times of the files below ``data/`` that came from the source, nanoseconds.
    """

    id: str
    path: str
    files: Mapping[str, bytes]
    times: Mapping[str, int]

    @property
    def payload(self) -> list[str]:
        """Files below ``data/``."""
        return [name for name in self.files if name.startswith("data/")]

    @property
    def tags(self) -> list[str]:
        """Tag files, the tag manifest among them."""
        return [name for name in self.files if not name.startswith("data/")]


@dataclass(frozen=True, slots=True)
class Wound:
    """One thing that is not as it was sealed.

    Attributes
    ----------
    path : str
        The file; "" for the whole copy.
    leaf : int or None
        Where a file of the right size has other bytes: which leaf.
    kind : str
        ``bytes``, ``size``, ``missing``, ``extra``, ``irregular`` or ``copy`` (nothing of it is there).
    """

    path: str
    leaf: int | None
    kind: str


def read_package(folder: str | Path) -> dict[str, bytes | None]:
    """Every file of a folder."""
    found: dict[str, bytes | None] = {}
    _read(os.fspath(folder), "", found)
    return found


def _read(folder: str, start: str, found: dict[str, bytes | None]) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _read(entry.path, f"{start}{entry.name}/", found)
            elif entry.is_file(follow_symlinks=False):
                with open(entry.path, "rb") as file:
                    found[start + entry.name] = file.read()
            else:
                found[start + entry.name] = None


def read_store(root: Path) -> dict[str, Files]:
    """Every folder at the depth of packages, whatever lies in it."""
    years = [name for name in os.listdir(root) if name not in _OTHERS] if root.is_dir() else []
    return {
        f"{year}/{name}": read_package(root / year / name)
        for year in sorted(years)
        if (root / year).is_dir()
        for name in sorted(os.listdir(root / year))
    }


def seal(package_id: str, path: str, folder: Path) -> Sealed:
    """Keep a package that was written a moment ago."""
    files = {name: data for name, data in read_package(folder).items() if data is not None}
    sources = [name for name in files if name.startswith("data/") and name not in DERIVED]
    times = {name: (folder / name).stat().st_mtime_ns for name in sources}
    return Sealed(package_id, path, files, times)


def wounds(sealed: Sealed, found: Files | None) -> list[Wound]:
    """Everything by which a folder differs from a sealed package."""
    if not found:
        return [Wound("", None, "copy")]
    hurt = [wound for path, data in sealed.files.items() for wound in _of_file(path, data, found)]
    return hurt + [Wound(path, None, "extra") for path in found if path not in sealed.files]


def _of_file(path: str, data: bytes, found: Files) -> Iterator[Wound]:
    if path not in found:
        yield Wound(path, None, "missing")
        return
    now = found[path]
    if now is None:
        yield Wound(path, None, "irregular")
    elif len(now) != len(data):
        yield Wound(path, None, "size")
    elif now != data and not path.startswith("data/"):
        yield Wound(path, None, "bytes")
    elif now != data:
        yield from (Wound(path, leaf, "bytes") for leaf in leaves_that_differ(data, now))


def leaves_that_differ(one: bytes, other: bytes) -> list[int]:
    """Leaves in which two files of one size differ."""
    return [
        start // LEAF for start in range(0, len(one), LEAF) if one[start : start + LEAF] != other[start : start + LEAF]
    ]


def good_leaf(sealed: Sealed, path: str, leaf: int, found: Files | None) -> bool:
    """Whether a folder has the right bytes of one leaf at their place."""
    data = (found or {}).get(path)
    place = slice(leaf * LEAF, (leaf + 1) * LEAF)
    return data is not None and data[place] == sealed.files[path][place]


def identity(found: Files) -> str | None:
    """The id of the package whose tag manifest lies in a folder; None without one."""
    text = found.get(TAGMANIFEST)
    return None if text is None else "diadem:" + hashlib.sha256(text).hexdigest()
