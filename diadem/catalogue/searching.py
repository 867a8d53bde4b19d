"""Searching: from the text of a search to a page of packages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from sqlalchemy import Connection, func, select

from diadem.catalogue import database as dialects
from diadem.catalogue import faceting, stating, tables
from diadem.catalogue.conditions import Conditions
from diadem.catalogue.database import CHUNK
from diadem.catalogue.driving import count_alone, driver
from diadem.catalogue.expressions import contains
from diadem.catalogue.facet_fields import fields_of, kept_fields
from diadem.catalogue.facet_results import Facets
from diadem.catalogue.facts import SESSION_END
from diadem.catalogue.hints import hint
from diadem.catalogue.judging import differs, leaves
from diadem.catalogue.matching import matching, sizes_of
from diadem.catalogue.meaning import MAX_NAMES, AllOf, Condition, Lookup, Phrase, Within, understand
from diadem.catalogue.package_rows import package_rows
from diadem.catalogue.parsing import parse
from diadem.catalogue.query import And, Term, Tree
from diadem.catalogue.results import SearchResult, StatedDataset, WiderSearch
from diadem.catalogue.samples import meant
from diadem.catalogue.statements import successions
from diadem.catalogue.stating import keys_of
from diadem.catalogue.walking import walk
from diadem.catalogue.weighing import Noted, Scales
from diadem.catalogue.words import padded, words
from diadem.errors import UsageError
from diadem.model.access import Visible
from diadem.model.ownership import Ownership

#: Candidates that are looked at for the sake of the total alone, once the page is full.
COUNTED: Final = 50
ORDERS: Final = ("newest", "oldest")
#: Terms of a search that finds nothing, each of which is left out to see what it then would.
MOST_TERMS: Final = 8
_numbers, _values = tables.numbers.c, tables.facet_values.c


def search(
    connection: Connection,
    query: str,
    *,
    limit: int | None,
    offset: int,
    order: str,
    within: Visible | None = None,
) -> SearchResult:
    """A page of the packages that match; see `Catalogue.search`."""
    _require(limit, offset, order)
    tree = parse(query)
    names = Names(connection)
    condition = _restricted(understand(query, tree, lookup=names.lookup), within)
    conditions = known_conditions(connection)
    noted = Noted(condition)
    keys, total, exact = _page(connection, conditions, noted, limit, offset, rising=order == "oldest")
    rows = package_rows(connection, keys, _matched(connection, conditions, noted, keys))
    counted = partial(_counted, connection, conditions, within)
    advice = "" if total else hint(tree, lambda text: counted(text)[0] > 0)
    wider = () if total else tuple(_wider(query, tree, counted))
    return SearchResult(query, tuple(rows), total, exact, advice, names.asked_in(condition), offset, wider)


def _counted(connection: Connection, conditions: Conditions, within: Visible | None, query: str) -> tuple[int, bool]:
    """How many packages another search finds, and whether that is all of them."""
    condition = _restricted(understand(query, parse(query), lookup=Names(connection).lookup), within)
    _, total, exact = _page(connection, conditions, Noted(condition), COUNTED, 0, rising=False)
    return total, exact


def _wider(query: str, tree: Tree, counted: Callable[[str], tuple[int, bool]]) -> Iterator[WiderSearch]:
    """Searches that leave out one term each of a search that finds nothing, and find something."""
    if not isinstance(tree, And) or len(tree.parts) > MOST_TERMS:
        return
    terms = [part for part in tree.parts if isinstance(part, Term)]
    if len(terms) < len(tree.parts):
        return
    texts = [query[(term.key or term.value).start : term.value.end] for term in terms]
    for place, left_out in enumerate(texts):
        asked = " ".join(texts[:place] + texts[place + 1 :])
        total, exact = counted(asked)
        if total:
            yield WiderSearch(asked, left_out, total, exact)


def _restricted(condition: Condition, within: Visible | None) -> Condition:
    """What is looked for, among packages that somebody may find."""
    if within is None or within.everything:
        return condition
    parts = condition.parts if isinstance(condition, AllOf) else (condition,)
    return AllOf((*parts, Within(within)))


def known_conditions(connection: Connection) -> Conditions:
    """Conditions with the keys that this catalogue knows."""
    codes = {name: code for code, name in connection.execute(select(tables.keys.c.code, tables.keys.c.name))}
    return Conditions(codes, dialects.of(connection))


def facets(connection: Connection, query: str, fields: Sequence[str] | None, top: int) -> Facets:
    """How many of the packages that match have which values; see `Catalogue.facets`."""
    from diadem.catalogue.counting import count_values

    if top < 1:
        raise UsageError("at least one value of each field is counted", next="Example: --top 10")
    faceting.settle(connection)  # where something was written in the same transaction
    chosen = fields_of(fields)
    condition = understand(query, parse(query), lookup=Names(connection).lookup)
    found, total, exact = count_values(connection, known_conditions(connection), condition, chosen, top)
    return Facets(query, tuple(facet for facet in found if facet.values), total, exact)


def stated(connection: Connection, query: str, ids: Sequence[str], fields: Sequence[str]) -> list[StatedDataset]:
    """Datasets that match in some packages, with what they state; see `Catalogue.stated`."""
    keys = keys_of(fields)
    condition = understand(query, parse(query), lookup=Names(connection).lookup)
    return stating.stated(connection, known_conditions(connection), condition, ids, keys)


class Names:
    """What a search asks for by name: other names of samples, of which it remembers how they are written; and texts.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._written: dict[tuple[str, ...], str] = {}

    @property
    def lookup(self) -> Lookup:
        """For `understand`."""
        return Lookup(self.of_sample, self.texts, self.of_owner, self.older)

    def texts(self, keys: tuple[str, ...], part: str, ends: bool) -> list[tuple[str, ...]] | None:
        """The words of all texts of some keys that have a part, or end with it; see `Looking`."""
        fields = [
            field.number for field in kept_fields().values() if field.kind == "text" and set(keys) <= set(field.keys)
        ]
        if not fields:
            return None
        faceting.settle(self._connection)
        has = _values.name.endswith(part, autoescape=True) if ends else contains(_values.name, part)
        found = select(_values.name).where(_values.facet == fields[0], _values.packages > 0, has).order_by(_values.name)
        return [tuple(name.split()) for name in self._connection.scalars(found.limit(MAX_NAMES + 1))]

    def of_owner(self, asked: tuple[str, ...]) -> list[tuple[str, ...]]:
        """The words of the names of those who were followed by somebody who is called so."""
        known = successions(self._connection)
        heirs = {name: Ownership.of(name, known).now for name in known}
        wanted = f" {' '.join(asked)} "
        return [tuple(words(name)) for name, heir in sorted(heirs.items()) if wanted in padded(heir)]

    def of_sample(self, asked: tuple[str, ...]) -> list[tuple[str, ...]]:
        """The words of other names of a sample; see `Naming`."""
        rows = meant(self._connection, asked)
        self._written |= {row.words: row.text for row in rows}
        return [row.words for row in rows]

    def older(self, key: int, moment: float) -> int | None:
        """The smallest key before one, of a session that lasted until a moment or longer; see `Lasting`."""
        end = select(tables.keys.c.code).where(tables.keys.c.name == SESSION_END).scalar_subquery()
        lasted = (_numbers.key == end, _numbers.number >= moment, _numbers.package < key)
        found: int | None = self._connection.scalar(select(func.min(_numbers.package)).where(*lasted))
        return found

    def asked_in(self, condition: Condition) -> tuple[str, ...]:
        """Names that a condition asks for beside those of the query."""
        others = (one.words for leaf in leaves(condition) if isinstance(leaf, Phrase) for one in leaf.others)
        return tuple(sorted({self._written[words] for words in others if words in self._written}))


