"""How many of the packages that a search finds have which values. In the transaction of the caller.

Without a question the counts that are kept of all packages are read. Else the packages that match are gone through, up
to a number of them: their rows of codes are summed up at once, and only where some datasets of a package match and
others do not is it looked at which of them have a value.
"""

from __future__ import annotations

import heapq
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, func, select

from diadem.catalogue import tables
from diadem.catalogue.conditions import Conditions
from diadem.catalogue.database import CHUNK
from diadem.catalogue.dataset_sets import full, mask
from diadem.catalogue.driving import Driver, driver
from diadem.catalogue.expressions import among
from diadem.catalogue.facet_fields import QUALITIES, QUALITY, FacetField
from diadem.catalogue.facet_results import Facet, FacetValue
from diadem.catalogue.faceting import FIELD_BITS, packed, unpacked, values_of
from diadem.catalogue.judgements import Judged, Unjudged, judgement
from diadem.catalogue.judging import differs, doubtful, leaves
from diadem.catalogue.matching import found_among, matching, sizes_of
from diadem.catalogue.meaning import NOTHING, AllOf, Condition, one_judgement
from diadem.catalogue.packages import count
from diadem.catalogue.walking import walk

if TYPE_CHECKING:
    import numpy

#: Packages that are counted at most: where all their datasets match; where each is looked at; and by a field that is
#: not kept for counting.
MOST, MOST_LOOKED_AT, MOST_UNKEPT = 20_000, 2_000, 2_000
#: Candidates that are looked at for these.
_CANDIDATES: Final = 10_000
#: And in one go.
_TOGETHER: Final = 1_000
_packages, _values, _rows = tables.packages.c, tables.facet_values.c, tables.facet_rows.c
_FIELD: Final = (1 << FIELD_BITS) - 1


@dataclass(slots=True)
class Tally:
    """Counts of one value: packages, datasets, and packages that have it in a field that is listed."""

    packages: int = 0
    datasets: int = 0
    listed: int = 0

    def add(self, datasets: int, *, listed: bool) -> None:
        """Count one more package."""
        self.packages += 1
        self.datasets += datasets
        self.listed += listed


@dataclass(slots=True)
class _Found:
    """Packages that match: how many datasets each has, and which of them match; whether these are all."""

    sizes: dict[int, int]
    bits: dict[int, int] = field(default_factory=dict)
    exact: bool = True

    def partly(self) -> dict[int, int]:
        """Those of which not all datasets match."""
        return {key: bits for key, bits in self.bits.items() if bits != full(self.sizes[key])}


def count_values(
    connection: Connection, conditions: Conditions, condition: Condition, fields: Sequence[FacetField], top: int
) -> tuple[list[Facet], int, bool]:
    """Facets, how many packages were counted, and whether those are all that match.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    conditions : Conditions
        Conditions as SQL.
    condition : Condition
        What is looked for.
    fields : sequence of FacetField
        What is counted by.
    top : int
        Values of each field at most.
    """
    kept = all(one.number for one in fields)
    if condition == AllOf(()) and kept:
        return [_of_all(connection, one, top) for one in fields], count(connection), True
    found = _found(connection, conditions, condition, kept=kept)
    counted = _sum(connection, found)
    if any(isinstance(leaf, Judged | Unjudged) for leaf in leaves(condition)):
        counted |= _qualities(connection, conditions, condition, found, fields)
    named = _facets(connection, [one for one in fields if one.number], counted, top)
    facets = [named[one] if one in named else _unkept(connection, one, found, top) for one in fields]
    return facets, len(found.sizes), found.exact


def _of_all(connection: Connection, one: FacetField, top: int) -> Facet:
    """The counts that are kept of all packages."""
    rule = (_values.facet == one.number, _values.packages > 0, _values.listed > 0)
    rows = select(_values.name, _values.text, _values.packages, _values.datasets).where(*rule)
    first = connection.execute(rows.order_by(_values.packages.desc(), _values.name).limit(top)).all()
    all_ = len(first) if len(first) < top else int(connection.scalar(select(func.count()).where(*rule)) or 0)
    return _made(one, [(row.name, row.text, Tally(row.packages, row.datasets)) for row in first], all_)


def _made(one: FacetField, rows: Iterable[tuple[str, str, Tally]], all_: int) -> Facet:
    values = tuple(_value(one, name, text, tally) for name, text, tally in rows)
    return Facet(one.name, values, all_ - len(values), one.of_datasets)


