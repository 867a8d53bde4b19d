"""From a package and the statement of its ingest to what the catalogue keeps of it: the same now and at a reindex."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from diadem.archive.package import Package
from diadem.model.manifest import CRATE_PATH, TAGMANIFEST
from diadem.model.ports import Bundle
from diadem.model.times import read_time
from diadem.node.catalogue import PackageEntry
from diadem.node.catalogue.traces import of_package
from diadem.package.bagit import CONTINUES, parse_manifest
from diadem.package.opening import LIMITS


def package_entry(package: Package, path: str, ingest: Mapping[str, Any] | None) -> PackageEntry:
    """What the catalogue keeps of a package.

    Parameters
    ----------
    package : Package
        Any sound replica of it.
    path : str
        Its path in the stores, ``2026/20260314-…``.
    ingest : mapping or None
        The predicate of its `ingest` statement; None where there is none (a package that somebody copied in).
    """
    record = package.record
    said = ingest or {}
    session = record.session
    stated = dict(package.bag_info)
    return PackageEntry(
        id=package.id,
        payload_id=package.payload_id,
        path=path,
        title=str(session.get("title") or _crate_name(package) or path.rpartition("/")[2]),
        date=_date(path),
        bytes=sum(entry.size for entry in package.files),
        files=len(package.files),
        owner=str(said.get("owner", "")),
        ingested_at=_time(said.get("time")),
        predecessor=stated.get(CONTINUES),
        omitted=int(stated.get("Diadem-Omitted", 0)),
        issues=Counter(str(issue.get("code", "")) for dataset in record.datasets for issue in dataset.issues),
        record=record,
        tag_files=tag_files(package.bundle),
        traces=of_package(package.files, str(said.get("source", ""))),
    )


def tag_files(bundle: Bundle) -> dict[str, bytes]:
    """Every tag file of a bag, the tag manifest with them."""
    text = bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST])
    names = [name for _, name in parse_manifest(text, TAGMANIFEST)]
    return {**{name: bundle.read(name, LIMITS[name]) for name in names if name in LIMITS}, TAGMANIFEST: text}


def _crate_name(package: Package) -> str:
    """What the crate calls itself: the name of the folder that was archived, where nobody said more."""
    with package.open_derived(CRATE_PATH) as source:
        graph = json.loads(source.read()).get("@graph", ())
    return next((str(entity.get("name", "")) for entity in graph if entity.get("@id") == "./"), "")


def _date(path: str) -> datetime.date | None:
    """The date in the package's name: the session's, else the ingest's."""
    text = path.rpartition("/")[2][:8]
    try:
        return datetime.date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None


def _time(text: object) -> datetime.datetime | None:
    return read_time(str(text)) if text else None
