"""What people think of packages: judgements that count, with the datasets for which they hold; what was made from what;
and the doubts that this hands down."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import CTE, ColumnElement, Connection, Select, delete, select, update

from diadem.catalogue import database, facet_counts, log_statements, tables
from diadem.catalogue.dataset_sets import bits_of, full, mask_text
from diadem.catalogue.package_key import require, resolve
from diadem.catalogue.tables import among, among_texts
from diadem.model import lineage
from diadem.model.assessments import Assessment, current, differ
from diadem.model.lineage import MAX_ANCESTORS, MAX_GENERATIONS, Caution, Derivation, Source, ancestors
from diadem.model.manifest import PREFIX, PackageId

_columns, _links = tables.assessments.c, tables.derivations.c
_packages, _datasets, _unassessed = tables.packages.c, tables.datasets.c, tables.unassessed.c


# Judgements


def begin(connection: Connection, counts: Sequence[tuple[int, int]]) -> None:
    """Nobody has judged any dataset of these packages, of which each is a key and how many datasets it has."""
    rows = ((seq, True, mask_text(full(count))) for seq, count in counts)
    database.insert_rows(connection, tables.unassessed, rows)


def restate(connection: Connection, seq: int, sha256: str) -> None:
    """Derive everything anew from the statements, of a package that was entered just now."""
    counting = sorted(current(log_statements.assessments_of(connection, sha256)), key=lambda one: one.dataset)
    for dataset, said in groupby(counting, key=lambda one: one.dataset):
        _write(connection, seq, dataset, list(said))


def restate_judgements(connection: Connection, package_id: str) -> None:
    """Derive everything anew from the statements, after some came from elsewhere. Raises `NotFound`."""
    seq = require(connection, package_id)
    facet_counts.touch(connection, [seq])
    asked = select(_packages.id, _packages.datasets).where(_packages.seq == seq, _packages.tombstone.is_(None))
    row = connection.execute(asked).first()
    if row is not None:
        for table in (tables.assessments, tables.unassessed):
            connection.execute(delete(table).where(table.c.package == seq))
        begin(connection, [(seq, row.datasets)])
        restate(connection, seq, row.id)


def add_assessment(connection: Connection, package_id: str, assessment: Assessment) -> None:
    """Let a judgement count, unless a later one stands in its place; one of what was deleted changes nothing.

    Raises `NotFound`.
    """
    seq = require(connection, package_id)
    facet_counts.touch(connection, [seq])
    if connection.scalar(select(_packages.tombstone).where(_packages.seq == seq)) is not None:
        return
    of_it = (_columns.package == seq, _columns.dataset == assessment.dataset)
    known = connection.execute(select(_columns.statement_id, _columns.place, _columns.said).where(*of_it))
    counting = current([assessment, *(_read(row) for row in known)])
    connection.execute(delete(tables.assessments).where(*of_it))
    _write(connection, seq, assessment.dataset, counting)


def counting_of(connection: Connection, keys: Sequence[int]) -> dict[int, list[Assessment]]:
    """Judgements that count, by package; none for one that nobody has judged."""
    rows = connection.execute(
        select(_columns.package, _columns.statement_id, _columns.place, _columns.said)
        .where(among(_columns.package, keys))
        .order_by(_columns.package, _columns.place)
    )
    return {key: [_read(row) for row in found] for key, found in groupby(rows, key=lambda row: int(row.package))}


def _read(row: Any) -> Assessment:
    said = json.loads(row.said)
    return Assessment.of(row.statement_id, row.place, said, node=str(said.get("of_node", "")))


def _write(connection: Connection, seq: int, dataset: str, counting: Sequence[Assessment]) -> None:
    """Rows of all judgements of one dataset, or of the package as a whole; none for a dataset that it does not have."""
    count = int(connection.scalar(select(_packages.datasets).where(_packages.seq == seq)) or 0)
    if not dataset or not count:
        bits = full(count)
    else:
        of_it = (_datasets.package == seq, _datasets.id == dataset)
        number = connection.scalar(select(_datasets.number).where(*of_it))
        bits = 0 if number is None else 1 << number
    if not bits:
        return
    questions = {one.question: [other for other in counting if other.question == one.question] for one in counting}
    rows = [_row(seq, one, disputed=differ(questions[one.question])) for one in counting]
    where = {"everywhere": bits == full(count), "datasets": mask_text(bits)}
    database.insert_values(connection, tables.assessments, (row | where for row in rows))
    _judged(connection, seq, bits, full(count))


def _row(seq: int, one: Assessment, *, disputed: bool) -> dict[str, Any]:
    dataset, signal, purpose, criterion = one.question
    said = one.to_predicate() | {"time": one.time} | ({"of_node": one.node} if one.node else {})
    return {
        "package": seq,
        "dataset": dataset,
        "signal": signal,
        "purpose": purpose,
        "criterion": criterion,
        "by": one.by,
        "plugin": one.plugin,
        "assessor": one.by.partition("@")[0].casefold(),
        "verdict": one.verdict,
        "disputed": disputed,
        "statement_id": one.statement_id,
        "place": one.order,
        "said": json.dumps(said, ensure_ascii=False, sort_keys=True),
    }


def _judged(connection: Connection, seq: int, bits: int, every: int) -> None:
    """Somebody has judged these datasets: they do not stand among the others any more."""
    own = _unassessed.package == seq
    known = connection.execute(select(_unassessed.everywhere, _unassessed.datasets).where(own)).first()
    if known is None:
        return
    before = bits_of(known.everywhere, known.datasets, every)
    if after := before & ~bits:
        changed = {"everywhere": after == every, "datasets": mask_text(after)}
        connection.execute(update(tables.unassessed).where(own), changed)
    else:
        connection.execute(delete(tables.unassessed).where(own))


def dataset_paths(connection: Connection, package_id: str, ids: Sequence[str]) -> dict[str, str]:
    """Primary files of some datasets of a package, by their ids. Raises `NotFound`."""
    seq = resolve(connection, package_id)
    return {id_: path for (_, id_), path in _paths_of(connection, [seq], ids).items()}


def _paths_of(connection: Connection, keys: Iterable[int], ids: Iterable[str]) -> dict[tuple[int, str], str]:
    """Primary files of some datasets, by package and id."""
    found = select(_datasets.package, _datasets.id, _datasets.path).where(
        among(_datasets.package, list(keys)), among_texts(_datasets.id, sorted(set(ids)))
    )
    return {(package, id_): path for package, id_, path in connection.execute(found)}


# Derivations


def add_derivation(connection: Connection, derivation: Derivation) -> None:
    """Note from what a package was made, once, whether or not it is known here."""
    result, said = PackageId(derivation.result).hex, derivation.statement_id
    known = select(_links.source).where(_links.result == result, _links.statement_id == said)
    if connection.scalar(known.limit(1)) is None:
        made = {(PackageId(one.package).hex, one.path) for one in derivation.sources}
        rows = ((result, source, path, said) for source, path in sorted(made))
        database.insert_rows(connection, tables.derivations, rows)


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


def cautions(
    connection: Connection,
    packages: Sequence[str],
    known: Mapping[int, Sequence[Assessment]] | None = None,
    keys: Mapping[str, int] | None = None,
) -> dict[str, list[Caution]]:
    """Doubts about packages and about what they were made from, by id; nothing for those without any.

    As far as they are at hand: judgements that are `known` to count, by the key of a package, and `keys` of packages
    that are not deleted, by their ids.
    """
    links = _links_above(connection, packages)
    above = {package: ancestors(package, links) if package in links else [] for package in packages}
    concerned = list(dict.fromkeys([*packages, *(one.package for found in above.values() for one in found)]))
    doubts = _doubts(connection, concerned, known or {}, keys or {})
    told = log_statements.doubts_told(connection, concerned)
    found: dict[str, list[Caution]] = {}
    for package, before in above.items():
        own: list[Caution] = []
        for ancestor in (None, *before):
            one = package if ancestor is None else ancestor.package
            if one in doubts:
                counting, paths = doubts[one]
                own += lineage.cautions(one, counting, paths, ancestor)
            way = () if ancestor is None else ancestor.way
            own += [inherited.caution(node, called, way) for node, called, inherited in told.get(one, ())]
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
        results = [PackageId(one).hex for one in generation]
        rows = select(_links.result, _links.source, _links.path).where(among_texts(_links.result, results)).distinct()
        met: set[str] = set()
        for result, source, path in connection.execute(rows):
            links.setdefault(PREFIX + result, []).append(Source(PREFIX + source, path))
            met.add(PREFIX + source)
        generation = list(met - asked)
        asked.update(generation)
        if not generation or len(asked) > MAX_ANCESTORS:
            break
    return links


def _doubts(
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
    absent = set(packages).difference(ids.values())
    remembered = {one: current(log_statements.assessments_of(connection, PackageId(one).hex)) for one in absent}
    others = [seq for seq in ids if seq not in known]
    at_hand = {seq: known[seq] for seq in ids if known.get(seq)}
    counting = at_hand | (counting_of(connection, others) if others else {})
    named = {one.dataset for said in counting.values() for one in said if one.dataset}
    paths = _paths_of(connection, counting, named) if named else {}
    here = {
        ids[seq]: (said, {one.dataset: paths[seq, one.dataset] for one in said if (seq, one.dataset) in paths})
        for seq, said in counting.items()
    }
    return {**here, **{one: (said, {}) for one, said in remembered.items() if said}}
