"""Opening a package: its tag files, proven from the tag manifest down, in a few megabytes of reading."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from diadem.errors import IntegrityError, NotFound, PackageError, UsageError
from diadem.model.ids import PackageId
from diadem.model.manifest import (
    DIGEST_SIZE,
    INDEX_PATH,
    LEAVES_PATH,
    MANIFEST,
    PREVIEWS_PATH,
    TAGMANIFEST,
    VENDOR_PATH,
    Manifest,
)
from diadem.model.plain_text import quoted
from diadem.model.ports import Bundle
from diadem.package.bagit import BAG_INFO, BAGIT, BAGIT_TXT, CONTINUES, parse_bag_info, parse_manifest
from diadem.package.index import join, parse_index
from diadem.package.paths import unsafe
from diadem.trust.hashing import Leaves, payload_id, payload_urn

#: Bytes of a tag file above which it is not read; leaves of 16 TiB, manifests of about a million files.
LIMITS = {TAGMANIFEST: 1 << 20, BAGIT: 1 << 12, BAG_INFO: 1 << 20, MANIFEST: 128 << 20, INDEX_PATH: 128 << 20}
LIMITS[LEAVES_PATH] = 512 << 20
LIMITS[VENDOR_PATH] = 1 << 30
LIMITS[PREVIEWS_PATH] = 4 << 20
#: Tag files that no package is without.
REQUIRED = (BAGIT, BAG_INFO, MANIFEST, INDEX_PATH, LEAVES_PATH)
_AGAIN = "Fetch the package again, or restore its tag files from another copy."


@dataclass(frozen=True, slots=True)
class OpenedPackage:
    """What the tag files of a package say, proven against its id.

    Attributes
    ----------
    id : PackageId
        SHA-256 of the tag manifest.
    payload_id : str
        64 hex digits, recomputed from the manifest.
    manifest : Manifest
        Every file below `data/`.
    leaves : Leaves
        Digests of all leaves, in the order of the manifest.
    bag_info : list of (label, value)
        The fields of `bag-info.txt`.
    """

    id: PackageId
    payload_id: str
    manifest: Manifest
    leaves: Leaves
    bag_info: list[tuple[str, str]]

    @property
    def continues(self) -> PackageId | None:
        """The package to which this one adds; None where it stands alone. Raises `PackageError` for what is no id."""
        stated = [value for label, value in self.bag_info if label == CONTINUES]
        if not stated:
            return None
        try:
            (only,) = stated
            return PackageId(only)
        except (UsageError, ValueError) as error:
            raise PackageError(f"{CONTINUES} is not one package id", where=BAG_INFO, next=_AGAIN) from error


def read_manifest(bundle: Bundle, *, expected_id: str | None = None) -> OpenedPackage:
    """Read and prove the tag files of a package.

    Parameters
    ----------
    bundle : Bundle
        The bag.
    expected_id : str, optional
        ``diadem:<64 hex>``: the id that the package must have.

    Raises
    ------
    PackageError
        If it is no DIADEM package, or its tag files are malformed.
    IntegrityError
        If it has another id, or the tag files do not agree with each other.
    """
    package_id, tags = required_tag_files(bundle, expected_id=expected_id)
    if tags[BAGIT] != BAGIT_TXT:
        raise PackageError("does not declare BagIt 1.0 in UTF-8", where=BAGIT, next=_AGAIN)
    manifest = join(parse_payload_manifest(tags[MANIFEST]), parse_index(tags[INDEX_PATH]))
    bag_info = parse_bag_info(tags[BAG_INFO])
    leaves = Leaves(tags[LEAVES_PATH], manifest.leaf_size)
    for message, where in disagreements(manifest, leaves, bag_info):
        raise IntegrityError(message, where=where, next=_AGAIN)
    return OpenedPackage(package_id, payload_id(manifest.payload), manifest, leaves, bag_info)


def required_tag_files(bundle: Bundle, *, expected_id: str | None = None) -> tuple[PackageId, dict[str, bytes]]:
    """The id of a package, and the tag files that none is without, proven and not parsed. Raises as `read_manifest`."""
    text = _read_tagmanifest(bundle)
    package_id = PackageId(hashlib.sha256(text).hexdigest())
    if expected_id is not None and package_id != PackageId(expected_id):
        raise IntegrityError(f"the package is {package_id}, not {expected_id}", where=bundle.url, next=_AGAIN)
    listed = {path: digest for digest, path in parse_manifest(text, TAGMANIFEST)}
    return package_id, {path: _proven(bundle, path, listed) for path in REQUIRED}


def read_tag_file(bundle: Bundle, path: str, package_id: str) -> bytes:
    """A tag file of a package, proven against the package's id.

    Raises
    ------
    PackageError
        The package has no such tag file.
    IntegrityError
        It is missing or not what it was, or the package is another one now.
    """
    text = _read_tagmanifest(bundle)
    if hashlib.sha256(text).hexdigest() != PackageId(package_id).removeprefix("diadem:"):
        raise IntegrityError(f"the package is no longer {package_id}", where=bundle.url, next=_AGAIN)
    return _proven(bundle, path, {name: digest for digest, name in parse_manifest(text, TAGMANIFEST)})


def _read_tagmanifest(bundle: Bundle) -> bytes:
    try:
        return bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST])
    except NotFound as error:
        if error.where == bundle.url:  # all of it has gone away
            raise
        raise PackageError(
            f"there is no {TAGMANIFEST}: not a DIADEM package, or one that was never finished",
            where=bundle.url,
            next=f"Verify it as a BagIt bag: diadem verify {quoted(bundle.url)}",
        ) from error


def _proven(bundle: Bundle, path: str, listed: dict[str, str]) -> bytes:
    if path not in listed:
        raise PackageError(
            f"the tag manifest does not list {path}: not a DIADEM package",
            where=bundle.url,
            next=f"Verify it as a BagIt bag: diadem verify {quoted(bundle.url)}",
        )
    try:
        data = bundle.read(path, LIMITS[path])
    except NotFound as error:
        raise IntegrityError("the tag file is missing", where=path, next=_AGAIN) from error
    if hashlib.sha256(data).hexdigest() != listed[path]:
        raise IntegrityError("the tag file is not what the tag manifest lists", where=path, next=_AGAIN)
    return data


def parse_payload_manifest(data: bytes) -> list[tuple[str, str]]:
    """Read `manifest-sha256.txt` of a package: canonical, and every path safe and below `data/`.

    Raises
    ------
    PackageError
        Naming the path.
    """
    entries = parse_manifest(data, MANIFEST)
    for _, path in entries:
        reason = unsafe(path) if path.startswith("data/") else "it is not below data/"
        if reason:
            raise PackageError(f"the path '{path}' is refused: {reason}", where=MANIFEST, next="Do not trust it.")
    return entries


def disagreements(manifest: Manifest, leaves: Leaves, bag_info: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield where the tag files of a package contradict each other: message and tag file."""
    index, size = sum(leaves.count(entry) for entry in manifest), len(leaves.digests)
    if size != index * DIGEST_SIZE:
        yield f"it has {size} bytes; {index} leaves have {index * DIGEST_SIZE}", LEAVES_PATH
    payload = payload_id(manifest.payload)
    total = sum(entry.size for entry in manifest)
    for label, right in (
        ("Diadem-Payload-Id", payload),
        ("External-Identifier", payload_urn(payload)),
        ("Payload-Oxum", f"{total}.{len(manifest)}"),
    ):
        stated = [value for name, value in bag_info if name == label]
        if stated != [right]:
            yield f"{label} is {' and '.join(stated) or 'absent'}; the manifest gives {right}", BAG_INFO
