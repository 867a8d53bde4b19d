"""The manifests, bag-info and fetch list of a foreign bag: read within bounds, each path judged before it is used."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from diadem.errors import DiademError
from diadem.model.ports import Bundle, Listing
from diadem.package.bagit import BAG_INFO, BAGIT
from diadem.package.findings import Findings
from diadem.package.foreign_text import (
    Declaration,
    ManifestLine,
    algorithms,
    decoded,
    parse_fetch_lines,
    parse_fields,
    parse_manifest_lines,
    text_lines,
)
from diadem.package.paths import unsafe

FETCH = "fetch.txt"
PACKAGE_INFO = "package-info.txt"  # the name of bag-info.txt up to 0.95
_LIMITS = {BAGIT: 1 << 12, BAG_INFO: 1 << 20, PACKAGE_INFO: 1 << 20}
#: Bytes of all manifests together above which the rest is not read.
_BUDGET = 128 << 20
#: Digests of one file that are compared: where there are two, the bag is wrong already.
MOST_DIGESTS = 4
_MANIFEST_NAME = re.compile(r"(tag)?manifest-([^/]+)\.txt\Z", re.IGNORECASE)
_OXUM = re.compile(r"([0-9]{1,20})\.([0-9]{1,12})\Z")
_DISTRUST = "Do not trust this bag."


@dataclass(slots=True)
class ForeignManifest:
    """A manifest of one algorithm.

    Attributes
    ----------
    name : str
        Its path in the bag.
    algorithm : str
        Name of the algorithm in hashlib.
    of_tags : bool
        Whether it lists tag files.
    digests : dict of str to tuple of str
        Digests of each path as it is written; more than one only where the manifest contradicts itself.
    """

    name: str
    algorithm: str
    of_tags: bool
    digests: dict[str, tuple[str, ...]] = field(default_factory=dict)


class TagReader:
    """Reads tag files as text until the budget of the bag is used up; what goes wrong is a finding."""

    def __init__(self, bundle: Bundle, findings: Findings) -> None:
        self._bundle = bundle
        self._left = _BUDGET
        self.findings = findings

    def read(self, path: str) -> bytes | None:
        """The bytes of a tag file, or None and a finding."""
        try:
            data = self._bundle.read(path, min(self._left, _LIMITS.get(path, _BUDGET)))
        except (DiademError, OSError) as error:
            message = error.message if isinstance(error, DiademError) else f"cannot be read: {error.strerror or error}"
            self.findings.error("file-unreadable", message, path, next=_DISTRUST)
            return None
        self._left -= len(data)
        return data

    def lines(self, path: str, encoding: str) -> Iterator[str]:
        """The lines of a tag file that are not blank."""
        data = self.read(path)
        return iter(()) if data is None else text_lines(data, encoding, path, self.findings)


def read_info(reader: TagReader, listing: Listing, declaration: Declaration) -> None:
    """Read bag-info and compare what it says of the payload's size."""
    path = next((name for name in (BAG_INFO, PACKAGE_INFO) if name in listing.files), None)
    if path is None:
        return
    lines = reader.lines(path, declaration.encoding)
    fields = parse_fields(lines, path, reader.findings, strict=declaration.strict)
    stated = [value for label, value in fields if label.lower() == "payload-oxum"]
    if len(stated) > 1:
        reader.findings.warning("oxum-repeated", "Payload-Oxum occurs more than once", path)
    sizes = [size for name, size in listing.files.items() if name.startswith("data/")]
    oxum = f"{sum(sizes)}.{len(sizes)}"
    for value in stated:
        if not _OXUM.match(value):
            reader.findings.error("oxum-malformed", f"Payload-Oxum is '{value[:60]}', not <bytes>.<files>", path)
        elif value != oxum:
            message = f"Payload-Oxum is {value}; the bag holds {oxum}"
            reader.findings.error("oxum-mismatch", message, path, next="Look for files that were lost or added.")


def read_manifests(reader: TagReader, listing: Listing, declaration: Declaration) -> list[ForeignManifest]:
    """Read every manifest whose algorithm is known, one for each algorithm: others differ in upper and lower case."""
    known = algorithms()
    manifests: dict[tuple[str, bool], ForeignManifest] = {}
    for name in sorted(listing.files, key=lambda name: (name != name.lower(), name)):
        match = _MANIFEST_NAME.match(name)
        if match is None:
            continue
        algorithm = known.get(match[2].lower().replace("-", "").replace("_", ""))
        if algorithm is None:
            message = f"the algorithm '{match[2][:40]}' is not known here: this manifest is not checked"
            reader.findings.warning("algorithm-unknown", message, name)
            continue
        manifest = ForeignManifest(name, algorithm, match[1] is not None)
        if (first := manifests.setdefault((algorithm, manifest.of_tags), manifest)) is not manifest:
            reader.findings.error("manifest-repeated", f"{first.name} is of the same algorithm", name, next=_DISTRUST)
            continue
        digits = 2 * hashlib.new(algorithm, usedforsecurity=False).digest_size
        lines = reader.lines(name, declaration.encoding)
        for line in parse_manifest_lines(lines, name, digits, reader.findings):
            _enter(manifest, line, reader.findings, strict=declaration.strict)
    return list(manifests.values())


def _enter(manifest: ForeignManifest, line: ManifestLine, findings: Findings, *, strict: bool) -> None:
    """Take a line of a manifest, if its path may be followed."""
    if reason := _refused(line.path, of_payload=not manifest.of_tags):
        findings.error(
            "unsafe-path", f"{manifest.name} lists a path that is refused: {reason}", line.path, next=_DISTRUST
        )
        return
    before = manifest.digests.get(line.path, ())
    if before and line.digest not in before:
        findings.error("listed-twice", f"{manifest.name} lists it twice with different digests", line.path)
        if len(before) >= MOST_DIGESTS:
            return
    elif before:
        report = findings.error if strict else findings.warning
        report("listed-twice", f"{manifest.name} lists it twice", line.path)
        return
    manifest.digests[line.path] = (*before, line.digest)


def _refused(path: str, *, of_payload: bool) -> str | None:
    if of_payload and not path.startswith("data/"):
        return unsafe(path) or "it is not below data/"
    return unsafe(path) or unsafe(decoded(path))


def read_fetch(
    reader: TagReader, listing: Listing, declaration: Declaration, manifests: Iterable[ForeignManifest]
) -> set[str]:
    """Read which files were left to be fetched; they are only named, never fetched."""
    if FETCH not in listing.files:
        return set()
    findings = reader.findings
    findings.warning("fetch-ignored", "the addresses in it are never followed", FETCH)
    listed = {path for manifest in manifests for path in manifest.digests}
    paths = set()
    for path in parse_fetch_lines(reader.lines(FETCH, declaration.encoding), FETCH, findings):
        if reason := _refused(path, of_payload=True):
            findings.error("unsafe-path", f"{FETCH} lists a path that is refused: {reason}", path, next=_DISTRUST)
        elif path not in listed:
            report = findings.error if declaration.strict else findings.warning
            report("fetch-unlisted", "no manifest lists a file that is to be fetched", path)
        paths.add(path)
    return paths
