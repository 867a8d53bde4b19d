"""Protochips' tables: what the notes in the second column say, ``User agreeing to terms = eric``."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from diadem.hooks.fields import Block, Derived, Found, Rule, Table, Tree
from diadem.hooks.times import moments
from diadem.terms.dates import clock

_HEAD = 64 << 10
_NOTE = re.compile(r"\s*\d+\s*,\s*([^=,]+?) = ([^,]*?)\s*,")
_DATE, _TIME = "Date (yyyy.mm.dd)", "Time (hh:mm:ss.ms)"


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001
    """The notes of the first lines.

    Parameters
    ----------
    path : str
        A ``.csv`` file.
    files : sequence of str
        Not needed.
    """
    with Path(path).open("rb") as stream:
        text = stream.read(_HEAD).decode("latin-1")
    if text.split("\n", 1)[0].replace(" ", "").startswith("Time,Notes,"):
        tree = notes(text)
        if tree:
            yield Block("protochips-notes", tree, place="Notes")


def notes(text: str) -> dict[str, str]:
    """Names and values; the first of a name counts."""
    found: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        if match := _NOTE.match(line):
            found.setdefault(match[1], match[2])
    return found


def _time(tree: Tree) -> Iterator[Found]:
    year, month, day = (int(part) for part in tree[_DATE].split("."))
    time = clock(tree[_TIME])
    if time is not None:
        local = dt.datetime.combine(dt.date(year, month, day), time)
        yield from moments("time.acquired_start", f"{_DATE} + {_TIME}", f"{tree[_DATE]} {tree[_TIME]}", local=local)


TABLE: Table = (
    Rule(
        "person.operator",
        "User agreeing to terms",
        drop=("Enter User Name",),
        cite="the user who has agreed to the terms, unless the dialogue's own text is left in place",
    ),
    Derived("start-of-log", _time, cite="the names say yyyy.mm.dd and hh:mm:ss.ms; no zone is stated"),
)
