"""The date of Semper's picture files: year, month, day and the clock of the label."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from diadem.hooks.fields import Found, Tree
from diadem.hooks.times import moments
from diadem.terms.dates import full_year


def time(tree: Tree) -> Iterator[Found]:
    """The label has six numbers in a fixed order; RosettaSciIO's writer leaves the century out of the year."""
    raw = str(tree["DATE"])
    date, _, clock = raw.partition(" ")
    year, month, day = (int(part) for part in date.split("-"))
    hour, minute, second = (int(part) for part in clock.split(":"))
    local = dt.datetime(full_year(year), month, day, hour, minute, second)  # noqa: DTZ001 - no zone is stated
    yield from moments("time.acquired_start", "DATE", raw, local=local)
