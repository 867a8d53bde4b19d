"""Searching: from the text of a search to a page of packages, to counts of their values, to what datasets state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from sqlalchemy import Connection, func, select

from diadem.catalogue import database, facet_counts, tables, vocabulary
from diadem.catalogue.candidates import Candidates, candidates_of, count_alone
from diadem.catalogue.conditions import (
    NOTHING,
    AllOf,
    Condition,
    FactReader,
    Judged,
    Phrase,
    Unjudged,
    Within,
    differs,
    doubtful,
    leaves,
    one_judgement,
    parts_of,
)
from diadem.catalogue.dataset_sets import numbers
from diadem.catalogue.facet_counts import ValueCount, facets_of, kept_facet
from diadem.catalogue.facets import QUALITIES, QUALITY, FacetField, Facets, fields_of, kept_fields
from diadem.catalogue.fact_rows import select_codes, values_of
from diadem.catalogue.facts import SESSION_END
from diadem.catalogue.known_samples import meant
from diadem.catalogue.log_statements import successions
from diadem.catalogue.matching import CandidateFilter, Verdicts, found_among, matching, sizes_of, walk
from diadem.catalogue.package_rows import package_rows
from diadem.catalogue.packages import count
from diadem.catalogue.quantities import Unreadable, in_unit, is_number, split
from diadem.catalogue.query import MAX_NAMES, Names, Term, judgement, parse
from diadem.catalogue.results import SearchResult, StatedDataset, WiderSearch
from diadem.catalogue.tables import among, among_texts, contains
from diadem.catalogue.words import padded, words
from diadem.errors import UsageError
from diadem.model.access import Visible
from diadem.model.manifest import PREFIX
from diadem.model.ownership import Ownership

#: Candidates that are looked at for the sake of the total alone, once the page is full.
COUNTED: Final = 50
ORDERS: Final = ("newest", "oldest")
#: Terms of a search that finds nothing, each of which is left out to see what it then would.
MOST_TERMS: Final = 8
#: Packages that are counted at most: where all their datasets match; where each is looked at; and by a field that is
#: not kept for counting.
MOST, MOST_LOOKED_AT, MOST_UNKEPT = 20_000, 2_000, 2_000
#: Candidates that are looked at for these, and in one go.
_CANDIDATES: Final = 10_000
_TOGETHER: Final = 1_000
#: The shortest word of which a beginning is proposed, fields that are proposed for a value, and words that are tried.
_SHORTEST, _NAMED, _TRIED = 3, 2, 8
_packages, _numbers, _values = tables.packages.c, tables.numbers.c, tables.facet_values.c


def search(
    connection: Connection,
    query: str = "",
    *,
    limit: int | None = 50,
    offset: int = 0,
    order: str = "newest",
    within: Visible | None = None,
) -> SearchResult:
    """Find packages, newest first, those of one day by id. The language is told in `query`.

    With a `limit`, the total may be *at least* that many: see `SearchResult.exact`. `order` is ``newest`` or
    ``oldest``; only packages that somebody may find lie `within`. Raises `UsageError`, with carets under the word.
    """
    if order not in ORDERS:
        raise UsageError(f"'{order}' is not an order of packages", next=f"One of {', '.join(ORDERS)}.")
    if offset < 0 or (limit is not None and limit < 0):
        raise UsageError("a page cannot begin or end before the first package")
    names, reader = CatalogueNames(connection), FactReader(connection)
    asked = parse(query, names)
    condition = _restricted(asked.condition, within)
    keys, total, exact, known = _page(reader, condition, limit, offset, rising=order == "oldest")
    rows = package_rows(connection, keys, _matched(reader, condition, keys, known))
    others = names.asked_in(condition)
    if total:
        return SearchResult(query, tuple(rows), total, exact, "", others, offset)

    def counted(other: str) -> tuple[int, bool]:
        """How many packages another search finds, and whether that is all of them."""
        asked_for = _restricted(parse(other, CatalogueNames(connection)).condition, within)
        _, found, is_all, _ = _page(reader, asked_for, COUNTED, 0, rising=False)
        return found, is_all

    advice = _hint(asked.asked, lambda text: counted(text)[0] > 0)
    return SearchResult(query, (), total, exact, advice, others, offset, tuple(_wider(query, asked.row, counted)))


def _restricted(condition: Condition, within: Visible | None) -> Condition:
    """What is looked for, among packages that somebody may find."""
    if within is None or within.everything:
        return condition
    return AllOf((*parts_of(condition), Within(within)))


def _page(
    reader: FactReader, condition: Condition, limit: int | None, offset: int, *, rising: bool
) -> tuple[list[int], int, bool, CandidateFilter | None]:
    """Keys of the page; how many match as far as they were counted, and whether that is all; what is known of them."""
    source, known = candidates_of(reader, condition), None
    keys: list[int] = []
    total = beyond = 0
    ended = False

    def enough() -> bool:
        """Whether the page is full: for the total alone nothing is looked for further away."""
        nonlocal ended
        ended = len(keys) == limit
        return ended

    def verdicts(part: Condition, own: Candidates) -> Verdicts:
        nonlocal known
        made = CandidateFilter(reader, part, own)
        known = made if part is condition else None  # of a part of it, it says nothing of the datasets
        return made.verdicts

    for key, hit in walk(reader, condition, source, rising=rising, verdicts=verdicts, enough=enough):
        if len(keys) == limit:
            # The page is full: the rest is looked at for the total alone, if it cannot be counted.
            if not beyond and (counted := count_alone(reader, condition, source)) is not None:
                return keys, *counted, known
            if beyond == COUNTED:
                return keys, total, False, known
            beyond += 1
        if hit:
            total += 1
            if total > offset and len(keys) != limit:
                keys.append(key)
    return keys, total, not ended, known


def _matched(
    reader: FactReader, condition: Condition, keys: Sequence[int], known: CandidateFilter | None
) -> dict[int, int] | None:
    """Datasets of each package that match; None where the condition makes no difference between them."""
    if not differs(condition):
        return None
    found = known.datasets if known else {}
    unknown = [key for key in keys if key not in found]
    for part in database.chunks(unknown):
        sizes = {key: known.sizes[key] for key in part if key in known.sizes} if known else {}
        if len(sizes) < len(part):
            sizes = sizes_of(reader.connection, part)
        found |= matching(reader, condition, sizes, known.held if known else None)
    return found


class CatalogueNames(Names):
    """Names that a catalogue knows. It remembers how other names of samples are written."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._written: dict[tuple[str, ...], str] = {}

    def of_sample(self, asked: tuple[str, ...]) -> list[tuple[str, ...]]:
        rows = meant(self._connection, asked)
        self._written |= {row.words: row.text for row in rows}
        return [row.words for row in rows]

    def of_owner(self, asked: tuple[str, ...]) -> list[tuple[str, ...]]:
        known = successions(self._connection)
        heirs = {name: Ownership.of(name, known).now for name in known}
        wanted = f" {' '.join(asked)} "
        return [tuple(words(name)) for name, heir in sorted(heirs.items()) if wanted in padded(heir)]

    def texts(self, keys: tuple[str, ...], part: str, *, ends: bool) -> list[tuple[str, ...]] | None:
        numbers = [one.number for one in kept_fields().values() if one.kind == "text" and set(keys) <= set(one.keys)]
        if not numbers:
            return None
        facet_counts.settle(self._connection)
        has = _values.name.endswith(part, autoescape=True) if ends else contains(_values.name, part)
        found = select(_values.name).where(_values.facet == numbers[0], _values.packages > 0, has)
        texts = self._connection.scalars(found.order_by(_values.name).limit(MAX_NAMES + 1))
        return [tuple(name.split()) for name in texts]

    def older(self, key: int, moment: float) -> int | None:
        lasted = (
            _numbers.key == select_codes(SESSION_END).scalar_subquery(),
            _numbers.number >= moment,
            _numbers.package < key,
        )
        found: int | None = self._connection.scalar(select(func.min(_numbers.package)).where(*lasted))
        return found

    def asked_in(self, condition: Condition) -> tuple[str, ...]:
        """Names that a condition asks for beside those of the query."""
        others = (one.words for leaf in leaves(condition) if isinstance(leaf, Phrase) for one in leaf.others)
        return tuple(sorted({self._written[words] for words in others if words in self._written}))


