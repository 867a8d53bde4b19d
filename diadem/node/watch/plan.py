"""The plan of a watcher: one CSV of exceptions, a line a session. A wrong line is told, and holds its own session only.

========== ==========================================================================================================
archive    ``yes`` (also what lay there before), ``no``, ``later`` (not before the line says something else), or empty
folder     the session's folder, or its file: absolute, as `diadem scan --plan` writes paths
title      of the session; it is one session then
date       ``2026-03-14``
sample     name of the sample
metadata   more facts, as for `--set`: ``people.name=Marie Curie``, one a line, or ``;`` between them
as         ``one``, ``split`` (one package for each session that a scan finds in it), or empty: as a scan finds it
wait       for how long it has to be silent: ``2 h``
state, why what the watcher says of it; not read
========== ==========================================================================================================
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from diadem.errors import DiademError, DocumentError, NotFound
from diadem.model.measures import read_duration
from diadem.model.plain_text import duration_words
from diadem.model.table_changes import cell_text
from diadem.scan.tables import Column, from_cell, read_table, table_csv, to_cell
from diadem.serialization.metadata_pairs import metadata_from_pairs

_CHOICES: Final = ("", "yes", "no", "later")
_WAYS: Final = ("", "one", "split")
_KEYS: Final = ("archive", "folder", "title", "date", "sample", "metadata", "as", "wait", "state", "why")
_MAKE: Final = "diadem watch plan FILE.csv"


@dataclass(frozen=True, slots=True)
class Line:
    """What a person wants of one session."""

    #: As spreadsheet programs count rows; 0 for a line that is made for the table.
    number: int
    folder: str
    archive: str = ""
    title: str = ""
    date: str = ""
    sample: str = ""
    #: The column ``as``.
    way: str = ""
    metadata: Sequence[str] = ()
    #: Silence, where it is not the policy's.
    wait: datetime.timedelta | None = None
    #: For people.
    state: str = ""
    why: str = ""
    #: What is wrong with it; "" where nothing is.
    mistake: str = ""

    @property
    def as_one(self) -> bool | None:
        """Whether it is one session; None where the line does not say."""
        if self.way:
            return self.way == "one"
        return True if self.title else None

    def stated(self, before: Sequence[str]) -> dict[str, Any]:
        """What is said of the session, over what is said of all. Raises `UsageError`, `DocumentError`."""
        said = (("session.title", self.title), ("session.date", self.date), ("sample.name", self.sample))
        own = [f"{key}={value}" for key, value in said if value]
        return metadata_from_pairs([*own, *self.metadata], metadata_from_pairs(before))

    @property
    def mark(self) -> str:
        """What changes when a person changes the line."""
        parts = (self.archive, self.title, self.date, self.sample, self.way, *self.metadata, self.wait, self.mistake)
        return "|".join(map(str, parts))


#: Of a session of which the plan says nothing.
NO_LINE: Final = Line(0, "")


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """All lines."""

    #: By `place_key` of their folder.
    lines: Mapping[str, Line] = field(default_factory=dict)
    #: Row and what is wrong, of every wrong line.
    mistakes: Sequence[tuple[int, str]] = ()
    #: Why the plan as a whole cannot be read: until it can, nothing is archived, for a line may forbid it.
    broken: str = ""

    def line(self, folder: Path) -> Line:
        """What it says of a session."""
        return self.lines.get(place_key(str(folder)), NO_LINE)

    def hold(self, line: Line) -> tuple[str, str] | None:
        """Why a session is not archived by what its line says: state and words; None where it may be."""
        if self.broken:
            return "held", f"the plan cannot be read: {self.broken}"
        if line.mistake:
            return "held", f"row {line.number} of the plan: {line.mistake}"
        if line.archive == "no":
            return "no", f"excluded by row {line.number} of the plan"
        if line.archive == "later":
            return "later", f"postponed by row {line.number} of the plan"
        return None

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: how many lines it has, and what is wrong with it."""
        mistakes = [{"row": row, "message": message} for row, message in self.mistakes]
        return {"lines": len(self.lines), "broken": self.broken, "mistakes": mistakes}


