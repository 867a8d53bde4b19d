"""Judgements as a sheet that people edit: a row for each that counts, or for what nobody has judged yet; and what an
edited one says anew.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from diadem.catalogue.results import PackageRow
from diadem.custody import statements
from diadem.errors import DiademError, UsageError
from diadem.model.assessments import VERDICTS, Assessment, Question, current, label
from diadem.model.display import Display
from diadem.model.ports import Listener
from diadem.model.progress_bar import progress_bar
from diadem.model.table_changes import (
    CHANGED,
    NEW,
    Conflict,
    Fault,
    TableChanges,
    WrittenTable,
    cell_text,
)
from diadem.node.context import Context
from diadem.node.quality.assess import Judgement, assessment_of, check_judgement
from diadem.node.sheets import STATEMENT, Cells, SheetImport, as_shown, in_cell, texts
from diadem.policy.commands import short
from diadem.serialization.validation import validate_draft

#: Columns that say how something is judged.
_SAID: Final = ("signal", "purpose", "criterion", "verdict", "value", "unit", "comment", "evidence", "scheme")
#: Cells that a list of what is still to be judged has filled in.
_PREPARED: Final = ("purpose", "criterion", "scheme")
_BY, _ID = "by", "statement"
_OWN_ROW: Final = "Write it in a row of its own, with nothing under 'statement' and 'by'."
#: Packages that are looked up at once.
_PAGE: Final = 500
#: Numbers that differ by less are one: spreadsheet programs keep 15 digits.
_DIGITS: Final = 1e-13


@dataclass(frozen=True, slots=True)
class JudgementVerbs(Display):
    """Assessments of many packages at once: `node.judgements`.

    Parameters
    ----------
    context : Context
        The node.
    """

    context: Context
    _display_name = "judgements"

    def _display_document(self) -> dict[str, Any]:
        return {}

    def _display_title(self) -> str:
        return "assessments of many packages as a sheet: export, import_"

    def export(
        self,
        path: str | os.PathLike[str],
        query: str = "",
        *,
        todo: bool = False,
        purpose: str = "",
        replace: bool = False,
    ) -> WrittenTable:
        """Write assessments as a sheet that people edit and `import_` reads: one row for each that counts, anybody's.

        Parameters
        ----------
        path : path
            ``.xlsx`` or ``.csv``.
        query : str
            Of the packages that this search finds; default of all.
        todo : bool
            Instead one row for each dataset that nobody has assessed yet, with an empty verdict.
        purpose : str
            With `todo`: that nobody has assessed for this purpose, which is filled in.
        replace : bool
            Replace the file if it exists; somebody may have edited it.

        Raises
        ------
        UsageError
            The file exists already, its ending is another one, or the query cannot be understood.
        """
        if purpose and not todo:
            raise UsageError(
                "a purpose is for what is still to be assessed", next="Search: purpose:EELS; or use --todo."
            )
        rows: list[Mapping[str, Any]] = []
        start = 0
        while found := self.context.catalogue.search(query, limit=_PAGE, offset=start).rows:
            for row in found:
                rows += _todo(self.context, row, purpose) if todo else _judged(self.context, row)
            start += len(found)
        choices = {"verdict": VERDICTS}
        return JudgementSheet.write(Path(path), rows, numbers=("value",), choices=choices, replace=replace)

    def import_(
        self,
        path: str | os.PathLike[str],
        *,
        dry_run: bool = False,
        shown: TableChanges | None = None,
        listener: Listener = progress_bar,
    ) -> TableChanges:
        """Import a sheet that `export` has written and somebody has edited, in the name of the current user.

        Only edited cells count, and only in one's own assessments. A row that has a verdict and names no
        statement is a new assessment. What its assessor has said since the sheet was written is never undone: that is a
        conflict, which is told and not written.

        Parameters
        ----------
        path : path
            ``.xlsx`` or ``.csv``.
        dry_run : bool
            Say what would be written.
        shown : TableChanges, optional
            What a person has agreed to; anything else is refused.
        listener : Listener
            Told of progress.

        Returns
        -------
        TableChanges
            What was written. A run that is stopped can be repeated: what is known already is recognised.

        Raises
        ------
        NotFound
            There is no such file.
        DocumentError
            It is not a table; or, unless it is a dry run, something in it cannot be understood. Nothing was written.
        Refused
            The node has changed since `shown`.
        """
        return JudgementSheet.run(self.context, Path(path), dry_run=dry_run, shown=shown, listener=listener)


# -- writing it ----------------------------------------------------------------------------------------------------


def _judged(context: Context, row: PackageRow) -> Iterator[Mapping[str, Any]]:
    if not row.quality:
        return
    counting = current(context.catalogue.assessments(row.id))
    paths = context.catalogue.dataset_paths(row.id, [one.dataset for one in counting if one.dataset])
    for one in counting:
        place = {**_place(row), "dataset": paths.get(one.dataset, ""), "dataset id": one.dataset}
        yield {**place, **_said_cells(one), _BY: one.who, "judged": one.time[:10], _ID: STATEMENT + one.statement_id}


def _todo(context: Context, row: PackageRow, purpose: str) -> Iterator[Mapping[str, Any]]:
    """Datasets that nobody has judged, or not for this purpose; a judgement of the package is one of all of them."""
    said = current(context.catalogue.assessments(row.id)) if row.quality else []
    judged = {one.dataset for one in said if not purpose or label(one.purpose) == label(purpose)}
    if "" in judged:
        return
    empty = {**dict.fromkeys(JudgementSheet.keys, ""), **_place(row), "purpose": purpose, "value": None}
    for dataset in context.catalogue.datasets_of(row.id):
        if dataset.id not in judged:
            yield {**empty, "dataset": dataset.path, "dataset id": dataset.id}


def _place(row: PackageRow) -> dict[str, Any]:
    return {"package": row.id, "session": row.title, "date": row.date.isoformat() if row.date else ""}


def _said_cells(one: Assessment) -> dict[str, Any]:
    """What a judgement says, by the columns of the sheet; its value stays a number, or None."""
    return {name: "\n".join(one.evidence) if name == "evidence" else getattr(one, name) for name in _SAID}


def _shown_cells(one: Assessment) -> dict[str, str]:
    """The same as an export writes it, as text."""
    return {key: cell_text(value) if key == "value" else in_cell(value) for key, value in _said_cells(one).items()}


# -- importing it --------------------------------------------------------------------------------------------------


class JudgementSheet(SheetImport):
    """What an edited sheet of judgements says anew, and what only its assessor may say."""

    sheet, needed, make = "judgements", ("package", "verdict"), "diadem assessment export assessments.xlsx"
    #: The first ones say of what a row is, and are never changed.
    keys = ("package", "session", "date", "dataset", "dataset id", *_SAID, _BY, "judged", _ID)

    def __init__(self, context: Context, path: Path) -> None:
        super().__init__(context, path)
        self._said: dict[str, list[Assessment]] = {}
        self._answered: dict[tuple[str, Question], int] = {}

    def row(self, number: int, raw: Mapping[str, Any]) -> None:
        """Find what a row says."""
        cells = texts(raw)
        self.column = "package"
        package = self.context.catalogue.get(cells["package"])
        if package.tombstone is not None:
            raise self.fault("package", "the package was deleted", "Remove the row.")
        if package.id not in self._said:
            self._said[package.id] = self.context.catalogue.assessments(package.id)
        row = _Row(self.context, number, package.id, cells, self.table.decimal_comma)
        if cells.get(_ID):
            self._edited(row, cells[_ID].removeprefix(STATEMENT))
        else:
            self._new(row)
        self.faults += row.faults

    def _edited(self, row: _Row, statement: str) -> None:
        """A row of a judgement that was exported."""
        said = self._said[row.package]
        exported = next((one for one in said if one.statement_id == statement), None)
        if exported is None:
            message = f"'{statement[:80]}' is not an assessment of this package"
            raise self.fault(_ID, message, "Leave it empty for a new one.")
        path = self._require_place(row, exported)
        now, before = _now(said, exported), _shown_cells(exported)
        cells = before | {column: row.meant(column, exported) for column in _SAID if column in row.cells}
        if cells == before:
            return self.known(older=now is not exported)
        if exported.assessor != (self.context.address, ""):
            message = f"only {exported.who} can change what {exported.who} has assessed"
            if exported.plugin:
                message = f"a program has assessed that: {exported.who}"
            changed = next(column for column in cells if cells[column] != before[column])
            raise self.fault(changed, message, f"State your own assessment. {_OWN_ROW}")
        wanted = row.judgement(cells, exported.dataset)
        if wanted is None:
            return None
        words = _about(row.package, path, before)
        if _says(wanted) == _says(now):
            return self.known()
        if now is not exported:
            return self._conflicts(row.number, words, before, now, wanted)
        if wanted.question != exported.question:
            wanted = replace(wanted, replaces=exported.statement_id)
            if self._own(row.package, wanted.question) is not None:
                raise self.fault("purpose", "you have assessed that already", "Change that assessment.")
        return self._say(row, words, before, wanted)

    def _require_place(self, row: _Row, exported: Assessment) -> str:
        """The path of the dataset that was judged; dataset and assessor stand in the row as they were exported."""
        path = ""
        if exported.dataset:
            path = self.context.catalogue.dataset_paths(row.package, [exported.dataset]).get(exported.dataset, "")
        for column, text in {"dataset": path, "dataset id": exported.dataset, _BY: exported.who}.items():
            if column in row.cells and as_shown(row.cells[column], [text]) != as_shown(text, [text]):
                raise self.fault(column, f"an assessment keeps this: it was '{text[:80]}'", _OWN_ROW)
        return path

    def _new(self, row: _Row) -> None:
        empty = dict.fromkeys(_SAID, "")
        cells = empty | {column: row.cells[column] for column in _SAID if column in row.cells}
        if not any(text for column, text in cells.items() if column not in _PREPARED):
            self.waiting += 1
            return
        if row.cells.get(_BY, "") not in ("", self.context.address):
            message = f"{self.context.address} cannot assess as {row.cells[_BY][:80]}"
            raise self.fault(_BY, message, "Leave it empty; --user says who assesses.")
        dataset, path = self._dataset(row)
        wanted = row.judgement(cells, dataset)
        if wanted is None:
            return
        words = _about(row.package, path, _shown_cells(wanted))
        recorded = self._own(row.package, wanted.question)
        if recorded is None:
            self._say(row, words, None, wanted)
        elif _says(recorded) == _says(wanted):
            self.known()
        else:
            self._conflicts(row.number, words, empty, recorded, wanted)

    def _dataset(self, row: _Row) -> tuple[str, str]:
        """Id and path of the dataset that a new row names by either; "" for the whole package."""
        named, given_id = row.cells.get("dataset", ""), row.cells.get("dataset id", "")
        if not (named or given_id):
            return "", ""
        self.column = "dataset id" if given_id else "dataset"
        found = self.context.follower.dataset(row.package, given_id or named)
        if given_id and named and as_shown(named, [found.path]) != as_shown(found.path, [found.path]):
            message = f"the dataset {given_id} is '{found.path}'"
            row.faults.append(Fault(row.number, "dataset", message, "Leave one of the two empty."))
        return found.id, found.path

    def _own(self, package: str, question: Question) -> Assessment | None:
        """What who imports has answered to a question, as it counts now."""
        mine, counting = (self.context.address, ""), current(self._said[package])
        return next((one for one in counting if (one.assessor, one.question) == (mine, question)), None)

    def _say(self, row: _Row, words: str, before: Cells | None, wanted: Assessment) -> None:
        """Have it stated, unless a row above answers the same question."""
        first = self._answered.setdefault((row.package, wanted.question), row.number)
        if first != row.number:
            raise self.fault("", f"row {first} assesses the same", "Keep one of them.")
        what = NEW if before is None else CHANGED
        self.change(row.number, what, words, statements.assessment(row.package, wanted), before, _shown_cells(wanted))

    def _conflicts(self, row: int, words: str, exported: Cells, now: Assessment, wanted: Assessment) -> None:
        here, there = _shown_cells(now), _shown_cells(wanted)
        for column in _SAID:
            if there[column] != here[column]:
                self.conflicts.append(Conflict(row, words, column, exported[column], here[column], there[column]))


@dataclass(slots=True)
class _Row:
    """A row: each cell of it checked, and the judgement as it would be stated."""

    context: Context
    number: int
    package: str
    cells: Cells
    decimal_comma: bool
    #: Cells that cannot be understood.
    faults: list[Fault] = field(default_factory=list)

    def meant(self, column: str, known: Assessment) -> str:
        """A cell as an export would write it, where it says what a judgement says."""
        cell = self.cells[column]
        if column != "value":
            return as_shown(cell.lower() if column == "verdict" else cell, [_said_cells(known)[column]])
        if known.value is not None and cell:
            number = _number(cell, comma=self.decimal_comma)
            if number is not None and math.isclose(number, known.value, rel_tol=_DIGITS):
                return cell_text(known.value)
        return cell

    def judgement(self, said: Cells, dataset: str) -> Assessment | None:
        """The judgement that these cells say; None where they cannot be understood, which is told."""
        value, text = None, said["value"]
        if text:
            value = _number(text, comma=self.decimal_comma)
            value = math.nan if value is None else value
        evidence = [line.strip() for line in said["evidence"].split("\n") if line.strip()]
        plain = {name: said[name] for name in ("signal", "purpose", "criterion", "unit", "comment", "scheme")}
        wanted = Judgement(said["verdict"].lower(), dataset=dataset, value=value, evidence=evidence, **plain)
        named, faults = check_judgement(self.context, wanted)
        if not faults:
            try:
                found = assessment_of(self.context, self.package, wanted, named)
                validate_draft(statements.assessment(self.package, found))
            except DiademError as error:
                faults = [("", error)]
            else:
                return found
        no_number = UsageError(f"'{text[:80]}' is not a number", next="Write it as 0.5, without its unit.")
        for column, fault in faults:
            self.faults.append(Fault.of(self.number, column, no_number if column == "value" and text else fault))
        return None


def _about(package: str, path: str, said: Cells) -> str:
    """What is judged, in words: ``EELS (drift), scan 1.raw of 905417961818``."""
    criterion = f" ({said['criterion']})" if said["criterion"] else ""
    signal = f" {said['signal']}" if said["signal"] else ""
    question = said["purpose"] or said["scheme"] or "?"
    return f"{question}{criterion}, {path or 'all'}{signal} of {short(package)}"


def _number(cell: str, *, comma: bool) -> float | None:
    plain = cell.replace(",", ".") if comma and "." not in cell and cell.count(",") == 1 else cell
    try:
        number = float(plain)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _now(said: Iterable[Assessment], exported: Assessment) -> Assessment:
    """What its assessor says now in the place of a judgement: itself, or what has followed it."""
    found = exported
    for one in sorted(said, key=lambda one: one.order):
        if one.order > found.order and one.assessor == found.assessor and one.dataset == found.dataset:
            found = one if one.question == found.question or one.replaces == found.statement_id else found
    return found


def _says(one: Assessment) -> dict[str, object]:
    """What two judgements have alike that say the same."""
    return {key: value for key, value in one.to_predicate().items() if key != "replaces"}
