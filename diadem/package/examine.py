"""The tag files of a package, proven from the tag manifest down, in a few megabytes of reading.

There is one examination, which tells its faults to whoever asked. `open_tag_files` opens a package with it: the first
fault is raised. `examine`, for verifying, goes on, names everything that can still be judged, and holds what lies in
the bag against what the tag files list: a package is a closed world.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

from diadem.errors import DiademError, IntegrityError, NotFound, PackageError, UsageError
from diadem.model.manifest import (
    DIGEST_SIZE,
    INDEX_PATH,
    LEAVES_PATH,
    MANIFEST,
    PREVIEWS_PATH,
    RECORD_PATH,
    TAGMANIFEST,
    VENDOR_PATH,
    Manifest,
    PackageId,
)
from diadem.model.names import report_names, unsafe
from diadem.model.plain_text import quoted
from diadem.model.ports import Bundle, Listing
from diadem.model.report import Findings
from diadem.package.tags import (
    BAG_INFO,
    BAGIT,
    BAGIT_TXT,
    CONTINUES,
    parse_bag_info,
    parse_index,
    parse_manifest,
    parse_payload_manifest,
)
from diadem.trust.hashing import Leaves, payload_id, payload_urn

T = TypeVar("T")
#: Bytes of a tag file above which it is not read; leaves of 16 TiB, manifests of about a million files.
LIMITS = {
    TAGMANIFEST: 1 << 20,
    BAGIT: 1 << 12,
    BAG_INFO: 1 << 20,
    MANIFEST: 128 << 20,
    INDEX_PATH: 128 << 20,
    LEAVES_PATH: 512 << 20,
    VENDOR_PATH: 1 << 30,
    PREVIEWS_PATH: 4 << 20,
}
#: Tag files that no package is without.
REQUIRED = (BAGIT, BAG_INFO, MANIFEST, INDEX_PATH, LEAVES_PATH)
_AGAIN = "Fetch the package again, or restore its tag files from another copy."
_TAGS_AGAIN = "Restore the tag files from another copy; the payload is then proven by them."
_BLOCK = 1 << 20

#: Told of each fault: its code, the tag file in which it is, and what opening raises for it.
Fault = Callable[[str, str, DiademError | OSError], object]


@dataclass(frozen=True, slots=True)
class TagFiles:
    """What the tag files of a package say, proven against its id, which is the SHA-256 of the tag manifest.

    `payload_id` is recomputed from the manifest, which has every file below `data/`; `leaves` are the digests of all
    their leaves in its order, `bag_info` the fields of `bag-info.txt` as (label, value).
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


@dataclass(slots=True)
class Examined:
    """What the tag files say, as far as they can be believed; None stands for what is missing or damaged.

    `listed` are the lines of the tag manifest, path to SHA-256; `tags` the tag files that can be believed, `proven` how
    many of them the tag manifest proves; `digests` the lines of the manifest as (sha256, path). The entries of `index`
    have sizes and leaves; they have digests too where the manifest can be believed as well.
    """

    id: PackageId | None = None
    listed: Mapping[str, str] | None = None
    tags: dict[str, bytes] = field(default_factory=dict)
    proven: int = 0
    digests: list[tuple[str, str]] | None = None
    index: Manifest | None = None
    leaves: Leaves | None = None
    bag_info: list[tuple[str, str]] | None = None
    payload_id: str = ""


# -- opening -----------------------------------------------------------------------------------------------------------


def open_tag_files(bundle: Bundle, *, expected_id: str | None = None) -> TagFiles:
    """Read and prove what the tag files of a package say; `expected_id` is the id that it must have.

    Raises `PackageError` where it is no DIADEM package, or its tag files are malformed; `IntegrityError` where it has
    another id, or the tag files do not agree with each other.
    """
    found = _proven(bundle, REQUIRED, expected_id)
    _parse(found, _raised)
    assert found.id is not None
    assert found.index is not None
    assert found.leaves is not None
    assert found.bag_info is not None
    return TagFiles(found.id, found.payload_id, found.index, found.leaves, found.bag_info)


def require_tag_files(bundle: Bundle, expected_id: str) -> None:
    """Prove the tag files that no package is without, and parse none of them. Raises as `open_tag_files`."""
    _proven(bundle, REQUIRED, expected_id)


def read_tag_file(bundle: Bundle, path: str, package_id: str) -> bytes:
    """A tag file of a package, proven against the package's id. Raises as `open_tag_files`."""
    return _proven(bundle, (path,), package_id).tags[path]


def _proven(bundle: Bundle, paths: Iterable[str], expected_id: str | None) -> Examined:
    found = _read_tagmanifest(bundle, paths, expected_id, _raised)
    for path in paths:
        _prove(bundle, path, found, _raised)
    return found


