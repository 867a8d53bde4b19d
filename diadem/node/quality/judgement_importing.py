"""Judgements from an edited sheet: what each row says anew, and what only its assessor may say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from diadem.custody import statements
from diadem.errors import DiademError
from diadem.model.assessments import Assessment, Question, current
from diadem.model.table_changes import CHANGED, NEW, Conflict, Fault, RowChange, cell_text, given, told
from diadem.node.context import Context
from diadem.node.quality.judgement_row import JudgementRow, about, empty_cells, shown_cells
from diadem.node.quality.judgement_sheet import BY, ID, KEYS, MAKE, SAID, SHEET
from diadem.node.samples.sample_sheet import STATEMENT
from diadem.node.sheet_plan import SheetPlan, as_shown
from diadem.scan.tables import read_table

#: Cells that a list of what is still to be judged has filled in.
_PREPARED: Final = ("purpose", "criterion", "scheme")
_OWN_ROW: Final = "Write it in a row of its own, with nothing under 'statement' and 'by'."


def plan_judgements(context: Context, path: Path) -> SheetPlan:
    """What a sheet of judgements would have the node state.

    Raises
    ------
    NotFound, DocumentError
        There is no such sheet, or it is none.
    """
    plan = SheetPlan(read_table(path, KEYS, sheet=SHEET, needed=["package", "verdict"], make=MAKE))
    importing = _Importing(context, plan)
    for number, raw in plan.table.rows:
        cells = {key: cell_text(cell) for key, cell in raw.items()}
        try:
            importing.take(number, cells)
        except DiademError as error:
            plan.faults.append(Fault.of(number, importing.column, error))
    return plan


@dataclass(slots=True)
class _Importing:
    """Row by row."""

    context: Context
    plan: SheetPlan
    #: What is being looked up: the column of an error.
    column: str = ""
    said: dict[str, list[Assessment]] = field(default_factory=dict)
    answered: dict[tuple[str, Question], int] = field(default_factory=dict)

    def take(self, number: int, cells: Mapping[str, str]) -> None:
        """Find what a row says."""
        self.column = "package"
        package = self.context.catalogue.get(cells["package"])
        row = JudgementRow(self.context, number, package.id, cells, self.plan.table.decimal_comma)
        if package.tombstone is not None:
            self._fault(number, "package", "the package was deleted", "Remove the row.")
        elif cells.get(ID):
            self._edited(row, cells[ID].removeprefix(STATEMENT))
        else:
            self._new(row)
        self.plan.faults += row.faults

    # -- a row of a judgement --------------------------------------------------------------------------------------

    def _edited(self, row: JudgementRow, statement: str) -> None:
        said = self._said(row.package)
        exported = next((one for one in said if one.statement_id == statement), None)
        if exported is None:
            message = f"'{statement[:80]}' is not an assessment of this package"
            return self._fault(row.number, ID, message, "Leave it empty for a new one.")
        path = self._path(row.package, exported.dataset)
        if not self._is_its_place(row, exported, path):
            return None
        now = _now(said, exported)
        before = shown_cells(exported)
        cells = before | {column: row.meant(column, exported) for column in SAID if column in row.cells}
        if cells == before:
            return self.plan.known(older=now is not exported)
        if exported.assessor != (self.context.address, ""):
            message = f"only {exported.who} can change what {exported.who} has assessed"
            if exported.plugin:
                message = f"a program has assessed that: {exported.who}"
            changed = next(column for column in cells if cells[column] != before[column])
            return self._fault(row.number, changed, message, f"State your own assessment. {_OWN_ROW}")
        wanted = row.judgement(cells, exported.dataset)
        if wanted is None:
            return None
        words = about(row.package, path, before)
        if _says(wanted) == _says(now):
            return self.plan.known()
        if now is not exported:
            return self._conflicts(row.number, words, before, shown_cells(now), shown_cells(wanted))
        if wanted.question != exported.question:
            wanted = replace(wanted, replaces=exported.statement_id)
            if self._own(row.package, wanted.question) is not None:
                return self._fault(row.number, "purpose", "you have assessed that already", "Change that assessment.")
        if self._answer(row, wanted):
            shown = shown_cells(wanted)
            changes = told((one, before[one], shown[one]) for one in SAID)
            self.plan.change(RowChange(row.number, CHANGED, words, changes), statements.assessment(row.package, wanted))
        return None

    def _is_its_place(self, row: JudgementRow, exported: Assessment, path: str) -> bool:
        """Whether dataset and assessor stand in the row as they were exported; what does not is told."""
        fixed = {"dataset": path, "dataset id": exported.dataset, BY: exported.who}
        for column, text in fixed.items():
            if column in row.cells and as_shown(row.cells[column], [text]) != as_shown(text, [text]):
                self._fault(row.number, column, f"an assessment keeps this: it was '{text[:80]}'", _OWN_ROW)
                return False
        return True

    # -- a new row -------------------------------------------------------------------------------------------------

    def _new(self, row: JudgementRow) -> None:
        cells = empty_cells() | {column: row.cells[column] for column in SAID if column in row.cells}
        if not any(text for column, text in cells.items() if column not in _PREPARED):
            self.plan.waiting += 1
            return
        if row.cells.get(BY, "") not in ("", self.context.address):
            message = f"{self.context.address} cannot assess as {row.cells[BY][:80]}"
            self._fault(row.number, BY, message, "Leave it empty; --user says who assesses.")
            return
        dataset, path = self._dataset(row)
        wanted = row.judgement(cells, dataset)
        if wanted is None:
            return
        words, shown = about(row.package, path, shown_cells(wanted)), shown_cells(wanted)
        known = self._own(row.package, wanted.question)
        if known is not None and _says(known) == _says(wanted):
            self.plan.known()
        elif known is not None:
            self._conflicts(row.number, words, empty_cells(), shown_cells(known), shown)
        elif self._answer(row, wanted):
            self.plan.change(
                RowChange(row.number, NEW, words, given(shown)), statements.assessment(row.package, wanted)
            )

    def _dataset(self, row: JudgementRow) -> tuple[str, str]:
        """Id and path of the dataset that a new row names by either; "" for the whole package."""
        named, given_id = row.cells.get("dataset", ""), row.cells.get("dataset id", "")
        self.column = "dataset id" if given_id else "dataset"
        if not (named or given_id):
            return "", ""
        found = self.context.catalogue.dataset(row.package, given_id or named)
        if given_id and named and as_shown(named, [found.path]) != as_shown(found.path, [found.path]):
            message = f"the dataset {given_id} is '{found.path}'"
            self._fault(row.number, "dataset", message, "Leave one of the two empty.")
        return found.id, found.path

    # -- what is known ---------------------------------------------------------------------------------------------

    def _said(self, package: str) -> list[Assessment]:
        if package not in self.said:
            self.said[package] = self.context.catalogue.assessments(package)
        return self.said[package]

    def _own(self, package: str, question: Question) -> Assessment | None:
        """What who imports has answered to a question, as it counts now."""
        mine, counting = (self.context.address, ""), current(self._said(package))
        return next((one for one in counting if (one.assessor, one.question) == (mine, question)), None)

    def _path(self, package: str, dataset: str) -> str:
        return self.context.catalogue.dataset_paths(package, [dataset]).get(dataset, "") if dataset else ""

    def _answer(self, row: JudgementRow, wanted: Assessment) -> bool:
        """Whether no row above answers the same question; else that is told."""
        first = self.answered.setdefault((row.package, wanted.question), row.number)
        if first != row.number:
            self._fault(row.number, "", f"row {first} assesses the same", "Keep one of them.")
        return first == row.number

    def _fault(self, row: int, column: str, message: str, advice: str) -> None:
        self.plan.faults.append(Fault(row, column, message, advice))

    def _conflicts(
        self, row: int, words: str, exported: Mapping[str, str], now: Mapping[str, str], wanted: Mapping[str, str]
    ) -> None:
        for column in SAID:
            if wanted[column] != now[column]:
                found = Conflict(row, words, column, exported[column], now[column], wanted[column])
                self.plan.conflicts.append(found)


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
