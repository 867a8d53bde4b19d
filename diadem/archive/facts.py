"""A sealed package in plain words, from its record and its crate; its previews, and its page as a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.errors import DocumentError, NotFound, PackageError
from diadem.export.pages import previews_on
from diadem.model.assertions import Assertion
from diadem.model.facts import MAX_DESCRIBED, PackageFacts
from diadem.model.manifest import CRATE_PATH, PAGE_PATH, PREVIEWS_PATH
from diadem.model.plain_text import quoted
from diadem.model.record import Dataset, Record
from diadem.pack.describe import NO_LICENCE, dataset_facts, instrument_of
from diadem.package.examine import read_tag_file
from diadem.package.zips import previews_in
from diadem.serialization.strict_json import parse_object

if TYPE_CHECKING:
    from diadem.archive.package import Package

#: Bytes of a crate and a page that are read: the largest of ours have a tenth of it.
_LIMIT = 64 << 20


def facts_of(package: Package, record: Record | None = None) -> PackageFacts:
    """What a package tells a person. What cannot be understood, of a later version, is left out.

    Another record may take the place of its own. Raises `IntegrityError` where crate, record or previews are not what
    was sealed.
    """
    crate = _crate(package)
    root = crate.get("./", {})
    entries = package.files
    facts = PackageFacts(
        name=str(root.get("name") or package.url.rstrip("/").rpartition("/")[2]),
        archived=str(root.get("datePublished", "")),
        payload_id=package.payload_id,
        file_count=len(entries),
        total_bytes=sum(entry.size for entry in entries),
        dataset_count=0,
        license=_licence(crate, root),
        software=next((value for label, value in package.bag_info if label == "Bag-Software-Agent"), ""),
    )
    try:
        record = package.record if record is None else record
    except DocumentError:
        return facts
    return _described(facts, record, previews_of(package))


def _described(facts: PackageFacts, record: Record, previews: Mapping[int, bytes]) -> PackageFacts:
    """The same, with what a record says."""
    described = list(islice(_readable(record), MAX_DESCRIBED))
    stated = [dataset.fields for _, dataset in described]
    instruments = [instrument_of(dataset.document.get("fields", {})) for _, dataset in described]
    days = sorted({day[:10] for day in _texts(stated, "time.acquired_start")})
    return replace(
        facts,
        dataset_count=len(record.datasets),
        datasets=[dataset_facts(dataset.document, previews.get(index)) for index, dataset in described],
        description=str(record.session.get("description", "")),
        session=record.session,
        sample=record.sample,
        instrument=record.instrument,
        people=record.people,
        omitted=[(str(item["path"]), str(item["kind"]), str(item["reason"])) for item in record.omitted],
        days=(days[0], days[-1]) if days else None,
        instruments=list({repr(one): one for one in instruments if one}.values()),
        operators=list(dict.fromkeys(_texts(stated, "person.operator"))),
        continues=record.continues,
    )


def _texts(stated: Sequence[Mapping[str, Sequence[Assertion]]], key: str) -> list[str]:
    return [str(assertion.value) for fields in stated for assertion in fields.get(key, ())]


def _readable(record: Record) -> Iterator[tuple[int, Dataset]]:
    for index in range(len(record.datasets)):
        try:
            yield index, record.datasets[index]
        except DocumentError:  # of a later version: it is counted, and in the record
            continue


def previews_of(package: Package) -> dict[int, bytes]:
    """The pictures of a package's datasets, by their place in the record."""
    try:
        return previews_in(read_tag_file(package.bundle, PREVIEWS_PATH, package.id))
    except PackageError:  # the tag manifest lists none: sealed without one, or when pictures were on the page alone
        return previews_on(_derived(package, PAGE_PATH))


def _derived(package: Package, path: str) -> bytes:
    if path not in package.manifest:
        return b""
    with package.open_derived(path) as file:
        return file.read(_LIMIT)


def _crate(package: Package) -> Mapping[str, Mapping[str, Any]]:
    """The entities of the crate by their `@id`; none where it cannot be understood."""
    try:
        graph = parse_object(_derived(package, CRATE_PATH), where=CRATE_PATH).get("@graph", [])
    except DocumentError:
        return {}
    items = [item for item in graph if isinstance(item, dict)] if isinstance(graph, list) else []
    return {str(item.get("@id")): item for item in items}


def _licence(crate: Mapping[str, Mapping[str, Any]], root: Mapping[str, Any]) -> str:
    reference = root.get("license")
    entity = crate.get(str(reference.get("@id")), {}) if isinstance(reference, dict) else {}
    return str(entity.get("name") or NO_LICENCE)


@dataclass(frozen=True, slots=True)
class PageFile:
    """A page, and where its package is; `fetched` is a copy in a temporary folder, as it lies on no disk of ours."""

    path: Path
    fetched: bool
    origin: str


def page_file(package: Package) -> PageFile:
    """The page of a package that a browser can open, proven before it is: where it lies, or a copy of it.

    Raises `NotFound` where there is none, `DigestMismatch` where it is not what was sealed; nothing is shown then.
    """
    if PAGE_PATH not in package.manifest:
        raise NotFound(
            "the package has no page", where=package.url, next=f"Its values: diadem show {quoted(package.url)}"
        )
    data = package.read_derived(PAGE_PATH)
    if (folder := package.path) is not None:
        return PageFile(folder.joinpath(*PAGE_PATH.split("/")), fetched=False, origin=package.url)
    name = f"{package.id[7:19]}-{PAGE_PATH.rpartition('/')[2]}"
    path = Path(tempfile.mkdtemp(prefix="diadem-page-")) / name
    path.write_bytes(data)
    return PageFile(path, fetched=True, origin=package.url)
