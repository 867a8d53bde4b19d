"""Tables that people read and edit, as CSV and as Excel workbooks: written, and read back as they were edited.

No text in a table is ever taken for a formula. What spreadsheet programs do to a table is expected: other columns and
another order of them, semicolons, a byte-order mark, decimal commas, hidden rows. What would change the meaning of a
row silently is refused: merged cells, two columns of one name, text in another encoding, a formula without its value.
"""

from __future__ import annotations

import csv
import datetime
import io
import os
import re
import stat
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeVar
from urllib.parse import unquote_to_bytes

from diadem.errors import DiademError, DocumentError, NotFound, StoreError, UsageError
from diadem.model.plain_text import without_surrogates
from diadem.serialization.zip_list import UNREADABLE, open_zip
from diadem.store.whole import write_whole

T = TypeVar("T")
#: A row of cells by the key of their column.
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One column: its name for programs, its name with the unit for people, and the value of a row.

    A value is text, int, float, `datetime.date` or `datetime.datetime` without zone; None where nothing is known.
    """

    key: str
    header: str
    kind: Literal["text", "integer", "number", "date", "moment"]
    value: Callable[[T], Any]


# -- texts in cells ------------------------------------------------------------------------------------------------

#: What spreadsheet programs take for the beginning of a formula in a text file (OWASP, CSV injection); the full-width
#: signs count in Japanese and Chinese versions.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
#: Where a cell may begin: a program that divides lines at semicolons, as Excel does in Germany, takes the quotes around
#: a text with one for letters. An apostrophe makes a text of what follows.
_BEGINS = r"(?:^|(?<=[;\t\r\n]))"
_FORMULA = re.compile(rf"""{_BEGINS}(?=["']*[{"".join(map(re.escape, FORMULA_STARTS))}])""")
_DEFUSED = re.compile(rf"""{_BEGINS}'(?=["']*[{"".join(map(re.escape, FORMULA_STARTS))}])""")
#: Characters that a cell holds (Excel specifications and limits).
MAX_TEXT: Final = 32_767
#: Categories of characters that nothing shows: surrogates, controls, marks that turn the direction, the unassigned.
UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})
#: Digits that a spreadsheet program keeps of a number.
_DIGITS: Final = 15


def text_of_cell(value: str, *, lines: bool = False) -> str:
    """A text for a cell or a line of a terminal: U+FFFD for what nothing shows; with `lines`, line feeds may stay."""
    text = without_surrogates(value)
    if text.isprintable():
        return text
    return "".join(
        "\ufffd" if unicodedata.category(character) in UNSHOWN and not (lines and character == "\n") else character
        for character in text
    )


def harmless(text: str) -> str:
    """A text of which no spreadsheet program takes a part for a formula: an apostrophe goes before that part."""
    return _FORMULA.sub("'", text)


def as_meant(text: str) -> str:
    """The text that `harmless` was given."""
    return _DEFUSED.sub("", text)


def shown_as(text: str) -> tuple[str, ...]:
    """All that may stand in a cell for a text: in a workbook, in a CSV, and in a workbook made of a CSV."""
    shown = text_of_cell(text, lines=True)
    return shown, _fitting(shown), harmless(shown)


