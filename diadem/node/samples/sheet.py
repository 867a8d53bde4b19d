"""The samples of a node as a sheet that people edit, one row each; and what an edited one says anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from diadem.catalogue import Catalogue
from diadem.catalogue.known_samples import OWN
from diadem.catalogue.words import words
from diadem.custody import statements
from diadem.errors import DiademError, UsageError
from diadem.model import table_changes
from diadem.model.sample_cells import COLUMNS, CellReading, merged_maker, sample_cells
from diadem.model.sample_custody import Whereabouts
from diadem.model.sample_statements import sample_of
from diadem.model.samples import CHANGED, DEFINED, Sample, is_sample_id, new_id
from diadem.model.statements import Draft, Subject
from diadem.model.table_changes import Conflict, Edit, Fault, cell_text, edited
from diadem.node.context import Context
from diadem.node.follow.follow import said_of
from diadem.node.samples.naming import require_free, the_sample
from diadem.node.samples.statements import tidied
from diadem.node.sheets import STATEMENT, Cells, SheetImport, as_shown, in_cell, texts
from diadem.scan.tables import AS_TEXT, LOST, lost_text
from diadem.serialization.validation import orcid_address, validate_draft

ID, AS_OF, WHERE = "id", "as of", "where"
_MAKE: Final = "diadem sample export samples.xlsx"
_EXPORT: Final = f"Export again, and edit that: {_MAKE}"
#: Members that a withdrawal leaves empty; of the others it says null.
_LISTS: Final = ("names", "identifiers", "parents", "elements", "preparation")


def rows_of(catalogue: Catalogue, where: Mapping[str, Whereabouts]) -> list[dict[str, str]]:
    """A row for each sample; `where` says by their ids where they are."""
    samples = catalogue.samples()
    names = {one.id: one.identifier for one in samples}
    return [
        {
            **sample_cells(one, names),
            WHERE: str(where[one.id]) if where[one.id].since else "",
            ID: one.id,
            AS_OF: STATEMENT + catalogue.sample_places(Subject.named(one.id).sha256)[-1][1],
        }
        for one in samples
    ]


class SampleSheet(SheetImport):
    """What an edited sheet of samples says anew."""

    sheet, keys, needed, make = "samples", (*COLUMNS, WHERE, ID, AS_OF), ("identifier",), _MAKE

    def __init__(self, context: Context, path: Path) -> None:
        super().__init__(context, path)
        #: Identifiers by the ids of samples, those that the sheet defines among them.
        self.names = {one.id: one.identifier for one in context.catalogue.samples()}
        self.recorded = set(self.names)
        #: Ids of the samples that the sheet defines, by the words of their identifiers.
        self.new: dict[str, str] = {}
        #: Rows by the sample that each is of, and identifiers that rows have taken.
        self.rows: dict[str, int] = {}
        self.taken: list[str] = []
        for _, cells in self.table.rows:  # a row may name a parent that stands below it
            name = cell_text(cells.get("identifier"))
            if words(name) and not cell_text(cells.get(ID)) and self._called(name) is None:
                self.names[self.new.setdefault(_key(name), new_id())] = name

    def read(self) -> Self:
        """Find what all rows say; what is defined goes before what is made from it."""
        super().read()
        self.drafts = _parents_first(self.drafts)
        if absent := len(self.recorded - self.rows.keys()):
            self.notes.append(f"samples of the node that are not in the sheet: {absent:,}; they are left as they are")
        return self

    def row(self, number: int, raw: Mapping[str, Any]) -> None:
        """Find what a row says."""
        if lost := lost_text(raw["identifier"], of_csv=self.table.of_csv):
            raise self.fault("identifier", f"the cell holds {lost}, {LOST}", AS_TEXT)
        cells = texts(raw)
        identifier, given_id = cells["identifier"], cells.get(ID, "")
        if given_id:
            if not is_sample_id(given_id):
                raise self.fault(ID, f"'{given_id[:80]}' is not the id of a sample", "Leave it empty for a new one.")
            if given_id not in self.recorded:
                raise self.fault(ID, f"this node knows no {given_id}", "Leave it empty for a new sample.")
            self._edited(self._row(number, ID, given_id), cells)
        elif not words(identifier):
            raise self.fault("identifier", f"'{identifier}' is not an identifier", "Example: S-12")
        elif (known := self._called(identifier)) is not None:
            self._said_already(self._row(number, "identifier", known), cells)
        else:
            new = {column: cells[column] for column in self._columns() if cells[column]}
            self._say(self._row(number, "identifier", self.new[_key(identifier)]), DEFINED, new)

    # -- which sample it is ----------------------------------------------------------------------------------------

    def _called(self, identifier: str) -> str | None:
        rows = self.context.catalogue.samples_named([words(identifier)])
        return next((row.sample for row in rows if row.kind == OWN), None)

    def _row(self, number: int, column: str, sample_id: str) -> _Row:
        if self.rows.setdefault(sample_id, number) != number:
            raise self.fault(column, f"row {self.rows[sample_id]} is of the same sample", "Keep one of them.")
        recorded = self.context.catalogue.samples([sample_id])
        sample = recorded[0] if recorded else Sample(sample_id, self.names[sample_id])
        return _Row(number, sample, self.names, self._find, self.context.address)

    def _find(self, name: str) -> str:
        if name in self.recorded:
            return name
        return self.new.get(_key(name)) or the_sample(self.context.catalogue, name).id

    def _exported(self, sample: Sample, text: str) -> Sample:
        """The sample as it was when the row was written."""
        said = text.removeprefix(STATEMENT)
        places = self.context.catalogue.sample_places(Subject.named(sample.id).sha256)
        if said == places[-1][1]:
            return sample
        place = next((place for place, one in places if one == said), None)
        if place is None:
            message = f"'{text[:80]}' is not a statement about this sample" if text else "it is empty"
            raise self.fault(AS_OF, message, _EXPORT)
        stated = (one for one in said_of(self.context.catalogue, sample.id) if one.order <= place)
        return sample_of(sample.id, stated) or Sample(sample.id, "")

    # -- what it says ----------------------------------------------------------------------------------------------

    def _edited(self, row: _Row, cells: Cells) -> None:
        before = self._exported(row.sample, cells.get(AS_OF, ""))
        now, exported = sample_cells(row.sample, self.names), sample_cells(before, self.names)
        changed: dict[str, str] = {}
        conflicts = []
        for column in self._columns():
            cell = row.meant(column, cells[column], now[column], exported[column])
            edit = Edit.NONE if cell is None else edited(in_cell(exported[column]), in_cell(now[column]), cell)
            if edit is Edit.CONFLICT:
                conflicts.append(self._conflict(row, column, exported[column], cell))
            elif edit is Edit.CHANGED:
                changed[column] = cell or ""
        self.conflicts += conflicts
        if changed or row.faults:
            self._say(row, CHANGED, changed)
        elif not conflicts:
            self.known(older=any(now[one] != exported[one] for one in COLUMNS))

    def _said_already(self, row: _Row, cells: Cells) -> None:
        """A row without an id, of a sample that is known: what it says is known too, or a conflict."""
        now = row.cells()
        meant = {one: row.meant(one, cells[one], now[one]) for one in self._columns() if cells[one]}
        other = [one for one, cell in meant.items() if one != "identifier" and cell not in (None, now[one])]
        self.conflicts += [self._conflict(row, one, "", meant[one]) for one in other]
        self.faults += row.faults
        if not other and not row.faults:
            self.known()

    def _say(self, row: _Row, event: str, said: Cells) -> None:
        """Have it stated, unless something in the row cannot be understood."""
        for column, cell in said.items():
            row.say(column, cell)
        if (identifier := said.get("identifier")) is not None:
            try:
                require_free(self.context.catalogue, identifier, but=row.sample.id, among=self.taken)
                self.taken.append(identifier)
            except DiademError as error:
                row.faults.append(Fault.of(row.number, "identifier", error))
        self.faults += row.faults
        if not row.faults:
            what, before = (table_changes.NEW, None) if event == DEFINED else (table_changes.CHANGED, row.cells())
            self.change(row.number, what, row.sample.identifier, row.draft(event), before, said)

    def _columns(self) -> Iterator[str]:
        return (column for column in COLUMNS if column in self.table.columns)

    def _conflict(self, row: _Row, column: str, exported: str, cell: str | None) -> Conflict:
        now = row.cells()[column]
        return Conflict(row.number, row.sample.identifier, column, in_cell(exported), now, cell or "")


@dataclass(slots=True)
class _Row:
    """A row and the sample that it is of, as it is known now; its cells as the members of a statement."""

    number: int
    sample: Sample
    #: Identifiers of all samples, and of those that the sheet defines, by their ids.
    names: Mapping[str, str]
    #: From the name of a sample to its id.
    find: Callable[[str], str]
    by: str
    #: Cells that cannot be understood.
    faults: list[Fault] = field(default_factory=list)
    _said: dict[str, Any] = field(default_factory=dict)
    _maker: dict[str, str] = field(default_factory=dict)

    def cells(self) -> Cells:
        """What an export would write now."""
        return {column: in_cell(text) for column, text in sample_cells(self.sample, self.names).items()}

    def meant(self, column: str, cell: str, *written: str) -> str | None:
        """A cell as an export writes it, or wrote it: two spellings of one thing are not a change.

        None where it cannot be understood, which is told.
        """
        shown = as_shown(cell, written)
        if shown in map(in_cell, written):
            return shown
        try:
            said = self._read(column, cell)
        except DiademError as error:
            self.faults.append(Fault.of(self.number, column, error))
            return None
        if column == "identifier":
            return cell
        told = merged_maker(self.sample, said) if COLUMNS[column] == "maker" else said
        members = {**self.sample.said(), "identifier": self.sample.identifier, COLUMNS[column]: told or None}
        return in_cell(sample_cells(Sample.of(self.sample.id, members), self.names)[column])

    def say(self, column: str, cell: str) -> None:
        """Let a cell count; one that no statement may say is told."""
        member = COLUMNS[column]
        try:
            said = self._read(column, cell)
            if member == "maker":
                self._maker |= said
                said = merged_maker(self.sample, self._maker)
            if said or member in _LISTS:
                validate_draft(self.draft(CHANGED, {member: said}))
            self._said[member] = said
        except DiademError as error:
            self.faults.append(Fault.of(self.number, column, error))

    def draft(self, what: str, members: Mapping[str, Any] | None = None) -> Draft:
        """The statement of what was said, or of some members."""
        said = self._said if members is None else members
        return statements.sample([self.sample.id], what, tidied(said), by=self.by)

    def _read(self, column: str, cell: str) -> Any:
        return CellReading(
            self.sample, self.names, shown=in_cell, find=self._parent, orcid=lambda text: orcid_address(text, "orcid")
        ).member(column, cell)

    def _parent(self, name: str) -> str:
        found = self.find(name)
        if found == self.sample.id:
            raise UsageError(f"{self.sample.identifier} cannot be made from itself", next="Name another parent.")
        return found


def _key(name: str) -> str:
    """What is compared of an identifier."""
    return " ".join(words(name))


def _parents_first(drafts: list[Draft]) -> list[Draft]:
    """What is defined before what is changed, and before what is made from it: an interruption leaves nothing open."""
    waiting = {draft.subjects[0].name: draft for draft in drafts if draft.predicate["event"] == DEFINED}
    done: list[Draft] = []
    while waiting:
        ready = [
            one
            for one, draft in waiting.items()
            if not any(parent["sample"] in waiting for parent in draft.predicate.get("parents", ()))
        ]
        done += [waiting.pop(one) for one in ready or list(waiting)]
    return [*done, *(draft for draft in drafts if draft.predicate["event"] != DEFINED)]
