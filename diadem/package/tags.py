"""The tag files of a bag as DIADEM writes them and reads its own: what is read would be written as the same bytes.

`bagit.txt`, `bag-info.txt` and the manifests are BagIt 1.0 (RFC 8493) in one canonical form; `diadem/index.tsv` says of
every file of the manifest its size, leaves, time and original name. `seal` makes all of them of hashed files, and the
two ids: the same input gives the same bytes. Bags of others, in all their variety, are read by
`diadem.package.foreign`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote_from_bytes, unquote_to_bytes

from diadem.errors import PackageError
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
    leaf_count,
)
from diadem.model.names import unsafe
from diadem.trust.hashing import Leaves, payload_id, payload_urn, sha256_hex

PROFILE = "https://diadem-em.org/bagit-profile/1.0.0"
BAGIT = "bagit.txt"
BAG_INFO = "bag-info.txt"
#: Label of the field of `bag-info.txt` that names the package to which this one adds.
CONTINUES = "Diadem-Continues"
OMITTED = "Diadem-Omitted"
#: Label of the field of `bag-info.txt` that names the package from which people's names were taken.
REDACTED_FROM = "Diadem-Redacted-From"
#: The declaration of a BagIt 1.0 bag.
BAGIT_TXT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
#: Times beyond twelve digits of seconds are not written.
MAX_TIME_NS = (10**12 - 1) * 10**9

_SHA256_LINE = re.compile(r"([0-9a-f]{64})  (.+)\Z", re.DOTALL)
_LABEL = re.compile(r"[^\s:](?:[^:\r\n]*[^\s:])?\Z")
_INDEX_HEAD = re.compile(r"#diadem-index/1\tleaf=([1-9][0-9]{3,6})\tblake3\Z")
# One line in canonical form: numbers without leading zeros, nine decimals, names escaped only where they must be.
_INDEX_ROW = re.compile(
    r"([^\t]+)\t(0|[1-9][0-9]{0,18})\t(0|[1-9][0-9]{0,18})\t(-?)(0|[1-9][0-9]{0,11})\.([0-9]{9})"
    r"\t((?:[A-Za-z0-9_.~/-]|%[0-9A-F]{2})*)\Z"
)
_OTHER_FILES = "does not list the same files as the manifest, in the same order"
_NEXT = "Fetch the package again, or restore its tag files from another copy."


# -- all of them -------------------------------------------------------------------------------------------------------


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


# -- manifests ---------------------------------------------------------------------------------------------------------


def manifest_text(entries: Iterable[tuple[str, str]]) -> bytes:
    """Write a manifest, or a tag manifest, of (64 lower-case hex digits, path in the bag), in any order.

    Raises `PackageError` for a path that it cannot hold as it is (CR, LF, ``%``).
    """
    lines = []
    for digest, path in sorted(entries, key=lambda entry: entry[1].encode()):
        if "\n" in path or "\r" in path or "%" in path:
            raise PackageError("a path with CR, LF or % cannot be listed", where=path, next="Map the name first.")
        lines.append(f"{digest}  {path}\n")
    return "".join(lines).encode()


def _lines(data: bytes, where: str, subject: str = "") -> list[str]:
    """The lines of a tag file, the last one empty where every line has its end."""
    try:
        return data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise PackageError(f"{subject}is not UTF-8 at byte {error.start}", where=where, next=_NEXT) from error


def parse_manifest(data: bytes, where: str) -> list[tuple[str, str]]:
    """Read a manifest: (sha256, path) in the order of the paths' bytes. `where` is its path, for errors.

    Raises `PackageError` naming the line: upper-case digits, other spaces, wrong order, twice the same path.
    """
    lines = _lines(data, where)
    if lines.pop():
        raise PackageError("the last line has no end", where=where, next=_NEXT)
    entries: list[tuple[str, str]] = []
    previous = b""
    for number, line in enumerate(lines, 1):
        match = _SHA256_LINE.match(line)
        if match is None or "\r" in line or "%" in line:
            raise PackageError(f"line {number} is not '<64 lower-case hex>  <path>'", where=where, next=_NEXT)
        path = match[2].encode()
        if path <= previous:
            raise PackageError(f"line {number} is out of order or listed twice", where=where, next=_NEXT)
        previous = path
        entries.append((match[1], match[2]))
    return entries


def parse_payload_manifest(data: bytes) -> list[tuple[str, str]]:
    """Read `manifest-sha256.txt` of a package: every path safe and below `data/`. Raises `PackageError`."""
    entries = parse_manifest(data, MANIFEST)
    for _, path in entries:
        reason = unsafe(path) if path.startswith("data/") else "it is not below data/"
        if reason:
            raise PackageError(f"the path '{path}' is refused: {reason}", where=MANIFEST, next="Do not trust it.")
    return entries


# -- bag-info.txt ------------------------------------------------------------------------------------------------------


def bag_info_text(fields: Sequence[tuple[str, str]]) -> bytes:
    """Write `bag-info.txt`: one line a field, in the order given, no folding.

    Raises `PackageError` for a label with a colon or white space around it, or a value of several lines.
    """
    for label, value in fields:
        if not _LABEL.match(label):
            raise PackageError(f"'{label}' is not a label", where=BAG_INFO, next="Use letters, digits and dashes.")
        if value != value.strip() or len(value.splitlines()) > 1:
            raise PackageError(f"the value of {label} is not one line", where=BAG_INFO, next="Put it on one line.")
    return "".join(f"{label}: {value}\n" for label, value in fields).encode()


def parse_bag_info(data: bytes) -> list[tuple[str, str]]:
    """Read `bag-info.txt`: (label, value) in order. Raises `PackageError` for another form."""
    fields: list[tuple[str, str]] = []
    lines = _lines(data, BAG_INFO)
    for line in lines[:-1]:
        label, _, value = line.partition(": ")
        fields.append((label, value))
    if lines[-1] or bag_info_text(fields) != data:
        raise PackageError("is not one 'Label: value' a line", where=BAG_INFO, next=_NEXT)
    return fields


def plain_bag_tags(
    files: Iterable[tuple[str, str, int]], *, date: str, software: str, more: Sequence[tuple[str, str]] = ()
) -> dict[str, bytes]:
    """The tag files of an ordinary bag, for what is not a DIADEM package any more; the tag manifest last.

    `files` are (sha256, path, size) of all below `data/`, `date` is ``YYYY-MM-DD``; `more` fields of `bag-info.txt`.
    """
    listed = list(files)
    oxum = f"{sum(size for _, _, size in listed)}.{len(listed)}"
    info = [("Bag-Software-Agent", software), ("Bagging-Date", date), ("Payload-Oxum", oxum), *more]
    tags = {
        BAGIT: BAGIT_TXT,
        BAG_INFO: bag_info_text(info),
        MANIFEST: manifest_text((digest, path) for digest, path, _ in listed),
    }
    tags[TAGMANIFEST] = manifest_text((sha256_hex(data), path) for path, data in tags.items())
    return tags


# -- diadem/index.tsv --------------------------------------------------------------------------------------------------


def index_text(manifest: Manifest) -> bytes:
    """Write the index of a manifest. Raises `PackageError` for a path that a line of text cannot hold."""
    lines = [f"#diadem-index/1\tleaf={manifest.leaf_size}\tblake3\n"]
    for entry in manifest.entries:
        if "\t" in entry.path or "\n" in entry.path:
            advice = "Map the name first."
            raise PackageError("a path with a tab or line feed cannot be listed", where=entry.path, next=advice)
        seconds, fraction = divmod(abs(entry.mtime_ns), 10**9)
        time = f"{'-' if entry.mtime_ns < 0 else ''}{seconds}.{fraction:09d}"
        name = "" if entry.original is None else quote_from_bytes(entry.original, safe="/")
        lines.append(f"{entry.path}\t{entry.size}\t{entry.first_leaf}\t{time}\t{name}\n")
    return "".join(lines).encode()


def parse_index(data: bytes, digests: Sequence[tuple[str, str]] | None = None) -> Manifest:
    """Read an index: the manifest that the rest of DIADEM uses, with the `digests` of `parse_payload_manifest`.

    Raises `PackageError` naming the line, where anything is malformed or not in canonical form, or leaves are not
    numbered one after the other; also where the digests are of other files, or in another order. Without digests its
    entries lack their SHA-256.
    """
    lines = _lines(data, INDEX_PATH, "the index ")
    head = _INDEX_HEAD.match(lines[0])
    if head is None or lines[-1] != "":
        raise _malformed("does not begin with '#diadem-index/1', or its last line has no end")
    leaf_size = int(head.group(1))
    if leaf_size & (leaf_size - 1) or not 1 << 10 <= leaf_size <= 1 << 22:
        raise _malformed(f"has a leaf size of {leaf_size}, which is not a power of two from 1 KiB to 4 MiB")
    rows = lines[1:-1]
    listed = [None] * len(rows) if digests is None else digests
    if len(listed) != len(rows):
        raise _malformed(_OTHER_FILES)
    entries, expected = [], 0
    for number, (line, known) in enumerate(zip(rows, listed, strict=True), 2):
        match = _INDEX_ROW.match(line)
        if match is None:
            raise _malformed(f"line {number} is not path, size, first leaf, time and original name in canonical form")
        path, size, first_leaf, sign, seconds, fraction, name = match.groups()
        mtime_ns = int(seconds) * 10**9 + int(fraction)
        original = unquote_to_bytes(name) if name else None
        if (sign and not mtime_ns) or (original is not None and quote_from_bytes(original, safe="/") != name):
            raise _malformed(f"line {number} has a time or name that is not in canonical form")
        if known is not None and known[1] != path:
            raise _malformed(_OTHER_FILES)
        if int(first_leaf) != expected:
            raise _malformed(f"gives {path} the first leaf {first_leaf}, not {expected}")
        entry = FileEntry(
            path, int(size), known[0] if known else "", -mtime_ns if sign else mtime_ns, original, expected
        )
        expected += leaf_count(entry.size, leaf_size)
        entries.append(entry)
    return Manifest(tuple(entries), leaf_size)


def _malformed(what: str) -> PackageError:
    return PackageError(f"the index {what}", where=INDEX_PATH, next=_NEXT)
