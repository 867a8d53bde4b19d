"""Names and values of HyperSpy's files as plain trees, with an end to everything.

HyperSpy marks types in names (``_list_elements``, ``_datetime_date``); source: RosettaSciIO, ``_hierarchical.py``.
"""

from __future__ import annotations

import ast
import datetime as dt
import re
from collections.abc import Iterator
from typing import Any, Protocol

#: Groups and values of one file that are looked at.
_MOST = 50_000
#: Groups within groups.
_DEEPEST = 30
#: Items of an array that are values; longer ones are data.
LONGEST_LIST = 4096
_NUMBERED = re.compile(r"_(?:list|tuple)_\d+_(.+)\Z", re.DOTALL)
_CALL = re.compile(r"(?:datetime\.)?(date|time)?(\([\d, ]*\))\Z")


class Group(Protocol):
    """A group of a file, HDF5 or Zarr."""

    def values(self) -> Iterator[tuple[str, Any]]:
        """Attributes and small arrays by name."""

    def groups(self) -> Iterator[tuple[str, Group]]:
        """Groups in it by name."""


class Budget:
    """Counts down what may still be looked at.

    Attributes
    ----------
    left : int
        Groups and values.
    """

    def __init__(self) -> None:
        self.left = _MOST

    def spend(self) -> bool:
        """Whether there is something left."""
        self.left -= 1
        return self.left > 0


def tree_of(group: Group, budget: Budget, depth: int = 0) -> dict[str, Any]:
    """A group as nested mappings and lists.

    Parameters
    ----------
    group : Group
        Where to begin.
    budget : Budget
        What may still be looked at; shared by all trees of a file.
    depth : int
        Groups above it.
    """
    found: dict[str, Any] = {}
    for name, value in group.values():
        if not budget.spend():
            return found
        plain = _named(name, value)
        if plain is not None:
            found[plain[0]] = plain[1]
    for name, inside in group.groups() if depth < _DEEPEST else ():
        if not budget.spend():
            return found
        if name.startswith(("_sig_", "_hspy_AxesManager_")):
            continue
        content = tree_of(inside, budget, depth + 1)
        numbered = _NUMBERED.match(name)
        found[numbered[1] if numbered else name] = [content[key] for key in sorted(content)] if numbered else content
    return found


def _named(name: str, value: Any) -> tuple[str, Any] | None:
    """A value by its plain name; None for what is no value."""
    for mark in ("_list_empty_", "_tuple_empty_"):
        if name.startswith(mark):
            return name.removeprefix(mark), []
    if name.startswith(("_ragged_shapes_", "_sig_")):
        return None
    if name.startswith("_datetime_"):
        return name.removeprefix("_datetime_"), _moment(value)
    if name.startswith("_bs_"):
        return name.removeprefix("_bs_"), bytes(value) if not isinstance(value, str) else value
    for mark in ("_list_", "_tuple_"):
        if name.startswith(mark):
            return name.removeprefix(mark), plain_value(value)
    return name, plain_value(value)


def _moment(value: Any) -> str:
    """``datetime.date(1991, 10, 1)``, as the first versions wrote it, in ISO 8601; other texts as they are."""
    text = str(plain_value(value))
    match = _CALL.match(text)
    if match is None:
        return text
    numbers = ast.literal_eval(match[2])
    made = dt.time(*numbers) if match[1] == "time" else dt.date(*numbers)
    return made.isoformat()


def plain_value(value: Any) -> Any:
    """A value without NumPy: texts, numbers, lists; ``_None_`` is None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, list):
        return [plain_value(item) for item in value[:LONGEST_LIST]]
    return None if value == "_None_" else value
