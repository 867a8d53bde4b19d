"""What a package is called, and its files: one entry a file, in the order of the manifest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from diadem.errors import UsageError
from diadem.model.display import Display, DisplayRows, FixedRows
from diadem.model.plain_text import one_line

#: Bytes in a leaf, the unit of proof, repair and transfer. A power of two, recorded in every package.
LEAF_SIZE = 1 << 20
#: Bytes in a BLAKE3 digest.
DIGEST_SIZE = 32

RECORD_PATH = "data/diadem-record.json"
CRATE_PATH = "data/ro-crate-metadata.json"
PAGE_PATH = "data/ro-crate-preview.html"
#: Files that DIADEM derives; they lie in `data/` but outside the payload id.
DERIVED_PATHS = frozenset({RECORD_PATH, CRATE_PATH, PAGE_PATH})

TAGMANIFEST = "tagmanifest-sha256.txt"
MANIFEST = "manifest-sha256.txt"
INDEX_PATH = "diadem/index.tsv"
LEAVES_PATH = "diadem/leaves.blake3"
VENDOR_PATH = "diadem/vendor.zip"
PREVIEWS_PATH = "diadem/previews.zip"


#: What a package id begins with.
PREFIX = "diadem:"
_FULL = re.compile(r"(?:diadem:)?([0-9a-f]{64})\Z")


class PackageId(str):
    """The id of a package, ``diadem:<64 hex>``: the SHA-256 of `tagmanifest-sha256.txt`."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Accept the id with or without its prefix."""
        match = _FULL.match(text)
        if match is None:
            shown = one_line(text, 80)  # it may be somebody else's
            raise UsageError(f"'{shown}' is not a package id", next="Write diadem: and 64 lower-case hex digits.")
        return super().__new__(cls, PREFIX + match.group(1))

    @property
    def hex(self) -> str:
        """The 64 hex digits."""
        return self[len(PREFIX) :]


def shown_id(package_id: str) -> str:
    """The id as sentences have it, by its first digits: ``diadem:406f3245b359…``."""
    return f"{package_id[: len(PREFIX) + 12]}…"


def leaf_count(size: int, leaf_size: int = LEAF_SIZE) -> int:
    """Leaves in a file of `size` bytes; an empty file has none."""
    return -(-size // leaf_size)


@dataclass(frozen=True, slots=True)
class FileEntry(Display):
    """One file below `data/`.

    Attributes
    ----------
    path : str
        Stored path, relative to the bag: ``data/…``.
    size : int
        Bytes.
    sha256 : str
        64 lower-case hex digits.
    mtime_ns : int
        Modification time of the original, nanoseconds since 1970 UTC. A claim of the file system, nothing more.
    original : bytes or None
        Original path relative to the archived folder, as the file system's bytes, where it differs from the stored one.
    first_leaf : int
        Index of the file's first digest in `diadem/leaves.blake3`.
    """

    path: str
    size: int
    sha256: str
    mtime_ns: int
    original: bytes | None = None
    first_leaf: int = 0

    def _display_document(self) -> dict[str, object]:
        day = datetime.fromtimestamp(self.mtime_ns / 1e9, UTC).isoformat() if 0 < self.mtime_ns < 1 << 62 else ""
        return {"name": self.name, "size": self.size, "modified": day, "sha256": self.sha256}

    @property
    def name(self) -> str:
        """Stored path relative to `data/`."""
        return self.path.removeprefix("data/")

    @property
    def original_name(self) -> bytes:
        """Original path relative to the archived folder, as bytes."""
        return self.name.encode() if self.original is None else self.original


@dataclass(frozen=True, slots=True)
class Manifest(DisplayRows):
    """All files below `data/`, sorted by the bytes of their path, and where their leaves are."""

    entries: tuple[FileEntry, ...]
    leaf_size: int = LEAF_SIZE
    _by_path: dict[str, FileEntry] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Index the entries by path."""
        self._by_path.update((entry.path, entry) for entry in self.entries)

    def __iter__(self) -> Iterator[FileEntry]:
        """Entries in order."""
        return iter(self.entries)

    def __len__(self) -> int:
        """Number of files."""
        return len(self.entries)

    def __contains__(self, path: object) -> bool:
        """Whether a bag path is listed."""
        return path in self._by_path

    def __getitem__(self, path: str) -> FileEntry:
        """The entry of a bag path; KeyError if it is not listed."""
        return self._by_path[path]

    @property
    def payload(self) -> tuple[FileEntry, ...]:
        """Entries without the three files that DIADEM derives."""
        return FixedRows(entry for entry in self.entries if entry.path not in DERIVED_PATHS)
