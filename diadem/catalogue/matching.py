"""Whether candidates match, and which of their datasets.

Of a single condition it is known whether *no* dataset of a package fulfils it, *some* do, or *every* one does. Of two
that hold for some, nobody knows yet whether one dataset fulfils both: such a package is in doubt, and is looked at
dataset by dataset, by the sets of datasets that the facts name. Most are not.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import groupby, islice
from operator import or_
from typing import Any, Final

from sqlalchemy import Connection, select

from diadem.catalogue import tables
from diadem.catalogue.candidates import PAGE, Candidates, candidates_of
from diadem.catalogue.conditions import (
    EVERY,
    NONE,
    SOME,
    AllOf,
    AnyOf,
    Condition,
    Deny,
    FactReader,
    Leaf,
    OfDataset,
    Phrase,
    differs,
    doubtful,
    leaves,
    of_package,
)
from diadem.catalogue.database import CHUNK
from diadem.catalogue.dataset_sets import bits_of, full
from diadem.catalogue.package_key import Stretch
from diadem.catalogue.tables import among
from diadem.catalogue.words import Wording, every, everywhere

#: What is said of a package.
NO, DOUBT, YES = 0, 1, 2
#: Candidates that are looked at in one go: few at first, for a first page and a look beyond it need no more, and then
#: twice as many each time.
_FIRST: Final = 160
_MOST: Final = CHUNK
#: Of fewer it is waited for those of the next window.
_FEWEST: Final = 40
#: Phrases that are worth a look of their own for all of them.
_SEVERAL: Final = 2
#: All datasets, of a package of which it is not known how many it has.
_ANY: Final = -1
_packages = tables.packages.c
_Bits = dict[int, int]
#: Says of candidates whether they match; 0 where they do not, perhaps the datasets that do, as bits.
Verdicts = Callable[[Sequence[int]], Mapping[int, int]]


def walk(
    reader: FactReader,
    condition: Condition,
    source: Candidates,
    *,
    rising: bool,
    verdicts: Callable[[Condition, Candidates], Verdicts] | None = None,
    most: int | None = None,
    enough: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, int]]:
    """Candidates in the order in which they are listed, and whether they match; whoever does not come does not match.

    `verdicts` makes who says so, of a condition and its candidates, by default a `CandidateFilter`, of at most `most`
    candidates in one go. `enough` is asked before candidates are looked for among further packages, where that takes
    long: whether to end here.
    """
    if isinstance(condition, AnyOf) and source.all:
        options: dict[str, Any] = {"rising": rising, "verdicts": verdicts, "most": most, "enough": enough}
        walks = [walk(reader, part, candidates_of(reader, part), **options) for part in condition.parts]
        together = heapq.merge(*walks, key=lambda item: item[0], reverse=not rising)
        for key, found in groupby(together, key=lambda item: item[0]):
            yield key, reduce(or_, (hit for _, hit in found))
        return
    said = verdicts(condition, source) if verdicts else CandidateFilter(reader, condition, source).verdicts
    for keys in _chunks(reader.connection, source, rising=rising, most=most or _MOST, enough=enough):
        found_of = said(keys)
        yield from ((key, found_of[key]) for key in keys)


def _chunks(
    connection: Connection, source: Candidates, *, rising: bool, most: int, enough: Callable[[], bool]
) -> Iterator[Sequence[int]]:
    """Keys of candidates, in order, some at a time."""
    bound, size = None, PAGE if source.sparse else _FIRST
    if not source.ordered:
        kept: list[int] = []
        for number, found in enumerate(source.sorted(connection, rising=rising)):
            if number and enough():
                return
            while len(some := [*kept, *islice(found, size - len(kept))]) >= _FEWEST:
                yield some
                kept, size = [], min(2 * size, most)
            kept = some
        if kept:
            yield kept
        return
    while keys := connection.scalars(source.chunk(bound, size, rising=rising)).all():
        yield keys
        if len(keys) < size or (source.sparse and enough()):
            return
        bound, size = keys[-1], min(2 * size, most)


class CandidateFilter:
    """Says of candidates of one source whether they match, and keeps what it finds out of them."""

    def __init__(self, reader: FactReader, condition: Condition, source: Candidates) -> None:
        self._reader, self._condition, self._source = reader, condition, source
        #: Datasets that match, as bits, by package: of those that had to be looked at dataset by dataset.
        self.datasets: dict[int, int] = {}
        #: How many datasets packages have.
        self.sizes: dict[int, int] = {}
        #: How far single conditions hold in packages.
        self.held: dict[Leaf, dict[int, int]] = {}
        self._leaves = leaves(condition)
        self._certain = condition in source.covered or not self._leaves
        self._doubtful = doubtful(condition)
        # What holds for all candidates is asked again only where it matters in how many datasets. Words are looked up
        # in the index of words where candidates lie close together.
        asked = [leaf for leaf in self._leaves if leaf not in source.covered or (self._doubtful and differs(leaf))]
        close = source.ordered and not source.sparse and reader.database.LOOKS_UP_WORDS
        self._texts = [leaf for leaf in asked if isinstance(leaf, Phrase) and close]
        self._asked = [leaf for leaf in asked if leaf not in self._texts]
        self._held = [reader.held(leaf, SOME if leaf in source.covered else NONE) for leaf in self._asked]
        self._seen: dict[tuple[int, ...], int] = {}

    def verdicts(self, keys: Sequence[int]) -> dict[int, bool]:
        """Whether each of some candidates matches; they stand in the order of their source."""
        if self._certain:
            return dict.fromkeys(keys, True)
        sizes: dict[int, int] = {}
        held: dict[Leaf, dict[int, int]] = {leaf: self._in_texts(leaf, keys) for leaf in self._texts}
        if self._asked:
            asked = select(_packages.seq, _packages.datasets, *self._held).where(among(_packages.seq, keys))
            rows = self._reader.connection.execute(asked).all()
            held |= {leaf: {row[0]: row[at] for row in rows} for at, leaf in enumerate(self._asked, 2)}
            sizes = {row[0]: row[1] for row in rows}
        self.sizes |= sizes
        for leaf, found in held.items():
            self.held.setdefault(leaf, {}).update(found)
        said = {key: self._said(tuple([one[key] for one in held.values()])) for key in keys}
        verdicts = {key: verdict == YES for key, verdict in said.items()}
        if doubted := [key for key, verdict in said.items() if verdict == DOUBT]:
            known = {key: sizes[key] for key in doubted} if sizes else sizes_of(self._reader.connection, doubted)
            bits_of = matching(self._reader, self._condition, known, held)
            self.datasets |= bits_of
            verdicts |= {key: bits != 0 for key, bits in bits_of.items()}
        return verdicts

    def _in_texts(self, leaf: Phrase, keys: Sequence[int]) -> dict[int, int]:
        """How far a phrase holds."""
        text = self._reader.text(leaf)
        some = keys if leaf in self._source.covered else self._found(text, keys)
        all_of = self._found(everywhere(text), keys) if self._doubtful else ()
        return dict.fromkeys(keys, NONE) | dict.fromkeys(some, SOME) | dict.fromkeys(all_of, EVERY)

    def _found(self, text: Wording, keys: Sequence[int]) -> set[int]:
        """Candidates whose texts fulfil a wording."""
        match = every([self._source.match, text]) if self._source.match else text
        hits = self._reader.database.text_search(match, Stretch(min(keys), max(keys) + 1))
        return set(self._reader.connection.scalars(hits.source, dict(hits.values))).intersection(keys)

    def _said(self, held: tuple[int, ...]) -> int:
        """What follows of how far conditions hold; there are few different cases."""
        if held not in self._seen:
            known = {leaf: SOME if differs(leaf) else EVERY for leaf in self._leaves}
            known |= dict(zip((*self._texts, *self._asked), held, strict=True))
            self._seen[held] = _extent(self._condition, known)[0]
        return self._seen[held]


def _extent(condition: Condition, held: Mapping[Leaf, int]) -> tuple[int, bool]:
    """Whether some dataset fulfils a condition (`NO`, `DOUBT` or `YES`), and whether every one certainly does.

    Never in doubt where a package has one dataset, in which `SOME` are all.
    """
    if isinstance(condition, Deny):
        # Where some datasets state it there may still be others that state it with another value.
        far = held[condition.part]
        return {NONE: YES, SOME: DOUBT, EVERY: NO}[far], far == NONE
    if not isinstance(condition, AllOf | AnyOf):
        return YES if held[condition] else NO, held[condition] == EVERY
    parts = [_extent(part, held) for part in condition.parts]
    if isinstance(condition, AnyOf):
        return max(some for some, _ in parts), any(all_ for _, all_ in parts)
    partly = [some for some, all_ in parts if not all_]  # certain where all but one hold in every dataset
    if not partly:
        return YES, True
    least = min(partly)
    return least if len(partly) == 1 or least == NO else DOUBT, False


def sizes_of(connection: Connection, keys: Sequence[int]) -> dict[int, int]:
    """How many datasets each of some packages has."""
    rows = connection.execute(select(_packages.seq, _packages.datasets).where(among(_packages.seq, keys)))
    return dict(rows.all())


def matching(
    reader: FactReader,
    condition: Condition,
    sizes: Mapping[int, int],
    held: Mapping[Leaf, Mapping[int, int]] | None = None,
) -> _Bits:
    """Datasets of each package that match, as bits; 0 for none.

    The packages, not more than fit into one question, come with how many datasets each has; `held` is how far single
    conditions hold in them, as far as that is known.
    """
    return _Match(reader, held or {}).of(condition, {key: full(size) for key, size in sizes.items()})


def found_among(reader: FactReader, condition: Condition, keys: Sequence[int]) -> tuple[dict[int, int], _Bits]:
    """Packages that match: how many datasets each has, and those that match. Of the others it is not looked up."""
    found = _Match(reader, {}).of(condition, dict.fromkeys(keys, _ANY))
    sizes = sizes_of(reader.connection, [key for key, bits in found.items() if bits])
    bits = {key: found[key] & full(size) for key, size in sizes.items()}
    return sizes, {key: some for key, some in bits.items() if some}


class _Match:
    """Looks at packages dataset by dataset; asks for single conditions only where it is not known how far they hold."""

    def __init__(self, reader: FactReader, held: Mapping[Leaf, Mapping[int, int]]) -> None:
        self._reader, self._held = reader, held

    def of(self, condition: Condition, everything: _Bits) -> _Bits:
        """Datasets that match; a package is asked about no further once it is decided."""
        if isinstance(condition, AllOf):
            found, rest = self._phrases(condition.parts, everything)
            for part in rest:
                own = self.of(part, {key: everything[key] for key, value in found.items() if value})
                found |= {key: found[key] & value for key, value in own.items()}
            return found
        if isinstance(condition, AnyOf):
            found = dict.fromkeys(everything, 0)
            for part in condition.parts:
                open_ = {key: everything[key] for key, value in found.items() if value != everything[key]}
                found |= {key: found[key] | value for key, value in self.of(part, open_).items()}
            return found
        if isinstance(condition, Deny):
            denied = self._leaf(condition.part, everything)
            return {key: value & ~denied[key] for key, value in everything.items()}
        return self._leaf(condition, everything)

    def _phrases(self, parts: Sequence[Condition], everything: _Bits) -> tuple[_Bits, Sequence[Condition]]:
        """Datasets that fulfil all phrases of which something is not known, in one look; and the parts that remain."""
        open_ = [
            part
            for part in parts
            if isinstance(part, Phrase) and any(self._held.get(part, {}).get(key, SOME) == SOME for key in everything)
        ]
        if len(open_) < _SEVERAL or not everything:
            return dict(everything), parts
        found = dict.fromkeys(everything, 0)
        for package, *said in self._reader.connection.execute(self._reader.stating_all(open_, list(everything))):
            bits = everything[package]
            for all_, datasets in zip(said[::2], said[1::2], strict=True):
                bits &= bits_of(all_, datasets, everything[package])
            found[package] = bits
        return found, [part for part in parts if part not in open_]

    def _leaf(self, leaf: Leaf, everything: _Bits) -> _Bits:
        """Datasets that fulfil a single condition."""
        held, connection = self._held.get(leaf, {}), self._reader.connection
        found = {key: everything[key] if held[key] == EVERY else 0 for key in everything if held.get(key, SOME) != SOME}
        asked = [key for key in everything if key not in found]
        found |= dict.fromkeys(asked, 0)
        if not asked:
            return found
        if isinstance(leaf, OfDataset):
            for package, all_, datasets in connection.execute(self._reader.stating(leaf, asked)).all():
                found[package] = bits_of(all_, datasets, everything[package])
        else:
            rows = select(_packages.seq).where(among(_packages.seq, asked), of_package(leaf))
            found |= {key: everything[key] for key in connection.scalars(rows)}
        return found
