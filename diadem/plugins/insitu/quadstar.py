"""The time of Balzers' and Pfeiffer's Quadstar files, whose years count from 1900."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from diadem.hooks.fields import Found, Tree
from diadem.hooks.times import moments


def time(header: Tree) -> Iterator[Found]:
    """When the measurement was started; no zone is stated."""
    parts = [int(header[name]) for name in ("year", "month", "day", "hour", "minute", "second")]
    local = dt.datetime(1900 + parts[0], *parts[1:])  # type: ignore[arg-type]  # noqa: DTZ001 - no zone is stated
    yield from moments("time.acquired_start", "year + hour", parts, local=local)
