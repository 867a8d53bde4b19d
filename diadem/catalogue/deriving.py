"""What was made from what: links between packages, and doubts that they hand down. In the transaction of the caller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import CTE, ColumnElement, Connection, Select, select

from diadem.catalogue import dialects, saying, tables
from diadem.catalogue.assessing import counting_of, paths_of
from diadem.catalogue.expressions import among_texts
from diadem.model.assessments import Assessment, current
from diadem.model.lineage import MAX_ANCESTORS, MAX_GENERATIONS, Caution, Source, ancestors, cautions
from diadem.model.manifest import PREFIX, PackageId

_links = tables.derivations.c
_packages = tables.packages.c


def add(connection: Connection, statement_id: str, result: str, sources: Iterable[Source]) -> None:
    """Note from what a package was made, once."""
    known = select(_links.source).where(_links.result == PackageId(result).hex, _links.statement_id == statement_id)
    if connection.scalar(known.limit(1)) is None:
        made = {(PackageId(one.package).hex, one.path) for one in sources}
        rows = ((PackageId(result).hex, source, path, statement_id) for source, path in sorted(made))
        dialects.insert_rows(connection, tables.derivations, rows)


def sources_of(connection: Connection, results: Sequence[str]) -> dict[str, list[Source]]:
    """Direct sources of packages, by id; nothing for those that were made of nothing known."""
    hexes = [PackageId(one).hex for one in results]
    rows = select(_links.result, _links.source, _links.path).where(among_texts(_links.result, hexes)).distinct()
    found: dict[str, list[Source]] = {}
    for result, source, path in connection.execute(rows):
        found.setdefault(PREFIX + result, []).append(Source(PREFIX + source, path))
    return found


def cautions_of(
    connection: Connection,
    packages: Sequence[str],
    known: Mapping[int, Sequence[Assessment]] | None = None,
    keys: Mapping[str, int] | None = None,
) -> dict[str, list[Caution]]:
    """Doubts about packages and about what they were made from, by id; nothing for those without any.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    packages : sequence of str
        Their ids.
    known : mapping of int to sequence, optional
        Judgements that count, by the key of a package, as far as they are at hand.
    keys : mapping of str to int, optional
        Keys of packages that are not deleted, by their ids, as far as they are at hand.
    """
    links = _links_above(connection, packages)
    above = {package: ancestors(package, links) if package in links else [] for package in packages}
    concerned = list(dict.fromkeys([*packages, *(one.package for found in above.values() for one in found)]))
    doubts = _judged(connection, concerned, known or {}, keys or {})
    found: dict[str, list[Caution]] = {}
    for package, before in above.items():
        own: list[Caution] = []
        for ancestor in (None, *before):
            one = package if ancestor is None else ancestor.package
            if one in doubts:
                counting, paths = doubts[one]
                own += cautions(one, counting, paths, ancestor)
        if own:
            found[package] = own
    return found


class _Links(dict[str, list[Source]]):
    """Sources by result; called with ids it gives those of these."""

    def __call__(self, results: Sequence[str]) -> Mapping[str, Iterable[Source]]:
        return {one: self[one] for one in results if one in self}


def _links_above(connection: Connection, packages: Sequence[str]) -> _Links:
    """All links by which anything above some packages is reached, one question for each generation."""
    links, asked, generation = _Links(), set(packages), list(packages)
    for _ in range(MAX_GENERATIONS):
        found = sources_of(connection, generation)
        links.update(found)
        generation = list({one.package for sources in found.values() for one in sources} - asked)
        asked.update(generation)
        if not generation or len(asked) > MAX_ANCESTORS:
            break
    return links


def _judged(
    connection: Connection,
    packages: Sequence[str],
    known: Mapping[int, Sequence[Assessment]],
    keys: Mapping[str, int],
) -> dict[str, tuple[Sequence[Assessment], Mapping[str, str]]]:
    """Judgements of packages that count, and the primary files of their datasets.

    A package that was deleted, or never was here, keeps what was said of it: results may have been made from it.
    """
    ids = {keys[one]: one for one in packages if one in keys}
    if wanted := [PackageId(one).hex for one in packages if one not in keys]:
        rows = select(_packages.seq, _packages.id).where(among_texts(_packages.id, wanted), tables.alive())
        ids |= {seq: PREFIX + id_ for seq, id_ in connection.execute(rows)}
    absent = {one for one in packages if one not in set(ids.values())}
    remembered = {one: current(saying.assessments_of(connection, PackageId(one).hex)) for one in absent}
    others = [seq for seq in ids if seq not in known]
    at_hand = {seq: known[seq] for seq in ids if known.get(seq)}
    counting = at_hand | (counting_of(connection, others) if others else {})
    named = {one.dataset for said in counting.values() for one in said if one.dataset}
    paths = paths_of(connection, counting, named) if named else {}
    here = {
        ids[seq]: (said, {one.dataset: paths[seq, one.dataset] for one in said if (seq, one.dataset) in paths})
        for seq, said in counting.items()
    }
    return {**here, **{one: (said, {}) for one, said in remembered.items() if said}}


def made_from(digits: str) -> ColumnElement[bool]:
    """Whether a package was made from one whose id begins so, directly or not."""
    return _packages.id.in_(_closure(_links.source, _links.result, digits))


def used_for(digits: str) -> ColumnElement[bool]:
    """Whether a package whose id begins so was made from it, directly or not."""
    return _packages.id.in_(_closure(_links.result, _links.source, digits))


def _closure(near: ColumnElement[str], far: ColumnElement[str], digits: str) -> Select[tuple[str]]:
    """Ids that are reached from some by following links; a ring ends, for nothing is taken twice."""
    reached: CTE = select(far.label("id")).where(near.between(digits, digits + "g")).cte(recursive=True)
    reached = reached.union(select(far).where(near == reached.c.id))
    return select(reached.c.id)
