"""What one row of an edited sheet says of a sample, as the members of a statement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from diadem.custody import statements
from diadem.errors import DiademError, UsageError
from diadem.model.sample_cells import COLUMNS, CellReading, merged_maker, sample_cells
from diadem.model.samples import CHANGED, Sample
from diadem.model.statements import Draft
from diadem.model.table_changes import Fault
from diadem.node.samples.sample_saying import tidied
from diadem.node.sheet_plan import as_shown, in_cell
from diadem.serialization.validation import orcid_address, validate_draft

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
