"""Conditions as SQL, of one package.

SQL sees packages, the language means datasets. So a condition is written in three ways: what *must* hold of a package
for one of its datasets to match, what makes *sure* that one does, and what makes sure that *every* one does. Most
searches, and all of packages with one dataset, are decided by that; the others are looked at dataset by dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, func, not_, or_, select, true

from diadem.model.replicas import PRESENT
from diadem.node.catalogue import tables
from diadem.node.catalogue.meaning import (
    AllOf,
    AnyOf,
    Begins,
    Between,
    Condition,
    Days,
    Deny,
    Ingested,
    InStore,
    Leaf,
    OfDataset,
    OfPackage,
    Phrase,
)
from diadem.node.catalogue.reading import begins

_packages = tables.packages.c
_facts = tables.facts.c

Sql = ColumnElement[bool]


class Conditions:
    """Conditions of the package in `tables.packages`.

    Parameters
    ----------
    codes : mapping of str to int
        Numbers of the keys that this catalogue knows.
    """

    def __init__(self, codes: Mapping[str, int]) -> None:
        self._codes = codes

    def must(self, condition: Condition) -> Sql:
        """What holds wherever one dataset matches; the very condition where `decided`."""
        if isinstance(condition, AllOf):
            return and_(true(), *map(self.must, condition.parts))
        if isinstance(condition, AnyOf):
            return or_(false(), *map(self.must, condition.parts))
        if isinstance(condition, Deny):
            return not_(self.every(condition.part))
        return self._some(condition)

    def sure(self, condition: Condition) -> Sql:
        """What holds only where one dataset matches."""
        if isinstance(condition, AnyOf):
            return or_(false(), *map(self.sure, condition.parts))
        if isinstance(condition, AllOf):
            return or_(false(), *(self._one_and_every(condition.parts, own) for own in range(len(condition.parts))))
        return self.every(condition) if isinstance(condition, Deny) else self._some(condition)

    def _one_and_every(self, parts: Sequence[Condition], own: int) -> Sql:
        """One dataset matches one part, and all datasets the others."""
        others = (self.every(part) for index, part in enumerate(parts) if index != own)
        return and_(self.sure(parts[own]), *others)

    def every(self, condition: Condition) -> Sql:
        """What holds only where all datasets match."""
        if isinstance(condition, AllOf):
            return and_(true(), *map(self.every, condition.parts))
        if isinstance(condition, AnyOf):
            return or_(false(), *map(self.every, condition.parts))
        if isinstance(condition, Deny):
            return not_(self._some(condition.part))
        if isinstance(condition, Phrase | Between):
            return self._stated(condition, _facts.everywhere)
        return of_package(condition)

    def _some(self, leaf: Leaf) -> Sql:
        return self._stated(leaf) if isinstance(leaf, Phrase | Between) else of_package(leaf)

    def _stated(self, leaf: OfDataset, *more: Sql) -> Sql:
        return exists().where(_facts.package == _packages.seq, self.of_fact(leaf), *more)

    def of_fact(self, leaf: OfDataset) -> Sql:
        """The condition of a fact."""
        parts: list[Sql] = []
        if leaf.keys:
            codes = [self._codes[key] for key in leaf.keys if key in self._codes]
            parts.append(_facts.key.in_(codes) if len(codes) != 1 else _facts.key == codes[0])
        if isinstance(leaf, Between):
            return and_(*parts, _facts.number.between(leaf.low, leaf.high))
        return and_(*parts, _of_words(leaf))


def _of_words(leaf: Phrase) -> Sql:
    """The words are in the fact's text, or are the text; with blanks around, as facts have them."""
    text = " " + " ".join(leaf.words) + ("" if leaf.open else " ")
    if not leaf.whole:
        return func.instr(_facts.words, text) > 0
    return _facts.words.startswith(text, autoescape=True) if leaf.open else _facts.words == text


def of_package(leaf: OfPackage) -> Sql:
    """A condition of a whole package."""
    if isinstance(leaf, Days):
        return and_(_packages.seq >= leaf.low, _packages.seq < leaf.high)
    if isinstance(leaf, Begins):
        return begins(leaf.digits)
    if isinstance(leaf, Ingested):
        return _of_moment(leaf)
    copies = tables.replicas.c
    present = (copies.package == _packages.seq, copies.state == PRESENT)
    if isinstance(leaf, InStore):
        return exists().where(*present, copies.store == leaf.name)
    counted: ColumnElement[Any] = _packages[leaf.column] if leaf.column in _packages else _count(*present)
    return counted.between(leaf.low, leaf.high)


def _count(*conditions: Sql) -> ColumnElement[Any]:
    return select(func.count()).select_from(tables.replicas).where(*conditions).scalar_subquery()


def _of_moment(leaf: Ingested) -> Sql:
    parts: list[Sql] = [_packages.ingested_at.is_not(None)]
    if leaf.low is not None:
        parts.append(_packages.ingested_at >= leaf.low)
    if leaf.high is not None:
        parts.append(_packages.ingested_at < leaf.high)
    return and_(*parts)


def decided(condition: Condition) -> bool:
    """Whether `must` says it all: no two parts must hold of one and the same dataset, and none is denied."""
    if isinstance(condition, Deny):
        return not of_datasets(condition)
    if isinstance(condition, AllOf):
        return sum(map(of_datasets, condition.parts)) <= 1 and all(map(decided, condition.parts))
    return all(map(decided, condition.parts)) if isinstance(condition, AnyOf) else True


def of_datasets(condition: Condition) -> bool:
    """Whether a condition may hold for some datasets of a package and not for others."""
    if isinstance(condition, AllOf | AnyOf):
        return any(map(of_datasets, condition.parts))
    leaf = condition.part if isinstance(condition, Deny) else condition
    return isinstance(leaf, Phrase | Between)
