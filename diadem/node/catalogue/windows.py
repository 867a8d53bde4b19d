"""Going through packages one stretch of their order after the other: for what is not given in this order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, Select, select

from diadem.node.catalogue import tables
from diadem.node.catalogue.order import Stretch

#: Packages of the first window, usually and where few are expected to match; how much longer each next one is.
_FIRST: Final = 4_000
_FIRST_OF_FEW: Final = 40_000
_LONGER: Final = 3
_seq = tables.packages.c.seq


def windows(connection: Connection, stretch: Stretch, *, rising: bool, few: bool = False) -> Iterator[Stretch]:
    """Stretches that have all packages of one together, the newest or the oldest first, the next one always longer.

    What is common is found in the first; what is rare is soon looked for everywhere.
    """
    rest, length = stretch, 0
    while (begin := _first(connection, rest, rising=rising)) is not None:
        if not length:
            end = connection.scalar(_ordered(rest, rising=rising).offset(_FIRST_OF_FEW if few else _FIRST).limit(1))
            if end is None:
                yield rest
                return
            length = abs(end - begin)
        window = rest.cut(begin, begin + length) if rising else rest.cut(begin - length + 1, begin + 1)
        yield window
        rest = rest.cut(window.high, rest.high) if rising else rest.cut(rest.low, window.low)
        length *= _LONGER


def _first(connection: Connection, stretch: Stretch, *, rising: bool) -> int | None:
    """The first package: where there are none for years, no window is wasted on them."""
    found: int | None = connection.scalar(_ordered(stretch, rising=rising).limit(1))
    return found


def _ordered(stretch: Stretch, *, rising: bool) -> Select[Any]:
    packages = select(_seq).where(_seq >= stretch.low, _seq < stretch.high)
    return packages.order_by(_seq if rising else _seq.desc())
