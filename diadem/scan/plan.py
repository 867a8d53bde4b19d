"""The plan as a sheet that people edit: written with every session in a row, read back with every mistake named."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from diadem.errors import DocumentError, NotFound, UsageError
from diadem.model.scan import PlannedSession
from diadem.model.system_paths import WINDOWS
from diadem.scan.tables import MAX_TEXT, UNSHOWN, Column, Row, Workbook, read_table, table_csv

PLAN_COLUMNS: Sequence[Column[PlannedSession]] = (
    Column("archive", "archive", "text", lambda row: "yes" if row.archive else "no"),
    Column("title", "title", "text", lambda row: row.title),
    Column("date", "date", "date", lambda row: day(row.date)),
    Column("sample", "sample", "text", lambda row: row.sample),
    Column("operator", "operator", "text", lambda row: row.operator),
    Column("instrument", "instrument", "text", lambda row: row.instrument),
    Column("datasets", "datasets", "integer", lambda row: row.datasets),
    Column("files", "files", "integer", lambda row: row.files),
    Column("bytes", "size (bytes)", "integer", lambda row: row.bytes),
    Column("first", "first acquired", "moment", lambda row: moment(row.first)),
    Column("last", "last acquired", "moment", lambda row: moment(row.last)),
    Column("folder", "folder", "text", lambda row: row.folder),
    Column("parts", "parts", "text", lambda row: row.parts),
    Column("name", "package name", "text", lambda row: row.name),
    Column("formats", "formats", "text", lambda row: row.formats),
    Column("why", "why", "text", lambda row: row.why),
    Column("id", "id", "text", lambda row: row.id),
)
#: Name of the sheet, and of the one that takes lists of parts too long for a cell.
SHEET, PARTS_SHEET = "sessions", "parts"
_SEE_PARTS = "(see the sheet “parts”)"
_YES = frozenset({"yes", "y", "true", "1", "x", "ja", "j", "oui", "si", "sí"})
_NO = frozenset({"no", "n", "false", "0", "nein", "non"})
_TEXTS = ("sample", "operator", "instrument", "name", "formats", "why")
_MUST_HAVE = ("archive", "folder")
_HEADS = {column.header.casefold(): column.key for column in PLAN_COLUMNS} | {c.key: c.key for c in PLAN_COLUMNS}
_MAKE = "diadem scan FOLDER --plan plan.xlsx"
_PART_COLUMNS: Sequence[Column[tuple[str, str]]] = (
    Column("id", "id", "text", lambda row: row[0]),
    Column("part", "part", "text", lambda row: row[1]),
)


def write_plan(path: Path, sessions: Sequence[PlannedSession]) -> None:
    """Write a plan.

    Raises
    ------
    UsageError
        The ending is neither ``.csv`` nor ``.xlsx``.
    """
    if path.suffix.lower() == ".csv":
        path.write_bytes(table_csv(_columns(), sessions))
    elif path.suffix.lower() == ".xlsx":
        book = Workbook(path)
        add_plan(book, sessions)
        book.close()
    else:
        raise UsageError(f"a plan cannot be written as '{path.suffix}'", where=str(path), next="Use .csv or .xlsx.")


def add_plan(book: Workbook, sessions: Sequence[PlannedSession]) -> None:
    """Write a plan as a sheet, and lists of parts that are too long for a cell as another."""
    book.add(SHEET, _columns(MAX_TEXT), sessions, choices={"archive": ("yes", "no")})
    long = [session for session in sessions if len(_parts_cell(session)) > MAX_TEXT]
    if long:
        rows = [(session.id, to_cell(part)) for session in long for part in session.parts]
        book.add(PARTS_SHEET, _PART_COLUMNS, rows)


def _columns(limit: int | None = None) -> Sequence[Column[PlannedSession]]:
    """The columns, with paths written so that they can be read back."""

    def parts(session: PlannedSession) -> str:
        cell = _parts_cell(session)
        return _SEE_PARTS if limit is not None and len(cell) > limit else cell

    written: Mapping[str, Any] = {"folder": lambda session: to_cell(session.folder), "parts": parts}
    return [
        Column(column.key, column.header, column.kind, written.get(column.key, column.value)) for column in PLAN_COLUMNS
    ]


def _parts_cell(session: PlannedSession) -> str:
    return "\n".join(map(to_cell, session.parts))


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


def part_from_cell(cell: str, *, windows: bool = WINDOWS) -> str:
    r"""A file or folder of a session; on Windows people write ``sub\x.dm4``, elsewhere that is one name."""
    path = from_cell(cell)
    return path.replace("\\", "/") if windows else path


def read_plan(path: str | os.PathLike[str]) -> list[PlannedSession]:
    """Read a plan that was edited.

    Rows may be changed, removed and added; of the columns only ``archive`` and ``folder`` must be there. Two sessions
    are made one by listing the parts of both in one row.

    Parameters
    ----------
    path : path
        ``.csv`` (comma, semicolon or tab between cells) or ``.xlsx``, as `Scan.save_plan` or ``--xlsx`` writes them.

    Raises
    ------
    NotFound
        There is no such file.
    DocumentError
        A cell cannot be understood, or two rows hold the same files. Names row and column.
    """
    source = Path(path)
    table = read_table(source, _HEADS, sheet=SHEET, needed=_MUST_HAVE, make=_MAKE)
    rows = [(number, _said(row)) for number, row in table.rows]
    more = _long_lists(source) if any(row.get("parts") == _SEE_PARTS for _, row in rows) else {}
    sessions: list[PlannedSession] = []
    places: list[str] = []
    for number, row in rows:
        place = f"{source}, row {number}"
        sessions.append(_session(row, more, place))
        places.append(place)
    _refuse_overlaps(sessions, places)
    if "parts" not in table.columns:
        _refuse_more_than_said(sessions, places)
    return sessions


def _refuse_more_than_said(sessions: Sequence[PlannedSession], places: Sequence[str]) -> None:
    """Refuse rows of whole folders that hold what another row leaves: the column that told the parts is gone."""
    left = [(index, _pieces(session)[0]) for index, session in enumerate(sessions) if not session.archive]
    for taken, session in enumerate(sessions):
        piece = _pieces(session)[0]
        for index, other in left if session.archive else ():
            if other.startswith(piece):
                raise DocumentError(
                    f"without the column 'parts', '{to_cell(session.folder)}' includes what another row leaves out",
                    where=f"{places[taken]}; {places[index].rpartition(', ')[2]}",
                    next="Restore the column, or write the plan again: diadem scan FOLDER --plan plan.xlsx",
                )


def _said(row: Row) -> Row:
    """The cells of a row that say something."""
    return {key: cell for key, cell in row.items() if cell not in (None, "")}


def _long_lists(path: Path) -> dict[str, list[str]]:
    """The parts of sessions whose list is too long for a cell, by the id of the session; none in a CSV."""
    found: dict[str, list[str]] = {}
    if path.suffix.lower() == ".xlsx":
        keys = ("id", "part")
        with contextlib.suppress(NotFound):
            for _, row in read_table(path, keys, sheet=PARTS_SHEET, needed=keys, make=_MAKE, only=True).rows:
                found.setdefault(str(row["id"]), []).append(str(row["part"] or ""))
    return found


def _session(row: Row, more: Mapping[str, Sequence[str]], place: str) -> PlannedSession:
    folder = from_cell(str(row.get("folder", "")))
    if not folder or not Path(folder).is_absolute():
        raise _mistake(place, "folder", row.get("folder"), "the absolute path of a folder")
    id_ = str(row.get("id", ""))
    listed = str(row.get("parts", ""))
    parts = (
        more.get(id_, ()) if listed == _SEE_PARTS else [part for part in listed.replace("\r", "").split("\n") if part]
    )
    if listed == _SEE_PARTS and not parts:
        raise _mistake(place, "parts", listed, "files and folders, one per line; the sheet 'parts' lacks its list")
    texts = {key: str(row.get(key, "")) for key in _TEXTS}
    return PlannedSession(
        id=id_,
        archive=_yes_or_no(row.get("archive"), place),
        title=str(row.get("title") or Path(folder).name),
        date=_date(row.get("date"), place),
        folder=folder,
        parts=tuple(map(part_from_cell, parts)),
        datasets=_count(row, "datasets", place),
        files=_count(row, "files", place),
        bytes=_count(row, "bytes", place),
        first=_moment(row.get("first")),
        last=_moment(row.get("last")),
        stated=True,
        **texts,
    )


def _mistake(place: str, column: str, found: object, wanted: str) -> DocumentError:
    said = "is empty" if found in (None, "") else f"says '{str(found)[:80]}'"
    return DocumentError(f"the column '{column}' {said}", where=place, next=f"Write {wanted}.")


def _yes_or_no(cell: object, place: str) -> bool:
    word = str("" if cell is None else cell).strip().casefold()
    if word in _YES or word in _NO:
        return word in _YES
    raise _mistake(place, "archive", cell, "yes or no")


def _date(cell: object, place: str) -> str:
    if isinstance(cell, datetime.date):
        return cell.isoformat()[:10]
    text = str("" if cell is None else cell).strip()
    try:
        return datetime.date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise _mistake(place, "date", cell, "a date such as 2026-03-14, or nothing") from None


def _moment(cell: object) -> str:
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(timespec="seconds")
    return str("" if cell is None else cell).replace(" ", "T", 1)


def _count(row: Row, key: str, place: str) -> int:
    cell = row.get(key, -1)
    digits = re.sub(r"[\s,.']", "", str(int(cell) if isinstance(cell, float) else cell))
    if not re.fullmatch(r"-?\d{1,18}", digits):
        raise _mistake(place, key, cell, "a whole number, or nothing")
    return int(digits)


def _refuse_overlaps(sessions: Sequence[PlannedSession], places: Sequence[str]) -> None:
    """Raise `DocumentError` where two rows that are to be archived hold the same files."""
    owners: dict[str, int] = {}
    for index, session in enumerate(sessions):
        for piece in _pieces(session) if session.archive else ():
            if owners.setdefault(piece, index) != index:
                raise _overlap(piece, places[owners[piece]], places[index])
    for piece, index in owners.items():
        beside = f"{piece.rpartition('/')[0]}/*"
        for above in (beside, *(f"{folder}/" for folder in _above(piece))):
            other = owners.get(above, index)
            if other != index:
                raise _overlap(piece, places[other], places[index])


def _pieces(session: PlannedSession) -> list[str]:
    """What a session takes: ``folder/`` with all that lies below, ``folder/*``, or a file."""
    base = session.folder.replace(os.sep, "/").rstrip("/")
    return [f"{base}/{part}" for part in session.parts] or [f"{base}/"]


def _above(piece: str) -> Iterator[str]:
    folder = piece.rstrip("/")
    while folder := folder.rpartition("/")[0]:
        yield folder


def _overlap(piece: str, first: str, second: str) -> DocumentError:
    return DocumentError(
        f"two rows would archive '{to_cell(piece)}'",
        where=f"{first}; {second.rpartition(', ')[2]}",
        next="Remove it from one of them, or say no in the column 'archive'.",
    )


def moment(text: str) -> datetime.datetime | None:
    """An ISO 8601 time as it stands, without its offset; None where it is none."""
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=None) if text else None
    except ValueError:
        return None


def day(text: str) -> datetime.date | None:
    """An ISO 8601 date; None where it is none."""
    try:
        return datetime.date.fromisoformat(text) if text else None
    except ValueError:
        return None