def _value(one: FacetField, name: str, text: str, tally: Tally) -> FacetValue:
    value = name if one.kind == "number" else text
    return FacetValue(one.shown(value), tally.packages, tally.datasets, one.term(value))


def _found(connection: Connection, conditions: Conditions, condition: Condition, *, kept: bool) -> _Found:
    """The newest packages that match."""
    most = MOST if not differs(condition) else MOST_LOOKED_AT
    most = most if kept else min(most, MOST_UNKEPT)
    source = driver(connection, conditions, condition)
    if not _is_certain(condition, source):
        return _looked_at(connection, conditions, condition, source, most)
    keys = source.keys(connection, most + 1)
    found = _Found({}, exact=len(keys) <= most)
    for start in range(0, len(keys[:most]), CHUNK):
        sizes = sizes_of(connection, keys[start : min(start + CHUNK, most)])
        found.sizes |= sizes
        if differs(condition):
            found.bits |= matching(connection, conditions, condition, sizes)
    return found


def _looked_at(
    connection: Connection, conditions: Conditions, condition: Condition, source: Driver, most: int
) -> _Found:
    """The newest packages that match, where candidates may not."""
    found, sizes = _Found({}), dict[int, int]()
    weigher = partial(_Datasets, sizes)
    candidates = walk(connection, conditions, condition, source, rising=False, weigher=weigher)
    for seen, (key, bits) in enumerate(candidates):
        if len(found.bits) == most or seen == _CANDIDATES:
            found.exact = False
            break
        if bits:
            found.bits[key] = bits
    found.sizes = {key: sizes[key] for key in found.bits}
    return found


class _Datasets:
    """Says of candidates which datasets match: who counts must know that anyhow. It notes how many each has."""

    most = _TOGETHER

    def __init__(self, sizes: dict[int, int], conditions: Conditions, condition: Condition, _: Driver) -> None:
        self._sizes, self._conditions, self._condition = sizes, conditions, condition

    def verdicts(self, connection: Connection, keys: Sequence[int]) -> dict[int, int]:
        """By candidate, as bits."""
        sizes, bits = found_among(connection, self._conditions, self._condition, keys)
        self._sizes.update(sizes)
        return dict.fromkeys(keys, 0) | bits


def _is_certain(condition: Condition, source: Driver) -> bool:
    """Whether every candidate matches."""
    parts = condition.parts if isinstance(condition, AllOf) else (condition,)
    return not doubtful(condition) and all(part in source.covered for part in parts)


def _sum(connection: Connection, found: _Found) -> dict[int, dict[int, Tally]]:
    """Counts by number of the field and code."""
    import numpy

    partly = found.partly()
    pairs = [*_pairs(connection, [key for key in found.sizes if key not in partly]), *_parted(connection, partly)]
    counted: dict[int, dict[int, Tally]] = defaultdict(dict)
    for code, tally in _summed(numpy.frombuffer(b"".join(pairs), dtype="<u4").reshape(-1, 2)):
        counted[code & _FIELD][code] = tally
    return counted


def _pairs(connection: Connection, keys: Sequence[int]) -> Iterable[bytes]:
    """What is kept of packages of which all datasets match."""
    return connection.scalars(select(_rows.codes).where(among(_rows.package, keys))) if keys else ()


def _parted(connection: Connection, partly: Mapping[int, int]) -> Iterator[bytes]:
    """The same of packages of which some datasets match: the values that these have, and how many have each."""
    for start in range(0, len(partly), CHUNK):
        keys = list(partly)[start : start + CHUNK]
        rows = select(_rows.package, _rows.codes, _rows.parts).where(among(_rows.package, keys))
        for package, codes, parts in connection.execute(rows):
            yield packed(_part(partly[package], unpacked(codes), json.loads(parts) if parts else {}))


def _part(
    bits: int, codes: Iterable[tuple[int, int, bool]], parts: Mapping[str, str]
) -> Iterator[tuple[int, int, bool]]:
    """What a package counts for with some of its datasets."""
    known = {int(code): bits & mask(spans) for code, spans in parts.items()}
    for code, _, listed in codes:
        if some := known.get(code, bits):
            yield code, (some & ~1).bit_count(), listed