def _require(limit: int | None, offset: int, order: str) -> None:
    if order not in ORDERS:
        raise UsageError(f"'{order}' is not an order of packages", next=f"One of {', '.join(ORDERS)}.")
    if offset < 0 or (limit is not None and limit < 0):
        raise UsageError("a page cannot begin or end before the first package")


def _page(
    connection: Connection,
    conditions: Conditions,
    noted: Noted,
    limit: int | None,
    offset: int,
    *,
    rising: bool,
) -> tuple[list[int], int, bool]:
    """Keys of the page; how many match as far as they were counted; and whether that is all."""
    condition, weigher = noted.condition, partial(Scales, noted=noted)
    source = driver(connection, conditions, condition)
    keys: list[int] = []
    total = beyond = 0
    ended = False

    def enough() -> bool:
        """Whether the page is full: for the total alone nothing is looked for further away."""
        nonlocal ended
        ended = len(keys) == limit
        return ended

    for key, hit in walk(connection, conditions, condition, source, rising=rising, weigher=weigher, enough=enough):
        if len(keys) == limit:
            # The page is full: the rest is looked at for the total alone, if it cannot be counted.
            if not beyond and (known := count_alone(connection, conditions, condition, source)) is not None:
                return keys, *known
            if beyond == COUNTED:
                return keys, total, False
            beyond += 1
        if hit:
            total += 1
            if total > offset and len(keys) != limit:
                keys.append(key)
    return keys, total, not ended


def _matched(
    connection: Connection, conditions: Conditions, noted: Noted, keys: Sequence[int]
) -> dict[int, int] | None:
    """Datasets of each package that match; None where the condition makes no difference between them."""
    if not differs(noted.condition):
        return None
    unknown = [key for key in keys if key not in noted.datasets]
    for start in range(0, len(unknown), CHUNK):
        part = unknown[start : start + CHUNK]
        known = {key: noted.sizes[key] for key in part if key in noted.sizes}
        sizes = known if len(known) == len(part) else sizes_of(connection, part)
        noted.datasets |= matching(connection, conditions, noted.condition, sizes, noted.held)
    return noted.datasets
