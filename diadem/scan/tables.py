"""Tables for people, CSV and Excel: written so that no text is taken for a formula, read back as they were edited."""

from __future__ import annotations

import csv
import datetime
import io
import os
import re
import tempfile
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar

from diadem.errors import DocumentError, NotFound, StoreError, UsageError
from diadem.model.plain_text import without_surrogates
from diadem.serialization.zip_list import UNREADABLE, open_zip
from diadem.store.system import move

if TYPE_CHECKING:
    pass


T = TypeVar("T")
Kind = Literal["text", "integer", "number", "date", "moment"]


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One column.

    Attributes
    ----------
    key : str
        Its name for programs.
    header : str
        Its name for people, with the unit.
    kind : str
        ``text``, ``integer``, ``number``, ``date`` or ``moment``.
    value : callable
        Text, int, float, `datetime.date` or `datetime.datetime` without zone; None where nothing is known.
    """

    key: str
    header: str
    kind: Kind
    value: Callable[[T], Any]


#: Categories of characters that nothing shows: surrogates, controls, marks that turn the direction, the unassigned.
UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})


def text_of_cell(value: str, *, lines: bool = False) -> str:
    """A text for a cell or a line of a terminal: U+FFFD for what nothing shows; with `lines`, line feeds may stay."""
    text = without_surrogates(value)
    if text.isprintable():
        return text
    return "".join(character if _shown(character, lines=lines) else "\ufffd" for character in text)


def _shown(character: str, *, lines: bool) -> bool:
    return unicodedata.category(character) not in UNSHOWN or (lines and character == "\n")


#: What spreadsheet programs take for the beginning of a formula in a text file (OWASP, CSV injection); the full-width
#: signs count in Japanese and Chinese versions.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
#: Where a cell may begin: a program that divides lines at semicolons, as Excel does in Germany, takes the quotes around
#: a text with one for letters. An apostrophe makes a text of what follows.
_BEGINS = r"(?:^|(?<=[;\t\r\n]))"
_FORMULA = re.compile(rf"""{_BEGINS}(?=["']*[{"".join(map(re.escape, FORMULA_STARTS))}])""")
_DEFUSED = re.compile(rf"""{_BEGINS}'(?=["']*[{"".join(map(re.escape, FORMULA_STARTS))}])""")
#: Limits of a sheet and of a cell (Excel specifications and limits).
SHEET_ROWS, MAX_TEXT = 1_048_576, 32_767
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
    if kind == ".xlsx" and len(rows) > SHEET_ROWS - 2:
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
        kept = rows[: SHEET_ROWS - 2]
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


#: A row of cells by the key of their column.
Row = Mapping[str, Any]
#: Rows of a table that are read at most.
MAX_ROWS: Final = 200_000
#: The largest file that is read, in bytes.
MAX_BYTES: Final = 100_000_000
#: The same unpacked, and the cells of a sheet, the empty ones between others counted.
_MAX_UNPACKED, _MAX_CELLS = 1 << 30, 10_000_000
_ANEW: Final = "Save it as an Excel workbook (.xlsx) or as CSV UTF-8."


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it was read.

    Attributes
    ----------
    path : str
        The file.
    columns : tuple of str
        Keys of the columns that are there.
    unknown : tuple of str
        Heads of columns that mean nothing here.
    rows : tuple of (int, Row)
        Rows with their numbers, empty ones left out; each has all `columns`.
    decimal_comma : bool
        Whether numbers are written as ``0,5``: semicolons stand between the cells.
    """

    path: str
    columns: tuple[str, ...]
    unknown: tuple[str, ...]
    rows: tuple[tuple[int, Row], ...]
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

    Parameters
    ----------
    path : Path
        The file.
    keys : sequence of str, or mapping of str to str
        Columns that mean something, by how their heads are written in lower case (case and blanks at the ends do not
        count), with their keys where these are others.
    sheet : str
        Name of the sheet in a workbook; default its first one.
    needed : sequence of str
        Columns without which nothing can be understood.
    make : str
        The command that writes such a table.
    only : bool
        No other sheet will do.

    Raises
    ------
    NotFound
        There is no such file, or with `only` no such sheet.
    DocumentError
        It is no table, a needed column is missing, two columns have one name, or cells are merged.
    """
    if not path.is_file():
        raise NotFound("there is no such table", where=str(path), next=f"Make one: {make}")
    if path.stat().st_size > MAX_BYTES:
        raise DocumentError(f"the table is larger than {MAX_BYTES:,} bytes", where=str(path), next="Split it.")
    delimiter = ""
    if path.suffix.lower() == ".xlsx":
        cells = _workbook_cells(path, sheet, only=only)
    else:
        cells, delimiter = _csv_cells(path)
    if len(cells) > MAX_ROWS:
        raise DocumentError(f"the table has more than {MAX_ROWS:,} rows", where=str(path), next="Split it.")
    heads = [str(cell or "").strip() for cell in (cells[0] if cells else ())]
    by_head = keys if isinstance(keys, Mapping) else {key: key for key in keys}
    known = [by_head.get(head.casefold(), "") for head in heads]
    _require_heads(path, known, needed, make)
    _require_width(path, cells, len(heads))
    rows = [(number, {key: _cell(row, at) for at, key in enumerate(known) if key}) for number, row in _numbered(cells)]
    return Table(
        str(path),
        tuple(key for key in known if key),
        tuple(head for head, key in zip(heads, known, strict=True) if head and not key),
        tuple(one for one in rows if any(cell not in (None, "") for cell in one[1].values())),
        decimal_comma=delimiter == ";",
    )


def _csv_cells(path: Path) -> tuple[list[list[str]], str]:
    """All cells of a CSV in UTF-8, and what stands between them: comma, semicolon or tab."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError("the table is not UTF-8", where=str(path), next="Save it as CSV UTF-8.") from error
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    try:
        with _long_cells:
            cells = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise DocumentError(
            f"the table is not valid CSV: {error}",
            where=str(path),
            next="Close every quote before the next cell; write a quote inside a cell twice.",
        ) from error
    return [list(map(as_meant, row)) for row in cells], delimiter


class _LongCells:
    """While a table is read its cells may be as long as the table; the limit of others who read CSV stays."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._before = 0

    def __enter__(self) -> None:
        self._lock.acquire()
        self._before = csv.field_size_limit(MAX_BYTES)

    def __exit__(self, *_: object) -> None:
        csv.field_size_limit(self._before)
        self._lock.release()


_long_cells = _LongCells()


def _numbered(cells: Sequence[Sequence[Any]]) -> Iterator[tuple[int, Sequence[Any]]]:
    """Rows below the head that are not empty, with their numbers as spreadsheet programs count them."""
    for number, row in enumerate(cells[1:], start=2):
        if any(cell not in (None, "") for cell in row):
            yield number, row


def _cell(row: Sequence[Any], at: int) -> Any:
    return row[at] if at < len(row) else None


def _require_heads(path: Path, known: Sequence[str], needed: Sequence[str], make: str) -> None:
    if missing := [key for key in needed if key not in known]:
        raise DocumentError(
            f"the table's first row does not name the column '{missing[0]}'",
            where=str(path),
            next=f"Start from a table written by: {make}",
        )
    if twice := sorted(key for key, number in Counter(known).items() if key and number > 1):
        raise DocumentError(f"two columns are named '{twice[0]}'", where=str(path), next="Remove one of them.")


def _require_width(path: Path, cells: Sequence[Sequence[Any]], width: int) -> None:
    """Refuse a row with more cells than the first one: a comma in an unquoted text has moved what follows."""
    for number, row in _numbered(cells):
        if any(cell not in (None, "") for cell in row[width:]):
            raise DocumentError(
                f"row {number} has more cells than the first row",
                where=str(path),
                next="Name the column, or remove the cell; in a CSV, text with a comma needs quotes.",
            )


def _workbook_cells(path: Path, name: str, *, only: bool) -> list[list[Any]]:
    import openpyxl

    require_workbook(path)
    try:
        book = openpyxl.load_workbook(path)
        if only and name not in book.sheetnames:
            raise NotFound(f"the workbook has no sheet '{name}'", where=str(path))  # noqa: TRY301
        sheet = _sheet(book, name)
        _require_compact(path, sheet)
        merged = [str(one) for one in sheet.merged_cells.ranges]
        rows = [list(row) for row in sheet.iter_rows()]
        formulas = [cell.coordinate for row in rows for cell in row if cell.data_type == "f"]
        if formulas:
            sheet = _sheet(openpyxl.load_workbook(path, data_only=True), name)
            rows = [list(row) for row in sheet.iter_rows()]
    except (NotFound, DocumentError):
        raise
    except Exception as error:
        raise DocumentError(
            f"the table cannot be read as a workbook: {error}",
            where=str(path),
            next=_ANEW,
        ) from error
    if merged:
        raise DocumentError(
            f"cells are merged: {', '.join(sorted(merged)[:5])}",
            where=str(path),
            next="Unmerge them: a spreadsheet program keeps only one value of merged cells.",
        )
    _require_values(path, sheet, formulas)
    return [[_value(path, cell) for cell in row] for row in rows]


def require_workbook(path: Path) -> None:
    """Raise `DocumentError` for a workbook that would fill the memory when it is unpacked, or that is none."""
    try:
        with path.open("rb") as stream, open_zip(stream) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except UNREADABLE as error:
        raise DocumentError(
            f"it cannot be read as a workbook: {error}", where=str(path), next="Save it again, or as CSV."
        ) from error
    if path.stat().st_size > MAX_BYTES or size > _MAX_UNPACKED:
        raise _too_large(path)


def _require_compact(path: Path, sheet: Any) -> None:
    """Refuse a sheet with a cell so far away that what lies between would fill the memory."""
    if sheet.max_row * sheet.max_column > _MAX_CELLS:
        raise _too_large(path)


def _too_large(path: Path) -> DocumentError:
    advice = "Split it, remove cells far away from the table, or use .csv."
    return DocumentError("the workbook is too large to be read", where=str(path), next=advice)


def _sheet(book: Any, name: str) -> Any:
    return book[name] if name in book.sheetnames else book.worksheets[0]


def _require_values(path: Path, sheet: Any, formulas: Sequence[str]) -> None:
    """Refuse a formula that no program has computed: its empty cell would take back what is said."""
    if empty := [cell for cell in formulas if sheet[cell].value is None]:
        raise DocumentError(
            f"the formula of the cell {empty[0]} has no value",
            where=str(path),
            next="Open the workbook in a spreadsheet program and save it, or type the value of the cell.",
        )


def _value(path: Path, cell: Any) -> Any:
    """The value of a cell, ``_x005F_`` and the like undone; one whose formula has failed is refused."""
    from openpyxl.utils.escape import unescape

    if cell.data_type == "e":
        raise DocumentError(
            f"the formula of the cell {cell.coordinate} has failed: {cell.value}",
            where=str(path),
            next="Type its value.",
        )
    return unescape(cell.value) if isinstance(cell.value, str) else cell.value
