"""Sets of datasets of one package, written as runs: ``1-20000``, ``1-3,7,9-12``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final


class Runs:
    """Numbers that come in rising order, kept as runs.

    Adding is cheap however many there are, and a set of one run, which most are, takes two numbers.
    """

    __slots__ = ("bounds",)

    def __init__(self) -> None:
        self.bounds: list[int] = []

    def add(self, number: int) -> None:
        """Add a number, not smaller than any before."""
        if self.bounds and number <= self.bounds[-1] + 1:
            self.bounds[-1] = max(number, self.bounds[-1])
        else:
            self.bounds += (number, number)

    def text(self) -> str:
        """``1-3,7``."""
        pairs = zip(self.bounds[::2], self.bounds[1::2], strict=True)
        return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in pairs)

    def covers(self, count: int) -> bool:
        """Whether all of 1 … count are in it."""
        return count == 0 or self.bounds == [1, count]


def mask(text: str) -> int:
    """The set as bits of a number: bit n for dataset n. Sets are joined and cut by ``|`` and ``&``."""
    return _short(text) if len(text) <= _SHORT else _mask(text)


def _mask(text: str) -> int:
    bits = 0
    for run in text.split(","):
        first, _, last = run.partition("-")
        if first:
            low = int(first)
            bits |= ((1 << (int(last or first) - low + 1)) - 1) << low
    return bits


#: The same few short sets come again and again.
_SHORT: Final = 80
_short = lru_cache(maxsize=4096)(_mask)


def mask_text(bits: int) -> str:
    """The set of such a number as runs; bit 0, which stands for a package without datasets, is none of them."""
    runs = Runs()
    for number in numbers(bits & ~1):
        runs.add(number)
    return runs.text()


def bits_of(everywhere: object, datasets: str | None, every: int) -> int:
    """The set that a row names, of all that there are: these where it says `everywhere`, else its own runs."""
    return every if everywhere else mask(datasets or "")


def full(count: int) -> int:
    """All datasets of a package; for a package without any, the number 0 stands for the package itself."""
    return ((1 << count) - 1) << 1 if count else 1


def numbers(bits: int) -> Iterator[int]:
    """The numbers in a set, rising."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
