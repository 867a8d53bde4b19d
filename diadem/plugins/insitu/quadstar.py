"""Which values of Balzers' and Pfeiffer's Quadstar files are which fields.

The header's years count from 1900: 94 in airdemo.sac, whose time stamps begin at 763685197.48 s, 14 March 1994.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree
from diadem.hooks.times import moments

_HEADER = "general_header"


def _time(tree: Tree) -> Iterator[Found]:
    header = tree[_HEADER]
    parts = [int(header[name]) for name in ("year", "month", "day", "hour", "minute", "second")]
    local = dt.datetime(1900 + parts[0], *parts[1:])  # type: ignore[arg-type]  # noqa: DTZ001 - no zone is stated
    yield from moments("time.acquired_start", f"{_HEADER}/year + {_HEADER}/hour", parts, local=local)


TABLE: Table = (
    Rule("person.operator", f"{_HEADER}/username", cite="the header's user name"),
    Derived("start-of-measurement", _time, cite="the time stamps of airdemo.sac begin a second later"),
)
