"""Reading the tag files of bags made by others: BagIt 0.93 to 1.0, in any permitted encoding, as untrusted text.

Sources: RFC 8493 (1.0) and draft-kunze-bagit 00 to 14 (0.93 to 0.97). Every oddity is a finding; nothing raises.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from diadem.package.bagit import BAGIT
from diadem.package.findings import Findings

#: Versions whose rules are known.
VERSIONS = ("0.93", "0.94", "0.95", "0.96", "0.97", "1.0")
#: Characters in a line of a tag file above which it is taken for hostile.
MAX_LINE = 16_384
#: Lines in a manifest above which it is taken for hostile.
MAX_LINES = 1_000_000
_MAX_BAD_LINES = 100
_PIECE = 1 << 20

# Codecs that map bytes to characters one way only; others (idna, punycode, unicode_escape) have no place in a tag file.
_ENCODINGS = re.compile(
    r"(?:utf-(?:8|16|32)(?:-[bl]e)?|ascii|iso8859-\d{1,2}|cp\d{3,4}|koi8-[ru]|shift_jis|euc_(?:jp|kr)|gb\w+|big5)\Z"
)
_DECLARATION = re.compile(r"(BagIt-Version|Tag-File-Character-Encoding)(\s*):(\s*)(.*?)(\s*)\Z")
_MANIFEST_LINE = re.compile(r"([0-9A-Fa-f]+)([ \t]+)(\*?)(\S.*)\Z", re.DOTALL)
_FETCH_LINE = re.compile(r"(\S+)[ \t]+(-|[0-9]+)[ \t]+(\S.*)\Z", re.DOTALL)
_LINE_END = re.compile(r"\r\n|\r|\n")
_ESCAPES = re.compile(r"%(0[AaDd]|25)")


@dataclass(frozen=True, slots=True)
class Declaration:
    """What `bagit.txt` says: the version whose rules hold, and the codec of the other tag files."""

    version: str
    encoding: str

    @property
    def strict(self) -> bool:
        """Whether the rules of RFC 8493 hold."""
        return self.version == "1.0"


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """A line of a manifest: digest in lower case, path as it is written, without ``*`` and ``./``."""

    digest: str
    path: str


def parse_declaration(data: bytes, findings: Findings) -> Declaration:
    """Read `bagit.txt`; where it cannot be used, the rules of 1.0 in UTF-8 hold for the rest."""
    usable = Declaration("1.0", "utf-8")
    if data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        findings.error("bagit-txt-malformed", "it begins with a byte order mark", BAGIT)
        return usable
    try:
        lines = _LINE_END.split(data.decode("utf-8"))
    except UnicodeDecodeError:
        findings.error("bagit-txt-malformed", "it is not UTF-8", BAGIT)
        return usable
    fields, spaced = _declared(lines)
    if [label for label, _ in fields] != ["BagIt-Version", "Tag-File-Character-Encoding"]:
        message = "it does not consist of BagIt-Version and Tag-File-Character-Encoding, in this order"
        findings.error("bagit-txt-malformed", message, BAGIT)
    values = dict(fields)
    version = _version(values.get("BagIt-Version"), findings)
    if spaced:
        _report_spaces(findings, strict=version == "1.0", before_colon="before" in spaced)
    return Declaration(version, _encoding(values.get("Tag-File-Character-Encoding"), findings))


def _declared(lines: list[str]) -> tuple[list[tuple[str, str]], set[str]]:
    """Fields of the declaration, other lines under the label "", and where white space is that 1.0 does not allow."""
    fields: list[tuple[str, str]] = []
    spaced: set[str] = set()
    for line in lines:
        match = _DECLARATION.match(line)
        if match is None:
            if line.strip():
                fields.append(("", line))
            continue
        label, before, after, value, end = match.groups()
        fields.append((label, value))
        spaced |= {"before"} if before else set()
        spaced |= {"around"} if after != " " or end else set()
    return fields, spaced


def _report_spaces(findings: Findings, *, strict: bool, before_colon: bool) -> None:
    if strict and before_colon:
        findings.error("bagit-txt-malformed", "BagIt 1.0 allows no white space before a colon", BAGIT)
    else:
        findings.warning("bagit-txt-spaces", "there is white space that BagIt 1.0 does not allow", BAGIT)


def _version(text: str | None, findings: Findings) -> str:
    if text in VERSIONS:
        return str(text)
    if text is not None:
        message = f"'{text[:40]}' is not a version of BagIt that is known here ({', '.join(VERSIONS)})"
        findings.error("bagit-version", message, BAGIT, next="Update DIADEM, or ask the sender for BagIt 1.0.")
    return "1.0"


def _encoding(text: str | None, findings: Findings) -> str:
    if text is None:
        return "utf-8"
    try:
        name = codecs.lookup(text.encode("ascii").decode()).name
    except (LookupError, UnicodeError, ValueError):
        name = ""
    if _ENCODINGS.match(name):
        return name
    findings.error("bagit-encoding", f"'{text[:40]}' is not a character encoding for tag files", BAGIT)
    return "utf-8"


def text_lines(data: bytes, encoding: str, path: str, findings: Findings) -> Iterator[str]:
    """Decode a tag file and yield its lines that are not blank, piece by piece.

    Too many lines, one too long, or bytes that cannot be decoded end it with a finding.
    """
    for count, line in enumerate(_pieces(data, encoding, path, findings)):
        if count > MAX_LINES or len(line) > MAX_LINE:
            message = f"it has over {MAX_LINES} lines, or one over {MAX_LINE} characters"
            findings.error("tag-file-too-large", message, path, next="Do not trust this bag.")
            return
        if line.strip():
            yield line


def _pieces(data: bytes, encoding: str, path: str, findings: Findings) -> Iterator[str]:
    """All lines, cut from pieces of the text; a line that never ends comes out as soon as it is too long."""
    decoder = codecs.getincrementaldecoder(encoding)()
    rest = ""
    for start in range(0, len(data), _PIECE):
        try:
            text = decoder.decode(data[start : start + _PIECE], final=start + _PIECE >= len(data))
        except UnicodeError:
            findings.error("tag-file-malformed", f"it is not {encoding}, as {BAGIT} says it is", path)
            return
        if start == 0 and text.startswith("\ufeff"):
            findings.warning("tag-file-mark", "it begins with a byte order mark", path)
            text = text[1:]
        *lines, rest = _LINE_END.split(rest + text)
        yield from lines
        if len(rest) > MAX_LINE:
            break
    yield rest


def parse_fields(lines: Iterable[str], path: str, findings: Findings, *, strict: bool) -> list[tuple[str, str]]:
    """Read `bag-info.txt`: labels and values, continued lines joined by one space."""
    fields: list[tuple[str, list[str]]] = []
    for line in lines:
        label, colon, value = line.partition(":")
        if line[0] in " \t" and fields:
            fields[-1][1].append(line.strip())
        elif colon and label.strip():
            fields.append((label.strip(), [value.strip()]))
            if strict and label != label.strip():
                findings.warning("bag-info-spaces", f"there is white space before the colon of {label.strip()}", path)
        else:
            findings.warning("bag-info-malformed", f"a line is not 'Label: value': {line[:60]!r}", path)
    return [(label, " ".join(values)) for label, values in fields]


def parse_manifest_lines(lines: Iterable[str], path: str, digits: int, findings: Findings) -> Iterator[ManifestLine]:
    """Read the lines of a manifest of an algorithm whose digests have `digits` hex digits."""
    bad = 0
    for number, line in enumerate(lines, 1):
        match = _MANIFEST_LINE.match(line)
        if match is None or len(match[1]) != digits:
            bad += 1
            if bad <= _MAX_BAD_LINES:
                findings.error("manifest-malformed", f"line {number} is not '<{digits} hex digits> <path>'", path)
            continue
        if match[3]:
            findings.warning("manifest-star", f"line {number} has a * before its path, as md5sum writes", path)
        yield ManifestLine(match[1].lower(), _without_dot(match[4], number, path, findings))


def _without_dot(listed: str, number: int, path: str, findings: Findings) -> str:
    if not listed.startswith("./"):
        return listed
    findings.warning("manifest-dot", f"line {number} has a path that begins with ./", path)
    return listed[2:]


def parse_fetch_lines(lines: Iterable[str], path: str, findings: Findings) -> Iterator[str]:
    """Read the paths that `fetch.txt` names; its addresses are never followed."""
    for number, line in enumerate(lines, 1):
        match = _FETCH_LINE.match(line)
        if match is None:
            findings.error("fetch-malformed", f"line {number} is not '<address> <bytes or -> <path>'", path)
        else:
            yield _without_dot(match[3], number, path, findings)


def decoded(path: str) -> str:
    """The path with ``%0A``, ``%0D`` and ``%25`` decoded, as RFC 8493 section 2.1.3 has it."""
    return _ESCAPES.sub(lambda match: chr(int(match[1], 16)), path)


def algorithms() -> dict[str, str]:
    """Algorithm as it stands in a manifest's name (without dashes) to its name in hashlib, fixed lengths only."""
    known = {}
    for name in sorted(hashlib.algorithms_available, key=lambda name: name.replace("_", "-")):
        try:
            if hashlib.new(name, usedforsecurity=False).digest_size:
                known[name.lower().replace("_", "").replace("-", "").replace("/", "")] = name
        except (ValueError, TypeError):  # listed, but switched off here
            continue
    return known | {"blake2b512": "blake2b", "blake2s256": "blake2s"}
