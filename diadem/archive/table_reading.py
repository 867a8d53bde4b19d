"""Tables that people have edited, read back from CSV and Excel with the numbers of their rows.

What spreadsheet programs do to a table is expected: other columns and another order of them, semicolons, a byte-order
mark, decimal commas, hidden rows. What would change the meaning of a row silently is refused: merged cells, two columns
of one name, text in another encoding.
"""

from __future__ import annotations

import csv
import io
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from diadem.archive.scan_sheets import as_meant
from diadem.errors import DocumentError, NotFound
from diadem.serialization.zip_list import UNREADABLE, open_zip

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
