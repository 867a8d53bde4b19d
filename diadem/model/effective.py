"""The effective record: the sealed one as its owner's amendments correct it. Pure.

What the owner corrects stands in place of what was sealed, as an assertion that names its statement; the sealed record
stays as it is in the package. What others say, and where the owner contradicts herself, is added without being
preferred: `Dataset.value` never gives it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, overload

from diadem.model.amendments import Amendment, Change, Corrections, Decision, Stated
from diadem.model.plain_text import date_text
from diadem.model.quantities import quantity_text
from diadem.model.record import Dataset, Datasets, Record
from diadem.terms.fields import all_fields

#: What is corrected so, and is no field of a dataset: the title of the session, its first day and its last.
TITLE: Final = "session.title"
DATES: Final = ("session.date", "session.end_date")
OF_SESSION: Final = frozenset({TITLE, *DATES})
#: What people call those.
_OF_SESSION: Final = {TITLE: "Title", DATES[0]: "First day", DATES[1]: "Last day"}
_DAY: Final = "sample.preparation_date"
#: Who makes assertions of amendments: the form of the statement, whatever program has read it.
_BY: Final = {"plugin": "amendment", "version": "1", "rule": "amendment/v1"}


def effective_record(record: Record, corrections: Corrections) -> Record:
    """A record as it holds now.

    Parameters
    ----------
    record : Record
        The sealed one; it stays as it is.
    corrections : Corrections
        All that is said of it.
    """
    if not corrections.fields:
        return record
    head = {name: dict(getattr(record, name)) for name in ("session", "sample", "instrument")}
    for field in corrections.fields:
        chosen = corrections.decide(field).chosen
        if chosen is not None and (place := _head(field)):
            section, name = place
            head[section].pop(name, None)
            if (value := chosen.change.value) is not None:  # of a time the head of a record has the day
                head[section][name] = str(value)[:10] if field == _DAY else value
    amended = Datasets(_Amended(record.datasets, corrections))
    return replace(
        record, datasets=amended, session=head["session"], sample=head["sample"], instrument=head["instrument"]
    )


def _head(field: str) -> tuple[str, str] | tuple[()]:
    """Section and name where a field of the whole session stands at the head of the record; empty for others."""
    if field in OF_SESSION:
        return "session", field.removeprefix("session.")
    known = all_fields().get(field)
    return known.head if known is not None else ()


class _Amended(Sequence[Dataset]):
    """Datasets that are corrected when they are asked for."""

    def __init__(self, sealed: Sequence[Dataset], corrections: Corrections) -> None:
        self._sealed = sealed
        self._corrections = corrections
        fields = [field for field in corrections.fields if field not in OF_SESSION]
        self._of_all = {field: corrections.decide(field) for field in fields}
        self._own = {field: frozenset(corrections.datasets(field)) for field in fields}

    def __len__(self) -> int:
        return len(self._sealed)

    @overload
    def __getitem__(self, index: int) -> Dataset: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Dataset]: ...
    def __getitem__(self, index: int | slice) -> Dataset | Sequence[Dataset]:
        """One dataset, or several."""
        if isinstance(index, slice):
            return [self._amended(dataset) for dataset in self._sealed[index]]
        return self._amended(self._sealed[index])

    def _amended(self, dataset: Dataset) -> Dataset:
        fields = dict(dataset.document.get("fields", {}))
        for field, of_all in self._of_all.items():
            own = dataset.id in self._own[field]
            decision = self._corrections.decide(field, dataset.id) if own else of_all
            if stated := _assertions(fields.pop(field, ()), decision):
                fields[field] = stated
        return replace(dataset, document={**dataset.document, "fields": fields})


def _assertions(sealed: Sequence[Mapping[str, Any]], decision: Decision) -> list[Mapping[str, Any]]:
    """What is stated of a field: what holds first, then what is merely said."""
    holds: list[Mapping[str, Any]] = list(sealed)
    if decision.chosen is not None:
        holds = [_assertion(decision.chosen, preferred=True)] if decision.chosen.change.value is not None else []
    said = [stated for stated in (*decision.rivals, *decision.extras) if stated.change.value is not None]
    return [*holds, *(_assertion(stated, preferred=False) for stated in said)]


def _assertion(stated: Stated, *, preferred: bool) -> dict[str, Any]:
    """An amendment's value as the record has assertions."""
    change, amendment = stated.change, stated.amendment
    assertion: dict[str, Any] = {
        "value": change.value,
        "status": "user",
        "source": {"person": amendment.by, "statement": amendment.statement_id},
        "by": dict(_BY),
        "preferred": preferred,
    }
    if change.unit:
        assertion["unit"] = change.unit
    if change.field.startswith("time.acquired"):
        assertion["offset_status"] = "known" if has_offset(str(change.value)) else "unknown"
    return assertion


