"""What access to a package depends on: whether it is there, and to which project and samples it belongs.

Everything is asked by the whole id and in the same number of questions, whether the package is known or not: whoever
measures how long an answer takes learns nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, exists, or_, select

from diadem.catalogue import tables
from diadem.catalogue.amended_facts import Values, sealed_values, weighed
from diadem.catalogue.dataset_sets import bits_of, full
from diadem.catalogue.fact_rows import select_codes
from diadem.catalogue.log_statements import entries_of, lines_about
from diadem.catalogue.tables import among_texts
from diadem.catalogue.vocabulary import SAMPLE_KEYS
from diadem.catalogue.words import padded, words
from diadem.model.access import PROJECT, SAMPLE, Reach, Visible
from diadem.model.amendments import Amendment, Corrections
from diadem.model.ownership import Ownership

#: Fields that say what a package belongs to.
BELONGING: Final[Mapping[str, tuple[str, ...]]] = {PROJECT: ("session.project",), SAMPLE: SAMPLE_KEYS}
_KEYS: Final = tuple(key for keys in BELONGING.values() for key in keys)
_packages, _phrases, _sealed = tables.packages.c, tables.phrases.c, tables.sealed_facts.c
_keys, _datasets = tables.keys.c, tables.datasets.c

Sql = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class AccessFacts:
    """A package as the catalogue has it, as far as access depends on it."""

    known: bool
    deleted: bool  # on purpose
    datasets: int  # how many
    sealed: Mapping[str, Values]  # by field, what its sealed record states
    #: Place in the log and envelope of every amendment of it; whose they are is for the reader to judge.
    amendments: Sequence[tuple[int, bytes]]
    numbers: Mapping[str, int]  # of datasets that amendments name, by id

    def belongs(
        self, scope: str, amendments: Collection[Amendment], ownership: Ownership
    ) -> tuple[frozenset[tuple[str, ...]], frozenset[tuple[str, ...]]]:
        """Words of the names of projects or samples of the whole package, and those of some of its datasets.

        Of the amendments are given those that are by whom they say; only what the owners said counts.
        """
        corrections, every = Corrections(amendments, ownership), full(self.datasets)
        whole, partly = set[tuple[str, ...]](), set[tuple[str, ...]]()
        for key in BELONGING[scope]:
            own = {one: 1 << self.numbers[one] for one in corrections.datasets(key) if one in self.numbers}
            holds, _ = weighed(dict(self.sealed.get(key, {})), corrections, key, own, every)
            for value, bits in holds.items():
                if isinstance(value, str) and bits and (name := tuple(words(value))):
                    (whole if bits == every else partly).add(name)
        return frozenset(whole), frozenset(partly - whole)


def access_facts(connection: Connection, digits: str) -> AccessFacts:
    """What access to a package depends on, by the hex digits of its id; five questions, whatever they find."""
    row = connection.execute(select(_packages.tombstone, _packages.datasets).where(_packages.id == digits)).first()
    count = row.datasets if row else 0
    own = select(_packages.seq).where(_packages.id == digits).scalar_subquery()
    stated = select(_keys.name, _phrases.text, _phrases.everywhere, _phrases.datasets)
    stated = stated.join_from(tables.phrases, tables.keys, _phrases.key == _keys.code)
    found: dict[str, Values] = {}
    stated = stated.where(_phrases.package == own, _keys.name.in_(_KEYS))
    for key, text, everywhere, datasets in connection.execute(stated):
        found.setdefault(key, {})[text] = bits_of(everywhere, datasets, full(count))
    aside = select(_keys.name, _sealed.facts).join_from(tables.sealed_facts, tables.keys, _sealed.key == _keys.code)
    for key, facts in connection.execute(aside.where(_sealed.package == own, _keys.name.in_(_KEYS))):
        found[key] = sealed_values(facts)
    amendments = lines_about(connection, [digits], "amendment")
    rows = select(_datasets.id, _datasets.number).where(_datasets.package == own)
    changes = (one for entry in entries_of(amendments) for one in entry.statement.predicate["changes"])
    named = dict.fromkeys(str(one["dataset"]) for one in changes if one.get("dataset"))
    numbers = {one.id: one.number for one in connection.execute(rows.where(among_texts(_datasets.id, list(named))))}
    deleted = row is not None and row.tombstone is not None
    return AccessFacts(row is not None, deleted, count, found, amendments, numbers)


# All that somebody may find


def reached(visible: Visible) -> Sql:
    """Whether a package is one of those that somebody may find; records that were amended are named by their ids."""
    if visible.everything:
        return _packages.id.is_not(None)
    return or_(False, *map(_of_reach, visible.reaches))


def _of_reach(reach: Reach) -> Sql:
    parts: list[Sql] = [among_texts(_packages.owner, sorted(reach.owners))]
    if reach.packages is not None:
        parts.append(among_texts(_packages.id, sorted(reach.packages)))
    if reach.scope:
        codes = select_codes(*BELONGING[reach.scope])
        names = sorted(padded(" ".join(name)) for name in reach.names)
        stated = (_phrases.package == _packages.seq, _phrases.key.in_(codes), _phrases.everywhere.is_(True))
        parts.append(exists().where(*stated, among_texts(_phrases.words, names)))
        parts.append(~exists().where(_sealed.package == _packages.seq, _sealed.key.in_(codes)))
    return and_(*parts)


def amended_within(connection: Connection, reach: Reach) -> list[tuple[str, str]]:
    """Ids and owners of packages of which somebody has said otherwise what they belong to: they are few."""
    codes = select_codes(*BELONGING[reach.scope])
    rows = select(_packages.id, _packages.owner).where(
        among_texts(_packages.owner, sorted(reach.owners)),
        _packages.seq.in_(select(_sealed.package).where(_sealed.key.in_(codes))),
        tables.alive(),
    )
    return [(str(digits), str(owner)) for digits, owner in connection.execute(rows)]


def ids_reached(connection: Connection, visible: Visible) -> frozenset[str]:
    """Which packages that are."""
    rows = select(_packages.id).where(reached(visible), tables.alive())
    return frozenset(map(str, connection.scalars(rows)))
