"""Sheets that people edit, a row for each thing: written, read back, and what an edited one would have the node state.

All of it is found first, as a whole; then it is written, if a person agrees. What a row says is for those who know of
what it is: samples and judgements.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from diadem.errors import DocumentError, NotFound, Refused, UsageError
from diadem.model.plain_text import count_text
from diadem.model.ports import Listener, Progress
from diadem.model.statements import Draft
from diadem.model.table_changes import (
    Conflict,
    Fault,
    RowChange,
    TableChanges,
    WrittenTable,
    cell_text,
    given,
    told,
)
from diadem.node.context import Context
from diadem.scan.tables import Column, read_table, shown_as, write_table

#: Before the id of a statement in a cell: so no spreadsheet program takes it for a number.
STATEMENT: Final = "statement:"
#: Statements that are signed and kept at once.
_BATCH: Final = 50

Cells = Mapping[str, str]


class SheetImport(ABC):
    """What an edited sheet says anew, row by row, against what was known when it was written and is now."""

    #: Name of the sheet in a workbook, and of the lock of who imports one; all its columns, those without which nothing
    #: can be understood, and the command that writes it.
    sheet: ClassVar[str]
    keys: ClassVar[Sequence[str]]
    needed: ClassVar[Sequence[str]]
    make: ClassVar[str]

    def __init__(self, context: Context, path: Path) -> None:
        self.context = context
        self.table = read_table(path, self.keys, sheet=self.sheet, needed=self.needed, make=self.make)
        #: What would be stated: one statement for each change.
        self.drafts: list[Draft] = []
        self.changes: list[RowChange] = []
        self.conflicts: list[Conflict] = []
        self.faults: list[Fault] = []
        self.notes: list[str] = []
        self.unchanged = self.older = self.waiting = 0
        #: What is being looked up: the column of an error.
        self.column = ""
        if unknown := self.table.unknown:
            named = ", ".join(f"'{head[:40]}'" for head in unknown)
            mean = "means" if len(unknown) == 1 else "mean"
            self.notes.append(f"{count_text(len(unknown), 'column')} that {mean} nothing here: {named}")

    @classmethod
    def write(
        cls,
        path: Path,
        rows: Sequence[Mapping[str, Any]],
        *,
        numbers: Sequence[str] = (),
        choices: Mapping[str, Sequence[str]] | None = None,
        replace: bool,
    ) -> WrittenTable:
        """Write such a sheet to ``.csv`` or ``.xlsx``; all columns but `numbers` hold text."""

        def column(key: str) -> Column[Mapping[str, Any]]:
            return Column(key, key, "number" if key in numbers else "text", lambda row: row[key])

        write_table(path, [column(key) for key in cls.keys], rows, sheet=cls.sheet, choices=choices, replace=replace)
        return WrittenTable(str(path), len(rows))

    @classmethod
    def run(
        cls, context: Context, path: Path, *, dry_run: bool, shown: TableChanges | None, listener: Listener
    ) -> TableChanges:
        """Find what a sheet says anew; unless it is a dry run, state it while nobody else imports such a sheet."""
        if dry_run:
            return cls(context, path).read().outcome()
        context.require_writable()
        with context.locked(cls.sheet):
            return cls(context, path).read().carry_out(shown, listener)

    # -- what it says ----------------------------------------------------------------------------------------------

    def read(self) -> Self:
        """Find what all rows say."""
        for number, raw in self.table.rows:
            self.column = ""
            try:
                self.row(number, raw)
            except (UsageError, NotFound) as error:  # whatever else fails is no fault of the sheet
                self.faults.append(Fault.of(number, self.column, error))
        return self

    @abstractmethod
    def row(self, number: int, raw: Mapping[str, Any]) -> None:
        """Find what a row says; an error is one of the cell in `column`."""

    def fault(self, column: str, message: str, advice: str) -> UsageError:
        """What is wrong with a cell, to be raised."""
        self.column = column
        return UsageError(message, next=advice)

    def change(self, number: int, what: str, about: str, draft: Draft, before: Cells | None, after: Cells) -> None:
        """A row says something new, of what is known or was not."""
        cells = given(after) if before is None else told((key, before[key], cell) for key, cell in after.items())
        self.changes.append(RowChange(number, what, about, cells))
        self.drafts.append(draft)

    def known(self, *, older: bool = False) -> None:
        """A row says what is known; or what was known when it was written, and the node knows more."""
        self.unchanged += 1
        self.older += older

    # -- what becomes of it ----------------------------------------------------------------------------------------

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

    def carry_out(self, shown: TableChanges | None, listener: Listener) -> TableChanges:
        """State it, a few rows at a time: who stops it and imports the sheet again goes on where it ended.

        Nothing is written where something cannot be understood (`DocumentError`), or where node or sheet have changed
        since a person has agreed to what was `shown` (`Refused`).
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
            self.context.say(self.drafts[start : start + _BATCH], as_user=True)
        return self.outcome(written=total)


def texts(raw: Mapping[str, Any]) -> dict[str, str]:
    """The cells of a row as texts."""
    return {key: cell_text(cell) for key, cell in raw.items()}


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
