"""Going through packages one stretch of their order after the other: for what is not given in this order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Select, select

from diadem.catalogue import tables
from diadem.catalogue.package_key import Stretch

#: Packages of the first window, and how many times longer it is where few are expected to match.
_FIRST: Final = 4_000
_FEW: Final = 10
#: What a page takes, where not all that is found matches.
PAGE: Final = 120
#: How many times longer each next one is: at least and at most while something is missing, and then.
_SHORTEST: Final = 0.25
_LONGEST: Final = 64
_LONGER: Final = 3
_seq = tables.packages.c.seq


@dataclass
class Met:
    """What was met in the last window of a source, so that the next look at the source begins with that.

    Attributes
    ----------
    length, found : int
        Of that window; 0 where there was none yet.
    ends : dict of bool to tuple
        By whether the oldest come first: the first package of all, the one at which a first window ends, the last one.
    """

    length: int = 0
    found: int = 0
    ends: dict[bool, tuple[int | None, int | None, int]] = field(default_factory=dict)


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
    met : Met
        What is known of the source, of this stretch.
    """

    def __init__(
        self, connection: Connection, stretch: Stretch, met: Met, *, rising: bool, few: bool = False, wanted: int = PAGE
    ) -> None:
        self._connection, self._rest, self._rising = connection, stretch, rising
        self._few, self._met = few, met
        self._missing, self._found = wanted, met.found

    def tell(self, found: int) -> None:
        """So much was found in the window that was given last."""
        self._found = self._met.found = found

    def __iter__(self) -> Iterator[Stretch]:
        """One after the other."""
        begin, end, last = self._ends()
        if begin is None:
            return
        if end is None:
            yield self._rest
            return
        length = abs(end - begin) * (_FEW if self._few else 1)
        if self._met.found:
            length = round(self._met.length * self._growth())
        while begin is not None:
            self._found, self._met.length = 0, length
            yield self._cut(begin, length)
            self._missing -= self._found
            length = round(length * self._growth())
            begin = self._begin(last)

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

    def _begin(self, last: int) -> int | None:
        """Where the next window begins; where nothing was found, at the next package: there may be none for years."""
        if not (self._rest.low <= last < self._rest.high):
            return None
        if self._found:
            return self._rest.low if self._rising else self._rest.high - 1
        found: int | None = self._connection.scalar(self._packages(rising=self._rising))
        return found

    def _ends(self) -> tuple[int | None, int | None, int]:
        """The first package of all, the one at which the first window ends, and the last one."""
        if self._rising not in self._met.ends:
            first, last = self._packages(rising=self._rising), self._packages(rising=not self._rising)
            asked = select(*(one.scalar_subquery() for one in (first, first.offset(_FIRST), last)))
            begin, end, at_last = self._connection.execute(asked).one()
            self._met.ends[self._rising] = begin, end, at_last or 0
        return self._met.ends[self._rising]

    def _packages(self, *, rising: bool) -> Select[Any]:
        """The first package of the rest."""
        packages = select(_seq).where(_seq >= self._rest.low, _seq < self._rest.high)
        return packages.order_by(_seq if rising else _seq.desc()).limit(1)
