"""The judgements that go with a package, in the sheet of its corrections: what counts of its data, and is doubted.

::

    {"epoch", "length"   how far the node's log was: of several sheets of one node the one that knew most counts
     "said":[…]          assessments that count there, `{epoch, index, line}`, each as its assessor signed it
     "left_out"          how many more there are
     "inherited":[…]}    doubts about what it was made from, in the node's own words: no names, nobody's comments

Nothing of this can cost a transfer: what does not hold is left out, and it is said why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from diadem.custody.keyring import KeyRing
from diadem.custody.log_entry import MAX_ENTRIES, MAX_EPOCHS, Entry, place_of
from diadem.custody.statements import USER
from diadem.errors import DiademError
from diadem.model.assessments import DOUBTS, Assessment, current
from diadem.model.documents import Document
from diadem.model.lineage import Caution
from diadem.model.plain_text import one_line
from diadem.serialization.validation import validate_statement

#: Assessments of one sheet, bytes of all of them together (some 60; a sheet goes on within that of the next node, and
#: a message holds 1 MiB), doubts about sources, and packages on the way to one.
MAX_SAID: Final = 200
MAX_BYTES: Final = 64 << 10
MAX_INHERITED: Final = 100
_MAX_WAY: Final = 100
#: Letters of why one is refused, and how many are told one by one.
_REASON: Final = 300
_TOLD: Final = 20

_Package = Annotated[str, Meta(pattern=r"\Adiadem:[0-9a-f]{64}\Z", description="a package id")]


class Inherited(Document, frozen=True):
    """A doubt about something from which the package was made."""

    WHAT = "judgements"

    package: _Package
    verdict: Literal["limited", "reject"]
    purpose: Annotated[str, Meta(min_length=1, max_length=200)]
    disputed: bool
    way: Annotated[tuple[_Package, ...], Meta(min_length=1, max_length=_MAX_WAY)]

    def caution(self, node: str, called: str, way: Sequence[str] = ()) -> Caution:
        """The warning as a node says it, which is called so here; `way` leads to the package with which it came."""
        said = Assessment("", 0, f"somebody@{called}", self.verdict, one_line(self.purpose), node=node)
        return Caution(self.package, "", said, self.disputed, (*way, *self.way), "" if way else node)


class _Judgements(Document, frozen=True):
    """The form of it all; what is in the lists is looked at one by one."""

    WHAT = "judgements"

    epoch: Annotated[int, Meta(gt=0, lt=MAX_EPOCHS)]
    length: Annotated[int, Meta(ge=0, lt=MAX_ENTRIES)]
    said: tuple[Any, ...]
    left_out: Annotated[int, Meta(ge=0, lt=1 << 53)]
    inherited: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ProvenJudgements:
    """What holds of the judgements of one sheet.

    `known` says how far the log of its node was, -1 where it says nothing of judgements; `refused` why others are not
    taken over.
    """

    known: int = -1
    said: tuple[Entry, ...] = ()
    inherited: tuple[Inherited, ...] = ()
    left_out: int = 0
    refused: tuple[str, ...] = ()

    @property
    def content(self) -> tuple[object, ...]:
        """What it says, whenever that was."""
        return tuple(one.statement_id for one in self.said), self.inherited, self.left_out, self.refused


def judgements(position: tuple[int, int], said: Sequence[Entry], inherited: Sequence[Caution]) -> dict[str, Any]:
    """The member of a sheet: doubts before praise, the newest first, as many as go with a package.

    `position` is epoch and length of the log in which they stand.
    """
    ordered = sorted(said, key=lambda one: (one.statement.predicate["verdict"] not in DOUBTS, -one.place))
    taken: list[Entry] = []
    room = MAX_BYTES
    for entry in ordered[:MAX_SAID]:
        if len(entry.line) <= room:
            taken.append(entry)
            room -= len(entry.line)
    doubts = {
        Inherited(one.package, "limited" if one.assessment.verdict == "limited" else "reject",
                  one.assessment.purpose, one.disputed, one.way): None
        for one in inherited
        if len(one.way) <= _MAX_WAY
    }  # fmt: skip
    told = [one.to_dict() for one in list(doubts)[:MAX_INHERITED]]
    return {
        "epoch": position[0],
        "length": position[1],
        "said": [entry.to_item() for entry in sorted(taken, key=lambda one: one.place)],
        "left_out": len(said) - len(taken) + len(doubts) - len(told),
        "inherited": told,
    }


def proven(document: Any, package: str, ring: KeyRing | None) -> ProvenJudgements:
    """What holds of that member, from anyone: assessments of this package, each signed by whom it names.

    Without keys it is only what the node itself says, that has signed the sheet.
    """
    refused: list[str] = []
    try:
        form = _Judgements.of(document)
    except DiademError as error:
        return ProvenJudgements(refused=(f"all judgements: {error.message}"[:_REASON],))
    if len(form.said) > MAX_SAID:
        refused.append(f"{len(form.said) - MAX_SAID:,} judgements: more than {MAX_SAID} came")
    said: list[Entry] = []
    room = MAX_BYTES
    for number, item in enumerate(form.said[:MAX_SAID] if ring is not None else (), 1):
        try:
            entry = Entry.from_item(item)
            if ring is not None and (why := _fault(entry, package, ring, room)) == "":
                said.append(entry)
                room -= len(entry.line)
                continue
        except DiademError as error:
            why = error.message
        refused.append(one_line(f"judgement {number}: {why}")[:_REASON])
    inherited: list[Inherited] = []
    for number, item in enumerate(form.inherited[:MAX_INHERITED], 1):
        try:
            inherited.append(Inherited.of(item))
        except DiademError as error:
            refused.append(one_line(f"doubt {number} about a source: {error.message}")[:_REASON])
    if len(form.inherited) > MAX_INHERITED:
        refused.append(f"{len(form.inherited) - MAX_INHERITED:,} doubts about sources: more than {MAX_INHERITED} came")
    if len(refused) > _TOLD:
        refused[_TOLD:] = [f"{len(refused) - _TOLD:,} more"]
    known = place_of(form.epoch, form.length)
    return ProvenJudgements(known, tuple(said), tuple(inherited), form.left_out, tuple(refused))


def _fault(entry: Entry, package: str, ring: KeyRing, room: int) -> str:
    """Why an assessment from elsewhere does not count, or ""."""
    if len(entry.line) > room:
        return f"it is too long: all of them have at most {MAX_BYTES:,} bytes"
    validate_statement(entry.statement)
    if entry.statement.kind != "assessment" or [one.name for one in entry.statement.subjects] != [package]:
        return "it judges another package, or nothing"
    judged, by = ring.judge(entry), str(entry.statement.predicate["by"])
    if judged.problem is not None:
        return judged.problem
    if by not in {card.name for card in judged.signers if card.role == USER}:
        return f"it is not signed by {by}"
    return ""


def assessments_called(entries: Sequence[Entry], node: str, called: str) -> list[Assessment]:
    """Those of such assessments that count, as this node has them, which calls theirs so."""
    found = []
    for entry in entries:
        said: Mapping[str, Any] = entry.statement.predicate
        by = f"{str(said['by']).rpartition('@')[0]}@{called}"
        found.append(Assessment.of(entry.statement_id, entry.place, {**said, "by": by}, node=node))
    return current(found)
