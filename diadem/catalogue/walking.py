"""Going through packages in the order in which they are listed, and saying of each whether it matches."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import groupby, islice
from operator import or_
from typing import Any, Final, Protocol

from sqlalchemy import Connection

from diadem.catalogue.conditions import Conditions
from diadem.catalogue.driving import Driver, driver
from diadem.catalogue.meaning import AnyOf, Condition
from diadem.catalogue.weighing import Scales
from diadem.catalogue.windows import PAGE

#: Candidates that are looked at in one go: few at first, for a first page and a look beyond it need no more, and then
#: twice as many each time.
_FIRST: Final = 160
#: Of fewer it is waited for those of the next window.
_FEWEST: Final = 40


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
    enough: Callable[[], bool] = lambda: False,
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
    enough : callable
        Asked before candidates are looked for among further packages, where that takes long: whether to end here.
    """
    if isinstance(condition, AnyOf) and source.all:
        sources = [(part, driver(connection, conditions, part)) for part in condition.parts]
        options: dict[str, Any] = {"rising": rising, "weigher": weigher, "enough": enough}
        return _merged([walk(connection, conditions, part, own, **options) for part, own in sources], rising=rising)
    scales = weigher(conditions, condition, source)
    chunks = _chunks(connection, source, rising=rising, most=scales.most, enough=enough)
    return _weighed(connection, scales, chunks)


def _merged(walks: Sequence[Iterator[tuple[int, int]]], *, rising: bool) -> Iterator[tuple[int, int]]:
    """Several walks as one."""
    together = heapq.merge(*walks, key=lambda item: item[0], reverse=not rising)
    for key, found in groupby(together, key=lambda item: item[0]):
        yield key, reduce(or_, (hit for _, hit in found))


def _weighed(connection: Connection, weigher: Weigher, chunks: Iterable[Sequence[int]]) -> Iterator[tuple[int, int]]:
    for keys in chunks:
        verdicts = weigher.verdicts(connection, keys)
        yield from ((key, verdicts[key]) for key in keys)


def _chunks(
    connection: Connection, source: Driver, *, rising: bool, most: int, enough: Callable[[], bool]
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
