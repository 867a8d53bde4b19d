"""An export put together: the packages of a session, whole or in part, with people or without."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from diadem.archive.facts import facts_of
from diadem.errors import DocumentError, UsageError
from diadem.export.pages import RAW, RECORD
from diadem.model.amendments import Corrections
from diadem.model.effective import TITLE, Corrected, corrected, effective_record
from diadem.model.facts import MAX_DESCRIBED, DatasetFacts, PackageFacts
from diadem.model.manifest import PackageId
from diadem.model.plain_text import date_text
from diadem.model.quantities import quantity_text
from diadem.model.record import Record
from diadem.node.context import Context
from diadem.node.give.exporting_contents import (
    DERIVED,
    Contents,
    cleaned_package,
    folder_names,
    metadata_files,
    raw_files,
    together,
    whole_package,
)
from diadem.node.give.exporting_redacted import Redaction, Redactor
from diadem.node.give.reading_copies import Copies
from diadem.node.quality.amending import sheet_of
from diadem.node.take.package_chain import ArchivedPackage, Session


class Parts:
    """The packages of one export.

    Parameters
    ----------
    context : Context
        The node.
    session : Session
        What is exported of it.
    only : str
        What of each package.
    redact : bool
        Whether people are taken out.
    """

    def __init__(self, context: Context, session: Session, only: str, *, redact: bool) -> None:
        self._context, self._session, self._only = context, session, only
        self._copies = {one.id: Copies(context, one.id) for one in session.packages}
        self._folders = folder_names(context, self._copies)
        self._moment = context.clock()
        self.redactor: Redactor | None = None
        self._facts: dict[PackageId, PackageFacts] = {}
        self._derived: dict[PackageId, dict[str, bytes]] = {}
        if redact:
            self._redact()

    @property
    def packages(self) -> Sequence[ArchivedPackage]:
        """What is exported."""
        return self._session.packages

    @property
    def damaged(self) -> list[str]:
        """Stores whose copy turned out to be damaged."""
        return sorted({store for copies in self._copies.values() for store in copies.damaged})

    def _redact(self) -> None:
        names = [user.full_name for user in self._context.settings.users if user.full_name]
        self.redactor = redactor = Redactor(list(self._copies.values()), names, paths=self._only == RECORD)
        records: dict[PackageId, Record] = {}
        for one, copies in self._copies.items():  # before anything is written: what one names is in no other
            corrections = self._corrections(copies)
            records[one] = effective_record(copies.record(), corrections)
            redactor.learn(records[one], corrections)
        for one, copies in self._copies.items():
            self._derived[one], self._facts[one] = redactor.derived(copies, records[one])
            self._folders[one] = self._cleaned_folder(one)
        if self._only != RECORD:
            kept = self._kept()
            for one, copies in self._copies.items():
                redactor.look_through_vendor_blocks(copies, kept[one])

    def _cleaned_folder(self, package: PackageId) -> str:
        assert self.redactor is not None
        name = self._folders[package]
        if self.redactor.terms.stand_in(name):
            name = f"session-{self._copies[package].package.payload_id[:12]}"
        return f"{name}-redacted"

    def _kept(self) -> dict[PackageId, set[str]]:
        """The files of each package that are exported; of a session's raw files only the newest versions."""
        if self._only == RAW:
            kept: dict[PackageId, set[str]] = {one: set() for one in self._copies}
            for file in self._session.files():
                kept[file.package].add(file.entry.name)
            return kept
        return {one: {entry.name for entry in copies.package.files} for one, copies in self._copies.items()}

    # -- what goes into the ZIP ------------------------------------------------------------------------------------

    def contents(self) -> Contents:
        """Everything but the letter."""
        if self._only == RAW:
            first = next(iter(self._copies))
            return raw_files(self._session.files(), self._copies, self._folders[first], self._moment)
        if self._only == RECORD:
            return self._metadata()
        return together([self._package(one, copies) for one, copies in self._copies.items()])

    def _package(self, package: PackageId, copies: Copies) -> Contents:
        folder = self._folders[package]
        if self.redactor is None:
            return whole_package(copies, folder, self._moment)
        software = self._context.tools.software
        return cleaned_package(copies, folder, self._derived[package], software=software, moment=self._moment)

    def _metadata(self) -> Contents:
        derived = {
            self._folders[one]: self._derived.get(one)
            or {path: copies.derived(path) for path in DERIVED if path in copies.package.manifest}
            for one, copies in self._copies.items()
        }
        packages = {self._folders[one]: str(one) for one in self._copies}
        return metadata_files(derived, packages, self._moment)

    # -- what is said of it ----------------------------------------------------------------------------------------

    def redaction(self) -> Redaction | None:
        """What was taken out, and what could not be, as far as the files were read."""
        return None if self.redactor is None else self.redactor.account()

    def _told(self, copies: Copies) -> PackageFacts:
        """A package in plain words, as its owner has corrected it."""
        facts, corrections = facts_of(copies.package), self._corrections(copies)
        if not corrections.fields:
            return facts
        with suppress(DocumentError):  # what is in it cannot be understood: its facts say what can be said
            if (record := copies.readable_record()) is not None:
                facts = facts_of(copies.package, effective_record(record, corrections))
        title = corrections.decide(TITLE).chosen
        return replace(facts, name=str(title.change.value)) if title is not None and title.change.value else facts

    def _corrections(self, copies: Copies) -> Corrections:
        return self._context.catalogue.corrections(str(copies.id))

    def corrected(self) -> list[tuple[str, str, str, str]]:
        """What, what it was, what it is, and who says so, of everything that the owners corrected."""
        return [
            _corrected_words(one)
            for copies in self._copies.values()
            if (record := copies.readable_record()) is not None
            for one in corrected(record, self._corrections(copies))
        ]

    def sheets(self) -> bytes:
        """The owners' signed corrections, one sheet a line; none of what people were taken out of."""
        if self.redactor is not None:
            return b""
        sheets = [sheet_of(self._context, str(one)) for one in self._copies]
        return b"".join(sheet.to_line() + b"\n" for sheet in sheets if sheet is not None)

    def facts(self) -> PackageFacts:
        """The session in plain words, of all packages together."""
        kept = self._kept()
        facts = {one: self._facts.get(one) or self._told(copies) for one, copies in self._copies.items()}
        if not facts:
            raise UsageError("there is nothing to export")
        several = len(facts) > 1
        datasets = [
            replace(dataset, primary=f"{self._folders[one]}/data/{dataset.primary}")
            if several and self._only != RAW
            else dataset
            for one, told in facts.items()
            for dataset in told.datasets
            if dataset.primary in kept[one] or self._only == RECORD
        ]
        return _joined(list(facts.values()), datasets, kept_files=sum(map(len, kept.values())) if several else None)


