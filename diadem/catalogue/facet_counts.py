"""Counts of values: kept of all packages, and summed up over those that a search finds. In the caller's transaction.

A package has one row with the codes of its values, and each value a count of the packages that have it. Both are made
anew, from the facts, copies and judgements that stand in the catalogue, at the end of each transaction in which one of
these has changed. Of packages that a search finds these rows are summed up at once; only where some datasets of a
package match and others do not is it looked at which of them have a value.
"""

from __future__ import annotations

import heapq
import json
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Table, bindparam, delete, exists, func, select, update

from diadem.catalogue import database, tables
from diadem.catalogue.database import CHUNK
from diadem.catalogue.dataset_sets import bits_of, full, mask, mask_text
from diadem.catalogue.facets import (
    DISPUTED,
    QUALITY,
    STORE,
    UNJUDGED,
    YEAR,
    Facet,
    FacetField,
    FacetValue,
    kept_fields,
    name_of,
)
from diadem.catalogue.fact_rows import facts_of, last_days
from diadem.catalogue.tables import among, among_texts
from diadem.model.replicas import PRESENT

#: Years of a session that are counted: where it is more, a clock was wrong.
_LONGEST_SESSION: Final = 50
#: Bits of a code that are the number of its field.
_FIELD_BITS: Final = 5
_FIELD: Final = (1 << _FIELD_BITS) - 1
#: Where a connection keeps the packages that were touched in its transaction.
_TOUCHED: Final = "facets_touched"
_PAIR: Final = struct.Struct("<II")
_packages, _values, _rows = tables.packages.c, tables.facet_values.c, tables.facet_rows.c


@dataclass(slots=True)
class _Value:
    """A value of one package: as it is written, the datasets that have it as bits, and whether it is listed."""

    text: str
    bits: int
    listed: bool


#: Values of packages: by package, field and name.
_Values = dict[int, dict[tuple[FacetField, str], _Value]]


def touch(connection: Connection, keys: Iterable[int]) -> None:
    """Note that the values of some packages may have changed: they are made anew before the transaction ends."""
    connection.info.setdefault(_TOUCHED, set()).update(keys)


def settle(connection: Connection) -> None:
    """Make the values of all packages that were touched anew, many at once, for that costs a tenth of one by one."""
    keys = sorted(connection.info.pop(_TOUCHED, ()))
    for some in database.chunks(keys):
        _restate(connection, some)


def abandon(connection: Connection) -> None:
    """Forget what was touched: the transaction has come to nothing."""
    connection.info.pop(_TOUCHED, None)


def fill(connection: Connection) -> None:
    """Make the values of all packages that have none yet: those that were entered without."""
    last = -1
    while True:
        missing = select(_packages.seq).where(
            _packages.seq > last, _packages.tombstone.is_(None), ~exists().where(_rows.package == _packages.seq)
        )
        keys = list(connection.scalars(missing.order_by(_packages.seq).limit(CHUNK)))
        if not keys:
            return
        _restate(connection, keys)
        last = keys[-1]


def _restate(connection: Connection, keys: Sequence[int]) -> None:
    """Make the values of some packages anew, and the counts with them; those that were deleted count no more."""
    alive = select(_packages.seq, _packages.datasets).where(among(_packages.seq, keys), tables.alive())
    every = {key: full(size) for key, size in connection.execute(alive)}
    values = _facet_values(connection, list(kept_fields().values()), every)
    codes = _codes(connection, values)
    new: dict[int, dict[int, tuple[int, bool]]] = {}
    rows: list[tuple[int, bytes, str]] = []
    for key, all_of_it in every.items():
        own = sorted((codes[field.number, name], value) for (field, name), value in values[key].items())
        new[key] = {code: (_datasets(value.bits), value.listed) for code, value in own}
        parts = {str(code): mask_text(value.bits) for code, value in own if value.bits != all_of_it}
        rows.append((key, _packed((code, *of) for code, of in new[key].items()), json.dumps(parts) if parts else ""))
    until_now = select(_rows.package, _rows.codes).where(among(_rows.package, keys))
    known = {
        package: {code: (datasets, listed) for code, datasets, listed in _unpacked(packed)}
        for package, packed in connection.execute(until_now)
    }
    _count(connection, known, new)
    connection.execute(delete(tables.facet_rows).where(among(_rows.package, keys)))
    database.insert_rows(connection, tables.facet_rows, rows)


