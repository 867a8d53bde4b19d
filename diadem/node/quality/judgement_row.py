"""What one row of an edited sheet judges: each cell of it checked, and the judgement as it would be stated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from diadem.custody import statements
from diadem.errors import DiademError, NotFound, UsageError
from diadem.model.assessments import VERDICTS, Assessment, label
from diadem.model.table_changes import Fault, cell_text
from diadem.node.context import Context
from diadem.node.quality.assessing import Judgement, by_scheme, drawn, evidence_of
from diadem.node.quality.judgement_sheet import SAID, said_cells
from diadem.node.sheet_plan import as_shown, in_cell
from diadem.serialization.validation import validate_draft

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
            validate_draft(statements.assessment(self.package, found))
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
