"""The order in which packages are listed, as one number: by day, and within a day by id."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final, Self

from diadem.model.manifest import PackageId

#: Bits of the number that come from the id; with the day before them, up to the year 9999, they are 63.
ID_BITS = 41
_DIGITS = 11
_END = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Stretch:
    """Packages that follow one another: keys from `low` on, and below `high`."""

    low: int = 0
    high: int = _END

    def cut(self, low: int, high: int) -> Self:
        """What lies between two keys of it."""
        return type(self)(max(self.low, low), min(self.high, high))


EVERYTHING: Final = Stretch()


def order_number(date: datetime.date | None, package_id: str) -> int:
    """The key of a package: greater for a later day, and within a day for an id that comes earlier.

    So packages listed by falling numbers come newest first, those of one day by id. Without a date they come last.
    """
    return (day_number(date) << ID_BITS) + ((1 << ID_BITS) - 1 - _id_number(package_id))


def day_number(date: datetime.date | None) -> int:
    """Days since 1 January of the year 1, which is 1; 0 for none."""
    return 0 if date is None else date.toordinal()


def day_range(first: datetime.date | None, end: datetime.date | None) -> tuple[int, int]:
    """Smallest number from `first` on, and the smallest that is no more before `end`. None: no limit, but a date."""
    low = (1 if first is None else first.toordinal()) << ID_BITS
    return low, _END if end is None else end.toordinal() << ID_BITS


def _id_number(package_id: str) -> int:
    return int(PackageId(package_id).hex[:_DIGITS], 16) >> (4 * _DIGITS - ID_BITS)
