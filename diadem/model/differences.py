"""What one record says and another does not, assertion by assertion. Nothing is read and nothing is written here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from diadem.model.assertions import Assertion
from diadem.model.display import Display
from diadem.model.record import Dataset, Record

Kind = Literal["added", "removed", "changed"]
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


@dataclass(frozen=True, slots=True)
class FieldChange(Display):
    """One assertion that is new, gone, or other than it was.

    Attributes
    ----------
    dataset : str
        Path of the dataset's primary file.
    field : str
        ``beam.acceleration_voltage``.
    kind : str
        ``added``, ``removed`` or ``changed``.
    old, new : Assertion or None
        What was said, and what is said now.
    """

    dataset: str
    field: str
    kind: Kind
    old: Assertion | None
    new: Assertion | None

    def __str__(self) -> str:
        """``~ scan.dm4 stage.x: 0.46 m (Stage X) → 4.6e-07 m (Stage X)``."""
        told = " → ".join(_told(one) for one in (self.old, self.new) if one is not None)
        return f"{_SIGNS[self.kind]} {self.dataset} {self.field}: {told}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the assertions as their record has them."""
        sides = {side: dict(one.document) for side, one in (("old", self.old), ("new", self.new)) if one is not None}
        return {"dataset": self.dataset, "field": self.field, "kind": self.kind, **sides}


@dataclass(frozen=True, slots=True)
class Reextraction(Display):
    """What the readers of today say of a package. The package stays as it is.

    Attributes
    ----------
    package : str
        Its id.
    record : Record
        The new record; what people said is that of the package.
    changes : tuple of FieldChange
        By dataset and field; empty where the readers say what they said.
    """

    package: str
    record: Record
    changes: tuple[FieldChange, ...]

    @property
    def added(self) -> tuple[FieldChange, ...]:
        """Assertions that the package's record has not."""
        return tuple(one for one in self.changes if one.kind == "added")

    @property
    def removed(self) -> tuple[FieldChange, ...]:
        """Assertions that are not made any more."""
        return tuple(one for one in self.changes if one.kind == "removed")

    @property
    def changed(self) -> tuple[FieldChange, ...]:
        """Assertions about the same signals whose value is another."""
        return tuple(one for one in self.changes if one.kind == "changed")

    def __str__(self) -> str:
        """A line of counts, and a line for each change."""
        counts = f"{len(self.added)} added, {len(self.removed)} removed, {len(self.changed)} changed"
        return "\n".join([f"{self.package[:19]}… read again: {counts}", *map(str, self.changes)])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        counts = {"added": len(self.added), "removed": len(self.removed), "changed": len(self.changed)}
        changes = [change.to_dict() for change in self.changes]
        return {"package": self.package, "counts": counts, "changes": changes, "record": self.record.to_dict()}


def differences(old: Iterable[Dataset], new: Iterable[Dataset]) -> Iterator[FieldChange]:
    """Changes from some datasets to others, which are the same where their primary file is.

    Two assertions are the same where value, unit, signals, preference and offset status are; a new version of the
    reader, or another place where the same is stated, is no change. Of what is left, those about the same signals are
    one change.
    """
    after = {dataset.path: dataset for dataset in new}
    for dataset in old:
        yield from _in_dataset(dataset.path, dataset, after.pop(dataset.path, None))
    for path, dataset in after.items():
        yield from _in_dataset(path, None, dataset)


def _in_dataset(path: str, old: Dataset | None, new: Dataset | None) -> Iterator[FieldChange]:
    before = {} if old is None else old.fields
    after = {} if new is None else new.fields
    for key in sorted({*before, *after}):
        yield from _in_field(path, key, before.get(key, ()), after.get(key, ()))


def _in_field(path: str, key: str, old: Sequence[Assertion], new: Sequence[Assertion]) -> Iterator[FieldChange]:
    gone, come = list(old), list(new)
    for one in old:
        if (same := next((other for other in come if _says(other) == _says(one)), None)) is not None:
            gone.remove(one)
            come.remove(same)
    for one in gone:
        other = next((other for other in come if other.applies_to == one.applies_to), None)
        if other is not None:
            come.remove(other)
        yield FieldChange(path, key, "removed" if other is None else "changed", one, other)
    for one in come:
        yield FieldChange(path, key, "added", None, one)


def _says(one: Assertion) -> tuple[str, ...]:
    return tuple(map(repr, (one.value, one.unit, one.applies_to, one.preferred, one.offset_status)))


def _told(one: Assertion) -> str:
    about = f" [{', '.join(one.applies_to)}]" if one.applies_to else ""
    return f"{one.value} {one.unit}".rstrip() + f"{about} ({one.source.get('locator') or one.status})"
