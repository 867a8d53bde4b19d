"""`diadem/index.tsv`: size, leaves, time and original name of every file of the manifest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote_from_bytes, unquote_to_bytes

from diadem.errors import PackageError
from diadem.model.manifest import INDEX_PATH, FileEntry, Manifest, leaf_count

_HEAD = re.compile(r"#diadem-index/1\tleaf=([1-9][0-9]{3,6})\tblake3\Z")
# One line in canonical form: numbers without leading zeros, nine decimals, names escaped only where they must be.
_ROW = re.compile(
    r"([^\t]+)\t(0|[1-9][0-9]{0,18})\t(0|[1-9][0-9]{0,18})\t(-?)(0|[1-9][0-9]{0,11})\.([0-9]{9})"
    r"\t((?:[A-Za-z0-9_.~/-]|%[0-9A-F]{2})*)\Z"
)
#: Times beyond twelve digits of seconds are not written.
MAX_TIME_NS = (10**12 - 1) * 10**9
_NEXT = "Fetch the package again, or restore its tag files from another copy."


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One line of the index: what the manifest does not say about a file."""

    path: str
    size: int
    first_leaf: int
    mtime_ns: int
    original: bytes | None


@dataclass(frozen=True, slots=True)
class Index:
    """All lines of the index, in their order, and the size of a leaf in bytes."""

    rows: tuple[IndexRow, ...]
    leaf_size: int


def index_text(manifest: Manifest) -> bytes:
    """Write the index of a manifest.

    Raises
    ------
    PackageError
        For a path that a line of text cannot hold.
    """
    lines = [f"#diadem-index/1\tleaf={manifest.leaf_size}\tblake3\n"]
    lines += [
        _line(entry.path, entry.size, entry.first_leaf, entry.mtime_ns, entry.original) for entry in manifest.entries
    ]
    return "".join(lines).encode()


def _line(path: str, size: int, first_leaf: int, mtime_ns: int, original: bytes | None) -> str:
    if "\t" in path or "\n" in path:
        raise PackageError("a path with a tab or line feed cannot be listed", where=path, next="Map the name first.")
    name = "" if original is None else quote_from_bytes(original, safe="/")
    return f"{path}\t{size}\t{first_leaf}\t{_time_text(mtime_ns)}\t{name}\n"


def _time_text(mtime_ns: int) -> str:
    """Seconds since 1970 UTC with nine decimals."""
    seconds, fraction = divmod(abs(mtime_ns), 10**9)
    return f"{'-' if mtime_ns < 0 else ''}{seconds}.{fraction:09d}"


def parse_index(data: bytes) -> Index:
    """Read an index, strictly: what is returned would be written as the same bytes.

    Raises
    ------
    PackageError
        Naming the line, where anything is malformed or not in canonical form.
    """
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise _malformed(f"is not UTF-8 at byte {error.start}") from error
    head = _HEAD.match(lines[0])
    if head is None or lines[-1] != "":
        raise _malformed("does not begin with '#diadem-index/1', or its last line has no end")
    leaf_size = int(head.group(1))
    if leaf_size & (leaf_size - 1) or not 1 << 10 <= leaf_size <= 1 << 22:
        raise _malformed(f"has a leaf size of {leaf_size}, which is not a power of two from 1 KiB to 4 MiB")
    return Index(tuple(_row(number, line) for number, line in enumerate(lines[1:-1], 2)), leaf_size)


def _row(number: int, line: str) -> IndexRow:
    match = _ROW.match(line)
    if match is None:
        raise _malformed(f"line {number} is not path, size, first leaf, time and original name in canonical form")
    path, size, first_leaf, sign, seconds, fraction, name = match.groups()
    mtime_ns = int(seconds) * 10**9 + int(fraction)
    original = unquote_to_bytes(name) if name else None
    if (sign and not mtime_ns) or (original is not None and quote_from_bytes(original, safe="/") != name):
        raise _malformed(f"line {number} has a time or name that is not in canonical form")
    return IndexRow(path, int(size), int(first_leaf), -mtime_ns if sign else mtime_ns, original)


def _malformed(what: str) -> PackageError:
    return PackageError(f"the index {what}", where=INDEX_PATH, next=_NEXT)


def join(digests: list[tuple[str, str]], index: Index) -> Manifest:
    """Join manifest lines and index to the manifest that the rest of DIADEM uses.

    Parameters
    ----------
    digests : list of (sha256, path)
        Lines of `manifest-sha256.txt`, in their order.
    index : Index
        The parsed index.

    Raises
    ------
    PackageError
        Where paths or their order differ, or leaves are not numbered one after the other.
    """
    if [path for _, path in digests] != [row.path for row in index.rows]:
        raise _malformed("does not list the same files as the manifest, in the same order")
    entries, expected = [], 0
    for (sha256, path), row in zip(digests, index.rows, strict=True):
        if row.first_leaf != expected:
            raise _malformed(f"gives {path} the first leaf {row.first_leaf}, not {expected}")
        expected += leaf_count(row.size, index.leaf_size)
        entries.append(FileEntry(path, row.size, sha256, row.mtime_ns, row.original, row.first_leaf))
    return Manifest(tuple(entries), index.leaf_size)
