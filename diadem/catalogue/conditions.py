"""Single conditions as SQL: of a fact, of a package, and how far one holds in a package; phrases as text searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal, not_, or_, select, true

from diadem.catalogue import tables
from diadem.catalogue.access_facts import reached
from diadem.catalogue.database import Database
from diadem.catalogue.expressions import among, contains, contains_one
from diadem.catalogue.judgements import Judged, Unjudged
from diadem.catalogue.judging import EVERY, NONE, SOME
from diadem.catalogue.meaning import (
    Begins,
    Between,
    Days,
    Ingested,
    InStore,
    Leaf,
    Linked,
    OfDataset,
    OfPackage,
    Phrase,
    Within,
)
from diadem.catalogue.package_key import begins
from diadem.catalogue.quality import made_from, used_for
from diadem.catalogue.wording import Wording, Words, either, phrases
from diadem.model.replicas import PRESENT

_packages = tables.packages.c
_numbers = tables.numbers.c
_phrases = tables.phrases.c

Sql = ColumnElement[bool]


class Conditions:
    """Conditions of the package in `tables.packages`.

    Parameters
    ----------
    codes : mapping of str to int
        Numbers of the keys that this catalogue knows.
    database : Database
        Who searches in texts.
    """

    def __init__(self, codes: Mapping[str, int], database: Database) -> None:
        self._codes, self.database = codes, database

    def held(self, leaf: Leaf, least: int = NONE) -> ColumnElement[int]:
        """How far a condition holds in a package: `NONE`, `SOME` or `EVERY`; at `least` so far, as is known."""
        if not isinstance(leaf, OfDataset):
            return case((of_package(leaf), EVERY), else_=NONE)
        facts = _table(leaf)
        most = select(func.max(case((facts.everywhere, EVERY), else_=SOME)))
        within = most.where(facts.package == _packages.seq, self.of_fact(leaf))
        if least == SOME:
            within = within.where(facts.everywhere == literal(True))
        return func.coalesce(within.scalar_subquery(), least)

    def stating(self, leaf: OfDataset, packages: Sequence[int]) -> Select[Any]:
        """Of some packages that have facts which fulfil a condition: package, whether everywhere, else the datasets.

        One row for each: a session has the same word in each of its files.
        """
        facts = _table(leaf)
        everywhere = func.max(case((facts.everywhere, 1), else_=0))
        datasets = func.aggregate_strings(case((facts.everywhere, ""), else_=facts.datasets), ",")
        found = select(facts.package, everywhere, datasets).where(among(facts.package, packages), self.of_fact(leaf))
        return found.group_by(facts.package)

    def stating_all(self, leaves: Sequence[Phrase], packages: Sequence[int]) -> Select[Any]:
        """The same for several phrases in one look: package, and for each phrase whether everywhere, and the datasets.

        Nothing is said of the datasets where a phrase holds everywhere; both are NULL where it holds nowhere.
        """
        facts = [self.of_fact(leaf) for leaf in leaves]
        said: list[ColumnElement[Any]] = []
        for fact in facts:
            said.append(func.max(case((and_(fact, _phrases.everywhere), 1), (fact, 0))))
            said.append(func.aggregate_strings(case((and_(fact, not_(_phrases.everywhere)), _phrases.datasets)), ","))
        found = select(_phrases.package, *said).where(among(_phrases.package, packages), or_(*facts))
        return found.group_by(_phrases.package)

    def of_fact(self, leaf: OfDataset, *, indexed: bool = False) -> Sql:
        """The condition of a fact; `indexed` where the numbers of all packages are looked through.

        Elsewhere the number is hidden from the database, for it would look through all of them for each package.
        """
        if isinstance(leaf, Judged | Unjudged):
            return of_judgement(leaf)
        if isinstance(leaf, Between):
            number = _numbers.number if indexed else _numbers.number + 0.0
            return and_(self._of_key(_numbers.key, leaf), number.between(leaf.low, leaf.high))
        return and_(self._of_key(_phrases.key, leaf), _of_words(leaf)) if leaf.keys else _of_words(leaf)

    def _of_key(self, column: ColumnElement[int], leaf: Phrase | Between) -> Sql:
        codes = self._of(leaf.keys)
        return column == codes[0] if len(codes) == 1 else column.in_(codes)

    def text(self, leaf: Phrase) -> Wording:
        """A phrase as the text search is asked for it."""
        codes = tuple(self._of(leaf.keys)) if leaf.keys else None
        return either([Words(one.words, codes, one.open, one.whole) for one in (leaf, *leaf.others)])

    def decided(self, leaf: Phrase) -> bool:
        """Whether the index of words alone decides on a phrase."""
        return all(map(self.database.exact, phrases(self.text(leaf))))

    def _of(self, keys: Sequence[str]) -> list[int]:
        return [self._codes[key] for key in keys if key in self._codes]


def _table(leaf: OfDataset) -> Any:
    """Columns of the table that has such facts."""
    if isinstance(leaf, Judged | Unjudged):
        return tables.assessments.c if isinstance(leaf, Judged) else tables.unassessed.c
    return _numbers if isinstance(leaf, Between) else _phrases


def of_judgement(leaf: Judged | Unjudged) -> Sql:
    """The condition of a judgement that counts; of the datasets that have none, all that are listed fulfil it."""
    if isinstance(leaf, Unjudged):
        return true()
    columns = tables.assessments.c
    parts = [
        columns[name] == getattr(leaf, name) for name in ("verdict", "purpose", "criterion") if getattr(leaf, name)
    ]
    if leaf.assessor:
        parts.append(columns.assessor == leaf.assessor.partition("@")[0])
        if "@" in leaf.assessor:
            parts.append(func.lower(columns.by) == leaf.assessor)
    if leaf.disputed:
        parts.append(columns.disputed == literal(True))
    return and_(true(), *parts)


def _of_words(leaf: Phrase) -> Sql:
    """The words are in the text, or are the text; those of the phrase, or of one of the others."""
    if not leaf.others:
        return _of_one(leaf)
    whole = [_padded(one) for one in leaf.others if one.whole]
    inside = [_padded(one) for one in leaf.others if not one.whole]
    return or_(_of_one(leaf), _phrases.words.in_(whole), contains_one(_phrases.words, inside))


def _padded(leaf: Phrase) -> str:
    """The words with blanks around, as phrases have them."""
    return f" {' '.join(leaf.words)} "


def _of_one(leaf: Phrase) -> Sql:
    """The words of one phrase."""
    text = _padded(leaf)[:-1] if leaf.open else _padded(leaf)
    if not leaf.whole:
        return contains(_phrases.words, text)
    return _phrases.words.startswith(text, autoescape=True) if leaf.open else _phrases.words == text


def of_package(leaf: OfPackage) -> Sql:
    """A condition of a whole package."""
    if isinstance(leaf, Days):
        return and_(_packages.seq >= leaf.low, _packages.seq < leaf.high)
    if isinstance(leaf, Begins):
        return begins(leaf.digits)
    if isinstance(leaf, Ingested):
        return _of_moment(leaf)
    if isinstance(leaf, Within):
        return reached(leaf.visible)
    if isinstance(leaf, Linked):
        return used_for(leaf.digits) if leaf.above else made_from(leaf.digits)
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
    return and_(true(), *parts)
