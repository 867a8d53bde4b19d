"""Searching: from the text of a search to a page of packages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, select

from diadem.errors import UsageError
from diadem.node.catalogue import dialects, tables
from diadem.node.catalogue.conditions import Conditions
from diadem.node.catalogue.driving import count_alone, driver
from diadem.node.catalogue.expressions import among
from diadem.node.catalogue.hints import hint
from diadem.node.catalogue.judging import differs, leaves
from diadem.node.catalogue.matching import matching
from diadem.node.catalogue.meaning import Condition, Phrase, understand
from diadem.node.catalogue.parsing import parse
from diadem.node.catalogue.reading import CHUNK, package_rows
from diadem.node.catalogue.results import SearchResult
from diadem.node.catalogue.samples import meant
from diadem.node.catalogue.walking import walk

#: Candidates that are looked at for the sake of the total alone, once the page is full; where words of few packages
#: are not looked up in their index but in the facts, which takes longer, a part of them.
COUNTED: Final = 500
_FEWER: Final = 5
ORDERS: Final = ("newest", "oldest")
_packages = tables.packages.c


def search(connection: Connection, query: str, *, limit: int | None, offset: int, order: str) -> SearchResult:
    """A page of the packages that match; see `Catalogue.search`."""
    _require(limit, offset, order)
    tree = parse(query)
    names = _Names(connection)
    condition = understand(query, tree, naming=names)
    codes = {name: code for code, name in connection.execute(select(tables.keys.c.code, tables.keys.c.name))}
    conditions = Conditions(codes, dialects.of(connection))
    keys, total, exact = _page(connection, conditions, condition, limit, offset, rising=order == "oldest")
    rows = package_rows(connection, keys, _matched(connection, conditions, condition, keys))
    return SearchResult(query, tuple(rows), total, exact, "" if total else hint(tree), names.asked_in(condition))


class _Names:
    """Other names of the samples that a search asks for; remembers how they are written.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._written: dict[tuple[str, ...], str] = {}

    def __call__(self, asked: tuple[str, ...]) -> list[tuple[str, ...]]:
        rows = meant(self._connection, asked)
        self._written |= {row.words: row.text for row in rows}
        return [row.words for row in rows]

    def asked_in(self, condition: Condition) -> tuple[str, ...]:
        """Names that a condition asks for beside those of the query."""
        others = (one for leaf in leaves(condition) if isinstance(leaf, Phrase) for one in leaf.others)
        return tuple(sorted({self._written[one.words] for one in others}))


def _require(limit: int | None, offset: int, order: str) -> None:
    if order not in ORDERS:
        raise UsageError(f"'{order}' is no order of packages", next=f"One of {', '.join(ORDERS)}.")
    if offset < 0 or (limit is not None and limit < 0):
        raise UsageError("a page cannot begin or end before the first package")


def _page(
    connection: Connection,
    conditions: Conditions,
    condition: Condition,
    limit: int | None,
    offset: int,
    *,
    rising: bool,
) -> tuple[list[int], int, bool]:
    """Keys of the page; how many match as far as they were counted; and whether that is all."""
    source = driver(connection, conditions, condition)
    counted = COUNTED if conditions.database.LOOKS_UP_WORDS else COUNTED // _FEWER
    keys: list[int] = []
    total = beyond = 0
    for key, hit in walk(connection, conditions, condition, source, rising=rising):
        if len(keys) == limit:
            # The page is full: the rest is looked at for the total alone, if it cannot be counted.
            if not beyond and (known := count_alone(connection, conditions, condition, source)) is not None:
                return keys, *known
            if beyond == counted:
                return keys, total, False
            beyond += 1
        if hit:
            total += 1
            if total > offset and len(keys) != limit:
                keys.append(key)
    return keys, total, True


def _matched(
    connection: Connection, conditions: Conditions, condition: Condition, keys: Sequence[int]
) -> dict[int, int] | None:
    """Datasets of each package that match; None where the condition makes no difference between them."""
    if not differs(condition):
        return None
    found: dict[int, int] = {}
    for start in range(0, len(keys), CHUNK):
        part = keys[start : start + CHUNK]
        sizes = select(_packages.seq, _packages.datasets).where(among(_packages.seq, part))
        found |= matching(connection, conditions, condition, dict(connection.execute(sizes).all()))
    return found