def _datasets(bits: int) -> int:
    """How many datasets; bit 0 is that of a package without any."""
    return (bits & ~1).bit_count()


def _packed(values: Iterable[tuple[int, int, bool]]) -> bytes:
    """Codes of values, each with its datasets and whether it is listed, as bytes."""
    return b"".join(_PAIR.pack(code, datasets << 1 | listed) for code, datasets, listed in values)


def _unpacked(data: bytes) -> Iterator[tuple[int, int, bool]]:
    """The same back."""
    return ((code, both >> 1, bool(both & 1)) for code, both in _PAIR.iter_unpack(data))


def _facet_values(connection: Connection, fields: Sequence[FacetField], every: Mapping[int, int]) -> _Values:
    """Values of some packages, which are given with all their datasets; each with the datasets that have it."""
    found: _Values = {key: {} for key in every}
    for key, field, name, text, bits, listed in _stated(connection, fields, every):
        value = found[key].setdefault((field, name), _Value(text, 0, listed=False))
        value.bits |= bits
        value.listed |= listed
    return found


_Stated = tuple[int, FacetField, str, str, int, bool]


def _stated(connection: Connection, fields: Sequence[FacetField], every: Mapping[int, int]) -> Iterator[_Stated]:
    for kind, table in (("text", tables.phrases), ("number", tables.numbers)):
        if own := [field for field in fields if field.kind == kind]:
            yield from _of_facts(connection, own, every, table)
    for kind, told in ((YEAR, _of_years), (STORE, _of_stores), (QUALITY, _of_judgements)):
        for field in fields:
            if field.kind == kind:
                yield from ((key, field, name, name, bits, True) for key, name, bits in told(connection, every))


def _of_facts(
    connection: Connection, fields: Sequence[FacetField], every: Mapping[int, int], table: Table
) -> Iterator[_Stated]:
    """Values that records state."""
    of: dict[str, list[FacetField]] = defaultdict(list)
    for field in fields:
        for key in field.keys:
            of[key].append(field)
    for package, key, stated, bits in facts_of(connection, table, sorted(of), every):
        if name := name_of(stated):
            text = stated if isinstance(stated, str) else name
            for field in of[key]:
                yield package, field, name, text, bits, key in field.listed


def _of_years(connection: Connection, every: Mapping[int, int]) -> Iterator[tuple[int, str, int]]:
    """Every year in which a session was, from its first day to its last."""
    ends = last_days(connection, every)
    dated = (among(_packages.seq, list(every)), func.coalesce(_packages.date, "") != "")
    for package, date in connection.execute(select(_packages.seq, _packages.date).where(*dated)):
        first = int(date[:4])
        last = ends[package].year if package in ends else first
        for year in range(first, min(max(first, last), first + _LONGEST_SESSION) + 1):
            yield package, f"{year:04}", every[package]


def _of_stores(connection: Connection, every: Mapping[int, int]) -> Iterator[tuple[int, str, int]]:
    columns = tables.replicas.c
    rows = select(columns.package, columns.store).where(among(columns.package, list(every)), columns.state == PRESENT)
    for package, store in connection.execute(rows):
        yield package, store, every[package]


def _of_judgements(connection: Connection, every: Mapping[int, int]) -> Iterator[tuple[int, str, int]]:
    """Verdicts that count, whether they are disputed, and what nobody has judged."""
    said, open_ = tables.assessments.c, tables.unassessed.c
    rows = select(said.package, said.verdict, said.disputed, said.everywhere, said.datasets)
    for package, verdict, disputed, everywhere, datasets in connection.execute(
        rows.where(among(said.package, list(every)))
    ):
        for text in (verdict, DISPUTED) if disputed else (verdict,):
            yield package, text, bits_of(everywhere, datasets, every[package])
    others = select(open_.package, open_.everywhere, open_.datasets).where(among(open_.package, list(every)))
    for package, everywhere, datasets in connection.execute(others):
        yield package, UNJUDGED, bits_of(everywhere, datasets, every[package])


