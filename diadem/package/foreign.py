"""Verification of a bag that is not DIADEM's: all its manifests, in full, by the rules of its own version.

BagIt 0.93 to 1.0, in any permitted encoding and with whatever digests hashlib knows, as untrusted text: every oddity is
a finding, nothing raises, nothing is fetched, and nothing outside the bag is touched. Sources: RFC 8493 (1.0) and
draft-kunze-bagit 00 to 14 (0.93 to 0.97).
"""

from __future__ import annotations

import codecs
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from diadem.errors import DiademError
from diadem.model.names import report_names, twin_key, unsafe
from diadem.model.ports import Bundle, Listener, Listing
from diadem.model.report import Findings, Level, Report
from diadem.package.prove import FileJob, prove
from diadem.package.tags import BAG_INFO, BAGIT


@dataclass(frozen=True, slots=True)
class Rules:
    """What one version of BagIt asks for and another does not."""

    #: ``%0A``, ``%0D`` and ``%25`` in a path stand for the characters that a line cannot hold (RFC 8493, 2.1.3).
    percent: bool
    #: Every manifest lists every file, none of them twice; every tag manifest lists every manifest; `fetch.txt` lists
    #: only what a manifest lists: errors, where a version before 1.0 says less and each is a warning.
    complete: bool
    #: No white space before the colon of a label.
    colon: bool


_BEFORE_1_0 = Rules(percent=False, complete=False, colon=False)
#: The versions whose rules are known.
RULES = {
    "0.93": _BEFORE_1_0,
    "0.94": _BEFORE_1_0,
    "0.95": _BEFORE_1_0,
    "0.96": _BEFORE_1_0,
    "0.97": _BEFORE_1_0,
    "1.0": Rules(percent=True, complete=True, colon=True),
}
FETCH = "fetch.txt"
PACKAGE_INFO = "package-info.txt"  # the name of bag-info.txt up to 0.95
_LIMITS = {BAGIT: 1 << 12, BAG_INFO: 1 << 20, PACKAGE_INFO: 1 << 20}
#: Bytes of all manifests together above which the rest is not read.
_BUDGET = 128 << 20
#: Characters in a line of a tag file, and lines in a manifest, above which it is taken for hostile.
MAX_LINE, MAX_LINES = 16_384, 1_000_000
_MAX_BAD_LINES = 100
#: Digests of one file that are compared: where there are two, the bag is wrong already.
_MOST_DIGESTS = 4
_PIECE = 1 << 20

# Codecs that map bytes to characters one way only; others (idna, punycode, unicode_escape) have no place in a tag file.
_ENCODINGS = re.compile(
    r"(?:utf-(?:8|16|32)(?:-[bl]e)?|ascii|iso8859-\d{1,2}|cp\d{3,4}|koi8-[ru]|shift_jis|euc_(?:jp|kr)|gb\w+|big5)\Z"
)
_DECLARATION = re.compile(r"(BagIt-Version|Tag-File-Character-Encoding)(\s*):(\s*)(.*?)(\s*)\Z")
_MANIFEST_NAME = re.compile(r"(tag)?manifest-([^/]+)\.txt\Z", re.IGNORECASE)
_MANIFEST_LINE = re.compile(r"([0-9A-Fa-f]+)([ \t]+)(\*?)(\S.*)\Z", re.DOTALL)
_FETCH_LINE = re.compile(r"(\S+)[ \t]+(-|[0-9]+)[ \t]+(\S.*)\Z", re.DOTALL)
_OXUM = re.compile(r"([0-9]{1,20})\.([0-9]{1,12})\Z")
_LINE_END = re.compile(r"\r\n|\r|\n")
_ESCAPES = re.compile(r"%(0[AaDd]|25)")
_ASK = "Ask the sender for a whole bag."
_DISTRUST = "Do not trust this bag."
_ELSEWHERE = "Ask the sender for a whole bag; DIADEM fetches nothing that a bag names."


