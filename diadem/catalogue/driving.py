"""Where a search begins: the one source of candidates from which all the rest is looked up.

Every source gives packages in the order in which they are listed, so that the first page is found without the others:
the index of words, which may be narrowed further; one number of the facts, where few packages have it; or simply all
packages, where what is asked is common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, reduce
from itertools import islice
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Integer, Select, bindparam, exists, func, select, union

from diadem.catalogue import database as dialects
from diadem.catalogue import tables
from diadem.catalogue.conditions import Conditions, of_judgement, of_package
from diadem.catalogue.database import CHUNK
from diadem.catalogue.judgements import Judged, Unjudged
from diadem.catalogue.judging import doubtful
from diadem.catalogue.meaning import AllOf, AnyOf, Begins, Between, Condition, Days, Deny, Linked, Phrase, Within
from diadem.catalogue.package_key import EVERYTHING, Stretch
from diadem.catalogue.windows import Met, Windows
from diadem.catalogue.wording import Without, Wording, either, every, everywhere

#: Up to so many facts are gathered and sorted; numbers that more packages have are met soon enough on the way.
FEW: Final = 5_000
#: Packages that are counted at most where none need be looked at: by an index that has each once and in order, and by
#: another one, as that of numbers, in which a package may stand many times.
COUNTED_IN_ORDER: Final = 20_000
COUNTED: Final = 10_000
#: How many times more packages with the words there must be, for a number to be the better beginning.
_RARER: Final = 10
_packages = tables.packages.c
_numbers = tables.numbers.c


class Part(NamedTuple):
    """The candidates of one stretch, each once: a question that is the same for many stretches, and its values."""

    source: Select[Any]
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Driver:
    """A source of candidates.

    Attributes
    ----------
    source : Select
        Keys of packages; where it is not `ordered`, perhaps several times.
    key : ColumnElement
        The column of the source that is the key.
    covered : tuple of Condition
        Parts of the condition that hold for all of them.
    ordered : bool
        Whether the source gives them in order without sorting.
    match : Wording or None
        The text search that it is; None for another one.
    listed : bool
        Whether it is a list of some packages, and not all of them.
    sparse : bool
        Whether it leaves out most packages that have the words.
    stretch : Stretch
        The packages that it has its candidates among.
    part : callable or None
        The same source, each package once, of one stretch alone; None where that is not quicker than all of it.
    met : Met
        What was met so far of its parts.
    """

    source: Select[Any]
    key: ColumnElement[int]
    covered: tuple[Condition, ...]
    ordered: bool = True
    match: Wording | None = None
    listed: bool = False
    sparse: bool = False
    stretch: Stretch = EVERYTHING
    part: Callable[[Stretch], Part] | None = None
    met: Met = field(default_factory=Met, compare=False)

    @property
    def all(self) -> bool:
        """Whether it is no more than all packages, those of some days perhaps."""
        return self.ordered and self.match is None and not self.listed

    def chunk(self, bound: int | None, size: int, *, rising: bool) -> Select[Any]:
        """The next candidates beyond a key, of a source that is ordered."""
        source = self.source.order_by(self.key if rising else self.key.desc())
        if bound is not None:
            source = source.where(self.key > bound if rising else self.key < bound)
        return source.limit(size)

    def sorted(self, connection: Connection, *, rising: bool) -> Iterator[Iterator[int]]:
        """All candidates, of a source that is not ordered: at once, or those of one window after the other."""
        order = self.key if rising else self.key.desc()
        if self.part is None:
            asked = self.source.distinct().order_by(order)
            yield (row[0] for rows in dialects.streamed(connection, asked, CHUNK) for row in rows)
            return
        in_order = cache(lambda source: source.order_by(order))
        windows = Windows(connection, self.stretch, self.met, rising=rising, few=self.sparse)
        for window in windows:
            part = self.part(window)
            keys = connection.scalars(in_order(part.source), dict(part.values)).all()
            windows.tell(len(keys))
            yield iter(keys)

    def keys(self, connection: Connection, most: int) -> list[int]:
        """The newest candidates, up to a number."""
        if self.ordered:
            return list(connection.scalars(self.chunk(None, most, rising=False)))
        found: list[int] = []
        for part in self.sorted(connection, rising=False):
            found += islice(part, most - len(found))
            if len(found) == most:
                break
        return found

    def count(self, connection: Connection, most: int) -> int:
        """How many packages there are, up to a number; of a source that is ordered, or has parts."""
        if self.part is None:
            # In its order, or else a server gathers all before it counts some.
            return _rows(connection, self.source.order_by(self.key), most)
        found, counted = 0, cache(_counted)
        windows = Windows(connection, self.stretch, self.met, rising=False, few=True, wanted=most)
        for window in windows:
            part = self.part(window)
            rows = int(connection.scalar(counted(part.source), {**part.values, "most": most - found}) or 0)
            windows.tell(rows)
            found += rows
            if found == most:
                break
        return found

    def facts(self, connection: Connection, most: int) -> int:
        """How many facts there are, up to a number: not fewer than packages, and counted in a tenth of the time."""
        return _rows(connection, self.source, most)


def _rows(connection: Connection, source: Select[Any], most: int) -> int:
    return int(connection.scalar(_counted(source), {"most": most}) or 0)


def _counted(source: Select[Any]) -> Select[Any]:
    """How many rows a source has, up to `most`."""
    return select(func.count()).select_from(source.limit(bindparam("most", type_=Integer)).subquery())


def driver(connection: Connection, conditions: Conditions, condition: Condition) -> Driver:
    """The best source of candidates for a condition."""
    parts = condition.parts if isinstance(condition, AllOf) else (condition,)
    if all(isinstance(part, Judged | Unjudged | Days) for part in parts) and (judged := _judged(parts)):
        return judged
    texts = _texts(conditions, parts)
    fewest, rare = _rare(connection, conditions, parts)
    if rare is not None and (texts is None or fewest * _RARER < texts.count(connection, FEW)):
        return rare
    return _named(parts) or _linked(parts) or texts or _judged(parts) or _all(parts)


def count_alone(
    connection: Connection, conditions: Conditions, condition: Condition, source: Driver
) -> tuple[int, bool] | None:
    """How many packages match, and whether that is all of them; None where each would have to be looked at."""
    parts = condition.parts if isinstance(condition, AllOf) else (condition,)
    if doubtful(condition):
        return None
    if isinstance(condition, Between):
        source = _of_number(conditions, condition, ())
    elif any(part not in source.covered for part in parts):
        return None
    most = COUNTED_IN_ORDER if source.ordered and not source.listed else COUNTED
    if source.ordered or source.part is not None:
        found = source.count(connection, most)
        return found, found < most
    # Among so many facts: to tell apart all packages that have any, a server would go through all facts first.
    some = source.source.limit(most).subquery()
    rows, packages = connection.execute(select(func.count(), func.count(some.c[0].distinct())).select_from(some)).one()
    return int(packages), rows < most


def _all(parts: Sequence[Condition]) -> Driver:
    """All packages, of the days that are asked for."""
    days = _days(parts)
    return Driver(
        _within(select(_packages.seq).where(_packages.tombstone.is_(None)), _packages.seq, days), _packages.seq, days
    )


def _days(parts: Sequence[Condition]) -> tuple[Days, ...]:
    return tuple(part for part in parts if isinstance(part, Days))


def _within(source: Select[Any], key: ColumnElement[int], days: Sequence[Days]) -> Select[Any]:
    """The packages of some days: they lie together, whatever table they are taken from."""
    for part in days:
        source = source.where(key >= part.low, key < part.high)
    return source


def _rare(connection: Connection, conditions: Conditions, parts: Sequence[Condition]) -> tuple[int, Driver | None]:
    """The part that the fewest packages fulfil, if they are few."""
    found: tuple[int, Driver | None] = (FEW, None)
    days = _days(parts)
    for part in parts:
        source = _narrow(conditions, part, days)
        if source is not None and (rows := source.facts(connection, found[0])) < found[0]:
            found = (rows, source)
    return found


def _narrow(conditions: Conditions, part: Condition, days: tuple[Days, ...]) -> Driver | None:
    """A source that may give few packages; None where it is certain that it does not help."""
    if isinstance(part, Between):
        return _of_number(conditions, part, days)
    if isinstance(part, Begins):
        return _of_id(part, days)
    if isinstance(part, Judged):
        found = _of_judgement(part, days)
        return Driver(found.source, found.key, found.covered, ordered=False)
    return None


def _named(parts: Sequence[Condition]) -> Driver | None:
    """Packages that somebody may find, where all of them are named by their ids: mostly they are few."""
    part = next((part for part in parts if isinstance(part, Within)), None)
    if part is None or part.visible.everything or any(one.packages is None for one in part.visible.reaches):
        return None
    days = _days(parts)
    source = select(_packages.seq).where(of_package(part), tables.alive())
    return Driver(_within(source, _packages.seq, days), _packages.seq, (part, *days), ordered=False)


def _linked(parts: Sequence[Condition]) -> Driver | None:
    """Packages that are linked with one: what is followed to find them is followed once, however many they are."""
    part = next((part for part in parts if isinstance(part, Linked)), None)
    if part is None:
        return None
    days = _days(parts)
    source = select(_packages.seq).where(of_package(part), tables.alive())
    return Driver(_within(source, _packages.seq, days), _packages.seq, (part, *days), ordered=False)


def _judged(parts: Sequence[Condition]) -> Driver | None:
    """Packages with a judgement that is asked for, or with datasets that have none: they lie in order in the index."""
    for part in parts:
        if isinstance(part, Judged | Unjudged):
            return _of_judgement(part, _days(parts))
    return None


def _of_judgement(part: Judged | Unjudged, days: tuple[Days, ...]) -> Driver:
    key = (tables.assessments if isinstance(part, Judged) else tables.unassessed).c.package
    source = select(key).where(of_judgement(part)).distinct()
    return Driver(_within(source, key, days), key, (part, *days), listed=True)


def _of_number(conditions: Conditions, part: Between, days: tuple[Days, ...]) -> Driver:
    source = select(_numbers.package).where(conditions.of_fact(part, indexed=True))
    return Driver(_within(source, _numbers.package, days), _numbers.package, (part, *days), ordered=False)


def _of_id(part: Begins, days: tuple[Days, ...]) -> Driver:
    after = part.digits + "g"  # the letter after f
    both = (
        select(_packages.seq).where(column.between(part.digits, after))
        for column in (_packages.id, _packages.payload_id)
    )
    found = union(*both).subquery()
    source = select(_packages.seq).where(_packages.seq.in_(select(found.c.seq)), tables.alive())
    return Driver(_within(source, _packages.seq, days), _packages.seq, (part, *days), ordered=False)


def _texts(conditions: Conditions, parts: Sequence[Condition]) -> Driver | None:
    """Packages with the words of all parts that ask for words."""
    wanted = [(part, text) for part in parts if (text := _wording(conditions, part)) is not None]
    if not wanted:
        return None
    days, database = _days(parts), conditions.database
    denied = {part: part.part for part in parts if isinstance(part, Deny) and _is_text(conditions, part.part)}
    match = every([text for _, text in wanted])
    if denied:
        nowhere = [everywhere(conditions.text(one)) for one in denied.values() if isinstance(one, Phrase)]
        match = Without(match, either(nowhere))
    covered = (*(part for part, _ in wanted if _is_text(conditions, part)), *denied, *days)

    @cache
    def told(source: Select[Any], key: ColumnElement[int]) -> Select[Any]:
        return _told(source, key, conditions, parts)

    def part(stretch: Stretch) -> Part:
        hits = database.text_search(match, stretch)
        return Part(told(hits.source, hits.key), hits.values)

    stretch = reduce(lambda all_, one: all_.cut(one.low, one.high), days, EVERYTHING)
    (source, key, _), ordered = database.text_search(match, stretch), database.LOOKS_UP_WORDS
    return Driver(
        told(source, key),
        key,
        covered,
        ordered=ordered,
        match=match,
        sparse=any(isinstance(part, Judged) for part in parts),
        stretch=stretch,
        part=None if ordered else part,
    )


def _told(
    source: Select[Any], key: ColumnElement[int], conditions: Conditions, parts: Sequence[Condition]
) -> Select[Any]:
    """Only packages of which something fulfils the parts of judgements and of numbers: a look-up for each is cheap."""
    for part in parts:
        if isinstance(part, Judged):
            source = source.where(exists().where(tables.assessments.c.package == key, of_judgement(part)))
        elif isinstance(part, Between):
            source = source.where(exists().where(_numbers.package == key, conditions.of_fact(part)))
    return source


def _wording(conditions: Conditions, condition: Condition) -> Wording | None:
    """What the texts of a package hold wherever the condition is fulfilled; None where that is nothing certain."""
    if isinstance(condition, Phrase):
        return conditions.text(condition)
    if isinstance(condition, AllOf | AnyOf):
        found = [text for part in condition.parts if (text := _wording(conditions, part)) is not None]
        if not found or (isinstance(condition, AnyOf) and len(found) < len(condition.parts)):
            return None
        return every(found) if isinstance(condition, AllOf) else either(found)
    return None


def _is_text(conditions: Conditions, condition: Condition) -> bool:
    """Whether words are all that is asked, and their index decides on them."""
    if isinstance(condition, AnyOf):
        return all(_is_text(conditions, part) for part in condition.parts)
    return isinstance(condition, Phrase) and conditions.decided(condition)