def _codes(connection: Connection, values: _Values) -> dict[tuple[int, str], int]:
    """The code of every value by number of the field and name, new ones added."""
    texts = {(field.number, name): value.text for own in values.values() for (field, name), value in own.items()}
    rows = select(_values.facet, _values.name, _values.code).where(
        _values.facet.in_(sorted({facet for facet, _ in texts})),
        among_texts(_values.name, sorted({name for _, name in texts})),
    )
    known = {(facet, name): int(code) for facet, name, code in connection.execute(rows)}
    new = sorted(texts.keys() - known.keys())
    if new:
        serial = int(connection.scalar(select(func.max(_values.code))) or 0) >> _FIELD_BITS
        for at, (facet, name) in enumerate(new, serial + 1):
            known[facet, name] = at << _FIELD_BITS | facet
        made = ((known[one], *one, texts[one], 0, 0, 0) for one in new)
        database.insert_rows(connection, tables.facet_values, made)
    return known


def _count(
    connection: Connection,
    before: Mapping[int, Mapping[int, tuple[int, bool]]],
    after: Mapping[int, Mapping[int, tuple[int, bool]]],
) -> None:
    """Add to the counts of values what has changed."""
    changed: dict[int, Counter[str]] = defaultdict(Counter)
    for sign, packages in ((-1, before), (1, after)):
        for values in packages.values():
            for code, (datasets, listed) in values.items():
                changed[code].update({"packages": sign, "datasets": sign * datasets, "listed": sign * listed})
    # In the order of the codes, so that two who write at the same time wait for one another, and not in a ring.
    rows = [
        {"value_code": code, **{f"more_{name}": number for name, number in counts.items()}}
        for code, counts in sorted(changed.items())
        if any(counts.values())
    ]
    if rows:
        connection.execute(_counting, rows)


_counting = (
    update(tables.facet_values)
    .where(_values.code == bindparam("value_code"))
    .values({name: _values[name] + bindparam(f"more_{name}") for name in ("packages", "datasets", "listed")})
)


@dataclass(slots=True)
class ValueCount:
    """Counts of one value: packages, datasets, and packages that have it in a field that is listed."""

    packages: int = 0
    datasets: int = 0
    listed: int = 0

    def add(self, bits: int, *, listed: bool) -> None:
        """Count one more package, with some of its datasets."""
        self.packages += 1
        self.datasets += _datasets(bits)
        self.listed += listed


def kept_facet(connection: Connection, one: FacetField, top: int) -> Facet:
    """The counts that are kept of all packages."""
    rule = (_values.facet == one.number, _values.packages > 0, _values.listed > 0)
    rows = select(_values.name, _values.text, _values.packages, _values.datasets).where(*rule)
    first = connection.execute(rows.order_by(_values.packages.desc(), _values.name).limit(top)).all()
    all_ = len(first) if len(first) < top else int(connection.scalar(select(func.count()).where(*rule)) or 0)
    return _facet(one, [(row.name, row.text, ValueCount(row.packages, row.datasets)) for row in first], all_)


def facets_of(
    connection: Connection,
    fields: Sequence[FacetField],
    sizes: Mapping[int, int],
    bits: Mapping[int, int],
    top: int,
    instead: Mapping[str, Mapping[str, ValueCount]],
) -> list[Facet]:
    """The most frequent values of fields in some packages, which come with how many datasets each has.

    Of packages in `bits` only these datasets are counted. `instead` are counts that are known already, by field and
    name.
    """
    counted = _sum(connection, sizes, bits)
    for one in fields:
        if one.name in instead:
            rows = select(_values.name, _values.code).where(
                _values.facet == one.number, _values.name.in_(instead[one.name])
            )
            counted[one.number] = {int(code): instead[one.name][name] for name, code in connection.execute(rows)}
    named = _facets(connection, [one for one in fields if one.number], counted, top)
    return [named[one] if one in named else _unkept(connection, one, sizes, bits, top) for one in fields]


