"""Verification of a bag: a DIADEM package at three levels, the bag of anyone else as a whole."""

from __future__ import annotations

from collections.abc import Mapping

from diadem.errors import DiademError
from diadem.model.manifest import INDEX_PATH, LEAVES_PATH, TAGMANIFEST
from diadem.model.ports import Bundle, Listener, Listing, silent
from diadem.model.report import Level, Report
from diadem.package.bagit import BAG_INFO
from diadem.package.findings import Findings
from diadem.package.fixity import prove
from diadem.package.foreign import verify_foreign
from diadem.package.ledger import FileJob, Proven
from diadem.package.opening import LIMITS, OpenedPackage
from diadem.package.structure import Structure, examine


def verify(
    bundle: Bundle,
    *,
    level: Level,
    expected_id: str | None = None,
    opened: OpenedPackage | None = None,
    workers: int | None = None,
    listener: Listener = silent,
) -> Report:
    """Prove a package, or any BagIt bag.

    Parameters
    ----------
    bundle : Bundle
        The bag, untrusted.
    level : Level
        `QUICK` proves the tag files, and looks at names and sizes; `LEAVES` proves every leaf by BLAKE3; `FULL` also
        every file by SHA-256. A bag that is not DIADEM's is always proven in full, by all its manifests.
    expected_id : str, optional
        ``diadem:<64 hex>``: the id that the package must have.
    opened : OpenedPackage, optional
        What its tag files say, where the caller has parsed them: they are read and proven again, but not parsed.
    workers : int, optional
        Threads; by default one for each processor.
    listener : callable
        Told of progress, from any thread.

    Returns
    -------
    Report
        Everything that was found. `checked` counts what was proven: files, bytes, leaves, tag_files; at `QUICK`,
        `files` are those that are there in the right size, and no byte counts.
    """
    listing = bundle.listing()
    if expected_id is None and not is_diadem(bundle, listing):
        return verify_foreign(bundle, listing, workers=workers, listener=listener)
    findings = Findings()
    structure = examine(bundle, listing, findings, expected_id, opened)
    jobs = _jobs(structure, listing, level, findings)
    if level is Level.QUICK:
        proven = Proven(files=sum(job.size == job.present for job in jobs))
    else:
        proven = prove(
            bundle,
            jobs,
            findings=findings,
            listener=listener,
            leaves=structure.leaves,
            workers=workers,
        )
    checked = {"files": proven.files, "bytes": proven.bytes, "leaves": proven.leaves, "tag_files": structure.tag_files}
    return Report(bundle.url, level, findings.sorted(), structure.package_id, checked)


def is_diadem(bundle: Bundle, listing: Listing) -> bool:
    """Whether a bag says anywhere that it is DIADEM's, so that no lost or damaged tag file lets it pass as another."""
    if INDEX_PATH in listing.files or LEAVES_PATH in listing.files:
        return True
    signs = ((TAGMANIFEST, INDEX_PATH.encode()), (BAG_INFO, b"Diadem-Payload-Id"))
    return any(path in listing.files and _mentions(bundle, path, sign) for path, sign in signs)


def _mentions(bundle: Bundle, path: str, sign: bytes) -> bool:
    try:
        return sign in bundle.read(path, LIMITS[path])
    except (DiademError, OSError):  # reported by whoever reads it next
        return False


def _jobs(structure: Structure, listing: Listing, level: Level, findings: Findings) -> list[FileJob]:
    """What to prove, and with what: a damaged list of digests accuses no file."""
    by_leaf = structure.index is not None and structure.leaves is not None
    digests = {path: digest for digest, path in structure.digests or ()}
    by_digest = structure.digests is not None and (level is Level.FULL or not by_leaf)
    if level is not Level.QUICK:
        _say_what_is_lost(findings, structure, by_leaf=by_leaf, by_digest=by_digest)
    jobs = []
    for path, size, first_leaf in _plan(structure, listing, digests):
        present = listing.files.get(path)
        if present is None:
            continue
        whole = (("sha256", digests[path]),) if by_digest and present == size else ()
        leaf = first_leaf if by_leaf else None
        if whole or leaf is not None or level is Level.QUICK:
            jobs.append(FileJob(path, size, present, leaf, whole))
    return jobs


def _plan(structure: Structure, listing: Listing, digests: Mapping[str, str]) -> list[tuple[str, int, int | None]]:
    """Path, size and first leaf of every file; without an index, the sizes that are there."""
    if structure.index is not None:
        return [(row.path, row.size, row.first_leaf) for row in structure.index.rows]
    return [(path, listing.files.get(path, 0), None) for path in digests]


def _say_what_is_lost(findings: Findings, structure: Structure, *, by_leaf: bool, by_digest: bool) -> None:
    if not by_leaf and not by_digest:
        message = "neither leaves nor manifest can be trusted: no file of the payload was proven"
        findings.error("payload-unproven", message, next="Restore the tag files from another copy and verify again.")
    elif not by_leaf:
        message = "the leaves cannot be trusted: files were proven by SHA-256 instead"
        findings.warning("leaves-unproven", message, LEAVES_PATH)
    elif structure.digests is None:
        message = "the manifest cannot be trusted: files were proven by their leaves alone"
        findings.warning("manifest-unproven", message)
