"""What a search asks of packages and their datasets, and each single condition as SQL.

A condition on a *dataset* holds for those datasets that state such a value; one on a *package* holds for all its
datasets or none. ``and``, ``or`` and ``not`` are of datasets: ``kV=200 HAADF`` finds packages in which one dataset has
both. What is said of the whole package (title, sample, people) holds for each of its datasets.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, case, exists, func, literal, not_, or_, select, true

from diadem.catalogue import database, tables
from diadem.catalogue.belonging import reached
from diadem.catalogue.package_key import Stretch, begins
from diadem.catalogue.quality import made_from, used_for
from diadem.catalogue.tables import among, contains, contains_one
from diadem.catalogue.words import Wording, Words, either
from diadem.errors import UsageError
from diadem.model.access import Visible
from diadem.model.replicas import PRESENT

#: How far a single condition holds in a package: for none of its datasets, for some, for every one.
NONE, SOME, EVERY = 0, 1, 2
#: Combinations of judgements that one search asks for.
MAX_JUDGEMENTS: Final = 64
_packages = tables.packages.c
_numbers = tables.numbers.c
_phrases = tables.phrases.c

Sql = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that follow one another in a text of one of the keys; without keys in any text.

    `open` lets the last word go on, `whole` wants the text to have no other word; one of the `others`, of the same
    keys, will do as well.
    """

    keys: tuple[str, ...]
    words: tuple[str, ...]
    open: bool = False
    whole: bool = False
    others: tuple[Phrase, ...] = ()


@dataclass(frozen=True, slots=True)
class Between:
    """A number from `low` to `high`, both included, of one of the keys."""

    keys: tuple[str, ...]
    low: float
    high: float


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


@dataclass(frozen=True, slots=True)
class Linked:
    """Packages that were made from one whose id begins so, directly or not; `above`: from which it was made."""

    digits: str
    above: bool


@dataclass(frozen=True, slots=True)
class Ingested:
    """Packages archived from `low` to before `high`, as text; None for no limit."""

    low: str | None
    high: str | None


@dataclass(frozen=True, slots=True)
class Count:
    """Packages whose column (``bytes``, ``files``, ``datasets``) or ``copies`` lies from `low` to `high`."""

    column: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Begins:
    """Packages whose id or payload id begins with these digits."""

    digits: str


@dataclass(frozen=True, slots=True)
class InStore:
    """Packages that have a copy in this store."""

    name: str


@dataclass(frozen=True, slots=True)
class Within:
    """Packages that somebody may find."""

    visible: Visible


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of the parts; without any, everything."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of the parts at least."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Deny:
    """Not the leaf; deeper ones do not come."""

    part: Leaf


OfDataset = Phrase | Between | Judged | Unjudged
#: Of packages, those of some days are a stretch of their keys.
OfPackage = Stretch | Ingested | Count | Begins | InStore | Linked | Within
Leaf = OfDataset | OfPackage
Condition = Leaf | AllOf | AnyOf | Deny
#: What no package fulfils.
NOTHING: Final = Stretch(0, 0)


def one_judgement(parts: Sequence[Condition]) -> Condition:
    """All of some parts, where what is asked of judgements is asked of one and the same.

    ``(quality:reject or HAADF) purpose:EELS`` becomes ``quality:reject purpose:EELS or HAADF purpose:EELS``: of either
    way one judgement is asked. Raises `UsageError` where there are too many ways.
    """
    flat = [one for part in parts for one in parts_of(part)]
    judging = [part for part in flat if _judges(part)]
    if len(judging) < 2 or all(isinstance(part, Judged | Unjudged) for part in judging):
        return _together(flat)
    ways = [part.parts if isinstance(part, AnyOf) else (part,) for part in judging]
    if math.prod(map(len, ways)) > MAX_JUDGEMENTS:
        raise UsageError(
            f"the search asks for more than {MAX_JUDGEMENTS} combinations of assessments", next="Ask for fewer at once."
        )
    either = AnyOf(tuple(dict.fromkeys(one_judgement(way) for way in itertools.product(*ways))))
    rest = [part for part in flat if part not in judging]
    return AllOf((*rest, either)) if rest else either


def _judges(condition: Condition) -> bool:
    """Whether what is asked of a judgement may become part of the question."""
    if isinstance(condition, AllOf | AnyOf):
        return any(map(_judges, condition.parts))
    return isinstance(condition, Judged | Unjudged)


def _joined(one: Judged, other: Judged) -> Judged | None:
    """One judgement that says what two ask for; None where they ask for the same thing twice."""
    both = {}
    for member in fields(Judged):
        first, second = getattr(one, member.name), getattr(other, member.name)
        if first and second and first != second:
            return None
        both[member.name] = first or second
    return Judged(**both)


