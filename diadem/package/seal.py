"""From hashed files to the tag files of a package and its two ids. Pure: the same input gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

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
    PackageId,
)
from diadem.package.tags import (
    BAG_INFO,
    BAGIT,
    BAGIT_TXT,
    CONTINUES,
    OMITTED,
    bag_info_text,
    index_text,
    manifest_text,
)
from diadem.trust.hashing import Leaves, payload_id, payload_urn, sha256_hex

PROFILE = "https://diadem-em.org/bagit-profile/1.0.0"


@dataclass(frozen=True, slots=True)
class HashedFile:
    """A file of the package with its digests: an entry without its place among the leaves, and the leaves."""

    entry: FileEntry
    leaves: bytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """Everything but the files below `data/`; the tag manifest is the last of the tag files, as it is written last."""

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

    `files` are all below `data/`, derived ones included, in any order; `vendor` is the content of `diadem/vendor.zip`,
    `previews` that of `diadem/previews.zip`, which there is only where it has content, `date` the day of archiving
    (``YYYY-MM-DD``), `software` the program's name and version, `omitted` the number of things left out, `continues`
    the package to which this one adds.
    """
    entries, digests = [], bytearray()
    for file in sorted(files, key=lambda file: file.entry.path.encode()):
        entries.append(replace(file.entry, first_leaf=len(digests) // DIGEST_SIZE))
        digests += file.leaves
    manifest, leaves = Manifest(tuple(entries)), Leaves(bytes(digests))
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
    last = manifest_text((sha256_hex(data), path) for path, data in tags.items())
    tags[TAGMANIFEST] = last
    return Sealed(PackageId(sha256_hex(last)), payload, manifest, leaves, tags)