def _wider(query: str, row: Sequence[Term], counted: Callable[[str], tuple[int, bool]]) -> Iterator[WiderSearch]:
    """Searches that leave out one term each of a search that finds nothing, and find something."""
    if not 1 < len(row) <= MOST_TERMS:
        return
    texts = [query[term.start : term.end] for term in row]
    for place, left_out in enumerate(texts):
        asked = " ".join(texts[:place] + texts[place + 1 :])
        total, exact = counted(asked)
        if total:
            yield WiderSearch(asked, left_out, total, exact)


def _hint(terms: Sequence[Term], finds: Callable[[str], bool]) -> str:
    """One piece of advice for who found nothing, or "": on a number without unit or field, else on a whole word.

    `finds` says whether another search finds anything.
    """
    told = (text for advice in (_on_unit, _on_field) for term in terms if (text := advice(term)))
    if found := next(told, ""):
        return found
    for term in terms[:_TRIED]:
        text = term.value.text
        if term.key is not None or term.value.quoted or len(text) < _SHORTEST or "*" in text or not text[-1].isalnum():
            continue
        if not finds(text) and finds(f"{text}*"):
            return f"Whole words only; {text}* also matches longer words."
    return ""


def _on_unit(term: Term) -> str:
    key, text = vocabulary.find(term.key.text) if term.key else None, term.value.text
    if key is None or key.kind != "number" or key.bare or key.unit in ("", "1") or not is_number(text):
        return ""
    return f"{key.name}: {text} was taken for {text} {key.unit}; write the unit after the number."


