"""Which file of a foreign bag a line of its manifest means: exactly, or as its writer's system understood the name."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

from diadem.model.names import twin_key
from diadem.model.ports import Listing
from diadem.package.findings import Findings
from diadem.package.foreign_manifests import MOST_DIGESTS, ForeignManifest
from diadem.package.foreign_text import Declaration, decoded

_ELSEWHERE = "Ask the sender for a whole bag; DIADEM fetches nothing that a bag names."


@dataclass(slots=True)
class Located:
    """A manifest whose lines were matched with the files that are there.

    Attributes
    ----------
    manifest : ForeignManifest
        The manifest.
    files : dict of str to tuple of str
        Path of a file that is there to the digests listed for it.
    """

    manifest: ForeignManifest
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)


def locate(
    manifest: ForeignManifest, listing: Listing, fetched: set[str], declaration: Declaration, findings: Findings
) -> Located:
    """Match every line of a manifest with a file; a line without one is a finding."""
    located = Located(manifest)
    composed: dict[str, str] | None = None
    lost = []
    for path, digests in manifest.digests.items():
        there = _exact(path, listing, findings, strict=declaration.strict)
        if there is None:
            composed = _composed(listing) if composed is None else composed
            there = _other_composition(path, composed, findings)
        if there is None:
            lost.append(path)
        else:
            known = located.files.get(there, ())
            located.files[there] = tuple(dict.fromkeys((*known, *digests)))[:MOST_DIGESTS]
    _report_lost(lost, located, listing, fetched, findings)
    return located


def _exact(path: str, listing: Listing, findings: Findings, *, strict: bool) -> str | None:
    """The file by its name, percent signs read as the bag's version has it, then the other way."""
    plain = decoded(path)
    first, second = (plain, path) if strict else (path, plain)
    if first in listing.files:
        return first
    if second in listing.files:
        findings.warning("percent-encoding", "its name is not written as this version of BagIt requires", path)
        return second
    return None


def _composed(listing: Listing) -> dict[str, str]:
    """Files whose names are not ASCII, by their composed form (NFC)."""
    return {unicodedata.normalize("NFC", path): path for path in listing.files if not path.isascii()}


def _other_composition(path: str, composed: dict[str, str], findings: Findings) -> str | None:
    there = None if path.isascii() else composed.get(unicodedata.normalize("NFC", path))
    if there is not None:
        findings.warning(
            "normalization", "the file is there, but its accents are composed differently than listed", path
        )
    return there


def _report_lost(lost: list[str], located: Located, listing: Listing, fetched: set[str], findings: Findings) -> None:
    """Report lines without a file.

    A line whose name differs only in case from a listed file with the same digest is a warning: on the system that
    made the bag both are one file, and its content is here. Everything else is an error.
    """
    by_key = {twin_key(path): path for path in located.files} if lost else {}
    for path in lost:
        twin = by_key.get(twin_key(path))
        if twin is not None and located.files[twin] == located.manifest.digests[path]:
            findings.warning("name-twins", f"only {twin} is there, with the content listed for both", path)
        elif path in fetched:
            findings.error("not-fetched", "the bag leaves this file to be fetched", path, next=_ELSEWHERE)
        elif path not in listing.irregular:
            findings.error("file-missing", "the file is not there", path, next="Restore it from another copy.")
