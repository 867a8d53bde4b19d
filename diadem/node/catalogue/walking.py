"""Going through packages in the order in which they are listed, and saying of each whether it matches."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, select

from diadem.node.catalogue import sqlite, tables
from diadem.node.catalogue.conditions import Conditions
from diadem.node.catalogue.driving import Driver, driver
from diadem.node.catalogue.judging import DOUBT, EVERY, SOME, YES, differs, doubtful, judge, leaves
from diadem.node.catalogue.matching import matching
from diadem.node.catalogue.meaning import AnyOf, Condition, Leaf
from diadem.node.catalogue.reading import CHUNK

#: Candidates that are looked at in one go: few at first, for a first page needs no more.
_FIRST = 128
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
    return _driven(connection, _Judge(conditions, condition, source), source, rising=rising)


def _merged(walks: Sequence[Iterator[tuple[int, bool]]], *, rising: bool) -> Iterator[tuple[int, bool]]:
    """Several walks as one."""
    together = heapq.merge(*walks, key=lambda item: item[0], reverse=not rising)
    for key, found in groupby(together, key=lambda item: item[0]):
        yield key, any(hit for _, hit in found)


def _driven(connection: Connection, judge_: _Judge, source: Driver, *, rising: bool) -> Iterator[tuple[int, bool]]:
    for keys in _chunks(connection, source, rising=rising):
        verdicts = judge_.verdicts(connection, keys)
        yield from ((key, verdicts.get(key, False)) for key in keys)


def _chunks(connection: Connection, source: Driver, *, rising: bool) -> Iterator[list[int]]:
    """Keys of candidates, in order, some at a time."""
    if not source.ordered:
        keys = list(connection.scalars(source.chunk(None, -1, rising=rising)))
        yield keys[:_FIRST]
        yield from (keys[start : start + CHUNK] for start in range(_FIRST, len(keys), CHUNK))
        return
    bound, size = None, _FIRST
    while keys := list(connection.scalars(source.chunk(bound, size, rising=rising))):
        yield keys
        if len(keys) < size:
            return
        bound, size = keys[-1], CHUNK


class _Judge:
    """Says of candidates whether they match: from what SQL knows of them, and in doubt dataset by dataset."""

    def __init__(self, conditions: Conditions, condition: Condition, source: Driver) -> None:
        self._conditions = conditions
        self._condition = condition
        found = leaves(condition)
        # What holds for all candidates need not be asked again, unless it matters how far it holds.
        covered = [] if doubtful(condition) else [leaf for leaf in found if leaf in source.covered]
        self._known: Mapping[Leaf, int] = {leaf: SOME if differs(leaf) else EVERY for leaf in covered}
        self._asked = [leaf for leaf in found if leaf not in covered]
        self._alone = condition in source.covered or (not found)
        self._seen: dict[tuple[int, ...], int] = {}

    def verdicts(self, connection: Connection, keys: Sequence[int]) -> dict[int, bool]:
        """Whether each of some packages matches."""
        if self._alone:
            return dict.fromkeys(keys, True)
        held = [self._conditions.held(leaf) for leaf in self._asked]
        alive = _packages.tombstone.is_(None)
        statement = select(_packages.seq, _packages.datasets, *held).where(sqlite.among(_packages.seq, keys), alive)
        said = {row[0]: (self._verdict(row), row[1]) for row in connection.execute(statement)}
        found = {key: verdict == YES for key, (verdict, _) in said.items()}
        doubted = {key: datasets for key, (verdict, datasets) in said.items() if verdict == DOUBT}
        if doubted:
            bits = matching(connection, self._conditions, self._condition, doubted)
            found |= {key: own != 0 for key, own in bits.items()}
        return found

    def _verdict(self, row: Sequence[Any]) -> int:
        seen = (min(row[1], 2), *row[2:])
        verdict = self._seen.get(seen)
        if verdict is None:
            held = {**self._known, **dict(zip(self._asked, row[2:], strict=True))}
            verdict = self._seen[seen] = judge(self._condition, held, row[1])
        return verdict
