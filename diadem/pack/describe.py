"""From ingested datasets to the record, and to the plain facts that the crate and the page tell."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from diadem.extract.dataset import Siblings, Site, dataset_document
from diadem.model.facts import MAX_DESCRIBED, DatasetFacts, PackageFacts
from diadem.model.folder_dates import leading_date, session_days
from diadem.model.manifest import RECORD_PATH
from diadem.model.plain_text import first_of
from diadem.model.quantities import quantity_text, signal_text
from diadem.pack.ingest import Ingested
from diadem.package.crate import NO_LICENCE
from diadem.package.tags import HashedFile, payload_of
from diadem.package.zips import VendorArchive
from diadem.serialization.record_writer import RecordWriter
from diadem.store.source import SourceFile
from diadem.terms.fields import field, looked_for_first

#: Names that files state, of each kind, that are kept for the page.
_NAMED = 8
#: Values of one field that stand in one line.
_SHOWN = 4


class Describer:
    """Writes the record dataset by dataset and keeps what the page needs of the first ones.

    `files` are by their paths in the package: an instrument may be told by its folder. `profiles` are what was said of
    the instruments when these files were archived: see `sealed_profiles`.
    """

    def __init__(
        self,
        sink: BinaryIO,
        metadata: Mapping[str, Any],
        *,
        title: str,
        files: Mapping[str, SourceFile] | None = None,
        profiles: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._writer = RecordWriter(sink, metadata=metadata)
        self._site = Site(metadata, profiles)
        self._files = files or {}
        self._metadata = metadata
        self._title = title
        self._facts: list[DatasetFacts] = []
        self._days: set[str] = set()
        self._instruments: dict[str, dict[str, str]] = {}
        self._operators: dict[str, None] = {}
        self._count = 0
        self._issues: Counter[str] = Counter()
        self._siblings = Siblings()
        self._now = datetime.datetime.now(datetime.UTC)
        self.vendor = VendorArchive()
        self.flagged: list[tuple[str, str]] = []

    def add(self, ingested: Ingested) -> None:
        """Describe one dataset; one that lost all its files is not in the record."""
        if not ingested.files or ingested.extraction is None:
            return
        path = ingested.plan.primary.path
        dataset = dataset_document(
            ingested.plan,
            ingested.extraction,
            keep=self.vendor.add,
            siblings=self._siblings,
            mtimes_ns=[file.entry.mtime_ns for file in ingested.files],
            digests=[file.entry.sha256 for file in ingested.files],
            lost=[omission.name.decode("utf-8", "backslashreplace") for omission in ingested.omissions],
            site=self._site,
            place=Path(self._files[path].path) if path in self._files else None,
        )
        self._writer.add(dataset, admitted=True)
        self._count += 1
        if dataset["issues"]:
            self._issues.update(issue["code"] for issue in dataset["issues"])
            if len(self.flagged) < MAX_DESCRIBED:
                self.flagged.extend((dataset["files"][0]["path"], issue["code"]) for issue in dataset["issues"])
        if dataset["fields"]:
            said = dataset["fields"].get("time.acquired_start", ())
            self._days.update(str(item["value"])[:10] for item in said)
            if (instrument := instrument_of(dataset["fields"])) and len(self._instruments) <= _NAMED:
                self._instruments.setdefault(repr(instrument), instrument)
            if len(self._operators) <= _NAMED:
                said = dataset["fields"].get("person.operator", ())
                self._operators.update(dict.fromkeys(str(item["value"]) for item in said))
        if len(self._facts) < MAX_DESCRIBED:
            self._facts.append(dataset_facts(dataset, ingested.extraction.preview))

    def finish(
        self, *, omissions: Sequence[Mapping[str, str]], empty_folders: Sequence[str], continues: str = ""
    ) -> None:
        """Write the end of the record."""
        self._writer.finish(omitted=omissions, empty_dirs=empty_folders, continues=continues)

    @property
    def issues(self) -> Mapping[str, int]:
        """Codes of all issues and how often each came."""
        return dict(self._issues)

    @property
    def date(self) -> str | None:
        """The session's date as given; else see `session_days`. None where nothing tells."""
        if stated := self._metadata.get("session", {}).get("date"):
            return str(stated)
        days = map(datetime.date.fromisoformat, self._days)
        found = session_days(days, leading_date(self._title), latest=self._now.date() + datetime.timedelta(days=1))
        return found[0].isoformat() if found else None

    @property
    def slug(self) -> str:
        """What names the package for a person: the session's title or identifier, else the folder's name."""
        session = self._metadata.get("session", {})
        return str(session.get("title") or session.get("identifier") or self._title)

    def facts(
        self,
        files: Sequence[HashedFile],
        *,
        archived: str,
        omissions: Sequence[Mapping[str, str]],
        license_text: str,
        software: str,
        continues: str = "",
    ) -> PackageFacts:
        """What crate and page tell of hashed files, the record among them; `archived` is ISO 8601 with offset."""
        entries = [file.entry for file in files if file.entry.path != RECORD_PATH]
        session = self._metadata.get("session", {})
        return PackageFacts(
            name=self.slug,
            archived=archived,
            payload_id=payload_of(files),
            file_count=len(entries),
            total_bytes=sum(entry.size for entry in entries),
            dataset_count=self._count,
            datasets=self._facts,
            description=str(session.get("description", "")),
            license=str(session.get("license", "")) or license_text or NO_LICENCE,
            session=session,
            sample=self._metadata.get("sample", {}),
            instrument=self._metadata.get("instrument", {}),
            people=self._metadata.get("people", []),
            omitted=[(item["path"], item["kind"], item["reason"]) for item in omissions],
            software=software,
            days=(min(self._days), max(self._days)) if self._days else None,
            instruments=list(self._instruments.values()),
            operators=list(self._operators),
            continues=continues,
        )