def _fitting(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def to_cell(path: str) -> str:
    """A path for a cell: what no cell can hold or show, and the percent sign, are written ``%XX``."""
    if path.isprintable() and "%" not in path:
        return path
    return "".join(
        "".join(f"%{byte:02X}" for byte in os.fsencode(character))
        if character == "%" or unicodedata.category(character) in UNSHOWN
        else character
        for character in path
    )


def from_cell(cell: str) -> str:
    """The path that `to_cell` has written."""
    return os.fsdecode(unquote_to_bytes(cell))


class Exponent(float):
    """A number that a workbook shows with an exponent: ``1E5`` was typed, or ``100000``, and nobody can know."""


#: What is wrong with such a cell, and what to do.
LOST: Final = "not the text that was typed"
AS_TEXT: Final = "Write it as text: in a workbook (.xlsx), with an apostrophe before it."


def lost_text(cell: object, *, of_csv: bool) -> str:
    """What a spreadsheet program has made of a text that was typed; "" where the cell still says it."""
    if isinstance(cell, str):
        exponent = of_csv and re.fullmatch(r"\s*[+-]?\d(?:[.,]\d+)?E\+\d{2,3}\s*", cell)
        return f"the number {cell.strip()}" if exponent else ""
    if isinstance(cell, bool):
        return f"the truth value {cell}"
    if isinstance(cell, Exponent):
        return f"the number {float(cell):.3g}"
    if isinstance(cell, int | float) and abs(cell) >= 10**_DIGITS:
        return f"the number {cell:.15g}, of which no more digits are kept"
    if isinstance(cell, datetime.datetime):
        return f"the date {cell.date()}"
    return f"the date or time {cell}" if isinstance(cell, datetime.date | datetime.time | datetime.timedelta) else ""


# -- writing -------------------------------------------------------------------------------------------------------

#: Rows of a sheet (Excel specifications and limits).
_SHEET_ROWS: Final = 1_048_576
_FORMATS: Final[Mapping[str, dict[str, str]]] = {
    "text": {},
    "integer": {"num_format": "#,##0"},
    "number": {"num_format": "General"},
    "date": {"num_format": "yyyy-mm-dd"},
    "moment": {"num_format": "yyyy-mm-dd hh:mm:ss"},
}
#: Characters that columns are wide, and rows that are looked at to find out.
_WIDTHS: Final = {"text": 0, "integer": 12, "number": 12, "date": 12, "moment": 20}
_NARROWEST, _WIDEST, _LOOKED_AT = 8, 60, 300
#: Excel counts days from here.
_FIRST_YEAR: Final = 1900


def write_table(
    path: Path,
    columns: Sequence[Column[T]],
    rows: Sequence[T],
    *,
    sheet: str,
    choices: Mapping[str, Sequence[str]] | None = None,
    replace: bool = False,
) -> None:
    """Write one table as ``.csv`` or ``.xlsx``: whole, or not at all; a file that is there only with `replace`."""
    kind = path.suffix.lower()
    if kind not in (".csv", ".xlsx"):
        raise UsageError(f"a table is not written as '{path.suffix}'", where=str(path), next="Use .csv or .xlsx.")
    if kind == ".xlsx" and len(rows) > _SHEET_ROWS - 2:
        raise UsageError(f"{len(rows):,} rows do not fit into a sheet", where=str(path), next="Use .csv.")
    if not path.parent.is_dir():
        raise NotFound("there is no such folder", where=str(path.parent), next="Make it first.")
    if path.exists() and not replace:
        raise UsageError(
            "this file exists already, and somebody may have edited it", where=str(path), next="--replace it."
        )
    if kind == ".csv":
        data = table_csv(columns, rows)
    else:
        book = Workbook()
        book.add(sheet, columns, rows, choices=choices)
        data = book.data()
    put_file(path, data, StoreError, mode=0o600)


def put_file(path: Path, data: bytes, kind: type[DiademError], *, mode: int = 0o666) -> None:
    """Write a file whole; what the system says against it is an error of this kind."""
    try:
        write_whole(path, data, mode=mode)
    except StoreError as error:
        said = getattr(error.__cause__, "strerror", None) or error.message
        where, advice = without_surrogates(str(path)), "Close it in other programs, or choose another place."
        raise kind(f"it cannot be written: {said}", where=where, next=advice) from error


def table_csv(columns: Sequence[Column[T]], rows: Iterable[T]) -> bytes:
    """A table as CSV in UTF-8 with a byte-order mark, which Excel needs to see that it is UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([column.header for column in columns])
    for row in rows:
        writer.writerow([_csv_cell(column.value(row)) for column in columns])
    return text.getvalue().encode("utf-8-sig")


def _csv_cell(value: Any) -> object:
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", timespec="seconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return harmless(text_of_cell(value, lines=True)) if isinstance(value, str) else "" if value is None else value


class Workbook:
    """A workbook of typed sheets, written row by row."""

    def __init__(self) -> None:
        import xlsxwriter

        self._file = io.BytesIO()
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        self._book = xlsxwriter.Workbook(self._file, {**options, "strings_to_numbers": False})
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
        """Write a sheet; what does not fit into one is left out, and its last row says so.

        `choices` says by the key of a column what a person chooses from.
        """
        sheet = self._book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        kept = rows[: _SHEET_ROWS - 2]
        sheet.autofilter(0, 0, max(1, len(kept)), len(columns) - 1)
        for at, column in enumerate(columns):
            sheet.set_column(at, at, _width(column, kept))
            if kept and (words := (choices or {}).get(column.key)):
                sheet.data_validation(1, at, len(kept), at, {"validate": "list", "source": list(words)})
        for at, column in enumerate(columns):
            sheet.write_string(0, at, column.header, self._head)
        for number, row in enumerate(kept, start=1):
            for at, column in enumerate(columns):
                value, style = column.value(row), self._styles[column.kind]
                if isinstance(value, datetime.date) and value.year >= _FIRST_YEAR:
                    sheet.write_datetime(number, at, value, style)
                elif isinstance(value, int | float) and not isinstance(value, bool):
                    sheet.write_number(number, at, value, style)
                elif value not in (None, ""):
                    sheet.write_string(number, at, _fitting(text_of_cell(str(value), lines=True)), style)
        if len(kept) < len(rows):
            sheet.write_string(len(kept) + 1, 0, f"and {len(rows) - len(kept):,} more, which do not fit into a sheet")

    def data(self) -> bytes:
        """The file; nothing can be added after."""
        self._book.close()
        return self._file.getvalue()


def _width(column: Column[T], rows: Sequence[T]) -> int:
    """Characters that the header and most of the texts need."""
    least = max(_NARROWEST, _WIDTHS[column.kind], len(column.header) + 3)
    if column.kind != "text":
        return least
    lengths = [len(str(column.value(row) or "")) + 1 for row in rows[:_LOOKED_AT]]
    return min(_WIDEST, max(least, *lengths)) if lengths else least


# -- reading -------------------------------------------------------------------------------------------------------

#: Rows of a table that are read at most.
MAX_ROWS: Final = 200_000
#: The largest file that is read, in bytes.
MAX_BYTES: Final = 100_000_000
#: The same unpacked, and the cells of a sheet, the empty ones between others counted.
_MAX_UNPACKED, _MAX_CELLS = 1 << 30, 10_000_000
#: The limit of the length of a cell is one for the whole process.
_TURN: Final = threading.Lock()
#: A format of numbers with an exponent.
_EXPONENT: Final = re.compile(r"[0#?]E[+-]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it was read.

    `columns` are the keys of the columns that are there, `unknown` the heads of those that mean nothing here. `rows`
    have their numbers as spreadsheet programs count, empty ones are left out; each has all `columns`. With
    `decimal_comma` numbers are written as ``0,5``: semicolons stand between the cells.
    """

    path: str
    columns: tuple[str, ...]
    unknown: tuple[str, ...]
    rows: tuple[tuple[int, Row], ...]
    of_csv: bool = False
    decimal_comma: bool = False


def read_table(
    path: Path,
    keys: Mapping[str, str] | Sequence[str],
    *,
    sheet: str,
    needed: Sequence[str],
    make: str,
    only: bool = False,
) -> Table:
    """Read a table from ``.csv`` or ``.xlsx``.

    `keys` are the columns that mean something, by how their heads are written in lower case (case and blanks at the
    ends do not count), with their keys where these are others; `needed` those without which nothing can be understood.
    Of a workbook the sheet of this name is read, or its first one unless `only` this will do: then `NotFound`. `make`
    is the command that writes such a table. `DocumentError` says why it is none.
    """
    _require_file(path, make)
    delimiter = ""
    if path.suffix.lower() == ".xlsx":
        cells = _workbook_cells(path, sheet, only=only)
    else:
        cells, delimiter = _csv_cells(path)
    if len(cells) > MAX_ROWS:
        raise DocumentError(f"the table has more than {MAX_ROWS:,} rows", where=str(path), next="Split it.")
    for number, row in enumerate(cells, 1):
        if any(isinstance(cell, str) and "\0" in cell for cell in row):  # no path may hold one
            raise DocumentError(f"row {number} holds a zero byte", where=str(path), next="Save the table again.")
    heads = [str(cell or "").strip() for cell in (cells[0] if cells else ())]
    by_head = keys if isinstance(keys, Mapping) else {key: key for key in keys}
    known = [by_head.get(head.casefold(), "") for head in heads]
    if missing := [key for key in needed if key not in known]:
        raise DocumentError(
            f"the table's first row does not name the column '{missing[0]}'",
            where=str(path),
            next=f"Start from a table written by: {make}",
        )
    if twice := sorted(key for key, number in Counter(known).items() if key and number > 1):
        raise DocumentError(f"two columns are named '{twice[0]}'", where=str(path), next="Remove one of them.")
    rows: list[tuple[int, Row]] = []
    for number, row in enumerate(cells[1:], start=2):
        if not all(map(is_empty, row[len(heads) :])):  # a comma in an unquoted text has moved what follows
            raise DocumentError(
                f"row {number} has more cells than the first row",
                where=str(path),
                next="Name the column, or remove the cell; in a CSV, text with a comma needs quotes.",
            )
        found = {key: row[at] if at < len(row) else None for at, key in enumerate(known) if key}
        if not all(map(is_empty, found.values())):
            rows.append((number, found))
    columns = tuple(key for key in known if key)
    unknown = tuple(head for head, key in zip(heads, known, strict=True) if head and not key)
    return Table(str(path), columns, unknown, tuple(rows), of_csv=bool(delimiter), decimal_comma=delimiter == ";")


def is_empty(cell: object) -> bool:
    """Whether a cell says nothing."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _require_file(path: Path, make: str) -> None:
    """Raise `NotFound` where nothing is, `DocumentError` where it is no file or too large."""
    try:  # what cannot be looked at is there perhaps, and says something
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound("there is no such table", where=str(path), next=f"Make one: {make}") from None
    if not stat.S_ISREG(status.st_mode):
        raise DocumentError("it is no file", where=str(path), next=f"Make one: {make}")
    if status.st_size > MAX_BYTES:
        raise DocumentError(f"the table is larger than {MAX_BYTES:,} bytes", where=str(path), next="Split it.")


def _csv_cells(path: Path) -> tuple[list[list[str]], str]:
    """All cells of a CSV in UTF-8, and what stands between them: comma, semicolon or tab."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError("the table is not UTF-8", where=str(path), next="Save it as CSV UTF-8.") from error
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    try:
        with _TURN:  # cells may be as long as the table; the limit of others who read CSV stays
            before = csv.field_size_limit(MAX_BYTES)
            try:
                cells = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
            finally:
                csv.field_size_limit(before)
    except csv.Error as error:
        raise DocumentError(
            f"the table is not valid CSV: {error}",
            where=str(path),
            next="Close every quote before the next cell; write a quote inside a cell twice.",
        ) from error
    return [list(map(as_meant, row)) for row in cells], delimiter


def _workbook_cells(path: Path, name: str, *, only: bool) -> list[list[Any]]:
    import openpyxl
    from openpyxl.utils.escape import unescape

    _require_small(path)

    def sheet_of(book: Any) -> Any:
        return book[name] if name in book.sheetnames else book.worksheets[0]

    try:
        book = openpyxl.load_workbook(path)
        if only and name not in book.sheetnames:
            raise NotFound(f"the workbook has no sheet '{name}'", where=str(path))  # noqa: TRY301
        sheet = sheet_of(book)
        if sheet.max_row * sheet.max_column > _MAX_CELLS:  # one far away: what lies between would fill the memory
            raise _too_large(path)  # noqa: TRY301
        merged = [str(one) for one in sheet.merged_cells.ranges]
        formulas = [cell.coordinate for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
        if formulas:
            sheet = sheet_of(openpyxl.load_workbook(path, data_only=True))
        rows = [list(row) for row in sheet.iter_rows()]
    except (NotFound, DocumentError):
        raise
    except Exception as error:
        raise DocumentError(
            f"the table cannot be read as a workbook: {error}",
            where=str(path),
            next="Save it as an Excel workbook (.xlsx) or as CSV UTF-8.",
        ) from error
    if merged:
        raise DocumentError(
            f"cells are merged: {', '.join(sorted(merged)[:5])}",
            where=str(path),
            next="Unmerge them: a spreadsheet program keeps only one value of merged cells.",
        )
    if empty := [cell for cell in formulas if sheet[cell].value is None]:  # it would take back what is said
        raise DocumentError(
            f"the formula of the cell {empty[0]} has no value",
            where=str(path),
            next="Open the workbook in a spreadsheet program and save it, or type the value of the cell.",
        )

    def value(cell: Any) -> Any:
        if cell.data_type == "e":
            said = f"the formula of the cell {cell.coordinate} has failed: {cell.value}"
            raise DocumentError(said, where=str(path), next="Type its value.")
        if isinstance(cell.value, str):
            return unescape(cell.value)  # ``_x005F_`` and the like
        number = isinstance(cell.value, int | float) and not isinstance(cell.value, bool)
        return Exponent(cell.value) if number and _EXPONENT.search(cell.number_format) else cell.value

    return [[value(cell) for cell in row] for row in rows]


def _require_small(path: Path) -> None:
    """Refuse a workbook that would fill the memory when it is unpacked, or that is none."""
    try:
        with path.open("rb") as stream, open_zip(stream) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except UNREADABLE as error:
        raise DocumentError(
            f"it cannot be read as a workbook: {error}", where=str(path), next="Save it again, or as CSV."
        ) from error
    if size > _MAX_UNPACKED:
        raise _too_large(path)


def _too_large(path: Path) -> DocumentError:
    advice = "Split it, remove cells far away from the table, or use .csv."
    return DocumentError("the workbook is too large to be read", where=str(path), next=advice)
