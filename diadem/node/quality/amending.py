"""Correcting a record without touching its package: signed amendments, and the record as it holds now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diadem.custody import statements
from diadem.custody.corrections import CorrectionSheet
from diadem.custody.exporting import cards_of, require_mirrored
from diadem.custody.words import HANDED_OVER
from diadem.errors import IntegrityError
from diadem.model.amendments import Amendment, Corrections
from diadem.model.display import Display
from diadem.model.effective import effective_record
from diadem.model.manifest import PackageId
from diadem.model.record import Record
from diadem.model.statements import Draft
from diadem.node.context import Context
from diadem.node.quality.amended_values import changes_of


@dataclass(frozen=True, slots=True)
class Amendments(Display):
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
    with context.locked(f"amend-{PackageId(package).hex[:32]}"):
        tips = context.catalogue.corrections(package).tips(context.address)
        said = [change.to_dict() for change in changes]
        draft = statements.amendment(package, changes=said, tips=tips, by=context.address, reason=reason.strip())
        entry = context.say([draft], as_user=True)[0]
    return Amendment.of(entry.statement_id, entry.place, entry.statement.predicate)


def amendments(context: Context, package: str) -> Amendments:
    """What is said of a package's record."""
    return Amendments(package, context.catalogue.corrections(package))


def effective(context: Context, package: str, sealed: Record) -> Record:
    """The record of a package as it holds now."""
    return effective_record(sealed, context.catalogue.corrections(package))


def sheet_of(context: Context, package: str) -> CorrectionSheet | None:
    """What goes with a package that is given away: what its owners corrected, here and before; None for nothing.

    Raises
    ------
    Unreachable
        The last of it is in no store yet: nothing leaves the node before.
    """
    corrections = context.catalogue.corrections(package)
    ours = {one.statement_id for one in corrections.amendments if corrections.is_owners(one) and not one.node}
    earlier = [one for one in context.catalogue.sheets(package) if one.before]
    if not ours and not earlier:
        return None
    sha256, ledger = PackageId(package).hex, context.ledger
    said = [entry for entry in ledger.of_subject(sha256) if entry.statement_id in ours]
    if said:
        require_mirrored(ledger, said)
    return CorrectionSheet.signed(
        context.settings.id,
        str(PackageId(package)),
        corrections.owners,
        keys=cards_of(ledger.keys(), said),
        amendments=said,
        earlier=[one.sheet for one in earlier],
        key=context.keys.open("online"),
    )


def brought(
    context: Context, package: str, sheet: CorrectionSheet, names: Mapping[str, str], *, before: bool
) -> Draft | None:
    """The statement of the corrections with which a package came; None where all of them are known here.

    Parameters
    ----------
    context : Context
        The node.
    package : str
        Its id.
    sheet : CorrectionSheet
        As it came.
    names : mapping of str to str
        What this node calls others, by their ids. Any other is called as it calls itself, or where somebody else is
        called so, by the beginning of its id.
    before : bool
        Whether the package has come from the node that signed it, so that what its owners said holds. What somebody
        says of a package that was here before is an extra assertion.

    Raises
    ------
    IntegrityError
        The sheet is of another package, or something in it does not hold.
    """
    if sheet.package != str(PackageId(package)):
        raise IntegrityError("the corrections are of another package", next="Ask its sender for them again.")
    sheet.prove()
    own = context.settings.id
    known = {entry.statement_id for one in context.catalogue.sheets(package) for entry, _ in one.sheet.all()}
    if all(of.node == own or entry.statement_id in known for entry, of in sheet.all()):
        return None
    taken = {context.settings.name, *names.values()}
    called = {}
    for one in sheet.nodes():
        claimed = one.prove()
        called[one.node] = names.get(one.node) or (one.node[:12] if claimed in taken else claimed)
    return statements.corrections(package, sheet.to_line(), source=sheet.node, names=called, before=before)


def came_from(context: Context, package: str) -> str:
    """Id of the node from which a package came here first, this one's where it was archived here.

    "" where it is not here, or was handed over by nobody knows whom.
    """
    for entry in context.ledger.of_subject(PackageId(package).hex):
        said = entry.statement.predicate
        if entry.statement.kind == "receipt":
            return str(said["sender"])
        if entry.statement.kind == "corrections" and said["before"]:
            return str(said["from"])
        if entry.statement.kind == "ingest" and not str(said["source"]).startswith(HANDED_OVER):
            return context.settings.id
    return ""