def _summed(pairs: numpy.ndarray[Any, Any]) -> list[tuple[int, Tally]]:
    """Counts by code, of all that is kept of packages."""
    import numpy

    codes, both = pairs[:, 0], pairs[:, 1]
    serial = codes >> FIELD_BITS
    field_of = numpy.zeros(int(serial.max()) + 1 if serial.size else 0, dtype=numpy.int64)
    field_of[serial] = codes & _FIELD
    counts = [numpy.bincount(serial, weights) for weights in (None, both >> 1, both & 1)]
    there = numpy.flatnonzero(counts[0])
    numbers = (there << FIELD_BITS) | field_of[there]
    columns = [numbers.tolist(), *(counted[there].tolist() for counted in counts)]
    return [(code, Tally(*map(int, tally))) for code, *tally in zip(*columns, strict=True)]


def _facets(
    connection: Connection, fields: Sequence[FacetField], counted: Mapping[int, Mapping[int, Tally]], top: int
) -> dict[FacetField, Facet]:
    """The most frequent values of fields; of equally frequent ones the first by name."""
    listed = {
        one: {code: tally for code, tally in counted.get(one.number, {}).items() if tally.listed} for one in fields
    }
    first = {one: _most_frequent(tallies, top) for one, tallies in listed.items()}
    codes = [code for codes in first.values() for code in codes]
    asked = select(_values.code, _values.name, _values.text).where(among(_values.code, codes))
    names = {code: (name, text) for code, name, text in connection.execute(asked)}
    rows = {one: [(*names[code], listed[one][code]) for code in codes] for one, codes in first.items()}
    return {one: _made(one, sorted(own, key=_ranked)[:top], len(listed[one])) for one, own in rows.items()}


def _most_frequent(tallies: Mapping[int, Tally], top: int) -> list[int]:
    """The most frequent values, and all that are as frequent as the last of them."""
    most = heapq.nlargest(top, (tally.packages for tally in tallies.values()))
    return [code for code, tally in tallies.items() if tally.packages >= most[-1]] if most else []


def _ranked(row: tuple[str, str, Tally]) -> tuple[int, str]:
    return -row[2].packages, row[0]


def _unkept(connection: Connection, one: FacetField, found: _Found, top: int) -> Facet:
    """Values of a field that is not kept for counting, from the facts of each package."""
    tallies: dict[str, Tally] = {}
    texts: dict[str, str] = {}
    keys = list(found.sizes)
    for start in range(0, len(keys), CHUNK):
        sizes = {key: found.sizes[key] for key in keys[start : start + CHUNK]}
        for package, values in values_of(connection, [one], sizes).items():
            for (_, name), value in values.items():
                bits = value.bits & found.bits.get(package, full(sizes[package]))
                if bits:
                    texts.setdefault(name, value.text)
                    tallies.setdefault(name, Tally()).add((bits & ~1).bit_count(), listed=value.listed)
    rows = [(name, texts[name], tally) for name, tally in tallies.items() if tally.listed]
    return _made(one, sorted(rows, key=_ranked)[:top], len(rows))


def _qualities(
    connection: Connection,
    conditions: Conditions,
    condition: Condition,
    found: _Found,
    fields: Sequence[FacetField],
) -> dict[int, dict[int, Tally]]:
    """Qualities, where the search asks for judgements already: the same judgement must say both."""
    one = next((field for field in fields if field.kind == QUALITY), None)
    if one is None:
        return {}
    codes = select(_values.name, _values.code).where(_values.facet == one.number, _values.name.in_(QUALITIES))
    known = {name: int(code) for name, code in connection.execute(codes)}
    tallies: dict[int, Tally] = {}
    for name, code in known.items():
        narrowed = one_judgement([condition, judgement(QUALITY, name)])
        if narrowed == NOTHING:
            continue
        tally = _counted(connection, conditions, narrowed, found.sizes)
        if tally.packages:
            tallies[code] = tally
    return {one.number: tallies}


def _counted(connection: Connection, conditions: Conditions, condition: Condition, sizes: Mapping[int, int]) -> Tally:
    """How many of some packages match."""
    tally, keys = Tally(), list(sizes)
    for start in range(0, len(keys), CHUNK):
        part = {key: sizes[key] for key in keys[start : start + CHUNK]}
        for bits in matching(connection, conditions, condition, part).values():
            if bits:
                tally.add((bits & ~1).bit_count(), listed=True)
    return tally
