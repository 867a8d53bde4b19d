"""What an edited sheet would have the node state: found first, as a whole; then written, if a person agrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from diadem.errors import DocumentError, Refused
from diadem.model.plain_text import count_text
from diadem.model.ports import Listener, Progress
from diadem.model.statements import Draft
from diadem.model.table_changes import Conflict, Fault, RowChange, TableChanges, cell_text
from diadem.node.context import Context
from diadem.scan.tables import Table, shown_as

#: Before the id of a statement in a cell: so no spreadsheet program takes it for a number.
STATEMENT: Final = "statement:"
#: Statements that are signed and kept at once.
_BATCH: Final = 50


@dataclass(slots=True)
class SheetImport:
    """What was found in a sheet so far.

    Attributes
    ----------
    table : Table
        The sheet.
    drafts : list of Draft
        What would be stated: one statement for each change.
    """

    table: Table
    drafts: list[Draft] = field(default_factory=list)
    changes: list[RowChange] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unchanged: int = 0
    older: int = 0
    waiting: int = 0

    def __post_init__(self) -> None:
        """Say which columns mean nothing."""
        if self.table.unknown:
            named = ", ".join(f"'{head[:40]}'" for head in self.table.unknown)
            mean = "means" if len(self.table.unknown) == 1 else "mean"
            self.notes.append(f"{count_text(len(self.table.unknown), 'column')} that {mean} nothing here: {named}")

    def change(self, change: RowChange, draft: Draft) -> None:
        """A row says something new."""
        self.changes.append(change)
        self.drafts.append(draft)

    def known(self, *, older: bool = False) -> None:
        """A row says what is known; or what was known when it was written, and the node knows more."""
        self.unchanged += 1
        self.older += older

    def outcome(self, *, written: int = 0) -> TableChanges:
        """All of it, as it is told."""
        return TableChanges(
            self.table.path,
            tuple(self.changes),
            tuple(self.conflicts),
            tuple(sorted(self.faults, key=lambda one: one.row)),
            tuple(self.notes),
            self.unchanged,
            self.older,
            self.waiting,
            written,
        )

    def carry_out(self, context: Context, shown: TableChanges | None, listener: Listener) -> TableChanges:
        """State it, a few rows at a time: who stops it and imports the sheet again goes on where it ended.

        Parameters
        ----------
        context : Context
            The node.
        shown : TableChanges or None
            What a person has agreed to.
        listener : Listener
            Told of progress.

        Raises
        ------
        DocumentError
            Something cannot be understood; nothing was written.
        Refused
            The node or the sheet has changed since `shown`; nothing was written.
        """
        found = self.outcome()
        if found.faults:
            more = f" (and {len(found.faults) - 1} more)" if len(found.faults) > 1 else ""
            raise DocumentError(
                f"nothing was written: {found.faults[0]}{more}", where=found.path, next=found.faults[0].next or None
            )
        if shown is not None and shown != found:
            raise Refused(
                "nothing was written: the node or the sheet has changed since the changes were shown",
                where=found.path,
                next="Look at them again.",
            )
        total = len(self.drafts)
        for start in range(0, total, _BATCH):
            listener(Progress("state", start, total, found.path, "rows"))
            context.say(self.drafts[start : start + _BATCH], as_user=True)
        return self.outcome(written=total)


def in_cell(text: str) -> str:
    """A text as it stands in a cell."""
    return cell_text(shown_as(text)[0])


def as_shown(cell: str, texts: Sequence[str]) -> str:
    """What stands in a cell, in the form of one of these texts where it is one of them.

    A workbook has it cut where it is too long, and a workbook that was made of a CSV with an apostrophe.
    """
    for text in texts:
        if cell in map(cell_text, shown_as(text)):
            return in_cell(text)
    return cell
