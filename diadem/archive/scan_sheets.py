"""Tables as CSV and as typed sheets. No text in a table is ever taken for a formula."""

from __future__ import annotations

import csv
import datetime
import io
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from diadem.archive.scan_columns import Column, dataset_columns, text_of_cell
from diadem.errors import NotFound, StoreError, UsageError
from diadem.store.system import move

if TYPE_CHECKING:
    from diadem.archive.scan import Scan

T = TypeVar("T")

#: What spreadsheet programs take for the beginning of a formula in a text file (OWASP, CSV injection); the full-width
#: signs count in Japanese and Chinese versions.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
#: Where a cell may begin: a program that divides lines at semicolons, as Excel does in Germany, takes the quotes around
#: a text with one for letters. An apostrophe makes a text of what follows.
_BEGINS = r"(?:^|(?<=[;\t\r\n]))"
_FORMULA = re.compile(rf"""{_BEGINS}(?=["']*[{"".join(map(re.escape, FORMULA_STARTS))}])""")
_DEFUSED = re.compile(rf"""{_BEGINS}'(?=["']*[{"".join(map(re.escape, FORMULA_STARTS))}])""")
#: Limits of a sheet and of a cell (Excel specifications and limits).
MAX_ROWS, MAX_TEXT = 1_048_576, 32_767
_FORMATS = {
    "text": {},
    "integer": {"num_format": "#,##0"},
    "number": {"num_format": "General"},
    "date": {"num_format": "yyyy-mm-dd"},
    "moment": {"num_format": "yyyy-mm-dd hh:mm:ss"},
}
_WIDTHS = {"text": 0, "integer": 12, "number": 12, "date": 12, "moment": 20}
_NARROWEST, _WIDEST, _LOOKED_AT = 8, 60, 300
#: Excel counts days from here.
_FIRST_YEAR = 1900


def table_csv(columns: Sequence[Column[T]], rows: Iterable[T]) -> bytes:
    """A table as CSV in UTF-8 with a byte-order mark, which Excel needs to see that it is UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([column.header for column in columns])
    for row in rows:
        writer.writerow([_csv_cell(column.value(row)) for column in columns])
    return text.getvalue().encode("utf-8-sig")


def write_table(
    path: Path,
    columns: Sequence[Column[T]],
    rows: Sequence[T],
    *,
    sheet: str,
    choices: Mapping[str, Sequence[str]] | None = None,
    replace: bool = False,
) -> None:
    """Write one table as ``.csv`` or ``.xlsx``: whole, or not at all.

    Raises
    ------
    UsageError
        The ending is another one; or there is such a file, which somebody may have edited, and `replace` is not said.
    """
    kind = path.suffix.lower()
    if kind not in (".csv", ".xlsx"):
        raise UsageError(f"a table is not written as '{path.suffix}'", where=str(path), next="Use .csv or .xlsx.")
    if kind == ".xlsx" and len(rows) > MAX_ROWS - 2:
        raise UsageError(f"{len(rows):,} rows do not fit into a sheet", where=str(path), next="Use .csv.")
    if not path.parent.is_dir():
        raise NotFound("there is no such folder", where=str(path.parent), next="Make it first.")
    if path.exists() and not replace:
        raise UsageError(
            "this file exists already, and somebody may have edited it", where=str(path), next="--replace it."
        )
    handle, draft = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=kind, dir=path.parent)  # a name nobody guesses
    os.close(handle)
    stage = Path(draft)
    try:
        if kind == ".csv":
            stage.write_bytes(table_csv(columns, rows))
        else:
            book = Workbook(stage)
            book.add(sheet, columns, rows, choices=choices)
            book.close()
        move(stage, path)
    except OSError as error:
        raise StoreError(
            f"the table cannot be written: {error.strerror}",
            where=str(path),
            next="Close it in other programs, or choose another place.",
        ) from error
    finally:
        stage.unlink(missing_ok=True)


def datasets_csv(scan: Scan) -> bytes:
    """The datasets as CSV."""
    return table_csv(dataset_columns(scan), scan.datasets)


def _csv_cell(value: Any) -> object:
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", timespec="seconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return harmless(text_of_cell(value, lines=True)) if isinstance(value, str) else "" if value is None else value


def harmless(text: str) -> str:
    """A text of which no spreadsheet program takes a part for a formula: an apostrophe goes before that part."""
    return _FORMULA.sub("'", text)


def as_meant(text: str) -> str:
    """The text that `harmless` was given."""
    return _DEFUSED.sub("", text)


class Workbook:
    """A file of typed sheets, written row by row.

    Parameters
    ----------
    path : Path
        Where to; replaced if it is there.
    """

    def __init__(self, path: Path) -> None:
        import xlsxwriter

        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        self._book = xlsxwriter.Workbook(str(path), {**options, "strings_to_numbers": False})
        self._head = self._book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        self._styles = {kind: self._book.add_format(style) for kind, style in _FORMATS.items()}

    def add(
        self,
        name: str,
        columns: Sequence[Column[T]],
        rows: Sequence[T],
        *,
        choices: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Write a sheet.

        Parameters
        ----------
        name : str
            Of the sheet.
        columns, rows : sequence
            The table; what does not fit into a sheet is left out, and its last row says so.
        choices : mapping of str to sequence of str, optional
            By the key of a column, what a person chooses from.
        """
        sheet = self._book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        kept = rows[: MAX_ROWS - 2]
        sheet.autofilter(0, 0, max(1, len(kept)), len(columns) - 1)
        for at, column in enumerate(columns):
            sheet.set_column(at, at, _width(column, kept))
            if kept and (words := (choices or {}).get(column.key)):
                sheet.data_validation(1, at, len(kept), at, {"validate": "list", "source": list(words)})
        for at, column in enumerate(columns):
            sheet.write_string(0, at, column.header, self._head)
        for number, row in enumerate(kept, start=1):
            for at, column in enumerate(columns):
                self._write(sheet, number, at, column, column.value(row))
        if len(kept) < len(rows):
            sheet.write_string(len(kept) + 1, 0, f"and {len(rows) - len(kept):,} more, which do not fit into a sheet")

    def _write(self, sheet: Any, row: int, at: int, column: Column[Any], value: Any) -> None:
        style = self._styles[column.kind]
        if isinstance(value, datetime.date) and value.year >= _FIRST_YEAR:
            sheet.write_datetime(row, at, value, style)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            sheet.write_number(row, at, value, style)
        elif value not in (None, ""):
            sheet.write_string(row, at, _fitting(text_of_cell(str(value), lines=True)), style)

    def close(self) -> None:
        """Write what is left."""
        self._book.close()


def shown_as(text: str) -> tuple[str, ...]:
    """All that may stand in a cell for a text: in a workbook, in a CSV, and in a workbook made of a CSV."""
    shown = text_of_cell(text, lines=True)
    return shown, _fitting(shown), harmless(shown)


def _fitting(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _width(column: Column[T], rows: Sequence[T]) -> int:
    """Characters that the header and most of the texts need."""
    least = max(_NARROWEST, _WIDTHS[column.kind], len(column.header) + 3)
    if column.kind != "text":
        return least
    lengths = [len(str(column.value(row) or "")) + 1 for row in rows[:_LOOKED_AT]]
    return min(_WIDEST, max(least, *lengths)) if lengths else least