def verify_foreign(bundle: Bundle, listing: Listing, *, workers: int | None, listener: Listener) -> Report:
    """Verify a bag in which `listing` lies; the report is at level `FULL`. `workers` as in `prove`."""
    findings = Findings()
    for path, kind in listing.irregular.items():
        message = "it cannot be read" if kind == "unreadable" else f"a {kind} in a bag is not followed"
        findings.error("irregular-file", message, path, next=_ASK)
    bag = _Bag(bundle, listing, findings)
    bag.read_declaration()
    bag.read_info()
    manifests = bag.read_manifests()
    payload = [manifest for manifest in manifests if not manifest.of_tags]
    tags = [manifest for manifest in manifests if manifest.of_tags]
    fetched = bag.read_fetch(payload)
    report_names(findings, {path for manifest in payload for path in manifest.digests})
    for manifest in (*payload, *tags):
        bag.locate(manifest, fetched)
    bag.require_whole_payload(payload)
    bag.require_whole_tags(tags, payload)
    proven_tags = prove(bundle, bag.jobs(tags), findings=findings, listener=listener, workers=workers)
    proven = prove(bundle, bag.jobs(payload), findings=findings, listener=listener, workers=workers)
    checked = {"files": proven.files, "bytes": proven.bytes, "leaves": 0, "tag_files": proven_tags.files}
    return Report(bundle.url, Level.FULL, findings.sorted(), None, checked)


@dataclass(slots=True)
class _Manifest:
    """A manifest of one algorithm, of the payload or of tag files.

    `digests` are those of each path as it is written: more than one only where the manifest contradicts itself;
    `files` the same of each file that is there.
    """

    name: str
    algorithm: str
    of_tags: bool
    digests: dict[str, tuple[str, ...]] = field(default_factory=dict)
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)


