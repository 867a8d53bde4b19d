"""Going through packages in the order in which they are listed, and saying of each whether it matches."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from sqlalchemy import Connection, case, select, true

from diadem.node.catalogue import tables
from diadem.node.catalogue.conditions import Conditions, Sql, decided
from diadem.node.catalogue.driving import Driver, driver, remaining
from diadem.node.catalogue.matching import matching
from diadem.node.catalogue.meaning import AnyOf, Condition
from diadem.node.catalogue.reading import CHUNK

#: Candidates that are looked at in one go: few at first, for a first page needs no more.
_FIRST, _MOST = 128, 4096
_NO, _PERHAPS, _YES = 0, 1, 2
_packages = tables.packages.c


def walk(
    connection: Connection, conditions: Conditions, condition: Condition, source: Driver, *, rising: bool
) -> Iterator[tuple[int, bool]]:
    """Candidates and whether they match; whoever does not come does not match.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    conditions : Conditions
        Conditions as SQL.
    condition : Condition
        What is looked for.
    source : Driver
        Where its candidates come from.
    rising : bool
        From the oldest day on, else from the newest.
    """
    if isinstance(condition, AnyOf) and source.all:
        sources = [(part, driver(connection, conditions, part)) for part in condition.parts]
        walks = [walk(connection, conditions, part, own, rising=rising) for part, own in sources]
        return _merged(walks, rising=rising)
    return _driven(connection, conditions, condition, source, rising=rising)


def _merged(walks: Sequence[Iterator[tuple[int, bool]]], *, rising: bool) -> Iterator[tuple[int, bool]]:
    """Several walks as one."""
    together = heapq.merge(*walks, key=lambda item: item[0], reverse=not rising)
    for key, found in groupby(together, key=lambda item: item[0]):
        yield key, any(hit for _, hit in found)


def _driven(
    connection: Connection, conditions: Conditions, condition: Condition, source: Driver, *, rising: bool
) -> Iterator[tuple[int, bool]]:
    verdict = _verdict(conditions, condition, source)
    bound, size = None, _FIRST
    while True:
        candidates = source.chunk(bound, size, rising=rising).scalar_subquery()
        order = _packages.seq if rising else _packages.seq.desc()
        statement = select(_packages.seq, _packages.datasets, verdict).where(_packages.seq.in_(candidates))
        rows = connection.execute(statement.order_by(order)).all()
        doubted = {key: datasets for key, datasets, said in rows if said == _PERHAPS}
        hits = _looked_at(connection, conditions, condition, doubted)
        for key, _, said in rows:
            yield key, hits[key] if said == _PERHAPS else said == _YES
        if not source.ordered or len(rows) < size:
            return
        bound, size = rows[-1][0], min(2 * size, _MOST)


def _verdict(conditions: Conditions, condition: Condition, source: Driver) -> Sql:
    """What SQL can say of a candidate."""
    beside = remaining(conditions, condition, source.covered)
    is_sure = true() if decided(condition) else (_packages.datasets <= 1) | conditions.sure(condition)
    certain = case((is_sure, _YES), else_=_PERHAPS)
    verdict: Sql = case((_packages.tombstone.is_not(None), _NO), (beside, certain), else_=_NO)
    return verdict


def _looked_at(
    connection: Connection, conditions: Conditions, condition: Condition, sizes: Mapping[int, int]
) -> dict[int, bool]:
    """Those of which SQL is not sure, dataset by dataset."""
    found: dict[int, bool] = {}
    keys = list(sizes)
    for start in range(0, len(keys), CHUNK):
        part = {key: sizes[key] for key in keys[start : start + CHUNK]}
        found |= {key: bits != 0 for key, bits in matching(connection, conditions, condition, part).items()}
    return found
