"""From hashed files to the tag files of a package and its two ids. Pure: the same input gives the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from diadem.model.ids import PackageId
from diadem.model.manifest import (
    DERIVED_PATHS,
    DIGEST_SIZE,
    INDEX_PATH,
    LEAVES_PATH,
    MANIFEST,
    PREVIEWS_PATH,
    TAGMANIFEST,
    VENDOR_PATH,
    FileEntry,
    Manifest,
)
from diadem.package.bagit import (
    BAG_INFO,
    BAGIT,
    BAGIT_TXT,
    CONTINUES,
    OMITTED,
    bag_info_text,
    manifest_text,
    tagmanifest_text,
)
from diadem.package.index import index_text
from diadem.trust.hashing import Leaves, payload_id, payload_urn

PROFILE = "https://diadem-em.org/bagit-profile/1.0.0"


@dataclass(frozen=True, slots=True)
class HashedFile:
    """A file of the package with its digests: an entry without its place among the leaves, and the leaves."""

    entry: FileEntry
    leaves: bytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """Everything but the files below `data/`.

    Attributes
    ----------
    package_id : PackageId
        SHA-256 of the tag manifest.
    payload_id : str
        SHA-256 of the payload's manifest lines.
    manifest : Manifest
        The files below `data/`.
    leaves : Leaves
        Digests of their leaves, in the order of the manifest.
    tag_files : mapping of str to bytes
        Bag path to content, the tag manifest last.
    """

    package_id: PackageId
    payload_id: str
    manifest: Manifest
    leaves: Leaves
    tag_files: Mapping[str, bytes]


def payload_of(files: Iterable[HashedFile]) -> str:
    """The payload id of hashed files, derived ones left out."""
    return payload_id(file.entry for file in files if file.entry.path not in DERIVED_PATHS)


def seal(
    files: Iterable[HashedFile],
    *,
    vendor: bytes,
    previews: bytes = b"",
    date: str,
    software: str,
    omitted: int = 0,
    continues: PackageId | None = None,
) -> Sealed:
    """Write the tag files.

    Parameters
    ----------
    files : iterable of HashedFile
        All files below `data/`, derived ones included, in any order.
    vendor : bytes
        Content of `diadem/vendor.zip`.
    previews : bytes
        Content of `diadem/previews.zip`; without any there is no such file.
    date : str
        Archiving date, ``YYYY-MM-DD``.
    software : str
        Name and version of the program.
    omitted : int
        Things left out.
    continues : PackageId, optional
        The package to which this one adds.
    """
    manifest, leaves = _in_order(files)
    payload = payload_id(manifest.payload)
    total = sum(entry.size for entry in manifest)
    info = [
        ("BagIt-Profile-Identifier", PROFILE),
        ("Bag-Software-Agent", software),
        ("Bagging-Date", date),
        ("External-Identifier", payload_urn(payload)),
        ("Payload-Oxum", f"{total}.{len(manifest)}"),
        ("Diadem-Payload-Id", payload),
        *([(OMITTED, str(omitted))] if omitted else []),
        *([(CONTINUES, continues)] if continues else []),
    ]
    tags = {
        BAGIT: BAGIT_TXT,
        BAG_INFO: bag_info_text(info),
        MANIFEST: manifest_text((entry.sha256, entry.path) for entry in manifest),
        INDEX_PATH: index_text(manifest),
        LEAVES_PATH: leaves.digests,
        VENDOR_PATH: vendor,
        **({PREVIEWS_PATH: previews} if previews else {}),
    }
    last = tagmanifest_text((hashlib.sha256(data).hexdigest(), path) for path, data in tags.items())
    tags[TAGMANIFEST] = last
    return Sealed(PackageId(hashlib.sha256(last).hexdigest()), payload, manifest, leaves, tags)


def _in_order(files: Iterable[HashedFile]) -> tuple[Manifest, Leaves]:
    ordered = sorted(files, key=lambda file: file.entry.path.encode())
    entries, leaves = [], bytearray()
    for file in ordered:
        entries.append(replace(file.entry, first_leaf=len(leaves) // DIGEST_SIZE))
        leaves += file.leaves
    return Manifest(tuple(entries)), Leaves(bytes(leaves))
