"""Correcting a record without touching its package: signed amendments, and the record as it holds now."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from diadem.catalogue import vocabulary
from diadem.catalogue.quantities import Unreadable, in_unit, split
from diadem.custody import statements
from diadem.custody.brought import Brought, called, newest_judgements
from diadem.custody.chain import cards_of, require_mirrored
from diadem.custody.corrections import CorrectionSheet
from diadem.custody.judgements import judgements
from diadem.custody.statements import HANDED_OVER
from diadem.errors import IntegrityError, UsageError
from diadem.model.amendments import Amendment, Change, Corrections
from diadem.model.assessments import current
from diadem.model.display import Display
from diadem.model.effective import DATES, OF_SESSION, TITLE, effective_record
from diadem.model.manifest import PackageId
from diadem.model.record import Record
from diadem.model.statements import Draft
from diadem.node.context import Context
from diadem.terms import fields
from diadem.terms.fields import Field, require_known


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
        said = [
            {
                **one.to_dict(),
                "changes": [{**change.to_dict(), "replaced": self._is_replaced(one, change)} for change in one.changes],
                "effective": self.corrections.is_owners(one),
            }
            for one in self.said
        ]
        forks = [list(ids) for ids in self.corrections.forks()]
        return {
            "package": self.package,
            "owner": self.owner,
            "amendments": said,
            "conflicts": conflicts,
            "forks": forks,
        }

    def _is_replaced(self, one: Amendment, change: Change) -> bool:
        """Whether the owner has said something else of it since."""
        decided = self.corrections.decide(change.field, change.dataset)
        counting = [stated.amendment.statement_id for stated in (decided.chosen, *decided.rivals) if stated is not None]
        return self.corrections.is_owners(one) and one.statement_id not in counting


def amend(
    context: Context, package: str, values: Mapping[str, Any], *, dataset: str = "", reason: str = ""
) -> Amendment:
    """State other values for some fields, in the name of who is at work."""
    context.require_writable()
    meant = context.follower.dataset(package, dataset).id if dataset else ""
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


def sheet_of(context: Context, package: str, *, judged: bool = True) -> CorrectionSheet | None:
    """What goes with a package that is given away; None for nothing.

    What its owners corrected, here and before, and unless `judged` is False how its data are judged here: assessments
    that count, and doubts about what it was made from.
    """
    catalogue, ledger, sha256 = context.catalogue, context.ledger, PackageId(package).hex
    corrections = catalogue.corrections(package)
    ours = {one.statement_id for one in corrections.amendments if corrections.is_owners(one) and not one.node}
    brought_here = catalogue.sheets(package)
    earlier = [one for one in brought_here if one.before]
    counting = {one.statement_id for one in current(catalogue.assessments(package)) if not one.node}
    doubts = [one for one in catalogue.cautions([package]).get(package, ()) if one.way and not one.told_by]
    made = any(one.result == package for one in catalogue.derivations(package))
    if not ours and not earlier and not (judged and (counting or made)):
        return None
    position = ledger.epochs[-1], ledger.size_of(ledger.epochs[-1])
    entries = ledger.of_subject(sha256, ["amendment", "assessment"])
    said = [entry for entry in entries if entry.statement_id in ours]
    judging = [entry for entry in entries if entry.statement_id in counting] if judged else []
    if said or judging:
        require_mirrored(ledger, sorted([*said, *judging], key=lambda entry: entry.place))
    return CorrectionSheet.signed(
        context.settings.id,
        str(PackageId(package)),
        corrections.owners,
        keys=cards_of(ledger.keys(), [*said, *judging]),
        amendments=said,
        earlier=[one.sheet for one in _needed(earlier)],
        judgements=judgements(position, judging, doubts) if judged and (counting or made) else None,
        key=context.keys.open("online"),
    )


def _needed(sheets: Sequence[Brought]) -> list[Brought]:
    """Without those to which a later one of the same node adds: a package that was sent ten times came with ten."""
    kept: list[Brought] = []
    for one in reversed(sheets):
        said = {entry.statement_id for entry, _ in one.sheet.all()}
        later = [other.sheet for other in kept if other.sheet.node == one.sheet.node]
        if not any(said <= {entry.statement_id for entry, _ in sheet.all()} for sheet in later):
            kept.append(one)
    return kept[::-1]


def brought(
    context: Context, package: str, sheet: CorrectionSheet, names: Mapping[str, str], *, before: bool
) -> Draft | None:
    """The statement of what a package came with, corrections and judgements; None where all of it is known here.

    By `names` this node calls others, by their ids; any other is called as it calls itself, or where somebody else is
    called so, by the beginning of its id. `before` says that the package has come from the node that signed them, so
    that what its owners said holds: what somebody says of a package that was here before is an extra assertion.
    Judgements that do not hold are left out, and the statement says why.
    """
    if sheet.package != str(PackageId(package)):
        raise IntegrityError("the corrections are of another package", next="Ask its sender for them again.")
    sheet.prove()
    own = context.settings.id
    sheets = context.catalogue.sheets(package)
    known = {entry.statement_id for one in sheets for entry, _ in one.sheet.all()}
    newest = newest_judgements(sheets)
    judged = {one.node: one.judgements() for one in sheet.nodes() if one.judged is not None and one.node != own}
    new = [
        node
        for node, one in judged.items()
        if node not in newest or (one.known > newest[node].known and one.content != newest[node].content)
    ]
    if all(of.node == own or entry.statement_id in known for entry, of in sheet.all()) and not new:
        return None
    names = called(sheet, names, {context.settings.name, *names.values()})
    refused = [f"{names[node]}: {why}" for node, one in judged.items() for why in one.refused]
    return statements.corrections(
        package, sheet.to_line(), source=sheet.node, names=names, before=before, refused=refused
    )


def brought_since(context: Context, packages: Iterable[str], place: int) -> dict[str, int]:
    """How many corrections, judgements, and doubts about sources the log says that packages came with since a place."""
    found = {"corrections": 0, "judgements": 0, "doubts": 0}
    for package in packages:
        for entry in context.ledger.of_subject(PackageId(package).hex, ["corrections"]):
            if entry.place < place:
                continue
            for one in CorrectionSheet.from_line(str(entry.statement.predicate["sheet"]).encode()).nodes():
                judged = one.judgements()
                found["corrections"] += len(one.amendments)
                found["judgements"] += len(judged.said)
                found["doubts"] += len(judged.inherited)
    return found


def came_from(context: Context, package: str) -> str:
    """Id of the node from which a package came here first, this one's where it was archived here.

    "" where it is not here, or was handed over by nobody knows whom.
    """
    for entry in context.ledger.of_subject(PackageId(package).hex, ["receipt", "corrections", "ingest"]):
        said = entry.statement.predicate
        if entry.statement.kind == "receipt":
            return str(said["sender"])
        if entry.statement.kind == "corrections" and said["before"]:
            return str(said["from"])
        if entry.statement.kind == "ingest" and not str(said["source"]).startswith(HANDED_OVER):
            return context.settings.id
    return ""


def changes_of(values: Mapping[str, Any], dataset: str) -> tuple[Change, ...]:
    """What is to be stated of fields, judged by the schema, of a dataset or with "" of all of them and the session.

    Values are as people write them, ``300 kV``, ``Zn, O``, or numbers in the field's unit; None withdraws.
    """
    if not values:
        raise UsageError("there is nothing to correct", next='Example: {"sample.identifier": "S-12"}')
    changes: list[Change] = []
    for field, value in values.items():
        first, divided, last = value.partition("/") if isinstance(value, str) else ("", "", "")
        if field not in (DATES[0], "date") or not divided:
            changes.append(_change_of(field, value, dataset))
            continue
        days = _change_of(DATES[0], first, dataset), _change_of(DATES[1], last, dataset)  # 2016-08-08/2019-01-02
        if days[1].value < days[0].value:
            raise UsageError(f"the session would end before it begins: {value}", where=DATES[0])
        changes += days
    return tuple(changes)


def _change_of(field: str, value: Any, dataset: str) -> Change:
    if field in (TITLE, "title"):
        return _title(value, dataset)
    if field in (*DATES, "date"):
        return _date("session.date" if field == "date" else field, value, dataset)
    short = vocabulary.find(field)  # voltage, dwell: as in a search, where that is one field
    field = short.of[0] if short is not None and len(short.of) == 1 and fields.is_field(short.of[0]) else field
    require_known(field, fields.field_keys() | OF_SESSION)
    if value is None:
        return Change(field, dataset, None)
    known = fields.field(field)
    found = _read(known, value)
    fits = False
    with suppress(TypeError, ValueError):  # nothing that JSON has
        fits = known.admits(found)
    if not fits:
        raise UsageError(f"{field} cannot be {value!r}", where=field, next=known.rule or None)
    return Change(field, dataset, found, known.unit)


def _title(value: Any, dataset: str) -> Change:
    if dataset:
        raise UsageError("the title is the session's, not a dataset's", where=TITLE)
    if not isinstance(value, str) or not value.strip():
        raise UsageError("the title of a session is a text that is not empty", where=TITLE)
    return Change(TITLE, "", value.strip())


def _date(field: str, value: Any, dataset: str) -> Change:
    if dataset:
        raise UsageError("the date is the session's, not a dataset's", where=field, next="Leave the dataset out.")
    if value is None:
        return Change(field, "", None)
    try:
        return Change(field, "", datetime.date.fromisoformat(str(value).strip()).isoformat())
    except ValueError:
        raise UsageError(
            f"{field} cannot be {value!r}",
            where=field,
            next="Write year, month and day: 2026-03-14; or two days: 2026-03-14/2026-03-16",
        ) from None


def _read(field: Field, value: Any) -> Any:
    if field.type == "elements":
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return list(value) if isinstance(value, tuple) else value
    if not field.unit:
        return value.strip() if isinstance(value, str) else value
    number = _number(field, value)
    return int(number) if field.type == "integer" and number.is_integer() else number


def _number(field: Field, value: Any) -> float:
    """A number in the field's unit."""
    if isinstance(value, str):
        try:
            number, written = split(value)
            return in_unit(number, written, field.unit)
        except Unreadable as error:
            raise UsageError(f"{field.key}: {error.why}", where=field.key, next=error.instead) from None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        said = f" in {field.unit}" if field.unit != "1" else ""
        raise UsageError(f"{field.key} is a number{said}, not {value!r}", where=field.key)
    return number
