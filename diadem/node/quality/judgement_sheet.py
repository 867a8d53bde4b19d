"""Judgements as a sheet that people edit: a row for each that counts, or for what nobody has judged yet; and what an
edited one says anew.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from diadem.catalogue.results import PackageRow
from diadem.errors import DiademError, NotFound, UsageError
from diadem.model.assessments import VERDICTS, Assessment, Question, current, label
from diadem.model.display import Display
from diadem.model.ports import Listener
from diadem.model.progress_bar import progress_bar
from diadem.model.table_changes import (
    CHANGED,
    NEW,
    Conflict,
    Fault,
    RowChange,
    TableChanges,
    WrittenTable,
    cell_text,
    given,
    told,
)
from diadem.node.context import Context
from diadem.node.quality.assess import Judgement, by_scheme, draft_of, drawn, evidence_of
from diadem.node.sheets import STATEMENT, SheetImport, as_shown, in_cell
from diadem.scan.tables import Column, read_table, write_table
from diadem.serialization.validation import validate_draft

SHEET: Final = "judgements"
#: Columns that say of what a row is; they are never changed.
PLACE: Final = ("package", "session", "date", "dataset", "dataset id")
#: Columns that say how something is judged.
SAID: Final = ("signal", "purpose", "criterion", "verdict", "value", "unit", "comment", "evidence", "scheme")
BY, JUDGED, ID = "by", "judged", "statement"
KEYS: Final = (*PLACE, *SAID, BY, JUDGED, ID)
MAKE: Final = "diadem assessment export assessments.xlsx"
#: Packages that are looked up at once.
_PAGE: Final = 500

Row = Mapping[str, Any]


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
        return write_judgements(self.context, Path(path), query, todo=todo, purpose=purpose, replace=replace)

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
        if dry_run:
            return plan_judgements(self.context, Path(path)).outcome()
        self.context.require_writable()
        with self.context.locked("judgements"):
            return plan_judgements(self.context, Path(path)).carry_out(self.context, shown, listener)


def write_judgements(
    context: Context, path: Path, query: str, *, todo: bool, purpose: str, replace: bool
) -> WrittenTable:
    """Write the judgements of all packages that a search finds; or with `todo` what nobody has judged yet."""
    rows = [
        cells
        for row in _packages(context, query)
        for cells in (_todo(context, row, purpose) if todo else _judged(context, row))
    ]
    write_table(path, _columns(), rows, sheet=SHEET, choices={"verdict": VERDICTS}, replace=replace)
    return WrittenTable(str(path), len(rows))


def said_cells(one: Assessment) -> dict[str, Any]:
    """What a judgement says, by the columns of the sheet; its value stays a number, or None."""
    plain = {name: getattr(one, name) for name in SAID if name != "evidence"}
    return {**plain, "evidence": "\n".join(one.evidence)}


def _packages(context: Context, query: str) -> Iterator[PackageRow]:
    start = 0
    while rows := context.catalogue.search(query, limit=_PAGE, offset=start).rows:
        yield from rows
        start += len(rows)


def _judged(context: Context, row: PackageRow) -> Iterator[Row]:
    if not row.quality:
        return
    counting = current(context.catalogue.assessments(row.id))
    paths = context.catalogue.dataset_paths(row.id, [one.dataset for one in counting if one.dataset])
    for one in counting:
        place = {**_place(row), "dataset": paths.get(one.dataset, ""), "dataset id": one.dataset}
        yield {**place, **said_cells(one), BY: one.who, JUDGED: one.time[:10], ID: STATEMENT + one.statement_id}


def _todo(context: Context, row: PackageRow, purpose: str) -> Iterator[Row]:
    """Datasets that nobody has judged, or not for this purpose; a judgement of the package is one of all of them."""
    said = current(context.catalogue.assessments(row.id)) if row.quality else []
    judged = {one.dataset for one in said if not purpose or label(one.purpose) == label(purpose)}
    if "" in judged:
        return
    empty = {**dict.fromkeys(KEYS, ""), **_place(row), "purpose": purpose, "value": None}
    for dataset in context.catalogue.datasets_of(row.id):
        if dataset.id not in judged:
            yield {**empty, "dataset": dataset.path, "dataset id": dataset.id}


def _place(row: PackageRow) -> dict[str, Any]:
    return {"package": row.id, "session": row.title, "date": row.date.isoformat() if row.date else ""}


def _columns() -> Sequence[Column[Row]]:
    def column(key: str) -> Column[Row]:
        return Column(key, key, "number" if key == "value" else "text", lambda row: row[key])

    return [column(key) for key in KEYS]


#: Numbers that differ by less are one: spreadsheet programs keep 15 digits.
_DIGITS: Final = 1e-13


@dataclass(slots=True)
class JudgementRow:
    """A row.

    Attributes
    ----------
    context : Context
        The node.
    number : int
        Of the row.
    package : str
        Id of the package that is judged.
    cells : mapping of str to str
        What stands in it.
    decimal_comma : bool
        Whether ``0,5`` is a number.
    faults : list of Fault
        Cells that cannot be understood.
    """

    context: Context
    number: int
    package: str
    cells: Mapping[str, str]
    decimal_comma: bool
    faults: list[Fault] = field(default_factory=list)

    def meant(self, column: str, *known: Assessment) -> str:
        """A cell as an export would write it, where it says what one of these judgements says."""
        cell = self.cells[column]
        if column != "value":
            return as_shown(cell.lower() if column == "verdict" else cell, [said_cells(one)[column] for one in known])
        for one in known:
            if one.value is None and not cell:
                return ""
            if one.value is not None and _is_number(cell, one.value, comma=self.decimal_comma):
                return cell_text(one.value)
        return cell

    def judgement(self, said: Mapping[str, str], dataset: str, replaces: str = "") -> Assessment | None:
        """The judgement that these cells say; None where they cannot be understood, which is told."""
        before = len(self.faults)
        verdict = said["verdict"].lower()
        if verdict not in VERDICTS:
            what = f"'{verdict[:80]}' is not a verdict" if verdict else "there is no verdict"
            self._fault("verdict", UsageError(what, next=f"Write {', '.join(VERDICTS)}."))
        value = self._value(said["value"])
        if said["unit"] and not said["value"]:
            self._fault("value", UsageError("a unit needs a value", next="Write the number, or no unit."))
        if said["signal"] and not dataset:
            self._fault(
                "signal", UsageError("an assessment of a signal must name its dataset", next="Name the dataset too.")
            )
        self._check_question(said)
        evidence = [line.strip() for line in said["evidence"].split("\n") if line.strip()]
        for text in evidence:
            self._try("evidence", lambda text=text: evidence_of(self.context, text))
        if len(self.faults) > before:
            return None
        texts = {name: said[name] for name in ("signal", "purpose", "criterion", "unit", "comment", "scheme")}
        wanted = Judgement(verdict, dataset=dataset, value=value, evidence=evidence, replaces=replaces, **texts)
        return self._stated(wanted)

    def _stated(self, wanted: Judgement) -> Assessment | None:
        try:
            found = drawn(self.context, self.package, wanted)
            validate_draft(draft_of(self.package, found))
        except DiademError as error:
            self._fault("", error)
            return None
        return found

    def _check_question(self, said: Mapping[str, str]) -> None:
        scheme, purpose = said["scheme"], said["purpose"]
        try:
            by_scheme(self.context.policy, scheme, purpose, said["criterion"])
        except NotFound as error:
            self._fault("scheme", error)
        except UsageError as error:
            schemes = self.context.policy.quality.schemes
            other = not scheme or (purpose and label(purpose) != label(schemes[scheme].purpose))
            self._fault("purpose" if other else "criterion", error)

    def _value(self, cell: str) -> float | None:
        if not cell:
            return None
        number = _number(cell, comma=self.decimal_comma)
        if number is None:
            self._fault(
                "value", UsageError(f"'{cell[:80]}' is not a number", next="Write it as 0.5, without its unit.")
            )
        return number

    def _try(self, column: str, check: Any) -> None:
        try:
            check()
        except DiademError as error:
            self._fault(column, error)

    def _fault(self, column: str, error: DiademError) -> None:
        self.faults.append(Fault.of(self.number, column, error))


def shown_cells(one: Assessment) -> dict[str, str]:
    """What an export writes of a judgement, as text."""
    return {
        column: cell_text(value) if column == "value" else in_cell(value) for column, value in said_cells(one).items()
    }


def about(package: str, path: str, said: Mapping[str, str]) -> str:
    """What is judged, in words: ``EELS (drift), scan 1.raw of 905417961818``."""
    criterion = f" ({said['criterion']})" if said["criterion"] else ""
    signal = f" {said['signal']}" if said["signal"] else ""
    question = said["purpose"] or said["scheme"] or "?"
    return f"{question}{criterion}, {path or 'all'}{signal} of {package[7:19]}"


def empty_cells() -> dict[str, str]:
    """Columns of a row in which nothing is said."""
    return dict.fromkeys(SAID, "")


def _number(cell: str, *, comma: bool) -> float | None:
    plain = cell.replace(",", ".") if comma and "." not in cell and cell.count(",") == 1 else cell
    try:
        number = float(plain)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _is_number(cell: str, number: float, *, comma: bool) -> bool:
    found = _number(cell, comma=comma)
    return found is not None and math.isclose(found, number, rel_tol=_DIGITS)


#: Cells that a list of what is still to be judged has filled in.
_PREPARED: Final = ("purpose", "criterion", "scheme")
_OWN_ROW: Final = "Write it in a row of its own, with nothing under 'statement' and 'by'."


def plan_judgements(context: Context, path: Path) -> SheetImport:
    """What a sheet of judgements would have the node state.

    Raises
    ------
    NotFound, DocumentError
        There is no such sheet, or it is none.
    """
    plan = SheetImport(read_table(path, KEYS, sheet=SHEET, needed=["package", "verdict"], make=MAKE))
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
    plan: SheetImport
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
            self.plan.change(RowChange(row.number, CHANGED, words, changes), draft_of(row.package, wanted))
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
            self.plan.change(RowChange(row.number, NEW, words, given(shown)), draft_of(row.package, wanted))

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
