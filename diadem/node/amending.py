"""Correcting a record without touching its package: signed amendments, and the record as it holds now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diadem.model.amendments import Amendment, Corrections
from diadem.model.effective import effective_record
from diadem.model.record import Record
from diadem.model.statements import Draft
from diadem.node.amended_values import changes_of
from diadem.node.context import Context
from diadem.node.placing import subject


@dataclass(frozen=True, slots=True)
class Amendments:
    """All that is said of a package's record.

    Attributes
    ----------
    package : str
        Its id.
    corrections : Corrections
        What was said, and what of it holds.
    """

    package: str
    corrections: Corrections

    @property
    def owner(self) -> str:
        """Whose amendments change the effective record."""
        return self.corrections.owner

    @property
    def said(self) -> Sequence[Amendment]:
        """Every amendment, in the order of the log."""
        return self.corrections.amendments

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: package, owner, amendments, conflicts (field, dataset, who says what), forks."""
        conflicts = [
            {
                "field": field,
                "dataset": dataset or None,
                "said": [
                    {
                        "value": stated.change.value,
                        "unit": stated.change.unit,
                        "statement": stated.amendment.statement_id,
                    }
                    for stated in rivals
                ],
            }
            for field, dataset, rivals in self.corrections.conflicts()
        ]
        said = [{**one.to_dict(), "effective": self.corrections.is_owners(one)} for one in self.said]
        forks = [list(ids) for ids in self.corrections.forks()]
        return {
            "package": self.package,
            "owner": self.owner,
            "amendments": said,
            "conflicts": conflicts,
            "forks": forks,
        }


def amend(
    context: Context, package: str, values: Mapping[str, Any], *, dataset: str = "", reason: str = ""
) -> Amendment:
    """State other values for some fields, in the name of who is at work.

    Raises
    ------
    UnknownField, UsageError
        There is no such field, or it cannot hold the value.
    NotFound
        There is no such package or dataset.
    """
    context.require_writable()
    meant = context.catalogue.dataset(package, dataset).id if dataset else ""
    changes = changes_of(values, meant)
    with context.locked(f"amend-{subject(package).sha256[:32]}"):
        tips = context.catalogue.corrections(package).tips(context.address)
        said: dict[str, Any] = {"predecessor": tips[-1] if tips else None, "by": context.address}
        said["changes"] = [change.to_dict() for change in changes]
        if tips[:-1]:
            said["joins"] = list(tips[:-1])
        if reason.strip():
            said["reason"] = reason.strip()
        entry = context.say([Draft("amendment", (subject(package),), said)], as_user=True)[0]
    return Amendment.of(entry.statement_id, entry.place, entry.statement.predicate)


def amendments(context: Context, package: str) -> Amendments:
    """What is said of a package's record."""
    return Amendments(package, context.catalogue.corrections(package))


def effective(context: Context, package: str, sealed: Record) -> Record:
    """The record of a package as it holds now."""
    return effective_record(sealed, context.catalogue.corrections(package))
