"""What a search asks of judgements: ``quality:accept purpose:EELS`` is one judgement that says both. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from diadem.catalogue.quantities import Unreadable
from diadem.model.assessments import VERDICTS, label

#: Kinds of keys whose conditions are of one judgement, where they stand together.
JUDGEMENTS: Final = ("quality", "not", "purpose", "criterion", "assessor")
_DISPUTED, _NONE = "disputed", "none"


@dataclass(frozen=True, slots=True)
class Judged:
    """Datasets on which one judgement says all of this; "" where it does not matter what it says.

    `disputed` wants that others answer the same question otherwise. The assessor is a user's name, or ``user@node``.
    """

    verdict: str = ""
    purpose: str = ""
    criterion: str = ""
    assessor: str = ""
    disputed: bool = False


@dataclass(frozen=True, slots=True)
class Unjudged:
    """Datasets that nobody has judged."""


def judgement(kind: str, text: str) -> Judged | Unjudged:
    """What one term asks for. Raises `Unreadable`."""
    said = label(text)
    if not said:
        raise Unreadable("there is nothing to look for")
    if kind == "purpose":
        return Judged(purpose=said)
    if kind == "criterion":
        return Judged(criterion=said)
    if kind == "assessor":
        return Judged(assessor=said)
    if kind == "not":
        if said != "assessed":
            raise Unreadable(f"'not:{text}' is not understood", "Write not:assessed, or: not word, with a blank.")
        return Unjudged()
    if said == _NONE:
        return Unjudged()
    if said not in (*VERDICTS, _DISPUTED):
        raise Unreadable(f"'{text}' is not a quality", "Write quality:accept, limited, reject, disputed or none.")
    return Judged(disputed=True) if said == _DISPUTED else Judged(verdict=said)


def joined(one: Judged, other: Judged) -> Judged | None:
    """One judgement that says what two ask for; None where they ask for the same thing twice."""
    both = {}
    for member in fields(Judged):
        first, second = getattr(one, member.name), getattr(other, member.name)
        if first and second and first != second:
            return None
        both[member.name] = first or second
    return Judged(**both)
