"""The plan as a sheet that people edit: written with every session in a row, read back with every mistake named."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from diadem.errors import DocumentError, NotFound, UsageError
from diadem.model.scan import PlannedSession
from diadem.model.system_paths import WINDOWS
from diadem.model.table_changes import cell_text
from diadem.scan.tables import (
    AS_TEXT,
    LOST,
    MAX_TEXT,
    Column,
    Row,
    Workbook,
    from_cell,
    is_empty,
    lost_text,
    read_table,
    table_csv,
    to_cell,
)

#: Name of the sheet, and of the one that takes lists of parts too long for a cell.
SHEET, PARTS_SHEET = "sessions", "parts"
_SEE_PARTS = "(see the sheet “parts”)"
_MAKE = "diadem scan FOLDER --plan plan.xlsx"


def moment(text: str) -> datetime.datetime | None:
    """An ISO 8601 time as it stands, without its offset; None where it is none."""
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=None) if text else None
    except ValueError:
        return None


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _parts_cell(session: PlannedSession) -> str:
    return "\n".join(map(to_cell, session.parts))


#: A path is written so that it can be read back, see `to_cell`.
PLAN_COLUMNS: Sequence[Column[PlannedSession]] = (
    Column("archive", "archive", "text", lambda row: "yes" if row.archive else "no"),
    Column("title", "title", "text", lambda row: row.title),
    Column("date", "date", "date", lambda row: _day(row.date)),
    Column("sample", "sample", "text", lambda row: row.sample),
    Column("operator", "operator", "text", lambda row: row.operator),
    Column("instrument", "instrument", "text", lambda row: row.instrument),
    Column("datasets", "datasets", "integer", lambda row: row.datasets),
    Column("files", "files", "integer", lambda row: row.files),
    Column("bytes", "size (bytes)", "integer", lambda row: row.bytes),
    Column("first", "first acquired", "moment", lambda row: moment(row.first)),
    Column("last", "last acquired", "moment", lambda row: moment(row.last)),
    Column("folder", "folder", "text", lambda row: to_cell(row.folder)),
    Column("parts", "parts", "text", _parts_cell),
    Column("name", "package name", "text", lambda row: row.name),
    Column("formats", "formats", "text", lambda row: row.formats),
    Column("why", "why", "text", lambda row: row.why),
    Column("id", "id", "text", lambda row: row.id),
)
_PART_COLUMNS: Sequence[Column[tuple[str, str]]] = (
    Column("id", "id", "text", lambda row: row[0]),
    Column("part", "part", "text", lambda row: row[1]),
)
_HEADS = {column.header.casefold(): column.key for column in PLAN_COLUMNS} | {c.key: c.key for c in PLAN_COLUMNS}


def plan_data(path: Path, sessions: Sequence[PlannedSession]) -> bytes:
    """A plan as the content of a file of this name: ``.csv`` or ``.xlsx``, else `UsageError`."""
    if path.suffix.lower() == ".csv":
        return table_csv(PLAN_COLUMNS, sessions)
    if path.suffix.lower() == ".xlsx":
        book = Workbook()
        add_plan(book, sessions)
        return book.data()
    raise UsageError(f"a plan cannot be written as '{path.suffix}'", where=str(path), next="Use .csv or .xlsx.")


def add_plan(book: Workbook, sessions: Sequence[PlannedSession]) -> None:
    """Write a plan as a sheet, and lists of parts that are too long for a cell as another."""
    long = {session.id: session for session in sessions if len(_parts_cell(session)) >= MAX_TEXT}
    parts = {"parts": lambda row: _SEE_PARTS if row.id in long else _parts_cell(row)}
    columns = [replace(one, value=parts.get(one.key, one.value)) for one in PLAN_COLUMNS]
    book.add(SHEET, columns, sessions, choices={"archive": ("yes", "no")})
    if long:
        rows = [(session.id, to_cell(part)) for session in long.values() for part in session.parts]
        book.add(PARTS_SHEET, _PART_COLUMNS, rows)


def part_from_cell(cell: str, *, windows: bool = WINDOWS) -> str:
    r"""A file or folder of a session; on Windows people write ``sub\x.dm4``, elsewhere that is one name."""
    path = from_cell(cell)
    return path.replace("\\", "/") if windows else path


# -- reading -------------------------------------------------------------------------------------------------------

#: Spreadsheet programs write a truth value in the language of their user.
_YES = frozenset({"yes", "y", "true", "1", "x", "ja", "j", "oui", "si", "sí", "wahr", "vrai", "vero", "verdadero"})
_NO = frozenset({"no", "n", "false", "0", "nein", "non", "falsch", "faux", "falso"})
_TEXTS = ("title", "sample", "operator", "instrument", "name", "formats", "why", "id")
#: A whole number, with one sign between groups of three digits; -1 is what is not known.
_WHOLE = re.compile(r"-1|\d{1,18}|\d{1,3}([\s,.'’])\d{3}(?:\1\d{3}){0,4}")


def read_plan(path: str | os.PathLike[str]) -> list[PlannedSession]:
    """Read a plan that was edited: see `diadem.read_plan`.

    Rows may be changed, removed and added; of the columns only ``archive`` and ``folder`` must be there. Two sessions
    are made one by listing the parts of both in one row. `DocumentError` names row and column of what cannot be
    understood, and two rows that hold the same files.
    """
    source = Path(path)
    table = read_table(source, _HEADS, sheet=SHEET, needed=("archive", "folder"), make=_MAKE)
    long = _long_lists(source) if any(row.get("parts") == _SEE_PARTS for _, row in table.rows) else {}
    sessions: list[PlannedSession] = []
    places = [f"{source}, row {number}" for number, _ in table.rows]
    for (_, row), place in zip(table.rows, places, strict=True):
        said = {key: cell for key, cell in row.items() if not is_empty(cell)}
        sessions.append(_session(said, long, place, of_csv=table.of_csv))
    _refuse_overlaps(sessions, places, parts_are_told="parts" in table.columns)
    return sessions


def _long_lists(path: Path) -> dict[str, list[str]]:
    """The parts of sessions whose list is too long for a cell, by the id of the session; none in a CSV."""
    found: dict[str, list[str]] = {}
    if path.suffix.lower() == ".xlsx":
        keys = ("id", "part")
        with contextlib.suppress(NotFound):
            for _, row in read_table(path, keys, sheet=PARTS_SHEET, needed=keys, make=_MAKE, only=True).rows:
                found.setdefault(str(row["id"]), []).append(str(row["part"] or ""))
    return found


def _session(row: Row, long: Mapping[str, Sequence[str]], place: str, *, of_csv: bool) -> PlannedSession:
    folder = from_cell(str(row.get("folder", "")))  # its name may begin or end with blanks
    if not Path(folder).is_absolute():
        raise _mistake(place, "folder", row.get("folder"), "the absolute path of a folder")
    texts = {}
    for key in _TEXTS:
        if lost := lost_text(row.get(key), of_csv=of_csv):
            raise DocumentError(f"the column '{key}' holds {lost}, {LOST}", where=place, next=AS_TEXT)
        texts[key] = cell_text(row.get(key))
    texts["title"] = texts["title"] or Path(folder).name
    listed = str(row.get("parts", ""))
    if listed == _SEE_PARTS:
        parts = long.get(texts["id"], ())
    else:
        parts = [part for part in listed.replace("\r", "").split("\n") if part]
    if listed == _SEE_PARTS and not parts:
        raise _mistake(place, "parts", listed, "files and folders, one per line; the sheet 'parts' lacks its list")
    if len(listed) == MAX_TEXT:  # of ``sub/a.tif`` it may have left ``sub/``, which is much more
        raise DocumentError(
            f"the column 'parts' holds {MAX_TEXT:,} characters, as many as a cell can: its end may be lost",
            where=place,
            next=f"Write the plan again, as a workbook: {_MAKE}",
        )
    first, last = row.get("first"), row.get("last")
    return PlannedSession(
        archive=_yes_or_no(row.get("archive"), place),
        date=_date(row.get("date"), place),
        folder=folder,
        parts=tuple(map(part_from_cell, parts)),
        datasets=_count(row, "datasets", place),
        files=_count(row, "files", place),
        bytes=_count(row, "bytes", place),
        first=_moment(first),
        last=_moment(last),
        stated=True,
        **texts,
    )


def _mistake(place: str, column: str, found: object, wanted: str) -> DocumentError:
    said = "is empty" if found in (None, "") else f"says '{str(found)[:80]}'"
    return DocumentError(f"the column '{column}' {said}", where=place, next=f"Write {wanted}.")


def _yes_or_no(cell: object, place: str) -> bool:
    word = cell_text(cell).casefold()
    if word in _YES or word in _NO:
        return word in _YES
    raise _mistake(place, "archive", cell, "yes or no")


def _date(cell: object, place: str) -> str:
    if isinstance(cell, datetime.date):
        return cell.isoformat()[:10]
    text = cell_text(cell)
    if text and not _day(text):
        raise _mistake(place, "date", cell, "a date such as 2026-03-14, or nothing")
    return str(_day(text) or "")


def _moment(cell: object) -> str:
    """A time for people to see, which nobody edits: what a program has made something else of is left out."""
    found = cell if isinstance(cell, datetime.datetime) else moment(str(cell or ""))
    return found.isoformat(timespec="seconds") if found else ""


def _count(row: Row, key: str, place: str) -> int:
    cell = row.get(key, -1)
    text = cell_text(cell)
    fraction = isinstance(cell, bool) or (isinstance(cell, float) and not cell.is_integer())
    if fraction or not _WHOLE.fullmatch(text):
        raise _mistake(place, key, cell, "a whole number, or nothing")
    return int(re.sub(r"[^\d-]", "", text))


# -- no file twice -------------------------------------------------------------------------------------------------


def _refuse_overlaps(sessions: Sequence[PlannedSession], places: Sequence[str], *, parts_are_told: bool) -> None:
    """Refuse two rows that would archive the same files.

    Where the column that tells the parts is gone, rows of whole folders that hold what another row leaves are refused
    as well.
    """
    one_spelling = _Spelling()
    pieces = [_pieces(session) for session in sessions]
    owners: dict[str, int] = {}
    for index, session in enumerate(sessions):
        for piece in pieces[index] if session.archive else ():
            if owners.setdefault(one_spelling(piece), index) != index:
                raise _overlap(piece, places[owners[one_spelling(piece)]], places[index])
    for piece, index in owners.items():
        beside = f"{piece}*" if piece.endswith("/") else f"{piece.rpartition('/')[0]}/*"
        folder = piece.rstrip("/")
        above = [beside, folder]
        while folder := folder.rpartition("/")[0]:
            above += [f"{folder}/", folder]  # a folder may be named without its slash
        for path in above:
            if owners.get(one_spelling(path), index) != index:
                raise _overlap(piece, places[owners[one_spelling(path)]], places[index])
    left = [(index, pieces[index][0]) for index, session in enumerate(sessions) if not session.archive]
    for taken, session in enumerate(sessions) if not parts_are_told else ():
        for index, other in left if session.archive else ():
            if other.startswith(pieces[taken][0]):
                raise DocumentError(
                    f"without the column 'parts', '{to_cell(session.folder)}' includes what another row leaves out",
                    where=f"{places[taken]}; {places[index].rpartition(', ')[2]}",
                    next=f"Restore the column, or write the plan again: {_MAKE}",
                )


def _pieces(session: PlannedSession) -> list[str]:
    """What a session takes: ``folder/`` with all that lies below, ``folder/*``, or a file."""
    base = os.path.realpath(session.folder).replace(os.sep, "/").rstrip("/")
    return [f"{base}/{part}" for part in session.parts] or [f"{base}/"]


class _Spelling:
    """The spelling in which a path was met first: where case does not count, ``Data`` and ``data`` are one folder."""

    def __init__(self) -> None:
        self._met: dict[str, list[str]] = {}
        self._first: dict[str, str] = {}

    def __call__(self, path: str) -> str:
        if path not in self._first:
            met = self._met.setdefault(unicodedata.normalize("NFC", path).casefold(), [])
            self._first[path] = next((other for other in met if _is_same(other, path)), path)
            met.append(path)
        return self._first[path]


def _is_same(one: str, other: str) -> bool:
    """Whether two spellings are one file or folder: the system is asked, for it may be a disk or a share of another."""
    try:
        return Path(one.removesuffix("*")).samefile(other.removesuffix("*"))
    except OSError:
        return WINDOWS


def _overlap(piece: str, first: str, second: str) -> DocumentError:
    return DocumentError(
        f"two rows would archive '{to_cell(piece)}'",
        where=f"{first}; {second.rpartition(', ')[2]}",
        next="Remove it from one of them, or say no in the column 'archive'.",
    )
