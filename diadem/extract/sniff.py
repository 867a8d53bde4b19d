"""Which readers may read a file, told by its name and its first bytes. No file is opened here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from diadem.extract.extraction import UNKNOWN, issue
from diadem.extract.survey import DatasetPlan
from diadem.hooks.offers import Magic, ReaderOffer

#: Bytes of a file's beginning that sniffing and pre-flight look at.
HEAD_SIZE = 4096

#: Contents that are unmistakable, so that a name that says otherwise is wrong.
_WELL_KNOWN: tuple[tuple[str, bytes], ...] = (
    ("PNG image", b"\x89PNG\r\n\x1a\n"),
    ("JPEG image", b"\xff\xd8\xff"),
    ("GIF image", b"GIF8"),
    ("PDF document", b"%PDF-"),
    ("ZIP archive", b"PK\x03\x04"),
    ("gzip stream", b"\x1f\x8b\x08"),
    ("bzip2 stream", b"BZh9"),
    ("7-Zip archive", b"7z\xbc\xaf\x27\x1c"),
    ("XZ stream", b"\xfd7zXZ\x00"),
    ("HDF5 file", b"\x89HDF\r\n\x1a\n"),
    ("SQLite database", b"SQLite format 3\x00"),
    ("TIFF image", b"II*\x00"),
    ("TIFF image", b"MM\x00*"),
    ("ELF program", b"\x7fELF"),
    ("HTML page", b"<!DOCTYPE html"),
    ("Gatan DM3 file", b"\x00\x00\x00\x03\x00"),
)

#: Endings used by many programs for other things: a foreign content is no fault of the file, only unknown to us.
_SHARED_SUFFIXES = frozenset(
    {".img", ".map", ".pro", ".csv", ".xml", ".eds", ".unf", ".spc", ".nc", ".pts", ".mas", ".ems", ".ali", ".blo"}
    | {".txt"}
)


#: Magic numbers of containers, in which many programs keep many things.
_CONTAINERS = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"\x89HDF\r\n\x1a\n")
#: Bytes besides zeros that a magic number must have to tell a format under any name.
_TELLING = 4


def told_by_name(plan: DatasetPlan) -> str:
    """The only format that a name suggests, or ``unknown``: an ending of many programs tells nothing."""
    suffix = "." + plan.primary.path.lower().rpartition(".")[2]
    return plan.offers[0] if len(plan.offers) == 1 and suffix not in _SHARED_SUFFIXES else UNKNOWN


def matches(magic: Sequence[Magic], head: bytes) -> bool:
    """Whether any of the magic numbers is there."""
    return any(head[item.offset : item.offset + len(item.data)] == item.data for item in magic)


def signed(offer: ReaderOffer, head: bytes) -> bool:
    """Whether a head is of a format, whatever the file is called."""
    if offer.signature is not None:
        return bool(offer.signature) and re.match(offer.signature, head, re.DOTALL) is not None
    telling = [
        item
        for item in offer.magic
        if len(item.data.replace(b"\0", b"")) >= _TELLING and (offer.probe or not item.data.startswith(_CONTAINERS))
    ]
    return matches(telling, head)


def content_of(head: bytes) -> str | None:
    """The plain name of an unmistakable content."""
    return next((name for name, start in _WELL_KNOWN if head.startswith(start)), None)


def rank(
    plan: DatasetPlan, head: bytes, readers: Sequence[ReaderOffer]
) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """Rank the readers of a dataset: its content decides, its name orders those whose magic is there.

    Where a name that one format alone has and a content that is unmistakably another's disagree, the file is read by
    nobody, for one of the two is an accident.

    Parameters
    ----------
    plan : DatasetPlan
        The dataset.
    head : bytes
        First bytes of the primary file, `HEAD_SIZE` where it has as many.
    readers : sequence of ReaderOffer
        What the plugins offer.

    Returns
    -------
    names : list of str
        Readers to try in order; a reader with a probe may still decline in the worker.
    evidence : list of str
        ``magic`` and ``suffix`` as far as they hold for the first reader.
    issues : list of dict
        ``wrong-type`` where the content contradicts the name.
    """
    table = {offer.name: offer for offer in readers}
    candidates = [table[name] for name in plan.offers if name in table]
    if plan.entry != plan.primary.path:
        return [offer.name for offer in candidates], ["suffix"] if candidates else [], []
    sure = [offer.name for offer in candidates if offer.magic and matches(offer.magic, head)]
    open_ = [offer.name for offer in candidates if not offer.magic]
    if sure:
        return sure + open_, ["magic", "suffix"], []
    content = content_of(head)
    name = plan.primary.path.rpartition("/")[2]
    suffix = "." + name.rpartition(".")[2].lower()
    if content is None or not candidates or suffix in _SHARED_SUFFIXES:
        ranked = sorted(readers, key=lambda offer: -offer.priority)
        others = [offer.name for offer in ranked if offer.name not in plan.offers and signed(offer, head)]
        named = [] if content else open_
        names = [name for name in named if table[name].probe]  # who looks into the file goes before others' marks
        names += [*others, *(name for name in named if not table[name].probe)]
        if names:
            return names, ["magic" if names[0] in others else "suffix"], []
        if not candidates or (content is None and suffix in _SHARED_SUFFIXES):
            return [], [], []
    what = f"a {content}" if content else "none of: " + ", ".join(offer.name for offer in candidates)
    message = f"the name ends in {suffix} but the content is {what}"
    return [], [], [issue("wrong-type", message, file=plan.primary.id, next="Rename it, or copy it again.")]
