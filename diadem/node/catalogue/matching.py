"""Which datasets of a package match, by the sets of datasets that the facts name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from diadem.node.catalogue import sqlite, tables
from diadem.node.catalogue.conditions import Conditions, of_package
from diadem.node.catalogue.meaning import AllOf, AnyOf, Between, Condition, Deny, Leaf, OfDataset, OfPackage, Phrase
from diadem.node.catalogue.spans import full, mask

_packages = tables.packages.c


def matching(
    connection: Connection, conditions: Conditions, condition: Condition, sizes: Mapping[int, int]
) -> dict[int, int]:
    """Datasets of each package that match, as bits; 0 for none.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    conditions : Conditions
        Conditions as SQL.
    condition : Condition
        What is looked for.
    sizes : mapping of int to int
        The packages, and how many datasets each has. Not more than fit into one question.
    """
    everything = {key: full(size) for key, size in sizes.items()}
    if isinstance(condition, AllOf):
        for part in condition.parts:
            held = matching(connection, conditions, part, sizes)
            everything = {key: bits & held[key] for key, bits in everything.items()}
        return everything
    if isinstance(condition, AnyOf):
        found = dict.fromkeys(sizes, 0)
        for part in condition.parts:
            held = matching(connection, conditions, part, sizes)
            found = {key: bits | held[key] for key, bits in found.items()}
        return found
    if isinstance(condition, Deny):
        held = matching(connection, conditions, condition.part, sizes)
        return {key: bits & ~held[key] for key, bits in everything.items()}
    return _leaf(connection, conditions, condition, everything)


def _leaf(connection: Connection, conditions: Conditions, leaf: Leaf, everything: dict[int, int]) -> dict[int, int]:
    keys = list(everything)
    if isinstance(leaf, Phrase | Between):
        return _stated(connection, conditions, leaf, everything)
    return _held(connection, leaf, keys, everything)


def _stated(
    connection: Connection, conditions: Conditions, leaf: OfDataset, everything: dict[int, int]
) -> dict[int, int]:
    found = dict.fromkeys(everything, 0)
    for package, everywhere, datasets in connection.execute(conditions.stating(leaf, list(everything))):
        found[package] |= everything[package] if everywhere else mask(datasets)
    return found


def _held(connection: Connection, leaf: OfPackage, keys: Sequence[int], everything: dict[int, int]) -> dict[int, int]:
    held = set(connection.scalars(select(_packages.seq).where(sqlite.among(_packages.seq, keys), of_package(leaf))))
    return {key: bits if key in held else 0 for key, bits in everything.items()}
