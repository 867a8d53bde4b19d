"""The text of a bag's tag files, as DIADEM writes them and reads its own: BagIt 1.0 (RFC 8493), one canonical form.

Bags of others, in all their variety, are read by `diadem.package.foreign_text`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from diadem.errors import PackageError

BAGIT = "bagit.txt"
BAG_INFO = "bag-info.txt"
#: Label of the field of `bag-info.txt` that names the package to which this one adds.
CONTINUES = "Diadem-Continues"
OMITTED = "Diadem-Omitted"
#: The declaration of a BagIt 1.0 bag.
BAGIT_TXT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"

_SHA256_LINE = re.compile(r"([0-9a-f]{64})  (.+)\Z", re.DOTALL)
_LABEL = re.compile(r"[^\s:](?:[^:\r\n]*[^\s:])?\Z")
_NEXT = "Fetch the package again, or restore its tag files from another copy."


def manifest_text(entries: Iterable[tuple[str, str]]) -> bytes:
    """Write `manifest-sha256.txt`.

    Parameters
    ----------
    entries : iterable of (sha256, path)
        64 lower-case hex digits and path relative to the bag, in any order.

    Raises
    ------
    PackageError
        For a path that a manifest cannot hold as it is (CR, LF, ``%``).
    """
    lines = []
    for digest, path in sorted(entries, key=lambda entry: entry[1].encode()):
        if "\n" in path or "\r" in path or "%" in path:
            raise PackageError("a path with CR, LF or % cannot be listed", where=path, next="Map the name first.")
        lines.append(f"{digest}  {path}\n")
    return "".join(lines).encode()


def tagmanifest_text(entries: Iterable[tuple[str, str]]) -> bytes:
    """Write `tagmanifest-sha256.txt`; the form is that of a manifest."""
    return manifest_text(entries)


def parse_manifest(data: bytes, where: str) -> list[tuple[str, str]]:
    """Read a manifest in canonical form: writing the result gives the same bytes.

    Parameters
    ----------
    data : bytes
        The whole file.
    where : str
        Its path, for errors.

    Returns
    -------
    list of (sha256, path)
        In the order of the paths' bytes.

    Raises
    ------
    PackageError
        Naming the line, for anything else: upper-case digits, other spaces, wrong order, twice the same path.
    """
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise PackageError(f"is not UTF-8 at byte {error.start}", where=where, next=_NEXT) from error
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


def bag_info_text(fields: Sequence[tuple[str, str]]) -> bytes:
    """Write `bag-info.txt`: one line a field, in the order given, no folding.

    Raises
    ------
    PackageError
        For a label with a colon or white space around it, or a value of several lines.
    """
    for label, value in fields:
        if not _LABEL.match(label):
            raise PackageError(f"'{label}' is not a label", where=BAG_INFO, next="Use letters, digits and dashes.")
        if value != value.strip() or len(value.splitlines()) > 1:
            raise PackageError(f"the value of {label} is not one line", where=BAG_INFO, next="Put it on one line.")
    return "".join(f"{label}: {value}\n" for label, value in fields).encode()


def parse_bag_info(data: bytes) -> list[tuple[str, str]]:
    """Read a `bag-info.txt` in canonical form: writing the result gives the same bytes.

    Raises
    ------
    PackageError
        For anything else.
    """
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise PackageError(f"is not UTF-8 at byte {error.start}", where=BAG_INFO, next=_NEXT) from error
    fields: list[tuple[str, str]] = []
    for line in lines[:-1]:
        label, _, value = line.partition(": ")
        fields.append((label, value))
    if lines[-1] or bag_info_text(fields) != data:
        raise PackageError("is not one 'Label: value' a line", where=BAG_INFO, next=_NEXT)
    return fields