def _raised(code: str, path: str, error: DiademError | OSError) -> NoReturn:  # noqa: ARG001  one kind of `Fault`
    raise error


# -- verifying ---------------------------------------------------------------------------------------------------------


def examine(
    bundle: Bundle,
    listing: Listing,
    findings: Findings,
    expected_id: str | None,
    opened: TagFiles | None = None,
) -> Examined:
    """Check everything but the content of the files below `data/`; what is left can prove these.

    `opened` is what the tag files of this package say, parsed already: where those here are the same, byte for byte,
    they say so too. Raises `NotFound` where all of the bag has gone away.
    """

    def note(code: str, path: str, error: DiademError | OSError) -> None:
        ours = error if isinstance(error, DiademError) else DiademError(str(error))
        findings.error(code, ours.message, path, next=ours.next if code == "tag-file-malformed" else _TAGS_AGAIN)

    found = _read_tagmanifest(bundle, REQUIRED, expected_id, note)
    for path in sorted(found.listed.keys() - LIMITS.keys()) if found.listed is not None else ():
        message = "DIADEM writes no such tag file: somebody added it, and what it says is not checked"
        findings.warning("tag-file-unknown", message, path, next="Do not trust what it says about other files.")
    for path in REQUIRED if found.listed is None else found.listed:
        if path not in LIMITS and (reason := unsafe(path)):
            findings.error("unsafe-path", f"the tag manifest lists a refused path: {reason}", path)
        elif path in listing.files:
            _prove(bundle, path, found, note)
        elif path not in listing.irregular:
            note("file-missing", path, _missing(path))
    if opened is not None and found.id == opened.id and found.tags.keys() >= set(REQUIRED):
        found.digests = [(entry.sha256, entry.path) for entry in opened.manifest]
        found.index, found.leaves, found.bag_info = opened.manifest, opened.leaves, opened.bag_info
    else:
        _parse(found, note)
    if found.digests is not None:
        paths = {path for _, path in found.digests}
        report_names(findings, paths)
        if RECORD_PATH not in paths:
            findings.warning("record-missing", "the package has no record", RECORD_PATH)
    _close(listing, findings, found)
    return found


def _close(listing: Listing, findings: Findings, found: Examined) -> None:
    """Exactly the listed files lie there: no other, no fewer, none of another size."""
    for path, kind in listing.irregular.items():
        what = "the folder or file cannot be read" if kind == "unreadable" else f"a {kind} does not belong in a package"
        findings.error("irregular-file", what, path, next="Remove it, and restore the file from another copy.")
    sizes: dict[str, int | None]
    if found.index is not None:
        sizes = {entry.path: entry.size for entry in found.index}
    elif found.digests is not None:
        sizes = {path: None for _, path in found.digests}
    else:
        return  # nothing can tell what belongs here
    there = listing.files.keys() | listing.irregular.keys()
    missing = {path: size for path, size in sizes.items() if path not in there}
    by_size = {size: path for path, size in missing.items()}
    for path in missing:
        findings.error("file-missing", "the file is not there", path, next="Restore it from another copy.")
    for path, present in listing.files.items():
        if path in sizes:
            if (size := sizes[path]) is not None and size != present:
                ends = (min(size, present), max(size, present))
                message = f"the file has {present} bytes, not {size}"
                findings.error("size-mismatch", message, path, range=ends, next="Restore this file from another copy.")
        elif path != TAGMANIFEST and (path.startswith("data/") if found.listed is None else path not in found.listed):
            twin = by_size.get(present)
            hint = f"; it has the size of the missing {twin}: renamed?" if twin else ""
            findings.error("file-unexpected", "the package does not list this file" + hint, path, next="Move it away.")


# -- the examination ---------------------------------------------------------------------------------------------------


def _read_tagmanifest(bundle: Bundle, paths: Iterable[str], expected_id: str | None, fault: Fault) -> Examined:
    """The id of the package, and what the tag manifest lists, which must be these paths at least."""
    found = Examined()
    try:
        text = bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST])
    except NotFound as error:
        if error.where == bundle.url:  # all of it has gone away
            raise
        message = f"there is no {TAGMANIFEST}: not a DIADEM package, or one that was never finished or has lost it"
        fault("tagmanifest-missing", TAGMANIFEST, _none_of_ours(bundle, message))
        return found
    except (DiademError, OSError) as error:
        fault("file-unreadable", TAGMANIFEST, error)
        return found
    found.id = PackageId(hashlib.sha256(text).hexdigest())
    if expected_id is not None and found.id != PackageId(expected_id):
        message = f"the package is {found.id}, not {expected_id}"
        fault("id-mismatch", TAGMANIFEST, IntegrityError(message, where=bundle.url, next=_AGAIN))
    entries = _parsed(TAGMANIFEST, lambda: parse_manifest(text, TAGMANIFEST), fault)
    if entries is not None:
        found.listed = {path: digest for digest, path in entries}
        for path in paths:
            if path not in found.listed:
                message = f"the tag manifest does not list {path}: not a DIADEM package"
                fault("tag-file-unlisted", path, _none_of_ours(bundle, message))
    return found