def _together(parts: Iterable[Condition]) -> Condition:
    """All of some parts; two that are of one judgement become one."""
    kept: list[Condition] = []
    for part in parts:
        for place, other in enumerate(kept):
            both = _joined(other, part) if isinstance(other, Judged) and isinstance(part, Judged) else None
            if both is not None:
                kept[place] = both
                break
        else:
            kept.append(part)
    if Unjudged() in kept and any(isinstance(part, Judged) for part in kept):
        return NOTHING  # what nobody has judged, somebody has judged: it need not be looked for
    return kept[0] if len(kept) == 1 else AllOf(tuple(kept))


def denied(condition: Condition) -> Condition:
    """The opposite, denials moved down to the leaves."""
    if isinstance(condition, AllOf | AnyOf):
        parts = tuple(map(denied, condition.parts))
        return AnyOf(parts) if isinstance(condition, AllOf) else AllOf(parts)
    if isinstance(condition, Unjudged):  # what somebody has judged is listed too
        return Judged()
    if condition == Judged():
        return Unjudged()
    return condition.part if isinstance(condition, Deny) else Deny(condition)


def parts_of(condition: Condition) -> tuple[Condition, ...]:
    """What must hold together."""
    return condition.parts if isinstance(condition, AllOf) else (condition,)


def leaves(condition: Condition) -> list[Leaf]:
    """The single conditions, each once."""
    if isinstance(condition, AllOf | AnyOf):
        return list(dict.fromkeys(leaf for part in condition.parts for leaf in leaves(part)))
    return [condition.part if isinstance(condition, Deny) else condition]


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


class FactReader:
    """Reads facts by conditions, in one transaction: what each asks of the package in `tables.packages`, as SQL."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.database = connection, database.of(connection)
        names = connection.execute(select(tables.keys.c.code, tables.keys.c.name))
        self._codes = {name: code for code, name in names}

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
            return and_(self._of_key(_numbers.key, leaf.keys), number.between(leaf.low, leaf.high))
        if not leaf.others:
            words = _of_words(leaf)
        else:
            whole = [_padded(one) for one in leaf.others if one.whole]
            inside = [_padded(one) for one in leaf.others if not one.whole]
            words = or_(_of_words(leaf), _phrases.words.in_(whole), contains_one(_phrases.words, inside))
        return and_(self._of_key(_phrases.key, leaf.keys), words) if leaf.keys else words

    def _of_key(self, column: ColumnElement[int], keys: Sequence[str]) -> Sql:
        codes = self._of(keys)
        return column == codes[0] if len(codes) == 1 else column.in_(codes)

    def text(self, leaf: Phrase) -> Wording:
        """A phrase as the text search is asked for it."""
        codes = tuple(self._of(leaf.keys)) if leaf.keys else None
        return either([Words(one.words, codes, one.open, one.whole) for one in (leaf, *leaf.others)])

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


def _padded(leaf: Phrase) -> str:
    """The words with blanks around, as phrases have them."""
    return f" {' '.join(leaf.words)} "


def _of_words(leaf: Phrase) -> Sql:
    """The words of one phrase are in the text, or are the text."""
    text = _padded(leaf)[:-1] if leaf.open else _padded(leaf)
    if not leaf.whole:
        return contains(_phrases.words, text)
    return _phrases.words.startswith(text, autoescape=True) if leaf.open else _phrases.words == text


def of_package(leaf: OfPackage) -> Sql:
    """A condition of a whole package."""
    if isinstance(leaf, Stretch):
        return leaf.has(_packages.seq)
    if isinstance(leaf, Begins):
        return begins(leaf.digits)
    if isinstance(leaf, Ingested):
        at = _packages.ingested_at
        since = true() if leaf.low is None else at >= leaf.low
        return and_(at.is_not(None), since, true() if leaf.high is None else at < leaf.high)
    if isinstance(leaf, Within):
        return reached(leaf.visible)
    if isinstance(leaf, Linked):
        return used_for(leaf.digits) if leaf.above else made_from(leaf.digits)
    copies = tables.replicas.c
    present = (copies.package == _packages.seq, copies.state == PRESENT)
    if isinstance(leaf, InStore):
        return exists().where(*present, copies.store == leaf.name)
    if leaf.column in _packages:
        return _packages[leaf.column].between(leaf.low, leaf.high)
    counted = select(func.count()).select_from(tables.replicas).where(*present).scalar_subquery()
    return counted.between(leaf.low, leaf.high)