def _on_field(term: Term) -> str:
    """On a value with its unit that stands alone: which fields it may be of."""
    text = term.value.text
    if term.key is not None or term.value.quoted or is_number(text):
        return ""
    names = [name for name, unit in vocabulary.measured().items() if _goes_with(unit, text)][:_NAMED]
    return f"{text} is a word here. As a value: {' or '.join(f'{name}={text}' for name in names)}" if names else ""


def _goes_with(unit: str, text: str) -> bool:
    try:
        in_unit(*split(text), unit)
    except Unreadable:
        return False
    return True


def facets(connection: Connection, query: str = "", *, fields: Sequence[str] | None = None, top: int = 10) -> Facets:
    """How many of the packages that a search finds have which instrument, year, sample and so on.

    Where very many packages match, the newest of them are counted: see `Facets.exact`. Raises `UsageError`.
    """
    if top < 1:
        raise UsageError("at least one value of each field is counted", next="Example: --top 10")
    facet_counts.settle(connection)  # where something was written in the same transaction
    chosen = fields_of(fields)
    kept = all(one.number for one in chosen)
    condition = parse(query, CatalogueNames(connection)).condition
    if condition == AllOf(()) and kept:
        made, total, exact = [kept_facet(connection, one, top) for one in chosen], count(connection), True
    else:
        reader = FactReader(connection)
        sizes, bits, exact = _newest(reader, condition, kept=kept)
        total = len(sizes)
        made = facets_of(connection, chosen, sizes, bits, top, _qualities(reader, condition, sizes, chosen))
    return Facets(query, tuple(facet for facet in made if facet.values), total, exact)


