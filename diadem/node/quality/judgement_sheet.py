"""Judgements as a sheet that people edit: a row for each that counts, or for what nobody has judged yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from diadem.catalogue.results import PackageRow
from diadem.model.assessments import VERDICTS, Assessment, current, label
from diadem.model.table_changes import WrittenTable
from diadem.node.context import Context
from diadem.node.samples.sample_sheet import STATEMENT
from diadem.scan.tables import Column, write_table

SHEET: Final = "judgements"
#: Columns that say of what a row is; they are never changed.
PLACE: Final = ("package", "session", "date", "dataset", "dataset id")
#: Columns that say how something is judged.
SAID: Final = ("signal", "purpose", "criterion", "verdict", "value", "unit", "comment", "evidence", "scheme")
BY, JUDGED, ID = "by", "judged", "statement"
KEYS: Final = (*PLACE, *SAID, BY, JUDGED, ID)
MAKE: Final = "diadem assessment export assessments.xlsx"
#: Packages that are looked up at once.
_PAGE: Final = 500

Row = Mapping[str, Any]


def write_judgements(
    context: Context, path: Path, query: str, *, todo: bool, purpose: str, replace: bool
) -> WrittenTable:
    """Write the judgements of all packages that a search finds; or with `todo` what nobody has judged yet."""
    rows = [
        cells
        for row in _packages(context, query)
        for cells in (_todo(context, row, purpose) if todo else _judged(context, row))
    ]
    write_table(path, _columns(), rows, sheet=SHEET, choices={"verdict": VERDICTS}, replace=replace)
    return WrittenTable(str(path), len(rows))


def said_cells(one: Assessment) -> dict[str, Any]:
    """What a judgement says, by the columns of the sheet; its value stays a number, or None."""
    plain = {name: getattr(one, name) for name in SAID if name != "evidence"}
    return {**plain, "evidence": "\n".join(one.evidence)}


def _packages(context: Context, query: str) -> Iterator[PackageRow]:
    start = 0
    while rows := context.catalogue.search(query, limit=_PAGE, offset=start).rows:
        yield from rows
        start += len(rows)


def _judged(context: Context, row: PackageRow) -> Iterator[Row]:
    if not row.quality:
        return
    counting = current(context.catalogue.assessments(row.id))
    paths = context.catalogue.dataset_paths(row.id, [one.dataset for one in counting if one.dataset])
    for one in counting:
        place = {**_place(row), "dataset": paths.get(one.dataset, ""), "dataset id": one.dataset}
        yield {**place, **said_cells(one), BY: one.who, JUDGED: one.time[:10], ID: STATEMENT + one.statement_id}


def _todo(context: Context, row: PackageRow, purpose: str) -> Iterator[Row]:
    """Datasets that nobody has judged, or not for this purpose; a judgement of the package is one of all of them."""
    said = current(context.catalogue.assessments(row.id)) if row.quality else []
    judged = {one.dataset for one in said if not purpose or label(one.purpose) == label(purpose)}
    if "" in judged:
        return
    empty = {**dict.fromkeys(KEYS, ""), **_place(row), "purpose": purpose, "value": None}
    for dataset in context.catalogue.datasets_of(row.id):
        if dataset.id not in judged:
            yield {**empty, "dataset": dataset.path, "dataset id": dataset.id}


def _place(row: PackageRow) -> dict[str, Any]:
    return {"package": row.id, "session": row.title, "date": row.date.isoformat() if row.date else ""}


def _columns() -> Sequence[Column[Row]]:
    def column(key: str) -> Column[Row]:
        return Column(key, key, "number" if key == "value" else "text", lambda row: row[key])

    return [column(key) for key in KEYS]
