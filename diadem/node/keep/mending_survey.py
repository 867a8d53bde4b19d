"""What is damaged in a copy: from the findings of a verification, and by looking again where these do not say it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from diadem.errors import DiademError
from diadem.model.manifest import TAGMANIFEST, FileEntry
from diadem.model.ports import Bundle, Listing
from diadem.model.report import Finding, Report
from diadem.package.examine import TagFiles

#: Findings that name a leaf.
_BY_LEAF = frozenset({"leaf-mismatch", "read-error"})
#: Findings after which a report does not name all damage.
_INCOMPLETE = frozenset({"findings-omitted", "payload-unproven"})


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with one file below `data/`.

    Attributes
    ----------
    entry : FileEntry
        The file.
    leaves : tuple of int, or None
        Leaves that may be damaged; None where the file has to be replaced whole.
    """

    entry: FileEntry
    leaves: tuple[int, ...] | None


def survey(bundle: Bundle, listing: Listing, opened: TagFiles, report: Report) -> list[Damage]:
    """Every file of a copy that is damaged, in the order of the manifest.

    Parameters
    ----------
    bundle, listing : Bundle, Listing
        The copy, and what lies in it.
    opened : TagFiles
        What should lie in it.
    report : Report
        Of a verification of this copy.
    """
    findings: dict[str, list[Finding]] = defaultdict(list)
    for finding in report.findings:
        if finding.path is not None:
            findings[finding.path].append(finding)
    everything = report.package_id not in {None, opened.id} or any(one.code in _INCOMPLETE for one in report.findings)
    damages = (_of_file(bundle, listing, opened, entry, findings, everything) for entry in opened.manifest)
    return [damage for damage in damages if damage is not None]


def _of_file(
    bundle: Bundle,
    listing: Listing,
    opened: TagFiles,
    entry: FileEntry,
    findings: dict[str, list[Finding]],
    everything: bool,
) -> Damage | None:
    if listing.files.get(entry.path) != entry.size:
        return Damage(entry, None)
    found = findings.get(entry.path, [])
    named = tuple(sorted({finding.leaf for finding in found if finding.leaf is not None and finding.code in _BY_LEAF}))
    if not everything and all(finding.code in _BY_LEAF for finding in found):
        return Damage(entry, named) if named else None
    leaves = bad_leaves(bundle, opened, entry)
    return None if leaves == () and not found else Damage(entry, leaves)


def bad_leaves(bundle: Bundle, opened: TagFiles, entry: FileEntry) -> tuple[int, ...] | None:
    """The leaves of a file that are not what was archived; None where it cannot be opened."""
    leaves, bad = opened.leaves, []
    try:
        with bundle.open(entry.path) as file:
            for leaf in range(leaves.count(entry)):
                start, end = leaves.span(entry, leaf)
                try:
                    right = leaves.proves(entry, leaf, file.read_at(start, end - start))
                except (DiademError, OSError):
                    right = False
                if not right:
                    bad.append(leaf)
    except (DiademError, OSError):
        return None
    return tuple(bad)


def suspects(damages: Iterable[Damage]) -> list[tuple[FileEntry, int | None]]:
    """Damaged files and leaves, one by one."""
    found: list[tuple[FileEntry, int | None]] = []
    for damage in damages:
        found += [(damage.entry, leaf) for leaf in (damage.leaves if damage.leaves is not None else (None,))]
    return found


def extras(listing: Listing, opened: TagFiles, tag_files: Sequence[str]) -> list[str]:
    """What lies in the copy and has no place in it, in order."""
    known = {TAGMANIFEST, *tag_files, *(entry.path for entry in opened.manifest)}
    return sorted(path for path in (*listing.files, *listing.irregular) if path not in known and path != ".")
