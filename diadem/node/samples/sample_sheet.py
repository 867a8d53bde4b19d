"""The samples of a node as a sheet that people edit: one row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from diadem.catalogue import Catalogue
from diadem.model.sample_cells import COLUMNS, sample_cells
from diadem.model.sample_custody import Whereabouts
from diadem.model.statements import Subject
from diadem.model.table_changes import WrittenTable
from diadem.scan.tables import Column, write_table

SHEET: Final = "samples"
ID, AS_OF, WHERE = "id", "as of", "where"
#: All columns, in their order.
KEYS: Final = (*COLUMNS, WHERE, ID, AS_OF)
MAKE: Final = "diadem sample export samples.xlsx"
#: Before the id of a statement in a cell: so no spreadsheet program takes it for a number.
STATEMENT: Final = "statement:"

_Row = Mapping[str, str]


def write_samples(catalogue: Catalogue, where: Mapping[str, Whereabouts], path: Path, *, replace: bool) -> WrittenTable:
    """Write all samples to ``.csv`` or ``.xlsx``; `where` says by their ids where they are."""
    rows = _rows(catalogue, where)
    write_table(path, _columns(), rows, sheet=SHEET, replace=replace)
    return WrittenTable(str(path), len(rows))


def _rows(catalogue: Catalogue, where: Mapping[str, Whereabouts]) -> list[dict[str, str]]:
    samples = catalogue.samples()
    names = {one.id: one.identifier for one in samples}
    return [
        {
            **sample_cells(one, names),
            WHERE: str(where[one.id]) if where[one.id].since else "",
            ID: one.id,
            AS_OF: STATEMENT + catalogue.sample_places(Subject.named(one.id).sha256)[-1][1],
        }
        for one in samples
    ]


def _columns() -> Sequence[Column[_Row]]:
    def column(key: str) -> Column[_Row]:
        return Column(key, key, "text", lambda row: row[key])

    return [column(key) for key in KEYS]