def instrument_of(fields: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, str]:
    """The instrument of a dataset, as the head of a record has the session's; empty where neither model nor name is."""
    keys = ("kind", "model", "name", "owner_ror", "pid", "serial", "site", "vendor")
    found = {key: str(_chosen(said)["value"]) for key in keys if (said := fields.get(f"instrument.{key}"))}
    return found if "model" in found or "name" in found else {}


def dataset_facts(dataset: Mapping[str, Any], preview: bytes | None) -> DatasetFacts:
    """One dataset of a record in plain words, with the preview that was drawn of it."""
    primary = dataset["files"][0]
    first = {key: place for place, key in enumerate(looked_for_first())}
    fields = dict(sorted(dataset["fields"].items(), key=lambda item: first.get(item[0], len(first))))
    stated = [(key, _chosen(assertions)) for key, assertions in fields.items()]
    return DatasetFacts(
        id=dataset["id"],
        primary=primary["path"],
        format=primary["format"],
        size=sum(file["bytes"] for file in dataset["files"]),
        file_count=len(dataset["files"]),
        signals=[signal_text(signal) for signal in dataset["signals"]],
        rows=[(field(key).label, _texts(assertions)) for key, assertions in fields.items()],
        # The crate tells what a person looks for first; the record has all. A validator's time grows with each.
        properties=[
            (key, field(key).emg, chosen["value"], chosen.get("unit", "")) for key, chosen in stated if key in first
        ],
        issues=[issue["message"] for issue in dataset["issues"]],
        preview=preview,
        instrument=instrument_of(dataset["fields"]),
    )


def _texts(assertions: Sequence[Mapping[str, Any]]) -> str:
    """All that is stated of a field, of several signals or by several sources, as far as one line holds it."""
    if any(assertion.get("preferred") for assertion in assertions):
        assertions = [_chosen(assertions)]
    return first_of((quantity_text(item["value"], item.get("unit", "")) for item in assertions), _SHOWN, " · ")


def _chosen(assertions: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return next((assertion for assertion in assertions if assertion.get("preferred")), assertions[0])
