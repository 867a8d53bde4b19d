"""What can be said of a package from how far each single condition holds in it. Pure.

Of a single condition it is known whether *no* dataset of the package fulfils it, *some* do, or *every* one does. Of two
that hold for some, nobody knows yet whether one dataset fulfils both: such a package is in doubt, and must be looked at
dataset by dataset. Most are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from diadem.catalogue.meaning import AllOf, AnyOf, Condition, Deny, Leaf, OfDataset

#: How far a single condition holds.
NONE, SOME, EVERY = 0, 1, 2
#: What is said of a package.
NO, DOUBT, YES = 0, 1, 2


@dataclass(frozen=True, slots=True)
class _Extent:
    """Whether some dataset fulfils a condition (`NO`, `DOUBT` or `YES`), and whether every one certainly does."""

    some: int
    every: bool


_EVERYTHING: Final = _Extent(YES, every=True)


def leaves(condition: Condition) -> list[Leaf]:
    """The single conditions, each once."""
    if isinstance(condition, AllOf | AnyOf):
        return list(dict.fromkeys(leaf for part in condition.parts for leaf in leaves(part)))
    return [condition.part if isinstance(condition, Deny) else condition]


def judge(condition: Condition, held: Mapping[Leaf, int]) -> int:
    """`NO`, `DOUBT` or `YES`; never in doubt where a package has one dataset, in which `SOME` are all.

    Parameters
    ----------
    condition : Condition
        What is looked for.
    held : mapping of Leaf to int
        How far each of its `leaves` holds in a package.
    """
    return _extent(condition, held).some


def _extent(condition: Condition, held: Mapping[Leaf, int]) -> _Extent:
    if isinstance(condition, AllOf):
        return _all([_extent(part, held) for part in condition.parts])
    if isinstance(condition, AnyOf):
        parts = [_extent(part, held) for part in condition.parts]
        return _Extent(max(part.some for part in parts), any(part.every for part in parts))
    if isinstance(condition, Deny):
        return _denied(held[condition.part])
    return _Extent(YES if held[condition] else NO, held[condition] == EVERY)


def _all(parts: Sequence[_Extent]) -> _Extent:
    """All parts in one dataset: certain where all but one hold in every dataset."""
    partly = [part for part in parts if not part.every]
    if not partly:
        return _EVERYTHING
    least = min(part.some for part in partly)
    return _Extent(least if len(partly) == 1 or least == NO else DOUBT, every=False)


def _denied(held: int) -> _Extent:
    """Where some datasets state it there may still be others that state it with another value."""
    return _Extent({NONE: YES, SOME: DOUBT, EVERY: NO}[held], held == NONE)


def differs(condition: Condition) -> bool:
    """Whether a condition may hold for some datasets of a package and not for others."""
    return any(isinstance(leaf, OfDataset) for leaf in leaves(condition))


def doubtful(condition: Condition) -> bool:
    """Whether any package could be in doubt."""
    if isinstance(condition, Deny):
        return differs(condition)
    if isinstance(condition, AllOf):
        return sum(map(differs, condition.parts)) > 1 or any(map(doubtful, condition.parts))
    return any(map(doubtful, condition.parts)) if isinstance(condition, AnyOf) else False