def place_key(folder: str) -> str:
    """What is equal for two spellings of one path."""
    return os.path.normcase(os.path.normpath(folder))


def read_watch_plan(path: Path) -> WatchPlan:
    """Read a plan. One that is not there says nothing; a mistake is part of the result."""
    if path.suffix.lower() == ".xlsx":
        return WatchPlan(broken="it is a workbook: save it as CSV UTF-8")
    try:
        table = read_table(path, _KEYS, sheet="", needed=("folder",), make=_MAKE)
    except NotFound:
        return WatchPlan()
    except OSError as error:
        return WatchPlan(broken=error.strerror or str(error))
    except DocumentError as error:
        return WatchPlan(broken=f"{error.message}. {error.next or ''}".strip(" ."))

    found: dict[str, Line] = {}
    mistakes: list[tuple[int, str]] = []
    for number, row in table.rows:
        # A folder's name may begin or end with blanks.
        cells = {key: str(cell or "") if key == "folder" else cell_text(cell) for key, cell in row.items()}
        folder = from_cell(cells.get("folder", ""))
        try:
            line = _line(number, folder, cells)
        except DiademError as error:
            line = Line(number, folder if Path(folder).is_absolute() else "", mistake=error.message)
        key = place_key(line.folder)
        if line.folder and key in found:
            words = f"rows {found[key].number} and {number} are about one session"
            line = Line(number, line.folder, mistake=words)
        if line.mistake:
            mistakes.append((number, line.mistake))
        if line.folder:
            found[key] = line
    return WatchPlan(found, mistakes)


def _line(number: int, folder: str, row: Mapping[str, str]) -> Line:
    """What a row says. Raises `DiademError` where that cannot be understood."""
    if not Path(folder).is_absolute():
        raise DocumentError(f"the column 'folder' says '{folder[:80]}', no absolute path")
    archive, way = row.get("archive", "").casefold(), row.get("as", "").casefold()
    for column, said, choices in (("archive", archive, _CHOICES), ("as", way, _WAYS)):
        if said not in choices:
            raise DocumentError(f"the column '{column}' says '{said[:40]}', not {', '.join(choices[1:])} or nothing")
    if row.get("title") and way == "split":
        raise DocumentError("a title is for one session, and the column 'as' says split")
    line = Line(
        number,
        folder,
        archive,
        row.get("title", ""),
        _date(row.get("date", "")),
        row.get("sample", ""),
        way,
        tuple(pair.strip() for pair in re.split(r"[;\n]", row.get("metadata", "")) if pair.strip()),
        read_duration(row["wait"]) if row.get("wait") else None,
    )
    line.stated(())
    return line


def _date(text: str) -> str:
    try:
        return datetime.date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise DocumentError(f"the column 'date' says '{text[:40]}', no date such as 2026-03-14") from None


_COLUMNS: Final[Sequence[Column[Line]]] = (
    Column("archive", "archive", "text", lambda line: line.archive),
    Column("folder", "folder", "text", lambda line: to_cell(line.folder)),
    Column("title", "title", "text", lambda line: line.title),
    Column("date", "date", "text", lambda line: line.date),
    Column("sample", "sample", "text", lambda line: line.sample),
    Column("metadata", "metadata", "text", lambda line: "\n".join(line.metadata)),
    Column("as", "as", "text", lambda line: line.way),
    Column("wait", "wait", "text", lambda line: duration_words(line.wait) if line.wait is not None else ""),
    Column("state", "state", "text", lambda line: line.state),
    Column("why", "why", "text", lambda line: line.why),
)


def plan_bytes(lines: Iterable[Line]) -> bytes:
    """The CSV of some lines."""
    return table_csv(_COLUMNS, lines)


def require_plan(path: Path) -> WatchPlan:
    """Read a plan that somebody names."""
    if not path.is_file():
        raise NotFound("there is no such plan", where=str(path), next=f"Write one: {_MAKE}")
    plan = read_watch_plan(path)
    if plan.broken:
        raise DocumentError(f"the plan cannot be read: {plan.broken}", where=str(path), next="Mend it, or delete it.")
    return plan