class _Bag:
    """A bag as it is read: within bounds, each path judged before it is used."""

    def __init__(self, bundle: Bundle, listing: Listing, findings: Findings) -> None:
        self._bundle = bundle
        self._there = listing
        self._findings = findings
        self._left = _BUDGET
        self._encoding = "utf-8"  # where the declaration cannot be used, the rules of 1.0 in UTF-8 hold
        self._rules = RULES["1.0"]

    def _breach(self, code: str, message: str, path: str) -> None:
        """A rule that holds since 1.0 is broken."""
        (self._findings.error if self._rules.complete else self._findings.warning)(code, message, path)

    # -- bagit.txt and bag-info.txt --------------------------------------------------------------------------------

    def read_declaration(self) -> None:
        """The version, whose rules hold, and the encoding of the other tag files."""
        findings = self._findings
        if BAGIT not in self._there.files:
            findings.error("bagit-txt-missing", "there is no bagit.txt: this is not a bag", BAGIT, next=_ASK)
            return
        data = self._read(BAGIT)
        if data is None:
            return
        if data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            findings.error("bagit-txt-malformed", "it begins with a byte order mark", BAGIT)
            return
        try:
            lines = [line for line in _LINE_END.split(data.decode("utf-8")) if line.strip()]
        except UnicodeDecodeError:
            findings.error("bagit-txt-malformed", "it is not UTF-8", BAGIT)
            return
        matches = [_DECLARATION.match(line) for line in lines]
        values = {match[1]: match[4] for match in matches if match}
        if [match and match[1] for match in matches] != ["BagIt-Version", "Tag-File-Character-Encoding"]:
            message = "it does not consist of BagIt-Version and Tag-File-Character-Encoding, in this order"
            findings.error("bagit-txt-malformed", message, BAGIT)
        self._take_version(values.get("BagIt-Version"))
        if self._rules.colon and any(match[2] for match in matches if match):
            findings.error("bagit-txt-malformed", "BagIt 1.0 allows no white space before a colon", BAGIT)
        elif any(match[2] or match[3] != " " or match[5] for match in matches if match):
            findings.warning("bagit-txt-spaces", "there is white space that BagIt 1.0 does not allow", BAGIT)
        self._take_encoding(values.get("Tag-File-Character-Encoding"))

    def _take_version(self, text: str | None) -> None:
        if text in RULES:
            self._rules = RULES[str(text)]
        elif text is not None:
            message = f"'{text[:40]}' is not a version of BagIt that is known here ({', '.join(RULES)})"
            advice = "Update DIADEM, or ask the sender for BagIt 1.0."
            self._findings.error("bagit-version", message, BAGIT, next=advice)

    def _take_encoding(self, text: str | None) -> None:
        if text is None:
            return
        try:
            name = codecs.lookup(text.encode("ascii").decode()).name
        except (LookupError, UnicodeError, ValueError):
            name = ""
        if _ENCODINGS.match(name):
            self._encoding = name
        else:
            message = f"'{text[:40]}' is not a character encoding for tag files"
            self._findings.error("bagit-encoding", message, BAGIT)

    def read_info(self) -> None:
        """Compare what bag-info says of the payload's size."""
        findings = self._findings
        path = next((name for name in (BAG_INFO, PACKAGE_INFO) if name in self._there.files), None)
        if path is None:
            return
        stated = [value for label, value in self._fields(path) if label.lower() == "payload-oxum"]
        if len(stated) > 1:
            findings.warning("oxum-repeated", "Payload-Oxum occurs more than once", path)
        sizes = [size for name, size in self._there.files.items() if name.startswith("data/")]
        oxum = f"{sum(sizes)}.{len(sizes)}"
        for value in stated:
            if not _OXUM.match(value):
                findings.error("oxum-malformed", f"Payload-Oxum is '{value[:60]}', not <bytes>.<files>", path)
            elif value != oxum:
                message = f"Payload-Oxum is {value}; the bag holds {oxum}"
                findings.error("oxum-mismatch", message, path, next="Look for files that were lost or added.")

    def _fields(self, path: str) -> list[tuple[str, str]]:
        """Labels and values, continued lines joined by one space."""
        fields: list[tuple[str, list[str]]] = []
        for line in self._lines(path):
            label, colon, value = line.partition(":")
            if line[0] in " \t" and fields:
                fields[-1][1].append(line.strip())
            elif colon and label.strip():
                fields.append((label.strip(), [value.strip()]))
                if self._rules.colon and label != label.strip():
                    message = f"there is white space before the colon of {label.strip()}"
                    self._findings.warning("bag-info-spaces", message, path)
            else:
                self._findings.warning("bag-info-malformed", f"a line is not 'Label: value': {line[:60]!r}", path)
        return [(label, " ".join(values)) for label, values in fields]

    # -- manifests and fetch.txt -----------------------------------------------------------------------------------

    def read_manifests(self) -> list[_Manifest]:
        """Every manifest whose algorithm is known, one for each algorithm: others differ in upper and lower case."""
        known = _algorithms()
        manifests: dict[tuple[str, bool], _Manifest] = {}
        for name in sorted(self._there.files, key=lambda name: (name != name.lower(), name)):
            match = _MANIFEST_NAME.match(name)
            if match is None:
                continue
            algorithm = known.get(match[2].lower().replace("-", "").replace("_", ""))
            if algorithm is None:
                message = f"the algorithm '{match[2][:40]}' is not known here: this manifest is not checked"
                self._findings.warning("algorithm-unknown", message, name)
                continue
            manifest = _Manifest(name, algorithm, match[1] is not None)
            if (first := manifests.setdefault((algorithm, manifest.of_tags), manifest)) is not manifest:
                message = f"{first.name} is of the same algorithm"
                self._findings.error("manifest-repeated", message, name, next=_DISTRUST)
                continue
            digits = 2 * hashlib.new(algorithm, usedforsecurity=False).digest_size
            for digest, path in self._manifest_lines(name, digits):
                self._enter(manifest, digest, path)
        return list(manifests.values())

    def _manifest_lines(self, name: str, digits: int) -> Iterator[tuple[str, str]]:
        """Digest in lower case and path as it is written, without ``*`` and ``./``."""
        bad = 0
        for number, line in enumerate(self._lines(name), 1):
            match = _MANIFEST_LINE.match(line)
            if match is None or len(match[1]) != digits:
                bad += 1
                if bad <= _MAX_BAD_LINES:
                    message = f"line {number} is not '<{digits} hex digits> <path>'"
                    self._findings.error("manifest-malformed", message, name)
                continue
            if match[3]:
                message = f"line {number} has a * before its path, as md5sum writes"
                self._findings.warning("manifest-star", message, name)
            yield match[1].lower(), self._without_dot(match[4], number, name)

    def _without_dot(self, listed: str, number: int, path: str) -> str:
        if not listed.startswith("./"):
            return listed
        self._findings.warning("manifest-dot", f"line {number} has a path that begins with ./", path)
        return listed[2:]

    def _enter(self, manifest: _Manifest, digest: str, path: str) -> None:
        """Take a line of a manifest, if its path may be followed."""
        if reason := _refused(path, of_payload=not manifest.of_tags):
            message = f"{manifest.name} lists a path that is refused: {reason}"
            self._findings.error("unsafe-path", message, path, next=_DISTRUST)
            return
        before = manifest.digests.get(path, ())
        if digest in before:
            self._breach("listed-twice", f"{manifest.name} lists it twice", path)
            return
        if before:
            message = f"{manifest.name} lists it twice with different digests"
            self._findings.error("listed-twice", message, path)
        if len(before) < _MOST_DIGESTS:
            manifest.digests[path] = (*before, digest)

    def read_fetch(self, payload: Iterable[_Manifest]) -> set[str]:
        """Which files were left to be fetched; they are only named, never fetched."""
        if FETCH not in self._there.files:
            return set()
        self._findings.warning("fetch-ignored", "the addresses in it are never followed", FETCH)
        listed = {path for manifest in payload for path in manifest.digests}
        paths = set()
        for number, line in enumerate(self._lines(FETCH), 1):
            match = _FETCH_LINE.match(line)
            if match is None:
                message = f"line {number} is not '<address> <bytes or -> <path>'"
                self._findings.error("fetch-malformed", message, FETCH)
                continue
            path = self._without_dot(match[3], number, FETCH)
            if reason := _refused(path, of_payload=True):
                message = f"{FETCH} lists a path that is refused: {reason}"
                self._findings.error("unsafe-path", message, path, next=_DISTRUST)
            elif path not in listed:
                self._breach("fetch-unlisted", "no manifest lists a file that is to be fetched", path)
            paths.add(path)
        return paths

    # -- text ------------------------------------------------------------------------------------------------------

    def _read(self, path: str) -> bytes | None:
        """The bytes of a tag file, until the budget of the bag is used up; else None and a finding."""
        try:
            data = self._bundle.read(path, min(self._left, _LIMITS.get(path, _BUDGET)))
        except (DiademError, OSError) as error:
            message = error.message if isinstance(error, DiademError) else f"cannot be read: {error.strerror or error}"
            self._findings.error("file-unreadable", message, path, next=_DISTRUST)
            return None
        self._left -= len(data)
        return data

    def _lines(self, path: str) -> Iterator[str]:
        """The lines of a tag file that are not blank, piece by piece.

        Too many lines, one too long, or bytes that cannot be decoded end it with a finding.
        """
        data = self._read(path)
        for count, line in enumerate(() if data is None else self._pieces(data, path)):
            if count > MAX_LINES or len(line) > MAX_LINE:
                message = f"it has over {MAX_LINES} lines, or one over {MAX_LINE} characters"
                self._findings.error("tag-file-too-large", message, path, next=_DISTRUST)
                return
            if line.strip():
                yield line

    def _pieces(self, data: bytes, path: str) -> Iterator[str]:
        """All lines, cut from pieces of the text; a line that never ends comes out as soon as it is too long."""
        decoder = codecs.getincrementaldecoder(self._encoding)()
        rest = ""
        for start in range(0, len(data), _PIECE):
            try:
                text = decoder.decode(data[start : start + _PIECE], final=start + _PIECE >= len(data))
            except UnicodeError:
                message = f"it is not {self._encoding}, as {BAGIT} says it is"
                self._findings.error("tag-file-malformed", message, path)
                return
            if start == 0 and text.startswith("\ufeff"):
                self._findings.warning("tag-file-mark", "it begins with a byte order mark", path)
                text = text[1:]
            *lines, rest = _LINE_END.split(rest + text)
            yield from lines
            if len(rest) > MAX_LINE:
                break
        yield rest

    # -- what is there ---------------------------------------------------------------------------------------------

    def locate(self, manifest: _Manifest, fetched: set[str]) -> None:
        """Match every line of a manifest with a file: exactly, or as its writer's system understood the name."""
        files = self._there.files
        composed: dict[str, str] | None = None
        lost = []
        for path, digests in manifest.digests.items():
            written = (_decoded(path), path) if self._rules.percent else (path, _decoded(path))
            there = next((name for name in written if name in files), None)
            if there is not None and there != written[0]:
                message = "its name is not written as this version of BagIt requires"
                self._findings.warning("percent-encoding", message, path)
            if there is None and not path.isascii():
                if composed is None:
                    composed = {unicodedata.normalize("NFC", name): name for name in files if not name.isascii()}
                there = composed.get(unicodedata.normalize("NFC", path))
                if there is not None:
                    message = "the file is there, but its accents are composed differently than listed"
                    self._findings.warning("normalization", message, path)
            if there is None:
                lost.append(path)
            else:
                known = manifest.files.get(there, ())
                manifest.files[there] = tuple(dict.fromkeys((*known, *digests)))[:_MOST_DIGESTS]
        # A line whose name differs only in case from a listed file with the same digest is a warning: on the system
        # that made the bag both are one file, and its content is here. Everything else is an error.
        by_key = {twin_key(path): path for path in manifest.files} if lost else {}
        for path in lost:
            twin = by_key.get(twin_key(path))
            if twin is not None and manifest.files[twin] == manifest.digests[path]:
                message = f"only {twin} is there, with the content listed for both"
                self._findings.warning("name-twins", message, path)
            elif path in fetched:
                self._findings.error("not-fetched", "the bag leaves this file to be fetched", path, next=_ELSEWHERE)
            elif path not in self._there.irregular:
                advice = "Restore it from another copy."
                self._findings.error("file-missing", "the file is not there", path, next=advice)

    def require_whole_payload(self, payload: list[_Manifest]) -> None:
        """Every payload file in a manifest; since 1.0 in every manifest."""
        if not payload:
            message = "there is no payload manifest that can be checked"
            self._findings.error("manifest-missing", message, next=_ASK)
            return
        listed = {path for manifest in payload for path in manifest.files}
        for path in self._there.files:
            if path.startswith("data/") and path not in listed:
                self._findings.error("file-unexpected", "no manifest lists this file", path, next=_ASK)
        for manifest in payload:
            for path in sorted(listed - manifest.files.keys()):
                message = f"{manifest.name} does not list it, another manifest does"
                self._breach("manifest-incomplete", message, path)

    def require_whole_tags(self, tags: list[_Manifest], payload: list[_Manifest]) -> None:
        """Every payload manifest in every tag manifest (a rule since 1.0); other tag files are only named."""
        if not tags:
            message = "no tag manifest: the tag files themselves are not proven"
            self._findings.warning("tagmanifest-missing", message)
            return
        for of_tags in tags:
            for manifest in payload:
                if manifest.name not in of_tags.files:
                    message = f"{of_tags.name} does not list the manifest"
                    self._breach("tag-file-unlisted", message, manifest.name)
        known = {path for manifest in tags for path in manifest.files}
        known |= {manifest.name for manifest in (*payload, *tags)}
        for path in self._there.files:
            if not path.startswith(("data/", "tagmanifest-")) and path not in known:
                message = "no tag manifest lists this file: it is not proven"
                self._findings.warning("tag-file-unlisted", message, path)

    def jobs(self, manifests: list[_Manifest]) -> list[FileJob]:
        """One job a file, with all its digests."""
        digests: dict[str, set[tuple[str, str]]] = {}
        for manifest in manifests:
            for path, values in manifest.files.items():
                digests.setdefault(path, set()).update((manifest.algorithm, value) for value in values)
        sizes = self._there.files
        return [
            FileJob(path, sizes[path], sizes[path], None, tuple(sorted(values)))
            for path, values in sorted(digests.items())
        ]


def _refused(path: str, *, of_payload: bool) -> str | None:
    if of_payload and not path.startswith("data/"):
        return unsafe(path) or "it is not below data/"
    return unsafe(path) or unsafe(_decoded(path))


def _decoded(path: str) -> str:
    """The path with ``%0A``, ``%0D`` and ``%25`` decoded."""
    return _ESCAPES.sub(lambda match: chr(int(match[1], 16)), path)


def _algorithms() -> dict[str, str]:
    """Algorithm as it stands in a manifest's name (without dashes) to its name in hashlib, fixed lengths only."""
    known = {}
    for name in sorted(hashlib.algorithms_available, key=lambda name: name.replace("_", "-")):
        try:
            if hashlib.new(name, usedforsecurity=False).digest_size:
                known[name.lower().replace("_", "").replace("-", "").replace("/", "")] = name
        except (ValueError, TypeError):  # listed, but switched off here
            continue
    return known | {"blake2b512": "blake2b", "blake2s256": "blake2s"}
