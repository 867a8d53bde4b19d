"""Rows of an SQLite table as values: each member of a dataclass is a column, kept by its type."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from sqlite3 import Connection
from typing import Any, Final, Generic, TypeVar, get_origin, get_type_hints

from diadem.errors import UsageError
from diadem.model.times import read_time, time_text

_Value = TypeVar("_Value")
_Way = Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _document(value: Any) -> str:
    return json.dumps(dict(value) if isinstance(value, Mapping) else value.to_dict())


#: Into a column and back.
_KEPT: Final[Mapping[Any, tuple[_Way, _Way]]] = {
    datetime: (time_text, read_time),
    bool: (int, bool),
    bytes: (_same, bytes),
    tuple: (" ".join, _words),
    Mapping: (_document, json.loads),
}


def _ways(kind: Any) -> tuple[_Way, _Way]:
    kind = get_origin(kind) or kind
    if kind in _KEPT:
        return _KEPT[kind]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return str, kind
    if is_dataclass(kind):
        return _document, lambda text: kind(**json.loads(text))  # type: ignore[operator]  # a class
    return _same, _same


class Table(Generic[_Value]):
    """A table of values. Columns that are no member of the value are given by name where a row is added.

    Parameters
    ----------
    name : str
        Of the table.
    kind : type
        A dataclass of texts, numbers, moments (aware), tuples of words, enumerations, and what is written as JSON.
    """

    def __init__(self, name: str, kind: type[_Value]) -> None:
        hints = get_type_hints(kind)
        self._name, self._kind = name, kind
        self._ways = {one.name: _ways(hints[one.name]) for one in fields(kind)}  # type: ignore[arg-type]
        self._columns = ", ".join(f'"{name}"' for name in self._ways)

    def add(self, connection: Connection, value: _Value, /, *, otherwise: str = "ABORT", **more: Any) -> bool:
        """Add a row, or do what SQLite calls so where it is there: ``REPLACE``, ``IGNORE``. Whether it was added."""
        row = {name: into(getattr(value, name)) for name, (into, _) in self._ways.items()} | more
        names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
        sql = f"INSERT OR {otherwise} INTO {self._name} ({names}) VALUES ({marks})"  # noqa: S608  names of our own
        return bool(connection.execute(sql, list(row.values())).rowcount)

    def find(self, connection: Connection, rule: str, *values: Any) -> list[_Value]:
        """The rows of a rule: ``WHERE id = ?``, with what stands for its question marks."""
        sql = f"SELECT {self._columns} FROM {self._name} {rule}"  # noqa: S608  rules of our own
        rows = connection.execute(sql, values).fetchall()
        back = [(name, way) for name, (_, way) in self._ways.items()]
        return [
            self._kind(**{name: way(column) for (name, way), column in zip(back, row, strict=True)}) for row in rows
        ]

    def change(self, connection: Connection, rule: str, /, *values: Any, **members: Any) -> int:
        """Change members of the rows of a rule; how many there are."""
        if unknown := members.keys() - self._ways:
            raise UsageError(f"{', '.join(sorted(unknown))} cannot be changed: {self._name} have no such member")
        if not members:
            return 0
        setting = ", ".join(f'"{name}" = ?' for name in members)
        row = [self._ways[name][0](value) for name, value in members.items()]
        sql = f"UPDATE {self._name} SET {setting} {rule}"  # noqa: S608  checked above
        return connection.execute(sql, [*row, *values]).rowcount
