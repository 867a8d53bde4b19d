"""The proof of a mending: every file that was written to, read again in full, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.errors import DiademError, line_of
from diadem.model.manifest import TAGMANIFEST, PackageId
from diadem.model.ports import Bundle, Listener, silent
from diadem.model.report import Findings, Level, Report
from diadem.package.examine import LIMITS, TagFiles, open_tag_files, read_tag_file
from diadem.package.prove import FileJob, prove


def prove_files(bundle: Bundle, package: PackageId, paths: Iterable[str], *, listener: Listener = silent) -> Report:
    """Prove some files of a package by leaves and SHA-256.

    Parameters
    ----------
    bundle : Bundle
        The package.
    package : PackageId
        What it should be; its tag files are proven whatever `paths` says.
    paths : iterable of str
        Files, relative to the bag: `Mended.touched`.
    listener : callable
        Told of progress, from any thread.

    Returns
    -------
    Report
        Of these files alone; `checked` counts files, bytes, leaves.
    """
    findings = Findings()
    try:
        opened = open_tag_files(bundle, expected_id=package)
    except (DiademError, OSError) as error:
        findings.error("tag-file-mismatch", line_of(error), TAGMANIFEST, next="Repair the package again.")
        return Report(bundle.url, Level.FULL, findings.sorted(), str(package))
    wanted = sorted(set(paths))
    for path in wanted:
        if path not in opened.manifest:
            _tag_file(bundle, path, package, findings)
    jobs = [job for path in wanted if path in opened.manifest and (job := _job(bundle, opened, path, findings))]
    proven = prove(
        bundle,
        jobs,
        findings=findings,
        listener=listener,
        leaves=opened.leaves,
    )
    checked = {"files": proven.files, "bytes": proven.bytes, "leaves": proven.leaves}
    return Report(bundle.url, Level.FULL, findings.sorted(), str(package), checked)


def _tag_file(bundle: Bundle, path: str, package: PackageId, findings: Findings) -> None:
    if path == TAGMANIFEST or path not in LIMITS:
        return  # the tag manifest has given the id
    try:
        read_tag_file(bundle, path, package)
    except (DiademError, OSError) as error:
        findings.error("tag-file-mismatch", line_of(error), path, next="Repair the package again.")


def _job(bundle: Bundle, opened: TagFiles, path: str, findings: Findings) -> FileJob | None:
    """What to prove of a file; None, and a finding, where its size says enough."""
    entry = opened.manifest[path]
    try:
        with bundle.open(path) as file:
            present = file.size
    except (DiademError, OSError) as error:
        reason = error.message if isinstance(error, DiademError) else str(error)
        findings.error("file-unreadable", reason, path, next="Repair the package again.")
        return None
    if present != entry.size:
        findings.error("size-mismatch", f"the file has {present} bytes, not {entry.size}", path)
        return None
    return FileJob(path, entry.size, present, entry.first_leaf, (("sha256", entry.sha256),))