def _newest(reader: FactReader, condition: Condition, *, kept: bool) -> tuple[dict[int, int], dict[int, int], bool]:
    """The newest packages that match.

    How many datasets each has; which of them match, where they differ in that; and whether these packages are all.
    """
    most = MOST if not differs(condition) else MOST_LOOKED_AT
    most = most if kept else min(most, MOST_UNKEPT)
    source = candidates_of(reader, condition)
    sizes: dict[int, int] = {}
    bits: dict[int, int] = {}
    if not doubtful(condition) and source.covers(condition):
        # Every candidate matches.
        keys = source.keys(reader.connection, most + 1)
        for some in database.chunks(keys[:most]):
            part = sizes_of(reader.connection, some)
            sizes |= part
            if differs(condition):
                bits |= matching(reader, condition, part)
        return sizes, bits, len(keys) <= most

    def verdicts(part: Condition, _: Candidates) -> Verdicts:
        """Which datasets match: who counts must know that anyhow."""

        def said(keys: Sequence[int]) -> dict[int, int]:
            some, found = found_among(reader, part, keys)
            sizes.update(some)
            return dict.fromkeys(keys, 0) | found

        return said

    walked = walk(reader, condition, source, rising=False, verdicts=verdicts, most=_TOGETHER)
    for seen, (key, found) in enumerate(walked):
        if len(bits) == most or seen == _CANDIDATES:
            return {key: sizes[key] for key in bits}, bits, False
        if found:
            bits[key] = found
    return {key: sizes[key] for key in bits}, bits, True


def _qualities(
    reader: FactReader, condition: Condition, sizes: dict[int, int], fields: Sequence[FacetField]
) -> dict[str, dict[str, ValueCount]]:
    """Qualities, where the search asks for judgements already: the same judgement must say both."""
    asked = any(isinstance(leaf, Judged | Unjudged) for leaf in leaves(condition))
    if not asked or all(one.kind != QUALITY for one in fields):
        return {}
    tallies: dict[str, ValueCount] = {}
    for name in QUALITIES:
        narrowed, tally = one_judgement([condition, judgement(QUALITY, name)]), ValueCount()
        for part in database.chunks(sizes if narrowed != NOTHING else ()):
            for bits in matching(reader, narrowed, {key: sizes[key] for key in part}).values():
                if bits:
                    tally.add(bits, listed=True)
        if tally.packages:
            tallies[name] = tally
    return {QUALITY: tallies}


def stated(connection: Connection, query: str, ids: Sequence[str], fields: Sequence[str]) -> list[StatedDataset]:
    """Datasets that match in some packages, those of a package in order, each with what it states of some fields."""
    keys = vocabulary.stated_fields(fields)
    condition, reader = parse(query, CatalogueNames(connection)).condition, FactReader(connection)
    columns = tables.datasets.c
    found: list[StatedDataset] = []
    for part in database.chunks(one.removeprefix(PREFIX) for one in ids):
        packages = select(_packages.seq, _packages.id, _packages.datasets)  # some may be deleted since the search
        rows = connection.execute(packages.where(among_texts(_packages.id, part), tables.alive())).all()
        bits = matching(reader, condition, {row.seq: row.datasets for row in rows})
        wanted = {package: some & ~1 for package, some in bits.items()}
        values = {
            name: values_of(connection, tables.numbers if key.kind == "number" else tables.phrases, key.of, wanted)
            for name, key in keys.items()
        }
        datasets = select(columns.package, columns.number, columns.id, columns.path)
        named = connection.execute(datasets.where(among(columns.package, list(wanted))))
        id_and_path = {(package, number): (id_, path) for package, number, id_, path in named}
        order = {digits: place for place, digits in enumerate(part)}
        for row in sorted(rows, key=lambda row: order[row.id]):
            for number in numbers(wanted[row.seq]):
                own = {name: tuple(of.get((row.seq, number), ())) for name, of in values.items()}
                found.append(StatedDataset(PREFIX + row.id, *id_and_path[row.seq, number], number, own))
    return found
