"""Verification of a bag that is not DIADEM's: all its manifests, in full, by the rules of its own version."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from diadem.model.ports import Bundle, Listener, Listing
from diadem.model.report import Level, Report
from diadem.package.bagit import BAGIT
from diadem.package.findings import Findings
from diadem.package.fixity import prove
from diadem.package.foreign_listing import Located, locate
from diadem.package.foreign_manifests import ForeignManifest, TagReader, read_fetch, read_info, read_manifests
from diadem.package.foreign_text import Declaration, parse_declaration
from diadem.package.ledger import FileJob
from diadem.package.names_check import report_names

_ASK = "Ask the sender for a whole bag."


def verify_foreign(bundle: Bundle, listing: Listing, *, workers: int | None, listener: Listener) -> Report:
    """Verify a bag of BagIt 0.93 to 1.0, with whatever digests hashlib knows.

    Parameters
    ----------
    bundle, listing : Bundle, Listing
        The bag, untrusted, and what lies in it.
    workers : int or None
        Threads; None means one for each processor.
    listener : callable
        Told of progress.

    Returns
    -------
    Report
        At level `FULL`. Nothing is fetched, and nothing outside the bag is touched.
    """
    findings = Findings()
    for path, kind in listing.irregular.items():
        message = "it cannot be read" if kind == "unreadable" else f"a {kind} in a bag is not followed"
        findings.error("irregular-file", message, path, next=_ASK)
    reader = TagReader(bundle, findings)
    declaration = _declaration(reader, listing, findings)
    read_info(reader, listing, declaration)
    manifests = read_manifests(reader, listing, declaration)
    payload = [manifest for manifest in manifests if not manifest.of_tags]
    tags = [manifest for manifest in manifests if manifest.of_tags]
    fetched = read_fetch(reader, listing, declaration, payload)
    report_names(findings, {path for manifest in payload for path in manifest.digests})
    of_payload = [locate(manifest, listing, fetched, declaration, findings) for manifest in payload]
    of_tags = [locate(manifest, listing, fetched, declaration, findings) for manifest in tags]
    _complete_payload(of_payload, listing, declaration, findings)
    _complete_tags(of_tags, payload, listing, declaration, findings)
    proven_tags = prove(bundle, _jobs(of_tags, listing), findings=findings, listener=listener, workers=workers)
    proven = prove(bundle, _jobs(of_payload, listing), findings=findings, listener=listener, workers=workers)
    checked = {"files": proven.files, "bytes": proven.bytes, "leaves": 0, "tag_files": proven_tags.files}
    return Report(bundle.url, Level.FULL, findings.sorted(), None, checked)


def _declaration(reader: TagReader, listing: Listing, findings: Findings) -> Declaration:
    data = reader.read(BAGIT) if BAGIT in listing.files else None
    if data is None:
        if BAGIT not in listing.files:
            findings.error("bagit-txt-missing", "there is no bagit.txt: this is not a bag", BAGIT, next=_ASK)
        return Declaration("1.0", "utf-8")
    return parse_declaration(data, findings)


def _complete_payload(manifests: list[Located], listing: Listing, declaration: Declaration, findings: Findings) -> None:
    """Every payload file in a manifest; since 1.0 in every manifest."""
    if not manifests:
        findings.error("manifest-missing", "there is no payload manifest that can be checked", next=_ASK)
        return
    listed = set(chain.from_iterable(located.files for located in manifests))
    for path in listing.files:
        if path.startswith("data/") and path not in listed:
            findings.error("file-unexpected", "no manifest lists this file", path, next=_ASK)
    report = findings.error if declaration.strict else findings.warning
    for located in manifests:
        for path in sorted(listed - located.files.keys()):
            report("manifest-incomplete", f"{located.manifest.name} does not list it, another manifest does", path)


def _complete_tags(
    manifests: list[Located],
    payload: Iterable[ForeignManifest],
    listing: Listing,
    declaration: Declaration,
    findings: Findings,
) -> None:
    """Every payload manifest in every tag manifest (a rule since 1.0); other tag files are only named."""
    if not manifests:
        findings.warning("tagmanifest-missing", "no tag manifest: the tag files themselves are not proven")
        return
    report = findings.error if declaration.strict else findings.warning
    for located in manifests:
        for manifest in payload:
            if manifest.name not in located.files:
                report("tag-file-unlisted", f"{located.manifest.name} does not list the manifest", manifest.name)
    listed = set(chain.from_iterable(located.files for located in manifests))
    names = {manifest.name for manifest in payload} | {located.manifest.name for located in manifests}
    for path in listing.files:
        if not path.startswith(("data/", "tagmanifest-")) and path not in listed | names:
            findings.warning("tag-file-unlisted", "no tag manifest lists this file: it is not proven", path)


def _jobs(manifests: list[Located], listing: Listing) -> list[FileJob]:
    """One job a file, with all its digests."""
    digests: dict[str, set[tuple[str, str]]] = {}
    for located in manifests:
        for path, values in located.files.items():
            digests.setdefault(path, set()).update((located.manifest.algorithm, value) for value in values)
    return [
        FileJob(path, listing.files[path], listing.files[path], None, tuple(sorted(values)))
        for path, values in sorted(digests.items())
    ]
