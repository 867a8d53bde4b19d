"""Single conditions as SQL: of a fact, of a package, and how far one holds in a package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, select

from diadem.model.replicas import PRESENT
from diadem.node.catalogue import tables
from diadem.node.catalogue.judging import EVERY, NONE, SOME
from diadem.node.catalogue.meaning import Begins, Between, Days, Ingested, InStore, Leaf, OfDataset, OfPackage, Phrase
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

    def held(self, leaf: Leaf) -> ColumnElement[int]:
        """How far a condition holds in a package: `NONE`, `SOME` or `EVERY`."""
        if not isinstance(leaf, Phrase | Between):
            return case((of_package(leaf), EVERY), else_=NONE)
        stated = _facts.package == _packages.seq
        most = func.max(case((_facts.everywhere, EVERY), else_=SOME))
        return func.coalesce(select(most).where(stated, self.of_fact(leaf)).scalar_subquery(), NONE)

    def of_fact(self, leaf: OfDataset, *, indexed: bool = False) -> Sql:
        """The condition of a fact; `indexed` where the facts of all packages are looked through by their number.

        Elsewhere the number is hidden from the database, for it would look through all packages' for each of them.
        """
        parts: list[Sql] = []
        if leaf.keys:
            codes = [self._codes[key] for key in leaf.keys if key in self._codes]
            parts.append(_facts.key.in_(codes) if len(codes) != 1 else _facts.key == codes[0])
        if isinstance(leaf, Between):
            number = _facts.number if indexed else _facts.number + 0.0
            return and_(*parts, number.between(leaf.low, leaf.high))
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
