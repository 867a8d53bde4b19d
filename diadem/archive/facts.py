"""A sealed package in plain words, from its record and its crate; its previews, and its page as a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.errors import DocumentError, NotFound, PackageError
from diadem.export.pages import previews_on
from diadem.model.amendments import Corrections
from diadem.model.effective import TITLE, effective_record
from diadem.model.facts import MAX_DESCRIBED, PackageFacts
from diadem.model.manifest import CRATE_PATH, PAGE_PATH, PREVIEWS_PATH
from diadem.model.plain_text import quoted
from diadem.model.record import Dataset, Datasets, Record, understood
from diadem.pack.describe import dataset_facts, instrument_of
from diadem.package.crate import NO_LICENCE
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
    facts = facts_without_record(package)
    record = record_of(package) if record is None else record
    previews = previews_of(package)
    described = list(islice(understood(record.datasets), MAX_DESCRIBED))
    datasets = [dataset for _, dataset in described]
    days = sorted({day[:10] for day in texts_in(datasets, "time.acquired_start")})
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
        instruments=instruments_in(datasets),
        operators=texts_in(datasets, "person.operator"),
        continues=record.continues,
    )


def facts_as_corrected(package: Package, sealed: Record | None, corrections: Corrections) -> PackageFacts:
    """The same as its owner has corrected it; without a record that can be read, what else can be said."""
    facts = facts_of(package)
    if not corrections.fields:
        return facts
    with suppress(DocumentError):  # what is in it cannot be understood
        if sealed is not None:
            facts = facts_of(package, effective_record(sealed, corrections))
    title = corrections.decide(TITLE).chosen
    return replace(facts, name=str(title.change.value)) if title is not None and title.change.value else facts


def record_of(package: Package) -> Record:
    """The record of a package; one that says nothing where it has none that this version understands."""
    try:
        return package.record
    except (DocumentError, NotFound):
        return Record("", Datasets(()), frozenset())


def facts_without_record(package: Package) -> PackageFacts:
    """What a package tells a person before its record is read. Raises `IntegrityError`."""
    crate = _crate(package)
    root = crate.get("./", {})
    reference = root.get("license")
    licence = crate.get(str(reference.get("@id")), {}) if isinstance(reference, dict) else {}
    entries = package.files
    return PackageFacts(
        name=str(root.get("name") or package.url.rstrip("/").rpartition("/")[2]),
        archived=str(root.get("datePublished", "")),
        payload_id=package.payload_id,
        file_count=len(entries),
        total_bytes=sum(entry.size for entry in entries),
        dataset_count=0,
        license=str(licence.get("name") or NO_LICENCE),
        software=next((value for label, value in package.bag_info if label == "Bag-Software-Agent"), ""),
    )


def texts_in(datasets: Iterable[Dataset], key: str) -> list[str]:
    """What datasets state of a field, each text once."""
    said = (one for dataset in datasets for one in dataset.document.get("fields", {}).get(key, ()))
    return list(dict.fromkeys(str(one["value"]) for one in said))


def instruments_in(datasets: Iterable[Dataset]) -> list[dict[str, str]]:
    """The instruments that datasets state, each once."""
    found = (instrument_of(dataset.document.get("fields", {})) for dataset in datasets)
    return list({repr(one): one for one in found if one}.values())


def previews_of(package: Package) -> dict[int, bytes]:
    """The pictures of a package's datasets, by their place in the record."""
    try:
        return previews_in(read_tag_file(package.bundle, PREVIEWS_PATH, package.id))
    except PackageError:  # the tag manifest lists none: sealed without one, or when pictures were on the page alone
        return previews_on(_derived(package, PAGE_PATH))


def _derived(package: Package, path: str) -> bytes:
    if path not in package.manifest:
        return b""
    with package.open_stored(path) as file:
        return file.read(_LIMIT)


def _crate(package: Package) -> Mapping[str, Mapping[str, Any]]:
    """The entities of the crate by their `@id`; none where it cannot be understood."""
    try:
        graph = parse_object(_derived(package, CRATE_PATH), where=CRATE_PATH).get("@graph", [])
    except DocumentError:
        return {}
    items = [item for item in graph if isinstance(item, dict)] if isinstance(graph, list) else []
    return {str(item.get("@id")): item for item in items}


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
