"""Which datasets of a package match, by the sets of datasets that the facts name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from diadem.catalogue import tables
from diadem.catalogue.conditions import Conditions, of_package
from diadem.catalogue.dataset_sets import full, mask
from diadem.catalogue.expressions import among
from diadem.catalogue.judging import EVERY, NONE, SOME
from diadem.catalogue.meaning import AllOf, AnyOf, Condition, Deny, Leaf, OfDataset, OfPackage, Phrase

_packages = tables.packages.c
_Bits = dict[int, int]
#: Phrases that are worth a look of their own for all of them.
_SEVERAL: Final = 2
#: All datasets, of a package of which it is not known how many it has.
_ANY: Final = -1


def sizes_of(connection: Connection, keys: Sequence[int]) -> dict[int, int]:
    """How many datasets each of some packages has."""
    rows = connection.execute(select(_packages.seq, _packages.datasets).where(among(_packages.seq, keys)))
    return dict(rows.all())


def matching(
    connection: Connection,
    conditions: Conditions,
    condition: Condition,
    sizes: Mapping[int, int],
    held: Mapping[Leaf, Mapping[int, int]] | None = None,
) -> _Bits:
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
    held : mapping of Leaf to mapping, optional
        How far single conditions hold in the packages, as far as that is known.
    """

    everything = {key: full(size) for key, size in sizes.items()}
    return _combined(condition, _Ask(connection, conditions, held or {}), everything)


def found_among(
    connection: Connection, conditions: Conditions, condition: Condition, keys: Sequence[int]
) -> tuple[dict[int, int], _Bits]:
    """Packages that match: how many datasets each has, and those that match. Of the others it is not looked up."""
    found = _combined(condition, _Ask(connection, conditions, {}), dict.fromkeys(keys, _ANY))
    sizes = sizes_of(connection, [key for key, bits in found.items() if bits])
    bits = {key: found[key] & full(size) for key, size in sizes.items()}
    return sizes, {key: some for key, some in bits.items() if some}


@dataclass(frozen=True, slots=True)
class _Ask:
    """Asks for single conditions.

    Attributes
    ----------
    connection : Connection
        In a transaction.
    conditions : Conditions
        Conditions as SQL.
    held : mapping of Leaf to mapping
        How far single conditions hold in packages, as far as that is known.
    """

    connection: Connection
    conditions: Conditions
    held: Mapping[Leaf, Mapping[int, int]]

    def __call__(self, leaf: Leaf, everything: _Bits) -> _Bits:
        """Datasets of some packages that fulfil one."""
        return _of_leaf(self.connection, self.conditions, leaf, everything, self.held.get(leaf, {}))

    def phrases(self, parts: Sequence[Condition], everything: _Bits) -> tuple[_Bits, Sequence[Condition]]:
        """Datasets that fulfil all phrases of which something is not known, in one look; and the parts that remain."""
        open_ = [part for part in parts if isinstance(part, Phrase) and self._is_open(part, everything)]
        if len(open_) < _SEVERAL or not everything:
            return dict(everything), parts
        found = dict.fromkeys(everything, 0)
        for package, *said in self.connection.execute(self.conditions.stating_all(open_, list(everything))):
            bits = everything[package]
            for everywhere, datasets in zip(said[::2], said[1::2], strict=True):
                bits &= everything[package] if everywhere else mask(datasets or "")
            found[package] = bits
        return found, [part for part in parts if part not in open_]

    def _is_open(self, leaf: Leaf, keys: Iterable[int]) -> bool:
        held = self.held.get(leaf, {})
        return any(held.get(key, SOME) == SOME for key in keys)


def _combined(condition: Condition, ask: _Ask, everything: _Bits) -> _Bits:
    """Datasets that match; a package is asked about no further once it is decided."""
    if isinstance(condition, AllOf):
        found, rest = ask.phrases(condition.parts, everything)
        for part in rest:
            own = _combined(part, ask, {key: everything[key] for key, value in found.items() if value})
            found |= {key: found[key] & value for key, value in own.items()}
        return found
    if isinstance(condition, AnyOf):
        found = dict.fromkeys(everything, 0)
        for part in condition.parts:
            own = _combined(
                part, ask, {key: everything[key] for key, value in found.items() if value != everything[key]}
            )
            found |= {key: found[key] | value for key, value in own.items()}
        return found
    if isinstance(condition, Deny):
        denied = ask(condition.part, everything)
        return {key: value & ~denied[key] for key, value in everything.items()}
    return ask(condition, everything)


def _of_leaf(
    connection: Connection, conditions: Conditions, leaf: Leaf, everything: _Bits, held: Mapping[int, int]
) -> _Bits:
    """Datasets that fulfil a single condition; only packages of which it is not known are asked for."""
    known = {key: everything[key] if held[key] == EVERY else 0 for key in everything if held.get(key, SOME) != SOME}
    asked = {key: value for key, value in everything.items() if key not in known}
    if isinstance(leaf, OfDataset):
        return known | _stated(connection, conditions, leaf, asked)
    return known | _fulfilled(connection, leaf, asked)


def _stated(connection: Connection, conditions: Conditions, leaf: OfDataset, asked: _Bits) -> _Bits:
    found = dict.fromkeys(asked, 0)
    if asked:
        for package, everywhere, datasets in connection.execute(conditions.stating(leaf, list(asked))).all():
            found[package] = asked[package] if everywhere else mask(datasets)
    return found


def _fulfilled(connection: Connection, leaf: OfPackage, asked: _Bits) -> _Bits:
    rows = select(_packages.seq).where(among(_packages.seq, list(asked)), of_package(leaf))
    fulfilled = set(connection.scalars(rows).all()) if asked else set()
    return {key: value if key in fulfilled else NONE for key, value in asked.items()}
