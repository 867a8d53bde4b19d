"""Going through packages one stretch of their order after the other: for what is not given in this order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, select

from diadem.node.catalogue import tables
from diadem.node.catalogue.order import Stretch

#: Packages of the first window, and how many times longer it is where few are expected to match.
_FIRST: Final = 4_000
_FEW: Final = 10
#: What a page takes, where not all that is found matches.
PAGE: Final = 120
#: How many times longer each next one is: at least and at most while something is missing, and then.
_SHORTEST: Final = 0.25
_LONGEST: Final = 16
_LONGER: Final = 3
_seq = tables.packages.c.seq


class Windows:
    """Stretches that have all packages of one together, the newest or the oldest first.

    The next one is as long as what is still wanted takes, by what was found in the one before: so nothing common is
    gathered in vain, and what is rare is soon looked for everywhere.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    stretch : Stretch
        All of them together.
    rising : bool
        Whether the oldest come first.
    few : bool
        Whether little is expected.
    wanted : int
        How much shall be found.
    """

    def __init__(
        self, connection: Connection, stretch: Stretch, *, rising: bool, few: bool = False, wanted: int = PAGE
    ) -> None:
        self._connection, self._rest, self._rising = connection, stretch, rising
        self._few = few
        self._missing, self._found = wanted, 0

    def tell(self, found: int = 1) -> None:
        """So much more was found in the window that was given last."""
        self._found += found

    def __iter__(self) -> Iterator[Stretch]:
        """One after the other."""
        length = 0
        while (begin := self._key()) is not None:
            if not length:
                end = self._key(after=_FIRST)
                if end is None:
                    yield self._rest
                    return
                length = abs(end - begin) * (_FEW if self._few else 1)
            self._found = 0
            yield self._cut(begin, length)
            self._missing -= self._found
            length = round(length * self._growth())

    def _growth(self) -> float:
        """How many times longer than the last one the next window is."""
        if self._missing <= 0:
            return _LONGER
        return min(max(_SHORTEST, self._missing / self._found), _LONGEST) if self._found else _LONGEST

    def _cut(self, begin: int, length: int) -> Stretch:
        """The next packages, which are taken from the rest."""
        rest = self._rest
        if self._rising:
            window = rest.cut(begin, begin + length)
            self._rest = rest.cut(window.high, rest.high)
        else:
            window = rest.cut(begin - length + 1, begin + 1)
            self._rest = rest.cut(rest.low, window.low)
        return window

    def _key(self, after: int = 0) -> int | None:
        """The first package of the rest, or one after it: where there are none for years, no window is wasted."""
        packages = select(_seq).where(_seq >= self._rest.low, _seq < self._rest.high)
        found: int | None = self._connection.scalar(
            packages.order_by(_seq if self._rising else _seq.desc()).offset(after or None).limit(1)
        )
        return found
