"""The values by which results are counted, kept for each package. In the transaction of the caller.

A package has one row with the codes of its values, and each value a count of the packages that have it. Both are made
anew, from the facts, copies and judgements that stand in the catalogue, at the end of each transaction in which one of
these has changed.
"""

from __future__ import annotations

import json
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, exists, func, select, update

from diadem.catalogue import database as dialects
from diadem.catalogue import tables
from diadem.catalogue.dataset_sets import full, mask, written
from diadem.catalogue.expressions import among, among_texts
from diadem.catalogue.facet_fields import DISPUTED, UNJUDGED, FacetField, kept_fields, name_of
from diadem.catalogue.facts import SESSION_END, day_of
from diadem.model.replicas import PRESENT

#: Packages in one go.
_TOGETHER: Final = 500
#: Years of a session that are counted: where it is more, a clock was wrong.
_LONGEST_SESSION: Final = 50
#: Bits of a code that are the number of its field.
FIELD_BITS: Final = 5
#: Where a connection keeps the packages that were touched in its transaction.
_TOUCHED: Final = "facets_touched"
_PAIR: Final = struct.Struct("<II")
_packages, _values, _rows = tables.packages.c, tables.facet_values.c, tables.facet_rows.c


@dataclass(slots=True)
class Value:
    """A value of one package: as it is written, the datasets that have it as bits, and whether it is listed."""

    text: str
    bits: int
    listed: bool


#: Values of packages: by package, field and name.
Values = dict[int, dict[tuple[FacetField, str], Value]]


def touch(connection: Connection, keys: Iterable[int]) -> None:
    """Note that the values of some packages may have changed: they are made anew before the transaction ends."""
    connection.info.setdefault(_TOUCHED, set()).update(keys)


def settle(connection: Connection) -> None:
    """Make the values of all packages that were touched anew, many at once, for that costs a tenth of one by one."""
    restate(connection, sorted(connection.info.pop(_TOUCHED, ())))


def abandon(connection: Connection) -> None:
    """Forget what was touched: the transaction has come to nothing."""
    connection.info.pop(_TOUCHED, None)


def restate(connection: Connection, keys: Sequence[int]) -> None:
    """Make the values of some packages anew, and the counts with them; those that were deleted count no more."""
    for start in range(0, len(keys), _TOGETHER):
        _restate(connection, keys[start : start + _TOGETHER])


def fill(connection: Connection) -> None:
    """Make the values of all packages that have none yet: those of a catalogue of an earlier version."""
    last = -1
    while True:
        missing = select(_packages.seq).where(
            _packages.seq > last, _packages.tombstone.is_(None), ~exists().where(_rows.package == _packages.seq)
        )
        keys = list(connection.scalars(missing.order_by(_packages.seq).limit(_TOGETHER)))
        if not keys:
            return
        _restate(connection, keys)
        last = keys[-1]


def _restate(connection: Connection, keys: Sequence[int]) -> None:
    sizes = _sizes(connection, keys)
    values = values_of(connection, kept_fields().values(), sizes)
    codes = _codes(connection, values)
    new: dict[int, dict[int, tuple[int, bool]]] = {}
    rows: list[tuple[int, bytes, str]] = []
    for key, size in sizes.items():
        own = sorted((codes[field.number, name], value) for (field, name), value in values[key].items())
        new[key] = {code: (_of_datasets(value.bits), value.listed) for code, value in own}
        parts = {str(code): written(value.bits) for code, value in own if value.bits != full(size)}
        rows.append((key, packed((code, *of) for code, of in new[key].items()), json.dumps(parts) if parts else ""))
    _count(connection, _known(connection, keys), new)
    connection.execute(delete(tables.facet_rows).where(among(_rows.package, keys)))
    dialects.insert_rows(connection, tables.facet_rows, rows)


def _of_datasets(bits: int) -> int:
    """How many datasets; bit 0 is that of a package without any."""
    return (bits & ~1).bit_count()


def packed(values: Iterable[tuple[int, int, bool]]) -> bytes:
    """Codes of values, each with its datasets and whether it is listed, as bytes."""
    return b"".join(_PAIR.pack(code, datasets << 1 | listed) for code, datasets, listed in values)


def unpacked(data: bytes) -> Iterator[tuple[int, int, bool]]:
    """The same back."""
    return ((code, both >> 1, bool(both & 1)) for code, both in _PAIR.iter_unpack(data))


def _sizes(connection: Connection, keys: Sequence[int]) -> dict[int, int]:
    """Packages that were not deleted, and how many datasets each has."""
    rows = select(_packages.seq, _packages.datasets).where(among(_packages.seq, keys), tables.alive())
    return dict(connection.execute(rows).all())


def values_of(connection: Connection, fields: Iterable[FacetField], sizes: Mapping[int, int]) -> Values:
    """Values of some packages, each with the datasets that have it.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    fields : iterable of FacetField
        Of which fields.
    sizes : mapping of int to int
        The packages, and how many datasets each has.
    """
    found: Values = {key: {} for key in sizes}
    asked = list(fields)
    for key, field, name, text, bits, listed in _stated(connection, asked, sizes):
        value = found[key].setdefault((field, name), Value(text, 0, listed=False))
        value.bits |= bits
        value.listed |= listed
    return found


