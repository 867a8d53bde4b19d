"""The samples of a node as a sheet that people edit, one row each; and what an edited one says anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from diadem.catalogue import Catalogue
from diadem.catalogue.samples import OWN
from diadem.catalogue.words import words
from diadem.errors import DiademError, UsageError
from diadem.model import table_changes
from diadem.model.sample_cells import COLUMNS, CellReading, merged_maker, sample_cells
from diadem.model.sample_custody import Whereabouts
from diadem.model.sample_statements import sample_of
from diadem.model.samples import CHANGED, DEFINED, KIND, Sample, is_sample_id, new_id
from diadem.model.statements import Draft, Subject
from diadem.model.table_changes import Conflict, Edit, Fault, RowChange, WrittenTable, cell_text, edited, given, told
from diadem.node.context import Context
from diadem.node.follow.follow import said_of
from diadem.node.samples.naming import require_free, the_sample
from diadem.node.samples.statements import tidied
from diadem.node.sheets import STATEMENT, SheetImport, as_shown, in_cell
from diadem.scan.tables import AS_TEXT, LOST, Column, lost_text, read_table, write_table
from diadem.serialization.validation import orcid_address, validate_draft

SHEET: Final = "samples"
ID, AS_OF, WHERE = "id", "as of", "where"
#: All columns, in their order.
KEYS: Final = (*COLUMNS, WHERE, ID, AS_OF)
MAKE: Final = "diadem sample export samples.xlsx"

_Row = Mapping[str, str]


def write_samples(catalogue: Catalogue, where: Mapping[str, Whereabouts], path: Path, *, replace: bool) -> WrittenTable:
    """Write all samples to ``.csv`` or ``.xlsx``; `where` says by their ids where they are."""
    rows = _rows(catalogue, where)
    write_table(path, _columns(), rows, sheet=SHEET, replace=replace)
    return WrittenTable(str(path), len(rows))


def _rows(catalogue: Catalogue, where: Mapping[str, Whereabouts]) -> list[dict[str, str]]:
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


def _columns() -> Sequence[Column[_Row]]:
    def column(key: str) -> Column[_Row]:
        return Column(key, key, "text", lambda row: row[key])

    return [column(key) for key in KEYS]


#: Members that a withdrawal leaves empty; of the others it says null.
_LISTS: Final = ("names", "identifiers", "parents", "elements", "preparation")


@dataclass(slots=True)
class SampleRow:
    """A row and the sample that it is of.

    Attributes
    ----------
    number : int
        Of the row.
    sample : Sample
        As it is known now.
    names : mapping of str to str
        Identifiers of all samples, and of those that the sheet defines, by their ids.
    find : callable
        From the name of a sample to its id.
    by : str
        Who says it.
    faults : list of Fault
        Cells that cannot be understood.
    """

    number: int
    sample: Sample
    names: Mapping[str, str]
    find: Callable[[str], str]
    by: str
    faults: list[Fault] = field(default_factory=list)
    _said: dict[str, Any] = field(default_factory=dict)
    _maker: dict[str, str] = field(default_factory=dict)

    def cells(self) -> Mapping[str, str]:
        """What an export would write now."""
        return {column: in_cell(text) for column, text in sample_cells(self.sample, self.names).items()}

    def meant(self, column: str, cell: str, *texts: str) -> str | None:
        """A cell as an export would write it: two spellings of one thing are not a change.

        Parameters
        ----------
        column, cell : str
            Which one, and what stands in it.
        *texts : str
            What an export writes, or wrote.

        Returns
        -------
        str or None
            None where it cannot be understood, which is told.
        """
        shown = as_shown(cell, texts)
        if shown in map(in_cell, texts):
            return shown
        try:
            said = self._read(column, cell)
        except DiademError as error:
            self.faults.append(Fault.of(self.number, column, error))
            return None
        told = merged_maker(self.sample, said) if COLUMNS[column] == "maker" else said
        members = {**self.sample.said(), "identifier": self.sample.identifier, COLUMNS[column]: told or None}
        if column == "identifier":
            return cell
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
        said = {"event": what, **(self._said if members is None else members), "by": self.by}
        return Draft(KIND, (Subject.named(self.sample.id),), tidied(said))

    def _read(self, column: str, cell: str) -> Any:
        return CellReading(
            self.sample, self.names, shown=in_cell, find=self._parent, orcid=lambda text: orcid_address(text, "orcid")
        ).member(column, cell)

    def _parent(self, name: str) -> str:
        found = self.find(name)
        if found == self.sample.id:
            raise UsageError(f"{self.sample.identifier} cannot be made from itself", next="Name another parent.")
        return found


_EXPORT: Final = f"Export again, and edit that: {MAKE}"
_Cells = Mapping[str, str]


def plan_samples(context: Context, path: Path) -> SheetImport:
    """What a sheet of samples would have the node state.

    Raises
    ------
    NotFound, DocumentError
        There is no such sheet, or it is none.
    """
    plan = SheetImport(read_table(path, KEYS, sheet=SHEET, needed=["identifier"], make=MAKE))
    importing = _Importing(context, plan)
    for number, cells in plan.table.rows:
        if lost := lost_text(cells["identifier"], of_csv=plan.table.of_csv):
            plan.faults.append(Fault(number, "identifier", f"the cell holds {lost}, {LOST}", AS_TEXT))
            continue
        try:
            importing.take(number, {key: cell_text(cell) for key, cell in cells.items()})
        except _FaultyRow as found:
            plan.faults.append(found.fault)
    plan.drafts[:] = _parents_first(plan.drafts)
    if absent := len(importing.known - importing.rows.keys()):
        plan.notes.append(f"samples of the node that are not in the sheet: {absent:,}; they are left as they are")
    return plan


class _FaultyRow(Exception):
    """A row of which it cannot be understood what it is of."""

    def __init__(self, row: int, column: str, message: str, advice: str) -> None:
        super().__init__(message)
        self.fault = Fault(row, column, message, advice)


@dataclass(slots=True)
class _Importing:
    """Row by row."""

    context: Context
    plan: SheetImport
    known: set[str] = field(default_factory=set)
    #: Identifiers by the ids of samples, those that the sheet defines among them.
    names: dict[str, str] = field(default_factory=dict)
    #: Ids of the samples that the sheet defines, by the words of their identifiers.
    new: dict[str, str] = field(default_factory=dict)
    #: Rows by the sample that each is of, and identifiers that rows have taken.
    rows: dict[str, int] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Know all samples, and what the sheet defines: a row may name a parent that stands below it."""
        self.names.update((one.id, one.identifier) for one in self.context.catalogue.samples())
        self.known.update(self.names)
        for _, cells in self.plan.table.rows:
            name = cell_text(cells.get("identifier"))
            if words(name) and not cell_text(cells.get(ID)) and self._called(name) is None:
                self.names[self.new.setdefault(_key(name), new_id())] = name

    def take(self, number: int, cells: _Cells) -> None:
        """Find what a row says."""
        identifier, given_id = cells["identifier"], cells.get(ID, "")
        if given_id:
            self._edited(self._row(number, ID, self._by_id(number, given_id)), cells)
        elif not words(identifier):
            raise _FaultyRow(number, "identifier", f"'{identifier}' is not an identifier", "Example: S-12")
        elif (known := self._called(identifier)) is not None:
            self._said_already(self._row(number, "identifier", known), cells)
        else:
            self._new(self._row(number, "identifier", self.new[_key(identifier)]), cells)

    # -- which sample it is ----------------------------------------------------------------------------------------

    def _called(self, identifier: str) -> str | None:
        rows = self.context.catalogue.samples_named([words(identifier)])
        return next((row.sample for row in rows if row.kind == OWN), None)

    def _by_id(self, number: int, text: str) -> str:
        if not is_sample_id(text):
            raise _FaultyRow(number, ID, f"'{text[:80]}' is not the id of a sample", "Leave it empty for a new one.")
        if text not in self.known:
            raise _FaultyRow(number, ID, f"this node knows no {text}", "Leave it empty for a new sample.")
        return text

    def _row(self, number: int, column: str, sample_id: str) -> SampleRow:
        if self.rows.setdefault(sample_id, number) != number:
            message = f"row {self.rows[sample_id]} is of the same sample"
            raise _FaultyRow(number, column, message, "Keep one of them.")
        known = self.context.catalogue.samples([sample_id])
        sample = known[0] if known else Sample(sample_id, self.names[sample_id])
        return SampleRow(number, sample, self.names, self._find, self.context.address)

    def _find(self, name: str) -> str:
        if name in self.known:
            return name
        return self.new.get(_key(name)) or the_sample(self.context.catalogue, name).id

    def _exported(self, number: int, sample: Sample, text: str) -> Sample:
        """The sample as it was when the row was written."""
        said = text.removeprefix(STATEMENT)
        places = self.context.catalogue.sample_places(Subject.named(sample.id).sha256)
        if said == places[-1][1]:
            return sample
        place = next((place for place, one in places if one == said), None)
        if place is None:
            message = f"'{text[:80]}' is not a statement about this sample" if text else "it is empty"
            raise _FaultyRow(number, AS_OF, message, _EXPORT)
        stated = (one for one in said_of(self.context.catalogue, sample.id) if one.order <= place)
        return sample_of(sample.id, stated) or Sample(sample.id, "")

    # -- what it says ----------------------------------------------------------------------------------------------

    def _edited(self, row: SampleRow, cells: _Cells) -> None:
        before = self._exported(row.number, row.sample, cells.get(AS_OF, ""))
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
        self.plan.conflicts.extend(conflicts)
        if changed or row.faults:
            self._say(row, table_changes.CHANGED, CHANGED, changed)
        elif not conflicts:
            self.plan.known(older=any(now[one] != exported[one] for one in COLUMNS))

    def _said_already(self, row: SampleRow, cells: _Cells) -> None:
        """A row without an id, of a sample that is known: what it says is known too, or a conflict."""
        now = row.cells()
        meant = {one: row.meant(one, cells[one], now[one]) for one in self._columns() if cells[one]}
        other = [one for one, cell in meant.items() if one != "identifier" and cell not in (None, now[one])]
        self.plan.conflicts += [self._conflict(row, one, "", meant[one]) for one in other]
        self.plan.faults += row.faults
        if not other and not row.faults:
            self.plan.known()

    def _new(self, row: SampleRow, cells: _Cells) -> None:
        said = {column: cells[column] for column in self._columns() if cells[column]}
        self._say(row, table_changes.NEW, DEFINED, said)

    def _say(self, row: SampleRow, what: str, event: str, said: _Cells) -> None:
        """Have it stated, unless something in the row cannot be understood."""
        now = row.cells()
        for column, cell in said.items():
            row.say(column, cell)
        if "identifier" in said:
            self._require_free(row, said["identifier"])
        self.plan.faults += row.faults
        if not row.faults:
            shown = given(said) if event == DEFINED else told((one, now[one], cell) for one, cell in said.items())
            self.plan.change(RowChange(row.number, what, row.sample.identifier, shown), row.draft(event))

    def _require_free(self, row: SampleRow, identifier: str) -> None:
        try:
            require_free(self.context.catalogue, identifier, but=row.sample.id, among=self.taken)
            self.taken.append(identifier)
        except DiademError as error:
            row.faults.append(Fault.of(row.number, "identifier", error))

    def _columns(self) -> Iterator[str]:
        return (column for column in COLUMNS if column in self.plan.table.columns)

    def _conflict(self, row: SampleRow, column: str, exported: str, cell: str | None) -> Conflict:
        now = row.cells()[column]
        return Conflict(row.number, row.sample.identifier, column, in_cell(exported), now, cell or "")


def _key(name: str) -> str:
    """What is compared of an identifier."""
    return " ".join(words(name))


def _parents_first(drafts: list[Draft]) -> Iterator[Draft]:
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
    yield from done
    yield from (draft for draft in drafts if draft.predicate["event"] != DEFINED)
