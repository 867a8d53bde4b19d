"""Going through packages in the order in which they are listed, and saying of each whether it matches."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import chain, groupby, islice
from operator import or_
from typing import Protocol

from sqlalchemy import Connection

from diadem.node.catalogue import dialects
from diadem.node.catalogue.conditions import Conditions
from diadem.node.catalogue.driving import Driver, driver
from diadem.node.catalogue.meaning import AnyOf, Condition
from diadem.node.catalogue.reading import CHUNK
from diadem.node.catalogue.weighing import Scales

#: Candidates that are looked at in one go: few at first, for a first page and a look beyond it need no more, and then
#: twice as many each time.
_FIRST = 160


class Weigher(Protocol):
    """Who says of candidates whether they match.

    Attributes
    ----------
    most : int
        Candidates at most in one go.
    """

    most: int

    def verdicts(self, connection: Connection, keys: Sequence[int]) -> Mapping[int, int]:
        """By candidate; 0 where it does not. Perhaps its datasets that do, as bits."""
        ...


def walk(
    connection: Connection,
    conditions: Conditions,
    condition: Condition,
    source: Driver,
    *,
    rising: bool,
    weigher: Callable[[Conditions, Condition, Driver], Weigher] = Scales,
) -> Iterator[tuple[int, int]]:
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
    weigher : callable
        Makes who says it.
    """
    if isinstance(condition, AnyOf) and source.all:
        sources = [(part, driver(connection, conditions, part)) for part in condition.parts]
        walks = [walk(connection, conditions, part, own, rising=rising, weigher=weigher) for part, own in sources]
        return _merged(walks, rising=rising)
    return _driven(connection, weigher(conditions, condition, source), source, rising=rising)


def _merged(walks: Sequence[Iterator[tuple[int, int]]], *, rising: bool) -> Iterator[tuple[int, int]]:
    """Several walks as one."""
    together = heapq.merge(*walks, key=lambda item: item[0], reverse=not rising)
    for key, found in groupby(together, key=lambda item: item[0]):
        yield key, reduce(or_, (hit for _, hit in found))


def _driven(connection: Connection, weigher: Weigher, source: Driver, *, rising: bool) -> Iterator[tuple[int, int]]:
    for keys in _chunks(connection, source, rising=rising, most=weigher.most):
        verdicts = weigher.verdicts(connection, keys)
        yield from ((key, verdicts[key]) for key in keys)


def _chunks(connection: Connection, source: Driver, *, rising: bool, most: int) -> Iterator[Sequence[int]]:
    """Keys of candidates, in order, some at a time."""
    bound, size = None, _FIRST
    if not source.ordered:
        for every in source.sorted(connection, rising=rising):
            rows = chain.from_iterable(dialects.streamed(connection, every, CHUNK))
            while some := [row[0] for row in islice(rows, size)]:
                yield some
                size = min(2 * size, most)
        return
    while keys := connection.scalars(source.chunk(bound, size, rising=rising)).all():
        yield keys
        if len(keys) < size:
            return
        bound, size = keys[-1], min(2 * size, most)
