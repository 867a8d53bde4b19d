"""Where a search begins: the one source of candidates from which all the rest is looked up.

Every source gives packages in the order in which they are listed, so that the first page is found without the others:
the index of words, which may be narrowed further; one number of the facts, where few packages have it; or simply all
packages, where what is asked is common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select

from diadem.node.catalogue import sqlite, tables
from diadem.node.catalogue.conditions import Conditions, of_package
from diadem.node.catalogue.judging import doubtful
from diadem.node.catalogue.meaning import AllOf, AnyOf, Begins, Between, Condition, Days, Deny, Phrase

#: Up to so many facts are gathered and sorted; numbers that more packages have are met soon enough on the way.
FEW: Final = 20_000
#: How many times more packages with the words there must be, for a number to be the better beginning.
_RARER: Final = 10
_packages = tables.packages.c
_facts = tables.facts.c


@dataclass(frozen=True, slots=True)
class Driver:
    """A source of candidates.

    Attributes
    ----------
    source : Select
        Keys of packages, each once, in any order.
    key : ColumnElement
        The column of the source that is the key.
    covered : tuple of Condition
        Parts of the condition that hold for all of them.
    ordered : bool
        Whether the source gives them in order without sorting.
    all : bool
        Whether it is no more than all packages.
    """

    source: Select[Any]
    key: ColumnElement[int]
    covered: tuple[Condition, ...]
    ordered: bool
    all: bool = False

    def chunk(self, bound: int | None, size: int, *, rising: bool) -> Select[Any]:
        """The next candidates beyond a key; all of them, where the source must be sorted anyhow."""
        source = self.source.order_by(self.key if rising else self.key.desc())
        if bound is not None:
            source = source.where(self.key > bound if rising else self.key < bound)
        return source.limit(size if self.ordered else -1)

    def count(self, connection: Connection, most: int) -> int:
        """How many there are, up to a number."""
        return int(connection.scalar(select(func.count()).select_from(self.source.limit(most).subquery())) or 0)


def driver(connection: Connection, conditions: Conditions, condition: Condition) -> Driver:
    """The best source of candidates for a condition."""
    parts = condition.parts if isinstance(condition, AllOf) else (condition,)
    texts = _texts(parts)
    fewest, rare = _rare(connection, conditions, parts)
    if rare is not None and (texts is None or fewest * _RARER < texts.count(connection, FEW)):
        return rare
    return texts or _all(parts)


def _all(parts: Sequence[Condition]) -> Driver:
    """All packages, of the days that are asked for."""
    days = tuple(part for part in parts if isinstance(part, Days))
    within = [and_(_packages.seq >= part.low, _packages.seq < part.high) for part in days]
    alive = _packages.tombstone.is_(None)
    return Driver(select(_packages.seq).where(alive, *within), _packages.seq, days, ordered=True, all=True)


def _rare(connection: Connection, conditions: Conditions, parts: Sequence[Condition]) -> tuple[int, Driver | None]:
    """The part that the fewest packages fulfil, if they are few."""
    found: tuple[int, Driver | None] = (FEW, None)
    for part in parts:
        if isinstance(part, Between | Begins):
            source = _of_number(conditions, part) if isinstance(part, Between) else _of_id(part)
            if (rows := source.count(connection, found[0])) < found[0]:
                found = (rows, source)
    return found


def _of_number(conditions: Conditions, part: Between) -> Driver:
    source = select(_facts.package).where(conditions.of_fact(part, indexed=True)).distinct()
    return Driver(source, _facts.package, (part,), ordered=False)


def _of_id(part: Begins) -> Driver:
    source = select(_packages.seq).where(of_package(part), _packages.tombstone.is_(None))
    return Driver(source, _packages.seq, (part,), ordered=False)


def _texts(parts: Sequence[Condition]) -> Driver | None:
    """Packages with the words of all parts that ask for words."""
    wanted = [(part, text) for part in parts if (text := _expression(part)) is not None]
    if not wanted:
        return None
    denied = [part for part in parts if isinstance(part, Deny) and _is_plain(part.part)]
    match = " AND ".join(text for _, text in wanted)
    if denied:
        nowhere = " OR ".join(f"{{whole}} : {_expression(part.part)}" for part in denied)
        match = f"({match}) NOT ({nowhere})"
    covered = tuple(part for part, _ in wanted if _is_plain(part))
    key = sqlite.text_package()
    return Driver(sqlite.text_search(match), key, (*covered, *denied), ordered=True)


def _expression(condition: Condition) -> str | None:
    """What the texts of a package hold wherever the condition is fulfilled; None where that is nothing certain."""
    if isinstance(condition, Phrase):
        return sqlite.phrase(condition.words, open_end=condition.open)
    if isinstance(condition, AllOf | AnyOf):
        found = [text for part in condition.parts if (text := _expression(part)) is not None]
        if not found or (isinstance(condition, AnyOf) and len(found) < len(condition.parts)):
            return None
        return "(" + (" AND " if isinstance(condition, AllOf) else " OR ").join(found) + ")"
    return None


def _is_plain(condition: Condition) -> bool:
    """Whether the words are all that is asked."""
    if isinstance(condition, AnyOf):
        return all(map(_is_plain, condition.parts))
    return isinstance(condition, Phrase) and not condition.keys


def count_alone(
    connection: Connection, conditions: Conditions, condition: Condition, source: Driver, most: int
) -> int | None:
    """How many packages match, up to a number, where that can be counted without looking at any; else None."""
    parts = condition.parts if isinstance(condition, AllOf) else (condition,)
    if doubtful(condition):
        return None
    if isinstance(condition, Between):
        source = _of_number(conditions, condition)
    elif any(part not in source.covered for part in parts):
        return None
    return source.count(connection, most)