_Stated = tuple[int, FacetField, str, str, int, bool]


def _stated(connection: Connection, fields: Sequence[FacetField], sizes: Mapping[int, int]) -> Iterator[_Stated]:
    kinds = {field.kind: field for field in fields}
    yield from _of_facts(connection, [field for field in fields if field.kind == "text"], sizes, tables.phrases)
    yield from _of_facts(connection, [field for field in fields if field.kind == "number"], sizes, tables.numbers)
    if (field := kinds.get("day")) is not None:
        yield from _of_years(connection, field, sizes)
    if (field := kinds.get("store")) is not None:
        yield from _of_stores(connection, field, sizes)
    if (field := kinds.get("quality")) is not None:
        yield from _of_judgements(connection, field, sizes)


def _of_facts(
    connection: Connection, fields: Sequence[FacetField], sizes: Mapping[int, int], table: Any
) -> Iterator[_Stated]:
    """Values that records state."""
    if not fields:
        return
    names, columns = tables.keys.c, table.c
    of: dict[str, list[FacetField]] = defaultdict(list)
    for field in fields:
        for key in field.keys:
            of[key].append(field)
    value = columns.text if table is tables.phrases else columns.number
    rows = (
        select(columns.package, names.name, value, columns.everywhere, columns.datasets)
        .join_from(table, tables.keys, columns.key == names.code)
        .where(among(columns.package, list(sizes)), names.name.in_(sorted(of)))
    )
    for package, key, stated, everywhere, datasets in connection.execute(rows):
        if name := name_of(stated):
            bits = full(sizes[package]) if everywhere else mask(datasets)
            text = stated if isinstance(stated, str) else name
            for field in of[key]:
                yield package, field, name, text, bits, key in field.listed


def _of_years(connection: Connection, field: FacetField, sizes: Mapping[int, int]) -> Iterator[_Stated]:
    """Every year in which a session was, from its first day to its last."""
    numbers, keys = tables.numbers.c, list(sizes)
    ends = select(numbers.package, numbers.number).join(tables.keys, numbers.key == tables.keys.c.code)
    ends = ends.where(among(numbers.package, keys), tables.keys.c.name == SESSION_END)
    last = {package: day_of(moment).year for package, moment in connection.execute(ends)}
    rows = select(_packages.seq, _packages.date).where(
        among(_packages.seq, keys), func.coalesce(_packages.date, "") != ""
    )
    for package, date in connection.execute(rows):
        first = int(date[:4])
        for year in range(first, min(max(first, last.get(package, first)), first + _LONGEST_SESSION) + 1):
            yield package, field, f"{year:04}", f"{year:04}", full(sizes[package]), True


def _of_stores(connection: Connection, field: FacetField, sizes: Mapping[int, int]) -> Iterator[_Stated]:
    columns = tables.replicas.c
    rows = select(columns.package, columns.store).where(among(columns.package, list(sizes)), columns.state == PRESENT)
    for package, store in connection.execute(rows):
        yield package, field, store, store, full(sizes[package]), True


def _of_judgements(connection: Connection, field: FacetField, sizes: Mapping[int, int]) -> Iterator[_Stated]:
    """Verdicts that count, whether they are disputed, and what nobody has judged."""
    said, open_ = tables.assessments.c, tables.unassessed.c
    rows = select(said.package, said.verdict, said.disputed, said.everywhere, said.datasets)
    for package, verdict, disputed, everywhere, datasets in connection.execute(
        rows.where(among(said.package, list(sizes)))
    ):
        bits = full(sizes[package]) if everywhere else mask(datasets)
        for text in (verdict, DISPUTED) if disputed else (verdict,):
            yield package, field, text, text, bits, True
    others = select(open_.package, open_.everywhere, open_.datasets)
    for package, everywhere, datasets in connection.execute(others.where(among(open_.package, list(sizes)))):
        yield package, field, UNJUDGED, UNJUDGED, full(sizes[package]) if everywhere else mask(datasets), True


def _codes(connection: Connection, values: Values) -> dict[tuple[int, str], int]:
    """The code of every value by number of the field and name, new ones added."""
    texts = {(field.number, name): value.text for own in values.values() for (field, name), value in own.items()}
    rows = select(_values.facet, _values.name, _values.code).where(
        _values.facet.in_(sorted({facet for facet, _ in texts})),
        among_texts(_values.name, sorted({name for _, name in texts})),
    )
    known = {(facet, name): int(code) for facet, name, code in connection.execute(rows)}
    new = sorted(texts.keys() - known.keys())
    if new:
        serial = int(connection.scalar(select(func.max(_values.code))) or 0) >> FIELD_BITS
        for at, (facet, name) in enumerate(new, serial + 1):
            known[facet, name] = at << FIELD_BITS | facet
        made = ((known[one], *one, texts[one], 0, 0, 0) for one in new)
        dialects.insert_rows(connection, tables.facet_values, made)
    return known


def _known(connection: Connection, keys: Sequence[int]) -> dict[int, dict[int, tuple[int, bool]]]:
    """What packages count for until now."""
    rows = select(_rows.package, _rows.codes).where(among(_rows.package, list(keys)))
    return {
        package: {code: (datasets, listed) for code, datasets, listed in unpacked(codes)}
        for package, codes in connection.execute(rows)
    }


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