def _corrected_words(one: Corrected) -> tuple[str, str, str, str]:
    said = one.amendment
    what = f"{one.change.field}, {one.path}" if one.path else one.change.field
    before = "; ".join(quantity_text(value, unit) for value, unit in one.sealed[:3])
    now = "" if one.change.value is None else quantity_text(one.change.value, one.change.unit)
    why = f": {said.reason}" if said.reason else ""
    return what, before, now, f"corrected by {said.by} on {date_text(said.time[:10])}{why}"


def _joined(facts: Sequence[PackageFacts], datasets: Sequence[DatasetFacts], *, kept_files: int | None) -> PackageFacts:
    """One account of several packages; the first tells of the session."""
    first = facts[0]
    if kept_files is None:
        return first
    people = {str(person.get("name")): person for told in facts for person in told.people}
    return replace(
        first,
        file_count=kept_files,
        total_bytes=sum(told.total_bytes for told in facts),
        dataset_count=len(datasets) + sum(max(0, told.dataset_count - len(told.datasets)) for told in facts),
        datasets=list(datasets)[:MAX_DESCRIBED],
        people=list(people.values()),
        omitted=[item for told in facts for item in told.omitted],
        instruments=list({repr(one): one for told in facts for one in told.instruments}.values()),
        operators=list(dict.fromkeys(name for told in facts for name in told.operators)),
    )
