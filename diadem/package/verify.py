"""Verification of a bag: a DIADEM package at three levels, the bag of anyone else as a whole."""

from __future__ import annotations

from collections.abc import Container, Iterator

from diadem.errors import DiademError
from diadem.model.manifest import INDEX_PATH, LEAVES_PATH, TAGMANIFEST
from diadem.model.plain_text import printable
from diadem.model.ports import Bundle, Listener, Listing, silent
from diadem.model.report import Findings, Level, Report
from diadem.package.examine import LIMITS, Examined, TagFiles, examine
from diadem.package.foreign import verify_foreign
from diadem.package.prove import FileJob, Proven, prove
from diadem.package.tags import BAG_INFO

#: Packages whose leaves and manifest this process has seen to agree: proving the leaves proves the files.
_CONSISTENT: set[str] = set()


def note_consistent(package_id: str) -> None:
    """Remember that this process has hashed all of a package, and that its leaves and manifest agree."""
    _CONSISTENT.add(package_id)


def verify(
    bundle: Bundle,
    *,
    level: Level | None = None,
    listing: Listing | None = None,
    expected_id: str | None = None,
    opened: TagFiles | None = None,
    only: Container[str] | None = None,
    workers: int | None = None,
    listener: Listener = silent,
) -> Report:
    """Prove a package, or any BagIt bag, which is untrusted.

    `QUICK` proves the tag files, and looks at names and sizes; `LEAVES` proves every leaf by BLAKE3; `FULL` also every
    file by SHA-256. The default is `LEAVES` where this process has already seen leaves and manifest to agree, else
    `FULL`. A bag that is not DIADEM's is always proven in full, by all its manifests.

    `listing` is what lies in the bag, where the caller has just asked; `expected_id` the id (``diadem:<64 hex>``) that
    the package must have; `opened` what its tag files say, where the caller has parsed them: they are read and proven
    again, but not parsed; `only` the files, by the paths in a report, of which every byte is read, where not all are to
    be. `workers` are threads, by default one for each processor.

    The report's `checked` counts what was proven: files, bytes, leaves, tag_files; at `QUICK`, `files` are those that
    are there in the right size, and no byte counts.
    """
    listing = bundle.listing() if listing is None else listing
    if expected_id is None and not _is_diadem(bundle, listing):
        return verify_foreign(bundle, listing, workers=workers, listener=listener)
    findings = Findings()
    examined = examine(bundle, listing, findings, expected_id, opened)
    level = level or (Level.LEAVES if examined.id in _CONSISTENT else Level.FULL)
    if level is Level.QUICK:
        proven = Proven(files=sum(listing.files.get(path) == size for path, size, _ in _files(examined, listing)))
    else:
        jobs = _jobs(examined, listing, level, findings)
        if only is not None:
            jobs = [job for job in jobs if printable(job.path) in only]
        proven = prove(bundle, jobs, findings=findings, listener=listener, leaves=examined.leaves, workers=workers)
    checked = {"files": proven.files, "bytes": proven.bytes, "leaves": proven.leaves, "tag_files": examined.proven}
    report = Report(bundle.url, level, findings.sorted(), examined.id, checked)
    if examined.id is not None and level is Level.FULL and only is None and report.ok:
        note_consistent(examined.id)
    return report


def _is_diadem(bundle: Bundle, listing: Listing) -> bool:
    """Whether a bag says anywhere that it is DIADEM's, so that no lost or damaged tag file lets it pass as another."""
    if INDEX_PATH in listing.files or LEAVES_PATH in listing.files:
        return True
    for path, sign in ((TAGMANIFEST, INDEX_PATH.encode()), (BAG_INFO, b"Diadem-Payload-Id")):
        try:
            if path in listing.files and sign in bundle.read(path, LIMITS[path]):
                return True
        except (DiademError, OSError):  # reported by whoever reads it next
            continue
    return False


def _jobs(examined: Examined, listing: Listing, level: Level, findings: Findings) -> list[FileJob]:
    """What to prove, and with what: a damaged list of digests accuses no file."""
    index, digests = examined.index, {path: digest for digest, path in examined.digests or ()}
    by_leaf = index is not None and examined.leaves is not None
    by_digest = examined.digests is not None and (level is Level.FULL or not by_leaf)
    if not by_leaf and not by_digest:
        message = "neither leaves nor manifest can be trusted: no file of the payload was proven"
        findings.error("payload-unproven", message, next="Restore the tag files from another copy and verify again.")
    elif not by_leaf:
        message = "the leaves cannot be trusted: files were proven by SHA-256 instead"
        findings.warning("leaves-unproven", message, LEAVES_PATH)
    elif examined.digests is None:
        message = "the manifest cannot be trusted: files were proven by their leaves alone"
        findings.warning("manifest-unproven", message)
    jobs = []
    for path, size, first_leaf in _files(examined, listing):
        present = listing.files.get(path)
        if present is None:
            continue
        whole = (("sha256", digests[path]),) if by_digest and present == size else ()
        if whole or by_leaf:
            jobs.append(FileJob(path, size, present, first_leaf if by_leaf else None, whole))
    return jobs


def _files(examined: Examined, listing: Listing) -> Iterator[tuple[str, int, int]]:
    """Path, size and first leaf of each file; without an index, the sizes that are there."""
    if examined.index is not None:
        return ((entry.path, entry.size, entry.first_leaf) for entry in examined.index)
    return ((path, listing.files[path], 0) for _, path in examined.digests or () if path in listing.files)