def _facet(one: FacetField, rows: Iterable[tuple[str, str, ValueCount]], all_: int) -> Facet:
    values = []
    for name, text, tally in rows:
        value = name if one.kind == "number" else text
        values.append(FacetValue(one.shown(value), tally.packages, tally.datasets, one.term(value)))
    return Facet(one.name, tuple(values), all_ - len(values), one.of_datasets)


def _sum(connection: Connection, sizes: Mapping[int, int], bits: Mapping[int, int]) -> dict[int, dict[int, ValueCount]]:
    """Counts by number of the field and code."""
    import numpy

    partly = {key: some for key, some in bits.items() if some != full(sizes[key])}
    whole = [key for key in sizes if key not in partly]
    rows = select(_rows.codes).where(among(_rows.package, whole))
    pairs = [*(connection.scalars(rows) if whole else ()), *_parted(connection, partly)]
    both_of = numpy.frombuffer(b"".join(pairs), dtype="<u4").reshape(-1, 2)
    codes, both = both_of[:, 0], both_of[:, 1]
    serial = codes >> _FIELD_BITS
    field_of = numpy.zeros(int(serial.max()) + 1 if serial.size else 0, dtype=numpy.int64)
    field_of[serial] = codes & _FIELD
    counts = [numpy.bincount(serial, weights) for weights in (None, both >> 1, both & 1)]
    there = numpy.flatnonzero(counts[0])
    numbers = (there << _FIELD_BITS) | field_of[there]
    counted: dict[int, dict[int, ValueCount]] = defaultdict(dict)
    for code, *tally in zip(numbers.tolist(), *(one[there].tolist() for one in counts), strict=True):
        counted[code & _FIELD][code] = ValueCount(*map(int, tally))
    return counted


def _parted(connection: Connection, partly: Mapping[int, int]) -> Iterator[bytes]:
    """What is kept of packages of which some datasets match: the values that these have, and how many have each."""
    for keys in database.chunks(partly):
        rows = select(_rows.package, _rows.codes, _rows.parts).where(among(_rows.package, keys))
        for package, codes, parts in connection.execute(rows):
            bits = partly[package]
            known = {int(code): bits & mask(runs) for code, runs in json.loads(parts or "{}").items()}
            own = ((code, known.get(code, bits), listed) for code, _, listed in _unpacked(codes))
            yield _packed((code, _datasets(some), listed) for code, some, listed in own if some)


def _facets(
    connection: Connection, fields: Sequence[FacetField], counted: Mapping[int, Mapping[int, ValueCount]], top: int
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
    return {one: _facet(one, sorted(own, key=_ranked)[:top], len(listed[one])) for one, own in rows.items()}


def _most_frequent(tallies: Mapping[int, ValueCount], top: int) -> list[int]:
    """The most frequent values, and all that are as frequent as the last of them."""
    most = heapq.nlargest(top, (tally.packages for tally in tallies.values()))
    return [code for code, tally in tallies.items() if tally.packages >= most[-1]] if most else []


def _ranked(row: tuple[str, str, ValueCount]) -> tuple[int, str]:
    return -row[2].packages, row[0]


def _unkept(
    connection: Connection, one: FacetField, sizes: Mapping[int, int], bits: Mapping[int, int], top: int
) -> Facet:
    """Values of a field that is not kept for counting, from the facts of each package."""
    tallies: dict[str, ValueCount] = {}
    texts: dict[str, str] = {}
    for keys in database.chunks(sizes):
        every = {key: full(sizes[key]) for key in keys}
        for package, values in _facet_values(connection, [one], every).items():
            for (_, name), value in values.items():
                if own := value.bits & bits.get(package, every[package]):
                    texts.setdefault(name, value.text)
                    tallies.setdefault(name, ValueCount()).add(own, listed=value.listed)
    rows = [(name, texts[name], tally) for name, tally in tallies.items() if tally.listed]
    return _facet(one, sorted(rows, key=_ranked)[:top], len(rows))
