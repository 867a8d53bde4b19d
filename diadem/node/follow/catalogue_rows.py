"""From a package and the statement of its ingest to what the catalogue keeps of it: the same now and at a reindex."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from diadem.archive.package import Package
from diadem.catalogue import PackageEntry
from diadem.catalogue.facts import traces_of
from diadem.errors import DiademError, DocumentError
from diadem.model.manifest import CRATE_PATH, TAGMANIFEST, FileEntry
from diadem.model.ports import Bundle
from diadem.model.record import Datasets, Record
from diadem.model.times import read_time
from diadem.package.examine import LIMITS, open_tag_files
from diadem.package.tags import CONTINUES, parse_manifest
from diadem.serialization.strict_json import parse_object
from diadem.store.bags import MemoryBundle
from diadem.terms.fields import field_keys


def package_entry(
    package: Package, found_at: str, ingest: Mapping[str, Any] | None, *, owed: bool = False
) -> PackageEntry:
    """What the catalogue keeps of a package, by any sound copy of it, the path of that one, and the ingest.

    `ingest` is the predicate; None where there is none, of a package that somebody copied in. Its path in the stores is
    the one that it was made with, which another copy may not have got. With `owed` its datasets and tag files follow.
    """
    record = package.record
    said = ingest or {}
    path = found_at if said.get("adopted") else str(said.get("path", found_at))
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
        record=record,
        tag_files={} if owed else tag_files(package.bundle),
        owed=owed,
        traces=traces_of(package.files, str(said.get("source", ""))),
        archived=_day(stated.get("Bagging-Date", "")),
    )


def entry_from_log(package_id: str, said: Mapping[str, Any], tags: Mapping[str, bytes]) -> PackageEntry:
    """What the catalogue keeps of a package of which no copy can be read now: it is never simply forgotten."""
    files: Sequence[FileEntry] = ()
    with contextlib.suppress(DiademError):
        files = open_tag_files(MemoryBundle(tags), expected_id=package_id).manifest.payload
    path = "" if said.get("adopted") else str(said.get("path", ""))
    return PackageEntry(
        id=package_id,
        payload_id=str(said.get("payload_id", "")),
        path=path,
        title=path.rpartition("/")[2] or package_id[:19],
        date=_date(path),
        bytes=int(said.get("bytes", 0)),
        files=int(said.get("files", 0)),
        owner=str(said.get("owner", "")),
        ingested_at=_time(said.get("time")),
        predecessor=said.get("predecessor"),
        omitted=int(said.get("omitted", 0)),
        record=Record("", Datasets(()), field_keys()),
        tag_files=tags,
        traces=traces_of(files, str(said.get("source", ""))),
    )


def tag_files(bundle: Bundle) -> dict[str, bytes]:
    """Every tag file of a bag, the tag manifest with them."""
    text = bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST])
    names = [name for _, name in parse_manifest(text, TAGMANIFEST)]
    return {**{name: bundle.read(name, LIMITS[name]) for name in names if name in LIMITS}, TAGMANIFEST: text}


def _crate_name(package: Package) -> str:
    """What the crate calls itself: the name of the folder that was archived, where nobody said more."""
    try:
        graph = parse_object(package.read_derived(CRATE_PATH), where=CRATE_PATH).get("@graph", ())
    except DocumentError:  # a stranger's crate may be anything
        return ""
    entities = [entity for entity in graph if isinstance(entity, dict)] if isinstance(graph, list) else []
    return next((str(entity.get("name", "")) for entity in entities if entity.get("@id") == "./"), "")


def _date(path: str) -> datetime.date | None:
    """The date in the package's name: the session's, else the ingest's."""
    text = path.rpartition("/")[2][:8]
    try:
        return datetime.date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        return None


def _time(text: object) -> datetime.datetime | None:
    return read_time(str(text)) if text else None