@dataclass(frozen=True, slots=True)
class Corrected:
    """What holds of a field in place of what was sealed.

    Attributes
    ----------
    change : Change
        What holds now; its value may be None: nothing is stated any more.
    amendment : Amendment
        Who says so.
    sealed : tuple of (value, unit)
        What the sealed record states, each value once.
    path : str
        Primary file of the one dataset of which it is said; "" for all of them, or the session.
    """

    change: Change
    amendment: Amendment
    sealed: tuple[tuple[Any, str], ...]
    path: str = ""

    @property
    def what(self) -> str:
        """The field as people call it, and of which file: ``Sample of scan.dm4``."""
        key = self.change.field
        field = all_fields().get(key)
        label = field.label if field else _OF_SESSION.get(key, key)
        return f"{label} of {self.path}" if self.path else label

    @property
    def was(self) -> str:
        """What was sealed; "" for nothing."""
        stated = [quantity_text(value, unit) for value, unit in self.sealed if value is not None]
        return "; ".join([*stated[:3], *("…" for _ in stated[3:4])])

    @property
    def now(self) -> str:
        """What holds; "" where it was withdrawn."""
        return "" if self.change.value is None else quantity_text(self.change.value, self.change.unit)

    @property
    def who(self) -> str:
        """Who says so, when, and why."""
        said = self.amendment
        return f"{said.by} on {date_text(said.time[:10])}{f': {said.reason}' if said.reason else ''}"

    @property
    def sentence(self) -> str:
        """All of it in one."""
        return f"{self.what} is {self.now or 'not stated'}, was {self.was or 'not stated'} ({self.who})"


def corrected(record: Record, corrections: Corrections) -> list[Corrected]:
    """Every field that its owner corrected, with what the sealed record states of it."""
    found = []
    datasets = list(record.datasets) if corrections.fields else []
    for field in corrections.fields:
        for of in ("", *corrections.datasets(field)):
            chosen = corrections.decide(field, of).chosen
            if chosen is None or chosen.change.dataset != of:
                continue
            meant = [one for one in datasets if of in ("", one.id)]
            sealed = _sealed(record, meant, field, head=not of)
            path = meant[0].path if of and meant else ""
            found.append(Corrected(chosen.change, chosen.amendment, tuple(sealed), path))
    return found


def _sealed(record: Record, datasets: Sequence[Dataset], field: str, *, head: bool) -> list[tuple[Any, str]]:
    stated: list[tuple[Any, str]] = []
    if head and (place := _head(field)):
        section, name = place
        if (value := getattr(record, section).get(name)) is not None:
            stated.append((value, ""))
    for dataset in datasets:
        assertions = dataset.document.get("fields", {}).get(field, ())
        stated += [(one.get("value"), str(one.get("unit", ""))) for one in assertions]
    return list({repr(one): one for one in stated}.values())


def has_offset(moment: str) -> bool:
    """Whether a time says how far it is from UTC."""
    clock = moment.partition("T")[2]
    return clock.endswith("Z") or "+" in clock or "-" in clock
