"""Which values of Semper's picture files are which fields: the date of the label, year, month, day and the clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from diadem.hooks.fields import Derived, Found, Table, Tree
from diadem.hooks.times import moments
from diadem.terms.dates import full_year


def _time(tree: Tree) -> Iterator[Found]:
    """The label has six numbers in a fixed order; RosettaSciIO's writer leaves the century out of the year."""
    raw = str(tree["DATE"])
    date, _, clock = raw.partition(" ")
    year, month, day = (int(part) for part in date.split("-"))
    hour, minute, second = (int(part) for part in clock.split(":"))
    local = dt.datetime(full_year(year), month, day, hour, minute, second)  # noqa: DTZ001 - no zone is stated
    yield from moments("time.acquired_start", "DATE", raw, local=local)


TABLE: Table = (
    Derived("date-of-label", _time, cite="15-10-27 14:28:22 in example_signal_3d.unf; Semper's label, words 22 to 27"),
)  # fmt: skip
