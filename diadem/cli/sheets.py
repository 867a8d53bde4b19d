"""Sheets on the command line: written, shown as changes in plain words, and taken in if a person agrees."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from diadem.cli.options import Argument, Option
from diadem.cli.output import plain, print_json, progress, tell
from diadem.cli.verb import Answer
from diadem.errors import DocumentError, Refused
from diadem.model.plain_text import count_text

if TYPE_CHECKING:
    from diadem.model.table_changes import CellChange, TableChanges

ToSheet = Annotated[Path, Argument("Where to: a new .xlsx or .csv.")]
FromSheet = Annotated[Path, Argument("An edited .xlsx or .csv.")]
Replace = Annotated[bool, Option("Replace the file if it exists.")]
Yes = Annotated[bool, Option("Write it without asking.")]
DryRun = Annotated[bool, Option("Only show what would be written.")]
#: Letters of a text that are shown.
_LETTERS = 60


def written(done: Any) -> Answer:
    """Tell of a sheet that was written."""
    document = done.to_dict()
    return Answer(document, [f"written          {document['path']}, {count_text(document['rows'], 'row')}"])


def take_in(
    import_: Callable[..., TableChanges],
    file: Path,
    group: str,
    *,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Show what a sheet would change, and write it where a person agrees; the exit code.

    `group` is the one that the command is of. Raises `DocumentError` where something in the sheet cannot be understood,
    `Refused` where nobody has agreed with `yes`, and nobody can be asked.
    """
    found = import_(file, dry_run=True)
    if not as_json:
        show(found)
    writes = bool(found.changes and not found.faults and not dry_run and (yes or not as_json))
    if writes and not yes:
        if not sys.stdin.isatty():
            advice = f"To write it: diadem {group} import {found.path} --yes"
            raise Refused("nothing was written: it was not confirmed", where=found.path, next=advice)
        if not click.confirm("Write it?", err=True):
            print("nothing was written")
            return 0
    if writes:
        with progress(quiet=quiet or as_json) as listener:
            found = import_(file, shown=found, listener=listener)
    if as_json:
        print_json(found.to_dict())
    elif found.faults:
        raise DocumentError(
            f"nothing was written: {count_text(len(found.faults), 'cell')} cannot be understood",
            where=found.path,
            next="Correct the sheet, and import it again.",
        )
    elif writes:
        print(f"written          {count_text(found.written, 'statement')}")
    elif found.changes:
        print("nothing was written")
    return DocumentError.exit_code if found.faults else 0 if found.ok else 1


def show(found: TableChanges) -> None:
    """Print what a sheet would change."""
    for change in found.changes:
        tell(f"{change.what:16} row {change.row}: {_short(change.about)}")
        for cell in change.cells:
            print(f"{'':19}{cell.column}: {_cell(change.what, cell)}")
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
