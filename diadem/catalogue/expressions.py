"""Types and conditions that each database writes in its own way: `sqlite.py` and `postgres.py` say how."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, Self

from sqlalchemy import BigInteger, Boolean, ColumnElement, Dialect, Text, bindparam
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeDecorator, TypeEngine

#: What an index says of the columns that stand beside its own, so that a search need not look into the table.
BESIDE: Final = "beside"


class ByteText(Text):
    """A text that is compared and ordered byte by byte, whatever language the server of a database speaks."""


class ListOf(TypeDecorator[Sequence[Any]]):
    """Many values as one: an array where the database has such, else JSON.

    Keys are written as text, which PostgreSQL takes apart: a driver would go through a list one key at a time.
    """

    impl = Text
    cache_ok = True

    def __init__(self, item: TypeEngine[Any]) -> None:
        self.item = item
        self.keys = isinstance(item, BigInteger)
        super().__init__()

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """An array, or a text."""
        if dialect.name != "postgresql" or self.keys:
            return dialect.type_descriptor(Text())
        from sqlalchemy.dialects.postgresql import ARRAY

        return dialect.type_descriptor(ARRAY(self.item))

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        """The values as the driver takes them."""
        given = list(value or ())
        if dialect.name != "postgresql":
            return json.dumps(given)
        return f"{{{','.join(map(str, given))}}}" if self.keys else given


class Condition(FunctionElement[bool]):
    """A condition as it is written: SQLAlchemy would add ``= 1`` for SQLite, and then no index would be used."""

    inherit_cache = True

    def self_group(self, against: OperatorType | None = None) -> Self:  # noqa: ARG002
        """Itself."""
        return self


class Among(Condition):
    """Whether a column is one of many values."""

    type = Boolean()
    inherit_cache = True
    name = "among"


class Contains(Condition):
    """Whether a text is in a column's."""

    type = Boolean()
    inherit_cache = True
    name = "contains"


class ContainsOne(Condition):
    """Whether one of many texts is in a column's."""

    type = Boolean()
    inherit_cache = True
    name = "contains_one"


def among(column: ColumnElement[int], keys: Sequence[int]) -> ColumnElement[bool]:
    """Whether a column is one of many keys: one value for the database, however many they are."""
    return Among(column, bindparam(None, list(keys), type_=ListOf(BigInteger())))


def among_texts(column: ColumnElement[str], texts: Sequence[str]) -> ColumnElement[bool]:
    """The same of texts."""
    return Among(column, bindparam(None, list(texts), type_=ListOf(Text())))


def contains(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Whether a text is in a column's, letter for letter."""
    return Contains(column, bindparam(None, text, type_=Text()))


def contains_one(column: ColumnElement[str], texts: Sequence[str]) -> ColumnElement[bool]:
    """Whether one of many texts is in a column's: one value for the database, however many they are."""
    return ContainsOne(column, bindparam(None, list(texts), type_=ListOf(Text())))
