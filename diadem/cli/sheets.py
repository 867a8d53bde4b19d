"""Sheets on the command line: written, shown as changes in plain words, and taken in if a person agrees."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from diadem.cli.options import Argument, Option
from diadem.cli.output import plain, print_json, progress, tell
from diadem.errors import DocumentError, Refused
from diadem.model.plain_text import count_text

if TYPE_CHECKING:
    from diadem.model.table_changes import CellChange, RowChange, TableChanges

ToSheet = Annotated[Path, Argument("Where to: a new .xlsx or .csv.")]
FromSheet = Annotated[Path, Argument("An edited .xlsx or .csv.")]
Replace = Annotated[bool, Option("Replace the file if it exists.")]
Yes = Annotated[bool, Option("Write it without asking.")]
DryRun = Annotated[bool, Option("Only show what would be written.")]
#: Letters of a text that are shown.
_LETTERS = 60


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a person agrees to what is written: `group` is the command's; with --yes, not at all, or asked."""

    group: str
    yes: bool
    dry_run: bool

    def given(self, found: TableChanges) -> bool:
        """Whether it may be written.

        Raises
        ------
        Refused
            Nobody can be asked.
        """
        if self.yes:
            return True
        if not sys.stdin.isatty():
            raise Refused(
                "nothing was written: it was not confirmed",
                where=found.path,
                next=f"To write it: diadem {self.group} import {found.path} --yes",
            )
        return click.confirm("Write it?", err=True)


def tell_written(done: Any, as_json: bool) -> int:
    """Tell of a sheet that was written."""
    document = done.to_dict()
    if as_json:
        print_json(document)
    else:
        tell(f"written          {document['path']}, {count_text(document['rows'], 'row')}")
    return 0


def take_in(
    import_: Callable[..., TableChanges], file: Path, agreement: Agreement, *, as_json: bool, quiet: bool
) -> int:
    """Show what a sheet would change, and write it where a person agrees; the exit code.

    Raises
    ------
    DocumentError
        Something in the sheet cannot be understood.
    Refused
        Nobody has agreed, and nobody can be asked.
    """
    found = import_(file, dry_run=True)
    if not as_json:
        show(found)
    if agreement.dry_run or not found.changes or found.faults:
        return _ended(found, as_json=as_json)
    if as_json and not agreement.yes:
        return _ended(found, as_json=True)
    if not agreement.given(found):
        print("nothing was written")
        return 0
    with progress(quiet=quiet or as_json) as listener:
        done = import_(file, shown=found, listener=listener)
    if as_json:
        print_json(done.to_dict())
    else:
        print(f"written          {count_text(done.written, 'statement')}")
    return 0 if done.ok else 1


def _ended(found: TableChanges, *, as_json: bool) -> int:
    """Nothing was written, and was not to be, or could not."""
    if as_json:
        print_json(found.to_dict())
    elif found.faults:
        raise DocumentError(
            f"nothing was written: {count_text(len(found.faults), 'cell')} cannot be understood",
            where=found.path,
            next="Correct the sheet, and import it again.",
        )
    elif found.changes:
        print("nothing was written")
    return DocumentError.exit_code if found.faults else 0 if found.ok else 1


def show(found: TableChanges) -> None:
    """Print what a sheet would change."""
    for change in found.changes:
        _change(change)
    for one in found.conflicts:
        tell(f"CONFLICT         row {one.row}: {_short(one.about)}: {one.column}")
        print(f"{'':19}when exported {_quoted(one.exported)}, now {_quoted(one.now)}")
        print(f"{'':19}in the sheet {_quoted(one.wanted)}")
        print(f"{'':19}not written: somebody has changed it since; export again")
    for fault in found.faults:
        tell(f"NOT UNDERSTOOD   {fault}")
        if fault.next:
            tell(f"{'':19}{fault.next}")
    if found.unchanged:
        older = f"; for {found.older:,} of them the node has newer values" if found.older else ""
        print(f"unchanged        {count_text(found.unchanged, 'row')}{older}")
    if found.waiting:
        print(f"not assessed yet {count_text(found.waiting, 'row')}")
    for note in found.notes:
        tell(f"note             {note}")


def _change(change: RowChange) -> None:
    tell(f"{change.what:16} row {change.row}: {_short(change.about)}")
    for cell in change.cells:
        print(f"{'':19}{cell.column}: {_cell(change.what, cell)}")


def _cell(what: str, cell: CellChange) -> str:
    if what == "new":
        return _short(cell.after)
    if not cell.after:
        return f"{_quoted(cell.before)} is withdrawn"
    return f"{_quoted(cell.before)} → {_quoted(cell.after)}"


def _quoted(text: str) -> str:
    return f"“{_short(text)}”" if text else "nothing"


def _short(text: str) -> str:
    line = plain(" / ".join(text.split("\n")))
    return line if len(line) <= _LETTERS else line[: _LETTERS - 1] + "…"
