"""The structure of a DIADEM package: a closed world, pinned by its tag manifest.

Unlike `opening`, which stops at the first fault, this goes on and names everything that can still be judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from diadem.errors import DiademError, NotFound, PackageError, line_of
from diadem.model.ids import PackageId
from diadem.model.manifest import INDEX_PATH, LEAVES_PATH, MANIFEST, RECORD_PATH, TAGMANIFEST
from diadem.model.ports import Bundle, Listing
from diadem.package.bagit import BAG_INFO, BAGIT, BAGIT_TXT, parse_bag_info, parse_manifest
from diadem.package.findings import Findings
from diadem.package.index import Index, IndexRow, join, parse_index
from diadem.package.names_check import report_names
from diadem.package.opening import LIMITS, REQUIRED, OpenedPackage, disagreements, parse_payload_manifest
from diadem.package.paths import unsafe
from diadem.trust.hashing import Leaves

T = TypeVar("T")
_TAGS_AGAIN = "Restore the tag files from another copy; the payload is then proven by them."
_BLOCK = 1 << 20


@dataclass(slots=True)
class Structure:
    """What the tag files say, as far as they can be believed.

    Attributes
    ----------
    package_id : str or None
        The package's id; None without a tag manifest.
    digests : list of (sha256, path) or None
        Lines of the manifest; None where it is damaged.
    index : Index or None
        The index; None where it is damaged.
    leaves : Leaves or None
        Leaf digests; None where they are damaged.
    bag_info : list of (label, value) or None
        Fields of `bag-info.txt`; None where it is damaged.
    tag_files : int
        Tag files that were proven.
    listed : mapping of path to sha256, or None
        Lines of the tag manifest; None where it is missing or damaged.
    tags : dict of path to bytes
        Tag files that can be believed.
    """

    package_id: str | None = None
    digests: list[tuple[str, str]] | None = None
    index: Index | None = None
    leaves: Leaves | None = None
    bag_info: list[tuple[str, str]] | None = None
    tag_files: int = 0
    listed: Mapping[str, str] | None = None
    tags: dict[str, bytes] = field(default_factory=dict)


def examine(
    bundle: Bundle,
    listing: Listing,
    findings: Findings,
    expected_id: str | None,
    opened: OpenedPackage | None = None,
) -> Structure:
    """Check everything but the content of the files below `data/`.

    Parameters
    ----------
    bundle, listing : Bundle, Listing
        The bag and what lies in it.
    findings : Findings
        Where faults are entered.
    expected_id : str or None
        The id that the package must have.
    opened : OpenedPackage, optional
        What the tag files of this package say, parsed already. Where those here have the same digests, they say so.

    Returns
    -------
    Structure
        What is left to prove the payload with.
    """
    structure = Structure()
    _read_tagmanifest(bundle, findings, structure, expected_id)
    _prove_tag_files(bundle, listing, findings, structure)
    if opened is not None and structure.package_id == opened.id and structure.tags.keys() >= set(REQUIRED):
        _take(structure, opened)
    else:
        _parse(findings, structure)
        _compare(findings, structure)
    _closed_world(listing, findings, structure)
    return structure


def _read_tagmanifest(bundle: Bundle, findings: Findings, structure: Structure, expected_id: str | None) -> None:
    try:
        text = bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST])
    except NotFound:
        message = "there is no tag manifest: the package was never finished, or has lost it"
        findings.error("tagmanifest-missing", message, TAGMANIFEST, next="Restore it from another copy.")
        return
    except (DiademError, OSError) as error:
        findings.error("file-unreadable", line_of(error), TAGMANIFEST, next="Restore it from another copy.")
        return
    structure.package_id = PackageId(hashlib.sha256(text).hexdigest())
    if expected_id is not None and structure.package_id != PackageId(expected_id):
        message = f"the package is {structure.package_id}, not {expected_id}"
        findings.error("id-mismatch", message, TAGMANIFEST, next="Restore the tag manifest from another copy.")
    entries = _parsed(findings, TAGMANIFEST, lambda: parse_manifest(text, TAGMANIFEST))
    if entries is not None:
        structure.listed = {path: digest for digest, path in entries}
        for path in REQUIRED:
            if path not in structure.listed:
                findings.error("tag-file-unlisted", "the tag manifest does not list it", path, next=_TAGS_AGAIN)
        for path in sorted(structure.listed.keys() - LIMITS.keys()):
            message = "DIADEM writes no such tag file: somebody added it, and what it says is not checked"
            findings.warning("tag-file-unknown", message, path, next="Do not trust what it says about other files.")


def _prove_tag_files(bundle: Bundle, listing: Listing, findings: Findings, structure: Structure) -> None:
    """Read every tag file; one that differs from the tag manifest is not believed."""
    expected: Mapping[str, str | None] = structure.listed if structure.listed is not None else dict.fromkeys(REQUIRED)
    for path, digest in expected.items():
        if reason := unsafe(path):
            findings.error("unsafe-path", f"the tag manifest lists a refused path: {reason}", path)
        elif path not in listing.files:
            if path not in listing.irregular:
                findings.error("file-missing", "the tag file is not there", path, next=_TAGS_AGAIN)
        else:
            _prove_tag_file(bundle, findings, structure, path, digest)


def _prove_tag_file(bundle: Bundle, findings: Findings, structure: Structure, path: str, digest: str | None) -> None:
    try:
        if path in LIMITS:
            data = bundle.read(path, LIMITS[path])
            found = hashlib.sha256(data).hexdigest()
        else:
            data, found = b"", _sha256(bundle, path)
    except (DiademError, OSError) as error:
        reason = error.message if isinstance(error, DiademError) else str(error)
        findings.error("file-unreadable", reason, path, next=_TAGS_AGAIN)
        return
    if digest is not None and digest != found:
        message = "the tag file and its line in the tag manifest differ: one of them is damaged"
        findings.error("tag-file-mismatch", message, path, next=_TAGS_AGAIN)
        return
    structure.tag_files += digest is not None
    if path in LIMITS:
        structure.tags[path] = data


def _sha256(bundle: Bundle, path: str) -> str:
    """SHA-256 of a file of any size."""
    digest, view, offset = hashlib.sha256(), memoryview(bytearray(_BLOCK)), 0
    with bundle.open(path) as file:
        while got := file.readinto_at(offset, view):
            digest.update(view[:got])
            offset += got
    return digest.hexdigest()


def _parsed(findings: Findings, path: str, parse: Callable[[], T]) -> T | None:
    """The parsed tag file, or None and a finding."""
    try:
        return parse()
    except PackageError as error:
        findings.error("tag-file-malformed", error.message, path, next=error.next)
        return None


def _take(structure: Structure, opened: OpenedPackage) -> None:
    """What tag files say of which other ones, byte for byte the same, were parsed and held against each other."""
    manifest = opened.manifest
    structure.digests = [(entry.sha256, entry.path) for entry in manifest]
    rows = (IndexRow(one.path, one.size, one.first_leaf, one.mtime_ns, one.original) for one in manifest)
    structure.index = Index(tuple(rows), manifest.leaf_size)
    structure.leaves, structure.bag_info = opened.leaves, opened.bag_info


def _parse(findings: Findings, structure: Structure) -> None:
    tags = structure.tags
    if BAGIT in tags and tags[BAGIT] != BAGIT_TXT:
        findings.error("tag-file-malformed", "does not declare BagIt 1.0 in UTF-8", BAGIT, next=_TAGS_AGAIN)
    if BAG_INFO in tags:
        structure.bag_info = _parsed(findings, BAG_INFO, lambda: parse_bag_info(tags[BAG_INFO]))
    if MANIFEST in tags:
        structure.digests = _parsed(findings, MANIFEST, lambda: parse_payload_manifest(tags[MANIFEST]))
    if INDEX_PATH in tags:
        structure.index = _parsed(findings, INDEX_PATH, lambda: parse_index(tags[INDEX_PATH]))
    if LEAVES_PATH in tags and structure.index is not None:
        structure.leaves = Leaves(tags[LEAVES_PATH], structure.index.leaf_size)


def _compare(findings: Findings, structure: Structure) -> None:
    """Hold the tag files against each other; where manifest and index differ, the index is not believed."""
    digests, index = structure.digests, structure.index
    if digests is not None:
        paths = {path for _, path in digests}
        report_names(findings, paths)
        if RECORD_PATH not in paths:
            findings.warning("record-missing", "the package has no record", RECORD_PATH)
    if digests is None or index is None:
        return
    manifest = _parsed(findings, INDEX_PATH, lambda: join(digests, index))
    if manifest is None:
        structure.index = None
    elif structure.leaves is not None and structure.bag_info is not None:
        for message, path in disagreements(manifest, structure.leaves, structure.bag_info):
            findings.error("tag-files-disagree", message, path, next=_TAGS_AGAIN)
            if path == LEAVES_PATH:
                structure.leaves = None


def _closed_world(listing: Listing, findings: Findings, structure: Structure) -> None:
    """Exactly the listed files: no other, no fewer, none of another size."""
    for path, kind in listing.irregular.items():
        message = (
            "the folder or file cannot be read" if kind == "unreadable" else f"a {kind} does not belong in a package"
        )
        findings.error("irregular-file", message, path, next="Remove it, and restore the file from another copy.")
    sizes = _payload_sizes(structure)
    if sizes is None:
        return
    missing = {path: size for path, size in sizes.items() if path not in listing.files}
    unlisted = [path for path in listing.files if not path.startswith("data/")]
    tags = set(unlisted if structure.listed is None else structure.listed)
    extra = {path: size for path, size in listing.files.items() if path not in sizes and path not in tags}
    extra.pop(TAGMANIFEST, None)
    _report_missing(findings, {path: size for path, size in missing.items() if path not in listing.irregular}, extra)
    for path, size in sizes.items():
        present = listing.files.get(path)
        if size is not None and present is not None and present != size:
            ends = (min(size, present), max(size, present))
            message = f"the file has {present} bytes, not {size}"
            findings.error("size-mismatch", message, path, range=ends, next="Restore this file from another copy.")


def _report_missing(findings: Findings, missing: Mapping[str, int | None], extra: Mapping[str, int]) -> None:
    by_size = {size: path for path, size in missing.items()}
    for path in missing:
        findings.error("file-missing", "the file is not there", path, next="Restore it from another copy.")
    for path, size in extra.items():
        twin = by_size.get(size)
        hint = f"; it has the size of the missing {twin}: renamed?" if twin else ""
        findings.error("file-unexpected", "the package does not list this file" + hint, path, next="Move it away.")


def _payload_sizes(structure: Structure) -> dict[str, int | None] | None:
    """Paths that must lie below `data/`, with their sizes where they are known; None where nothing can tell."""
    if structure.index is not None:
        return {row.path: row.size for row in structure.index.rows}
    if structure.digests is not None:
        return {path: None for _, path in structure.digests}
    return None