def _none_of_ours(bundle: Bundle, message: str) -> PackageError:
    advice = f"Verify it as a BagIt bag: diadem verify {quoted(bundle.url)}"
    return PackageError(message, where=bundle.url, next=advice)


def _prove(bundle: Bundle, path: str, found: Examined, fault: Fault) -> None:
    """Read a tag file; one that differs from the tag manifest is not believed."""
    try:
        if path in LIMITS:
            data = bundle.read(path, LIMITS[path])
            digest = hashlib.sha256(data).hexdigest()
        else:  # it is none of ours, of any size: only its digest is of interest
            data, digest = b"", _sha256(bundle, path)
    except NotFound:
        fault("file-missing", path, _missing(path))
        return
    except (DiademError, OSError) as error:
        fault("file-unreadable", path, error)
        return
    if found.listed is not None and found.listed[path] != digest:
        message = "the tag file is not what the tag manifest lists"
        fault("tag-file-mismatch", path, IntegrityError(message, where=path, next=_AGAIN))
        return
    found.proven += found.listed is not None
    if path in LIMITS:
        found.tags[path] = data


def _missing(path: str) -> IntegrityError:
    return IntegrityError("the tag file is missing", where=path, next=_AGAIN)


def _sha256(bundle: Bundle, path: str) -> str:
    digest, view, offset = hashlib.sha256(), memoryview(bytearray(_BLOCK)), 0
    with bundle.open(path) as file:
        while got := file.readinto_at(offset, view):
            digest.update(view[:got])
            offset += got
    return digest.hexdigest()


def _parse(found: Examined, fault: Fault) -> None:
    """Parse the tag files that can be believed, and hold them against each other."""
    tags = found.tags
    if BAGIT in tags and tags[BAGIT] != BAGIT_TXT:
        error = PackageError("does not declare BagIt 1.0 in UTF-8", where=BAGIT, next=_AGAIN)
        fault("tag-file-malformed", BAGIT, error)
    if MANIFEST in tags:
        found.digests = _parsed(MANIFEST, lambda: parse_payload_manifest(tags[MANIFEST]), fault)
    if INDEX_PATH in tags:  # where it differs from the manifest, the index is not believed
        found.index = _parsed(INDEX_PATH, lambda: parse_index(tags[INDEX_PATH], found.digests), fault)
    if LEAVES_PATH in tags and found.index is not None:
        found.leaves = Leaves(tags[LEAVES_PATH], found.index.leaf_size)
    if BAG_INFO in tags:
        found.bag_info = _parsed(BAG_INFO, lambda: parse_bag_info(tags[BAG_INFO]), fault)
    if found.digests is not None:
        _compare(found, fault)


def _parsed(path: str, parse: Callable[[], T], fault: Fault) -> T | None:
    try:
        return parse()
    except PackageError as error:
        fault("tag-file-malformed", path, error)
        return None


def _compare(found: Examined, fault: Fault) -> None:
    """Tell where leaves and bag-info contradict the manifest; such leaves are not believed."""
    manifest, leaves, bag_info = found.index, found.leaves, found.bag_info
    if manifest is None or leaves is None or bag_info is None:
        return
    count, size = sum(leaves.count(entry) for entry in manifest), len(leaves.digests)
    if size != count * DIGEST_SIZE:
        message = f"it has {size} bytes; {count} leaves have {count * DIGEST_SIZE}"
        fault("tag-files-disagree", LEAVES_PATH, IntegrityError(message, where=LEAVES_PATH, next=_AGAIN))
        found.leaves = None
    found.payload_id = payload_id(manifest.payload)
    for label, right in (
        ("Diadem-Payload-Id", found.payload_id),
        ("External-Identifier", payload_urn(found.payload_id)),
        ("Payload-Oxum", f"{sum(entry.size for entry in manifest)}.{len(manifest)}"),
    ):
        stated = [value for name, value in bag_info if name == label]
        if stated != [right]:
            message = f"{label} is {' and '.join(stated) or 'absent'}; the manifest gives {right}"
            fault("tag-files-disagree", BAG_INFO, IntegrityError(message, where=BAG_INFO, next=_AGAIN))
