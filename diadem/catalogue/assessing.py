"""Judgements in the catalogue: those that count, with the datasets for which they hold, and what nobody has judged.

Every function works in the transaction of its caller.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from diadem.catalogue import dialects, tables
from diadem.catalogue.expressions import among, among_texts
from diadem.catalogue.saying import assessments_of
from diadem.catalogue.spans import full, mask, written
from diadem.model.assessments import Assessment, current, differ

_table = tables.assessments
_columns = tables.assessments.c
_packages = tables.packages.c


def begin(connection: Connection, counts: Sequence[tuple[int, int]]) -> None:
    """Nobody has judged any dataset of these packages, of which each is a key and how many datasets it has."""
    rows = ((seq, True, written(full(count))) for seq, count in counts)
    dialects.insert_rows(connection, tables.unassessed, rows)


def restate(connection: Connection, seq: int, sha256: str) -> None:
    """Derive everything anew from the statements, of a package that was entered just now."""
    counting = sorted(current(assessments_of(connection, sha256)), key=lambda one: one.dataset)
    for dataset, said in groupby(counting, key=lambda one: one.dataset):
        _write(connection, seq, dataset, list(said))


def add(connection: Connection, seq: int, assessment: Assessment) -> None:
    """Let one more judgement count; one that was added before changes nothing, nor one of what was deleted."""
    deleted = select(_packages.tombstone).where(_packages.seq == seq)
    if connection.scalar(deleted) is not None:
        return
    known = connection.execute(
        select(_columns.statement_id, _columns.place, _columns.said).where(
            _columns.package == seq, _columns.dataset == assessment.dataset
        )
    )
    counting = current([assessment, *(_read(row) for row in known)])
    gone = delete(_table).where(_columns.package == seq, _columns.dataset == assessment.dataset)
    connection.execute(gone)
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
    return Assessment.of(row.statement_id, row.place, json.loads(row.said))


def _write(connection: Connection, seq: int, dataset: str, counting: Sequence[Assessment]) -> None:
    """Rows of all judgements of one dataset, or of the package as a whole; none for a dataset that it does not have."""
    number, count = _number(connection, seq, dataset), _count(connection, seq)
    bits = full(count) if not dataset or not count else 0 if number is None else 1 << number
    if not bits:
        return
    questions = {one.question: [other for other in counting if other.question == one.question] for one in counting}
    rows = [_row(seq, one, disputed=differ(questions[one.question])) for one in counting]
    where = {"everywhere": bits == full(count), "datasets": written(bits)}
    if rows:
        connection.execute(insert(_table), [row | where for row in rows])
    _judged(connection, seq, bits)


def _row(seq: int, one: Assessment, *, disputed: bool) -> dict[str, Any]:
    dataset, signal, purpose, criterion = one.question
    said = one.to_predicate() | {"time": one.time}
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


def _judged(connection: Connection, seq: int, bits: int) -> None:
    """Somebody has judged these datasets: they do not stand among the others any more."""
    columns = tables.unassessed.c
    known = connection.execute(select(columns.everywhere, columns.datasets).where(columns.package == seq)).first()
    if known is None:
        return
    before = full(_count(connection, seq)) if known.everywhere else mask(known.datasets)
    if after := before & ~bits:
        changed = update(tables.unassessed).where(columns.package == seq)
        connection.execute(changed, {"everywhere": known.everywhere and after == before, "datasets": written(after)})
    else:
        connection.execute(delete(tables.unassessed).where(columns.package == seq))


def _count(connection: Connection, seq: int) -> int:
    return int(connection.scalar(select(_packages.datasets).where(_packages.seq == seq)) or 0)


def _number(connection: Connection, seq: int, dataset: str) -> int | None:
    """The number of a dataset, by its id."""
    columns = tables.datasets.c
    return connection.scalar(select(columns.number).where(columns.package == seq, columns.id == dataset))


def paths_of(connection: Connection, keys: Iterable[int], ids: Iterable[str]) -> dict[tuple[int, str], str]:
    """Primary files of some datasets, by package and id."""
    columns = tables.datasets.c
    found = select(columns.package, columns.id, columns.path).where(
        among(columns.package, list(keys)), among_texts(columns.id, sorted(set(ids)))
    )
    return {(package, id_): path for package, id_, path in connection.execute(found)}
