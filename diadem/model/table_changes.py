"""What a sheet that people have edited would change: cell by cell, against what is known now. Pure.

A sheet is older than the node. So each cell is compared three ways: as it was exported, as it is now, as it stands in
the sheet. What was not edited changes nothing, however much the node has learnt since; what was edited changes what
nobody else has changed since; where both happened that is a conflict, and a person decides.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from diadem.errors import DiademError
from diadem.model.display import Display

#: What a row does.
NEW, CHANGED = "new", "changed"
_WHOLE: Final = 1e15


class Edit(StrEnum):
    """What became of one cell."""

    NONE = "none"
    CHANGED = "changed"
    CONFLICT = "conflict"


def edited(exported: str, now: str, cell: str) -> Edit:
    """What somebody has done to a cell, where the node may have learnt something since."""
    if cell in (now, exported):
        return Edit.NONE
    return Edit.CHANGED if now == exported else Edit.CONFLICT


def cell_text(cell: object) -> str:
    """What stands in a cell, as text: what spreadsheet programs make of texts is undone as far as it can be.

    Whole numbers lose their ``.0``, days their midnight, lines the blanks at their ends.

    Parameters
    ----------
    cell : object
        Text, number, bool, date, time, or None.
    """
    if isinstance(cell, str):
        lines = cell.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return "\n".join(line.rstrip() for line in lines).strip()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < _WHOLE:
        return str(int(cell))
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(" ", "seconds") if cell.time() != datetime.time() else cell.date().isoformat()
    if isinstance(cell, datetime.date):
        return cell.isoformat()
    return "" if cell is None else str(cell)


@dataclass(frozen=True, slots=True)
class CellChange(Display):
    """One cell: what is known now, and what the sheet says; "" for nothing."""

    column: str
    before: str
    after: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {"column": self.column, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class RowChange(Display):
    """One row that says something new.

    Attributes
    ----------
    row : int
        As spreadsheet programs count: the first below the head is 2.
    what : {"new", "changed"}
        Whether it is known already.
    about : str
        What it is of, in words.
    cells : tuple of CellChange
        What it says; for what is new, all that it says.
    """

    row: int
    what: str
    about: str
    cells: tuple[CellChange, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        cells = [cell.to_dict() for cell in self.cells]
        return {"row": self.row, "what": self.what, "about": self.about, "cells": cells}


@dataclass(frozen=True, slots=True)
class Conflict(Display):
    """One cell that the sheet and somebody on the node have both changed since the sheet was written."""

    row: int
    about: str
    column: str
    exported: str
    now: str
    wanted: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Fault(Display):
    """One cell that cannot be understood, or must not be changed; `column` is "" where it is the row as a whole."""

    row: int
    column: str
    message: str
    next: str = ""

    @classmethod
    def of(cls, row: int, column: str, error: DiademError) -> Fault:
        """What an error says of a cell."""
        return cls(row, column, error.message, error.next or "")

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __str__(self) -> str:
        """``row 3, verdict: 'good' is no verdict``."""
        return f"row {self.row}{', ' if self.column else ''}{self.column}: {self.message}"


@dataclass(frozen=True, slots=True)
class TableChanges(Display):
    """What a sheet would change, or has changed.

    Attributes
    ----------
    path : str
        The sheet.
    changes : tuple of RowChange
        What is to be written, in the order of the rows.
    conflicts : tuple of Conflict
        What is not written, because the node has learnt something else since.
    faults : tuple of Fault
        What cannot be understood: while there is any, nothing is written.
    notes : tuple of str
        What was not read, in words.
    unchanged : int
        Rows that say what is known.
    older : int
        Those of them of which the node knows more than the sheet.
    waiting : int
        Rows that nobody has filled in yet.
    written : int
        Statements that were written.
    """

    path: str
    changes: tuple[RowChange, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    unchanged: int = 0
    older: int = 0
    waiting: int = 0
    written: int = 0

    @property
    def ok(self) -> bool:
        """Whether everything in it can be written."""
        return not self.conflicts and not self.faults

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        listed = {name: [one.to_dict() for one in getattr(self, name)] for name in ("changes", "conflicts", "faults")}
        numbers = {name: getattr(self, name) for name in ("unchanged", "older", "waiting", "written")}
        return {"path": self.path, **listed, "notes": list(self.notes), **numbers}


def told(cells: Iterable[tuple[str, str, str]]) -> tuple[CellChange, ...]:
    """Changes of the cells that differ, from (column, before, after)."""
    return tuple(CellChange(*one) for one in cells if one[1] != one[2])


def given(cells: Mapping[str, str]) -> tuple[CellChange, ...]:
    """What a new row says: every cell that is not empty."""
    return tuple(CellChange(column, "", text) for column, text in cells.items() if text)


@dataclass(frozen=True, slots=True)
class WrittenTable(Display):
    """A sheet that was written: where it is, and how many rows it has below its head."""

    path: str
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {"path": self.path, "rows": self.rows}
