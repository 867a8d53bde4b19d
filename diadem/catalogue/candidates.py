"""Where a search begins: the one source of candidates from which all the rest is looked up.

Every source gives packages in the order in which they are listed, so that the first page is found without the others:
the index of words, which may be narrowed further; one number of the facts, where few packages have it; or simply all
packages, where what is asked is common. What is not given in this order is gathered one stretch of it after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, reduce
from itertools import islice
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Integer, Select, bindparam, exists, func, select, union

from diadem.catalogue import database, tables
from diadem.catalogue.conditions import (
    AllOf,
    AnyOf,
    Begins,
    Between,
    Condition,
    Deny,
    FactReader,
    Judged,
    Linked,
    Phrase,
    Unjudged,
    Within,
    doubtful,
    of_judgement,
    of_package,
    parts_of,
)
from diadem.catalogue.database import CHUNK, TextHits
from diadem.catalogue.package_key import EVERYTHING, Stretch
from diadem.catalogue.words import Without, Wording, either, every, everywhere, phrases

#: Up to so many facts are gathered and sorted; numbers that more packages have are met soon enough on the way.
FEW: Final = 5_000
#: Packages that are counted at most where none need be looked at: by an index that has each once and in order, and by
#: another one, as that of numbers, in which a package may stand many times.
COUNTED_IN_ORDER: Final = 20_000
COUNTED: Final = 10_000
#: How many times more packages with the words there must be, for a number to be the better beginning.
_RARER: Final = 10
#: What a page takes, where not all that is found matches.
PAGE: Final = 120
#: Packages of the first window, and how many times longer it is where few are expected to match.
_FIRST_WINDOW: Final = 4_000
_FEW_MATCH: Final = 10
#: How many times longer each next one is: at least and at most while something is missing, and then.
_SHORTEST: Final = 0.25
_LONGEST: Final = 64
_LONGER: Final = 3
_packages = tables.packages.c
_numbers = tables.numbers.c


@dataclass
class Met:
    """What was met in the last window of a source, so that the next look at the source begins with that."""

    length: int = 0
    found: int = 0
    #: By whether the oldest come first: the first package of all, the one at which a first window ends, the last one.
    ends: dict[bool, tuple[int | None, int | None, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidates:
    """A source of candidates: keys of packages; where it is not `ordered`, perhaps several times."""

    source: Select[Any]
    #: The column of the source that is the key.
    key: ColumnElement[int]
    #: Parts of the condition that hold for all of them.
    covered: tuple[Condition, ...]
    #: Whether the source gives them in order without sorting.
    ordered: bool = True
    #: The text search that it is; None for another one.
    match: Wording | None = None
    #: Whether it is a list of some packages, and not all of them.
    listed: bool = False
    #: Whether it leaves out most packages that have the words.
    sparse: bool = False
    #: The packages that it has its candidates among.
    stretch: Stretch = EVERYTHING
    #: The same source, each package once, of one stretch alone; None where that is not quicker than all of it.
    part: Callable[[Stretch], TextHits] | None = None
    met: Met = field(default_factory=Met, compare=False)

    @property
    def all(self) -> bool:
        """Whether it is no more than all packages, those of some days perhaps."""
        return self.ordered and self.match is None and not self.listed

    def covers(self, condition: Condition) -> bool:
        """Whether every part of a condition holds for all of them."""
        return all(part in self.covered for part in parts_of(condition))

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
            yield (row[0] for rows in database.streamed(connection, asked, CHUNK) for row in rows)
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


def _rows(connection: Connection, source: Select[Any], most: int) -> int:
    return int(connection.scalar(_counted(source), {"most": most}) or 0)


def _counted(source: Select[Any]) -> Select[Any]:
    """How many rows a source has, up to `most`."""
    return select(func.count()).select_from(source.limit(bindparam("most", type_=Integer)).subquery())


def candidates_of(reader: FactReader, condition: Condition) -> Candidates:
    """The best source of candidates for a condition."""
    parts = parts_of(condition)
    days = tuple(part for part in parts if isinstance(part, Stretch))
    # Packages with a judgement that is asked for, or with datasets that have none, lie in order in their index.
    judged = next((_of_judgement(part, days) for part in parts if isinstance(part, Judged | Unjudged)), None)
    if judged is not None and all(isinstance(part, Judged | Unjudged | Stretch) for part in parts):
        return judged
    texts = _of_texts(reader, parts, days)
    fewest, rare = FEW, None
    for part in parts:
        source = _narrow(reader, part, days)
        # Facts are not fewer than packages, and are counted in a tenth of the time.
        if source is not None and (facts := _rows(reader.connection, source.source, fewest)) < fewest:
            fewest, rare = facts, source
    if rare is not None and (texts is None or fewest * _RARER < texts.count(reader.connection, FEW)):
        return rare
    # Packages that somebody may find, where all are named by their ids, mostly few; or those that are linked with one:
    # what is followed to find these is followed once, however many they are.
    within = [part for part in parts if isinstance(part, Within) and not part.visible.everything]
    named = [part for part in within if all(one.packages is not None for one in part.visible.reaches)]
    few: list[Within | Linked] = [*named, *(part for part in parts if isinstance(part, Linked))]
    if few:
        return _source(_packages.seq, (few[0], *days), of_package(few[0]), tables.alive(), ordered=False)
    return texts or judged or _source(_packages.seq, days, _packages.tombstone.is_(None))


def count_alone(reader: FactReader, condition: Condition, source: Candidates) -> tuple[int, bool] | None:
    """How many packages match, and whether that is all of them; None where each would have to be looked at."""
    if doubtful(condition):
        return None
    if isinstance(condition, Between):
        source = _of_number(reader, condition, ())
    elif not source.covers(condition):
        return None
    most = COUNTED_IN_ORDER if source.ordered and not source.listed else COUNTED
    if source.ordered or source.part is not None:
        found = source.count(reader.connection, most)
        return found, found < most
    # Among so many facts: to tell apart all packages that have any, a server would go through all facts first.
    some = source.source.limit(most).subquery()
    asked = select(func.count(), func.count(some.c[0].distinct())).select_from(some)
    rows, packages = reader.connection.execute(asked).one()
    return int(packages), rows < most


def _source(
    key: ColumnElement[int], covered: tuple[Condition, ...], *rules: ColumnElement[bool], **kinds: Any
) -> Candidates:
    """Packages by rules; those of some days that are covered lie together, whatever table they are taken from."""
    days = (part.has(key) for part in covered if isinstance(part, Stretch))
    return Candidates(select(key).where(*rules, *days), key, covered, **kinds)


def _narrow(reader: FactReader, part: Condition, days: tuple[Stretch, ...]) -> Candidates | None:
    """A source that may give few packages; None where it is certain that it does not help."""
    if isinstance(part, Between):
        return _of_number(reader, part, days)
    if isinstance(part, Begins):
        after = part.digits + "g"  # the letter after f
        both = (
            select(_packages.seq).where(column.between(part.digits, after))
            for column in (_packages.id, _packages.payload_id)
        )
        begun = select(union(*both).subquery().c.seq)
        return _source(_packages.seq, (part, *days), _packages.seq.in_(begun), tables.alive(), ordered=False)
    if isinstance(part, Judged):
        return replace(_of_judgement(part, days), ordered=False, listed=False)
    return None


def _of_number(reader: FactReader, part: Between, days: tuple[Stretch, ...]) -> Candidates:
    return _source(_numbers.package, (part, *days), reader.of_fact(part, indexed=True), ordered=False)


def _of_judgement(part: Judged | Unjudged, days: tuple[Stretch, ...]) -> Candidates:
    key = (tables.assessments if isinstance(part, Judged) else tables.unassessed).c.package
    found = _source(key, (part, *days), of_judgement(part), listed=True)
    return replace(found, source=found.source.distinct())


def _of_texts(reader: FactReader, parts: Sequence[Condition], days: tuple[Stretch, ...]) -> Candidates | None:
    """Packages with the words of all parts that ask for words."""
    wanted = [(part, text) for part in parts if (text := _wording(reader, part)) is not None]
    if not wanted:
        return None
    database = reader.database
    denied = {part: part.part for part in parts if isinstance(part, Deny) and _is_text(reader, part.part)}
    match = every([text for _, text in wanted])
    if denied:
        nowhere = [everywhere(reader.text(one)) for one in denied.values() if isinstance(one, Phrase)]
        match = Without(match, either(nowhere))

    @cache
    def narrowed(source: Select[Any], key: ColumnElement[int]) -> Select[Any]:
        """Only packages of which something fulfils the parts of judgements and numbers: a look-up for each is cheap."""
        for part in parts:
            if isinstance(part, Judged):
                source = source.where(exists().where(tables.assessments.c.package == key, of_judgement(part)))
            elif isinstance(part, Between):
                source = source.where(exists().where(_numbers.package == key, reader.of_fact(part)))
        return source

    def part_of(stretch: Stretch) -> TextHits:
        hits = database.text_search(match, stretch)
        return hits._replace(source=narrowed(hits.source, hits.key))

    stretch = reduce(lambda all_, one: all_.cut(one.low, one.high), days, EVERYTHING)
    (source, key, _), ordered = database.text_search(match, stretch), database.LOOKS_UP_WORDS
    return Candidates(
        narrowed(source, key),
        key,
        (*(part for part, _ in wanted if _is_text(reader, part)), *denied, *days),
        ordered=ordered,
        match=match,
        sparse=any(isinstance(part, Judged) for part in parts),
        stretch=stretch,
        part=None if ordered else part_of,
    )


def _wording(reader: FactReader, condition: Condition) -> Wording | None:
    """What the texts of a package hold wherever the condition is fulfilled; None where that is nothing certain."""
    if isinstance(condition, Phrase):
        return reader.text(condition)
    if isinstance(condition, AllOf | AnyOf):
        found = [text for part in condition.parts if (text := _wording(reader, part)) is not None]
        if not found or (isinstance(condition, AnyOf) and len(found) < len(condition.parts)):
            return None
        return every(found) if isinstance(condition, AllOf) else either(found)
    return None


def _is_text(reader: FactReader, condition: Condition) -> bool:
    """Whether words are all that is asked, and their index decides on them."""
    if isinstance(condition, AnyOf):
        return all(_is_text(reader, part) for part in condition.parts)
    return isinstance(condition, Phrase) and all(map(reader.database.exact, phrases(reader.text(condition))))


class Windows:
    """Stretches that have all packages of one together, the newest or the oldest first.

    The next one is as long as what is still wanted takes, by what was found in the one before: so nothing common is
    gathered in vain, and what is rare is soon looked for everywhere.
    """

    def __init__(
        self, connection: Connection, stretch: Stretch, met: Met, *, rising: bool, few: bool = False, wanted: int = PAGE
    ) -> None:
        self._connection, self._rest, self._rising = connection, stretch, rising
        self._few, self._met = few, met
        self._missing, self._found = wanted, met.found

    def tell(self, found: int) -> None:
        """So much was found in the window that was given last."""
        self._found = self._met.found = found

    def __iter__(self) -> Iterator[Stretch]:
        """One after the other."""
        begin, end, last = self._ends()
        if begin is None:
            return
        if end is None:
            yield self._rest
            return
        length = abs(end - begin) * (_FEW_MATCH if self._few else 1)
        if self._met.found:
            length = round(self._met.length * self._growth())
        while begin is not None:
            self._found, self._met.length = 0, length
            yield self._cut(begin, length)
            self._missing -= self._found
            length = round(length * self._growth())
            begin = self._begin(last)

    def _growth(self) -> float:
        """How many times longer than the last one the next window is."""
        if self._missing <= 0:
            return _LONGER
        return min(max(_SHORTEST, self._missing / self._found), _LONGEST) if self._found else _LONGEST

    def _cut(self, begin: int, length: int) -> Stretch:
        """The next packages, which are taken from the rest."""
        rest = self._rest
        if self._rising:
            window = rest.cut(begin, begin + length)
            self._rest = rest.cut(window.high, rest.high)
        else:
            window = rest.cut(begin - length + 1, begin + 1)
            self._rest = rest.cut(rest.low, window.low)
        return window

    def _begin(self, last: int) -> int | None:
        """Where the next window begins; where nothing was found, at the next package: there may be none for years."""
        if not (self._rest.low <= last < self._rest.high):
            return None
        if self._found:
            return self._rest.low if self._rising else self._rest.high - 1
        found: int | None = self._connection.scalar(self._packages(rising=self._rising))
        return found

    def _ends(self) -> tuple[int | None, int | None, int]:
        """The first package of all, the one at which the first window ends, and the last one."""
        if self._rising not in self._met.ends:
            first, last = self._packages(rising=self._rising), self._packages(rising=not self._rising)
            asked = select(*(one.scalar_subquery() for one in (first, first.offset(_FIRST_WINDOW), last)))
            begin, end, at_last = self._connection.execute(asked).one()
            self._met.ends[self._rising] = begin, end, at_last or 0
        return self._met.ends[self._rising]

    def _packages(self, *, rising: bool) -> Select[Any]:
        """The first package of the rest."""
        packages = select(_packages.seq).where(self._rest.has(_packages.seq))
        return packages.order_by(_packages.seq if rising else _packages.seq.desc()).limit(1)
