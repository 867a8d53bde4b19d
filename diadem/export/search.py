"""Finding in a file's bytes what was taken out elsewhere: as text in UTF-8, UTF-16 and Latin-1, whatever the case."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from diadem.export.terms import PLACE, Term

#: Letters below which a text counts only where no letter or digit stands beside it: in a gigabyte of counts any four
#: bytes occur by chance.
_BOUNDED: Final = 6
_WORD: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789")
#: Bytes of each encoding that stand for one character.
_ENCODINGS: Final = (("UTF-8", "utf-8", 1), ("UTF-16", "utf-16-le", 2), ("Latin-1", "latin-1", 1))


@dataclass(frozen=True, slots=True)
class Mention:
    """A term in a file: ``UTF-8``, ``UTF-16`` or ``Latin-1``, and the byte at which it first begins."""

    text: str
    encoding: str
    at: int


@dataclass(frozen=True, slots=True)
class _Needle:
    term: str
    encoding: str
    width: int
    data: bytes
    bounded: bool


class Search:
    """What is looked for, those of the terms that are sought; one for all files."""

    def __init__(self, terms: Iterable[Term]) -> None:
        self.needles = tuple(needle for term in terms if term.sought for needle in _needles(term))
        #: Bytes of the end of a piece that are looked at again with the next one.
        self.overlap = max((len(needle.data) for needle in self.needles), default=0) + 2

    def file(self) -> FileSearch:
        """A search of one file."""
        return FileSearch(self)


class FileSearch:
    """A file as it passes by, piece by piece from its beginning to its end."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._found: dict[str, Mention] = {}
        self._tail = b""
        self._start = 0

    def feed(self, piece: bytes) -> None:
        """The next piece."""
        self._look(self._tail + piece.lower(), last=False)

    def finish(self) -> list[Mention]:
        """What is in the file, in the order of its bytes: the first place of each term."""
        self._look(self._tail, last=True)
        return sorted(self._found.values(), key=lambda found: found.at)

    def _look(self, data: bytes, *, last: bool) -> None:
        for needle in self._search.needles:
            if needle.term not in self._found:
                at = _find(data, needle, last=last)
                if at >= 0:
                    self._found[needle.term] = Mention(needle.term, needle.encoding, self._start + at)
        kept = min(len(data), self._search.overlap)
        self._start += len(data) - kept
        self._tail = data[len(data) - kept :]


def _find(data: bytes, needle: _Needle, *, last: bool) -> int:
    """The first place of a needle, or -1. What ends where the piece ends waits for what comes after it."""
    at = data.find(needle.data)
    while at >= 0 and needle.bounded:
        end = at + len(needle.data)
        if end + needle.width > len(data) and not last:
            return -1
        if not (_is_word(data, at - needle.width, needle.width) or _is_word(data, end, needle.width)):
            return at
        at = data.find(needle.data, at + 1)
    return at


def _is_word(data: bytes, at: int, width: int) -> bool:
    """Whether a letter or digit stands there."""
    if not 0 <= at <= len(data) - width:
        return False
    return data[at] in _WORD and (width == 1 or data[at + 1] == 0)


def _needles(term: Term) -> list[_Needle]:
    texts = {form for text in _spellings(term) for form in (text, text.lower(), text.upper(), text.title())}
    needles: dict[bytes, _Needle] = {}
    for text in sorted(texts):
        for name, codec, width in _ENCODINGS:
            try:
                data = text.encode(codec).lower()
            except UnicodeEncodeError:
                continue
            needles.setdefault(data, _Needle(term.text, name, width, data, len(text) < _BOUNDED))
    return list(needles.values())


def _spellings(term: Term) -> set[str]:
    """The text, and as it stands in JSON and in addresses of files where it is a path."""
    if term.kind != PLACE:
        return {term.text}
    return {term.text, term.text.replace("\\", "\\\\"), term.text.replace("\\", "/")}


# -- files in which a text cannot be seen ------------------------------------------------------------------------------

#: Bytes of a file's beginning that tell.
HEAD_SIZE: Final = 16
_WHOLE, _PARTS = "it is compressed", "parts of it may be compressed"
#: First bytes, name, and how much of the file is compressed.
_KINDS: Final = (
    (b"PK\x03\x04", "ZIP", _PARTS),
    (b"PK\x05\x06", "ZIP", _PARTS),
    (b"\x1f\x8b", "gzip", _WHOLE),
    (b"BZh", "bzip2", _WHOLE),
    (b"\xfd7zXZ\x00", "xz", _WHOLE),
    (b"\x28\xb5\x2f\xfd", "Zstandard", _WHOLE),
    (b"\x04\x22\x4d\x18", "LZ4", _WHOLE),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip", _WHOLE),
    (b"Rar!\x1a\x07", "RAR", _WHOLE),
    (b"\x89HDF\r\n\x1a\n", "HDF5", _PARTS),
    (b"AAMVHFSS", "Bruker container", _PARTS),  # .bcf and .pan: an SFS container
    (b"%PDF", "PDF", _PARTS),
    (b"\x89PNG\r\n\x1a\n", "PNG", _PARTS),
)
#: By the end of the name, where the first bytes do not tell: Blosc inside an MRC file or a Zarr tree.
_SUFFIXES: Final = ((".mrcz", "MRCZ", _PARTS), (".prz", "PRZ", _PARTS))


def compression_of(head: bytes, path: str) -> str | None:
    """Why a text may be in this file unseen: ``HDF5: parts of it may be compressed``; None where it may not.

    The first `HEAD_SIZE` bytes tell, or the path.
    """
    for magic, name, reason in _KINDS:
        if head.startswith(magic):
            return f"{name}: {reason}"
    lower = path.lower()
    for suffix, name, reason in _SUFFIXES:
        if lower.endswith(suffix):
            return f"{name}: {reason}"
    if ".zarr/" in lower or ".zspy/" in lower:
        return f"Zarr: {_PARTS}"
    return None
