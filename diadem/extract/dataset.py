"""One dataset as a record states it: its files, what was read of them, and what a careful colleague would doubt."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from diadem.extract.extraction import Extraction
from diadem.extract.plausible import Siblings, doubts
from diadem.extract.site import Site
from diadem.extract.survey import DatasetPlan
from diadem.serialization.admission import admitted


def dataset_document(
    plan: DatasetPlan,
    found: Extraction,
    *,
    keep: Callable[[bytes], str],
    siblings: Siblings,
    mtimes_ns: Sequence[int],
    digests: Sequence[str] = (),
    lost: Sequence[str] = (),
    site: Site | None = None,
    place: Path | None = None,
) -> dict[str, Any]:
    """The dataset as JSON, without what a record does not admit.

    Parameters
    ----------
    plan : DatasetPlan
        Its files, by the names that the record gives them.
    found : Extraction
        What was read.
    keep : callable
        Takes a vendor's block, and tells the digest under which it is found again.
    siblings : Siblings
        The datasets before it.
    mtimes_ns : sequence of int
        Modification times of its files, nanoseconds since 1970.
    digests : sequence of str
        SHA-256 of each file, in the order of the plan; none for a dataset that is not sealed.
    lost : sequence of str
        Files of it that are not there any more.
    site : Site, optional
        What a person says of the instruments.
    place : Path, optional
        Where the primary file lies on this machine: an instrument may be told by its folder.
    """
    files: list[dict[str, Any]] = [
        {"id": file.id, "path": file.path, "role": file.role, "bytes": file.size} for file in plan.files
    ]
    if digests:
        files = [{**file, "sha256": digest} for file, digest in zip(files, digests, strict=True)]
    files[0] |= {"format": found.format, "format_evidence": list(found.evidence)}
    issues = list(found.issues)
    if lost:
        message = f"files of this dataset are not archived: {', '.join(lost)}"
        issues.append({"code": "incomplete-dataset", "message": message})
    if site is not None:
        issues += site.add(found.fields, plan.primary.path, place)
    raw = []
    for block in found.vendor:
        digest = keep(block.data)
        about = {"path": f"vendor:{digest}", "place": block.path, "media_type": block.media_type, "sha256": digest}
        span = {"byte_range": block.byte_range} if block.byte_range else {}
        raw.append({**about, "file": block.file, "bytes": len(block.data), **span})
    document = admitted(
        {
            "id": plan.id,
            "files": files,
            "signals": found.signals,
            "fields": found.fields,
            "raw": raw,
            "issues": issues,
            "extraction": found.extraction,
            **({"extensions": found.extensions} if found.extensions else {}),
        },
        sealed=bool(digests),
    )
    if stated := document["fields"]:
        folder = plan.primary.path.rpartition("/")[0]
        now = dt.datetime.now(dt.UTC)
        document["issues"] = [
            *document["issues"],
            *doubts(stated, mtimes_ns, now),
            *siblings.doubts(folder, stated),
        ]
    return document


def renamed(plan: DatasetPlan, names: Mapping[str, str]) -> DatasetPlan:
    """The plan by other names, as deep in their folders; a path that has none keeps its own."""
    if not any(names.get(file.path, file.path) != file.path for file in plan.files):
        return plan
    files = tuple(replace(file, path=names.get(file.path, file.path)) for file in plan.files)
    deep = len(plan.entry.split("/"))
    return replace(plan, files=files, entry="/".join(files[0].path.split("/")[:deep]))
